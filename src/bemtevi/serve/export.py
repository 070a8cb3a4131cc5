"""Answers as bytes: CSV, JSON, JSON Lines, Parquet.

Owns the forms that other programs read; each reads back to the same values, where the form can hold them.
Post text is hostile: a cell that a spreadsheet would run as a formula gets an apostrophe before it (OWASP,
CSV injection), which is the one thing that CSV does not give back.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, time
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bemtevi.errors import StorageError, UsageError

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CSV_SPECIAL = frozenset(',"\r\n')

_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


def write_csv(rows: pa.RecordBatchReader, out: IO[bytes]) -> None:
    """RFC 4180 with a header. Null is nothing, an empty text is `""`; lists and structs are JSON."""
    out.write(_line(rows.schema.names))
    for batch in rows:
        columns = [column.to_pylist() for column in batch.columns]
        out.writelines(_line(row) for row in zip(*columns, strict=True))


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
    """Write an answer to a file: whole, or not at all. A pipe or a device is written as it is."""
    with beside(path) as target:
        try:
            with target.open("wb") as out:
                FORMATS[form](rows, out)
        except OSError as error:
            raise StorageError(
                f"The answer cannot be written to {path}: {error.strerror or error}."
            ) from None


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file that takes the place of another when all went well, and is gone when it did not.

    A pipe or a device is its own place. Raises UsageError for a folder, StorageError.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: give the name of a file.")
    if path.exists() and not path.is_file():
        yield path
        return
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}.") from None
    finally:
        if part.parent.is_dir():
            part.unlink(missing_ok=True)


def _line(values: Iterable[Any]) -> bytes:
    """One line of CSV; an empty line would be no row, so a lonely null is `""`."""
    return ((",".join(map(_cell, values)) or '""') + "\r\n").encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = written(value)
    if isinstance(value, str) and text.startswith(FORMULA_STARTS):
        text = "'" + text
    if not text or not CSV_SPECIAL.isdisjoint(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def written(value: Any) -> str:
    """A value as text that reads back: ISO times, true and false, base64 for bytes, JSON for lists."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat(sep=" ")
        case time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case list() | dict() | tuple():
            return _encode(value).decode()
        case _:
            return str(value)
