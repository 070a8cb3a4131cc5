"""Any order, repetition and slicing of the same messages gives the same tables."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import consolidate, contents, new_lake, post, put, user

START = datetime(2026, 11, 24, 12, tzinfo=UTC)

TAGS = st.lists(st.sampled_from(["#a", "#A", "#b", "#ação", "#देश", "no", "tag"]), max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any] | bytes:
    """A post seen at some count of likes by an author of some description, a page, or something odd."""
    kind = draw(st.sampled_from(["post"] * 8 + ["page", "odd"]))
    if kind == "odd":
        return draw(
            st.sampled_from([b"{", b'{"data":{}}', b'{"errors":[]}', b"\xff", b'{"data":{"id":"1"}}'])
        )
    lines = []
    for _ in range(1 if kind == "post" else draw(st.integers(1, 3))):
        author = draw(st.sampled_from("78"))
        line = post(
            draw(st.integers(0, 6)) * 1800,
            " ".join(draw(TAGS)),
            author_id=author,
            public_metrics={"like_count": draw(st.integers(0, 3)), "retweet_count": 0},
        )
        line["includes"]["users"] = [user(author, description=draw(st.sampled_from(["x", "y"])))]
        lines.append(line)
    if kind == "post":
        return lines[0]
    users = {entry["id"]: entry for line in lines for entry in line["includes"]["users"]}
    return {"data": [line["data"] for line in lines], "includes": {"users": list(users.values())}}


@given(
    given_messages=st.lists(messages(), min_size=1, max_size=14),
    data=st.data(),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_any_order_and_slicing(given_messages: list[Any], data: st.DataObject) -> None:
    """Every message keeps its place in its session and its time of receipt; all else varies."""
    numbered = list(enumerate(given_messages))
    shuffled = data.draw(st.permutations(numbered))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(numbered)), max_size=3)))
    with tempfile.TemporaryDirectory() as folder:
        whole, sliced = new_lake(Path(folder) / "whole"), new_lake(Path(folder) / "sliced")
        for number, message in numbered:
            put_one(whole, number, message)
        consolidate(whole)
        for first, last in zip([0, *cuts], [*cuts, len(numbered)], strict=True):
            for number, message in shuffled[first:last]:
                put_one(sliced, number, message)
            consolidate(sliced, batch_bytes=data.draw(st.sampled_from([1, 1 << 30])))
        assert contents(sliced) == contents(whole)


def put_one(lake: Any, number: int, message: Any) -> None:
    put(lake, [message], received_at=START + timedelta(seconds=number), session=f"s{number}")
