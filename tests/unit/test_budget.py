"""What may be read: ends of months, steps, and the promise that a limit is not passed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.listen.budget import (
    LADDER,
    MARGIN_SECONDS,
    Allowance,
    Limits,
    allowances,
    month_begins,
    month_ends,
    verdict,
)
from bemtevi.settings import load_settings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "cycle_day", "begin", "end"),
    [
        ("2026-11-24", 1, "2026-11-01", "2026-12-01"),
        ("2026-11-24", 24, "2026-11-24", "2026-12-24"),
        ("2026-11-24", 25, "2026-10-25", "2026-11-25"),
        ("2026-01-01", 15, "2025-12-15", "2026-01-15"),
        ("2026-12-31", 1, "2026-12-01", "2027-01-01"),
        ("2026-03-01", 31, "2026-02-28", "2026-03-31"),
        ("2026-02-28", 31, "2026-02-28", "2026-03-31"),
    ],
)
def test_months(day: str, cycle_day: int, begin: str, end: str) -> None:
    assert month_begins(date.fromisoformat(day), cycle_day).isoformat() == begin
    assert month_ends(date.fromisoformat(day), cycle_day).isoformat() == end


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(1, 31))
def test_every_day_is_in_its_month(day: date, cycle_day: int) -> None:
    begin, end = month_begins(day, cycle_day), month_ends(day, cycle_day)
    assert begin <= day < end
    assert month_begins(end, cycle_day) == end
    assert month_ends(begin, cycle_day) == end


def test_limits_of_settings() -> None:
    limits = Limits.of(load_settings(budget_monthly_posts=5_000, budget_monthly_dollars=10.0))
    assert (limits.daily, limits.monthly, limits.price, limits.slows) == (None, 2_000, 0.005, False)
    assert Limits.of(load_settings()).monthly is None
    free = Limits.of(load_settings(x_post_price=0.0, budget_monthly_dollars=1.0))
    assert free.monthly is None


def today(limit: int, used: int) -> list[Allowance]:
    return allowances(Limits(limit, None, 0.005, slows=True), used, used, NOW)


def test_far_from_the_limit_nothing_is_done() -> None:
    assert today(1_000, 0)[0].ends_at == MIDNIGHT
    assert verdict(today(1_000, 700), 50.0, 100, NOW, slows=True).percent == 100
    assert verdict([], 1e9, 100, NOW, slows=True).percent == 100


def test_it_stops_before_the_limit_by_what_comes_meanwhile() -> None:
    at_the_margin = 1_000 - int(2.0 * MARGIN_SECONDS)
    assert verdict(today(1_000, at_the_margin), 2.0, 100, NOW, slows=False).spent is not None
    assert verdict(today(1_000, at_the_margin - 1), 2.0, 100, NOW, slows=False).spent is None
    assert verdict(today(1_000, 985), 2.0, 100, NOW, slows=False).spent is not None  # 10 s of 2 a second
    assert verdict(today(1_000, 985), 2.0, 50, NOW, slows=False).spent is None
    assert verdict(today(1_000, 1_000), 0.0, 100, NOW, slows=False).spent is not None
    assert verdict(today(1_000, 5_000), 0.0, 100, NOW, slows=False).spent is not None


def test_of_two_limits_that_are_reached_the_longer_is_told() -> None:
    both = allowances(Limits(10, 10, 0.005, slows=False), 10, 10, NOW)
    spent = verdict(both, 0.0, 100, NOW, slows=False).spent
    assert spent is not None
    assert spent.period == "month"


def test_it_slows_to_what_lasts_until_midnight() -> None:
    left, seconds = 10_000, (MIDNIGHT - NOW).total_seconds()
    near = today(100_000, 100_000 - left)
    assert verdict(near, left / seconds, 100, NOW, slows=True).percent == 100
    assert verdict(near, 3 * left / seconds, 100, NOW, slows=True).percent == 25
    assert verdict(near, 3 * left / seconds, 100, NOW, slows=False).percent == 100
    assert verdict(near, 80 * left / seconds, 100, NOW, slows=True).percent == 1


def test_it_goes_up_again_only_with_much_room() -> None:
    left, seconds = 10_000, (MIDNIGHT - NOW).total_seconds()
    near = today(100_000, 100_000 - left)
    assert verdict(near, 1.5 * left / seconds, 25, NOW, slows=True).percent == 25
    assert verdict(near, 0.9 * left / seconds, 25, NOW, slows=True).percent == 50
    assert verdict(today(100_000, 0), 3 * left / seconds, 25, NOW, slows=True).percent == 100


def test_within_a_day_it_does_not_begin_again_for_a_few() -> None:
    assert verdict(today(1_000, 995), 0.0, 100, NOW, slows=False, stopped=True).spent is not None
    assert verdict(today(1_000, 995), 0.0, 100, NOW, slows=False, stopped=False).spent is None
    assert verdict(today(1_000, 980), 0.0, 100, NOW, slows=False, stopped=True).spent is None


def test_without_a_rate_a_slowed_rule_stays_slowed() -> None:
    assert verdict(today(1_000, 900), None, 10, NOW, slows=True).percent == 10
    assert verdict(today(1_000, 100), None, 10, NOW, slows=True).percent == 100


@given(
    limit=st.integers(100, 1_000_000),
    rate=st.floats(0.01, 250.0),
    burst=st.floats(1.0, 20.0),
    slows=st.booleans(),
)
def test_a_limit_is_never_passed_at_a_steady_rate_or_one_that_bursts(
    limit: int, rate: float, burst: float, slows: bool
) -> None:
    """A day in steps of five seconds; the rate is known from the step before."""
    used, percent, known = 0.0, 100, 0.0
    now = datetime(2026, 11, 24, tzinfo=UTC)
    steps = 17_280
    for step in range(0, steps, 16):
        at = now + timedelta(seconds=5 * step)
        found = allowances(Limits(limit, None, 0.0, slows=slows), int(used), 0, at)
        told = verdict(found, known, percent, at, slows=slows)
        if told.spent is not None:
            break
        assert told.percent in LADDER
        percent = told.percent
        known = rate * (burst if step > steps / 2 else 1.0)
        used += min(known * 5 * percent / 100, limit)
    # what comes in one step while the rate rises is the most that it can be too much
    assert used <= limit + rate * burst * 5
