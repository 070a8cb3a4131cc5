"""The tables of a lake for Spark: whole, at the last run, or what is new in them, run by run.

Owns what a task reads, and the offsets: versions of the Delta table that runs have made visible. Of a table
whose hours are made again, a row is new when its key was not there at the offset before. Versions do not
change, so a batch that is read again after a crash is the same. Leaves to Spark's checkpoint which were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from pyspark.sql.datasource import DataSourceReader, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import SupportsTriggerAvailableNow

from bemtevi.errors import UsageError
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.literal import parquet
from bemtevi.lake.reading import let_read
from bemtevi.lake.rows import partition_of
from bemtevi.lake.table import Table
from bemtevi.serve.catalog import tables_of
from bemtevi.warehouse.engines.spark.executor import Address, absolute
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.record import RECORDS
from bemtevi.warehouse.run import check_zone, last_run
from bemtevi.warehouse.spill import make_spill_folder, remove_spill_folder

TASK_BYTES = 32 * 1024 * 1024
"""Of files that one task reads."""
BATCH_ROWS = 10_000
NOTHING = -1
"""The version before the first."""


def definition_of(name: str) -> TableDefinition:
    """The table of a name. Raises UsageError if there is none."""
    definitions = [*(model.definition for model in load_models()), *LAYER_1, *RECORDS]
    for definition in definitions:
        if definition.name == name:
            return definition
    names = ", ".join(sorted(definition.name for definition in definitions))
    raise UsageError(f"There is no table {name}; there are {names}.")


@dataclass
class Rows(InputPartition):  # type: ignore[misc]
    """The rows of some files of a table."""

    address: Address
    files: tuple[str, ...]

    def read(self) -> Iterator[pa.RecordBatch]:
        """Them, in batches."""
        names = self.address.definition.schema.names
        for rows in self.address.table().rows(self.files, names, BATCH_ROWS):
            yield from rows.combine_chunks().to_batches()


@dataclass
class NewRows(InputPartition):  # type: ignore[misc]
    """The rows of some files of a table whose keys stand in none of the files that were there before."""

    address: Address
    files: tuple[str, ...]
    before: tuple[str, ...]
    memory_limit: str

    def read(self) -> Iterator[pa.RecordBatch]:
        """Them, in batches."""
        definition = self.address.definition
        columns = ", ".join(f'"{name}"' for name in definition.schema.names)
        key = ", ".join(f'"{name}"' for name in definition.key)
        folder = make_spill_folder()
        try:
            with duckdb.connect() as connection:
                let_read(connection, self.address.storage_options)
                connection.execute("set timezone = 'UTC'")
                connection.execute("set threads = 1")  # a task is one core's
                connection.execute("set memory_limit = ?", [self.memory_limit])
                connection.execute("set temp_directory = ?", [folder])
                # columns that older files lack
                connection.register("empty", definition.schema.empty_table())
                rows = f"select * from empty union all by name from {parquet(self.files)}"
                found = connection.execute(
                    f"select {columns} from ({rows}) anti join (select {key} from {parquet(self.before)}) "
                    f"using ({key})"
                )
                for batch in found.to_arrow_reader(BATCH_ROWS):
                    table = pa.Table.from_batches([batch]).cast(definition.schema)
                    yield from table.combine_chunks().to_batches()
        finally:
            remove_spill_folder(folder)


@dataclass
class BatchReader(DataSourceReader):  # type: ignore[misc]
    """A table as the last run left it; a table of layer 1 as it is."""

    lake: Lake
    definition: TableDefinition

    def partitions(self) -> Sequence[InputPartition]:
        """Its files, shared among tasks."""
        (files,) = (files for one, files in tables_of(self.lake).files if one.name == self.definition.name)
        return shared(self.lake.table(self.definition), files) or [
            Rows(address_of(self.lake, self.definition), ())
        ]

    def read(self, partition: Any) -> Iterator[pa.RecordBatch]:
        """What a task reads."""
        return iter(partition.read())


class Versions(DataSourceStreamReader, SupportsTriggerAvailableNow):  # type: ignore[misc]
    """A stream whose offsets are versions of one Delta table. Made anew for each plan: nothing begins before
    an offset is asked for."""

    _until: int | None = None

    def __getstate__(self) -> dict[str, object]:
        """Nothing, on an executor: what a task reads is in its partition, and settings hold secrets."""
        return {}

    def newest(self) -> int:
        """The newest version that may be read."""
        raise NotImplementedError

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802  Spark's name
        """Only what is there now: the query ends with it."""
        self._until = self.newest()

    def latestOffset(self, start: dict[str, int], limit: Any) -> dict[str, int]:  # noqa: N802
        """Up to which version is read next."""
        del limit  # a version is one commit: it cannot be cut
        newest = self.newest() if self._until is None else self._until
        return {"version": max(start["version"], newest)}

    def read(self, partition: Any) -> Iterator[pa.RecordBatch]:
        """What a task reads."""
        return iter(partition.read())


@dataclass
class StreamReader(Versions):
    """What each run brings: rows whose keys were not there before. Not what it changes or takes away."""

    lake: Lake
    name: str
    memory_limit: str

    def __post_init__(self) -> None:
        models = {model.name: model.definition for model in load_models()}
        if self.name not in models:
            raise UsageError(
                f"The table {self.name} is not made by runs, and cannot be streamed: read it with "
                "spark.read, or messages as posts with the option live."
            )
        self.definition = models[self.name]

    def initialOffset(self) -> dict[str, int]:  # noqa: N802  Spark's name
        """Before everything."""
        return {"version": NOTHING}

    def newest(self) -> int:
        """The version that the last run made visible."""
        run = last_run(self.lake)
        if run is not None:
            check_zone(self.lake, run)
        versions = {} if run is None else run.table_versions
        return versions.get(self.name, NOTHING)

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        """The days in which files came or went."""
        table = self.lake.table(self.definition)
        before, after = (set(self._files(table, offset["version"])) for offset in (start, end))
        came, went = (_by_partition(table, files) for files in (after - before, before - after))
        found: list[InputPartition] = []
        for day, files in sorted(came.items()):
            if day in went:
                address = address_of(self.lake, self.definition)
                found.append(NewRows(address, _absolute(files), _absolute(went[day]), self.memory_limit))
            else:
                found += shared(table, files)
        return found

    @staticmethod
    def _files(table: Table, version: int) -> list[str]:
        return [] if version == NOTHING else table.snapshot(version).files


def address_of(lake: Lake, definition: TableDefinition) -> Address:
    """A table, for executors."""
    table = lake.table(definition)
    return Address(absolute(table.uri), definition, table.storage_options)


def shared(table: Table, files: Sequence[str]) -> list[InputPartition]:
    """Files in groups of about as many bytes as a task reads."""
    address = Address(absolute(table.uri), table.definition, table.storage_options)
    paths = sorted(table.path_of(file) for file in files)
    if not paths:
        return []
    sizes = {info.path: info.size for info in table.filesystem.get_file_info(paths)}
    groups: list[list[str]] = [[]]
    size = 0
    for path in paths:
        if groups[-1] and size + sizes[path] > TASK_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(path)
        size += sizes[path]
    return [Rows(address, tuple(group)) for group in groups]


def _by_partition(table: Table, files: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in sorted(files):
        found.setdefault(str(partition_of(table.path_of(file))), []).append(file)
    return found


def _absolute(files: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(absolute, files))
