"""Rising hashtags against answers that were worked out by other means.

The numbers of the first tests are from sums of the distribution's terms with forty digits; those of the last
follow from the formulas in `serve.ask.rising` by hand, for a world in which nothing but one thing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient
from tests.support import consolidate, new_lake, post, put, user

from bemtevi.lake.gap import Cause, ended, new_gap, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules
from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.ask import rising
from bemtevi.serve.ask.steps import hour_of_week
from bemtevi.serve.snapshot import Snapshots

BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)
PAST = 40
HOUR = BEGIN + timedelta(hours=PAST)
ZONE = ZoneInfo("America/Sao_Paulo")
TAGS = ("calmo", "sobe", "nova", "spam")
WHOLE = {HOUR - timedelta(hours=age): 1.0 for age in range(28 * 24 + 1)}


def weighted(oldest: int) -> float:
    """The hours before the guard, each by 2^(-age / 72 h)."""
    return sum(2 ** (-age / 72) for age in range(rising.GUARD_HOURS + 1, oldest + 1))


def row(hashtag: str, posts: int, *, a_hour: float = 2, authors: int = 9) -> dict[str, Any]:
    """A hashtag that had so many posts in each of the 672 hours before."""
    level = a_hour * weighted(28 * 24)
    return {"hashtag": hashtag, "posts": posts, "authors": authors, "level": level, "first_hour": None}


def scored(*rows: dict[str, Any], heard: dict[datetime, float] = WHOLE) -> list[dict[str, Any]]:
    """In a world without seasons."""
    return rising.score(rows, HOUR, heard, {}, ZONE, 10)


@pytest.mark.parametrize(
    ("exposure", "expected", "surprise", "lift"),
    [(1.0, 1.98385991, 6.77569470, 4.05414118), (0.5, 0.99192995, 10.97953189, 4.87367057)],
)
def test_a_burst_has_the_known_surprise(
    exposure: float, expected: float, surprise: float, lift: float
) -> None:
    """Twenty posts where two an hour were; and the same in half an hour that was heard."""
    (found,) = scored(row("a", 20), heard=WHOLE | {HOUR: exposure})
    assert found["expected"] == pytest.approx(expected, rel=1e-6)
    assert found["surprise"] == pytest.approx(surprise, rel=1e-6)
    assert found["lift"] == pytest.approx(lift, rel=1e-6)
    assert found["lift_low"] < found["lift"] < found["lift_high"]
    assert found["exposure"] == exposure
    assert found["new"] is False


def test_the_season_is_in_what_is_expected() -> None:
    """An hour of the week with twice as many posts expects twice as many."""
    (plain,) = scored(row("a", 20))
    heard = {at: 1.0 for at in WHOLE if hour_of_week(at, ZONE) != hour_of_week(HOUR, ZONE)}
    weights = {hour_of_week(HOUR, ZONE): 2.0}
    (seasonal,) = rising.score([row("a", 20)], HOUR, heard | {HOUR: 1.0}, weights, ZONE, 10)
    assert seasonal["expected"] == pytest.approx(2 * plain["expected"], rel=0.02)
    assert seasonal["surprise"] == pytest.approx(3.609, rel=0.02)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (row("a", 2), "as many as expected"),
        (row("a", 2, a_hour=0), "fewer posts than three"),
        (row("a", 20, authors=2), "fewer authors than three"),
        (row("a", 10, a_hour=20), "it falls"),
    ],
)
def test_what_does_not_rise(one: dict[str, Any], why: str) -> None:
    assert scored(one) == [], why


def test_an_hour_that_was_hardly_heard_tells_nothing() -> None:
    assert scored(row("a", 200), heard=WHOLE | {HOUR: 0.2}) == []


def test_a_new_hashtag_is_held_against_other_new_ones() -> None:
    """The median new hashtag had one post: twenty are a surprise of 3.96; where it had twenty, none."""
    one = row("a", 20, a_hour=0) | {"first_hour": 1.0}
    (found,) = scored(one)
    assert found["surprise"] == pytest.approx(3.95772355, rel=1e-6)
    assert (found["new"], found["lift"]) == (True, None)
    assert scored(one | {"first_hour": 20.0}) == []


def test_most_that_rise_by_chance_are_left_out() -> None:
    """Benjamini and Hochberg: one at 1.3 passes among few, and not among a hundred that did nothing."""
    number = next(n for n in range(3, 30) if 10 ** -_surprise(n) < 0.05)
    few = [row("rises", number), row("b", 2)]
    assert [one["hashtag"] for one in scored(*few)] == ["rises"]
    assert scored(row("rises", number), *(row(f"quiet{n}", 2) for n in range(100))) == []


def _surprise(posts: int) -> float:
    """By the terms of the distribution, one after the other."""
    past = weighted(28 * 24)
    shape = 0.5 + 2 * past
    mean, size = shape / (1 + past), 1 / (1 / shape + 1 / rising.PHI)
    term, below = (size / (size + mean)) ** size, 0.0
    for number in range(posts):
        below += term
        term *= mean / (size + mean) * (number + size) / (number + 1)
    return -math.log10(1 - below)


# --- from messages to the answer


def posts_of(hour: int, hashtag: str, count: int, authors: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        author = f"{hashtag}{number % authors}"
        second = hour * 3600 + int((number + 0.5) * 3600 / count) + TAGS.index(hashtag)  # each its own id
        line = post(second, f"um #{hashtag}", author_id=author)
        yield line | {"includes": {"users": [user(author)]}}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Forty hours in which nothing happens, and one in which something does."""
    made = new_lake(tmp_path_factory.mktemp("rising"))
    lines = [
        line
        for hour in range(PAST)
        for tag, count in (("calmo", 3), ("sobe", 2))
        for line in posts_of(hour, tag, count, 3)
    ]
    last = (("calmo", 3, 3), ("sobe", 25, 9), ("nova", 30, 30), ("spam", 30, 1))
    lines += [line for tag, count, authors in last for line in posts_of(PAST, tag, count, authors)]
    put(made, lines, received_at=HOUR + timedelta(hours=1))
    consolidate(made)
    return made


def asked(lake: Lake) -> list[dict[str, Any]]:
    with Snapshots(lake, memory_limit="512MB", sql_memory_limit="256MB", threads=1) as snapshots:
        client = TestClient(create_app(snapshots, Access(None)), base_url="http://127.0.0.1")
        period = {"from": BEGIN.isoformat(), "to": (HOUR + timedelta(hours=1)).isoformat()}
        answer = client.get("/api/v1/rising", params=period)
        assert answer.status_code == 200, answer.text
        assert answer.json()["meta"]["hour"] == HOUR.isoformat().replace("+00:00", "Z")
        return list(answer.json()["data"])


def test_messages_become_the_known_answer(lake: Lake) -> None:
    found = {one["hashtag"]: one for one in asked(lake)}
    assert list(found) == ["sobe", "nova"]
    past = weighted(PAST)
    assert found["sobe"]["expected"] == pytest.approx((0.5 + 2 * past) / (1 + past), rel=0.02)
    assert (found["sobe"]["posts"], found["sobe"]["authors"]) == (25, 9)
    assert found["nova"]["new"] is True


def test_half_an_hour_that_was_not_heard_halves_what_is_expected(lake: Lake, tmp_path: Path) -> None:
    change_rules(lake, "x", add=("#sobe",), now=BEGIN)
    write_gaps(lake, [ended(gap, BEGIN, BEGIN) for gap in read_gaps(lake)])
    before = {one["hashtag"]: one for one in asked(lake)}["sobe"]
    half = new_gap("x", Cause.DISCONNECTED, HOUR, listener="test", now=HOUR)
    write_gaps(lake, [ended(half, HOUR + timedelta(minutes=30), HOUR)])
    after = {one["hashtag"]: one for one in asked(lake)}["sobe"]
    assert before["exposure"] == pytest.approx(1, abs=0.05)
    assert after["exposure"] == pytest.approx(0.5, abs=0.05)
    assert after["expected"] == pytest.approx(before["expected"] / 2, rel=0.06)
    assert after["surprise"] > before["surprise"] + 2
