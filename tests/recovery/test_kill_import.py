"""`bemtevi import`, killed at random instants and at each crash point, and run again until it is done."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tests.recovery.killing import Place, instant, tally, wait_until

from bemtevi.simulate import write_history

UNTIL = datetime(2026, 8, 20, 15, tzinfo=UTC)
BROKEN = (
    b"not json at all",
    b"42",
    b"null",
    b'"a string"',
    b'{"data":{"id":"1","text":"cut off',
    b'{"data":{"id":"1","text":"\xff\xfe not utf-8"}}',
    b"\x00\x01\x02",
)
STRANGE = b'{"somebody":"else","has":["other","json"]}'
"""An object that no dialect knows: it is kept and told, so it is in both tables."""


@dataclass
class Archive:
    """A file and what must come of it, told by how it was made."""

    path: Path
    session: str
    raw: dict[int, bytes]
    quarantine: dict[int, bytes]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Two batches or more."""
    return make(tmp_path_factory.mktemp("archive"), 40_000)


@pytest.fixture(scope="module")
def large_archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Some batches more."""
    return make(tmp_path_factory.mktemp("large"), 120_000)


def make(folder: Path, count: int) -> Archive:
    """An archive of posts, with broken lines among them."""
    whole = folder / "whole.jsonl"
    write_history(whole, since=UNTIL - timedelta(days=3), until=UNTIL, count=count)
    chance = random.Random(1)
    path = folder / "archive.jsonl"
    raw: dict[int, bytes] = {}
    quarantine: dict[int, bytes] = {}
    with path.open("wb") as file:
        for number, line in enumerate(_mixed(whole.read_bytes().splitlines(), chance)):
            file.write(line + b"\n")
            digest = hashlib.blake2b(line, digest_size=16).digest()
            if line in BROKEN or line == STRANGE:
                quarantine[number] = digest
            if line not in BROKEN:
                raw[number] = digest
    assert len(quarantine) > 50
    whole.unlink()
    return Archive(path, hashlib.sha256(path.read_bytes()).hexdigest(), raw, quarantine)


def _mixed(lines: list[bytes], chance: random.Random) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        if number > 1 and chance.random() < 0.002:
            yield chance.choice((*BROKEN, STRANGE))
        yield line


def stored(place: Place, name: str) -> list[tuple[str, int, bytes]]:
    """Session, sequence and the payload's hash of every row of a table of layer 1."""
    table = place.lake / "layer1" / name
    if not DeltaTable.is_deltatable(str(table)):
        return []
    rows: list[tuple[str, int, bytes]] = []
    reader = pa.RecordBatchReader.from_stream(DeltaTable(table).scan(["session", "sequence", "payload"]))
    for batch in reader:
        payloads = batch.column("payload").cast(pa.binary()).to_pylist()
        digests = [hashlib.blake2b(payload, digest_size=16).digest() for payload in payloads]
        rows += zip(
            batch.column("session").to_pylist(), batch.column("sequence").to_pylist(), digests, strict=True
        )
    return rows


def verify(place: Place, archive: Archive, work: str) -> None:
    """Every message once, byte for byte, and nothing else."""
    told = tally(work)
    for name, expected in (("raw", archive.raw), ("quarantine", archive.quarantine)):
        rows = stored(place, name)
        found = {sequence: digest for _, sequence, digest in rows}
        told.delivered += len(expected)
        told.stored += len(found)
        told.lost += len(expected.keys() - found.keys())
        told.doubled += len(rows) - len(found)
        assert {session for session, _, _ in rows} == {archive.session}
        assert len(rows) == len(found), f"{len(rows) - len(found)} rows of {name} are doubled"
        assert found == expected, f"{name} is not what the file holds"


def complete(place: Place, archive: Archive) -> bool:
    """Whether the import of a file has said that it is done."""
    table = str(place.lake / "layer1" / "raw")
    done = f"import:{archive.session}:complete"
    return DeltaTable.is_deltatable(table) and DeltaTable(table).transaction_version(done) is not None


def kill_until(place: Place, archive: Archive, chance: random.Random, wanted: int, work: str) -> int:
    """Import one file into one lake, killed again and again, until it is done; the kills that counted."""
    kills = {"while reading the file": 0, "while writing": 0}
    lock = place.lake / f".import-{archive.session[:16]}.lock"
    while True:
        process = place.start("import", archive.path)
        if sum(kills.values()) < wanted:
            writing = chance.random() < 0.8
            begun = lock if writing else archive.path
            wait_until(lambda: process.has_open(begun) or not process.running, "the import begins")  # noqa: B023
            time.sleep(instant(chance, 1.6 if writing else 0.3))
            writing = process.has_open(lock)
            working = writing or process.has_open(archive.path)
            if working and process.kill() and not complete(place, archive):
                kills["while writing" if writing else "while reading the file"] += 1
                continue
        assert process.wait() == 0, process.text()
        told = tally(work)
        told.kills += sum(kills.values())
        told.remarks.append(
            f"one lake: {', '.join(f'{number} {phase}' for phase, number in kills.items())}; "
            + process.text().strip().splitlines()[-1][:150]
        )
        return sum(kills.values())


def test_killed_import(tmp_path: Path, archive: Archive, chance: random.Random) -> None:
    work, kills = "import (short)", 0
    for number in range(10):  # one import may be done before the first kill
        place = Place(tmp_path / f"{number}")
        kills += kill_until(place, archive, chance, 3, work)
        verify(place, archive, work)
        if kills:
            break
    assert kills


@pytest.mark.heavy
def test_import_killed_many_times(tmp_path: Path, large_archive: Archive, chance: random.Random) -> None:
    work, kills, number = "import", 0, 0
    while kills < 18:
        number += 1
        place = Place(tmp_path / f"{number}")
        kills += kill_until(place, large_archive, chance, 18 - kills, work)
        verify(place, large_archive, work)


POINTS = [
    f"{table}.{point}"
    for table in ("quarantine", "raw")
    for point in ("committing", "committed", "committing:2", "committed:2")
]


@pytest.mark.parametrize(
    "point",
    [
        point if point == "quarantine.committed" else pytest.param(point, marks=pytest.mark.heavy)
        for point in POINTS
    ],
)
def test_import_killed_at_a_crash_point(tmp_path: Path, archive: Archive, point: str) -> None:
    place = Place(tmp_path)
    place.crash(point, "import", archive.path)
    assert not complete(place, archive)
    tally("import, crash points").kills += 1
    place.run("import", archive.path)
    verify(place, archive, "import, crash points")
    place.run("import", archive.path)
    assert len(stored(place, "raw")) == len(archive.raw), "a second import added something"
