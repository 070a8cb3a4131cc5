"""Messages become rows, and the rows become one commit: nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.message import Messages, Origin, Shaped, commit, committed, shape

POST = (
    b'{"data":{"id":"1500000000000000000","text":"ol\xc3\xa1 \\u0000"},'
    b'"matching_rules":[{"id":"1","tag":"t"}]}'
)
PAGE = b'{"data":[{"id":"1","text":"a"},{"id":"2","text":"b"}]}'
NOTICE = b'{"errors":[{"title":"x"}]}'
UNKNOWN = b'{"a": 1}'
NOT_JSON = b"<html>"
NOT_UTF8 = b'{"data":{"id":"3","text":"c","lang":"\xff"}}'
UNKNOWN_NOT_UTF8 = b'{"a":"\xff"}'
EVERY = [POST, PAGE, NOTICE, UNKNOWN, NOT_JSON, NOT_UTF8, UNKNOWN_NOT_UTF8, b"", b"5"]

HOUR = 3_600_000_000


def batch(payloads: list[bytes], session: str = "s", first: int = 0, at: int = 0) -> Messages:
    size = len(payloads)
    return Messages(Origin("x", "host", "stream", session), payloads, [at] * size, range(first, first + size))


def shaped(*batches: Messages) -> Shaped:
    return shape(batches, EnvelopeReader())


def places(result: Shaped) -> tuple[list[int], list[int]]:
    return sorted(result.raw["sequence"].to_pylist()), sorted(result.quarantine["sequence"].to_pylist())


def test_each_message_is_in_raw_or_quarantine_and_the_unknown_in_both() -> None:
    result = shaped(batch(EVERY))
    assert places(result) == ([0, 1, 2, 3], [3, 4, 5, 6, 7, 8])
    count = result.count
    assert (count.messages, count.raw, count.quarantined) == (9, 4, 6)
    assert count.kinds == {"post": 1, "page": 1, "system": 1, "unknown": 1}
    assert count.post_ids == ["1500000000000000000", "1", "2"]


def test_what_was_asked_for_is_matched_where_the_message_does_not_tell() -> None:
    origin = Origin("x", "host", "search", "s", ("mine",))
    raw = shaped(Messages(origin, [POST, PAGE], [0, 0], [0, 1])).raw
    assert raw["matched"].to_pylist() == [["t"], ["mine"]]


def test_the_payload_is_verbatim_in_both() -> None:
    result = shaped(batch(EVERY))
    for table, kind in ((result.raw, str.encode), (result.quarantine, bytes)):
        for row in table.to_pylist():
            assert kind(row["payload"]) == EVERY[row["sequence"]]


def test_the_rows_carry_the_envelope() -> None:
    at = 500_000 * HOUR + 5
    (row,) = shaped(batch([POST], at=at)).raw.to_pylist()
    assert row["received_at"].timestamp() == pytest.approx(at / 1e6)
    assert (row["received_date"], row["received_hour"]) == (
        row["received_at"].date(),
        row["received_at"].hour,
    )
    assert {key: row[key] for key in ("network", "source", "path", "session", "sequence", "dialect")} == {
        "network": "x",
        "source": "host",
        "path": "stream",
        "session": "s",
        "sequence": 0,
        "dialect": "x_v2",
    }
    assert (row["kind"], row["key"], row["version"], row["matched"]) == (
        "post",
        "1500000000000000000",
        "1",
        ["t"],
    )


def test_the_reason_names_the_place_in_the_file() -> None:
    messages = batch([POST, NOT_JSON])
    messages.places = ["line 1", "line 7"]
    (row,) = shaped(messages).quarantine.to_pylist()
    assert row["reason"].startswith("line 7: not JSON")
    assert (row["stage"], row["dialect"], row["network"]) == ("envelope", None, "x")


def test_nothing_gives_tables_without_rows() -> None:
    for result in (shaped(), shaped(batch([]))):
        assert places(result) == ([], [])
        assert (result.raw.schema, result.quarantine.schema) == (RAW.schema, QUARANTINE.schema)


def test_messages_after_a_position() -> None:
    messages = batch(EVERY, first=10)
    messages.places = [str(number) for number in range(len(EVERY))]
    for after, left in ((0, 9), (10, 9), (13, 6), (19, 0)):
        rest = messages.after(after)
        assert (len(rest.payloads), len(rest.received_at), len(rest.places or ())) == (left, left, left)
        assert list(rest.sequences) == list(range(19 - left, 19))
        assert list(rest.payloads) == EVERY[9 - left :]


ANY = st.lists(st.sampled_from(EVERY) | st.binary(max_size=20), max_size=12)


@given(st.lists(ANY, max_size=4))
def test_whatever_comes_is_kept_verbatim_and_counted(batches: list[list[bytes]]) -> None:
    sent = {
        (f"s{number}", place): payload
        for number, payloads in enumerate(batches)
        for place, payload in enumerate(payloads)
    }
    result = shaped(*(batch(payloads, f"s{number}") for number, payloads in enumerate(batches)))
    raw = {(row["session"], row["sequence"]): row["payload"].encode() for row in result.raw.to_pylist()}
    rows = result.quarantine.to_pylist()
    quarantine = {(row["session"], row["sequence"]): row["payload"] for row in rows}
    assert raw | quarantine == sent
    assert (len(raw), len(quarantine)) == (result.raw.num_rows, result.quarantine.num_rows)  # one row each
    unknown = {
        (row["session"], row["sequence"]) for row in result.raw.to_pylist() if row["kind"] == "unknown"
    }
    assert raw.keys() & quarantine.keys() == unknown
    count = result.count
    assert (count.messages, count.raw, count.quarantined) == (len(sent), len(raw), len(quarantine))
    assert sum(count.kinds.values()) == len(raw)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Layout(str(tmp_path / "lake")), "UTC")


def rows(lake: Lake) -> tuple[list[int], list[int]]:
    return (
        sorted(lake.table(RAW).read()["sequence"].to_pylist()),
        sorted(lake.table(QUARANTINE).read()["sequence"].to_pylist()),
    )


def test_a_commit_twice_under_one_number_writes_once(lake: Lake) -> None:
    commit(lake, shaped(batch([POST, UNKNOWN])), ("a", 0))
    versions = lake.table(RAW).version(), lake.table(QUARANTINE).version()
    commit(lake, shaped(batch([POST, UNKNOWN])), ("a", 0))
    assert rows(lake) == ([0, 1], [1])
    assert (lake.table(RAW).version(), lake.table(QUARANTINE).version()) == versions
    commit(lake, shaped(batch([POST], first=2)), ("a", 1))
    commit(lake, shaped(batch([POST], first=3)), ("b", 0))  # somebody else's number
    assert rows(lake) == ([0, 1, 2, 3], [1])


def test_an_older_number_is_not_written_again(lake: Lake) -> None:
    commit(lake, shaped(batch([POST])), ("a", 5))
    commit(lake, shaped(batch([POST], first=1)), ("a", 4))
    assert rows(lake) == ([0], [])


def test_what_a_crash_between_the_two_tables_left_is_completed_not_doubled(lake: Lake) -> None:
    result = shaped(batch([POST, UNKNOWN, NOT_JSON]))
    lake.table(QUARANTINE).append(result.quarantine, ("a", 0))  # and here it was killed
    assert committed(lake, "a") == -1
    commit(lake, result, ("a", 0))
    assert rows(lake) == ([0, 1], [1, 2])
    assert committed(lake, "a") == 0


def test_raw_carries_the_number_also_without_rows(lake: Lake) -> None:
    assert committed(lake, "a") == -1
    commit(lake, shaped(batch([NOT_JSON])), ("a", 0))
    assert rows(lake) == ([], [0])
    assert committed(lake, "a") == 0


def test_raw_comes_last(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "lake" / "layer1").mkdir(parents=True)
    (tmp_path / "lake" / "layer1" / "quarantine").write_text("in the way")
    with pytest.raises(Exception, match="quarantine"):
        commit(lake, shaped(batch([POST, NOT_JSON])), ("a", 0))
    assert committed(lake, "a") == -1
    assert not lake.table(RAW).exists()
    (tmp_path / "lake" / "layer1" / "quarantine").unlink()
    commit(lake, shaped(batch([POST, NOT_JSON])), ("a", 0))
    assert rows(lake) == ([0], [1])


def test_many_hours_and_days_in_one_commit(lake: Lake) -> None:
    days = [batch([POST, NOT_JSON], f"s{day}", at=day * 24 * HOUR + day * HOUR) for day in range(5)]
    commit(lake, shaped(*days), ("a", 0))
    for definition in (RAW, QUARANTINE):
        table = lake.table(definition).read()
        assert table.num_rows == 5
        assert sorted(table["received_hour"].to_pylist()) == [0, 1, 2, 3, 4]
        assert len(set(table["received_date"].to_pylist())) == 5


def test_large_and_odd_texts_survive_the_lake(lake: Lake) -> None:
    texts = ["a" * 65_536, "\0", "\u2028", "😀" * 1_000, "'; drop table raw --", "\\", "\r"]
    payloads = [
        json.dumps({"data": {"id": "1", "text": text}}, ensure_ascii=False).encode() for text in texts
    ]
    commit(lake, shaped(batch(payloads)), ("a", 0))
    found = lake.table(RAW).read().sort_by("sequence")["payload"].to_pylist()
    assert [payload.encode() for payload in found] == payloads
