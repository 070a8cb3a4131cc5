"""The bytes of a journal segment: blocks of messages that can be checked when read back.

Owns the format. A segment is a file of blocks, each

    magic (4 bytes) · length of the body (4) · CRC-32 of the body (4) · CRC-32 of all these (4) · body

and the body is an Arrow IPC stream of one batch (sequence, received_at, payload) whose schema carries the
origin. The header is checked by itself: a damaged length must not look like the end of the segment. Leaves to
`journal` when blocks are written, flushed and dropped.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from bemtevi.errors import CorruptionError, StorageError
from bemtevi.listen.message import Messages, Origin, strings

MAGIC = b"bmt1"
HEADER = struct.Struct(">4sIII")
MAGIC_FAMILY = b"bmt"
TAG_SEPARATOR = "\x1f"


def encode(messages: Messages) -> bytes:
    """One block."""
    origin = messages.origin
    schema = pa.schema(
        [("sequence", pa.int64()), ("received_at", pa.int64()), ("payload", pa.large_binary())],
        metadata={
            "network": origin.network,
            "source": origin.source,
            "path": origin.path,
            "session": origin.session,
            **({"matched": TAG_SEPARATOR.join(origin.matched)} if origin.matched else {}),
        },
    )
    batch = pa.record_batch(
        [
            pa.array(messages.sequences, pa.int64()),
            pa.array(messages.received_at, pa.int64()),
            strings(messages.payloads, pa.large_binary()),
        ],
        schema=schema,
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    body = sink.getvalue()
    checksum = zlib.crc32(body)
    header = HEADER.pack(MAGIC, body.size, checksum, _header_checksum(body.size, checksum))
    return b"".join((header, body))


def decode(path: Path) -> Iterator[Messages]:
    """The blocks of a sealed segment in order.

    Raises CorruptionError for a block whose bytes are not what was written, also for one that was cut short:
    a segment is sealed with whole blocks. Raises StorageError for a segment of a newer version.
    """
    with path.open("rb") as file:
        end = 0
        for offset, body in _blocks(file, path):
            end = offset + HEADER.size + len(body)
            with pa.ipc.open_stream(body) as stream:
                table = stream.read_all()
            yield Messages(
                _origin(table.schema.metadata),
                table["payload"].to_pylist(),
                table["received_at"].to_pylist(),
                table["sequence"].to_pylist(),
            )
        if end < path.stat().st_size:
            raise _damaged(path, end, "the block is cut short")


def _origin(metadata: dict[bytes, bytes]) -> Origin:
    told = {key.decode(): value.decode() for key, value in metadata.items()}
    tags = told.pop("matched", "")
    return Origin(**told, matched=tuple(tags.split(TAG_SEPARATOR)) if tags else ())


def whole_bytes(path: Path) -> int:
    """How many bytes of an open segment are whole blocks; the rest is one that was never acknowledged.

    Raises as `decode`, but not for a last block that was cut short.
    """
    end = 0
    with path.open("rb") as file:
        for offset, body in _blocks(file, path):
            end = offset + HEADER.size + len(body)
    return end


def _blocks(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Offset and body of each whole block."""
    offset = 0
    while True:
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        magic, length, checksum, header_checksum = HEADER.unpack(header)
        whole = header_checksum == _header_checksum(length, checksum)
        if magic != MAGIC and magic.startswith(MAGIC_FAMILY) and not whole and offset == 0:
            raise StorageError(f"The segment {path} was written by a newer bemtevi: update bemtevi.")
        if magic != MAGIC or not whole:
            raise _damaged(path, offset, "no block begins there")
        body = file.read(length)
        if len(body) < length:
            return
        if zlib.crc32(body) != checksum:
            raise _damaged(path, offset, "the checksum does not fit")
        yield offset, body
        offset += HEADER.size + length


def _header_checksum(length: int, checksum: int) -> int:
    return zlib.crc32(struct.pack(">4sII", MAGIC, length, checksum))


def _damaged(path: Path, offset: int, what: str) -> CorruptionError:
    return CorruptionError(
        f"The segment {path} is damaged at byte {offset}: {what}. "
        "Keep the file; move it out of the journal to go on without it."
    )
