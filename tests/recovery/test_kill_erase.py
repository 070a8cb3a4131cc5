"""Forgetting and erasing, killed at each of their points, and beside readers and consolidations.

Afterwards nothing of what was forgotten stands in any file, and nothing of anybody else is lost. The work is
done by processes, each with a program of its own, and with the pause for readers left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_deletes import by, id_of
from tests.integration.test_erase import places, traces
from tests.recovery.killing import KILLED, PATIENCE, tally
from tests.support import consolidate, contents, new_lake, put, rows

from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import segment
from bemtevi.listen.message import Messages, Origin
from bemtevi.warehouse.verify import compare

WORK = "erase"
POINTS = [
    "raw.erasing", "raw.erased", "quarantine.erased", "journal.erasing", "journal.erased", "run.committing",
    "run.committed", "erase.shown", "raw.purging", "raw.purged", "fact_post.purging", "fact_post.purged",
    "dim_user.purged", "erase.purged", "tombstone.committing", "tombstone.committed", "tombstone.purging",
    "tombstone.purged", "erase.closed",
]  # fmt: skip
SHORT = ("raw.erased", "fact_post.purging", "erase.purged")

BEGIN = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tests.integration.test_deletes import by, word
from tests.integration.test_erase import maintain
from tests.support import consolidate, new_lake, put, rows
from bemtevi.errors import ConflictError
from bemtevi.lake.tombstone import Subject, Tombstones
from bemtevi.warehouse.forget import Request
lake = new_lake(Path(sys.argv[1]))
def patiently(work):
    for _ in range(1000):
        try:
            return work()
        except ConflictError:
            time.sleep(0.05)
    raise AssertionError("somebody was always in the way")
"""
FORGET = "Request('x', Subject.AUTHOR, '7').forget(Tombstones(lake), datetime.now(UTC))"
ERASE = "maintain(lake)"
ERASE_IN_TIME = """
from bemtevi.warehouse import erase
from bemtevi.listen import erase_journal
from bemtevi.warehouse.maintain import Maintenance, Policy
now = lambda: datetime.now(UTC)
journals = lambda ids, change: erase_journal.erase(lake.local, ids, change)
work = Maintenance(lake, Policy(6), now, erasure=erase.Erasure(lake, 0, now, journals))
patiently(work.run)
"""
"""With the pause that readers are given."""
FEED = """
for number in range(100, 108):
    put(lake, [by(str(number % 4 + 6), number, f"late {number} #vacina")], session=f"s{number}",
        received_at=datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=number))
    patiently(lambda: consolidate(lake))
"""
READ = """
seen = 0
while not Path(sys.argv[2]).exists():
    (found,) = rows(lake, '''
        select (select count(*) from fact_post) as posts,
          (select count(*) from bridge_post_hashtag where hashtag = 'vacina') as tagged,
          (select sum(posts) from agg_hashtag_hour where hashtag = 'vacina') as counted,
          (select count(*) from fact_post where author_id in ('6', '7')) as forgotten,
          (select count(*) from fact_post where author_id in ('8', '9')) as others
    ''')
    assert found["tagged"] == found["counted"] == found["posts"], found
    assert found["forgotten"] == 0, found
    assert found["others"] >= seen, (seen, found)
    seen = found["others"]
    time.sleep(0.2)
"""


def run(program: str, folder: Path, *more: Path, crash_at: str | None = None) -> subprocess.Popen[bytes]:
    """A program that works on the lake in a folder, begun."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BEMTEVI_")}
    if crash_at is not None:
        environment["BEMTEVI_CRASH_AT"] = crash_at
    said = (folder / f"{len(list(folder.glob('*.log')))}.log").open("wb")
    with said:
        return subprocess.Popen(
            [sys.executable, "-c", BEGIN + program, str(folder), *map(str, more)],
            cwd=Path(__file__).parents[2],
            env=environment,
            stdout=said,
            stderr=said,
        )


def ends(process: subprocess.Popen[bytes], folder: Path) -> None:
    """The program ends well."""
    code = process.wait(PATIENCE * 4)
    assert code == 0, "\n".join(path.read_text() for path in folder.glob("*.log"))


THEIRS = [by("7", number, f"mine {number} #vacina #segredo") for number in range(3)]
OTHERS = [by(str(8 + number % 2), 10 + number, f"other {number} #vacina") for number in range(6)]


@pytest.fixture(scope="module")
def consolidated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with posts of three authors, a message cut short, and a segment that nobody writes."""
    folder = tmp_path_factory.mktemp("consolidated")
    lake = new_lake(folder)
    cut: bytes | dict[str, Any] = b'{"data":{"id":"' + id_of(THEIRS[0]).encode() + b'","text":"segredo'
    for number, line in enumerate([*THEIRS, *OTHERS, cut]):
        put(lake, [line], number=number)
    layout = JournalLayout(lake.local, "x")
    layout.folder.mkdir(parents=True)
    lines = [json.dumps(line).encode() for line in (OTHERS[0], THEIRS[0])]
    block = Messages(Origin("x", "test", "stream", "late"), lines, [1, 2], [0, 1])
    layout.segment(3).write_bytes(segment.encode(block))
    consolidate(lake)
    return folder


@pytest.fixture(scope="module")
def forgotten(consolidated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, once the author is forgotten and in no table any more."""
    folder = tmp_path_factory.mktemp("forgotten") / "place"
    shutil.copytree(consolidated, folder)
    ends(run(FORGET, folder), folder)
    consolidate(new_lake(folder))
    return folder


def without_a_trace(lake: Lake) -> None:
    needles = ["segredo", "user7", *map(id_of, THEIRS)]
    assert traces(needles, *places(lake)) == []
    assert [found for found in compare(lake, "1GB") if found.wrong] == []


@pytest.mark.parametrize(
    "point", [point if point in SHORT else pytest.param(point, marks=pytest.mark.heavy) for point in POINTS]
)
def test_erasing_is_killed_at_a_point(forgotten: Path, tmp_path: Path, point: str) -> None:
    folder = tmp_path / "place"
    shutil.copytree(forgotten, folder)
    lake = new_lake(folder)
    before = contents(lake)
    assert traces(["segredo"], *places(lake)), "it is there, hidden"
    assert run(ERASE, folder, crash_at=point).wait(PATIENCE) == KILLED, f"{point} was not reached"
    tally(WORK).kills += 1
    assert contents(lake) == before, "readers see no difference"
    for _ in range(2):  # one that was killed late has first to be obeyed
        ends(run(ERASE, folder), folder)
        consolidate(lake)
    without_a_trace(lake)
    assert contents(lake) == before
    assert consolidate(lake) == []
    left = [list(some.payloads) for some in segment.decode(JournalLayout(lake.local, "x").segment(3))]
    assert left == [[json.dumps(OTHERS[0]).encode()]]
    known = rows(lake, "select id from tombstone where id is not null or erased_at is null")
    assert known == []


@pytest.mark.heavy
@pytest.mark.parametrize("point", ["tombstone.committing", "tombstone.committed"])
def test_forgetting_is_killed_at_a_point(consolidated: Path, tmp_path: Path, point: str) -> None:
    folder = tmp_path / "place"
    shutil.copytree(consolidated, folder)
    lake = new_lake(folder)
    assert run(FORGET, folder, crash_at=point).wait(PATIENCE) == KILLED, f"{point} was not reached"
    tally(WORK).kills += 1
    ends(run(FORGET, folder), folder)
    consolidate(lake)
    assert rows(lake, "select distinct author_id from fact_post order by 1") == [
        {"author_id": "8"}, {"author_id": "9"},
    ]  # fmt: skip
    ends(run(ERASE, folder), folder)
    without_a_trace(lake)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_erasing_beside_readers_and_a_consolidation(forgotten: Path, tmp_path: Path) -> None:
    """Messages come, some of them of people who are forgotten; readers never see one of theirs."""
    folder = tmp_path / "place"
    shutil.copytree(forgotten, folder)
    lake, stop = new_lake(folder), tmp_path / "stop"
    ends(run(FORGET.replace("'7'", "'6'"), folder), folder)
    consolidate(lake)
    readers = [run(READ, folder, stop) for _ in range(2)]
    feeding = run(FEED, folder)
    times = 0
    try:
        while feeding.poll() is None:
            times += 1
            ends(run(ERASE_IN_TIME, folder), folder)
    finally:
        stop.touch()
        for process in (feeding, *readers):
            ends(process, folder)
    assert times >= 2, "erasing ran beside"
    ends(run("consolidate(lake); maintain(lake)", folder), folder)
    needles = ["segredo", *map(id_of, THEIRS), *(id_of(by("6", number, "")) for number in range(100, 108, 4))]
    needles += [id_of(by("7", number, "")) for number in range(101, 108, 4)]
    assert traces(needles, *places(lake)) == []
    assert [found for found in compare(lake, "1GB") if found.wrong] == []
    wanted = {id_of(line) for line in OTHERS} | {
        id_of(by("8", number, "")) for number in range(100, 108) if number % 4 in (2, 3)
    }
    assert {row["post_id"] for row in rows(lake, "select post_id from fact_post")} == wanted
