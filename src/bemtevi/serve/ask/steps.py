"""Counts joined with what was heard: an hour in which we were deaf is never drawn as zero. Pure.

Owns the steps of a timeline, the hours of a week, and the lanes of the ledger. Leaves to `serve.coverage`
what was heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bemtevi.lake.coverage import without
from bemtevi.serve.coverage import Coverage
from bemtevi.serve.questions import Period

DEAF_BELOW = 0.001
HOUR = timedelta(hours=1)


def steps(
    rows: Iterable[dict[str, Any]],
    heard: Coverage,
    networks: Sequence[str],
    now: datetime,
    known: Period | None,
) -> dict[str, Any]:
    """A timeline in columns: `at`, `series` by network, `listened`, `partial`.

    A step in which nothing was heard and nothing collected is null, not 0; so is one outside of what was
    followed and outside of `known`, the time of the collected posts.
    """
    times: list[datetime] = []
    ends: list[datetime] = []
    counts: dict[str, list[int]] = {network: [] for network in networks}
    for row in rows:
        if not times or times[-1] != row["at"]:
            times.append(row["at"])
            ends.append(row["ends_at"])
            for values in counts.values():
                values.append(0)
        if row["network"] is not None:
            counts.setdefault(row["network"], [0] * len(times))[-1] += row["posts"]
    series: dict[str, list[int | None]] = {}
    listened: dict[str, list[float | None]] = {}
    for network, values in counts.items():
        shares = [heard.share(network, at, min(end, now)) for at, end in zip(times, ends, strict=True)]
        series[network] = [
            None if value == 0 and not _could_hear(share, at, end, known, now) else value
            for value, share, at, end in zip(values, shares, times, ends, strict=True)
        ]
        listened[network] = shares
    return {
        "at": times,
        "series": series,
        "listened": listened,
        "partial": [index for index, end in enumerate(ends) if end > now],
    }


def _could_hear(
    share: float | None, at: datetime, end: datetime, known: Period | None, now: datetime
) -> bool:
    if at >= now:
        return False
    if share is not None:
        return share >= DEAF_BELOW
    return known is not None and at < known.until and end > known.since


def week(
    rows: Iterable[dict[str, Any]], heard: Coverage, period: Period, zone: ZoneInfo, known: Period | None
) -> list[dict[str, Any]]:
    """168 cells `weekday` (1 Monday), `hour`, `posts`, `listened_hours`, `mean`: posts per hour heard.

    The mean is null where nothing was ever heard. An hour that a change of clocks repeats counts as two.
    """
    posts: dict[tuple[int, int], int] = {}
    heard_hours: dict[tuple[int, int], float] = {}
    for row in rows:
        place = hour_of_week(row["at"], zone)
        posts[place] = posts.get(place, 0) + row["posts"]
    at = period.since.replace(minute=0, second=0, microsecond=0)
    while at < period.until:
        start, end = max(at, period.since), min(at + HOUR, period.until)
        share = heard.share(None, start, end)
        if share is None:
            share = 1.0 if known is not None and start < known.until and end > known.since else 0.0
        place = hour_of_week(at, zone)
        length = (end - start) / HOUR
        heard_hours[place] = heard_hours.get(place, 0.0) + share * length
        at += HOUR
    return [
        {
            "weekday": weekday,
            "hour": hour,
            "posts": posts.get((weekday, hour), 0),
            "listened_hours": round(heard_hours.get((weekday, hour), 0.0), 3),
            "mean": _mean(posts.get((weekday, hour), 0), heard_hours.get((weekday, hour), 0.0)),
        }
        for weekday in range(1, 8)
        for hour in range(24)
    ]


def _mean(posts: int, listened: float) -> float | None:
    if listened < 0.02:
        return None
    return posts / listened


def hour_of_week(at: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """Day of the week (1 Monday) and hour, on the clock of a zone."""
    local = at.astimezone(zone)
    return local.isoweekday(), local.hour


def lanes(heard: Coverage) -> list[dict[str, Any]]:
    """For each network the intervals that were listened to, filled and missing.

    For a picture of the ledger.
    """
    found = []
    for network, known in heard.networks.items():
        listened = without(without(known.followed, known.missing), known.filled)
        parts = [("listened", listened), ("filled", known.filled), ("missing", known.missing)]
        found.append(
            {
                "network": network,
                "parts": [
                    {"state": state, "from": start, "to": stop}
                    for state, all_ in parts
                    for start, stop in all_
                ],
            }
        )
    return found
