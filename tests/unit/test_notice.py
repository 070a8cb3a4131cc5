"""Notices of deletion: every form that X sends or has sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bemtevi.lake.tombstone import Action, Subject
from bemtevi.warehouse.notice import read_notice

NOTED = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"delete": {"status": {"id": 12, "id_str": "12", "user_id": 3}}}, ("post", "12", "delete")),
        ({"status_withheld": {"id": 12, "user_id": 3}}, ("post", "12", "delete")),
        ({"user_delete": {"id": 3}}, ("author", "3", "delete")),
        ({"user_undelete": {"id": 3}}, ("author", "3", "restore")),
        ({"user_suspend": {"id": 3}}, ("author", "3", "delete")),
        ({"user_unsuspend": {"id": 3}}, ("author", "3", "restore")),
        ({"user_protect": {"id": 3}}, ("author", "3", "delete")),
        ({"user_unprotect": {"id": 3}}, ("author", "3", "restore")),
        ({"user_withheld": {"id": 3, "withheld_in_countries": ["BR"]}}, ("author", "3", "delete")),
        ({"scrub_geo": {"user_id": 3, "up_to_status_id": 12}}, ("author", "3", "scrub_geo")),
        ({"data": {"delete": {"tweet": {"id": "12", "author_id": "3"}}}}, ("post", "12", "delete")),
        ({"data": {"drop": {"tweet": {"id": "12"}}}}, ("post", "12", "delete")),
        ({"data": {"undrop": {"tweet": {"id": "12"}}}}, ("post", "12", "restore")),
        ({"data": {"user_suspend": {"user": {"id": "3"}}}}, ("author", "3", "delete")),
        (
            {"data": {"scrub_geo": {"user": {"id": "3"}, "up_to_tweet_id": "12"}}},
            ("author", "3", "scrub_geo"),
        ),
    ],
)
def test_a_notice_is_understood(message: dict[str, Any], told: tuple[str, str, str]) -> None:
    (tombstone,) = read_notice("x", json.dumps(message).encode(), NOTED)
    assert (tombstone.subject, tombstone.id, tombstone.action) == told
    assert tombstone.network == "x"
    assert tombstone.noted_at == NOTED
    assert tombstone.up_to == ("12" if tombstone.action is Action.SCRUB_GEO else None)


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"[]", b"{", b"1", b"\xff", b'{"delete":null}', b'{"delete":{"status":{"id":true}}}'),
        *(b'{"delete":{"status":{}}}', b'{"user_delete":{"id":"x"}}', b'{"scrub_geo":{}}'),
        *(b'{"data":{"id":"1","text":"delete"}}', b'{"limit":{"track":5}}'),
    ],
)
def test_what_is_no_notice_deletes_nothing(payload: bytes) -> None:
    assert list(read_notice("x", payload, NOTED)) == []


def test_the_time_of_the_event_is_read_in_both_forms() -> None:
    first = b'{"delete":{"status":{"id":1},"timestamp_ms":"1400000000000"}}'
    second = b'{"data":{"delete":{"tweet":{"id":"1"},"event_at":"2014-05-13T16:53:20Z"}}}'
    (one,), (other,) = (list(read_notice("x", payload, NOTED)) for payload in (first, second))
    assert one.event_at == other.event_at == datetime(2014, 5, 13, 16, 53, 20, tzinfo=UTC)
    assert one.subject is Subject.POST
