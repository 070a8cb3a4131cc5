"""The budget at work over a lake: what is written, what is pending, what X counts, and a new day."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.scripted import Reply, scripted
from tests.support import eventually, new_lake, post, put

from bemtevi.errors import NetworkError
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.sample import note_shares, shares
from bemtevi.listen import meter, x_usage
from bemtevi.listen.budget import Limits
from bemtevi.listen.budget_guard import BudgetGuard
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.message import Messages, Origin, Shaped, commit, shape
from bemtevi.listen.x_client import XClient
from bemtevi.listen.x_usage import Usage

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.at = NOON
        self.seconds = 0.0

    def go(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds


class Life:
    """One process of a listener, as far as the budget sees it."""

    def __init__(self, folder: Path, clock: Clock, limits: Limits, usage: Usage | None = None) -> None:
        self.clock = clock
        self.lake = new_lake(folder)
        self.layout = JournalLayout(folder / "journal", "x")
        self.layout.folder.mkdir(parents=True, exist_ok=True)
        self.usage: Usage | NetworkError = usage or Usage()
        self.guard = BudgetGuard(
            limits,
            self.lake,
            self.layout,
            "x",
            ask=self.ask,
            now=lambda: clock.at,
            steady=lambda: clock.seconds,
        )
        self.guard.begin()

    def ask(self) -> Usage:
        if isinstance(self.usage, NetworkError):
            raise self.usage
        return self.usage

    def shaped(self, *numbers: int) -> Shaped:
        payloads = [json.dumps(post(number)).encode() for number in numbers]
        at = int(self.clock.at.timestamp() * 1_000_000)
        origin = Origin("x", "test", "stream", f"{self.clock.at}")
        return shape(
            [Messages(origin, payloads, [at] * len(payloads), range(len(payloads)))], EnvelopeReader()
        )

    def write(self, segment: int, *numbers: int, told: bool = True) -> None:
        shaped = self.shaped(*numbers)
        commit(self.lake, shaped, ("listener", segment))
        if told:
            self.guard.wrote(segment, shaped)


def limits(daily: int | None = None, monthly: int | None = None, *, slows: bool = False) -> Limits:
    return Limits(daily, monthly, 0.005, slows)


def test_what_is_not_written_yet_counts_as_new(tmp_path: Path) -> None:
    life = Life(tmp_path, Clock(), limits(daily=5))
    assert life.guard.look(4).today == 4
    assert life.guard.reason(4) is None
    assert life.guard.reason(5) is not None
    life.write(0, 1, 1, 1, 2)  # of five messages four are written: two posts
    state = life.guard.look(5)
    assert (state.today, state.verdict.spent) == (3, None)


def test_the_count_outlives_a_kill_between_the_commit_and_the_file(tmp_path: Path) -> None:
    clock = Clock()
    life = Life(tmp_path, clock, limits())
    life.write(0, 1, 2)
    life.write(1, 3, told=False)  # killed here
    assert Life(tmp_path, clock, limits()).guard.look(0).today == 3
    life.layout.read_posts.unlink()
    assert Life(tmp_path, clock, limits()).guard.look(0).month == 3


def test_what_a_former_process_left_in_the_journal_does_not_hide_what_is_pending(tmp_path: Path) -> None:
    clock = Clock()
    first = Life(tmp_path, clock, limits())
    first.layout.segment(0).write_bytes(b"waits")
    life = Life(tmp_path, clock, limits())
    life.write(0, 1, 2, 3)
    assert life.guard.look(4).today == 3 + 4


def test_a_limit_holds_over_restarts_and_ends_with_the_day(tmp_path: Path) -> None:
    clock = Clock()
    Life(tmp_path, clock, limits(daily=3)).write(0, 1, 2, 3)
    life = Life(tmp_path, clock, limits(daily=3, monthly=5))
    assert "3 posts a day is reached; reading goes on at 2026-11-25 00:00 UTC" in str(life.guard.reason(0))
    clock.go(12 * 3600)
    assert life.guard.reason(0) is None
    life.write(1, 1, 2)  # read again on another day: billed again
    assert "5 posts a month" in str(life.guard.reason(2))
    clock.at = datetime(2026, 12, 1, tzinfo=UTC)
    assert life.guard.reason(2) is None
    assert life.guard.look(2).month == 0


def test_x_counts_what_others_read_as_well(tmp_path: Path) -> None:
    day = date(2026, 11, 24)
    life = Life(tmp_path, Clock(), limits(daily=100, monthly=1_000), Usage(900, 3_000_000, 1, {day: 50}))
    life.write(0, 1, 2)
    life.guard.look(2)
    life.guard.ask_now()
    state = life.guard.look(2)
    assert (state.today, state.month) == (50, 900)
    life.write(1, 3)
    assert life.guard.look(3).month == 901  # what we read since is added to what X counted then
    assert life.guard.look(103).verdict.spent is not None
    life.usage = NetworkError("away")
    life.guard.ask_now()
    assert life.guard.look(3).month == 901
    life.clock.at = datetime(2026, 12, 1, tzinfo=UTC)
    state = life.guard.look(3)
    assert (state.today, state.month, state.verdict.spent) == (0, 0, None)  # X's count of November is over


def test_the_month_is_xs_where_x_tells_it(tmp_path: Path) -> None:
    life = Life(tmp_path, Clock(), limits(monthly=10), Usage(0, None, 25, {}))
    put(life.lake, [post(1)], received_at=NOON - timedelta(days=10))
    life.guard.ask_now()
    assert life.guard.look(10).verdict.spent is not None
    spent = life.guard.look(10).verdict.spent
    assert spent is not None
    assert spent.ends_at == datetime(2026, 11, 25, tzinfo=UTC)


def test_it_slows_and_stops(tmp_path: Path) -> None:
    """Ten posts a second, and 100,000 a day: at noon they would not last."""
    clock = Clock()
    life = Life(tmp_path, clock, limits(daily=100_000, slows=True))
    seen, acknowledged, restarted = set[int](), 0.0, 100
    while life.guard.reason(int(acknowledged)) is None:
        if life.guard.percent < min(seen, default=100):  # kept at once: a restart goes on with it
            restarted = Life(tmp_path, clock, limits(daily=100_000, slows=True)).guard.percent
        seen.add(life.guard.percent)
        acknowledged += 10 * 10 * life.guard.percent / 100
        clock.go(10)
        assert clock.at < NOON + timedelta(hours=12, minutes=1)
        if clock.at >= NOON + timedelta(hours=12):
            break
    assert {100, 50} <= seen
    assert restarted == min(seen)
    assert 80_000 < acknowledged <= 100_000


def test_it_begins_as_slow_as_it_ended_until_x_has_said_what_it_counts(tmp_path: Path) -> None:
    life = Life(tmp_path, Clock(), limits(daily=100_000, slows=True))
    meter.write_file(life.layout.read_posts, meter.Meter(), 5)
    said = threading.Event()

    def ask() -> Usage:
        said.wait(20)
        raise NetworkError("X is away.")

    guard = BudgetGuard(
        limits(daily=100_000, slows=True), life.lake, life.layout, "x", ask=ask, now=lambda: NOON
    )
    guard.begin()
    guard.keep_asking()
    assert guard.look(0).verdict.percent == guard.percent == 5
    said.set()
    eventually(lambda: guard.look(0).verdict.percent == 100)


def test_shares_are_written_when_they_change(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    assert note_shares(lake, "x", {"a": 100, "b": 100}, slowed=False, now=NOON) == {}
    assert shares(lake, "x") == {}
    assert note_shares(lake, "x", {"a": 25, "b": 10}, slowed=False, now=NOON) == {"a": 25, "b": 10}
    assert note_shares(lake, "x", {"a": 25, "b": 10}, slowed=True, now=NOON + timedelta(hours=1)) == {}
    later = NOON + timedelta(hours=2)
    assert note_shares(lake, "x", {"a": 100, "b": 10, "c": 100}, slowed=False, now=later) == {"a": 100}
    assert shares(lake, "x") == {"a": 100, "b": 10}
    assert shares(lake, "mastodon") == {}


def test_usage_is_read_whatever_its_shape() -> None:
    listed = [{"date": "2026-11-24T00:00:00.000Z", "usage": "5"}, {"date": "x"}, 1]
    body = {
        "data": {
            "cap_reset_day": 7,
            "project_cap": "3000000",
            "project_usage": 12,
            "daily_project_usage": {"usage": listed},
        }
    }
    with scripted(lambda _: Reply(body)) as server, XClient("any", server.url) as client:
        assert x_usage.ask(client) == Usage(12, 3_000_000, 7, {date(2026, 11, 24): 5})
    odd_data = {"cap_reset_day": 99, "project_usage": "many", "project_cap": True}
    bodies: list[dict[str, Any]] = [{}, {"data": []}, {"data": odd_data}]
    for odd in bodies:
        assert x_usage.read(odd) == Usage()
