"""Every part of the program gives on S3 what it gives on a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.s3.server import SECRET
from tests.support import consolidate, contents, new_lake, post, put

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.serve.catalog import Catalog
from bemtevi.serve.snapshot import Snapshots

POSTS = [post(number, f"#tag{number % 3} ação") for number in range(30)]


@pytest.fixture
def filled(lake: Lake) -> Lake:
    put(lake, POSTS)
    consolidate(lake)
    return lake


def command(lake: Lake, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with the settings that a person has."""
    settings = {
        "BEMTEVI_LAKE": lake.layout.root,
        "BEMTEVI_JOURNAL": str(folder / "journal"),
        "BEMTEVI_TIMEZONE": lake.timezone,
    }
    return subprocess.run(
        [sys.executable, "-m", "bemtevi", *arguments],
        cwd=folder,
        env=os.environ | lake.storage_options | settings,
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
