"""The rows of a table's files, one file after the other: memory for one batch, however many there are.

Owns how a file becomes rows of the table: with its partition, and with columns that it was made before.
Leaves to `table` which files those are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

BATCH_ROWS = 10_000


def rows_of(
    filesystem: pyarrow.fs.FileSystem, path: str, columns: Sequence[str], schema: pa.Schema, at_once: int
) -> Iterator[pa.Table]:
    """Some columns of a file, so many rows at once, in the types of the table's schema. Raises OSError."""
    wanted = pa.schema([schema.field(name) for name in columns])
    partition = partition_of(path)
    with filesystem.open_input_file(path) as source:
        file = pq.ParquetFile(source)
        there = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(at_once, columns=there, use_threads=False):
            yield whole(pa.Table.from_batches([batch]), partition, wanted)


def partition_of(path: str) -> dict[str, str]:
    """The partition that a path names."""
    return dict(part.split("=", 1) for part in path.split("/")[:-1])


def whole(rows: pa.Table, partition: dict[str, str], schema: pa.Schema) -> pa.Table:
    """Rows of a file in the schema of the table: with its partition, and columns that it was made before."""
    columns = []
    for field in schema:
        if field.name in partition:
            columns.append(pa.repeat(pa.scalar(partition[field.name]).cast(field.type), rows.num_rows))
        elif field.name in rows.column_names:
            columns.append(rows[field.name].cast(field.type))
        else:
            columns.append(pa.nulls(rows.num_rows, field.type))
    return pa.table(columns, schema=schema)
