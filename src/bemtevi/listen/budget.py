"""What may still be read, and what to do when it nears its end.

Owns the arithmetic: limits, the ends of days and months, the step to which the rules are slowed. Pure; time
and counts are arguments. Leaves the counting to `meter` and the doing to `budget_guard`. UTC throughout, as
X bills: a day ends at midnight, a month on the day on which X begins its count again.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from bemtevi.metrics import Period
from bemtevi.settings import Settings

LADDER = (100, 50, 25, 10, 5, 2, 1)
"""Percents to which the rules may be slowed: few, so that they change seldom."""
NEAR = 0.8
"""The share of a limit from which on its end is looked at."""
AGAIN = 0.01
"""The share of a limit that must be left before reading begins again within the same day or month."""
MARGIN_SECONDS = 10.0
"""Posts that still come while we stop: so much of the present rate is kept back."""


@dataclass(frozen=True)
class Limits:
    """What may be read; None is without limit."""

    daily: int | None
    monthly: int | None
    price: float
    """Dollars a post."""
    slows: bool
    """Slow down before the end, rather than only stop at it."""
    cycle_day: int = 1
    """Day of the month on which the month begins."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits of the settings; the dollars as posts."""
        price = settings.x_post_price
        monthly = [settings.budget_monthly_posts]
        if settings.budget_monthly_dollars is not None and price > 0:
            monthly.append(int(settings.budget_monthly_dollars / price + 1e-9))
        known = [limit for limit in monthly if limit is not None]
        slows = settings.budget_action == "sample"
        return cls(settings.budget_daily_posts, min(known, default=None), price, slows, settings.x_cycle_day)


@dataclass(frozen=True)
class Allowance:
    """One limit and how much of it is used."""

    period: Period
    limit: int
    used: int
    ends_at: datetime

    @property
    def left(self) -> int:
        """Posts that may still be read."""
        return max(self.limit - self.used, 0)

    @property
    def is_near(self) -> bool:
        """Whether so much is used that it is to be looked at."""
        return self.used >= NEAR * self.limit


@dataclass(frozen=True)
class Verdict:
    """What to do now: ask for this percent of the matches; or stop, until when, because of which limit."""

    percent: int = 100
    spent: Allowance | None = None


def month_begins(day: date, cycle_day: int) -> date:
    """The first day of the month of X's count that a day is in."""
    begin = _on(day.year, day.month, cycle_day)
    if begin > day:
        begin = _on(day.year - (day.month == 1), 12 if day.month == 1 else day.month - 1, cycle_day)
    return begin


def month_ends(day: date, cycle_day: int) -> date:
    """The first day of the next month of X's count."""
    begin = month_begins(day, cycle_day)
    return _on(begin.year + (begin.month == 12), begin.month % 12 + 1, cycle_day)


def allowances(limits: Limits, today: int, month: int, now: datetime) -> list[Allowance]:
    """The limits that are set, with what was read today and this month."""
    day = now.astimezone(UTC).date()
    found = []
    if limits.daily is not None:
        found.append(Allowance("day", limits.daily, today, _midnight(day + timedelta(days=1))))
    if limits.monthly is not None:
        end = month_ends(day, limits.cycle_day)
        found.append(Allowance("month", limits.monthly, month, _midnight(end)))
    return found


def verdict(
    found: Sequence[Allowance],
    rate: float | None,
    percent: int,
    now: datetime,
    *,
    slows: bool,
    stopped: bool = False,
) -> Verdict:
    """What to do. `rate`: posts a second that all rules would bring, None if it is not known yet; `percent`:
    what they ask for now; `stopped`: whether reading has stopped because of a limit."""
    for allowance in sorted(found, key=lambda one: one.ends_at, reverse=True):
        margin = (rate or 0.0) * percent / 100 * MARGIN_SECONDS
        if stopped:  # some turned out to be read before: not worth to begin again for so few
            margin = max(margin, allowance.limit * AGAIN)
        if allowance.left <= margin:
            return Verdict(percent, allowance)
    if not slows:
        return Verdict()
    if rate is None and any(allowance.is_near for allowance in found):
        return Verdict(percent)
    step = min((_step(allowance, rate, now, 1.0) for allowance in found), default=100)
    if step > percent:  # up only when there is much room: else the rules would change all the time
        step = max(min((_step(allowance, rate, now, 2.0) for allowance in found), default=100), percent)
    return Verdict(step)


def _step(allowance: Allowance, rate: float | None, now: datetime, room: float) -> int:
    """The largest percent with which the rest lasts `room` times until the end; 100 far from the limit."""
    if not allowance.is_near:
        return 100
    needed = (rate or 0.0) * max((allowance.ends_at - now).total_seconds(), 0.0) * room
    return next((step for step in LADDER if needed * step / 100 <= allowance.left), LADDER[-1])


def _on(year: int, month: int, day: int) -> date:
    return date(year, month, min(day, calendar.monthrange(year, month)[1]))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
