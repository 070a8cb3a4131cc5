"""Any stream, in any slices, order and repetition of runs, makes what the naive reference says."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties.reference import Message, tables
from tests.support import ZONE, consolidate, new_lake, post, put, rows, user

from bemtevi.lake.lake import Lake

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
TAGS = st.lists(st.sampled_from(["#a", "#A", "#b", "#B", "#Ação", "#ação", "#देश", "word"]), max_size=4)
MALFORMED = [b"{", b"\xff", b"", b"null", b"[]", b'{"data":{}}', b'{"errors":[]}', b'{"data":{"id":"1"}}']


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    """A post of an hour around midnight in the zone, or a later version of one; seen with some counts."""
    number = draw(st.integers(0, 5)) * 1800 + 15 * 3600
    author = draw(st.sampled_from("78"))
    line = post(
        number,
        " ".join(draw(TAGS)),
        author_id=author,
        public_metrics={"like_count": draw(st.integers(0, 3)), "retweet_count": 0},
    )
    if draw(st.booleans()) and number > 15 * 3600:  # an edit of the post before
        before = post(number - 1800)["data"]["id"]
        line["data"]["edit_history_tweet_ids"] = [before, line["data"]["id"]]
    line["includes"]["users"] = [user(author, description=draw(st.sampled_from(["x", "y"])))]
    return line


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    """Messages as they were received: lines, pages, what cannot be read; some twice, some a month late."""
    payloads: list[bytes] = []
    for _ in range(draw(st.integers(1, 12))):
        match draw(st.sampled_from(["line"] * 6 + ["page", "malformed", "again"])):
            case "again" if payloads:
                payloads.append(draw(st.sampled_from(payloads)))
            case "malformed":
                payloads.append(draw(st.sampled_from(MALFORMED)))
            case "page":
                found = draw(st.lists(lines(), min_size=1, max_size=3))
                users = {one["id"]: one for line in found for one in line["includes"]["users"]}
                page = {"data": [line["data"] for line in found], "includes": {"users": [*users.values()]}}
                payloads.append(json.dumps(page).encode())
            case _:
                payloads.append(json.dumps(draw(lines())).encode())
    return [
        Message(f"s{number:02}", START + timedelta(minutes=20 * number, days=30 * (number // 5)), payload)
        for number, payload in enumerate(payloads)
    ]


@given(stream=streams(), data=st.data())
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_the_tables_are_what_the_reference_says(stream: list[Message], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(stream))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=2)))
    with tempfile.TemporaryDirectory() as folder:
        lake = new_lake(Path(folder))
        for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            for message in shuffled[first:last]:
                put(lake, [message.payload], received_at=message.received_at, session=message.session)
            again = (START, START + timedelta(hours=20)) if data.draw(st.booleans()) else None
            consolidate(lake, again, batch_bytes=data.draw(st.sampled_from([1, 1 << 30])))
        expected = tables(stream, ZoneInfo(ZONE))
        found = held(lake)
        assert found.keys() == expected.keys()
        for name, content in expected.items():
            assert found[name] == content, name


def held(lake: Lake) -> dict[str, Any]:
    """The same tables as the lake has them."""
    names = (
        "post_id, author_id, text, created_at, created_date, like_count, edited_from, hashtags, "
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
