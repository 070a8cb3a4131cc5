"""The account itself: that it sees what is lost, doubled or unexplained. All else trusts it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.faults.account import Account, account, time_of
from tests.support import new_lake, post, put

from bemtevi.lake.gap import Cause, Gap, State, ended, new_gap, write_gaps
from bemtevi.lake.lake import Lake

POSTS = [post(number, "#a") for number in range(20)]
IDS = [str(one["data"]["id"]) for one in POSTS]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def record(
    tmp_path: Path, delivered: Sequence[str], missed: Sequence[str] = (), hidden: Sequence[str] = ()
) -> Path:
    path = tmp_path / "record.jsonl"
    message = {"event": "message", "connection": 1, "fault": 1, "name": "simulated-message-1"}
    lines = [
        {"event": "opened", "connection": 1, "at": "2026-11-24T10:00:00Z"},
        {"event": "delivered", "connection": 1, "ids": list(delivered)},
        {"event": "missed", "connection": 0, "reason": "nobody was connected", "ids": list(missed)},
        {"event": "hidden", "ids": list(hidden)},
        {**message, "at": time_of(IDS[3]).isoformat()},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def gap(first: int, last: int, state: State = State.ENDED) -> Gap:
    """A gap over the posts of these numbers."""
    begun = new_gap("x", Cause.DISCONNECTED, time_of(IDS[first]), listener="l", now=NOW)
    return replace(ended(begun, time_of(IDS[last]) + timedelta(seconds=0.5), NOW), state=state)


NOTICE = {"errors": [{"title": "simulated-message-1", "type": "about:blank"}]}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return new_lake(tmp_path)


def test_all_that_was_delivered_is_here(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS, NOTICE])
    made = account(lake, record(tmp_path, IDS))
    assert made.balanced
    assert (made.delivered, made.by_stream, made.messages, made.gaps) == (20, 20, 1, 0)


def test_what_is_not_here_is_lost_unless_a_gap_covers_it(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS[:5], *POSTS[8:], NOTICE])
    path = record(tmp_path, [*IDS[:5], *IDS[8:]], IDS[5:8])
    assert account(lake, path).lost == IDS[5:8]
    write_gaps(lake, [gap(5, 6)])
    assert account(lake, path).lost == IDS[7:8]
    write_gaps(lake, [gap(7, 7)])
    made = account(lake, path)
    assert made.balanced
    assert (made.in_gaps, made.missed, made.delivered, made.heard_in_gaps) == (3, 3, 17, 0)


def test_a_filled_gap_must_hold_what_search_can_find(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS[:5], *POSTS[8:], NOTICE])
    path = record(tmp_path, [*IDS[:5], *IDS[8:]], IDS[5:8], hidden=IDS[6:7])
    write_gaps(lake, [gap(5, 7, State.FILLED)])
    assert account(lake, path).not_filled == [IDS[5], IDS[7]]
    page = {"data": [POSTS[5]["data"], POSTS[7]["data"]], "meta": {"result_count": 2}}
    put(lake, [page], session="fill", path="search")
    made = account(lake, path)
    assert made.balanced
    assert (made.by_search, made.in_gaps) == (2, 1)


def test_what_is_here_twice_is_doubled(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS, NOTICE])
    put(lake, POSTS[4:5], session="again")
    assert account(lake, record(tmp_path, IDS)).doubled == [IDS[4]]
    assert account(lake, record(tmp_path, [*IDS, IDS[4]])).balanced  # the server sent it twice


def test_a_place_that_is_taken_twice_is_doubled(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS, NOTICE], session="one")
    put(lake, [POSTS[3]], session="two")
    put(lake, [POSTS[3]], session="two", number=0)  # the same transaction: not written
    assert account(lake, record(tmp_path, [*IDS, IDS[3]])).balanced


def test_what_nobody_sent_is_unexplained(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS, NOTICE])
    assert account(lake, record(tmp_path, IDS[:19])).unexplained == [IDS[19]]


def test_a_message_that_is_not_here_is_lost(tmp_path: Path, lake: Lake) -> None:
    put(lake, POSTS)
    made = account(lake, record(tmp_path, IDS))
    assert made.lost_messages == ["simulated-message-1"]
    assert not made.balanced


def test_what_is_in_quarantine_is_here(tmp_path: Path, lake: Lake) -> None:
    bad = json.dumps(POSTS[7], separators=(",", ":")).encode().replace(b'"text":"', b'"text":"\xff', 1)
    put(lake, [*POSTS[:7], bad, *POSTS[8:], NOTICE])
    made = account(lake, record(tmp_path, IDS))
    assert made.balanced
    assert made.quarantined == 1


def test_a_ledger_that_is_always_deaf_is_seen(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS, NOTICE])
    write_gaps(lake, [gap(0, 19)])
    made = account(lake, record(tmp_path, IDS))
    assert made.heard_in_gaps == 16
    assert "gaps" in made.table()


def test_before_anybody_asked_nothing_is_owed(tmp_path: Path, lake: Lake) -> None:
    put(lake, [*POSTS[5:], NOTICE])
    path = record(tmp_path, IDS[5:], IDS[:5])
    assert account(lake, path).lost == IDS[:5]
    assert account(lake, path, since=time_of(IDS[5])).balanced


def test_an_empty_lake(tmp_path: Path, lake: Lake) -> None:
    made: Account = account(lake, record(tmp_path, []))
    assert made.lost_messages == ["simulated-message-1"]
