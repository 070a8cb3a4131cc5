"""Storage that goes away, and a disk that is full: D of Tweepy's faults."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.faults.scene import scene
from tests.support import eventually

from bemtevi.lake.gap import Cause

pytestmark = pytest.mark.faults

DISK = 24 * 1024 * 1024


def test_a_lake_that_is_away_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.listen.writer.RETRY_SECONDS", (0.2,))
    monkeypatch.setattr("bemtevi.listen.ledger.RETRY_SECONDS", 0.3)
    lake, away = tmp_path / "lake", tmp_path / "away"
    with scene(tmp_path) as one:
        lake.rename(away)
        lake.write_text("in the way")
        one.hears(200)
        one.fault("close:times=2,apart=100")
        one.fired("close", 2)
        one.hears(200)
        lake.unlink()
        away.rename(lake)
        made = one.finish()
    assert made.causes[Cause.DISCONNECTED] == 2
    assert made.heard_in_gaps == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB at the place of the journal."""
    folder = tmp_path / "journal"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(disk: Path) -> Path:
    """Take all the room of a disk; the file that has it."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return filler


@pytest.mark.parametrize("reserve", [0, 8 * 1024 * 1024])
def test_a_full_disk_stops_the_reading_and_is_in_the_ledger(
    tmp_path: Path, small_disk: Path, reserve: int
) -> None:
    with scene(tmp_path, reserve=reserve) as one:
        filler = fill(small_disk)
        eventually(lambda: one.told(Cause.DISK_FULL), "the ledger tells that the disk is full")
        time.sleep(1)
        filler.unlink()
        if one.ended:  # a listener that ended says why, and goes on where it was when it is started again
            one.listen()
        one.hears()
        made = one.finish()
    assert made.missed > 0
    assert made.gap_seconds < 30
