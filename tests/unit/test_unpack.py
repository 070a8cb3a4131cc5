"""Files opened up, whatever they are packed in; damage is told, never passed over."""

from __future__ import annotations

import bz2
import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from bemtevi.errors import UsageError
from bemtevi.listen.unpack import CutError, members

LINES = b"".join(b'{"n":%d,"noise":"%d"}\n' % (n, random.Random(n).getrandbits(64)) for n in range(120))
MORE = b'{"second":true}\n' * 50

Pack = Callable[[bytes], bytes]


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def zst_without_size(data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return compressor.compress(data) + compressor.flush()


def zipped(**files: bytes) -> bytes:
    return zipped_with(zipfile.ZIP_DEFLATED, **files)


def zipped_with(method: int, **files: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        archive.writestr("folder/", b"")
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


def tarred(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


STREAMS: dict[str, Pack] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zst,
    "zst2": zst_without_size,
}


def opened(path: Path) -> dict[str, bytes]:
    return {name: b"".join(chunks) for name, chunks in members(path)}


def unpacked(folder: Path, name: str, data: bytes) -> dict[str, bytes]:
    path = folder / name
    path.unlink(missing_ok=True)  # a new file: some file systems flush one that is written over
    path.write_bytes(data)
    return opened(path)


@pytest.mark.parametrize("data", [LINES, b"", b"x", b'{"a":1}'])
def test_a_plain_file_is_its_only_member(tmp_path: Path, data: bytes) -> None:
    assert unpacked(tmp_path, "a.jsonl", data) == {"a.jsonl": data}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_packed_stream_loses_its_ending(tmp_path: Path, kind: str) -> None:
    assert unpacked(tmp_path, f"a.jsonl.{kind}", STREAMS[kind](LINES)) == {"a.jsonl": LINES}
    assert unpacked(tmp_path, "noending", STREAMS[kind](LINES)) == {"noending": LINES}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("parts", [2, 7])
def test_many_frames_are_one_stream(tmp_path: Path, kind: str, parts: int) -> None:
    size = len(LINES) // parts + 1
    frames = b"".join(STREAMS[kind](LINES[at : at + size]) for at in range(0, len(LINES), size))
    assert unpacked(tmp_path, f"a.{kind}", frames) == {"a": LINES}


@pytest.mark.parametrize("size", [1, 511, 4_096])
def test_padding_after_the_last_frame_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("bemtevi.listen.unpack.CHUNK_BYTES", 700)  # so that padding spans chunks
    assert unpacked(tmp_path, "a.gz", gzip.compress(LINES) + b"\0" * size) == {"a": LINES}


def test_a_zip_gives_its_files_by_name(tmp_path: Path) -> None:
    found = unpacked(tmp_path, "a.zip", zipped(**{"one.json": LINES, "deep/two.json": MORE}))
    assert found == {"a.zip!one.json": LINES, "a.zip!deep/two.json": MORE}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_may_be_packed_in_any_way(tmp_path: Path, method: int) -> None:
    assert unpacked(tmp_path, "a.zip", zipped_with(method, one=LINES)) == {"a.zip!one": LINES}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_gives_its_files_by_name(tmp_path: Path, form: int) -> None:
    long = "d/" * 60 + "two.json"
    files = {"one.json": LINES, "zero": b""} | ({long: MORE} if form != tarfile.USTAR_FORMAT else {})
    found = unpacked(tmp_path, "a.tar", tarred(files, form))
    assert found == {f"a.tar!{name}": data for name, data in files.items()}


def test_archives_of_packed_files(tmp_path: Path) -> None:
    inside = {"01/00.json.bz2": bz2.compress(LINES), "01/01.json.gz": gzip.compress(MORE), "02.json": MORE}
    names = {"01/00.json": LINES, "01/01.json": MORE, "02.json": MORE}
    for name, outer, data in (
        ("a.tar", "a.tar", tarred(inside)),
        ("a.zip", "a.zip", zipped(**inside)),
        ("a.tar.gz", "a.tar", gzip.compress(tarred(inside))),
        ("a.tgz", "a", gzip.compress(tarred(inside))),
        ("a.tar.zst", "a.tar", zst(tarred(inside))),
        ("a.zip.bz2", "a.zip", bz2.compress(zipped(**inside))),
    ):
        found = unpacked(tmp_path, name, data)
        assert found == {f"{outer}!{key}": value for key, value in names.items()}


def test_an_archive_in_an_archive(tmp_path: Path) -> None:
    data = zipped(**{"in.tar.gz": gzip.compress(tarred({"one.json.zst": zst(LINES)}))})
    assert list(unpacked(tmp_path, "a.zip", data).values()) == [LINES]


def test_names_that_are_not_utf8_become_printable(tmp_path: Path) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        info = tarfile.TarInfo("notícias.json")
        info.size = len(MORE)
        archive.addfile(info, io.BytesIO(MORE))
    (name,) = unpacked(tmp_path, "a.tar", sink.getvalue())
    assert name.encode().decode() == "a.tar!not\ufffdcias.json"


PACKED: dict[str, bytes] = {
    **{kind: pack(LINES) for kind, pack in STREAMS.items()},
    "zip": zipped(**{"a.json": LINES, "b.json": MORE}),
    "zip stored": zipped_with(zipfile.ZIP_STORED, a=LINES[:4000]),
    "zip bz2": zipped_with(zipfile.ZIP_BZIP2, a=LINES),
    "zip lzma": zipped_with(zipfile.ZIP_LZMA, a=LINES),
    "zip of gz": zipped_with(zipfile.ZIP_STORED, **{"a.gz": gzip.compress(LINES)}),
    "tar": tarred({"a.json": LINES[:3000], "b.json": MORE}),
    "tar of bz2": tarred({"a.json.bz2": bz2.compress(LINES), "b.json": MORE}),
    "tar.gz": gzip.compress(tarred({"a.json": LINES, "b.json": MORE})),
    "tar.bz2": bz2.compress(tarred({"a.json": LINES})),
    "tar.zst": zst_without_size(tarred({"a.json": LINES})),
}
MAGIC_BYTES = 262  # a tar is known by what stands there; below that, it is a file like any other


def ends_of_tar(data: bytes) -> int:
    """Where the mark of the end, two empty blocks, is whole as far as reading goes: after the first."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        last = archive.getmembers()[-1]
        return last.offset_data + (last.size + 511) // 512 * 512 + 512


@pytest.mark.parametrize("kind", PACKED)
def test_a_truncated_file_is_told(tmp_path: Path, kind: str) -> None:
    data = PACKED[kind]
    whole = ends_of_tar(data) if kind.startswith("tar") and data[257:262] == b"ustar" else len(data)
    first = MAGIC_BYTES if whole != len(data) else 4
    step = max(1, (whole - first) // 60)
    blocks = range(512, whole, 512) if whole != len(data) else ()
    for size in sorted({*range(first, whole, step), *blocks, *range(max(first, whole - 12), whole)}):
        with pytest.raises(CutError):
            unpacked(tmp_path, "cut", data[:size])
    unpacked(tmp_path, "whole", data)


@pytest.mark.parametrize("kind", PACKED)
def test_a_flipped_byte_is_told_or_harmless_but_never_a_traceback(tmp_path: Path, kind: str) -> None:
    data = PACKED[kind]
    expected = sorted(unpacked(tmp_path, "whole", data).values())
    checked = kind not in ("tar", "zst")  # these two carry no checksum of what is inside
    step = max(1, len(data) // 80)
    told = 0
    for place in sorted({*range(4, min(len(data), 64)), *range(4, len(data), step)}):
        damaged = bytearray(data)
        damaged[place] ^= 0x5A
        try:
            found = unpacked(tmp_path, "damaged", bytes(damaged))
        except (CutError, UsageError):
            told += 1
            continue
        if checked and not kind.startswith("zip") and kind != "tar of bz2":
            assert sorted(found.values()) == expected, place
    assert told


def test_a_stream_that_is_cut_in_the_padding_of_its_tar_is_told(tmp_path: Path) -> None:
    data = gzip.compress(tarred({"a.json": LINES}))
    with pytest.raises(CutError, match="too early"):
        unpacked(tmp_path, "a.tar.gz", data[:-4])


def test_a_tar_with_a_broken_header_is_not_taken_for_its_end(tmp_path: Path) -> None:
    data = bytearray(tarred(form=tarfile.USTAR_FORMAT, files={"a.json": MORE, "b.json": MORE}))
    place = bytes(data).index(b"b.json")
    data[place] ^= 1
    with pytest.raises(CutError, match="tar file is damaged"):
        unpacked(tmp_path, "a.tar", bytes(data))


def test_a_zip_with_a_password_is_told(tmp_path: Path) -> None:
    data = bytearray(zipped(**{"a.json": LINES}))
    data[6] |= 1
    data[bytes(data).rindex(b"PK\x01\x02") + 8] |= 1
    directory = bytes(data).index(b"PK\x01\x02", bytes(data).index(b"a.json"))
    data[directory + 8] |= 1
    with pytest.raises(CutError, match="encrypted"):
        unpacked(tmp_path, "a.zip", bytes(data))


def test_rubbish_after_the_last_frame_is_told(tmp_path: Path) -> None:
    with pytest.raises(CutError):
        unpacked(tmp_path, "a.gz", gzip.compress(LINES) + b"rubbish")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        opened(tmp_path / "none")


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("chunk", [97, 1024 * 1024])
def test_progress_adds_up_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, chunk: int
) -> None:
    monkeypatch.setattr("bemtevi.listen.unpack.CHUNK_BYTES", chunk)
    path = tmp_path / "a"
    path.write_bytes(PACKED[kind])
    told: list[int] = []
    for _, chunks in members(path, told.append):
        for _ in chunks:
            pass
    assert sum(told) == len(PACKED[kind])
    assert chunk > 97 or len(told) > 1
