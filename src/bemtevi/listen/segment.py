"""The bytes of a journal segment: blocks of messages that can be checked when read back.

Owns the format. A segment is a file of blocks, each

    magic (4 bytes) · length of the body (4) · CRC-32 of the body (4) · CRC-32 of all these (4) · body

and the body is, in little-endian numbers and without padding,

    length of the origin (4) · number of messages (4) · sequence of the first (8) · origin as JSON
    · received_at of each (8) · length of each payload (4) · the payloads

The header is checked by itself: a damaged length must not look like the end of the segment. The payloads lie
as Arrow and Parquet want them, so nothing is encoded twice. Blocks of the first version, whose body is an
Arrow IPC stream, are still read. Leaves to `journal` when blocks are written, flushed and dropped.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bemtevi.errors import CorruptionError, StorageError
from bemtevi.listen.message import Messages, Origin

MAGIC = b"bmt2"
FIRST_MAGIC = b"bmt1"
MAGIC_FAMILY = b"bmt"
HEADER = struct.Struct(">4sIII")
PREFIX = struct.Struct("<IIq")


def pieces(messages: Messages) -> tuple[bytes, bytes, bytes]:
    """One block, as parts to be written one after the other: the payloads are copied once only.

    Raises ValueError for messages whose sequences are not one after the other.
    """
    payloads = messages.payloads
    count = len(payloads)
    first = messages.sequences[0] if count else 0
    if count and messages.sequences[-1] - first != count - 1:
        raise ValueError("a block takes consecutive messages only")
    origin = msgspec.json.encode(messages.origin)
    data = b"".join(payloads)
    head = b"".join(
        (
            PREFIX.pack(len(origin), count, first),
            origin,
            np.asarray(messages.received_at, "<i8").tobytes(),
            np.asarray(messages.sizes, "<u4").tobytes(),
        )
    )
    length = len(head) + len(data)
    checksum = zlib.crc32(data, zlib.crc32(head))
    return HEADER.pack(MAGIC, length, checksum, _header_checksum(MAGIC, length, checksum)), head, data


def encode(messages: Messages) -> bytes:
    """One block."""
    return b"".join(pieces(messages))


def decode(path: Path) -> Iterator[Messages]:
    """The blocks of a sealed segment in order.

    Raises CorruptionError for a block whose bytes are not what was written, also for one that was cut short:
    a segment is sealed with whole blocks. Raises StorageError for a segment of a newer version.
    """
    with path.open("rb") as file:
        end = 0
        for offset, magic, body in _blocks(file, path):
            end = offset + HEADER.size + len(body)
            yield _first_version(body) if magic == FIRST_MAGIC else _messages(body)
        if end < path.stat().st_size:
            raise _damaged(path, end, "the block is cut short")


def whole_blocks(file: BinaryIO, path: Path, start: int) -> Iterator[tuple[int, Messages]]:
    """The whole blocks from a byte on, each with the byte where it ends: of a segment still being written.

    Raises as `decode`, but not for a last block that is not whole yet.
    """
    file.seek(start)
    for offset, magic, body in _blocks(file, path):
        end = start + offset + HEADER.size + len(body)
        yield end, _first_version(body) if magic == FIRST_MAGIC else _messages(body)


def whole_bytes(path: Path) -> int:
    """How many bytes of an open segment are whole blocks; the rest is one that was never acknowledged.

    Raises as `decode`, but not for a last block that was cut short.
    """
    end = 0
    with path.open("rb") as file:
        for offset, _, body in _blocks(file, path):
            end = offset + HEADER.size + len(body)
    return end


def _messages(body: bytes) -> Messages:
    origin_bytes, count, first = PREFIX.unpack_from(body)
    at = PREFIX.size + origin_bytes
    origin = msgspec.json.decode(body[PREFIX.size : at], type=Origin)
    received_at = np.frombuffer(body, "<i8", count, at)
    lengths = np.frombuffer(body, "<u4", count, at + 8 * count)
    at += 12 * count
    offsets: NDArray[np.int32] = np.zeros(count + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    payloads = [body[start:end] for start, end in pairwise((offsets + at).tolist())]
    column = pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(body).slice(at)]
    )
    return Messages(origin, payloads, received_at.tolist(), range(first, first + count), column=column)


def _first_version(body: bytes) -> Messages:
    with pa.ipc.open_stream(body) as stream:
        table = stream.read_all()
    return Messages(
        Origin(**{key.decode(): value.decode() for key, value in table.schema.metadata.items()}),
        table["payload"].to_pylist(),
        table["received_at"].to_pylist(),
        table["sequence"].to_pylist(),
    )


def _blocks(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Offset, magic and body of each whole block."""
    offset = 0
    while True:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        magic, length, checksum, header_checksum = HEADER.unpack(header)
        known = magic in (MAGIC, FIRST_MAGIC)
        whole = header_checksum == _header_checksum(magic, length, checksum)
        if not known and magic.startswith(MAGIC_FAMILY) and whole:
            raise StorageError(f"The segment {path} was written by a newer bemtevi: update bemtevi.")
        if not known or not whole:
            raise _damaged(path, offset, "no block begins there")
        body = file.read(length)
        if len(body) < length:
            return
        if zlib.crc32(body) != checksum:
            raise _damaged(path, offset, "the checksum does not fit")
        yield offset, magic, body
        offset += HEADER.size + length


def _header_checksum(magic: bytes, length: int, checksum: int) -> int:
    return zlib.crc32(struct.pack(">4sII", magic, length, checksum))


def _damaged(path: Path, offset: int, what: str) -> CorruptionError:
    return CorruptionError(
        f"The segment {path} is damaged at byte {offset}: {what}. "
        "Keep the file; move it out of the journal to go on without it."
    )
