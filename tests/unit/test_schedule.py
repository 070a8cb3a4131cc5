"""When to connect again: X's documented schedule, and never more connects than X allows."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.listen.network import End, Outcome
from bemtevi.listen.schedule import CONNECTS, MARGIN_SECONDS, STOOD_SECONDS, WINDOW_SECONDS, Schedule

WALL = 1_700_000_000.0


def waits(*outcomes: Outcome, lasting: float = 0.0) -> list[float]:
    """The waits after each outcome, of connections that lasted so long."""
    schedule = Schedule()
    now = 1_000.0
    found = []
    for outcome in outcomes:
        schedule.connected(now)
        now += lasting
        wait = schedule.wait(outcome, now, WALL + now)
        found.append(wait)
        now += wait
    return found


UNSEEN = Outcome(End.UNREACHABLE, reached=False)


def simulated(outcomes: list[tuple[Outcome, float]]) -> list[float]:
    """The times of the connects, for outcomes and how long each connection lasted."""
    schedule = Schedule()
    now = 0.0
    connects = []
    for outcome, lasted in outcomes:
        connects.append(now)
        schedule.connected(now)
        now += lasted
        wait = schedule.wait(outcome, now, WALL + now)
        assert wait >= 0
        now += wait
    return connects


def most_in_a_window(connects: list[float]) -> int:
    """The most connects in any 15 minutes (half-open, less what rounding takes)."""
    most = first = 0
    for last, at in enumerate(connects):
        while connects[first] <= at - WINDOW_SECONDS + 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_network_errors_wait_a_quarter_second_more_each_time_up_to_16_seconds() -> None:
    found = waits(*[UNSEEN] * 80)
    assert found[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(after - before in (0.25, 0.0) for before, after in pairwise(found))
    assert found[63:] == [16.0] * 17


def test_an_attempt_that_the_server_saw_counts_and_one_that_it_did_not_does_not() -> None:
    assert waits(*[UNSEEN] * 80)[-1] == 16.0
    assert max(waits(*[Outcome(End.UNREACHABLE)] * 80)) > 16.0


@pytest.mark.parametrize("end", [End.SERVER_ERROR, End.FOREIGN, End.TOO_MANY_CONNECTIONS])
def test_http_errors_double_from_5_to_320_seconds(end: End) -> None:
    found = waits(*[Outcome(end)] * 9)
    assert found == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 320.0, 320.0]


def test_rate_limits_double_from_a_minute() -> None:
    assert waits(*[Outcome(End.RATE_LIMITED)] * 6) == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0]


def limited(seconds: float) -> Outcome:
    """A 429 that names a time so many seconds after the connect at 1,000."""
    return Outcome(End.RATE_LIMITED, retry_at=WALL + 1_000.0 + seconds)


def test_a_named_time_is_kept() -> None:
    assert waits(limited(333.0)) == [333.0]


@pytest.mark.parametrize("seconds", [-1e9, -1.0, 0.0, 0.5])
def test_a_named_time_that_is_past_is_no_licence_to_hammer(seconds: float) -> None:
    assert waits(*[limited(seconds)] * 3) == [1.0, 120.0, 240.0]


@pytest.mark.parametrize("seconds", [901.0, 1e9, float("inf")])
def test_a_named_time_beyond_the_window_is_a_clock_s_error(seconds: float) -> None:
    assert waits(limited(seconds)) == [WINDOW_SECONDS]


def test_a_cap_of_the_day_is_looked_at_again_each_hour_and_at_midnight() -> None:
    schedule = Schedule()
    midnight = 20_000 * 86_400.0
    for before, wait in ((7_200.0, 3_600.0), (3_600.0, 3_600.0), (600.0, 601.0)):
        schedule.connected(0.0)
        assert schedule.wait(Outcome(End.USAGE_CAPPED), 0.1, midnight - before) == wait


def test_what_stood_in_the_way_and_is_gone_is_tried_at_once_but_only_once() -> None:
    schedule = Schedule()
    found = []
    for number in range(3):
        schedule.connected(float(number))
        found.append(schedule.wait(Outcome(End.TOO_MANY_CONNECTIONS), number + 0.1, WALL, freed=True))
    assert found == [1.0, 10.0, 20.0]


def test_jitter_makes_a_wait_longer_by_a_tenth_at_most_and_is_the_same_for_the_same_seed() -> None:
    found = []
    for _ in range(2):
        schedule = Schedule(random.Random(7))
        schedule.connected(0.0)
        found.append([schedule.wait(Outcome(End.SERVER_ERROR), 0.1, WALL) for _ in range(7)])
    assert found[0] == found[1]
    plain = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0]
    assert all(least < wait <= least * 1.1 for least, wait in zip(plain, found[0], strict=True))


def test_connects_of_a_former_process_count() -> None:
    schedule = Schedule()
    schedule.remember([-10.0 - number for number in range(CONNECTS)])
    assert schedule.must_wait(0.0) == pytest.approx(WINDOW_SECONDS - 59.0, abs=1.5)
    later = Schedule()
    later.remember([-WINDOW_SECONDS - 10.0 - number for number in range(CONNECTS)])
    assert later.must_wait(0.0) == 0.0


@pytest.mark.parametrize("end", [End.CLOSED, End.NO_RULES, End.SILENT, End.DISCONNECTED, End.SLOW_READER])
def test_a_closed_connection_is_made_again_at_once_then_damped(end: End) -> None:
    assert waits(*[Outcome(end)] * 8) == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]


def test_a_connection_that_stood_is_made_again_at_once_with_or_without_messages() -> None:
    assert waits(*[Outcome(End.CLOSED, messages=1)] * 5) == [0.0] * 5
    assert waits(*[Outcome(End.CLOSED)] * 5, lasting=STOOD_SECONDS) == [0.0] * 5
    assert waits(*[Outcome(End.CLOSED)] * 3, lasting=STOOD_SECONDS - 1) == [0.0, 1.0, 2.0]


def test_success_in_between_begins_the_schedule_again() -> None:
    error, closed = Outcome(End.SERVER_ERROR), Outcome(End.CLOSED, messages=5)
    assert waits(error, error, closed, error, error) == [5.0, 10.0, 0.0, 5.0, 10.0]


def test_a_server_that_accepts_and_closes_for_an_hour() -> None:
    for messages in (0, 1):
        outcome = (Outcome(End.CLOSED, messages=messages), 0.01)
        connects = [at for at in simulated([outcome] * 400) if at <= 3_600]
        assert most_in_a_window(connects) <= CONNECTS
        assert len(connects) >= 3_600 / WINDOW_SECONDS * 40  # and it does not give up
        assert max(after - before for before, after in pairwise(connects)) < 25  # nor pause for long


outcomes = st.builds(
    Outcome,
    st.sampled_from([end for end in End if end not in (End.STOPPED, End.REFUSED, End.USAGE_CAPPED)]),
    messages=st.sampled_from([0, 0, 1, 1_000]),
    retry_at=st.none() | st.floats(WALL - 1e4, WALL + 1e4) | st.just(float("inf")),
)
lasting = st.sampled_from([0.0, 0.001, 0.5, 21.0, 60.0, 5_000.0])


@given(st.lists(st.tuples(outcomes, lasting), max_size=30).map(lambda some: some * 12))
def test_never_more_connects_than_allowed_and_never_asleep_for_longer_than_a_window(
    some: list[tuple[Outcome, float]],
) -> None:
    connects = simulated(some)
    assert most_in_a_window(connects) <= CONNECTS
    for (before, after), (_, lasted) in zip(pairwise(connects), some, strict=False):
        assert after - before - lasted <= WINDOW_SECONDS + MARGIN_SECONDS + 1e-6
