"""Rows in a steady flow: one commit each, files of one hour, statistics that can be trusted, merges."""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from tests.support import new_lake, put

from bemtevi.errors import ConflictError, StorageError
from bemtevi.lake.append import Appender
from bemtevi.lake.raw import FILES_BY, RAW
from bemtevi.lake.table import Table
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.message import Messages, Origin, shape

START = datetime(2026, 11, 24, 22, 59, 59, tzinfo=UTC)


def rows(first: int, count: int, at: datetime = START, step: float = 0.0) -> pa.Table:
    lines = [
        json.dumps({"data": {"id": str(1 << 61 | number), "text": f"texto {number}"}}).encode()
        for number in range(first, first + count)
    ]
    when = int(at.timestamp() * 1e6)
    received = [when + int(number * step * 1e6) for number in range(count)]
    origin = Origin("x", "host", "stream", "s")
    return shape([Messages(origin, lines, received, range(first, first + count))], EnvelopeReader()).raw


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return new_lake(tmp_path).table(RAW)


def append(appender: Appender, number: int, *parts: pa.Table) -> list[str]:
    addition = appender.begin()
    for part in parts:
        addition.add(part)
    appender.commit(addition, ("listener", number))
    return [path for _, path, _ in addition.written()]


def held(table: Table) -> pa.Table:
    return table.read().sort_by("sequence")


def test_what_is_appended_is_read_by_all_readers(table: Table) -> None:
    appender = Appender(table, FILES_BY)
    assert appender.transaction("listener") == -1
    append(appender, 3, rows(0, 10), rows(10, 10))
    assert appender.transaction("listener") == 3
    assert held(table).equals(pa.concat_tables([rows(0, 10), rows(10, 10)]).combine_chunks())
    files = table.snapshot().files
    (count,) = duckdb.execute("select count(distinct payload) from read_parquet(?)", [files]).fetchone() or ()
    assert count == 20
    assert DeltaTable(table.uri).to_pyarrow_table().num_rows == 20


def test_a_commit_without_rows_keeps_its_number(table: Table) -> None:
    appender = Appender(table, FILES_BY)
    append(appender, 5)
    assert (Appender(table, FILES_BY).transaction("listener"), table.read().num_rows) == (5, 0)


def test_a_file_never_spans_two_hours(table: Table) -> None:
    paths = append(Appender(table, FILES_BY), 0, rows(0, 5, step=0.5), rows(5, 5, START + timedelta(hours=2)))
    assert sorted(path.split("/")[0] for path in paths) == [
        "received_date=2026-11-24",
        "received_date=2026-11-24",
        "received_date=2026-11-25",
    ]
    for path in paths:
        assert len(set(pq.read_table(f"{table.uri}/{path}")["received_hour"].to_pylist())) == 1
    assert held(table)["sequence"].to_pylist() == list(range(10))


def test_statistics_are_what_the_library_would_have_written(table: Table, tmp_path: Path) -> None:
    made = rows(0, 50, datetime(2026, 11, 24, 12, tzinfo=UTC), step=0.25)
    append(Appender(table, FILES_BY), 0, made)
    other = new_lake(tmp_path / "other").table(RAW)
    other.append(made)
    ours, theirs = (
        pa.table(DeltaTable(one.uri).get_add_actions(flatten=True)).to_pylist()[0] for one in (table, other)
    )
    for one in (ours, theirs):
        for name in ("path", "size_bytes", "modification_time"):
            del one[name]
    assert ours == theirs
    log = Path(table.uri, "_delta_log", f"{table.version():020d}.json").read_text()
    assert "texto" not in log, "what people wrote must not stand in the log"


def test_files_are_found_by_their_statistics(table: Table) -> None:
    appender = Appender(table, FILES_BY)
    append(appender, 0, rows(0, 5))
    (late,) = append(appender, 1, rows(5, 5, START + timedelta(hours=3)))
    assert table.files(table.version(), "received_at >= '2026-11-25T01:00:00Z'") == [f"{table.uri}/{late}"]


def test_large_additions_have_row_groups_of_bounded_bytes(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.lake.parquet_file.ROW_GROUP_BYTES", 20_000)
    parts = [rows(first, 50) for first in range(0, 1_000, 50)]
    (path,) = append(Appender(table, FILES_BY), 0, *parts)
    assert pq.read_metadata(f"{table.uri}/{path}").num_row_groups > 3
    assert held(table)["sequence"].to_pylist() == list(range(1_000))


def test_what_is_abandoned_leaves_no_file(table: Table) -> None:
    appender = Appender(table, FILES_BY)
    append(appender, 0, rows(0, 1))
    addition = appender.begin()
    addition.add(rows(1, 5))
    addition.abandon()
    assert len(list(Path(table.uri).rglob("*.parquet"))) == 1


def test_two_writers_of_one_table_both_succeed(table: Table, tmp_path: Path) -> None:
    """An import writes while the listener does, and the listener's table is open since before."""
    appender = Appender(table, FILES_BY)
    append(appender, 0, rows(0, 5))
    put(new_lake(tmp_path), [{"data": {"id": "1", "text": "a"}}], session="import")
    append(appender, 1, rows(5, 5))
    assert table.read().num_rows == 11


def test_merging_changes_nothing_that_is_said(table: Table) -> None:
    appender = Appender(table, FILES_BY)
    paths = [append(appender, number, rows(number * 3, 3))[0] for number in range(20)]
    before, version = held(table), table.version()
    appender.merge(paths)
    assert held(table).equals(before)
    assert len(table.snapshot().files) == 1
    assert len(table.snapshot(version).files) == 20, "who reads an earlier version still can"
    (commit,) = table.commits(version, table.version())
    assert commit.files == [], "a merge brings nothing new"
    append(appender, 20, rows(60, 1))
    assert appender.transaction("listener") == 20
    with pytest.raises(ConflictError):
        appender.merge(paths)  # somebody else has merged them


def test_small_files_are_told_apart_by_hour(table: Table) -> None:
    appender = Appender(table, FILES_BY)
    append(appender, 0, rows(0, 4, step=0.5))
    append(appender, 1, rows(4, 1))
    assert sorted(key for key, _, _ in appender.small_files()) == [
        ("2026-11-24", "22"),
        ("2026-11-24", "22"),
        ("2026-11-24", "23"),
    ]


def test_a_table_that_went_away_is_not_made_again(table: Table, tmp_path: Path) -> None:
    appender = Appender(table, FILES_BY)
    append(appender, 0, rows(0, 5))
    shutil.move(table.uri, tmp_path / "away")
    with pytest.raises(StorageError, match="not there any more"):
        append(appender, 1, rows(5, 5))
    assert not Path(table.uri).exists()
    shutil.move(tmp_path / "away", table.uri)
    append(appender, 1, rows(5, 5))
    assert table.read().num_rows == 10


def test_random_flows_and_merges_keep_every_row_once(table: Table) -> None:
    chance = random.Random(7)
    appender = Appender(table, FILES_BY)
    first = 0
    for number in range(30):
        parts = []
        for _ in range(chance.randrange(4)):
            count = chance.randrange(1, 20)
            parts.append(
                rows(first, count, START + timedelta(minutes=7 * number), step=chance.choice((0, 9.0)))
            )
            first += count
        append(appender, number, *parts)
        by_hour: dict[tuple[str, ...], list[str]] = {}
        for key, path, _ in appender.small_files():
            by_hour.setdefault(key, []).append(path)
        for paths in by_hour.values():
            if len(paths) > 1 and chance.random() < 0.3:
                appender.merge(paths)
    assert held(table)["sequence"].to_pylist() == list(range(first))
