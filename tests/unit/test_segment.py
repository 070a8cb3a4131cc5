"""The bytes of a segment: what is damaged is told, what was cut off is only ever the last block."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.errors import CorruptionError, StorageError
from bemtevi.listen import segment
from bemtevi.listen.message import Messages, Origin

BLOCKS = [
    Messages(
        Origin("x", "host", "stream", f"session {number}"), [b"payload %d" % number, b""], [7, 8], [0, 1]
    )
    for number in range(3)
]


def written(folder: Path, data: bytes) -> Path:
    path = folder / "000000000000.segment"
    path.unlink(missing_ok=True)  # a new file: some file systems flush one that is written over
    path.write_bytes(data)
    return path


def plain(messages: Messages) -> tuple[Origin, list[bytes], list[int], list[int]]:
    return messages.origin, list(messages.payloads), list(messages.received_at), list(messages.sequences)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tags = st.lists(st.text("abc:0-", min_size=1, max_size=9), max_size=3).map(tuple)
times = st.integers(-(2**63), 2**63 - 1)


@st.composite
def messages(draw: st.DrawFn) -> Messages:
    origin = Origin(draw(words), draw(words), draw(words), draw(words), draw(tags))
    payloads = draw(st.lists(st.binary(max_size=200), max_size=6))
    first = draw(st.integers(0, 2**40))
    received = [draw(times) for _ in payloads]
    return Messages(origin, payloads, received, range(first, first + len(payloads)))


@given(made=st.lists(messages(), max_size=4))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, made: list[Messages]) -> None:
    data = b"".join(map(segment.encode, made))
    path = written(tmp_path_factory.getbasetemp(), data)
    assert [plain(block) for block in segment.decode(path)] == [plain(block) for block in made]
    assert segment.whole_bytes(path) == len(data)


def test_a_tail_cut_anywhere_leaves_the_blocks_before_it(tmp_path: Path) -> None:
    kept = b"".join(map(segment.encode, BLOCKS[:2]))
    last = segment.encode(BLOCKS[2])
    for size in range(len(last)):
        path = written(tmp_path, kept + last[:size])
        assert segment.whole_bytes(path) == len(kept)
        if size:
            with pytest.raises(CorruptionError, match="cut short"):
                list(segment.decode(path))  # a sealed segment has whole blocks
    assert segment.whole_bytes(written(tmp_path, kept + last)) == len(kept + last)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_anywhere_is_corruption(tmp_path: Path, flip: int) -> None:
    data = b"".join(map(segment.encode, BLOCKS))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= flip
        path = written(tmp_path, bytes(damaged))
        with pytest.raises(CorruptionError, match="Keep the file"):
            list(segment.decode(path))
        with pytest.raises(CorruptionError):
            segment.whole_bytes(path)


def test_what_is_no_segment_is_corruption(tmp_path: Path) -> None:
    for data in (b"\0" * 64, b"PAR1" * 20, segment.encode(BLOCKS[0]) + b"\0" * 64):
        with pytest.raises(CorruptionError):
            segment.whole_bytes(written(tmp_path, data))


def test_a_newer_version_is_no_corruption(tmp_path: Path) -> None:
    head = struct.pack(">4sII", b"bmt3", 4, zlib.crc32(b"body"))
    path = written(tmp_path, head + struct.pack(">I", zlib.crc32(head)) + b"body")
    for read in (segment.whole_bytes, lambda path: list(segment.decode(path))):
        with pytest.raises(StorageError, match="newer bemtevi") as caught:
            read(path)
        assert not isinstance(caught.value, CorruptionError)


def test_an_empty_file_is_an_empty_segment(tmp_path: Path) -> None:
    assert list(segment.decode(written(tmp_path, b""))) == []


FIRST_VERSION = Path(__file__).with_name("segments") / "bmt1.segment"
"""Recorded when that was the format."""


def test_a_segment_of_the_first_version_is_read(tmp_path: Path) -> None:
    origin = Origin("x", "api.x.com", "stream", "0f" * 16)
    at = 1_795_541_216_000_000
    assert [plain(block) for block in segment.decode(FIRST_VERSION)] == [
        (
            origin,
            [b'{"data":{"id":"1","text":"a"}}', b"", b"not json \xff\n"],
            [at, at + 1, at + 9],
            [0, 1, 2],
        ),
        (origin, ["olá".encode()], [at + 10], [3]),
    ]
    data = FIRST_VERSION.read_bytes()
    torn = written(tmp_path, data[:-5])
    assert 0 < segment.whole_bytes(torn) < len(data) - 5
    mixed = written(tmp_path, data + segment.encode(BLOCKS[0]))  # a process of that version was killed
    assert segment.whole_bytes(mixed) == mixed.stat().st_size
    assert len(list(segment.decode(mixed))) == 3
    damaged = bytearray(data)
    damaged[60] ^= 1
    with pytest.raises(CorruptionError):
        list(segment.decode(written(tmp_path, bytes(damaged))))


def test_the_payloads_lie_as_arrow_wants_them(tmp_path: Path) -> None:
    (block,) = segment.decode(written(tmp_path, segment.encode(BLOCKS[0])))
    assert block.column is not None
    assert block.column.cast("binary").to_pylist() == block.payloads


def test_a_block_takes_consecutive_messages_only() -> None:
    origin = Origin("x", "host", "stream", "s")
    with pytest.raises(ValueError, match="consecutive"):
        segment.encode(Messages(origin, [b"a", b"b"], [1, 2], [0, 2]))
