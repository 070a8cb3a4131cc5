"""Any order, repetition and slicing of the same messages gives the same tables."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import ZONE, consolidate, contents, new_lake, post, put, rows, user

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
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
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
        assert rows(whole, VERSIONS) == versions(numbered)
        for first, last in zip([0, *cuts], [*cuts, len(numbered)], strict=True):
            for number, message in shuffled[first:last]:
                put_one(sliced, number, message)
            consolidate(sliced, batch_bytes=data.draw(st.sampled_from([1, 1 << 30])))
        assert contents(sliced) == contents(whole)


def put_one(lake: Any, number: int, message: Any) -> None:
    put(lake, [message], received_at=received_at(number), session=f"s{number}")


def received_at(number: int) -> datetime:
    """Four messages an hour, with a pause of a month in between."""
    return START + timedelta(minutes=15 * number, days=30 * (number // 7))


VERSIONS = """
    select author_id, description, valid_from::varchar as since, valid_to::varchar as until, is_current
    from dim_user order by author_id, valid_from
"""


def versions(numbered: list[tuple[int, Any]]) -> list[dict[str, Any]]:
    """What dim_user must hold, by hand: the last description of each hour, and where it changes."""
    seen: dict[str, dict[datetime, str]] = {}
    for number, message in numbered:
        if isinstance(message, dict):
            posts = message["data"] if isinstance(message["data"], list) else [message["data"]]
            wrote = {one["author_id"] for one in posts}
            for author in message["includes"]["users"]:
                if author["id"] in wrote:
                    hour = received_at(number).replace(minute=0)
                    seen.setdefault(author["id"], {})[hour] = author["description"]
    found = []
    for author_id, hours in sorted(seen.items()):
        began = [
            (hour, said)
            for hour, said in sorted(hours.items())
            if hours.get(max((one for one in hours if one < hour), default=hour)) != said
            or hour == min(hours)
        ]
        ends = [hour for hour, _ in began[1:]] + [None]
        found += [
            {
                "author_id": author_id,
                "description": said,
                "since": told(hour),
                "until": None if end is None else told(end),
                "is_current": end is None,
            }
            for (hour, said), end in zip(began, ends, strict=True)
        ]
    return found


def told(hour: datetime) -> str:
    """An instant as the catalog writes it."""
    return f"{hour.astimezone(ZoneInfo(ZONE)):%Y-%m-%d %H:%M:%S}-03"
