"""`bemtevi.connect`: the tables of a lake for a notebook, of one run until it is told to look again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import consolidate, new_lake, post, put

import bemtevi
from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.serve.connection import Connection


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = new_lake(tmp_path)
    put(made, [post(number, "um #covid19") for number in range(3)])
    consolidate(made)
    return made


@pytest.fixture
def warehouse(lake: Lake) -> Iterator[Connection]:
    with bemtevi.connect(lake.layout.root, journal=lake.local) as found:
        yield found


def test_tables_come_by_name_and_as_every_library_has_them(warehouse: Connection) -> None:
    assert {"fact_post", "dim_user", "fact_tweet", "raw"} <= set(warehouse.tables())
    posts = warehouse.table("fact_post")
    assert posts.to_arrow_table().num_rows == len(posts.pl()) == 3
    query = "select hashtag, count(*) from bridge_post_hashtag where hashtag = $tag group by 1"
    assert warehouse.sql(query, tag="covid19").fetchall() == [("covid19", 3)]
    first = warehouse.sql("select created_at from fact_post order by post_id limit 1").to_arrow_table()
    (row,) = first.to_pylist()
    assert row["created_at"].isoformat() == "2026-11-24T07:00:00-03:00"


def test_it_shows_one_run_until_it_looks_again(lake: Lake, warehouse: Connection) -> None:
    before = warehouse.table("fact_post")
    put(lake, [post(9, "mais #covid19")], number=1)
    consolidate(lake)
    assert warehouse.sql("select count(*) from fact_post").fetchall() == [(3,)]
    warehouse.refresh()
    assert warehouse.sql("select count(*) from fact_post").fetchall() == [(4,)]
    assert before.to_arrow_table().num_rows == 3


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("select * from nothing", "There is no table nothing; there are "),
        ("select wrong from fact_post", "The SQL is wrong"),
        ("drop view fact_post", "One SELECT is expected"),
        ("select 1; select 2", "One SELECT is expected"),
    ],
)
def test_what_is_no_question_is_one_sentence(warehouse: Connection, sql: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        warehouse.sql(sql)


def test_a_name_that_is_not_there_is_told(warehouse: Connection) -> None:
    with pytest.raises(UsageError, match="There is no table posts; there are agg_hashtag_day"):
        warehouse.table("posts")


def test_a_wrong_setting_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="timezone"):
        bemtevi.connect(str(tmp_path / "lake"), timezone="Nowhere/At_All")
