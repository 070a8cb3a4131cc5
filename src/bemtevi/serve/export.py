"""Answers as bytes: CSV, JSON, JSON Lines, Parquet.

Owns the forms that other programs read. Post text is hostile: a cell that a spreadsheet would run as a
formula gets an apostrophe before it (OWASP, CSV injection).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bemtevi.errors import StorageError, UsageError

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


def write_csv(rows: pa.RecordBatchReader, out: IO[bytes]) -> None:
    """RFC 4180 with a header; lists and structs as JSON."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(rows.schema.names)
    for batch in rows:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            writer.writerow([_cell(value) for value in row])
    text.detach()


def write_json(rows: pa.RecordBatchReader, out: IO[bytes]) -> None:
    """One array of objects."""
    out.write(b"[")
    before = b"\n"
    for batch in rows:
        for row in batch.to_pylist():
            out.write(before + _encode(row))
            before = b",\n"
    out.write(b"\n]\n")


def write_jsonl(rows: pa.RecordBatchReader, out: IO[bytes]) -> None:
    """One object a line."""
    for batch in rows:
        for row in batch.to_pylist():
            out.write(_encode(row) + b"\n")


def write_parquet(rows: pa.RecordBatchReader, out: IO[bytes]) -> None:
    """One Parquet file, zstd."""
    with pq.ParquetWriter(out, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)


FORMATS: dict[str, Callable[[pa.RecordBatchReader, IO[bytes]], None]] = {
    "csv": write_csv,
    "json": write_json,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


def write_file(rows: pa.RecordBatchReader, form: str, path: Path) -> None:
    """Write an answer to a file: whole, or not at all."""
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as out:
            FORMATS[form](rows, out)
        temporary.replace(path)
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder: give the name of a file.") from None
    except OSError as error:
        raise StorageError(f"The answer cannot be written to {path}: {error.strerror or error}.") from None
    finally:
        temporary.unlink(missing_ok=True)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return "'" + value if value.startswith(FORMULA_STARTS) else value
    if isinstance(value, list | dict):
        return _encode(value).decode()
    return value
