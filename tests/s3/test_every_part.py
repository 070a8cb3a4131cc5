"""Every part of the program gives on S3 what it gives on a folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from tests.integration.command import Person, interrupt
from tests.s3.conftest import lake_at
from tests.s3.proxy import Fate, FaultProxy
from tests.s3.server import SECRET, S3Server
from tests.serve.test_watch import now, read, ready
from tests.support import consolidate, contents, new_lake, post, put

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.object_store import ObjectStore
from bemtevi.serve.catalog import Catalog
from bemtevi.serve.snapshot import Snapshots

POSTS = [post(number, f"#tag{number % 3} ação") for number in range(30)]


@pytest.fixture
def filled(lake: Lake) -> Lake:
    put(lake, POSTS)
    consolidate(lake)
    return lake


def environment(lake: Lake, folder: Path) -> dict[str, str]:
    """The settings that a person has."""
    return lake.storage_options | {
        "BEMTEVI_LAKE": lake.layout.root,
        "BEMTEVI_JOURNAL": str(folder / "journal"),
        "BEMTEVI_TIMEZONE": lake.timezone,
    }


def command(lake: Lake, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with the settings that a person has."""
    return subprocess.run(
        [sys.executable, "-m", "bemtevi", *arguments],
        cwd=folder,
        env=os.environ | environment(lake, folder),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_rebuild_gives_what_was_there(filled: Lake, tmp_path: Path) -> None:
    before = contents(filled, without=["first_run", "last_run"])
    for arguments in ([], ["--table", "agg_hashtag_hour"]):
        done = command(filled, tmp_path, "rebuild", *arguments)
        assert done.returncode == 0, done.stderr
        assert contents(filled, without=["first_run", "last_run"]) == before


def test_newer_minutes_are_laid_over_the_stored_tables(filled: Lake, tmp_path: Path) -> None:
    alone = new_lake(tmp_path)
    newer = [post(number, "#tag0 novo") for number in range(25, 40)]
    put(alone, POSTS)
    put(alone, newer, number=1)
    consolidate(alone)
    counts = "select hashtag, sum(posts) as posts from agg_hashtag_hour group by all order by all"
    with Snapshots(filled, memory_limit="512MB", sql_memory_limit="256MB", threads=2) as snapshots:
        put(filled, newer, number=1)
        snapshots.refresh()
        with snapshots.lease() as snapshot, Catalog(alone) as consolidated:
            assert snapshot.catalog.query(counts).equals(consolidated.query(counts))


@pytest.mark.parametrize("what", ["read_text('{root}/layer2/run/_delta_log/*.json')", "duckdb_secrets()"])
def test_sql_of_strangers_sees_the_snapshot_alone(filled: Lake, what: str) -> None:
    with (
        Snapshots(filled, memory_limit="512MB", sql_memory_limit="256MB", threads=1) as snapshots,
        snapshots.lease() as snapshot,
    ):
        assert snapshot.closed.query("select count(*) as posts from fact_post").to_pylist() == [{"posts": 30}]
        try:
            told = str(
                snapshot.closed.query(f"select * from {what.format(root=filled.layout.root)}").to_pylist()
            )
        except UsageError as error:
            told = str(error)
        assert "commitInfo" not in told
        assert SECRET not in told


@pytest.mark.parametrize("blind", [False, True])
def test_doctor_looks_at_the_store(
    bucket: str, s3_server: S3Server, proxy: FaultProxy, tmp_path: Path, *, blind: bool
) -> None:
    proxy.set(Fate(blind=blind))
    lake = lake_at(bucket, s3_server.options(proxy.port), tmp_path)
    done = command(lake, tmp_path, "doctor", "--json")
    (found,) = (check for check in json.loads(done.stdout) if check["name"] == "store")
    assert found["grade"] == ("broken" if blind else "good")
    assert ("ignores conditional puts" if blind else "keeps to conditional puts") in found["found"]
    assert SECRET not in done.stdout + done.stderr
    assert ObjectStore(bucket, s3_server.options()).names("") == [], "nothing is left behind"


def test_doctor_says_who_is_not_let_in(lake: Lake, tmp_path: Path) -> None:
    stranger = Lake(
        lake.layout, lake.timezone, lake.storage_options | {"AWS_SECRET_ACCESS_KEY": "wrong"}, lake.local
    )
    done = command(stranger, tmp_path, "doctor", "--json")
    assert done.returncode != 0
    (found,) = (check for check in json.loads(done.stdout) if check["name"] == "store")
    assert found["grade"] == "broken"
    assert "refuses us" in found["found"]


def test_a_profile_lets_in(filled: Lake, tmp_path: Path) -> None:
    options = dict(filled.storage_options)
    key, secret = options.pop("AWS_ACCESS_KEY_ID"), options.pop("AWS_SECRET_ACCESS_KEY")
    file = tmp_path / "credentials"
    file.write_text(f"[work]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    options |= {"AWS_PROFILE": "work", "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    by_profile = Lake(filled.layout, filled.timezone, options, filled.local)
    put(filled, [post(50, "#tag0")], number=1)
    for arguments in (["consolidate"], ["query", "select count(*) as posts from fact_post"]):
        done = command(by_profile, tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
    assert "31" in done.stdout


def test_it_is_served_and_watched(filled: Lake, tmp_path: Path) -> None:
    """New posts go by as they are written, and the REST answer has them without a consolidation."""
    person = Person(tmp_path)
    settings = environment(filled, tmp_path)
    serving = person.start("serve", "--port", "0", **settings)
    watching = person.start("watch", "tag0", "--json", **settings)
    try:
        assert serving.stderr is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", serving.stderr.readline())
        assert url is not None
        assert "#tag0" in ready(watching)
        at = now()
        new = [post(at + number, "#tag0 novo") for number in range(-10, 0)]
        put(filled, new, number=1, received_at=datetime.now(UTC))
        events = [json.loads(line) for line in read(watching, 11)]
        assert [event.get("text") for event in events[:10]] == ["#tag0 novo"] * 10
        summary = f"{url[0]}/api/v1/hashtags/tag0/summary?last=30d"
        until = time.monotonic() + 60
        while (told := requests.get(summary, timeout=60).json()).get("data", {}).get("posts") != 20:
            assert time.monotonic() < until, told
            time.sleep(0.2)
    finally:
        ended = [interrupt(process) for process in (serving, watching)]
    assert [result.code for result in ended] == [0, 0], ended


def test_commands_answer(filled: Lake, tmp_path: Path) -> None:
    for arguments, shown in (
        (["query", "select count(*) as posts from fact_post", "--format", "csv"], "30"),
        (["checks"], ""),
        (["doctor"], "tables in s3://"),
        (["export", "--duckdb", str(tmp_path / "warehouse.duckdb")], ""),
        (["maintain"], ""),
    ):
        done = command(filled, tmp_path, *arguments)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1) if arguments == ["doctor"] else done.returncode == 0, done.stderr
        assert shown in done.stdout
    assert (tmp_path / "warehouse.duckdb").exists()
