"""One Delta table: append, replace, snapshot, transaction, restore.

Owns how tables are written and read back, with the promises that everything above builds on:
a commit is seen whole or not at all; a commit that carries a transaction already made is refused by whoever
asks `transaction` first; a replacement by predicate is one commit, also with nothing to put in its place.
Leaves to others what is in a table, and to `layout` where it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from bemtevi import crashpoint, metrics
from bemtevi.errors import ConflictError, CorruptionError, StorageError
from bemtevi.lake.commit import is_of, stamped, writer_of
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.layout import LAKE_VERSION
from bemtevi.lake.object_store import ObjectStore, admit, refusal
from bemtevi.lake.rows import BATCH_ROWS, rows_of
from bemtevi.lake.s3_files import files_of

VERSION_PROPERTY = "bemtevi.lakeVersion"
ZONE_PROPERTY = "bemtevi.timezone"
STATISTICS_PROPERTY = "delta.dataSkippingStatsColumns"
LISTINGS = 5
"""So often a log is listed that changes while it is read."""
GONE = re.compile(r"_delta_log/.+ not found|File not found: .*_delta_log/")
COMPRESSION_LEVEL = 3
LOG_PROPERTIES = {
    # the library would shorten the log in the middle of a run, and a version that readers still open would be
    # lost; maintenance does it when it is safe, and decides itself what is old
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 1 hours",
}
PAGE_BYTES = 8 * 1024 * 1024  # a page is the unit of compression: large pages of text save a tenth
RAW_ROW_GROUP_ROWS = 20_000  # 2.5 kB a message: 50 MB a row group bounds a reader's memory


@dataclass(frozen=True)
class Snapshot:
    """The files of one version of a table, as addresses that any Parquet reader opens."""

    version: int
    files: list[str]


@dataclass(frozen=True)
class Commit:
    """The data files that one version added, and their bytes on disk."""

    version: int
    files: list[str]
    size: int
    transaction: tuple[str, int] | None = None
    """The application and its number that the commit carries."""
    rows: int = 0
    """Rows of those files, as far as the log counts them."""


class Table:
    """A table at an address, which need not exist yet: the first write makes it."""

    def __init__(
        self,
        uri: str,
        definition: TableDefinition,
        storage_options: dict[str, str],
        properties: dict[str, str],
        *,
        single_writer: bool = False,
    ) -> None:
        self.uri = uri
        self.definition = definition
        self.storage_options = storage_options
        self._properties = properties
        self._single_writer = single_writer
        self._opened: tuple[int, DeltaTable] | None = None
        """The version that was asked for last, by its number: what it holds does not change."""
        self.is_local = "://" not in uri
        """Whether the table is a folder of this machine."""

    def path_of(self, file: str) -> str:
        """The path within the table of a file that is told with the table's address."""
        return file.removeprefix(self.uri).lstrip("/")

    def exists(self) -> bool:
        """Whether the table has been made."""
        with self.told():
            return DeltaTable.is_deltatable(self.uri, storage_options=self.storage_options)

    def version(self) -> int:
        """The newest version; -1 if the table does not exist."""
        table = self._open()
        return -1 if table is None else table.version()

    def newer(self, version: int) -> int:
        """The newest version, looked for from one that is known: a glance at the log instead of its reading.

        Raises StorageError.
        """
        if version < 0:
            return self.version()
        with self.told():
            while self._has_version(version + 1):
                version += 1
        return version

    def _has_version(self, version: int) -> bool:
        (found,) = self.filesystem.get_file_info([f"_delta_log/{version:020d}.json"])
        return bool(found.type == pyarrow.fs.FileType.File)

    def transaction(self, application: str) -> int | None:
        """The last transaction number that `application` committed here, or None."""
        table = self._open()
        return None if table is None else table.transaction_version(application)

    def property(self, name: str) -> str | None:
        """A property that the table was made with, or None."""
        table = self._open()
        return None if table is None else table.metadata().configuration.get(name)

    def snapshot(self, version: int | None = None) -> Snapshot:
        """The files of a version (the newest if None). A table that does not exist has none, version -1."""
        table = self._open(version)
        if table is None:
            return Snapshot(-1, [])
        return Snapshot(table.version(), self._addresses(table.file_uris()))

    def files(self, version: int, where: str) -> list[str]:
        """The files of a version that may hold rows satisfying `where` (SQL), told by the log alone."""
        table = self._open(version)
        if table is None:
            return []
        with self.told():
            return self._addresses(table.file_uris(file_pruning_predicate=where))

    def read(self, version: int | None = None) -> pa.Table:
        """The whole table. For small ones: lists, runs."""
        schema = self.definition.schema
        files = self.snapshot(version).files
        return pa.concat_tables([schema.empty_table(), *self.rows(files, schema.names)])

    def scan(self, columns: Sequence[str], where: str, at_once: int = BATCH_ROWS) -> Iterator[pa.Table]:
        """Rows of the files that may hold some that satisfy `where` (SQL), so many at once, in no order: who
        asks leaves out the others. For large tables."""
        version = self.version()
        if version >= 0:
            yield from self.rows(self.files(version, where), columns, at_once)

    def rows(
        self, files: Iterable[str], columns: Sequence[str], at_once: int = BATCH_ROWS
    ) -> Iterator[pa.Table]:
        """Some columns of some of its files, so many rows at once.

        Raises StorageError, and CorruptionError for a file that does not read back.
        """
        for file in files:
            batches = rows_of(self.filesystem, self.path_of(file), columns, self.definition.schema, at_once)
            while True:
                try:
                    with self.told():
                        batch = next(batches, None)
                except pa.ArrowInvalid as error:
                    raise CorruptionError(
                        f"The file {file} does not read back ({first_line(error)}): "
                        "bring it back from a copy of the lake."
                    ) from error
                if batch is None:
                    break
                yield batch

    def commits(self, after: int, upto: int) -> Iterator[Commit]:
        """What each version in (after, upto] added, oldest first. Compaction adds nothing.

        Raises StorageError when the log no longer reaches back so far.
        """
        for version in range(after + 1, upto + 1):
            actions = self._entry(version)
            added = [action["add"] for action in actions if "add" in action]
            carried = [action["txn"] for action in actions if "txn" in action]
            new = [add for add in added if add.get("dataChange", True)]
            yield Commit(
                version,
                [f"{self.uri}/{add['path']}" for add in new],
                sum(add["size"] for add in new),
                (carried[0]["appId"], carried[0]["version"]) if carried else None,
                sum(json.loads(add.get("stats") or "{}").get("numRecords") or 0 for add in new),
            )

    def writer(self, version: int) -> str | None:
        """Which process made a version; None if it does not say. Raises StorageError as `commits`."""
        return writer_of(self._entry(version))

    def _entry(self, version: int) -> list[dict[str, Any]]:
        """The actions of one commit. Raises StorageError when the log no longer reaches back so far."""
        try:
            with self.filesystem.open_input_stream(f"_delta_log/{version:020d}.json") as stream:
                return [json.loads(line) for line in stream.read().splitlines() if line]
        except OSError as error:
            raise StorageError(
                f"The log of {self.uri} has no version {version} any more ({type(error).__name__}); "
                "what came since cannot be told from what came before."
            ) from None

    def append(
        self, data: pa.Table | pa.RecordBatchReader, transaction: tuple[str, int] | None = None
    ) -> int:
        """Add rows in one commit; the new version."""
        return self._write(data, transaction, mode="append")

    def append_once(self, data: pa.Table, transaction: tuple[str, int]) -> int:
        """Add rows in one commit, unless the transaction, or one after it, was committed before; the version.

        Raises ConflictError if it was.
        """
        table = self._open() or self._make()
        done = table.transaction_version(transaction[0])
        if done is not None and done >= transaction[1]:
            raise ConflictError(f"Another process changed {self.uri} at the same time; run it again.")
        return self._write(data, transaction, table, mode="append")

    def replace(
        self,
        where: str,
        data: pa.Table | pa.RecordBatchReader,
        transaction: tuple[str, int] | None = None,
    ) -> int:
        """Put `data` in the place of the rows that satisfy `where`, in one commit; the new version.

        `where` is SQL over this table's columns; "true" replaces all. Every row of `data` must satisfy it.
        """
        return self._write(data, transaction, mode="overwrite", predicate=None if where == "true" else where)

    def make_anew(self, data: pa.Table | pa.RecordBatchReader) -> int:
        """Put `data` in the place of all rows, its columns and partitions in the place of the table's.

        The new version.
        """
        partitions = list(self.definition.partition_by)
        self._write(data, None, mode="overwrite", schema_mode="overwrite", partition_by=partitions)
        return self.set_property(STATISTICS_PROPERTY, ",".join(self.definition.statistics_columns))

    def has_its_partitions(self, version: int) -> bool:
        """Whether a version is kept by the columns that the definition says."""
        table = self._open(version)
        return table is None or table.metadata().partition_columns == list(self.definition.partition_by)

    def set_property(self, name: str, value: str) -> int:
        """Change a property that the table was made with; the new version."""
        table = self._open() or self._make()
        if table.metadata().configuration.get(name) != value:
            commit = stamped()
            with self.committing(table, commit):
                table.alter.set_table_properties(
                    {name: value}, raise_if_not_exists=False, commit_properties=commit
                )
        return table.version()

    def restore(self, version: int) -> int:
        """Bring back an earlier content as a new version; the new version."""
        table = self._open()
        if table is None:
            raise StorageError(f"There is no table at {self.uri} to restore.")
        commit = stamped()
        with self.committing(table, commit):
            table.restore(version, commit_properties=commit)
        restored = table.version()
        crashpoint.reach(f"{self.definition.name}.restored")
        return restored

    def _write(
        self,
        data: pa.Table | pa.RecordBatchReader,
        transaction: tuple[str, int] | None,
        table: DeltaTable | None = None,
        **how: Any,
    ) -> int:
        self.admit()
        table = table or self._open() or self._make()
        known = {field.name for field in table.schema().fields}
        if set(self.definition.schema.names) != known:
            how.setdefault("schema_mode", "merge")
        commit = stamped(*([Transaction(*transaction)] if transaction else []))
        crashpoint.reach(f"{self.definition.name}.committing")
        with self.committing(table, commit):
            write_deltalake(
                table,
                data,
                writer_properties=self._writer_properties,
                commit_properties=commit,
                **how,
            )
        written = table.version()
        metrics.committed(self.definition.name)
        crashpoint.reach(f"{self.definition.name}.committed")
        return written

    def _replayed(self, version: int | None) -> DeltaTable:
        """The library's table. Between its listing of the log and its reading of it, maintenance may put a
        newer checkpoint in the place of what was listed: then it lists again."""
        for _ in range(LISTINGS - 1):
            try:
                return DeltaTable(self.uri, version=version, storage_options=self.storage_options)
            except DeltaError as error:
                if not GONE.search(str(error)):
                    raise
        return DeltaTable(self.uri, version=version, storage_options=self.storage_options)

    def admit(self) -> None:
        """Before anything is written: refuse a store that loses commits. Raises StorageError."""
        if not self.is_local and not self._single_writer:
            admit(self.uri.rsplit("/", 2)[0], self.storage_options)

    def _open(self, version: int | None = None) -> DeltaTable | None:
        if version is not None and self._opened is not None and self._opened[0] == version:
            return self._opened[1]
        with self.told():
            try:
                table = self._replayed(version)
            except TableNotFoundError:
                return None
            made_by = int(table.metadata().configuration.get(VERSION_PROPERTY, LAKE_VERSION))
        if made_by > LAKE_VERSION:
            raise StorageError(
                f"The table {self.uri} was made by a newer bemtevi (lake version {made_by}, this program "
                f"knows {LAKE_VERSION}): update bemtevi."
            )
        if version is not None:
            self._opened = version, table
        return table

    def _addresses(self, uris: list[str]) -> list[str]:
        """What the library answers for a local folder is percent-encoded, and no file has that name."""
        return uris if "://" in self.uri else [unquote(uri) for uri in uris]

    def _make(self) -> DeltaTable:
        """The table, made by us or at the same time by somebody else."""
        self.admit()
        try:
            return self._create()
        except ConflictError:
            made = self._open()
            if made is None:
                raise
            return made

    def _create(self) -> DeltaTable:
        with self.told():
            return DeltaTable.create(
                self.uri,
                schema=self.definition.schema,
                mode="ignore",
                partition_by=list(self.definition.partition_by),
                name=self.definition.name,
                description=f"Grain: {self.definition.grain}.",
                configuration={
                    # what people wrote must not stand in the log, where no erasure reaches it
                    STATISTICS_PROPERTY: ",".join(self.definition.statistics_columns),
                    VERSION_PROPERTY: str(LAKE_VERSION),
                    **LOG_PROPERTIES,
                    **self.definition.properties,
                    **self._properties,
                },
                storage_options=self.storage_options,
                commit_properties=stamped(),
                raise_if_key_not_exists=False,
            )

    @cached_property
    def _writer_properties(self) -> WriterProperties:
        written = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
        distinct = ColumnProperties(dictionary_enabled=False)
        return WriterProperties(
            compression="ZSTD",
            compression_level=COMPRESSION_LEVEL,
            data_page_size_limit=PAGE_BYTES,
            max_row_group_size=RAW_ROW_GROUP_ROWS if self.definition.layer == 1 else None,
            column_properties={
                column.name: written if column.private else distinct
                for column in self.definition.columns
                if column.private or column.distinct
            },
        )

    @cached_property
    def filesystem(self) -> pyarrow.fs.FileSystem:
        """The table's folder; paths in it are relative."""
        if self.is_local:
            return pyarrow.fs.SubTreeFileSystem(self.uri, pyarrow.fs.LocalFileSystem())
        return files_of(self.uri, self.storage_options)

    def delete_file(self, path: str) -> None:
        """Take away a file that nobody refers to."""
        if self.is_local:
            self.filesystem.delete_file(path)
        else:  # Arrow would leave an empty object that stands for the folder
            ObjectStore(self.uri, self.storage_options).delete(path)

    def delta(self) -> DeltaTable:
        """The table as the library has it, with all the columns of its definition; made if need be."""
        table = self._open() or self._make()
        known = {field.name for field in table.schema().fields}
        if not set(self.definition.schema.names) <= known:
            self.append(self.definition.schema.empty_table())
            table = self._open() or table
        return table

    @contextmanager
    def committing(self, delta: DeltaTable, commit: CommitProperties) -> Iterator[None]:
        """One commit to a table that is open, which is at its version afterwards. Raises as `told`.

        If only its answer was lost, the store refuses its repetition; then it went well.
        """
        before = delta.version()
        try:
            with self.told():
                yield
        except ConflictError:
            with self.told():
                delta.update_incremental()
            later = range(before + 1, delta.version() + 1)
            if not any(is_of(commit, self._entry(version)) for version in later):
                raise

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn the library's errors into a sentence that names the table and the remedy."""
        try:
            yield
        except CommitFailedError as error:
            raise ConflictError(
                f"Another process changed {self.uri} at the same time ({first_line(error)}); run it again."
            ) from error
        except (DeltaError, OSError) as error:
            text = str(error)
            if "No space left" in text or "StorageFull" in text or "Disk quota" in text:
                raise StorageError(
                    f"The disk that holds {self.uri} is full: free some space and run it again; "
                    "nothing half-written is kept."
                ) from error
            if "Permission denied" in text:
                raise StorageError(f"No permission to use {self.uri}: check its owner and rights.") from error
            told = None if self.is_local else refusal(text, self.uri)
            raise told or StorageError(f"The table {self.uri} cannot be used: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of a library's message, without its stack."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
