"""Ctrl-C and full disks: a prompt end, one sentence, and the same call again goes on from there."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from tests.integration.command import PATIENCE, Person, interrupt
from tests.integration.conftest import TOKEN, TOPICS, SmallDisk

from bemtevi.simulate import RunningX, write_history

STORAGE, INTERRUPTED = 4, 130
LONG = 15_000
PROMPT = 3.0
"""Seconds within which Ctrl-C ends a process; a busy machine has some more than the two that we promise."""


@pytest.fixture(scope="module")
def long_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough posts that work on them takes a while."""
    path = tmp_path_factory.mktemp("archive") / "long.jsonl.gz"
    now = datetime.now(UTC)
    write_history(path, TOPICS, since=now - timedelta(days=3), until=now, count=LONG, seed=4, variety=0.05)
    return path


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, long_archive: Path) -> Path:
    """A lake into which that archive was imported. Not to be changed."""
    folder = tmp_path_factory.mktemp("imported")
    Person(folder).good("import", long_archive)
    return folder / "lake"


@pytest.fixture
def listener(person: Person, x: RunningX) -> Person:
    """Somebody who may listen, and follows two hashtags."""
    person.environment = {"BEMTEVI_X_API_URL": x.url, "BEMTEVI_X_BEARER_TOKEN": TOKEN}
    person.good("track", *(f"#{topic}" for topic in TOPICS))
    return person


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for something to be so while a process works."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def count(person: Person, table: str) -> int:
    """The rows of a table."""
    return int(person.good("query", f"select count(*) from {table}", "--format", "csv").split()[1])


def test_ctrl_c_in_import(person: Person, long_archive: Path) -> None:
    process = person.start("import", long_archive)
    until(lambda: list(person.folder.glob("lake/.import-*.lock")), process)
    stopped = interrupt(process)
    assert stopped.seconds < PROMPT
    assert "run the same command again" in stopped.sentence(INTERRUPTED)
    person.good("import", long_archive)
    assert count(person, "raw") == LONG


def test_ctrl_c_in_consolidate(person: Person, imported: Path) -> None:
    shutil.copytree(imported, person.folder / "lake")
    process = person.start("consolidate")
    until(lambda: (person.folder / "lake" / ".consolidate.lock").exists(), process)
    time.sleep(0.5)
    stopped = interrupt(process)
    assert stopped.seconds < PROMPT
    assert "run the same command again" in stopped.sentence(INTERRUPTED)
    person.good("consolidate")
    assert count(person, "fact_post") == LONG


def test_ctrl_c_while_consolidating_regularly(person: Person, imported: Path) -> None:
    shutil.copytree(imported, person.folder / "lake")
    process = person.start("consolidate", "--every", "1h")
    until(lambda: (person.folder / "lake" / ".consolidate.lock").exists(), process)
    time.sleep(0.5)
    stopped = interrupt(process)
    assert (stopped.code, stopped.seconds < PROMPT) == (0, True)
    person.good("consolidate")
    assert count(person, "fact_post") == LONG


@pytest.mark.parametrize("command", [("listen",), ("run", "--every", "1h")])
def test_ctrl_c_while_listening(listener: Person, x: RunningX, command: tuple[str, ...]) -> None:
    process = listener.start(*command)
    journal = listener.folder / "journal" / "x"
    until(lambda: [path for path in journal.glob("*.open") if path.stat().st_size > 5_000], process)
    stopped = interrupt(process)
    assert (stopped.code, stopped.seconds < PROMPT) == (0, True)
    said = re.search(r"Listened: (\d+) messages .* (\d+) in layer 1, 0 in quarantine", stopped.err)
    assert said, stopped.err
    assert said[1] == said[2]
    assert count(listener, "raw") == int(said[1]) > 0
    again = listener.start(*command)
    until(lambda: [path for path in journal.glob("*.open") if path.stat().st_size > 5_000], again)
    assert interrupt(again).code == 0
    assert count(listener, "raw") > int(said[1])


def test_ctrl_c_in_a_question(owner: Person) -> None:
    process = owner.start("query", "select sum(a.i * b.i) from range(10000000) a(i), range(10000000) b(i)")
    until(lambda: psutil.Process(process.pid).cpu_times().user > 3, process)
    stopped = interrupt(process)
    assert stopped.seconds < PROMPT
    stopped.sentence(INTERRUPTED)


def test_a_full_disk_in_import(person: Person, long_archive: Path, small_disk: SmallDisk) -> None:
    lake = small_disk("900k") / "lake"
    result = person.run("import", long_archive, BEMTEVI_LAKE=str(lake))
    assert "full" in result.sentence(STORAGE) or "No space" in result.err
    small_disk("200m")
    person.environment = {"BEMTEVI_LAKE": str(lake)}
    person.good("import", long_archive)
    assert count(person, "raw") == LONG


def test_a_full_disk_in_consolidate(person: Person, archive: Path, small_disk: SmallDisk) -> None:
    disk = small_disk("100m")
    person.environment = {"BEMTEVI_LAKE": str(disk / "lake")}
    person.good("import", archive)
    used = sum(path.stat().st_size for path in disk.rglob("*") if path.is_file())
    small_disk(str(used + 600_000))
    sentence = person.run("consolidate").sentence(STORAGE)
    assert "full" in sentence or "space" in sentence
    assert count(person, "fact_post") == 0
    small_disk("100m")
    person.good("consolidate")
    assert count(person, "fact_post") == 3_000


def test_a_full_disk_in_consolidate_of_more(owner: Person, small_disk: SmallDisk) -> None:
    """What readers see stays as it was before the run that failed."""
    disk = small_disk("200m")
    shutil.move(owner.folder / "lake", disk / "lake")
    owner.environment = {"BEMTEVI_LAKE": str(disk / "lake")}
    more = owner.folder / "more.jsonl.gz"
    now = datetime.now(UTC)
    write_history(more, TOPICS, since=now - timedelta(days=2), until=now, count=2_000, seed=6)
    owner.good("import", more)
    used = sum(path.stat().st_size for path in disk.rglob("*") if path.is_file())
    small_disk(str(used + 700_000))
    owner.run("consolidate").sentence(STORAGE)
    assert count(owner, "fact_post") == 3_000
    small_disk("200m")
    owner.good("consolidate")
    assert count(owner, "fact_post") == 5_000


def test_a_full_disk_under_the_journal(listener: Person, small_disk: SmallDisk) -> None:
    journal = small_disk("300k") / "journal"
    listener.environment |= {"BEMTEVI_JOURNAL": str(journal), "BEMTEVI_JOURNAL_RESERVE_BYTES": "100000"}
    result = listener.run("listen", "--seconds", "3")
    assert "journal.disk_low" in result.err
    assert "journal.disk_full" in result.err
    assert "journal.disk_has_room" in result.err  # the writer has emptied the journal
    small_disk("50m")
    listener.good("listen", "--seconds", "1")
    assert count(listener, "raw") > 100


def test_a_full_disk_under_the_lake_does_not_stop_the_listener(
    listener: Person, small_disk: SmallDisk
) -> None:
    disk = small_disk("20m")
    shutil.move(listener.folder / "lake", disk / "lake")
    used = sum(path.stat().st_size for path in disk.rglob("*") if path.is_file())
    listener.environment |= {"BEMTEVI_LAKE": str(disk / "lake"), "BEMTEVI_SEGMENT_SECONDS": "0.5"}
    small_disk(str(used + 20_000))
    result = listener.run("listen", "--seconds", "2")
    assert result.code == 0
    assert "writer.storage_away" in result.err
    assert "waits in the journal" in result.err
    small_disk("20m")
    listener.good("listen", "--seconds", "1")
    assert count(listener, "raw") > 100
    assert list(listener.folder.glob("journal/x/*.segment")) == []


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
def test_a_full_disk_for_an_answer(owner: Person, form: str, small_disk: SmallDisk) -> None:
    folder = small_disk("100k")
    sentence = owner.run("query", "select * from raw", "--output", folder / f"raw.{form}").sentence(STORAGE)
    assert f"raw.{form}" in sentence
    assert list(folder.iterdir()) == []
