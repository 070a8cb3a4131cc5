"""The listener's ledger: every state is durable before anything else, and in layer 1 once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support import new_lake

from bemtevi.errors import CorruptionError, StorageError
from bemtevi.lake import local_ledger
from bemtevi.lake.gap import GAP, Cause, Gap, State, new_gap, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.local_ledger import known_gaps
from bemtevi.listen.ledger import Ledger
from bemtevi.listen.message import Origin

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ORIGIN = Origin("x", "api.x.com", "stream", "")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, time: timedelta) -> datetime:
        self.now += time
        return self.now


Begin = Callable[[], Ledger]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return new_lake(tmp_path)


@pytest.fixture
def layout(tmp_path: Path) -> JournalLayout:
    found = JournalLayout(tmp_path / "journal", "x")
    found.folder.mkdir(parents=True)
    return found


@pytest.fixture
def begin(lake: Lake, layout: JournalLayout, clock: Clock) -> Begin:
    """A ledger of a new process; what it sends, it sends when told."""

    def one() -> Ledger:
        ledger = Ledger(lake, layout, ORIGIN, "listener", clock)
        ledger._send = lambda: None  # type: ignore[method-assign]
        ledger._thread = threading.Thread(target=ledger._send)
        ledger.begin()
        return ledger

    return one


def pushed(ledger: Ledger, lake: Lake) -> list[Gap]:
    ledger.push()
    return read_gaps(lake)


def test_the_first_start_of_all_has_no_gap_of_all_rules(begin: Begin, lake: Lake) -> None:
    ledger = begin()
    assert not ledger.is_deaf
    assert pushed(ledger, lake) == []


def test_a_gap_begins_lasts_and_ends(begin: Begin, lake: Lake, clock: Clock) -> None:
    ledger = begin()
    ledger.deaf(Cause.DISCONNECTED, NOW - MINUTE, "why")
    clock.pass_by(MINUTE)
    (open_gap,) = pushed(ledger, lake)
    assert (open_gap.state, open_gap.started_at, open_gap.ended_at) == (State.OPEN, NOW - MINUTE, None)
    assert (open_gap.cause, open_gap.detail, open_gap.path) == (Cause.DISCONNECTED, "why", "stream")
    assert (open_gap.source, open_gap.rules) == ("api.x.com", ())
    ledger.hearing(NOW + MINUTE)
    (gap,) = pushed(ledger, lake)
    assert (gap.gap_id, gap.state, gap.ended_at) == (open_gap.gap_id, State.ENDED, NOW + MINUTE)
    assert lake.table(GAP).read().num_rows == 2


def test_its_cause_is_the_one_that_lasted_longest_and_all_are_told(
    begin: Begin, lake: Lake, clock: Clock
) -> None:
    ledger = begin()
    ledger.deaf(Cause.DISCONNECTED, NOW)
    ledger.deaf(Cause.UNREACHABLE, clock.pass_by(timedelta(seconds=1)))
    ledger.deaf(Cause.UNREACHABLE, clock.pass_by(timedelta(seconds=1)))
    ledger.deaf(Cause.RATE_LIMITED, clock.pass_by(5 * MINUTE))
    ledger.hearing(clock.pass_by(MINUTE))
    (gap,) = pushed(ledger, lake)
    assert gap.cause is Cause.UNREACHABLE
    assert gap.detail == "disconnected 1.0 s, unreachable 5 min, rate limited 60 s"
    assert (gap.started_at, gap.ended_at) == (NOW, clock.now)


def test_what_a_stopped_listener_left_lasts_until_the_next_hears(
    begin: Begin, lake: Lake, clock: Clock
) -> None:
    ledger = begin()
    ledger.hearing(NOW)
    ledger.deaf(Cause.STOPPED, NOW + MINUTE)  # and it could not be sent
    clock.pass_by(60 * MINUTE)
    again = begin()
    assert again.is_deaf
    again.hearing(clock.now)
    (gap,) = pushed(again, lake)
    assert (gap.cause, gap.started_at, gap.ended_at) == (Cause.STOPPED, NOW + MINUTE, clock.now)


def test_a_killed_listener_is_deaf_from_its_last_sign_of_life(begin: Begin, lake: Lake, clock: Clock) -> None:
    ledger = begin()
    ledger.hearing(NOW)
    for _ in range(5):
        ledger.beat(clock.pass_by(timedelta(seconds=1)))
    clock.pass_by(10 * MINUTE)
    (seen,) = known_gaps(lake, clock.now)  # by somebody who asks meanwhile
    assert (seen.cause, seen.started_at, seen.state) == (Cause.KILLED, NOW + timedelta(seconds=5), State.OPEN)
    again = begin()
    assert again.is_deaf
    again.hearing(clock.now)
    (gap,) = pushed(again, lake)
    assert (gap.gap_id, gap.started_at, gap.ended_at) == (seen.gap_id, seen.started_at, clock.now)


def test_a_listener_that_runs_is_not_taken_for_a_killed_one(begin: Begin, lake: Lake, clock: Clock) -> None:
    ledger = begin()
    ledger.hearing(NOW)
    ledger.beat(clock.pass_by(MINUTE))
    assert known_gaps(lake, clock.pass_by(timedelta(seconds=3))) == []


def test_who_is_killed_before_anything_was_heard_is_still_in_the_gap_before(
    begin: Begin, lake: Lake, clock: Clock
) -> None:
    ledger = begin()
    ledger.deaf(Cause.UNREACHABLE, NOW)
    clock.pass_by(MINUTE)
    again = begin()
    again.hearing(clock.now)
    (gap,) = pushed(again, lake)
    assert (gap.cause, gap.started_at, gap.ended_at) == (Cause.UNREACHABLE, NOW, clock.now)


def test_a_gap_that_another_listener_left_ends_when_this_one_hears(
    begin: Begin, lake: Lake, clock: Clock
) -> None:
    other = new_gap("x", Cause.STOPPED, NOW - MINUTE, path="search", listener="other", now=NOW - MINUTE)
    of_one_rule = new_gap("x", Cause.NOT_YET, NOW, rules=["t"], listener="track", now=NOW)
    write_gaps(lake, [other, of_one_rule])
    ledger = begin()
    ledger.hearing(clock.pass_by(MINUTE))
    found = {gap.gap_id: gap for gap in pushed(ledger, lake)}
    assert found[other.gap_id].ended_at == clock.now
    assert found[of_one_rule.gap_id].state is State.OPEN


def test_a_lake_that_is_away_loses_no_row_and_none_comes_twice(
    begin: Begin, lake: Lake, clock: Clock, tmp_path: Path
) -> None:
    ledger = begin()
    ledger.deaf(Cause.DISCONNECTED, NOW)
    ledger.push()
    (tmp_path / "lake").rename(tmp_path / "away")
    (tmp_path / "lake").write_text("in the way")
    ledger.hearing(clock.pass_by(MINUTE))
    for _ in range(2):
        with pytest.raises(StorageError):
            ledger.push()
    (tmp_path / "lake").unlink()
    (tmp_path / "away").rename(tmp_path / "lake")
    again = begin()  # killed meanwhile
    again.push()
    again.push()
    assert [row["state"] for row in lake.table(GAP).read().to_pylist()].count("ended") == 1


def test_rows_that_were_sent_by_a_killed_process_are_not_sent_again(
    begin: Begin, lake: Lake, layout: JournalLayout
) -> None:
    ledger = begin()
    ledger.deaf(Cause.DISCONNECTED, NOW)
    before = layout.ledger.read_bytes()
    ledger.push()
    layout.ledger.write_bytes(before)  # killed before anything was kept: it is sent under a new number
    kept = local_ledger.load(layout)
    assert kept is not None
    kept.sending, kept.waiting = kept.waiting, []  # killed after it was sent, before that was kept
    local_ledger.save(layout, kept)
    begin().push()
    assert lake.table(GAP).read().num_rows == 1


def test_what_was_sent_while_nothing_could_be_kept_takes_no_number_of_later_rows(
    begin: Begin, lake: Lake, layout: JournalLayout, clock: Clock
) -> None:
    """A full disk keeps an old state; the lake took rows meanwhile. The next row is no repetition of them."""
    ledger = begin()
    ledger.deaf(Cause.DISCONNECTED, NOW)
    before = layout.ledger.read_bytes()
    ledger.push()
    ledger.deaf(Cause.REFUSED, clock.pass_by(MINUTE))
    ledger.push()
    layout.ledger.write_bytes(before)  # nothing of this was kept
    again = begin()
    again.hearing(clock.pass_by(MINUTE))
    (gap,) = pushed(again, lake)
    assert (gap.state, gap.ended_at) == (State.ENDED, clock.now)
    rows = lake.table(GAP).read().to_pylist()
    assert len({(row["gap_id"], row["updated_at"]) for row in rows}) == len(rows) == 3


def test_connects_are_remembered_over_restarts(begin: Begin) -> None:
    ledger = begin()
    for number in range(60):
        ledger.connecting(1_000.0 + number)
    ledger.not_reached()
    ledger.connecting(2_000.0)
    assert list(begin().connects) == [*(1_000.0 + number for number in range(10, 59)), 2_000.0][-50:]


def test_a_damaged_file_is_told(begin: Begin, layout: JournalLayout) -> None:
    layout.ledger.write_bytes(b"{")
    with pytest.raises(CorruptionError, match="gaps"):
        begin()


def test_a_clock_that_goes_back_makes_no_row_older_than_the_one_before(
    begin: Begin, lake: Lake, clock: Clock
) -> None:
    ledger = begin()
    ledger.deaf(Cause.DISCONNECTED, NOW)
    ledger.hearing(clock.pass_by(-60 * MINUTE))
    (gap,) = pushed(ledger, lake)
    assert (gap.state, gap.ended_at) == (State.ENDED, NOW)
