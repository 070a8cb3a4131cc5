"""The minutes not yet consolidated: the same as if they were, at once, and never half of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.support import consolidate, new_lake, post, put, user

from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.tombstone import Action, Subject, Tombstone, Tombstones
from bemtevi.lake.tombstone import Origin as Wanted
from bemtevi.lake.track import change_rules
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import Origin
from bemtevi.listen.tail import Tail
from bemtevi.listen.writer import Writer
from bemtevi.serve import overlay
from bemtevi.serve import snapshot as snapshot_module
from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.catalog import Catalog
from bemtevi.serve.laid import Kind, kind_of
from bemtevi.serve.snapshot import Snapshots
from bemtevi.warehouse.model import load_models

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MOST = 16
"""Messages after which those that never cease do."""
FOLLOWING = [model for model in load_models() if kind_of(model) is not Kind.STORED]


def held(catalog: Catalog) -> dict[str, list[tuple[str, ...]]]:
    """Every row of every table that follows, sorted; the spellings alone wait for the next run."""
    found = {}
    for model in FOLLOWING:
        waits = ("spelling", "spellings") if kind_of(model) is Kind.HASHTAGS else ()
        names = [f'"{name}"' for name in model.definition.schema.names if name not in waits]
        rows = catalog.query(f"select {', '.join(names)} from {model.name}").to_pylist()
        found[model.name] = sorted(tuple(str(value) for value in row.values()) for row in rows)
    return found


def served(lake: Lake) -> Snapshots:
    return Snapshots(lake, memory_limit="512MB", sql_memory_limit="256MB", threads=2)


@pytest.mark.parametrize("stored", [0, 1, 2, 3])
def test_what_is_not_consolidated_is_as_if_it_were(tmp_path: Path, stored: int) -> None:
    """Posts seen twice, edited counts, an author who was known: laid over after any prefix, all agree."""
    commits = [
        [post(number, f"um #Covid19 #sus {number}") for number in range(20)],
        [post(number, f"dois #covid19 {number}", author_id="8") for number in range(15, 4000, 100)],
        # again, with other counts; and the first again
        [
            post(3, "um #Covid19 #sus 3", public_metrics={"retweet_count": 9, "like_count": 5}),
            post(0, "um #Covid19 #sus 0"),
        ],
    ]
    lake = new_lake(tmp_path)
    for number, lines in enumerate(commits[:stored]):
        put(lake, lines, number=number)
        consolidate(lake)
    with served(lake) as snapshots:
        for number, lines in enumerate(commits[stored:], start=stored):
            put(lake, lines, number=number)
            snapshots.refresh()
        with snapshots.lease() as snapshot:
            laid = held(snapshot.catalog)
            assert held(snapshot.closed) == laid
        consolidate(lake)
        snapshots.refresh()
        with snapshots.lease() as snapshot:
            assert snapshot.overlay is not None
            assert snapshot.overlay.posts == 0
            after = held(snapshot.catalog)
    assert laid["fact_post"]
    for name, rows in after.items():
        assert laid[name] == rows, name


def test_what_a_post_no_longer_has_is_gone(tmp_path: Path) -> None:
    """A newer observation without the hashtag, with nothing else in the step that has one."""
    lake = new_lake(tmp_path)
    with served(lake) as snapshots:
        for number, text in enumerate(["um #a", "um"]):
            put(lake, [post(1, text)], number=number, received_at=NOON + timedelta(hours=number))
            snapshots.refresh()
        with snapshots.lease() as snapshot:
            laid = held(snapshot.catalog)
        consolidate(lake)
    assert laid["bridge_post_hashtag"] == []

    assert laid["fact_post"]


def test_rules_that_change_while_posts_come(tmp_path: Path) -> None:
    """What comes next is made by the new rules, over the same tables, and still without what is deleted."""
    lake = new_lake(tmp_path)
    Tombstones(lake).note([Tombstone("x", Subject.AUTHOR, "9", Action.DELETE, Wanted.REQUEST, NOON)])
    with served(lake) as snapshots:
        put(lake, [post(1, "um #a")], number=0)
        snapshots.refresh()
        with snapshots.lease() as before:
            change_rules(lake, "x", add=("#a",), now=NOON)
            put(lake, [post(2, "dois #a"), post(3, "três #a", author_id="9")], number=1)
            snapshots.refresh()
            assert before.catalog.query("select count(*) as posts from fact_post").to_pylist() == [
                {"posts": 2}
            ]
            assert not before.replaced


def test_an_answer_sees_one_moment(tmp_path: Path) -> None:
    """What is laid over while a question runs is not seen by it, and does not wait for it."""
    lake = new_lake(tmp_path)
    put(lake, [post(1, "um #a")], number=0)
    with served(lake) as snapshots, snapshots.lease() as snapshot:
        reader = snapshot.catalog.cursor()
        reader.execute("begin")
        before = reader.execute("select count(*) from fact_post").fetchall()
        version = snapshot.version
        put(lake, [post(2, "dois #a"), post(4_000, "tres #b")], number=1)
        for _ in range(100):
            if snapshot.version != version:
                break
            time.sleep(0.05)
        assert reader.execute("select count(*) from fact_post").fetchall() == before == [(1,)]
        assert reader.execute("select count(*) from agg_hashtag_hour").fetchall() == [(1,)]
        reader.execute("commit")
        assert reader.execute("select count(*) from fact_post").fetchall() == [(3,)]
        assert reader.execute("select count(*) from agg_hashtag_hour").fetchall() == [(2,)]


def test_a_journals_tail_is_read_and_counted_once(tmp_path: Path) -> None:
    """A message is seen once it is durable, and once only: before, while and after it goes to layer 1."""
    lake = new_lake(tmp_path)
    layout = JournalLayout(lake.local, "x")
    uri = lake.layout.table(1, "")
    journal = Journal(layout, uri, Limits(0.01, 1 << 20, 3600.0))
    journal.start(-1)
    intake = journal.intake(Origin("x", "test", "stream", "one"))

    def counted(number: int) -> tuple[int, int]:
        with snapshots.lease() as snapshot:
            for _ in range(100):
                (found,) = (
                    snapshot.catalog.cursor()
                    .execute("select count(*), sum(observations)::bigint from fact_post")
                    .fetchall()
                )
                if found[0] >= number:
                    return found
                time.sleep(0.05)
        raise AssertionError(found)

    snapshots = Snapshots(
        lake, memory_limit="512MB", sql_memory_limit="256MB", threads=2, tail=Tail(lake.local, uri)
    )
    with snapshots:
        for number in range(5):
            intake.put(json.dumps(post(number, "um #a")).encode() + b"\r\n")
        assert counted(5) == (5, 5)
        journal.close()  # seals the segment
        Writer(lake, journal).write_sealed()
        snapshots.refresh()
        journal.release()
        journal = Journal(layout, uri, Limits(0.01, 1 << 20, 3600.0))
        journal.start(0)
        intake = journal.intake(Origin("x", "test", "stream", "two"))
        for number in range(10, 13):
            intake.put(json.dumps(post(number, "dois #a")).encode() + b"\r\n")
        assert counted(8) == (8, 8)
        consolidate(lake)
        time.sleep(1.0)
        assert counted(8) == (8, 8)
    journal.close()
    journal.release()


def test_what_is_forgotten_is_not_laid_over(tmp_path: Path) -> None:
    """Neither what waits in layer 1 nor what is in the journal alone, nor what was shown before."""
    lake = new_lake(tmp_path)
    layout = JournalLayout(lake.local, "x")
    uri = lake.layout.table(1, "")

    def by(author: str, number: int) -> dict[str, object]:
        line = post(number, f"um #a de {author}", author_id=author)
        return line | {"includes": {"users": [user(author)]}}

    put(lake, [by("8", 1)], number=0)
    consolidate(lake)
    put(lake, [by("7", 2), by("9", 3)], number=1)
    journal = Journal(layout, uri, Limits(0.01, 1 << 20, 3600.0))
    journal.start(-1)
    with Snapshots(
        lake, memory_limit="512MB", sql_memory_limit="256MB", threads=2, tail=Tail(lake.local, uri)
    ) as snapshots:
        intake = journal.intake(Origin("x", "test", "stream", "one"))
        intake.put(json.dumps(by("7", 4)).encode() + b"\r\n")
        wait_for(snapshots, 4)
        now = datetime.now(UTC)
        Tombstones(lake).note([Tombstone("x", Subject.AUTHOR, "7", Action.DELETE, Wanted.REQUEST, now)])
        consolidate(lake)
        snapshots.refresh()
        intake.put(json.dumps(by("7", 5)).encode() + b"\r\n")
        intake.put(json.dumps(by("10", 6)).encode() + b"\r\n")
        wait_for(snapshots, 3)
        with snapshots.lease() as snapshot:
            for catalog in (snapshot.catalog, snapshot.closed):
                tables = held(catalog)
                authors = [
                    row["author_id"] for row in catalog.query("select author_id from fact_post").to_pylist()
                ]
                assert sorted(authors) == ["10", "8", "9"]
                assert "user7" not in str(tables)
                assert "de 7" not in str(tables)
    journal.close()
    journal.release()


def wait_for(snapshots: Snapshots, posts: int) -> None:
    """Until so many posts are shown."""
    shown = -1
    for _ in range(200):
        with snapshots.lease() as snapshot:
            (shown,) = snapshot.catalog.cursor().execute("select count(*) from fact_post").fetchall()[0]
        if shown == posts:
            return
        time.sleep(0.05)
    raise AssertionError(shown)


def test_who_is_behind_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More came than is held in memory: answers stop before it, and tell it, until the next run."""
    monkeypatch.setattr(overlay, "MOST_POSTS", 2)
    lake = new_lake(tmp_path)
    put(lake, [post(1, "um #a")], number=0)
    with served(lake) as snapshots:
        client = TestClient(create_app(snapshots, Access(None)), base_url="http://127.0.0.1")

        def told() -> tuple[int, bool]:
            snapshots.refresh()
            answer = client.get("/api/v1/hashtags/a/summary?from=2026-11-24&to=2026-11-25").json()
            return answer["data"]["posts"], answer["meta"]["behind"]

        assert told() == (1, False)
        put(lake, [post(2, "dois #a")], number=1)
        assert told() == (2, False)
        put(lake, [post(3, "tres #a")], number=2)
        assert told() == (2, True)
        consolidate(lake)
        assert told() == (3, False)


class Endless:
    """A tail of no journal: at every look two more messages have come into layer 1."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.number = 0

    def listeners(self) -> list[str]:
        return []

    def begin(self, _: Mapping[str, int]) -> None:
        self.read()

    def read(self) -> None:
        for _ in range(2 if self.number < MOST else 0):
            self.number += 1
            put(self.lake, [post(self.number, "um #a")], number=self.number, received_at=datetime.now(UTC))

    def covers(self, *_: object) -> bool:
        return False

    def close(self) -> None:
        pass


def test_posts_that_never_cease_are_told_and_hold_back_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More comes than each step takes: clients are told of it all the same, and a look comes to its end."""
    monkeypatch.setattr(snapshot_module, "LONGEST_SECONDS", 0.5)
    monkeypatch.setattr(overlay, "STEP_BYTES", 0)  # a commit a step
    endless = Endless(new_lake(tmp_path))
    snapshots = Snapshots(
        endless.lake, memory_limit="512MB", sql_memory_limit="256MB", threads=2, tail=endless
    )
    told: list[int] = []
    snapshots.brought.append(lambda _, step: told.append(endless.number))
    try:
        snapshots.refresh()
        assert endless.number < MOST  # opening does not wait for the end of it
        snapshots.refresh()
        assert len(told) > 0
        assert endless.number < MOST
        monkeypatch.setattr(snapshot_module, "LONGEST_SECONDS", 300.0)
        snapshots.refresh()  # one look takes all that waits, once it ceases
        with snapshots.lease() as snapshot:
            assert snapshot.catalog.query("select count(*) as posts from fact_post").to_pylist() == [
                {"posts": MOST}
            ]
    finally:
        snapshots.__exit__()
