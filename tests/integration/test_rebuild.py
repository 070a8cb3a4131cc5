"""Rebuild: the same tables from layer 1, beside what readers see; another zone, rule or column in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import write_deltalake
from tests.support import ZONE, consolidate, contents, new_lake, post, put, rows

import bemtevi
from bemtevi.errors import UsageError
from bemtevi.lake.commit import stamped
from bemtevi.lake.lake import Lake
from bemtevi.serve.catalog import Catalog
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.rebuild import Period, Rebuild
from bemtevi.warehouse.run import all_runs, commit_run, last_run, pinned
from bemtevi.warehouse.verify import compare

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEN = datetime(2026, 11, 24, 10, tzinfo=UTC)


def fill(lake: Lake) -> None:
    """Three days of posts in several commits: repeated, late, edited counts, unreadable."""
    for number in range(3):
        lines = [
            post(
                number * 86_400 + line * 900,
                "words",
                author_id=str(line % 3),
                entities={
                    "hashtags": [{"tag": "a"}, {"tag": f"t{line}"}],
                    "mentions": [{"id": "8", "username": "user8"}],
                    "urls": [{"url": "https://t.co/1", "expanded_url": f"https://x{line}.example/"}],
                },
                attachments={"media_keys": [f"3_{line}"]},
            )
            for line in range(8)
        ]
        lines.append(post(900, "#late", public_metrics={"like_count": number, "retweet_count": 0}))
        put(lake, [*lines, b'{"data":{"id":"1"}}'], number=number, received_at=NOON + timedelta(days=number))


def rebuild(
    lake: Lake,
    table: str | None = None,
    period: Period | None = None,
    *,
    rules: dict[str, list[str]] | None = None,
    seen: list[object] | None = None,
) -> object:
    """A rebuild in small steps; `seen` gets what readers see after each."""
    engine = DuckDBEngine(
        timezone=lake.timezone,
        memory_limit="1GB",
        threads=2,
        rule_hashtags=rules or {},
        storage_options=lake.storage_options,
    )
    with engine:
        work = Rebuild(lake, engine, 1, lambda: datetime.now(UTC))

        def told(share: float) -> None:
            del share
            if seen is not None:
                seen.append(contents(lake))

        return work.run(table, period, told)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    lake = new_lake(folder)
    fill(lake)
    consolidate(lake)
    return folder


@pytest.fixture
def lake(tmp_path: Path, filled: Path) -> Lake:
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    return new_lake(tmp_path)


def spoil(lake: Lake, table: str) -> None:
    """A table as no rule would make it, shown by a run of its own: it has lost its rows."""
    last = last_run(lake)
    assert last is not None
    model = next(model for model in load_models() if model.name == table)
    version = lake.table(model.definition).replace("true", model.definition.schema.empty_table())
    spoilt = {
        **vars(last),
        "number": last.number + 1,
        "versions": pinned(last.table_versions | {table: version}),
    }
    commit_run(lake, type(last)(**spoilt | {"posts_before": 0, "posts_after": 0, "quarantined": 0}))


def test_it_gives_the_same_tables_and_nobody_sees_it_before_the_end(lake: Lake) -> None:
    before = contents(lake)
    spoil(lake, "bridge_post_url")
    spoilt = contents(lake)
    seen: list[object] = []
    run = rebuild(lake, seen=seen)
    assert contents(lake) == before
    assert len(seen) == 3, "a step for each file of layer 1"
    assert all(one == spoilt for one in seen)
    assert vars(run)["kind"] == "rebuild"
    assert vars(run)["posts_before"] == vars(run)["posts_after"] == len(before["fact_post"])
    assert consolidate(lake) == [], "what was consolidated is not new again"
    assert [one.wrong for one in compare(lake, "1GB")] == [0] * 5
    assert rows(lake, "select count(*) as n from quarantine") == [{"n": 3}], "none twice"


def test_a_mended_rule_changes_what_is_there_already(tmp_path: Path) -> None:
    lake, other = new_lake(tmp_path / "one"), new_lake(tmp_path / "other")
    line = post(1, "no tag") | {"matching_rules": [{"id": "1", "tag": "r"}]}
    for each in (lake, other):
        put(each, [line])
    consolidate(lake)
    consolidate(other, rules={"r": ["#b"]})
    assert contents(lake) != contents(other)
    rebuild(lake, rules={"r": ["#b"]})
    assert contents(lake) == contents(other)


def test_another_zone_is_the_same_as_if_it_had_always_been(lake: Lake, tmp_path: Path) -> None:
    fresh = new_lake(tmp_path / "fresh", "Asia/Kolkata")
    fill(fresh)
    consolidate(fresh)
    moved = new_lake(tmp_path, "Asia/Kolkata")
    with pytest.raises(UsageError, match=f"BEMTEVI_TIMEZONE={ZONE}"):
        consolidate(moved)
    with pytest.raises(UsageError, match="--timezone Asia/Kolkata"):
        rebuild(moved, "dim_date")
    rebuild(moved)
    assert contents(moved) == contents(fresh)
    with pytest.raises(UsageError, match="BEMTEVI_TIMEZONE=Asia/Kolkata"), Catalog(lake):
        pass
    assert {moved.table(model.definition).property("bemtevi.timezone") for model in load_models()} == {
        "Asia/Kolkata"
    }


@pytest.mark.parametrize(
    "table",
    ["fact_post", "dim_user", "user_observation", "dim_hashtag", "bridge_post_url", "agg_hashtag_day"],
)
def test_one_table(table: str, lake: Lake) -> None:
    before = contents(lake)
    versions = last_run(lake)
    assert versions is not None
    spoil(lake, table)
    assert contents(lake) != before
    rebuild(lake, table)
    assert contents(lake) == before
    last = last_run(lake)
    assert last is not None
    if table == "bridge_post_url":
        changed = {name for name, at in last.table_versions.items() if at != versions.table_versions[name]}
        assert changed == {table}
    assert [one.wrong for one in compare(lake, "1GB")] == [0] * 5


def test_a_table_that_an_earlier_version_kept_otherwise(lake: Lake) -> None:
    """Told in one sentence by whoever would write to it, read as before, and made anew once."""
    before = contents(lake)
    last = last_run(lake)
    assert last is not None
    table = lake.table(next(model.definition for model in load_models() if model.name == "dim_hashtag"))
    former = table.read().drop_columns(["first_seen_hour", "first_seen_date"])
    former = former.append_column("last_seen_at", former["first_seen_at"])
    write_deltalake(
        table.uri,
        former,
        mode="overwrite",
        schema_mode="overwrite",
        partition_by=[],
        commit_properties=stamped(),
    )
    versions = pinned(last.table_versions | {"dim_hashtag": table.version()})
    same = {"posts_before": 0, "posts_after": 0, "quarantined": 0}
    commit_run(lake, type(last)(**vars(last) | same | {"number": last.number + 1, "versions": versions}))
    assert len(rows(lake, "select hashtag from dim_hashtag")) == len(before["dim_hashtag"])
    put(lake, [post(1, "#new")], number=70)
    told = "run `bemtevi rebuild --table dim_hashtag` once"
    day = (TEN, TEN + timedelta(days=1))
    with pytest.raises(UsageError, match=told):
        consolidate(lake)
    with pytest.raises(UsageError, match=told):
        consolidate(lake, day)
    with pytest.raises(UsageError, match=told):
        rebuild(lake, "agg_hashtag_hour", day)
    rebuild(lake, "dim_hashtag")
    assert contents(lake) == before
    consolidate(lake)
    assert "new" in {row["hashtag"] for row in rows(lake, "select hashtag from dim_hashtag")}
    assert "first_seen_hour" in str(table.property("delta.dataSkippingStatsColumns"))


@pytest.mark.parametrize("table", [None, "bridge_post_hashtag"])
def test_a_period(table: str | None, lake: Lake) -> None:
    before = contents(lake)
    rebuild(lake, table, (TEN, TEN + timedelta(days=1)))
    assert contents(lake) == before
    spoil(lake, "bridge_post_hashtag")
    rebuild(lake, table, (TEN, TEN + timedelta(days=1)))
    found = rows(lake, "select min(created_at) as first, max(created_at) as last from bridge_post_hashtag")
    expected = rows(
        lake,
        "select min(created_at) as first, max(created_at) as last from fact_post "
        "where len(hashtags) > 0 and created_at < '2026-11-25 10:00:00Z'",
    )
    assert found == expected


def test_an_empty_lake_and_an_unknown_table(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    assert rebuild(lake) is None
    with pytest.raises(UsageError, match="There is no table tweets in layer 2; there are agg_hashtag_day"):
        rebuild(lake, "tweets")
    assert all_runs(lake) == []


def test_a_new_column_needs_no_step_by_hand(lake: Lake, tmp_path: Path) -> None:
    """A copy of the program with one more column: new posts have it, old ones after a rebuild."""
    program = tmp_path / "program"
    shutil.copytree(Path(bemtevi.__file__).parent, program / "bemtevi")
    header = program / "bemtevi" / "warehouse" / "models" / "fact_post.sql"
    text = header.read_text(encoding="utf-8")
    text = text.replace("*/", 'text_length = { type = "BIGINT", description = "Letters." }\n*/', 1)
    made, rest = text.split("*/", 1)
    rest = f"\nselect *, length(text) as text_length from (\n{rest.strip()}\n) as with_length\n"
    rest = rest.replace("select * from existing", "select * exclude (text_length) from existing")
    header.write_text(f"{made}*/{rest}", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(program), "BEMTEVI_LAKE": lake.layout.root}
    environment["BEMTEVI_JOURNAL"] = str(tmp_path / "journal")

    def call(*arguments: str) -> str:
        answer = subprocess.run(
            [sys.executable, "-m", "bemtevi", *arguments],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    count = "select count(*) as posts, count(text_length) as known from fact_post"
    put(lake, [post(10 * 86_400, "#new")], number=9)
    call("consolidate")
    posts = 24
    assert call("query", count, "--format", "csv").split() == ["posts,known", f"{posts + 1},1"]
    call("rebuild")
    assert call("query", count, "--format", "csv").split() == ["posts,known", f"{posts + 1},{posts + 1}"]
