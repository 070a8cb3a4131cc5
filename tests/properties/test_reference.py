"""Any stream, in any slices, order and repetition of runs, makes what the naive reference says."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties.reference import Message, tables
from tests.properties.streams import START, deliver, slices, streams
from tests.support import ZONE, consolidate, new_lake, rows

from bemtevi.lake.lake import Lake
from bemtevi.warehouse.verify import compare

STREAMS = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@given(stream=streams(), data=st.data())
@settings(STREAMS, max_examples=6)
def test_the_tables_are_what_the_reference_says(stream: list[Message], data: st.DataObject) -> None:
    the_tables_are_what_the_reference_says(stream, data)


@pytest.mark.heavy
@pytest.mark.timeout(900)
@given(stream=streams(most=16), data=st.data())
@settings(STREAMS, max_examples=8)
def test_longer_streams_too(stream: list[Message], data: st.DataObject) -> None:
    the_tables_are_what_the_reference_says(stream, data)


def the_tables_are_what_the_reference_says(stream: list[Message], data: st.DataObject) -> None:
    """Also with hours made again between, and whatever a step holds."""
    with tempfile.TemporaryDirectory() as folder:
        lake = new_lake(Path(folder))
        for part in data.draw(slices(stream)):
            deliver(lake, part)
            again = (START, START + timedelta(hours=20)) if data.draw(st.booleans()) else None
            consolidate(lake, again, batch_bytes=data.draw(st.sampled_from([1, 1 << 30])))
        expected = tables(stream, ZoneInfo(ZONE))
        found = held(lake)
        assert found.keys() == expected.keys()
        for name, content in expected.items():
            assert found[name] == content, name
        assert [comparison for comparison in compare(lake, "1GB") if comparison.wrong] == []


def held(lake: Lake) -> dict[str, Any]:
    """The same tables as the lake has them."""
    names = (
        "post_id, author_id, text, created_at, created_date, like_count, edited_from, hashtags, "
        "referenced_post_id as reposts, "
        "first_received_at, last_received_at, observations"
    )
    facts = rows(lake, f"select {names} from fact_post")
    for fact in facts:
        fact["hashtags"] = {tag["hashtag"]: tag["spelling"] for tag in fact["hashtags"]}
    authors: dict[str, list[tuple[Any, ...]]] = {}
    versions = "select author_id, description, valid_from, valid_to from dim_user order by valid_from"
    for row in rows(lake, versions):
        authors.setdefault(row["author_id"], []).append(tuple(row.values())[1:])
    return {
        "fact_post": {fact["post_id"]: fact for fact in facts},
        "bridge_post_hashtag": {
            tuple(row.values())
            for row in rows(lake, "select post_id, hashtag, spelling, position from bridge_post_hashtag")
        },
        "agg_hashtag_hour": counted(lake, "hashtag, created_hour", "agg_hashtag_hour"),
        "agg_hashtag_day": counted(lake, "hashtag, created_date", "agg_hashtag_day"),
        "agg_hashtag_pair_day": counted(lake, "hashtag, other_hashtag, created_date", "agg_hashtag_pair_day"),
        "dim_hashtag": {
            row["hashtag"]: (row["spelling"], row["first_seen_at"], row["last_seen_at"])
            for row in rows(lake, "select * from dim_hashtag")
        },
        "dim_user": authors,
    }


def counted(lake: Lake, key: str, table: str) -> dict[tuple[Any, ...], int]:
    """The posts of an aggregate by its key."""
    return {tuple(row.values())[:-1]: row["posts"] for row in rows(lake, f"select {key}, posts from {table}")}
