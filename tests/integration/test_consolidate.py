"""Consolidation: late, repeated, again, cut short; the tables come out the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.support import consolidate, contents, new_lake, post, put, rows, user

from bemtevi.errors import CheckError, ConflictError, UsageError
from bemtevi.lake.definition import Severity
from bemtevi.lake.lake import acquire
from bemtevi.lake.replacement import Replacement
from bemtevi.lake.table import Table
from bemtevi.serve.catalog import Catalog
from bemtevi.warehouse.check_result import read_results
from bemtevi.warehouse.checks import look_at_rows
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.model import Model, Scope, load_models

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_nothing_new_is_no_run_and_no_change(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    assert consolidate(lake) == []
    put(lake, [post(1, "#a")])
    assert len(consolidate(lake)) == 1
    versions = {model.name: lake.table(model.definition).version() for model in load_models()}
    assert consolidate(lake) == []
    assert versions == {model.name: lake.table(model.definition).version() for model in load_models()}


def test_latest_observation_wins_first_sighting_is_kept_all_are_counted(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    for number, likes in enumerate([3, 9, 5]):
        line = post(1, "#a", public_metrics={"like_count": likes, "retweet_count": 0})
        put(lake, [line], number=number, received_at=NOON + timedelta(minutes=number))
    for batches in (1, 2):
        assert len(consolidate(lake, batch_bytes=1)) == (3 if batches == 1 else 0)
    (row,) = rows(lake, "select * from fact_post")
    assert (row["like_count"], row["observations"]) == (5, 3)
    assert row["first_received_at"] == NOON
    assert row["last_received_at"] == NOON + timedelta(minutes=2)
    assert rows(lake, "select count(*) as n from bridge_post_hashtag") == [{"n": 1}]


def test_a_late_post_lands_in_its_hour_and_leaves_the_others_alone(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(0, "#a"), post(3600, "#a"), post(7200, "#b")])
    consolidate(lake)
    (run,) = consolidate_after(lake, [post(10, "#a late")], 1)
    assert (run.hours, run.posts_before, run.posts_after) == (1, 1, 2)
    hours = rows(lake, "select hashtag, posts from agg_hashtag_hour order by created_hour, hashtag")
    assert hours == [
        {"hashtag": "a", "posts": 2},
        {"hashtag": "a", "posts": 1},
        {"hashtag": "b", "posts": 1},
    ]


def consolidate_after(lake: Any, lines: list[Any], number: int) -> list[Any]:
    put(lake, lines, number=number)
    return consolidate(lake)


def test_a_period_again_gives_the_same_tables(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    lines = [post(number * 600, f"#a #b{number % 3}") for number in range(40)]
    put(lake, lines)
    put(lake, lines[:20], number=1, received_at=NOON + timedelta(hours=1))
    consolidate(lake, batch_bytes=1)
    before = contents(lake)
    start = datetime(2026, 11, 24, 11, tzinfo=UTC)
    runs = consolidate(lake, (start, start + timedelta(hours=3)))
    assert [run.kind for run in runs] == ["period"]
    assert runs[0].posts_before == runs[0].posts_after == 18
    assert contents(lake) == before


def test_a_period_without_messages_again_changes_nothing(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "#a")])
    consolidate(lake)
    before = contents(lake)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    (run,) = consolidate(lake, (long_ago, long_ago + timedelta(hours=2)))
    assert (run.messages, run.posts_after) == (0, 0)
    assert contents(lake) == before


WRITTEN = [model.name for model in load_models() if model.scope is not Scope.WHOLE]
"""By any run with posts. What does not change is left alone."""


@pytest.mark.parametrize("table", [*WRITTEN, "run"])
@pytest.mark.parametrize("hour", ["known", "new"])
def test_a_run_cut_short_leaves_no_trace(
    table: str, hour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at the commit of any table: readers see the old run, the next run the right content."""
    lake, whole = new_lake(tmp_path / "cut"), new_lake(tmp_path / "whole")
    first = [post(1, "#a"), post(4000, "#b")]
    second = [post(1, "#a again"), post(2, "#a #d")] if hour == "known" else [post(9000, "#c")]
    for line in second:
        line["includes"]["users"] = [user("7", description="changed")]
    for each in (lake, whole):
        put(each, first)
    consolidate(lake)
    before = contents(lake)
    for each in (lake, whole):
        put(each, second, number=1, received_at=NOON + timedelta(minutes=1))

    class Killed(BaseException):
        pass

    append, append_once, commit = Table.append, Table.append_once, Replacement.commit

    def cut_append(self: Table, *arguments: Any) -> int:
        if self.definition.name == table:
            raise Killed
        return append(self, *arguments)

    def cut_append_once(self: Table, *arguments: Any) -> int:
        if self.definition.name == table:
            raise Killed
        return append_once(self, *arguments)

    def cut_commit(self: Replacement) -> int:
        if self.table.definition.name == table:
            raise Killed
        return commit(self)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "append", cut_append)
        patch.setattr(Table, "append_once", cut_append_once)
        patch.setattr(Replacement, "commit", cut_commit)
        with pytest.raises(Killed):
            consolidate(lake)
    assert contents(lake) == before, "readers still see the last whole run"
    consolidate(lake)
    consolidate(whole)
    assert contents(lake) == contents(whole)


def test_a_failed_check_stops_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "#a")])
    consolidate(lake)
    before = contents(lake)
    put(lake, [post(2, "#b")], number=1)
    made = DuckDBEngine.make

    def make_twice(self: DuckDBEngine, model: Model) -> int:
        rows = made(self, model)
        self._connection.execute(f"insert into {model.name} select * from {model.name}")
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(DuckDBEngine, "make", make_twice)
        with pytest.raises(CheckError, match="that repeat: the run was stopped and changed nothing"):
            consolidate(lake)
    assert contents(lake) == before
    wrong = [
        kept for kept in read_results(lake) if kept.result.severity is Severity.FAIL and kept.result.wrong
    ]
    assert {kept.run for kept in wrong} == {2}
    (run,) = consolidate(lake)
    assert run.number == 2
    last = [kept.result for kept in read_results(lake) if kept.result.severity is Severity.FAIL]
    assert last
    assert all(result.passed for result in last), "the last attempt is what is shown"


def test_the_checks_see_repeated_and_missing_keys() -> None:
    model = next(model for model in load_models() if model.name == "dim_hashtag")
    of_key = replace(model.definition, checks=()).all_checks
    with DuckDBEngine(timezone="UTC", memory_limit="1GB", threads=1, rule_hashtags={}) as engine:
        engine._connection.register("given", pa.table({"hashtag": ["a", "a", None]}))
        engine._connection.execute("create temp table dim_hashtag as select * from given")
        found = look_at_rows("dim_hashtag", of_key, engine.ask)
        assert [result.told for result in found if not result.passed] == [
            "dim_hashtag has 1 rows with a null in hashtag",
            "dim_hashtag has 1 keys (hashtag) that repeat",
        ]


def test_another_zone_is_refused(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "#a")])
    consolidate(lake)
    other = new_lake(tmp_path, "Asia/Tokyo")
    with pytest.raises(UsageError, match="America/Sao_Paulo"):
        consolidate(other)
    with pytest.raises(UsageError, match="America/Sao_Paulo"), Catalog(other):
        pass


def test_two_at_once_are_told(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "#a")])
    with acquire(lake.lock("consolidate"), "testing"), pytest.raises(ConflictError, match="already"):
        consolidate(lake)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "UTC", "America/Sao_Paulo"])
def test_local_dates_and_replaced_hours_in_any_zone(zone: str, tmp_path: Path) -> None:
    """At :30 and :45 an hour lies in two local days: replacing it must take both."""
    lines = [post(8 * 3600 + number * 150, f"#t{number % 2}") for number in range(24)]  # 18:00 to 19:00 UTC
    once, sliced = new_lake(tmp_path / "once", zone), new_lake(tmp_path / "sliced", zone)
    put(once, lines)
    consolidate(once)
    for number in range(4):
        put(sliced, lines[number::4], number=number)
        consolidate(sliced)
    unstable = ("first_received_at", "last_received_at", "observed_at", "session", "sequence")
    assert contents(once, (*unstable, "first_seen_at")) == contents(sliced, (*unstable, "first_seen_at"))
    wrong = rows(once, "select count(*) as n from fact_post where created_date <> created_at_local::date")
    assert wrong == [{"n": 0}]


def test_the_hours_of_a_day_with_a_change_of_the_clock(tmp_path: Path) -> None:
    """São Paulo, 2019-02-16: 23:00 came twice; 2018-11-04 had no midnight."""
    lake = new_lake(tmp_path)
    at = ["2019-02-17T01:30:00", "2019-02-17T02:30:00", "2018-11-04T02:59:59", "2018-11-04T03:00:00"]
    # ids that carry no time, so that what is claimed counts
    lines = [post(0, "#a", id=str(number), created_at=f"{time}.000Z") for number, time in enumerate(at)]
    put(lake, lines)
    consolidate(lake)
    found = rows(
        lake, "select created_at_local::varchar as at, utc_offset from fact_post order by created_at"
    )
    assert [(row["at"], row["utc_offset"]) for row in found] == [
        ("2018-11-03 23:59:59", -180),
        ("2018-11-04 01:00:00", -120),
        ("2019-02-16 23:30:00", -120),
        ("2019-02-16 23:30:00", -180),
    ]
    assert rows(lake, "select count(*) as hours, sum(posts)::int as posts from agg_hashtag_hour") == [
        {"hours": 4, "posts": 4}
    ]


def test_what_staging_cannot_read_is_quarantined_once_and_never_fatal(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    odd = {"data": {"id": "not a number", "text": "no time either"}}
    put(lake, [odd, post(1, "#a")])
    (run,) = consolidate(lake)
    assert (run.observations, run.quarantined) == (1, 1)
    (row,) = rows(lake, "select stage, reason, payload from quarantine")
    assert row["stage"] == "staging"
    assert b"not a number" in row["payload"]


def test_the_hashtag_of_a_rule_is_told_when_the_post_does_not_carry_it(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    line = post(1, "#other") | {"matching_rules": [{"id": "1", "tag": "bemtevi:1"}]}
    put(lake, [line])
    consolidate(lake, rules={"bemtevi:1": ["Covid19"], "bemtevi:2": ["never"]})
    found = rows(lake, "select hashtag, spelling, matched_by from bridge_post_hashtag order by position")
    assert found == [
        {"hashtag": "other", "spelling": "other", "matched_by": "entity"},
        {"hashtag": "covid19", "spelling": "Covid19", "matched_by": "rule only"},
    ]


def test_a_rule_whose_tag_is_as_long_as_its_list(tmp_path: Path) -> None:
    """The engine's library takes `{"key": "a", "value": ["x"]}` for something else."""
    lake = new_lake(tmp_path)
    put(lake, [post(1, "nothing")])
    assert len(consolidate(lake, rules={"a": ["x"], "bc": []})) == 1


def test_a_reference_without_an_id_is_no_reference(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    line = post(1, "#a")
    line.setdefault("includes", {})["tweets"] = [{"text": "nobody refers to this #b"}]
    put(lake, [line])
    consolidate(lake)
    assert rows(lake, "select hashtag from bridge_post_hashtag") == [{"hashtag": "a"}]


def test_a_table_in_which_nothing_changed_is_not_written(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "#a")])
    (first,) = consolidate(lake)
    put(lake, [post(2, "#a")], number=1)
    (second,) = consolidate(lake)
    same = {name for name, at in second.table_versions.items() if at == first.table_versions[name]}
    without_rows = {"agg_hashtag_pair_day", "bridge_post_media", "bridge_post_mention", "bridge_post_url"}
    dimensions = {"dim_date", "dim_hashtag", "dim_hour", "dim_language", "dim_network", "dim_user"}
    assert same == dimensions | without_rows
