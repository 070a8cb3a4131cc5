"""`bemtevi maintain`, killed at each of its points, and at random instants while messages come.

Afterwards no row of either layer is lost or doubled, readers have seen whole runs only, and consolidation
goes on as if there had been no maintenance.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.recovery.killing import Place, instant, tally, wait_until
from tests.recovery.test_kill_consolidate import UNTIL, Reader, compare, contents, lake_of, undisturbed

from bemtevi.lake.raw import RAW
from bemtevi.listen.archive import check, import_file
from bemtevi.listen.unpack import ignore
from bemtevi.simulate import write_history
from bemtevi.warehouse.run import all_runs

WORK = "maintain"
POINTS = [
    "raw.compacting", "raw.compacted", "raw.vacuumed", "raw.checkpointed",
    "fact_post.compacting", "fact_post.compacted", "fact_post.vacuumed", "fact_post.checkpointed",
    "bridge_post_hashtag.compacted", "run.committing", "run.committed",
]  # fmt: skip
SHORT = ("raw.compacted", "fact_post.vacuumed", "run.committing")


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


@dataclass
class Feed:
    """Imports some of the posts, late and repeated, as if they had been received on a day long ago."""

    lake: Path
    lines: list[bytes]
    chance: random.Random
    times: int = 0
    failures: list[BaseException] = field(default_factory=list)

    def more(self, count: int = 400, among: list[bytes] | None = None) -> None:
        self.times += 1
        path = self.lake.parent / f"{self.times}.jsonl"
        path.write_bytes(b"\n".join(self.chance.sample(among or self.lines, count)) + b"\n")
        at = nanoseconds(UNTIL + timedelta(seconds=self.times))
        import_file(lake_of(self.lake), path, check(path, ignore), lambda: at)
        path.unlink()

    @contextmanager
    def feeding(self, pause: float) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            try:
                while not stop.wait(pause):
                    self.more()
            except BaseException as error:  # noqa: BLE001  asserted below
                self.failures.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not self.failures, self.failures


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    write_history(path, since=UNTIL - timedelta(days=2), until=UNTIL, count=4_000)
    return path.read_bytes().splitlines()


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> Path:
    """A lake of six runs, and files that killed writers left in it long ago."""
    place = Place(tmp_path_factory.mktemp("grown"))
    feed = Feed(place.lake, lines, random.Random(5))
    in_time = sorted(lines, key=lambda line: int(json.loads(line)["data"]["id"]))
    for number in range(6):  # hours apart from each other, several on one day: files of their own
        feed.more(200, among=in_time[number * 600 : number * 600 + 250])
        place.run("consolidate")
    for table in ("layer1/raw", "layer2/fact_post"):
        path = place.lake / table / "left.parquet"
        path.write_bytes(b"cut short")
        at = time.time() - 100 * 3600
        os.utime(path, (at, at))
    return place.lake


@pytest.mark.parametrize("first", ["consolidate", "maintain"])
@pytest.mark.parametrize(
    "point", [point if point in SHORT else pytest.param(point, marks=pytest.mark.heavy) for point in POINTS]
)
def test_maintenance_killed_at_a_point(
    tmp_path: Path, grown: Path, lines: list[bytes], point: str, first: str
) -> None:
    place = Place(tmp_path / "killed")
    shutil.copytree(grown, place.lake, copy_function=shutil.copy2)
    lake = lake_of(place.lake)
    before, reader = contents(lake), Reader(lake)
    reader.look()
    place.crash(point, "maintain")
    tally(WORK).kills += 1
    reader.look()
    compare(contents(lake), before, WORK)
    Feed(place.lake, lines, random.Random(6), times=10).more()
    for command in (first, "consolidate", "maintain"):
        place.run(command)
        reader.look()
    assert not reader.failures, reader.failures
    compare(contents(lake), undisturbed(place, tmp_path / "undisturbed"), WORK)
    place.run("maintain", "--verify")
    assert not list(place.lake.glob("layer*/*/left.parquet"))
    assert len(lake.table(RAW).snapshot().files) < 4


@pytest.mark.parametrize(
    "point",
    [
        "fact_post.removed",
        pytest.param("raw.removing", marks=pytest.mark.heavy),
        pytest.param("raw.removed", marks=pytest.mark.heavy),
    ],
)
def test_removal_by_age_that_is_killed(tmp_path: Path, grown: Path, point: str) -> None:
    place = Place(tmp_path / "killed", retention_raw_days=1, retention_facts_days=1)
    shutil.copytree(grown, place.lake)
    lake = lake_of(place.lake)
    posts = contents(lake)["fact_post"].num_rows
    place.crash(point, "maintain")
    tally(WORK).kills += 1
    # before a message goes, a run says that its hours cannot be made again
    assert any(run.raw_from is not None for run in all_runs(lake))
    counted = place.run("query", "select count(*) as n from fact_post", "--format", "csv")
    assert counted.split() == ["n", str(posts)], "half a removal is seen"
    place.run("maintain")
    place.run("maintain", "--verify")
    assert lake.table(RAW).read().num_rows == 0
    period = place.start("consolidate", "--from", "2026-08-18", "--to", "2026-08-19")
    assert period.wait() == 2
    assert "retention_raw_days" in period.text()


@pytest.mark.heavy
def test_maintenance_killed_many_times(tmp_path: Path, lines: list[bytes], chance: random.Random) -> None:
    place = Place(tmp_path / "killed")
    feed, reader = Feed(place.lake, lines, chance), Reader(lake_of(place.lake))
    feed.more()
    place.run("consolidate")
    lock = place.lake / ".consolidate.lock"
    done = finished = 0
    with feed.feeding(0.2), reader.looking():
        while done < 15:
            process = place.start("maintain")
            try:
                wait_until(lambda: process.has_open(lock) or not process.running, "it begins")  # noqa: B023
                time.sleep(instant(chance, 1.0))
                at_work = process.has_open(lock)
                if process.kill() and at_work:
                    done += 1
                else:
                    finished += 1
            finally:
                process.end()
            if chance.random() < 0.5:
                place.run("consolidate")
    for command in ("consolidate", "maintain", "consolidate"):
        place.run(command)
    reader.look()
    assert not reader.failures, reader.failures
    compare(contents(reader.lake), undisturbed(place, tmp_path / "undisturbed"), WORK)
    place.run("maintain", "--verify")
    told = tally(WORK)
    told.kills += done
    told.remarks.append(
        f"{finished} ended before the kill and do not count; {feed.times} files came meanwhile, "
        f"{len(reader.lake.table(RAW).snapshot().files)} are left; a reader looked {reader.looks} times and "
        f"saw {len(reader.runs)} states"
    )
