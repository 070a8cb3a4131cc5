"""Layer 2 while the store refuses, cuts and loses answers: it is that of a folder, and is seen whole."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.test_deletes import OF_RUNS, by, id_of
from tests.integration.test_erase import maintain, traces
from tests.integration.test_rebuild import rebuild
from tests.s3.conftest import lake_at, until_it_works
from tests.s3.proxy import Fate, FaultProxy
from tests.s3.server import S3Server
from tests.support import consolidate, contents, new_lake, post, put, put_file, rows

from bemtevi.errors import BemteviError
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.lake.tombstone import Subject, Tombstones
from bemtevi.warehouse.forget import Request
from bemtevi.warehouse.maintain import Maintenance, Policy
from bemtevi.warehouse.run import last_run

REPEATED = ("slow_down", "error", "cut", "lost_answer", "error_after")
"""The clients repeat these requests; what fails for good makes a run of hundreds of requests begin anew."""
SELDOM = 0.03


@pytest.fixture
def quiet(bucket: str, s3_server: S3Server, tmp_path: Path) -> Lake:
    """The lake without faults."""
    return lake_at(bucket, s3_server.options(), tmp_path)


@pytest.fixture
def shaken(bucket: str, s3_server: S3Server, proxy: FaultProxy, tmp_path: Path) -> Lake:
    """The same through the proxy."""
    return lake_at(bucket, s3_server.options(proxy.port), tmp_path)


def test_a_consolidation_is_that_of_a_folder_and_no_reader_sees_half_of_it(
    quiet: Lake, shaken: Lake, proxy: FaultProxy, tmp_path: Path
) -> None:
    alone = new_lake(tmp_path / "alone")
    stop = threading.Event()
    read: list[int] = []
    wrong: list[object] = []

    def reader() -> None:
        while not stop.is_set():
            try:
                run = last_run(quiet)
                (one,) = rows(
                    quiet,
                    "select (select count(*) from fact_post) as posts, "
                    "(select count(distinct post_id) from bridge_post_hashtag) as tagged, "
                    "(select coalesce(sum(posts), 0) from agg_hashtag_hour) as counted",
                )
            except BemteviError as error:
                wrong.append(error)
                return
            if run is not None:
                read.append(one["posts"])
                if not one["posts"] == one["tagged"] == one["counted"] or one["posts"] % 10:
                    wrong.append(one)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        for number in range(2):
            posts = [post(n, f"#tag{n % 3} ação") for n in range(number * 10, number * 10 + 10)]
            for lake in (quiet, alone):
                put(lake, [*posts, post(number, "#tag0 de novo")], number=number)
            proxy.set(Fate(SELDOM, REPEATED, seed=number))
            until_it_works(lambda: consolidate(shaken))
            consolidate(alone)
    finally:
        stop.set()
        thread.join()
    assert sum(proxy.done.values()) > 5
    assert wrong == []
    assert len(read) > 3
    assert contents(quiet) == contents(alone)


def test_maintenance_changes_no_row(quiet: Lake, shaken: Lake, proxy: FaultProxy) -> None:
    for number in range(2):
        put(quiet, [post(n, f"#tag{n % 3}") for n in range(number * 10, number * 10 + 10)], number=number)
        consolidate(quiet)
    before, messages = contents(quiet), quiet.table(RAW).read().sort_by("sequence")
    proxy.set(Fate(SELDOM, REPEATED, seed=3))
    until_it_works(lambda: Maintenance(shaken, Policy(1), lambda: datetime.now(UTC)).run())
    assert sum(proxy.done.values()) > 5
    assert contents(quiet) == before
    assert quiet.table(RAW).read().sort_by("sequence") == messages


def test_a_rebuild_gives_what_was_there(quiet: Lake, shaken: Lake, proxy: FaultProxy) -> None:
    for number in range(2):
        put(quiet, [post(n, f"#tag{n % 3}") for n in range(number * 10, number * 10 + 10)], number=number)
        consolidate(quiet)
    before = contents(quiet, without=OF_RUNS)
    proxy.set(Fate(SELDOM, REPEATED, seed=4))
    until_it_works(lambda: rebuild(shaken))
    assert sum(proxy.done.values()) > 5
    assert contents(quiet, without=OF_RUNS) == before


def test_what_is_forgotten_leaves_every_table_and_every_object(
    quiet: Lake, shaken: Lake, proxy: FaultProxy, s3_server: S3Server, tmp_path: Path
) -> None:
    theirs = [by("7", number, f"palavra-secreta {number} #tag") for number in range(5)]
    others = [by("8", number, "nada #tag") for number in range(10, 15)]
    put(quiet, [*theirs, *others])
    consolidate(quiet)
    alone = new_lake(tmp_path / "alone")
    put(alone, others)
    consolidate(alone)
    request = Request("x", Subject.AUTHOR, "7")
    proxy.set(Fate(SELDOM, REPEATED, seed=5))
    now = datetime.now(UTC)
    until_it_works(lambda: request.forget(Tombstones(shaken), now))
    until_it_works(lambda: consolidate(shaken))
    assert contents(quiet, without=OF_RUNS) == contents(alone, without=OF_RUNS)
    needles = ["palavra-secreta", *(id_of(line) for line in theirs)]
    objects = s3_server.objects(quiet.layout.root)
    assert traces(needles, objects)
    until_it_works(lambda: maintain(shaken))
    until_it_works(lambda: maintain(shaken))
    assert sum(proxy.done.values()) > 5
    assert traces(needles, objects) == []
    assert contents(quiet, without=OF_RUNS) == contents(alone, without=OF_RUNS)


def test_a_file_is_imported_once(quiet: Lake, shaken: Lake, proxy: FaultProxy, tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(json.dumps(post(number, "#tag")) for number in range(50)) + "\nnot json\n")
    proxy.set(Fate(0.2, seed=6))
    for _ in range(2):
        until_it_works(lambda: put_file(shaken, path))
    assert sum(proxy.done.values()) > 5
    assert sorted(quiet.table(RAW).read()["sequence"].to_pylist()) == [*range(50)]


def test_an_answer_is_right_or_one_sentence(quiet: Lake, shaken: Lake, proxy: FaultProxy) -> None:
    put(quiet, [post(number, f"#tag{number % 3}") for number in range(30)])
    consolidate(quiet)
    proxy.set(Fate(0.1, seed=7))
    for _ in range(5):
        found: list[object] = []
        until_it_works(lambda found=found: found.extend(rows(shaken, "select count(*) as n from fact_post")))  # type: ignore[misc]
        assert found == [{"n": 30}]
    assert sum(proxy.done.values()) > 5
