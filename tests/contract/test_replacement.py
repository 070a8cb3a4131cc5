"""Rows in the place of files: seen at the commit alone, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from bemtevi.errors import ConflictError
from bemtevi.lake.definition import TIMESTAMP, Column, TableDefinition
from bemtevi.lake.replacement import Replacement
from bemtevi.lake.table import Table
from bemtevi.warehouse.writing import Writing

TAGS = pa.list_(pa.struct([("tag", pa.string())]))
DEFINITION = TableDefinition(
    name="thing",
    layer=2,
    grain="one thing",
    key=("number",),
    partition_by=("day",),
    columns=(
        Column("number", pa.int64(), "Its number.", distinct=True),
        Column("day", pa.date32(), "Its day."),
        Column("since", pa.date32(), "A date that is no partition."),
        Column("at", TIMESTAMP, "When."),
        Column("at_local", pa.timestamp("us"), "When, on a clock."),
        Column("text", pa.string(), "What somebody wrote.", private=True),
        Column("tags", TAGS, "Its tags.", private=True),
    ),
)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "a folder" / "thing"), DEFINITION, {}, {})


def rows(*numbers: int, day: int = 1) -> pa.Table:
    values = [
        {
            "number": number,
            "day": date(2026, 1, day),
            "since": date(2025, 1, day),
            "at": datetime(2026, 1, day, number % 24, tzinfo=UTC),
            "at_local": datetime(2026, 1, day, number % 24, tzinfo=UTC).replace(tzinfo=None),
            "text": f"texto {number}",
            "tags": [{"tag": "a"}, {"tag": None}] if number % 2 else None,
        }
        for number in numbers
    ]
    return pa.Table.from_pylist(values, schema=DEFINITION.schema)


def put(table: Table, replaced: list[str], *parts: pa.Table) -> Replacement:
    replacement = Replacement(table, replaced)
    replacement.write(pa.concat_tables([rows(), *parts]).to_reader())
    return replacement


def held(table: Table) -> pa.Table:
    return table.read().sort_by("number")


def parquet_files(table: Table) -> set[Path]:
    return set(Path(table.uri).rglob("*.parquet"))


def test_rows_are_seen_at_the_commit_alone(table: Table) -> None:
    replacement = put(table, [], rows(1, 2), rows(3, day=2))
    assert (held(table).num_rows, len(parquet_files(table))) == (0, 2)
    version = replacement.commit()
    assert version == table.version()
    assert held(table).equals(pa.concat_tables([rows(1, 2), rows(3, day=2)]).combine_chunks())


def test_files_are_replaced_and_others_stay(table: Table) -> None:
    put(table, [], rows(1, 2), rows(3, day=2)).commit()
    first = table.files(table.version(), "day = '2026-01-01'")
    assert len(first) == 1
    put(table, first, rows(7)).commit()
    assert held(table)["number"].to_pylist() == [3, 7]


def test_the_log_tells_files_apart_by_any_column_that_nobody_wrote(table: Table) -> None:
    put(table, [], rows(1, 2), rows(3, day=2)).commit()
    version = table.version()
    for where in (
        "number = 3",
        "since = '2025-01-02'",
        "at = '2026-01-02T03:00:00Z'",
        "at_local = '2026-01-02T03:00:00'",
    ):
        (file,) = table.files(version, where)
        assert "day=2026-01-02" in file, where
    log = "".join(path.read_text() for path in Path(table.uri).glob("_delta_log/*.json"))
    assert "texto" not in log


def test_nothing_in_the_place_of_files(table: Table) -> None:
    put(table, [], rows(1)).commit()
    put(table, table.snapshot().files).commit()
    assert held(table).num_rows == 0


def test_nothing_in_the_place_of_nothing_is_no_commit(table: Table) -> None:
    put(table, [], rows(1)).commit()
    assert put(table, []).commit() == table.version() == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_that_replace_the_same_file_one_is_refused(table: Table, order: tuple[int, int]) -> None:
    put(table, [], rows(1)).commit()
    files = table.snapshot().files
    both = [put(table, files, rows(10)), put(table, files, rows(20))]
    both[order[0]].commit()
    with pytest.raises(ConflictError):
        both[order[1]].commit()
    assert held(table)["number"].to_pylist() == [10 * (order[0] + 1)]


def test_a_file_that_is_gone_already_is_told_at_once(table: Table) -> None:
    put(table, [], rows(1)).commit()
    files = table.snapshot().files
    put(table, files, rows(2)).commit()
    with pytest.raises(ConflictError):
        Replacement(table, files)


def test_a_step_that_stops_takes_its_files_away(table: Table) -> None:
    put(table, [], rows(1)).commit()
    before = parquet_files(table)
    with pytest.raises(RuntimeError, match="stopped"), Writing() as writing:
        writing.begin(table, table.snapshot().files, lambda one: one.write(rows(2, 3).to_reader()))
        raise RuntimeError("stopped")
    assert (parquet_files(table), held(table).num_rows) == (before, 1)


def test_rows_that_cannot_be_read_stop_the_step_and_leave_nothing(table: Table) -> None:
    put(table, [], rows(1)).commit()
    before = parquet_files(table)

    def broken() -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            yield from rows(2).to_batches()
            raise OSError("the disk is gone")

        return pa.RecordBatchReader.from_batches(DEFINITION.schema, batches())

    with pytest.raises(OSError, match="the disk is gone"), Writing() as writing:
        writing.begin(table, [], lambda one: one.write(broken()))
        writing.commit()
    assert (parquet_files(table), held(table).num_rows) == (before, 1)
