"""Posts of which only a share was asked for: every answer says so, and counts are estimated beside."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.testclient import TestClient
from tests.integration.command import Person
from tests.support import consolidate, new_lake, put_file, rows

from bemtevi.lake.gap import ended, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.sample import note_shares
from bemtevi.lake.track import change_rules, rule_tag
from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.snapshot import Snapshots
from bemtevi.simulate import write_history

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
BEGIN = NOW - timedelta(hours=10)
SLOWED = NOW - timedelta(hours=6)
FASTER = NOW - timedelta(hours=2)
TAG = rule_tag("x", "#covid19")


def slowed_lake(folder: Path) -> Lake:
    """Ten hours of posts; during four of them a tenth was asked for."""
    lake = new_lake(folder)
    write_history(folder / "posts.jsonl", ("covid19",), since=BEGIN, until=NOW, count=400, seed=1)
    put_file(lake, folder / "posts.jsonl")
    change_rules(lake, "x", add=("#covid19",), now=BEGIN)
    write_gaps(lake, [ended(gap, BEGIN + timedelta(seconds=1), BEGIN) for gap in read_gaps(lake)])
    consolidate(lake)
    note_shares(lake, "x", {TAG: 10}, slowed=True, now=SLOWED)
    note_shares(lake, "x", {TAG: 100}, slowed=False, now=FASTER)
    return lake


def expected(lake: Lake) -> tuple[int, int]:
    """Posts, and posts with those of the slow hours ten times."""
    (row,) = rows(
        lake,
        "select count(*) as posts, "
        f"count(*) filter (created_at >= '{SLOWED.isoformat()}' and created_at < '{FASTER.isoformat()}') "
        "as slow from bridge_post_hashtag where hashtag = 'covid19'",
    )
    assert row["slow"] > 20
    return row["posts"], row["posts"] + 9 * row["slow"]


def test_an_answer_says_which_share_was_asked_for_and_estimates_the_whole(tmp_path: Path) -> None:
    lake = slowed_lake(tmp_path)
    with Snapshots(lake, memory_limit="1GB", sql_memory_limit="256MB", threads=1) as made:
        client = TestClient(create_app(made, Access(None)), base_url="http://127.0.0.1")
        period = {"from": BEGIN.isoformat(), "to": NOW.isoformat()}
        told = client.get("/api/v1/hashtags/covid19/summary", params=period).json()
        posts, estimate = expected(lake)
        assert (told["data"]["posts"], told["data"]["estimated_posts"]) == (posts, estimate)
        (part,) = told["meta"]["completeness"]["sampled"]
        assert (datetime.fromisoformat(part["from"]), datetime.fromisoformat(part["to"])) == (SLOWED, FASTER)
        assert (part["least_percent"], part["most_percent"]) == (10, 10)
        for name in ("timeline", "authors", "top-posts"):
            other = client.get(f"/api/v1/hashtags/covid19/{name}", params=period).json()
            assert other["meta"]["completeness"]["sampled"] == [part]
        note_shares(lake, "x", {TAG: 5}, slowed=True, now=NOW - timedelta(hours=1))
        made.refresh()
        again = client.get("/api/v1/hashtags/covid19/summary", params=period).json()
        assert len(again["meta"]["completeness"]["sampled"]) == 2


def test_the_commands_say_it_too(tmp_path: Path) -> None:
    lake = slowed_lake(tmp_path)
    posts, estimate = expected(lake)
    places = {"BEMTEVI_LAKE": lake.layout.root, "BEMTEVI_JOURNAL": str(tmp_path / "journal")}
    person = Person(tmp_path, places)
    since = BEGIN.isoformat()
    shown = person.run("hashtag", "covid19", "--since", since)
    assert "only 10 % of the posts asked for during 4.0 h" in shown.out
    assert f"An estimated {estimate:,} posts in all" in shown.out.replace("\u2009", ",")
    told = json.loads(person.run("hashtag", "covid19", "--since", since, "--json").out)
    assert (told["summary"]["posts"], told["summary"]["estimated_posts"]) == (posts, estimate)
    assert told["completeness"]["sampled"][0]["least_percent"] == 10
    assert "only 10 % of the posts asked for" in person.run("gaps", "covid19").out
