"""Whether the files of a table are what its log says.

Owns the reading of every file of one version, whole: it is there, it has the size and the rows of the log,
and every page of it can be unpacked. Leaves to `warehouse.verify` what the tables say about each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from bemtevi.lake.maintenance import DataFile, MaintainedTable

BATCH_ROWS = 20_000


@dataclass
class Examined:
    """What was read of one table, and what was found wrong, a sentence each."""

    table: str
    version: int
    files: int = 0
    rows: int = 0
    size: int = 0
    damage: list[str] = field(default_factory=list)


def examine(table: MaintainedTable, version: int | None = None) -> Examined:
    """Read every file of a version, the newest if None. Raises StorageError if the log cannot be read."""
    examined = Examined(table.definition.name, table.version() if version is None else version)
    for file in table.data_files(examined.version):
        examined.files += 1
        examined.rows += file.rows
        examined.size += file.size
        wrong = _wrong(table, file)
        if wrong is not None:
            examined.damage.append(f"The file {table.uri}/{file.path} {wrong}")
    return examined


def _wrong(table: MaintainedTable, file: DataFile) -> str | None:
    """What is wrong with a file; None if nothing is."""
    try:
        size = table.size_of(file.path)
        if size is None:
            return "is missing."
        if size != file.size:
            return f"has {size} bytes, the log says {file.size}."
        with table.open_file(file.path) as stream:
            rows = sum(
                batch.num_rows for batch in pq.ParquetFile(stream).iter_batches(BATCH_ROWS, use_threads=False)
            )
    except (OSError, pa.ArrowException) as error:
        return f"does not read back ({type(error).__name__})."
    return None if rows == file.rows else f"has {rows} rows, the log says {file.rows}."
