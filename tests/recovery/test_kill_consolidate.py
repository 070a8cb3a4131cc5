"""`bemtevi consolidate`, killed at random instants and at each crash point, while data keep coming.

Afterwards the tables must be, row by row and column by column, those of one undisturbed consolidation of the
same layer 1 into another lake. In between, a reader that opens the catalog again and again must see whole
runs only.
"""

from __future__ import annotations

import random
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.recovery.killing import Place, instant, tally, wait_until

from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.listen.archive import check, import_file
from bemtevi.listen.unpack import ignore
from bemtevi.serve.catalog import Catalog
from bemtevi.settings import load_settings
from bemtevi.simulate import write_history
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.run import last_run

UNTIL = datetime(2026, 8, 20, 15, tzinfo=UTC)
UNSTAGEABLE = r'{"data":{"id":"none","text":"nem hora, nem número que a diga: \\x41 \n"}}'.encode()
LIKES = re.compile(rb'"like_count":\d+')

WHOLE = """
  select
    (select count(*) from fact_post) as posts,
    (select coalesce(sum(posts_after - posts_before), 0) from run where number <= $number) as posts_of_runs,
    (select count(*) from fact_post where len(hashtags) > 0) as tagged_posts,
    (select count(distinct (network, post_id)) from bridge_post_hashtag) as posts_of_bridge,
    (select coalesce(sum(len(hashtags)), 0) from fact_post) as tags,
    (select count(*) from bridge_post_hashtag) as tags_of_bridge,
    (select coalesce(sum(posts), 0) from agg_hashtag_hour) as tags_of_hours,
    (select count(distinct hashtag) from bridge_post_hashtag) as hashtags,
    (select count(*) from dim_hashtag) as hashtags_of_dimension,
    (select count(distinct author_key) from fact_post) as authors,
    (select count(distinct author_key) from dim_user join fact_post using (author_key)) as known_authors,
    (select coalesce(sum(observations), 0) from fact_post) as observations,
    (select coalesce(sum(observations), 0) from run where number <= $number) as observations_of_runs
"""
EQUAL = (
    ("posts", "posts_of_runs"),
    ("tagged_posts", "posts_of_bridge"),
    ("tags", "tags_of_bridge"),
    ("tags", "tags_of_hours"),
    ("hashtags", "hashtags_of_dimension"),
    ("authors", "known_authors"),
    ("observations", "observations_of_runs"),
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Posts of three days."""
    path = tmp_path_factory.mktemp("history") / "history.jsonl"
    write_history(path, since=UNTIL - timedelta(days=3), until=UNTIL, count=20_000)
    return path.read_bytes().splitlines()


class Feeder:
    """Imports small files of posts: late, repeated, with other counts than before, some of no use."""

    def __init__(self, place: Place, lines: list[bytes], chance: random.Random) -> None:
        self.lake = lake_of(place.lake)
        self._folder = place.folder
        self._lines = lines
        self._chance = random.Random(chance.random())
        self.files = 0
        self.unstageable = 0

    def feed(self, count: int = 1_500, among: list[bytes] | None = None) -> None:
        self.files += 1
        path = self._folder / f"{self.files}.jsonl"
        chosen = self._chance.sample(among or self._lines, count)
        chosen = [LIKES.sub(b'"like_count":%d' % self._chance.randrange(10_000), line) for line in chosen]
        if self.files % 2:
            chosen.insert(7, UNSTAGEABLE)
            self.unstageable += 1
        path.write_bytes(b"\n".join(chosen) + b"\n")
        import_file(self.lake, path, check(path, ignore), time.time_ns)
        path.unlink()

    @contextmanager
    def feeding(self, pause: float) -> Iterator[None]:
        stop = threading.Event()
        failure: list[BaseException] = []

        def work() -> None:
            try:
                while not stop.wait(pause):
                    self.feed()
            except BaseException as error:  # noqa: BLE001  raised below, in the test
                failure.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not failure, failure


@dataclass
class Reader:
    """Opens the catalog again and again, and checks that what it sees is whole and never goes back."""

    lake: Lake
    looks: int = 0
    runs: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    def look(self) -> None:
        with Catalog(self.lake, threads=1) as catalog:
            number = 0 if catalog.run is None else catalog.run.number
            seen = catalog.query(WHOLE, {"number": number}).to_pylist()[0]
        self.looks += 1
        self.failures += [
            f"run {number}: {one} {seen[one]}, {other} {seen[other]}"
            for one, other in EQUAL
            if seen[one] != seen[other]
        ]
        if self.runs and number < max(self.runs):
            self.failures.append(f"run {number} after run {max(self.runs)}")
        self.runs.add(number)

    @contextmanager
    def looking(self) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.02):
                try:
                    self.look()
                except BaseException as error:  # noqa: BLE001  asserted below
                    self.failures.append(repr(error))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not self.failures, self.failures[:5]


def lake_of(folder: Path) -> Lake:
    return Lake.of(load_settings(lake=str(folder)))


def written(lake: Lake) -> int:
    """Commits of layer 2 so far."""
    return len(list(Path(lake.layout.root).glob("layer2/*/_delta_log/*.json")))


def torn(lake: Lake) -> bool:
    """Whether a table is ahead of the last run: a consolidation was cut after one of its commits."""
    last = last_run(lake)
    known = {} if last is None else last.table_versions
    return any(lake.table(model.definition).version() > known.get(model.name, -1) for model in load_models())


def contents(lake: Lake) -> dict[str, pa.Table]:
    """Every table of layer 2 in the order of its key, and what staging has put in quarantine."""
    with Catalog(lake) as catalog:
        tables = {
            model.name: catalog.query(
                f"select * from {model.name} order by {', '.join(model.definition.key)}"
            )
            for model in load_models()
        }
        tables["quarantine"] = catalog.query(
            "select session, sequence, stage, reason, payload from quarantine order by all"
        )
        runs = catalog.query("select number, messages from run order by number")
        (received,) = catalog.query("select count(*) as n from raw")["n"].to_pylist()
    assert runs["number"].to_pylist() == list(range(1, runs.num_rows + 1)), "runs are missing or doubled"
    assert sum(runs["messages"].to_pylist()) == received, "messages were left out, or read twice"
    return tables


def undisturbed(place: Place, folder: Path) -> dict[str, pa.Table]:
    """What one consolidation makes of the same layer 1 in another lake."""
    other = Place(folder)
    shutil.copytree(place.lake / "layer1" / "raw", other.lake / "layer1" / "raw")
    other.run("consolidate")
    return contents(lake_of(other.lake))


def compare(found: dict[str, pa.Table], expected: dict[str, pa.Table], work: str) -> None:
    told = tally(work)
    for name, table in expected.items():
        rows, wanted = found[name].num_rows, table.num_rows
        told.delivered += wanted
        told.stored += rows
        told.lost += max(0, wanted - rows)
        told.doubled += max(0, rows - wanted)
        assert rows == wanted, f"{name}: {rows} rows instead of {wanted}"
        for column in table.column_names:
            assert found[name][column].equals(table[column]), f"{name}.{column} differs"


def killed_often(folder: Path, lines: list[bytes], chance: random.Random, kills: int, work: str) -> None:
    place = Place(folder / "killed", batch_bytes=1 << 20)
    feeder, reader = Feeder(place, lines, chance), Reader(lake_of(place.lake))
    lock = place.lake / ".consolidate.lock"
    feeder.feed()
    done = cut = finished = 0
    with feeder.feeding(0.15), reader.looking():
        while done < kills:
            process = place.start("consolidate")
            try:
                wait_until(lambda: process.has_open(lock) or not process.running, "it begins")  # noqa: B023
                if chance.random() < 0.5:  # half of the kills while tables are written
                    commits = written(feeder.lake)
                    wait_until(
                        lambda: written(feeder.lake) > commits or not process.running,  # noqa: B023
                        "it writes",
                    )
                    time.sleep(chance.uniform(0, 0.3))
                else:
                    time.sleep(instant(chance, 3.0))
                # the lock is held from the first look at layer 1 to the last commit
                at_work = process.has_open(lock)
                if process.kill() and at_work:
                    done += 1
                    cut += torn(feeder.lake)
                else:
                    finished += 1
            finally:
                process.end()
    place.settings["batch_bytes"] = str(1 << 26)  # hundreds of files wait: not one run for each few
    place.run("consolidate")
    reader.look()
    assert not reader.failures, reader.failures
    found = contents(feeder.lake)
    assert found["quarantine"].num_rows == feeder.unstageable
    compare(found, undisturbed(place, folder / "undisturbed"), work)
    told = tally(work)
    told.kills += done
    told.remarks.append(
        f"{cut} kills left tables ahead of the last run; {finished} runs ended before the kill and do not "
        f"count; {max(reader.runs)} runs; {feeder.files} files came meanwhile; a reader looked {reader.looks}"
        f" times and saw {len(reader.runs)} states"
    )


def test_killed_consolidation(tmp_path: Path, lines: list[bytes], chance: random.Random) -> None:
    killed_often(tmp_path, lines, chance, 3, "consolidate (short)")


@pytest.mark.heavy
def test_consolidation_killed_many_times(tmp_path: Path, lines: list[bytes], chance: random.Random) -> None:
    killed_often(tmp_path, lines, chance, 20, "consolidate")


@dataclass
class Half:
    """A lake with one run, and more in layer 1; what it becomes undisturbed; where layer 1 ends."""

    place: Place
    expected: dict[str, pa.Table]


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> Half:
    folder = tmp_path_factory.mktemp("half")
    place = Place(folder / "half")
    feeder = Feeder(place, lines, random.Random(3))
    feeder.feed()
    place.run("consolidate")
    feeder.feed()
    feeder.feed()
    return Half(place, undisturbed(place, folder / "undisturbed"))


POINTS = [
    "quarantine.committing",
    "quarantine.committed",
    *(f"{model.name}.{point}" for model in load_models() for point in ("committing", "committed")),
    "run.committing",
    "run.committed",
]
ONCE = ("dim_hour", "dim_language", "dim_network", "dim_date")
"""Tables of which the second run has nothing new: they are written by the first alone."""
SHORT = ("quarantine.committed", "fact_post.committed", "run.committing")


def survive(half: Half, folder: Path, points: list[str], *, first: bool = False) -> None:
    """Crash at one point after the other, look, consolidate, compare."""
    work = "consolidate, crash points"
    place = Place(folder / "lake-folder")
    layers = ["layer1/raw"] if first else ["layer1", "layer2"]
    for layer in layers:
        shutil.copytree(half.place.lake / layer, place.lake / layer)
    lake = lake_of(place.lake)
    reader = Reader(lake)
    before = 0 if first else 1
    for point in points:
        place.crash(point, "consolidate")
        reader.look()
        assert reader.runs == {before + (point == "run.committed")}, "half a run is seen"
        tally(work).kills += 1
    place.run("consolidate")
    reader.look()
    assert not reader.failures, reader.failures
    last = last_run(lake)
    assert last is not None
    assert last.raw_version == lake.table(RAW).version()
    assert not torn(lake)
    compare(contents(lake), half.expected, work)


@pytest.mark.parametrize(
    "point", [point if point in SHORT else pytest.param(point, marks=pytest.mark.heavy) for point in POINTS]
)
def test_consolidation_killed_at_a_crash_point(tmp_path: Path, half: Half, point: str) -> None:
    survive(half, tmp_path, [point], first=point.partition(".")[0] in ONCE)


@pytest.mark.heavy
@pytest.mark.parametrize("model", ["fact_post", "dim_hashtag"])
def test_recovery_that_is_killed_too(tmp_path: Path, half: Half, model: str) -> None:
    """Killed between two tables; then killed while the tables are brought back; then again."""
    first = load_models()[0].name
    survive(
        half, tmp_path, ["run.committing", f"{model}.restored", f"{first}.restored", f"{model}.committed"]
    )


@pytest.mark.heavy
def test_recovery_in_smaller_steps(tmp_path: Path, lines: list[bytes]) -> None:
    """What a killed run had replaced must not stay where the next run, being smaller, does not come."""
    place = Place(tmp_path / "killed")
    feeder = Feeder(place, lines, random.Random(4))
    feeder.feed(500)
    place.run("consolidate")
    quarter = len(lines) // 4
    for number in range(4):  # of other hours each
        feeder.feed(quarter, lines[number * quarter : (number + 1) * quarter])
    work = "consolidate, crash points"
    place.crash("run.committing", "consolidate")
    tally(work).kills += 1
    place.settings["batch_bytes"] = str(1 << 20)
    place.run("consolidate")
    last = last_run(feeder.lake)
    assert last is not None
    assert last.number > 2, "the steps were not smaller"
    compare(contents(feeder.lake), undisturbed(place, tmp_path / "undisturbed"), work)


@pytest.mark.heavy
@pytest.mark.parametrize(
    "point", ["fact_post.committing", "fact_post.committed", "run.committing", "run.committed"]
)
def test_first_consolidation_killed_at_a_crash_point(tmp_path: Path, half: Half, point: str) -> None:
    survive(half, tmp_path, [point], first=True)
