"""What the tests of the command line share: a person in an empty folder, a lake with posts, a small disk.

Tests that ask for `small_disk` are collected only where a file system can be mounted.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.integration.command import Person

from bemtevi.simulate import RunningX, Simulation, running_x, write_history

TOPICS = ("covid19", "vacinação")
TOKEN = "right"  # noqa: S105  the simulator's


def _mount(folder: Path, size: str, *more: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *more]), "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a small disk where none can be made."""
    asking = [item for item in items if "small_disk" in getattr(item, "fixturenames", ())]
    if not asking:
        return
    with tempfile.TemporaryDirectory() as folder:
        if _mount(Path(folder), "1m"):
            _unmount(Path(folder))
            return
    config.hook.pytest_deselected(items=asking)
    items[:] = [item for item in items if item not in asking]


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody new, in an empty folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return Person(folder)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of invented posts."""
    path = tmp_path_factory.mktemp("archive") / "past.jsonl.gz"
    now = datetime.now(UTC)
    write_history(path, TOPICS, since=now - timedelta(days=7), until=now, count=3_000, seed=3)
    return path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Path:
    """The folder of somebody who has consolidated that week. Not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    person = Person(folder)
    person.good("import", archive)
    person.good("consolidate")
    return folder


@pytest.fixture
def owner(made: Path, tmp_path: Path) -> Person:
    """Somebody with a lake of a week, who may do with it as they like."""
    folder = tmp_path / "owner"
    shutil.copytree(made, folder)
    return Person(folder)


@pytest.fixture(scope="session")
def x() -> Iterator[RunningX]:
    """A simulated X that knows one token."""
    with running_x(Simulation(topics=TOPICS, rate=200, seed=5, token=TOKEN)) as server:
        yield server


SmallDisk = Callable[[str], Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mounts a disk of a size; call it again with another size to make it larger or smaller."""
    folder = tmp_path / "disk"

    def mounted(size: str) -> Path:
        if folder.exists():
            assert _mount(folder, size, "remount")
        else:
            folder.mkdir()
            assert _mount(folder, size)
        return folder

    yield mounted
    if folder.exists():
        _unmount(folder)
