"""Files opened up: whatever they are packed in, as streams of bytes with a name.

Owns plain, `.gz`, `.bz2`, `.zst`, `.zip` and `.tar`, known by their first bytes and one inside the other.
Leaves to `archive` what the bytes mean.
"""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import zstandard

from bemtevi.errors import UsageError

CHUNK_BYTES = 1024 * 1024
HEAD_BYTES = 512

Chunks = Iterator[bytes]
Advance = Callable[[int], None]


class Decoder(Protocol):
    """What gzip, bzip2 and zstd have in common in their libraries."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
ZIP = b"PK\x03\x04"
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)


class CutError(Exception):
    """The packed data ends before it should, or is damaged."""


def ignore(size: int) -> None:
    """Nobody watches."""


def members(
    path: Path, advance: Advance = ignore, see: Callable[[bytes], object] | None = None
) -> Iterator[tuple[str, Chunks]]:
    """The files inside a file, as (name, chunks); a plain file is its only member.

    `advance` is told how many bytes of the outer file are read, `see` is shown them: all of them by the time
    the last member is used up. Chunks must be used up before the next member is asked for. Raises UsageError
    if the file cannot be opened, CutError where it is damaged.
    """
    try:
        with path.open("rb") as file:
            yield from _open(path.name, _read(file, advance, see))
            for _ in _read(file, advance, see):  # what follows the end of a packed file
                pass
    except OSError as error:
        raise UsageError(f"The file {path} cannot be read: {error.strerror or error}.") from None


def _read(file: IO[bytes], advance: Advance, see: Callable[[bytes], object] | None = None) -> Chunks:
    while chunk := file.read(CHUNK_BYTES):
        advance(len(chunk))
        if see is not None:
            see(chunk)
        yield chunk


def _open(name: str, chunks: Chunks) -> Iterator[tuple[str, Chunks]]:
    head, chunks = _peek(chunks)
    for magic, decoder in DECODERS.items():
        if head.startswith(magic):
            yield from _open(name.removesuffix(Path(name).suffix), _decompressed(chunks, decoder))
            return
    if head.startswith(ZIP):
        yield from _zip(name, chunks)
    elif head[257:262] == b"ustar":
        yield from _tar(name, chunks)
    else:
        yield name, chunks


def _peek(chunks: Chunks) -> tuple[bytes, Chunks]:
    """The first bytes, and the chunks with nothing missing."""
    taken: list[bytes] = []
    size = 0
    for chunk in chunks:
        taken.append(chunk)
        size += len(chunk)
        if size >= HEAD_BYTES:
            break
    start = b"".join(taken)

    def whole() -> Chunks:
        if start:
            yield start
        yield from chunks

    return start[:HEAD_BYTES], whole()


def _decompressed(chunks: Chunks, new: Callable[[], Decoder]) -> Chunks:
    """Any number of frames, one after the other. Raises CutError if the last one does not end."""
    decoder: Decoder | None = None
    for chunk in chunks:
        data = chunk
        while data:
            if decoder is None:
                data = data.lstrip(b"\0")  # padding after the last frame
                if not data:
                    break
                decoder = new()
            try:
                out = decoder.decompress(data)
            except (zlib.error, OSError, EOFError, zstandard.ZstdError) as error:
                raise CutError(f"the packed data is damaged ({error})") from None
            if out:
                yield out
            data = b""
            if decoder.eof:
                data = decoder.unused_data
                decoder = None
    if decoder is not None:
        raise CutError("the packed data ends too early")


def _zip(name: str, chunks: Chunks) -> Iterator[tuple[str, Chunks]]:
    """A zip's directory is at its end, so it is kept whole: in memory if small, else on disk."""
    with tempfile.SpooledTemporaryFile(max_size=256 * 1024 * 1024) as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        try:
            with zipfile.ZipFile(spool) as archive:
                for info in archive.infolist():
                    if not info.is_dir():
                        with archive.open(info) as file:
                            yield from _open(f"{name}!{printable(info.filename)}", _read_told(file))
        except (*DAMAGE, NotImplementedError, RuntimeError) as error:
            raise CutError(f"the zip file is damaged ({error})") from None


def _tar(name: str, chunks: Chunks) -> Iterator[tuple[str, Chunks]]:
    try:
        stream = io.BufferedReader(_Stream(chunks))
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as archive:
            for info in archive:
                file = archive.extractfile(info) if info.isfile() else None
                if file is not None:
                    yield from _open(f"{name}!{printable(info.name)}", _read_told(file))
        for _ in chunks:  # padding; what it is packed in checks itself at its end
            pass
    except DAMAGE as error:
        raise CutError(f"the tar file is damaged ({error})") from None


def _read_told(file: IO[bytes]) -> Chunks:
    try:
        yield from _read(file, ignore)
    except DAMAGE as error:
        raise CutError(f"a file inside is damaged ({error})") from None


def printable(name: str) -> str:
    """A member's name without the bytes that were not UTF-8: it goes into tables and onto screens."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Member(tarfile.TarInfo):
    """A member whose header must be whole: by itself, tarfile takes a damaged one for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Member:
        """As in the parent. Raises ReadError for all but a proper header and the mark of the end."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # typeshed leaves it out
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"no header where one must be: {error}") from None


class _Stream(io.RawIOBase):
    """Chunks as a file that can only be read forward."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size
