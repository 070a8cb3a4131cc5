"""Streams of messages as a network may send them, for Hypothesis; and what befalls who consolidates them.

Owns what is drawn: posts and later versions of them, pages, repetition, delay, what cannot be read, and words
that posts or authors are gone or back. Leaves to the tests what must hold for all of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from tests.properties.reference import Message
from tests.support import post, put, user

from bemtevi.lake.lake import Lake

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIRST = 15 * 3600
"""The number of the first post: an hour or two before midnight in the zone."""
POSTS = 6
TAGS = st.lists(st.sampled_from(["#a", "#A", "#b", "#B", "#Ação", "#ação", "#देश", "word"]), max_size=4)
MALFORMED = [b"{", b"\xff", b"", b"null", b"[]", b'{"data":{}}', b'{"errors":[]}', b'{"data":{"id":"1"}}']
KINDS = ["line"] * 6 + ["page", "malformed", "again", "gone", "gone", "back"]


def number_of(index: int) -> int:
    """The number of a post; those of the second half repost those of the first."""
    return FIRST + index * 1800


def id_of(index: int) -> str:
    """The id of a post."""
    return str(post(number_of(index))["data"]["id"])


def author_of(index: int) -> str:
    """Who wrote it: that does not change."""
    return "78"[index % 2]


@st.composite
def lines(draw: st.DrawFn) -> dict[str, Any]:
    """A post of an hour around midnight in the zone, or a later version of one; seen with some counts."""
    index = draw(st.integers(0, POSTS + 1))
    author = author_of(index)
    line = post(
        number_of(index),
        " ".join(draw(TAGS)),
        author_id=author,
        public_metrics={"like_count": draw(st.integers(0, 3)), "retweet_count": 0},
    )
    if index >= POSTS:
        line["data"]["referenced_tweets"] = [{"type": "retweeted", "id": id_of(index - POSTS)}]
    elif draw(st.booleans()) and index:  # an edit of the post before
        line["data"]["edit_history_tweet_ids"] = [id_of(index - 1), line["data"]["id"]]
    line["includes"]["users"] = [user(author, description=draw(st.sampled_from(["x", "y"])))]
    return line


@st.composite
def notices(draw: st.DrawFn, *, back: bool) -> dict[str, Any]:
    """A word of the network that a post or an author is gone, or back."""
    if draw(st.booleans()):
        author = draw(st.sampled_from("78"))
        kinds = ["user_unsuspend", "user_undelete"] if back else ["user_suspend", "user_delete"]
        return {draw(st.sampled_from(kinds)): {"id": int(author)}}
    index = draw(st.integers(0, POSTS - 1))
    return {"undrop" if back else "delete": {"status": {"id_str": id_of(index), "id": int(id_of(index))}}}


@st.composite
def payloads(draw: st.DrawFn, before: Sequence[bytes]) -> bytes:
    """One message; it may be one of those before."""
    match draw(st.sampled_from(KINDS)):
        case "again" if before:
            return draw(st.sampled_from(before))
        case "malformed":
            return draw(st.sampled_from(MALFORMED))
        case "page":
            found = draw(st.lists(lines(), min_size=1, max_size=3))
            users = {one["id"]: one for line in found for one in line["includes"]["users"]}
            page = {"data": [line["data"] for line in found], "includes": {"users": [*users.values()]}}
            return json.dumps(page).encode()
        case "gone" | "back" as word:
            return json.dumps(draw(notices(back=word == "back"))).encode()
        case _:
            return json.dumps(draw(lines())).encode()


@st.composite
def streams(draw: st.DrawFn, most: int = 12) -> list[Message]:
    """Messages as they were received; some twice, some a month late."""
    sent: list[bytes] = []
    for _ in range(draw(st.integers(1, most))):
        sent.append(draw(payloads(sent)))
    return [
        Message(f"s{number:02}", START + timedelta(minutes=20 * number, days=30 * (number // 5)), payload)
        for number, payload in enumerate(sent)
    ]


@st.composite
def slices(draw: st.DrawFn, stream: Sequence[Message], most: int = 2) -> list[list[Message]]:
    """The messages in some order, in some parts."""
    shuffled = draw(st.permutations(stream))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=most)))
    return [shuffled[first:last] for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def deliver(lake: Lake, messages: Sequence[Message]) -> None:
    """Messages into layer 1, each with its own time of receipt and session."""
    for message in messages:
        put(lake, [message.payload], received_at=message.received_at, session=message.session)
