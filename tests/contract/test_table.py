"""The contract of a table of the lake, over every store that can hold one.

A new store is one more entry in `STORES`: where a lake may begin, and the options to get there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from bemtevi.errors import ConflictError, CorruptionError, StorageError
from bemtevi.lake.definition import TIMESTAMP, Column, TableDefinition
from bemtevi.lake.erasure import ErasableTable
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.lake.table import VERSION_PROPERTY, Snapshot, Table

COLUMNS = (
    Column("day", pa.date32(), "Partition."),
    Column("number", pa.int64(), "Key."),
    Column("at", TIMESTAMP, "A time."),
    Column("tags", pa.list_(pa.string()), "A list."),
    Column("flag", pa.bool_(), "A yes or no."),
    Column("text", pa.string(), "What somebody wrote.", private=True),
    Column("bytes", pa.binary(), "What somebody wrote, as bytes.", private=True),
)
THING = TableDefinition("thing", 1, "one thing", ("number",), COLUMNS, ("day",))
NEWER = TableDefinition(
    "thing",
    1,
    "one thing",
    ("number",),
    (*COLUMNS, Column("note", pa.string(), "New.", private=True)),
    ("day",),
)
FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)
WRITTEN = "ninguém mais"


@dataclass
class Store:
    """A place for a lake that is empty at first."""

    root: str
    options: dict[str, str]

    def table(self, definition: TableDefinition = THING) -> Table:
        return Lake(Layout(self.root), "UTC", self.options).table(definition)

    def filesystem(self, table: Table) -> pyarrow.fs.FileSystem:
        return pyarrow.fs.PyFileSystem(DeltaStorageHandler(table.uri, self.options))


def folder(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "lake"), {})


def folder_by_another_way(tmp_path: Path) -> Store:
    """As somebody may name it: from the folder beside, through a link."""
    (tmp_path / "beside").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    return Store(str(tmp_path / "beside" / ".." / "link" / "lake"), {})


def oddly_named_folder(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "um lago (ação) #1 + mais"), {})


STORES: dict[str, Callable[[Path], Store]] = {
    "folder": folder,
    "folder by another way": folder_by_another_way,
    "oddly named folder": oddly_named_folder,
}


@pytest.fixture(params=[*STORES, pytest.param("S3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "S3":
        options = request.getfixturevalue("s3_server").options()
        return Store(request.getfixturevalue("bucket"), options)
    return STORES[request.param](tmp_path)


def rows(*numbers: int, day: date = FIRST, definition: TableDefinition = THING, **other: Any) -> pa.Table:
    made = [
        {
            "day": day,
            "number": number,
            "at": datetime(day.year, day.month, day.day, number % 24, tzinfo=UTC),
            "tags": [WRITTEN],
            "flag": True,
            "text": f"{WRITTEN} {number}",
            "bytes": WRITTEN.encode(),
            **other,
        }
        for number in numbers
    ]
    return pa.Table.from_pylist(made, schema=definition.schema)


def numbers(table: Table, version: int | None = None) -> list[int]:
    return sorted(table.read(version)["number"].to_pylist())


def in_files(store: Store, table: Table, files: list[str]) -> list[int]:
    """The numbers in data files, read by their addresses without the table's log."""
    filesystem = store.filesystem(table)
    found: list[int] = []
    for file in files:
        assert file.startswith(table.uri + "/")
        with filesystem.open_input_file(file.removeprefix(table.uri + "/")) as stream:
            found += pq.read_table(stream, columns=["number"])["number"].to_pylist()
    return sorted(found)


def test_a_table_that_does_not_exist_is_empty(store: Store) -> None:
    table = store.table()
    assert (table.exists(), table.version(), table.transaction("a")) == (False, -1, None)
    assert table.snapshot() == Snapshot(-1, [])
    assert table.read() == THING.schema.empty_table()
    assert table.files(0, "day = '2026-01-01'") == []
    with pytest.raises(StorageError):
        table.restore(0)


def test_append_keeps_what_was_there(store: Store) -> None:
    table = store.table()
    table.append(rows(1, 2))
    before = table.version()
    assert table.append(rows(3, day=SECOND)) == before + 1
    assert numbers(store.table()) == [1, 2, 3]
    assert table.read().sort_by("number").slice(0, 2) == rows(1, 2)
    table.append(rows())
    assert numbers(table) == [1, 2, 3]


def test_append_takes_a_stream_of_batches(store: Store) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(5):
            yield from rows(number).to_batches()

    store.table().append(pa.RecordBatchReader.from_batches(THING.schema, batches()))
    assert numbers(store.table()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("where", "new", "left"),
    [
        ("number = 2", (2,), [1, 2, 3]),
        ("number = 2", (), [1, 3]),
        ("day = '2026-01-01'", (), [3]),
        ("day = '2026-01-01' and number >= 2", (2, 5), [1, 2, 3, 5]),
        ("at >= '2026-01-01T01:00:00Z' and at < '2026-01-01T02:00:00Z'", (), [2, 3]),
        ("at >= '2026-01-01T01:00:00Z' and at < '2026-01-01T02:00:00Z'", (1, 25), [1, 2, 3, 25]),
        ("number = 99", (), [1, 2, 3]),
        ("true", (7,), [7]),
        ("true", (), []),
    ],
)
def test_replace_is_one_commit(store: Store, where: str, new: tuple[int, ...], left: list[int]) -> None:
    table = store.table()
    table.append(rows(1, 2))
    before = table.append(rows(3, day=SECOND))
    after = table.replace(where, rows(*new))
    assert (numbers(table), after) == (left, before + 1)
    assert numbers(table, before) == [1, 2, 3]


def test_replace_makes_the_table(store: Store) -> None:
    table = store.table()
    table.replace("day = '2026-01-01'", rows(1))
    assert numbers(table) == [1]


def test_a_row_outside_of_what_is_replaced_is_refused(store: Store) -> None:
    table = store.table()
    table.append(rows(1, 2))
    with pytest.raises(StorageError):
        table.replace("number = 1", rows(9))
    assert numbers(table) == [1, 2]


def test_a_snapshot_names_the_files_of_its_version(store: Store) -> None:
    table = store.table()
    first = table.append(rows(1))
    second = table.append(rows(2, day=SECOND))
    third = table.replace("number = 1", rows())
    assert [in_files(store, table, table.snapshot(version).files) for version in (first, second, third)] == [
        [1],
        [1, 2],
        [2],
    ]
    assert table.snapshot() == table.snapshot(third)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("day = '2026-01-01'", [1, 2]),
        ("day in ('2026-01-01', '2026-01-02')", [1, 2, 3]),
        ("day = '2027-01-01'", []),
        ("number = 2", [2]),
        ("at >= '2026-01-01T02:00:00Z' and at < '2026-01-02T00:00:00Z'", [2]),
        ("number = 3 and day = '2026-01-01'", []),
    ],
)
def test_files_that_may_hold_some_rows(store: Store, where: str, found: list[int]) -> None:
    table = store.table()
    table.append(rows(1))
    table.append(rows(2))
    version = table.append(rows(3, day=SECOND))
    table.append(rows(1, 2, 3))
    assert in_files(store, table, table.files(version, where)) == found


def test_commits_tell_what_each_version_added(store: Store) -> None:
    table = store.table()
    table.append(rows(1))
    start = table.version()
    table.append(rows(2))
    table.replace("number = 1", rows())
    table.replace("number = 2", rows(2))
    commits = list(table.commits(start, table.version()))
    assert [commit.version for commit in commits] == [start + 1, start + 2, start + 3]
    assert [in_files(store, table, commit.files) for commit in commits] == [[2], [], [2]]
    assert [commit.size > 0 for commit in commits] == [True, False, True]
    assert list(table.commits(table.version(), table.version())) == []


def test_a_file_that_cannot_be_read_any_more_is_one_sentence(store: Store) -> None:
    """Storage goes away between the reading of the log and that of the rows."""
    table = store.table()
    table.append(rows(1, 2))
    (file,) = table.snapshot().files
    table.delete_file(table.path_of(file))
    with pytest.raises(StorageError, match="cannot be used"):
        table.read()
    with pytest.raises(StorageError, match="cannot be used"):
        list(table.scan(["number"], "number > 0"))


def test_a_file_that_does_not_read_back_is_loud(store: Store) -> None:
    table = store.table()
    table.append(rows(1, 2))
    (file,) = table.snapshot().files
    with table.filesystem.open_output_stream(table.path_of(file)) as damaged:
        damaged.write(b"PAR1 and no more")
    with pytest.raises(CorruptionError, match="does not read back"):
        table.read()
    with pytest.raises(CorruptionError, match="does not read back"):
        list(table.scan(["number"], "number > 0"))


def test_compaction_adds_nothing(store: Store) -> None:
    table = store.table()
    for number in range(4):
        table.append(rows(number))
    start = table.version()
    DeltaTable(table.uri, storage_options=store.options).optimize.compact()
    assert table.version() > start
    assert [commit.files for commit in table.commits(start, table.version())] == [[]]
    assert len(table.snapshot().files) == 1
    assert numbers(table) == [0, 1, 2, 3]


def test_a_version_that_the_log_has_lost_is_told(store: Store) -> None:
    table = store.table()
    table.append(rows(1))
    with pytest.raises(StorageError, match="no version 7"):
        list(table.commits(6, 7))


def test_a_log_that_is_tidied_up_while_it_is_read_is_read_again(store: Store) -> None:
    writing = ErasableTable.of(Lake(Layout(store.root), "UTC", store.options), THING)
    writing.append(rows(1))
    stop, looks, failed = threading.Event(), [0], list[str]()

    def look() -> None:
        while not stop.is_set():
            try:
                assert store.table().snapshot().version >= 0
                looks[0] += 1
            except StorageError as error:
                failed.append(str(error))

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(40):
        writing.append(rows(number))
        writing.purge(writing.version(), [], datetime.now(UTC))
    stop.set()
    for reader in readers:
        reader.join()
    assert looks[0] > 40
    assert failed == []


def test_restore_brings_back_an_earlier_content_as_a_new_version(store: Store) -> None:
    table = store.table()
    first = table.append(rows(1))
    last = table.replace("true", rows(2))
    assert table.restore(first) == last + 1
    assert (numbers(table), numbers(table, last)) == ([1], [2])


def test_a_transaction_is_found_again(store: Store) -> None:
    table = store.table()
    table.append(rows(1), ("a", 5))
    table.replace("number = 1", rows(), ("b", 1))
    table.append(rows(), ("a", 6))
    table.append(rows(2))
    found = [store.table().transaction(name) for name in ("a", "b", "c")]
    assert found == [6, 1, None]


def beside(work: Callable[[], object]) -> None:
    """Do something as another process would: in a thread of its own."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def while_writing(data: pa.Table, other: Callable[[], object]) -> pa.RecordBatchReader:
    """The data, and in the middle of its writing somebody else does something."""

    def batches() -> Iterator[pa.RecordBatch]:
        beside(other)
        yield from data.to_batches()

    return pa.RecordBatchReader.from_batches(THING.schema, batches())


def test_the_same_transaction_at_the_same_time_is_refused(store: Store) -> None:
    table = store.table()
    table.append(rows(1))
    data = while_writing(rows(2), lambda: store.table().append(rows(2), ("a", 1)))
    with pytest.raises(ConflictError, match="run it again"):
        table.append(data, ("a", 1))
    assert numbers(table) == [1, 2]


def test_the_first_commits_of_two_at_the_same_time_are_one(store: Store) -> None:
    data = while_writing(rows(2), lambda: store.table().append(rows(2), ("a", 1)))
    with pytest.raises(ConflictError):
        store.table().append(data, ("a", 1))
    assert numbers(store.table()) == [2]


def test_other_transactions_at_the_same_time_are_both_made(store: Store) -> None:
    table = store.table()
    table.append(rows(1))
    table.append(while_writing(rows(2), lambda: store.table().append(rows(3), ("b", 1))), ("a", 1))
    assert numbers(table) == [1, 2, 3]
    assert (table.transaction("a"), table.transaction("b")) == (1, 1)


def test_replacing_the_same_rows_at_the_same_time_is_refused(store: Store) -> None:
    table = store.table()
    table.append(rows(1, 2))
    other = while_writing(rows(1), lambda: store.table().replace("number = 1", rows(1, flag=False)))
    with pytest.raises(ConflictError):
        table.replace("number = 1", other)
    assert numbers(table) == [1, 2]
    assert sorted(table.read()["flag"].to_pylist()) == [False, True]


def log_bytes(store: Store, table: Table) -> bytes:
    """The whole log: commits as they are, checkpoints unpacked."""
    filesystem = store.filesystem(table)
    found = b""
    for file in filesystem.get_file_info(pyarrow.fs.FileSelector("_delta_log", recursive=True)):
        if file.type != pyarrow.fs.FileType.File:
            continue
        with filesystem.open_input_file(file.path) as stream:
            if file.path.endswith(".parquet"):
                found += json.dumps(
                    pq.read_table(stream).to_pylist(), default=str, ensure_ascii=False
                ).encode()
            else:
                found += stream.read()
    return found


def test_what_people_wrote_does_not_stand_in_the_log(store: Store) -> None:
    table = store.table()
    table.append(rows(1))
    newer = store.table(NEWER)
    kept = DeltaTable(table.uri, storage_options=store.options).metadata().configuration
    assert kept["delta.dataSkippingStatsColumns"] == "number,at"  # whoever writes: Spark keeps to it too
    newer.append(rows(2, definition=NEWER, note=f"{WRITTEN} too"))
    newer.replace("number = 2", rows(2, definition=NEWER, note=WRITTEN))
    DeltaTable(table.uri, storage_options=store.options).create_checkpoint()
    log = log_bytes(store, table)
    assert b"checkpoint" in log or b"part-0" in log
    assert b"minValues" in log  # there are statistics, of what nobody wrote
    assert WRITTEN.encode() not in log
    filesystem = store.filesystem(table)
    for file in newer.snapshot().files:
        with filesystem.open_input_file(file.removeprefix(table.uri + "/")) as stream:
            group = pq.ParquetFile(stream).metadata.row_group(0)
        by_name = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
        assert by_name["number"].statistics is not None
        for column in NEWER.columns:
            if column.private and column.name in by_name:
                assert by_name[column.name].statistics is None


def test_a_table_of_a_newer_version_is_refused(store: Store) -> None:
    table = store.table()
    table.append(rows(1))
    DeltaTable(table.uri, storage_options=store.options).alter.set_table_properties(
        {VERSION_PROPERTY: "2"}, raise_if_not_exists=False
    )
    for use in (table.read, table.snapshot, table.version, lambda: table.append(rows(2))):
        with pytest.raises(StorageError, match="newer bemtevi"):
            use()


def test_a_new_column_needs_no_step_by_hand(store: Store) -> None:
    store.table().append(rows(1))
    newer = store.table(NEWER)
    assert newer.read()["note"].to_pylist() == [None]  # also before the first write
    newer.append(rows(2, definition=NEWER, note="n"))
    found = newer.read().sort_by("number")
    assert found.schema == NEWER.schema
    assert found["note"].to_pylist() == [None, "n"]


def test_a_new_column_comes_with_a_replacement_too(store: Store) -> None:
    store.table().append(rows(1, 2))
    newer = store.table(NEWER)
    newer.replace("number = 2", rows(2, definition=NEWER, note="n"))
    assert newer.read().sort_by("number")["note"].to_pylist() == [None, "n"]


def test_who_does_not_know_a_new_column_yet_goes_on(store: Store) -> None:
    store.table(NEWER).append(rows(1, definition=NEWER, note="n"))
    older = store.table()
    older.append(rows(2))
    older.replace("number = 2", rows(2, flag=False))
    assert numbers(older) == [1, 2]
    assert store.table(NEWER).read().sort_by("number")["note"].to_pylist() == ["n", None]


def test_data_of_another_shape_is_refused(store: Store) -> None:
    table = store.table()
    table.append(rows(1))
    with pytest.raises(StorageError):
        table.append(pa.table({"something": [1]}))
    assert numbers(table) == [1]


def test_a_place_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot be used|No permission"):
        folder(tmp_path).table().append(rows(1))
