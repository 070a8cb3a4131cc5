"""Completeness: every second that was followed is listened to, filled or missing, and in one of them only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.lake.coverage import FILLED, Completeness, common, completeness, seconds, union, without
from bemtevi.lake.gap import Cause, Gap, State, ended, new_gap
from bemtevi.lake.track import TrackedRule

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def rule(name: str, since: float, until: float | None = None) -> TrackedRule:
    return TrackedRule("x", f"#{name}", name, at(since), None if until is None else at(until))


def gap(since: float, until: float | None, state: State = State.ENDED, *rules: str, **more: object) -> Gap:
    one = new_gap("x", Cause.DISCONNECTED, at(since), rules=rules, listener="l", now=at(since))
    if until is not None:
        one = replace(ended(one, at(until), at(until)), state=state)
    return replace(one, **more)  # type: ignore[arg-type]


def told(answer: Completeness) -> tuple[float, float, float, float]:
    return (
        answer.tracked_seconds,
        answer.listened_seconds,
        answer.filled_seconds,
        answer.missing_seconds,
    )


def test_what_is_followed_without_a_gap_is_listened_to() -> None:
    assert told(completeness([rule("a", 10)], [], at(0), at(100))) == (90, 90, 0, 0)


def test_what_is_not_followed_has_no_share() -> None:
    answer = completeness([rule("a", 200)], [gap(0, 50)], at(0), at(100))
    assert (told(answer), answer.share) == ((0, 0, 0, 0), None)


@pytest.mark.parametrize("state", [State.ENDED, State.UNFILLABLE])
def test_a_gap_that_was_not_filled_is_missing(state: State) -> None:
    answer = completeness([rule("a", 0)], [gap(20, 30, state)], at(0), at(100))
    assert told(answer) == (100, 90, 0, 10)
    assert answer.share == pytest.approx(0.9)


@pytest.mark.parametrize("state", sorted(FILLED))
def test_a_gap_that_was_filled_counts_as_filled_not_as_listened_to(state: State) -> None:
    assert told(completeness([rule("a", 0)], [gap(20, 30, state)], at(0), at(100))) == (100, 90, 10, 0)


def test_a_gap_that_lasts_reaches_to_the_end() -> None:
    assert told(completeness([rule("a", 0)], [gap(80, None)], at(0), at(100))) == (100, 80, 0, 20)


def test_a_gap_of_another_rule_does_not_count_and_one_of_all_rules_does() -> None:
    gaps = [gap(10, 20, State.ENDED, "b"), gap(30, 40, State.ENDED, "b", "a"), gap(50, 60)]
    answer = completeness([rule("a", 0)], gaps, at(0), at(100))
    assert told(answer) == (100, 80, 0, 20)
    assert answer.gaps == tuple(gaps[1:])


def test_a_gap_of_another_network_does_not_count() -> None:
    answer = completeness([rule("a", 0)], [gap(10, 20, network="mastodon")], at(0), at(100))
    assert told(answer) == (100, 100, 0, 0)


def test_missing_wins_over_filled_where_they_overlap() -> None:
    gaps = [gap(10, 40, State.FILLED), gap(20, 50, State.UNFILLABLE, "a")]
    assert told(completeness([rule("a", 0)], gaps, at(0), at(100))) == (100, 60, 10, 30)


def test_what_was_removed_counts_until_then() -> None:
    answer = completeness([rule("a", 0, 50)], [gap(40, 80)], at(0), at(100))
    assert told(answer) == (50, 40, 0, 10)


def test_expected_and_stored_are_of_the_gaps_that_were_checked() -> None:
    gaps = [
        gap(10, 20, State.FILLED, expected_posts=10, filled_posts=9),
        gap(30, 40, State.PARTLY_FILLED, expected_posts=5, filled_posts=1),
        gap(50, 60, State.FILLED, filled_posts=7),
    ]
    answer = completeness([rule("a", 0)], gaps, at(0), at(100))
    assert (answer.expected, answer.stored) == (15, 10)
    answer = completeness([rule("a", 0)], gaps[2:], at(0), at(100))
    assert (answer.expected, answer.stored) == (None, None)


instants = st.integers(0, 60)
rules = st.builds(rule, st.sampled_from(["a", "b"]), instants, st.none() | instants)
gaps = st.builds(
    lambda since, length, state, tags: gap(since, None if length is None else since + length, state, *tags),
    instants,
    st.none() | st.integers(0, 30),
    st.sampled_from([state for state in State if state is not State.OPEN]),
    st.lists(st.sampled_from(["a", "c"]), max_size=1),
)


@given(st.lists(rules, min_size=1, max_size=3), st.lists(gaps, max_size=6), instants, instants)
def test_it_is_what_counting_second_by_second_gives(
    some: list[TrackedRule], holes: list[Gap], start: int, length: int
) -> None:
    counted = [0, 0, 0, 0]
    tags = {one.tag for one in some}
    for second in range(start, start + length):
        middle = at(second + 0.5)
        if not any(
            one.added_at < middle and (one.removed_at is None or middle < one.removed_at) for one in some
        ):
            continue
        deaf = [
            hole.state
            for hole in holes
            if hole.concerns(tags)
            and hole.started_at < middle
            and (hole.ended_at is None or middle < hole.ended_at)
        ]
        missing = any(state not in FILLED for state in deaf)
        counted[0] += 1
        counted[3 if missing else 2 if deaf else 1] += 1
    answer = completeness(some, holes, at(start), at(start + length))
    assert told(answer) == pytest.approx(tuple(counted))


intervals = st.lists(
    st.tuples(instants, instants).map(lambda two: (at(min(two)), at(max(two)))), max_size=8
).map(union)


@given(intervals, intervals)
def test_common_and_without_are_all_of_it(
    one: list[tuple[datetime, datetime]], other: list[tuple[datetime, datetime]]
) -> None:
    both, rest = common(one, other), without(one, other)
    assert union([*both, *rest]) == one
    assert common(both, rest) == []
    assert seconds(both) + seconds(rest) == pytest.approx(seconds(one))
