"""Times and intervals as people write them: 7d, 24h, 60m, 2026-11-24, 2026-11-24T15:00.

Owns the reading of them. A time without a zone is on the clock of the lake's zone.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bemtevi.errors import UsageError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
INTERVAL = re.compile(r"(\d+)\s*([smhdw])")


def interval(text: str) -> timedelta:
    """`60m` and the like. Raises UsageError."""
    match = INTERVAL.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise UsageError(f"'{text}' is no interval: write a number and s, m, h, d or w, for example 60m.")
    try:
        return timedelta(**{UNITS[match[2]]: int(match[1])})
    except OverflowError:
        raise UsageError(f"'{text}' is too long an interval.") from None


def moment(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """A time, or an interval before `now`. Raises UsageError."""
    if INTERVAL.fullmatch(text.strip()):
        try:
            return now - interval(text)
        except OverflowError:
            raise UsageError(f"'{text}' ago is before the calendar begins.") from None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"'{text}' is no time: write 7d, 24h, 2026-11-24 or 2026-11-24T15:00.") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)
