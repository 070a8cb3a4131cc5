"""What consolidation asks of an engine, of both: the same questions, the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.integration.test_deletes import by, id_of, word
from tests.support import new_lake, post, put

from bemtevi.errors import StorageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.tombstone import Subject, Tombstones, gone
from bemtevi.warehouse.engine import UNREADABLE, Engine, Staged
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.model import Model, load_models
from bemtevi.warehouse.writing import written_replacement

TEN = datetime(2026, 11, 24, 10, tzinfo=UTC)
ELEVEN = TEN + timedelta(hours=1)
DAY = TEN.date()
UNREAD = {"data": {"id": "not a number", "text": "no time either"}}
HOW: dict[str, Any] = {"timezone": "America/Sao_Paulo", "memory_limit": "500MB", "rule_hashtags": {}}
SPARK = pytest.param("spark", marks=[pytest.mark.spark, pytest.mark.timeout(600)])


@pytest.fixture(params=["duckdb", SPARK])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each of them, opened."""
    made: Callable[[], Engine] = lambda: DuckDBEngine(threads=2, **HOW)  # noqa: E731
    if request.param == "spark":
        request.getfixturevalue("small_session")
        from tests.spark.session import PLACE

        from bemtevi.warehouse.engines.spark.engine import SparkEngine

        made = lambda: SparkEngine(place=PLACE, **HOW)  # noqa: E731
    with made() as opened:
        yield opened


def model(name: str) -> Model:
    return next(one for one in load_models() if one.name == name)


FACT, HOURLY, HASHTAG = (model(name) for name in ("fact_post", "agg_hashtag_hour", "dim_hashtag"))


def raw(lake: Lake) -> list[str]:
    return lake.table(RAW).snapshot().files


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three posts of two hours, one of them twice, and a message that cannot be read."""
    lake = new_lake(tmp_path)
    first, second, third = post(1, "one #a"), post(60, "two #b"), post(3700, "três #ção")
    put(lake, [first, second, UNREAD])
    put(lake, [second, third], number=1)
    return lake


def made_fact(engine: Engine, files: list[str]) -> int:
    engine.stage(files)
    engine.define_existing(FACT, [], [])
    return engine.make(FACT)


def written_fact(engine: Engine, lake: Lake) -> list[str]:
    """The files of a table of what was just made."""
    table = lake.table(FACT.definition)
    written_replacement(table, [], engine.writing(FACT.name)).commit()
    return table.snapshot().files


def test_staging_counts_what_it_was_given(engine: Engine, lake: Lake) -> None:
    assert engine.stage(raw(lake)) == Staged(messages=5, observations=4, unreadable=1)
    assert engine.touched_hours("created_hour") == [TEN, ELEVEN]


def test_staging_of_no_files_is_nothing(engine: Engine) -> None:
    assert engine.stage([]) == Staged(0, 0, 0)
    assert engine.touched_hours("created_hour") == []
    assert list(engine.notices([])) == []


def test_staging_of_some_hours_or_of_messages_that_hold_an_id(engine: Engine, lake: Lake) -> None:
    assert engine.stage(raw(lake), [ELEVEN]).observations == 1
    assert engine.touched_hours("created_hour") == [ELEVEN]
    assert engine.stage(raw(lake), None, [id_of(post(60))]).observations == 2


def test_a_model_over_nothing_makes_nothing(engine: Engine) -> None:
    assert made_fact(engine, []) == 0
    assert engine.ask("select post_id from fact_post") == []


def test_a_model_runs_over_what_is_new_and_what_exists(engine: Engine, lake: Lake) -> None:
    files = raw(lake)
    assert made_fact(engine, files[:1]) + made_fact(engine, files[1:]) == 4
    made_fact(engine, files[:1])
    stored = written_fact(engine, lake)
    engine.stage(files[1:])
    before = engine.define_existing(FACT, stored, [TEN, ELEVEN])
    assert before < engine.make(FACT) == 3
    asked = "select post_id, created_hour, text, observations from fact_post order by 1"
    assert engine.ask(asked) == [
        (id_of(post(1)), TEN, "one #a", 1),
        (id_of(post(60)), TEN, "two #b", 2),
        (id_of(post(3700)), ELEVEN, "três #ção", 1),
    ]


def test_what_is_written_is_read_again_by_hours(engine: Engine, lake: Lake) -> None:
    assert made_fact(engine, raw(lake)) == 3
    stored = written_fact(engine, lake)
    assert engine.define_existing(FACT, stored, [TEN]) == 2
    assert engine.define_existing(FACT, stored, None) == 3
    assert engine.define_existing(FACT, stored, []) == 0
    assert engine.load(FACT, stored, [ELEVEN]) == 1
    engine.define_beside("all_fact_post", FACT, stored, [ELEVEN], "text <> 'one #a'")
    assert engine.ask("select text from all_fact_post order by 1") == [("três #ção",), ("two #b",)]


def test_rows_of_the_keys_touched_are_replaced(engine: Engine, lake: Lake) -> None:
    """One hashtag comes earlier, one goes, one comes anew; the one that nobody touched stays."""

    def made(rows: list[tuple[str, datetime]], stored: list[str]) -> int:
        table = pa.Table.from_pylist(
            [
                {"hashtag": tag, "network": "x", "created_hour": hour, "created_date": DAY, "first_at": hour}
                | {"spellings": [{"spelling": tag.upper(), "posts": 1}]}
                for tag, hour in rows
            ],
            schema=HOURLY.definition.schema,
        )
        hourly = lake.table(HOURLY.definition)
        version = hourly.make_anew(table)
        engine.load(HOURLY, hourly.files(version, "true"), [TEN, ELEVEN])
        for name in ("day_agg_hashtag_hour", "all_agg_hashtag_hour"):
            engine.define_beside(name, HOURLY, [], [], "true")
        found = engine.define_existing_of_keys(HASHTAG, stored, stored, [TEN])
        engine.make(HASHTAG)
        return found

    table = lake.table(HASHTAG.definition)
    assert made([("goes", TEN), ("earlier", ELEVEN), ("stays", ELEVEN)], []) == 0
    assert engine.changed_hours(HASHTAG) == [TEN, ELEVEN]
    engine.define_beside_keys("kept_dim_hashtag", HASHTAG, [])
    written_replacement(table, [], engine.writing("kept_dim_hashtag")).commit()
    stored = table.snapshot().files
    assert made([("earlier", TEN), ("new", ELEVEN)], stored) == 2
    assert engine.changed_hours(HASHTAG) == [TEN, ELEVEN]
    engine.define_beside_keys("kept_dim_hashtag", HASHTAG, stored)
    shown = "select hashtag, spelling, first_seen_hour from kept_dim_hashtag order by 1"
    assert engine.ask(shown) == [
        ("earlier", "EARLIER", TEN),
        ("new", "NEW", ELEVEN),
        ("stays", "STAYS", ELEVEN),
    ]
    assert made([("goes", TEN), ("earlier", ELEVEN)], stored) == 2
    assert engine.changed_hours(HASHTAG) == []


def test_only_hours_that_changed_are_kept(engine: Engine, lake: Lake) -> None:
    made_fact(engine, raw(lake))
    stored = written_fact(engine, lake)
    engine.define_existing_since(FACT, stored, "true")
    assert engine.load(FACT, stored, [TEN, ELEVEN]) == 3
    assert engine.keep_changed(FACT) == []
    engine.load(FACT, stored, [TEN])
    assert engine.keep_changed(FACT) == [ELEVEN]
    assert engine.ask("select count(*) from fact_post") == [(0,)]


def test_the_form_of_files_is_the_tables(engine: Engine, lake: Lake) -> None:
    made_fact(engine, raw(lake))
    assert written_fact(engine, lake)
    table = lake.table(FACT.definition)
    scanned = pa.concat_tables(table.scan(FACT.definition.schema.names, "true"))
    assert scanned.schema.equals(FACT.definition.schema)
    assert scanned.num_rows == 3


def test_what_is_in_quarantine_is_not_put_there_again(engine: Engine, lake: Lake) -> None:
    engine.stage(raw(lake))
    table = lake.table(QUARANTINE)
    assert engine.leave_out([]) == 1
    written_replacement(table, [], engine.writing(UNREADABLE)).commit()
    (row,) = pa.concat_tables(table.scan(QUARANTINE.schema.names, "true")).to_pylist()
    assert b"no time either" in row["payload"]
    engine.stage(raw(lake))
    assert engine.leave_out(table.snapshot().files) == 0


def test_what_is_gone_is_hidden(engine: Engine, lake: Lake) -> None:
    theirs = by("9", 30, "theirs #a")
    put(lake, [theirs], number=2)
    assert made_fact(engine, raw(lake)) == 4
    stored = written_fact(engine, lake)
    tombstones = Tombstones(lake)
    tombstones.note([word(Subject.AUTHOR, "9")])
    gone_now = gone(tombstones.read())
    engine.stage(raw(lake))
    engine.hide(gone_now)
    assert engine.ask("select post_id from observation where is_deleted") == [(id_of(theirs),)]
    assert engine.concerned_hours(FACT, stored) == [TEN]
    authors = pa.table({"network": ["x"], "id": ["9"]})
    for posts in (engine.posts_of(authors), engine.posts_of(authors, FACT, stored)):
        assert posts.to_pylist() == [{"network": "x", "author_id": "9", "post_id": id_of(theirs)}]
    engine.define_existing(FACT, stored, None)
    assert engine.ask("select count(*) from existing where author_id = '9'") == [(0,)]


def only_ninth(ids: Any) -> list[int]:
    """The positions of an author."""
    return [place for place, (_, subject, id_) in enumerate(ids) if (subject, id_) == ("author", "9")]


def test_ids_are_chosen_among_those_observed(engine: Engine, lake: Lake) -> None:
    put(lake, [by("9", 30, "theirs #a"), by("9", 31, "theirs #b")], number=2)
    engine.stage(raw(lake))
    assert list(engine.observed_ids(only_ninth)) == [("x", "author", "9")]


def test_notices_of_deletion_are_told(engine: Engine, lake: Lake) -> None:
    put(lake, [{"user_suspend": {"id": 10}}], number=2)
    told = [row for batch in engine.notices(raw(lake)) for row in batch.to_pylist()]
    assert [(row["network"], '"user_suspend"' in row["payload"]) for row in told] == [("x", True)]


def test_a_relation_is_forgotten_and_made_again(engine: Engine, lake: Lake) -> None:
    made_fact(engine, raw(lake))
    engine.drop(FACT.name)
    engine.drop("observation")
    engine.drop("never_made")
    assert made_fact(engine, raw(lake)) == 3


def test_a_file_that_is_lost_is_told_as_an_error_of_storage(engine: Engine, lake: Lake) -> None:
    files = raw(lake)
    Path(files[0]).unlink()
    with pytest.raises(StorageError) as told:
        engine.stage(files)
    assert len(str(told.value).splitlines()) == 1
