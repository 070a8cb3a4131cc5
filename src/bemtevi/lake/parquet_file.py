"""One Parquet file of a table while it is written, and what the log says of it.

Owns the layout inside the file: row groups of bounded bytes, large pages for the text of posts, and
statistics only of columns that nobody wrote. Leaves to `append` when a file is begun and when it becomes part
of the table.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.durable import sync
from bemtevi.lake.table import COMPRESSION_LEVEL, PAGE_BYTES, Table

ROW_GROUP_BYTES = 4 * 1024 * 1024
"""Bytes of rows in memory before they are encoded: bounds the memory of who writes and of who reads."""


@dataclass(frozen=True)
class WrittenFile:
    """A whole file of a table, as the log will tell it."""

    path: str
    size: int
    partition: dict[str, str]
    statistics: str

    def action(self, *, data_change: bool) -> AddAction:
        """What the log says of it."""
        now = time.time_ns() // 1_000_000
        return AddAction(self.path, self.size, self.partition, now, data_change, self.statistics)


class ParquetFile:
    """A file in a partition of a table. Rows come in order."""

    def __init__(
        self, table: Table, partition: dict[str, str], encoder: Executor, row_group_bytes: int | None = None
    ) -> None:
        self._encoder = encoder
        self._row_group_bytes = row_group_bytes or ROW_GROUP_BYTES
        self._encoding: Future[None] | None = None
        self.partition = partition
        self._table = table
        self._names = [name for name in table.definition.schema.names if name not in partition]
        folder = "/".join(f"{name}={value}" for name, value in partition.items())
        name = f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
        self.path = f"{folder}/{name}" if folder else name
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self.size = 0
        """Bytes on the disk, once it is closed."""
        self._metadata: list[pq.FileMetaData] = []
        if table.is_local:
            (Path(table.uri) / folder).mkdir(parents=True, exist_ok=True)
        open_columns = [column.name for column in table.definition.columns if not column.private]
        schema = pa.schema([table.definition.schema.field(name) for name in self._names])
        self._sink = table.filesystem.open_output_stream(self.path)
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            data_page_size=PAGE_BYTES,
            use_dictionary=dictionary_columns(table.definition),
            write_statistics=open_columns,
            store_schema=False,
            metadata_collector=self._metadata,
        )

    def write(self, rows: pa.Table) -> None:
        """Take rows; they are encoded when there are enough of them."""
        self._waiting.append(rows.select(self._names))
        self._bytes += rows.nbytes
        if self._bytes >= self._row_group_bytes:
            self._encode(self._encoder)

    def close(self) -> None:
        """Nothing more comes. The file is whole and, on a local disk, durable."""
        self._encode(None)
        if self._encoding is not None:
            self._encoding.result()
        self._writer.close()
        self._sink.close()
        if self._table.is_local:
            self.size = sync(Path(self._table.uri) / self.path)
        else:
            self.size = self._table.filesystem.get_file_info(self.path).size

    def discard(self) -> None:
        """Take it away as far as that is possible; nobody refers to it."""
        with contextlib.suppress(Exception):
            if self._encoding is not None:
                self._encoding.result()
        with contextlib.suppress(Exception):
            self._writer.close()
        with contextlib.suppress(Exception):
            self._sink.close()
        with contextlib.suppress(Exception):
            self._table.delete_file(self.path)

    def written(self) -> WrittenFile:
        """The file, once it is closed."""
        told = statistics(self._metadata[0], self._table.definition.statistics_columns)
        return WrittenFile(self.path, self.size, self.partition, json.dumps(told))

    def action(self, *, data_change: bool) -> AddAction:
        """What the log says of the closed file."""
        return self.written().action(data_change=data_change)

    def _encode(self, encoder: Executor | None) -> None:
        """Make what waits a row group; with an encoder, while the next rows are made. One at a time."""
        if self._encoding is not None:
            self._encoding.result()
            self._encoding = None
        if not self._waiting:
            return
        rows = pa.concat_tables(self._waiting)
        self._waiting, self._bytes = [], 0
        if encoder is None:
            self._writer.write_table(rows, row_group_size=rows.num_rows)
        else:
            self._encoding = encoder.submit(self._writer.write_table, rows, row_group_size=rows.num_rows)


def statistics(metadata: pq.FileMetaData, names: list[str]) -> dict[str, object]:
    """Number of rows, and smallest and largest value and nulls of each named column, as Delta's log wants."""
    lowest: dict[str, object] = {}
    highest: dict[str, object] = {}
    nulls: dict[str, int] = {}
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            name, found = column.path_in_schema, column.statistics
            if name not in names or found is None:
                continue
            nulls[name] = nulls.get(name, 0) + found.null_count
            if found.has_min_max:
                lowest[name] = min(lowest.get(name, found.min), found.min)
                highest[name] = max(highest.get(name, found.max), found.max)
    return {
        "numRecords": metadata.num_rows,
        "minValues": {name: _json(value) for name, value in lowest.items()},
        "maxValues": {name: _json(value) for name, value in highest.items()},
        "nullCount": nulls,
    }


def dictionary_columns(definition: TableDefinition) -> list[str]:
    """The columns whose values repeat, lists by their leaves, as the writer names them."""
    names: list[str] = []
    for column in definition.columns:
        if pa.types.is_nested(column.type):
            names += _leaves(column.name, column.type)
        elif not column.private and not column.distinct:
            names.append(column.name)
    return names


def _leaves(path: str, type_: pa.DataType) -> list[str]:
    if isinstance(type_, pa.ListType):
        return _leaves(f"{path}.list.element", type_.value_type)
    if isinstance(type_, pa.StructType):
        return [leaf for field in type_ for leaf in _leaves(f"{path}.{field.name}", field.type)]
    return [path]


def _json(value: object) -> object:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return value.isoformat(timespec="microseconds")
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return value.isoformat() if isinstance(value, date) else value
