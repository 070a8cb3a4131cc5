"""What runs on an executor, in Python: reading messages, staging, hiding, and the writing of files.

Owns what is handed over for that, and the forms in which results come back. A batch of rows at a time
bounds the memory of a task whatever the size of its partition. Staging and hiding are DuckDB's, by the same
SQL as on one machine; files are written as they are there. Leaves to `engine` what is done with the results.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa

from bemtevi.lake.append import put_together
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.parquet_file import WrittenFile
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.replacement import addition_to
from bemtevi.lake.table import Table
from bemtevi.warehouse import hashtag, hiding, holiday
from bemtevi.warehouse.engine import Choose
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.notice import read_notice

Batches = Iterable[pa.RecordBatch]

FILES = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("partition", pa.string()),
        pa.field("statistics", pa.string()),
    ]
)
"""What comes to the driver of the files that were written."""
MERGED = pa.schema([*FILES, pa.field("place", pa.int64())])


@dataclass(frozen=True)
class Address:
    """A table, as it is sent to an executor."""

    uri: str
    definition: TableDefinition
    storage_options: dict[str, str] = field(default_factory=dict, repr=False)

    def table(self) -> Table:
        """The table, opened where it is asked for."""
        return Table(self.uri, self.definition, self.storage_options, {})


@dataclass(frozen=True)
class Reader:
    """Reads some files of a table. It is asked for them by their places in the list."""

    address: Address
    files: tuple[str, ...]

    def __call__(self, places: Batches) -> Iterator[pa.RecordBatch]:
        """The rows of the files at some places."""
        for rows in self.read(places):
            yield from rows.combine_chunks().to_batches()

    def read(self, places: Batches) -> Iterator[pa.Table]:
        """The same, as tables."""
        table = self.address.table()
        for batch in places:
            for place in batch.column(0).to_pylist():
                yield from table.rows([self.files[place]], self.address.definition.schema.names)


@dataclass(frozen=True)
class Stager:
    """Stages messages. Its rows are of three kinds: an observation, a message that gave none, and a
    number of messages."""

    timezone: str
    memory_limit: str
    rule_hashtags: dict[str, list[str]] = field(default_factory=dict)
    reader: Reader | None = None
    hours: tuple[datetime, ...] | None = None
    holding: tuple[str, ...] | None = None

    def schema(self) -> pa.Schema:
        """The columns of what `__call__` yields."""
        with self._engine() as engine:
            _, observations, _ = engine.stage_messages(RAW.schema.empty_table())
        return pa.schema(
            [
                pa.field("observation", pa.struct(list(observations.schema))),
                pa.field("unreadable", pa.struct(list(QUARANTINE.schema))),
                pa.field("messages", pa.int64()),
            ]
        )

    def __call__(self, places: Batches) -> Iterator[pa.RecordBatch]:
        """What the messages in the files at some places give."""
        if self.reader is None:
            return
        with self._engine() as engine:
            for messages in self.reader.read(places):
                yield from _side_by_side(*engine.stage_messages(messages, self.hours, self.holding))

    def _engine(self) -> DuckDBEngine:
        return DuckDBEngine(
            timezone=self.timezone,
            memory_limit=self.memory_limit,
            threads=1,  # a task is one core's
            rule_hashtags=self.rule_hashtags,
        )


def _side_by_side(number: int, observations: pa.Table, unreadable: pa.Table) -> Iterator[pa.RecordBatch]:
    names = ["observation", "unreadable", "messages"]
    kinds = [pa.struct(list(observations.schema)), pa.struct(list(unreadable.schema)), pa.int64()]
    counted = pa.record_batch(
        [pa.nulls(1, kinds[0]), pa.nulls(1, kinds[1]), pa.array([number], kinds[2])], names
    )
    yield counted
    for place, table in enumerate((observations, unreadable)):
        for batch in table.combine_chunks().to_batches():
            columns = [pa.nulls(batch.num_rows, kind) for kind in kinds]
            columns[place] = batch.to_struct_array()
            yield pa.RecordBatch.from_arrays(columns, names)


@dataclass(frozen=True)
class Hider:
    """Runs one of the rules of `hiding` over rows, in DuckDB: `query` is over the relation `given`."""

    gone: bytes
    schema: pa.Schema
    query: str

    @classmethod
    def of(cls, gone: pa.Table, schema: pa.Schema, query: str) -> Hider:
        """With the tombstones that hold."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, gone.schema) as writer:
            writer.write_table(gone)
        return cls(sink.getvalue().to_pybytes(), schema, query)

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        """What the query makes of each batch."""
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute("set threads = 1")
            connection.execute("set preserve_insertion_order = true")
            connection.register(hiding.GONE, pa.ipc.open_stream(self.gone).read_all())
            for statement in hiding.prepare():
                connection.execute(statement)
            for batch in batches:
                connection.register("given", pa.Table.from_batches([batch]).cast(self.schema))
                yield from connection.execute(self.query).to_arrow_table().combine_chunks().to_batches()


@dataclass(frozen=True)
class Chooser:
    """Which of the posts and authors named in rows of network, subject and id are wanted."""

    choose: Choose

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        """The rows that are."""
        for batch in batches:
            ids = [(row["network"], row["subject"], row["id"]) for row in batch.to_pylist()]
            yield batch.take(pa.array(self.choose(ids), pa.int64()))


def only_notices(batches: Batches) -> Iterator[pa.RecordBatch]:
    """Of messages with network, received_at and payload, those that are notices of deletion."""
    for batch in batches:
        told = [
            any(read_notice(row["network"], row["payload"].encode(), row["received_at"].astimezone(UTC)))
            for row in batch.to_pylist()
        ]
        yield batch.filter(pa.array(told, pa.bool_()))


@dataclass(frozen=True)
class Writer:
    """Writes rows to files of a table that nobody sees. An attempt that fails takes its files away."""

    address: Address

    def __call__(self, batches: Batches) -> Iterator[pa.RecordBatch]:
        """Of each file, what the log will say."""
        schema = self.address.definition.schema
        with ThreadPoolExecutor(1, "encoder") as encoder:
            addition = addition_to(self.address.table(), encoder)
            try:
                for batch in batches:
                    addition.add(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
                files = [file.written() for file in addition.finish()]
            except BaseException:
                addition.abandon()
                raise
        yield pa.RecordBatch.from_pylist([_told(file) for file in files], FILES)


def _told(file: WrittenFile) -> dict[str, object]:
    return {
        "path": file.path,
        "size": file.size,
        "partition": json.dumps(file.partition),
        "statistics": file.statistics,
    }


@dataclass(frozen=True)
class Merger:
    """Puts each of some groups of files of a table together; it is asked for them by their places."""

    address: Address
    groups: tuple[tuple[str, ...], ...]
    row_group_bytes: int | None

    def __call__(self, places: Batches) -> Iterator[pa.RecordBatch]:
        """Of each file that was written, what the log will say, and the place of its group."""
        table = self.address.table()
        by = table.definition.partition_by
        with ThreadPoolExecutor(1, "encoder") as encoder:
            for batch in places:
                for place in batch.column(0).to_pylist():
                    file = put_together(table, self.groups[place], by, encoder, self.row_group_bytes)
                    yield pa.RecordBatch.from_pylist([{**_told(file), "place": place}], MERGED)


def written_file(path: str, size: int, partition: str, statistics: str) -> WrittenFile:
    """What a writer told of a file."""
    return WrittenFile(path, size, json.loads(partition), statistics)


def absolute(uri: str) -> str:
    """An address that means the same in every folder in which an executor runs."""
    return uri if "://" in uri else str(Path(uri).absolute())


def fold_plain(spellings: pa.Array) -> pa.Array:
    """`hashtag_fold_plain` for Spark, which sees by the annotations that it is over Arrow arrays."""
    return hashtag.fold_plain_array(spellings)


@dataclass(frozen=True)
class HolidayName:
    """`holiday_name` for Spark; the library's calendar is made on the executor, once in each process."""

    timezone: str

    def __call__(self, day: date | None) -> str | None:
        """The name of the holiday of a day, or None."""
        return _names(self.timezone)(day)


@cache
def _names(timezone: str) -> Callable[[date | None], str | None]:
    return holiday.holiday_names(timezone)
