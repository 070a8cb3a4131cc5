"""The writer: several segments in one commit, each once, whatever was cut short before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import new_lake

from bemtevi.errors import StorageError
from bemtevi.lake.append import Addition, Appender
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.listen import segment
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import Messages, Origin, Shaped, committed
from bemtevi.listen.writer import Writer, rest_seconds
from bemtevi.settings import Settings

ORIGIN = Origin("x", "host", "stream", "s")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return new_lake(tmp_path)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(JournalLayout(tmp_path / "journal", "x"), "/lake", Limits(0.01, 1 << 20, 3600))
    journal.start(-1)
    yield journal
    journal.close()
    journal.release()


def seal(journal: Journal, number: int) -> None:
    """A segment of two messages, of which one cannot be read."""
    lines = [b'{"data":{"id":"%d","text":"a"}}' % number, b"not json %d" % number]
    block = Messages(ORIGIN, lines, [1_795_541_216_000_000 + number] * 2, [2 * number, 2 * number + 1])
    journal.layout.segment(number).write_bytes(segment.encode(block))


def sequences(lake: Lake) -> tuple[list[int], list[int]]:
    raw, quarantine = (
        sorted(lake.table(table).read()["sequence"].to_pylist()) for table in (RAW, QUARANTINE)
    )
    return raw, quarantine


def test_what_waits_becomes_one_commit_and_its_number_is_the_last(lake: Lake, journal: Journal) -> None:
    for number in range(5):
        seal(journal, number)
    writer = Writer(lake, journal)
    writer.write_sealed()
    assert sequences(lake) == ([0, 2, 4, 6, 8], [1, 3, 5, 7, 9])
    assert committed(lake, journal.listener) == 4
    assert lake.table(RAW).version() == 1, "one commit"
    assert journal.layout.segments() == []
    assert (writer.count.messages, writer.count.raw, writer.count.quarantined) == (10, 5, 5)


def test_large_backlogs_are_written_in_bounded_parts(
    lake: Lake, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        seal(journal, number)
    size = journal.layout.segment(0).stat().st_size
    monkeypatch.setattr("bemtevi.listen.writer.GROUP_BYTES", 2 * size)
    Writer(lake, journal).write_sealed()
    assert lake.table(RAW).version() == 3
    assert sequences(lake) == ([0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11])


def test_a_commit_cut_short_between_the_tables_is_ended_once_with_more_segments(
    lake: Lake, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quarantine has 0 and 1; the next attempt brings 0 to 3 in one commit."""
    seal(journal, 0)
    seal(journal, 1)
    real = Appender.commit

    def fail(self: Appender, addition: Addition, transaction: tuple[str, int]) -> None:
        if self.table.definition is RAW:
            raise StorageError("away")
        real(self, addition, transaction)

    with monkeypatch.context() as patch:
        patch.setattr(Appender, "commit", fail)
        with pytest.raises(StorageError):
            Writer(lake, journal).write_sealed()
    assert sequences(lake) == ([], [1, 3])
    seal(journal, 2)
    seal(journal, 3)
    Writer(lake, journal).write_sealed()
    assert sequences(lake) == ([0, 2, 4, 6], [1, 3, 5, 7])


def test_committed_and_not_dropped_is_dropped(lake: Lake, journal: Journal) -> None:
    for number in range(3):
        seal(journal, number)
    kept = journal.layout.segment(1).read_bytes()
    Writer(lake, journal).write_sealed()
    journal.layout.segment(1).write_bytes(kept)  # a kill came before it was dropped
    seal(journal, 3)
    Writer(lake, journal).write_sealed()
    assert sequences(lake) == ([0, 2, 4, 6], [1, 3, 5, 7])
    assert journal.layout.segments() == []


def test_a_segment_of_the_first_version_reaches_layer_1(lake: Lake, journal: Journal) -> None:
    recorded = Path(__file__).parents[1] / "unit" / "segments" / "bmt1.segment"
    journal.layout.segment(7).write_bytes(recorded.read_bytes())
    Writer(lake, journal).write_sealed()
    assert sequences(lake) == ([0], [1, 2, 3])
    assert committed(lake, journal.listener) == 7


def test_who_counts_is_told_of_each_segment_once_and_only_of_what_is_there(
    lake: Lake, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int, list[str | None], list[str | None]]] = []

    def wrote(number: int, shaped: Shaped) -> None:
        raw = shaped.raw.to_pydict()
        told.append((number, shaped.count.messages, raw["key"], raw["payload"]))

    page = b'{"data":[{"id":"8","text":"a"},{"id":"9","text":"b"}]}'
    seal(journal, 0)
    block = Messages(ORIGIN, [page], [1_795_541_216_000_009], [9])
    journal.layout.segment(1).write_bytes(segment.encode(block))
    with monkeypatch.context() as patch:
        patch.setattr(Appender, "commit", lambda *_: (_ for _ in ()).throw(StorageError("away")))
        with pytest.raises(StorageError):
            Writer(lake, journal, wrote).write_sealed()
    assert told == []
    Writer(lake, journal, wrote).write_sealed()
    assert told == [(0, 2, ["0"], [None]), (1, 1, [None], [page.decode()])]


@pytest.mark.parametrize("overhead", [0.001, 0.02, 0.05, 0.08])
def test_a_segment_is_not_kept_waiting_by_the_rest_after_the_one_before(overhead: float) -> None:
    assert overhead + rest_seconds(overhead) <= Settings.model_fields["segment_seconds"].default
    assert rest_seconds(overhead) >= 9 * overhead


def test_a_slow_log_gets_a_tenth_of_the_time_at_most() -> None:
    assert rest_seconds(0.5) == 4.5
