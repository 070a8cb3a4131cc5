"""Fields of messages: what a network adds or drops is told once, and nothing else is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from bemtevi.warehouse.fields import Known, Learned, Sample, fields_of, learn

GROUP = ("x", "x_v2", "stream")
START = datetime(2026, 11, 24, tzinfo=UTC)


def grow(known: list[Known], messages: int, run: int = 0, **fields: int) -> Learned:
    sample = Sample(messages, Counter(fields))
    return learn(known, {GROUP: sample}, START + timedelta(hours=run), least=1_000)


def named(fields: list[Known]) -> list[str]:
    return [one.field for one in fields]


def test_names_with_dots_and_lists() -> None:
    payload = b'{"data":{"id":"1","tags":[{"tag":"a"},{"tag":"b","x":[[1]]}]},"errors":[]}'
    expected = {"data", "data.id", "data.tags", "data.tags[].tag", "data.tags[].x", "errors"}
    assert fields_of(payload) == expected


@pytest.mark.parametrize("payload", [b"{", b"\xff", b"[" * 5000 + b"]" * 5000, b"3"])
def test_what_is_no_message_has_no_fields(payload: bytes) -> None:
    assert fields_of(payload) == set()


def test_a_word_or_an_id_as_a_key_is_no_name() -> None:
    payload = '{"by_id":{"123":{"n":1},"456":{"n":2}},"olá mundo":1,"' + "a" * 61 + '":1}'
    assert fields_of(payload) == {"by_id", "by_id.*", "by_id.*.n", "*"}


def test_nothing_is_told_while_it_learns_and_what_is_new_is_told_once() -> None:
    first = grow([], 900, a=900)
    second = grow(first.known, 200, a=200, rare=1)
    assert (first.added, second.added) == ([], [])
    third = grow(second.known, 100, a=100, rare=0, renamed=100)
    assert named(third.added) == ["renamed"]
    assert grow(third.known, 100, a=100, renamed=100).added == []


def test_a_field_that_stood_everywhere_and_comes_no_more_is_gone_once_and_may_come_back() -> None:
    known = grow([], 2_000, a=2_000, often=1_200, rare=10).known
    short = grow(known, 90)
    assert short.gone == [], "too few to tell"
    gone = grow(short.known, 20, 7, a=0)
    assert named(gone.gone) == ["a", "often"], "the rare one may only be rare"
    assert grow(gone.known, 500).gone == []
    (back,) = [one for one in grow(gone.known, 10, a=10).known if one.field == "a"]
    assert back.gone_at is None
    assert back.missed == 0


def test_kinds_of_messages_are_told_apart() -> None:
    known = grow([], 2_000, a=2_000).known
    other = learn(known, {("x", "x_v2", "search"): Sample(500, Counter(b=500))}, START, least=1_000)
    assert (other.added, other.gone) == ([], [])
    assert {one.path for one in other.known} == {"stream", "search"}
