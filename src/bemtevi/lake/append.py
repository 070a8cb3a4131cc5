"""Rows into one table in a steady flow: streamed into Parquet files, and made visible in one commit.

Owns how such files are written (in bounded memory, never spanning what `split_by` tells apart), what the log
says of them, and the merging of small ones. A commit is made by the Delta library from the list of files. The
table stays open between commits: opening it anew would replay the log. Leaves to `table` what a table is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs
from deltalake import DeltaTable, PostCommitHookProperties, Transaction
from deltalake.transaction import AddAction, RemoveAction

from bemtevi import crashpoint, metrics
from bemtevi.errors import ConflictError, StorageError
from bemtevi.lake.commit import stamped
from bemtevi.lake.durable import sync
from bemtevi.lake.memory import give_back
from bemtevi.lake.parquet_file import ParquetFile, WrittenFile
from bemtevi.lake.rows import partition_of
from bemtevi.lake.table import Table

SMALL_BYTES = 32 * 1024 * 1024
"""Files above are never merged."""
MERGED_BYTES = 64 * 1024 * 1024
"""What is merged into one file, at most."""
MERGE_ROWS = 4_096
MERGE = "merge"
"""The application of the transactions that put files together; a partition follows."""


class Appender:
    """The one writer of a table in this process. Not for two threads at once."""

    def __init__(self, table: Table, split_by: Sequence[str]) -> None:
        """`split_by`: scalar columns, partition columns among them; a file has one value of each."""
        self.table = table
        self.split_by = tuple(split_by)
        self._delta: DeltaTable | None = None
        self._seen = False
        self._encoder = ThreadPoolExecutor(1, "encoder")
        self.overhead_seconds = 0.0
        """What the last commit took beside the writing of its files."""

    def transaction(self, application: str) -> int:
        """The last transaction number that `application` committed, -1 if none. Makes the table."""
        with self.table.told():
            number = self._open().transaction_version(application)
        return -1 if number is None else int(number)

    def begin(self) -> Addition:
        """Rows to come, for one commit."""
        self._there()
        return Addition(self.table, self.split_by, self._encoder)

    def commit(self, addition: Addition, transaction: tuple[str, int]) -> None:
        """Make the rows of an addition visible, once: also without rows, for the number's sake.

        Raises ConflictError if `application` has committed elsewhere, StorageError.
        """
        files = addition.finish()
        began = time.monotonic()
        crashpoint.reach(f"{self.table.definition.name}.committing")
        self._commit([file.action(data_change=True) for file in files], transaction)
        crashpoint.reach(f"{self.table.definition.name}.committed")
        self.overhead_seconds = time.monotonic() - began
        give_back()

    def merge(self, paths: Sequence[str], written: WrittenFile | None = None) -> None:
        """Put the rows of some files of one partition and hour into one; the table says what it said.

        `written`: the one file, if others have made it.

        The old files stay on the disk for those who read an earlier version. The library does not see it when
        somebody else puts the same files together at the same time. So whoever calls holds the lock of
        merging; and the merges of a partition are numbered: one whose lock was lost meanwhile is refused.
        Raises ConflictError if somebody did so before.
        """
        with self.table.told():
            self._open().update_incremental()
        sizes = dict(self._sizes(paths))
        if len(sizes) != len(paths):
            raise ConflictError(f"The table {self.table.uri} no longer has the files that were to be merged.")
        self._there()
        file = written or put_together(self.table, paths, self.split_by, self._encoder)
        now = time.time_ns() // 1_000_000
        application = "/".join((MERGE, *(f"{name}={value}" for name, value in file.partition.items())))
        number = self.transaction(application) + 1
        removed = [RemoveAction(path, False, now, sizes[path], {**file.partition}) for path in paths]
        crashpoint.reach(f"{self.table.definition.name}.merging")
        self._commit([file.action(data_change=False), *removed], (application, number))
        crashpoint.reach(f"{self.table.definition.name}.merged")

    def rewrite(self, paths: Sequence[str], change: Callable[[pa.Table], pa.Table]) -> None:
        """Put in the place of some files what `change` leaves of their rows, in one commit.

        For erasing alone: nothing else changes a message. Raises ConflictError as `merge`.
        """
        with self.table.told():
            self._open().update_incremental()
        sizes = dict(self._sizes(paths))
        if len(sizes) != len(paths):
            raise ConflictError(
                f"The table {self.table.uri} no longer has the files that were to be rewritten."
            )
        addition = self.begin()
        try:
            for path in paths:
                addition.copy(path, MERGE_ROWS, change)
            files = addition.finish()
        except BaseException:
            addition.abandon()
            raise
        now = time.time_ns() // 1_000_000
        removed = [RemoveAction(path, False, now, sizes[path], dict(partition_of(path))) for path in paths]
        self._commit([*(file.action(data_change=False) for file in files), *removed], None)

    def small_files(self) -> list[tuple[tuple[str, ...], str, int]]:
        """What tells a file apart (the values of `split_by`), path and bytes of each file that may be merged.

        In the order in which they were added. Left out are large files, and those that span several values.
        """
        with self.table.told():
            actions = pa.table(self._open().get_add_actions(flatten=True))
        found = []
        for row in actions.sort_by("modification_time").to_pylist():
            values = []
            for name in self.split_by:
                low = row.get(f"partition.{name}", row.get(f"min.{name}"))
                high = row.get(f"partition.{name}", row.get(f"max.{name}"))
                if low is not None and low == high:
                    values.append(str(low))
            if len(values) == len(self.split_by) and row["size_bytes"] < SMALL_BYTES:
                found.append((tuple(values), row["path"], row["size_bytes"]))
        return found

    def _sizes(self, paths: Sequence[str]) -> Iterator[tuple[str, int]]:
        wanted = set(paths)
        with self.table.told():
            actions = pa.table(self._open().get_add_actions())
        for path, size in zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True):
            if path in wanted:
                yield path, size

    def _commit(self, actions: list[AddAction | RemoveAction], transaction: tuple[str, int] | None) -> None:
        with self.table.told():
            delta = self._open()
        try:
            commit_files(self.table, delta, actions, transaction)
        except BaseException:
            self._delta = None  # opened anew: who knows what has become of it
            raise

    def _open(self) -> DeltaTable:
        self._there()
        self.table.admit()
        if self._delta is None:
            self._delta = self.table.delta()
            self._seen = True
        return self._delta

    def _there(self) -> None:
        """A table that is not there any more is away (a disk that is not mounted): never made again."""
        if self._seen and self.table.is_local and not (Path(self.table.uri) / "_delta_log").is_dir():
            self._delta = None
            raise StorageError(f"The table {self.table.uri} is not there any more: bring its folder back.")


def commit_files(
    table: Table,
    delta: DeltaTable,
    actions: list[AddAction | RemoveAction],
    transaction: tuple[str, int] | None = None,
) -> None:
    """Files into a table and out of it, in one commit; `delta`, open, is at its version afterwards.

    On a local disk it is durable when this returns. Raises StorageError or ConflictError.
    """
    commit = stamped(*([Transaction(*transaction)] if transaction else []))
    with table.committing(delta, commit):
        delta.create_write_transaction(
            actions,
            "append",
            delta.schema(),
            list(table.definition.partition_by),
            commit_properties=commit,
            # to look for expired versions at each commit would cost more the longer the log is
            post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
        )
        delta.update_incremental()
    if table.is_local:
        with table.told():
            entry = Path(table.uri) / "_delta_log" / f"{delta.version():020d}.json"
            sync(entry)
            sync(entry.parent)
    metrics.committed(table.definition.name)


class Addition:
    """Rows that will be one commit, in one file for each partition and hour."""

    def __init__(
        self,
        table: Table,
        split_by: Sequence[str],
        encoder: Executor,
        row_group_bytes: int | None = None,
    ) -> None:
        self._table = table
        self._encoder = encoder
        self._row_group_bytes = row_group_bytes
        self._split_by = tuple(split_by)
        self._files: dict[tuple[object, ...], ParquetFile] = {}
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Rows in the table's schema. Raises StorageError."""
        if rows.num_rows == 0:
            return
        self.rows += rows.num_rows
        single = [_single(rows[name]) for name in self._split_by]
        if None not in single:
            self._put(tuple(single), rows)
            return
        values = rows.select(list(self._split_by)).group_by(list(self._split_by)).aggregate([])
        for value in values.to_pylist():
            mask = None
            for name in self._split_by:
                same = pc.equal(rows[name], pa.scalar(value[name], rows[name].type))
                mask = same if mask is None else pc.and_(mask, same)
            self._put(tuple(value[name] for name in self._split_by), rows.filter(mask))

    def copy(self, path: str, rows: int, change: Callable[[pa.Table], pa.Table] | None = None) -> None:
        """The rows of a file of the table, so many at a time; as `change` leaves them."""
        with self._table.told():
            for full in self._table.rows([path], self._table.definition.schema.names, rows):
                self.add(full if change is None else change(full))

    def finish(self) -> list[ParquetFile]:
        """Close the files; they are whole and durable, and nobody sees them. A second time does nothing."""
        with self._table.told():
            for file in self._files.values():
                if file.size == 0:
                    file.close()
        return list(self._files.values())

    def abandon(self) -> None:
        """Forget what was written. Never after a commit was tried: it may have been made."""
        for file in self._files.values():
            file.discard()

    def written(self) -> list[tuple[tuple[str, ...], str, int]]:
        """Values of `split_by`, path and bytes of each file, once they are closed."""
        return [(tuple(map(str, value)), file.path, file.size) for value, file in self._files.items()]

    def _put(self, value: tuple[object, ...], rows: pa.Table) -> None:
        file = self._files.get(value)
        with self._table.told():
            if file is None:
                names = self._table.definition.partition_by
                values = dict(zip(self._split_by, value, strict=True))
                partition = {name: str(values[name]) for name in names}
                file = ParquetFile(self._table, partition, self._encoder, self._row_group_bytes)
                self._files[value] = file
            file.write(rows)


def put_together(
    table: Table,
    paths: Sequence[str],
    split_by: Sequence[str],
    encoder: Executor,
    row_group_bytes: int | None = None,
) -> WrittenFile:
    """Write the rows of some files, all of one value of `split_by`, to a file that nobody sees."""
    addition = Addition(table, split_by, encoder, row_group_bytes)
    try:
        for path in paths:
            addition.copy(path, MERGE_ROWS)
        (file,) = addition.finish()
        return file.written()
    except BaseException:
        addition.abandon()
        raise


def _single(column: pa.ChunkedArray) -> object:
    """The value of a column that has only one, else None."""
    ends = pc.min_max(column).as_py()
    return ends["min"] if ends["min"] == ends["max"] else None
