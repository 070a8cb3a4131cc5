"""Until when nothing is missing: never later than the truth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.listen.hearing import MARGIN_SECONDS, MOST_BEHIND_SECONDS, Hearing

BEGAN = 1_700_000_000.0


def looked_at(*samples: tuple[float, int, float | None]) -> Hearing:
    """A connection, looked at after so many seconds: so much heard, newest post so many seconds after it."""
    hearing = Hearing.of(BEGAN)
    for after, heard, latest in samples:
        hearing.sample(BEGAN + after, heard, None if latest is None else BEGAN + latest)
    return hearing


def test_what_came_between_two_looks_counts_from_the_first() -> None:
    hearing = looked_at((10, 1, 10), (20, 2, 20), (30, 2, 20))
    assert hearing.until() == BEGAN + 10 - MARGIN_SECONDS
    assert hearing.changed_at == BEGAN + 20


def test_a_stream_that_is_behind_may_have_kept_back_as_much() -> None:
    assert looked_at((100, 1, 40), (101, 2, 41)).until() == BEGAN + 100 - 60 - MARGIN_SECONDS


@pytest.mark.parametrize("latest", [None, 500.0, 100.0 - MOST_BEHIND_SECONDS - 1])
def test_a_clock_s_error_or_a_replay_is_not_behind(latest: float | None) -> None:
    assert looked_at((100, 1, latest), (101, 2, latest)).until() == BEGAN + 100 - MARGIN_SECONDS


def test_what_is_not_durable_is_not_there() -> None:
    assert looked_at((100, 1, 100), (101, 2, 101)).until(BEGAN + 50) == BEGAN + 50 - MARGIN_SECONDS


def test_nothing_is_known_of_the_time_before_it() -> None:
    assert looked_at((1, 1, -50)).until() == BEGAN


@given(
    st.lists(st.tuples(st.floats(0.001, 5), st.floats(0, 3)), min_size=1, max_size=50),
    st.integers(0, 60),
)
def test_every_post_before_it_has_come(deliveries: list[tuple[float, float]], lost: int) -> None:
    """Posts come in order, each some time after it was written; the last ones are lost."""
    posts = []
    at = 0.0
    arrives = 0.0
    for apart, delay in deliveries:
        at += apart
        arrives = max(arrives, at + delay)
        posts.append((at, arrives))
    came = posts[: len(posts) - min(lost, len(posts))]
    ended = arrives + 0.1
    hearing = Hearing.of(BEGAN)
    look = 0.0
    while look < ended:
        look = min(look + 0.25, ended)
        so_far = [written for written, arrived in came if arrived <= look]
        hearing.sample(BEGAN + look, len(so_far), BEGAN + so_far[-1] if so_far else None)
    missing = [written for written, _ in posts[len(came) :]]
    if missing and came:
        assert hearing.until() <= BEGAN + missing[0]
