"""Envelopes of every dialect, and that no message whatever can hurt who reads them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bemtevi.listen.dialects import EnvelopeReader, scan
from bemtevi.listen.envelope import Envelope, UnreadableError
from bemtevi.listen.message import Messages, Origin, shape
from bemtevi.listen.split import split
from bemtevi.listen.unpack import members

ID = "1500000000000000000"
EVENT_AT = ((int(ID) >> 22) + 1288834974657) * 1000
OTHER = "1500000000000000001"
AUTHOR = {"id": "7", "username": "sabia", "name": "Sabiá"}
POST = {"id": ID, "text": "olá #vacina", "author_id": "7", "edit_history_tweet_ids": [ID]}
LINE = {"data": POST, "includes": {"users": [AUTHOR]}, "matching_rules": [{"id": "5", "tag": "t"}]}
STATUS = {"id": int(ID), "id_str": ID, "created_at": "Sat", "text": "olá", "user": {"id": 7, "id_str": "7"}}
FLAT = POST | {"author": AUTHOR, "conversation_id": ID, "__twarc": {"version": "2"}}


def read(message: Any) -> Envelope:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return EnvelopeReader().read(payload)


def changed(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy with other values; None takes the field away."""
    return {key: value for key, value in (base | fields).items() if value is not None}


def with_data(**fields: Any) -> dict[str, Any]:
    return LINE | {"data": changed(POST, **fields)}


def test_the_dialects_are_found_by_scanning() -> None:
    assert {"x_v1", "x_v2", "x_v2_flat"} <= {dialect.NAME for dialect in scan()}


# --- x_v2


def test_x_v2_stream_line() -> None:
    assert read(LINE) == Envelope("x_v2", "x", "post", ID, "1", EVENT_AT, ("t",), (ID,))


@pytest.mark.parametrize("name", ["edit_history_tweet_ids", "edit_history_post_ids"])
def test_x_v2_edit_in_both_spellings(name: str) -> None:
    message = with_data(id=OTHER, edit_history_tweet_ids=None) | {}
    message["data"][name] = [ID, OTHER, "1500000000000000009"]
    envelope = read(message)
    assert (envelope.dialect, envelope.kind, envelope.key, envelope.version) == ("x_v2", "edit", OTHER, "2")


@pytest.mark.parametrize("history", [None, {}, [], [1], "x", 5, [[]], ["1500000000000000009"]])
def test_x_v2_a_history_that_is_none_is_a_first_version(history: Any) -> None:
    envelope = read(with_data(edit_history_tweet_ids=history))
    assert (envelope.kind, envelope.key, envelope.version) == ("post", ID, "1")


def test_x_v2_numeric_ids() -> None:
    envelope = read(with_data(id=int(ID)) | {"matching_rules": [{"id": 1.5e18}, {"id": 12}]})
    assert (envelope.key, envelope.event_at, envelope.matched) == (ID, EVENT_AT, ("12",))


@pytest.mark.parametrize(
    ("rules", "matched"),
    [
        (None, ()),
        ({}, ()),
        ([], ()),
        ("x", ()),
        ([{"id": "5"}], ("5",)),
        ([{"id": "5", "tag": ""}], ("5",)),
        ([{"id": "5", "tag": None}, {"id": "6", "tag": "b"}], ("5", "b")),
        ([{"id": 5}], ("5",)),
        ([{}, [], None, {"tag": {"deep": 1}}, {"tag": "b"}], ("b",)),
    ],
)
def test_x_v2_rules_with_and_without_tags(rules: Any, matched: tuple[str, ...]) -> None:
    assert read(LINE | {"matching_rules": rules}).matched == matched


@pytest.mark.parametrize("name", ["includes", "errors", "meta", "matching_rules"])
@pytest.mark.parametrize("value", [{}, [], None, "x", 1])
def test_x_v2_the_rest_may_have_any_shape(name: str, value: Any) -> None:
    assert read(LINE | {name: value}).key == ID


@pytest.mark.parametrize("fields", [{"id": None}, {"text": None}, {"id": None, "text": None}])
def test_x_v2_data_without_id_or_text_is_unknown(fields: dict[str, None]) -> None:
    envelope = read(with_data(**fields))
    assert (envelope.dialect, envelope.kind, envelope.key, envelope.posts) == ("x_v2", "unknown", None, ())


@pytest.mark.parametrize("data", [{}, [], [{}], [None], 5, "x", [[POST]]])
def test_x_v2_data_of_another_shape_is_unknown(data: Any) -> None:
    assert read({"data": data}).kind == "unknown"


def test_x_v2_page() -> None:
    page = {"data": [POST, POST | {"id": OTHER}, {"id": "3"}], "includes": {}, "meta": {"result_count": 3}}
    envelope = read(page)
    assert envelope == Envelope("x_v2", "x", "page", posts=(ID, OTHER))


def test_x_v2_a_page_of_users_holds_no_posts() -> None:
    envelope = read({"data": [AUTHOR, AUTHOR | {"text": "a field of tomorrow"}], "meta": {"result_count": 2}})
    assert (envelope.dialect, envelope.kind, envelope.posts) == ("x_v2", "unknown", ())


@pytest.mark.parametrize(
    "notice",
    [
        {"errors": [{"title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect"}]},
        {"meta": {"result_count": 0}},
        {"data": None, "errors": [{}]},
    ],
)
def test_x_v2_notices(notice: dict[str, Any]) -> None:
    envelope = read(notice)
    assert (envelope.dialect, envelope.kind, envelope.key) == ("x_v2", "system", None)


@pytest.mark.parametrize(
    ("key", "known"),
    [
        (ID, True),
        ("29700859247", True),
        ("29700859246", False),
        ("20", False),
        ("9" * 19, False),
        ("9223372036854775807", True),
        ("9223372036854775808", False),
        ("1" * 5_000, False),
        ("abc", False),
        ("", False),
        ("-5", False),
        ("١٢٣٤٥٦٧٨٩٠١٢٣", False),
    ],
)
def test_the_time_in_an_id(key: str, known: bool) -> None:
    assert (read(with_data(id=key)).event_at is not None) is known


# --- x_v2_flat


def test_x_v2_flat() -> None:
    assert read(FLAT) == Envelope("x_v2_flat", "x", "post", ID, "1", EVENT_AT, (), (ID,))


@pytest.mark.parametrize("alone", ["author_id", "conversation_id", "edit_history_tweet_ids"])
def test_x_v2_flat_is_known_by_any_of_its_own_fields(alone: str) -> None:
    message = {key: value for key, value in FLAT.items() if key in ("id", "text", alone)}
    assert (read(message).dialect, read(message).kind) == ("x_v2_flat", "post")


def test_x_v2_flat_edit_rules_and_what_is_embedded() -> None:
    inside = [{"type": "quoted", "id": "3"} | FLAT | {"id": "3"}]
    message = FLAT | {
        "id": OTHER,
        "edit_history_tweet_ids": [ID, OTHER],
        "referenced_tweets": inside,
        "matching_rules": [{"id": "5", "tag": "t"}],
    }
    assert read(message) == Envelope("x_v2_flat", "x", "edit", OTHER, "2", EVENT_AT, ("t",), (OTHER,))


@pytest.mark.parametrize(
    "message",
    [
        {"id": ID, "text": "anybody's"},
        changed(FLAT, id=None),
        changed(FLAT, text=None),
        FLAT | {"id": int(ID)},
        FLAT | {"text": 5},
        AUTHOR,
    ],
)
def test_what_is_not_flat(message: dict[str, Any]) -> None:
    assert read(message).kind == "unknown"


# --- x_v1


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": None, "full_text": "olá"},
        {"id_str": None},
        {"id": None},
        {"id": 1.5e18},
        {"extended_tweet": {"full_text": "olá"}, "truncated": True},
        {"retweet_count": "100+"},
        {"retweeted_status": STATUS},
    ],
)
def test_x_v1_statuses(fields: dict[str, Any]) -> None:
    assert read(changed(STATUS, **fields)) == Envelope("x_v1", "x", "post", ID, "1", EVENT_AT, (), (ID,))


@pytest.mark.parametrize(
    "fields", [{"user": None}, {"user": []}, {"text": None}, {"id": True, "id_str": None}]
)
def test_x_v1_a_status_needs_a_text_a_user_and_an_id(fields: dict[str, Any]) -> None:
    assert read(changed(STATUS, **fields)).kind == "unknown"


@pytest.mark.parametrize(
    ("status", "key"),
    [
        ({"id": int(ID), "id_str": ID, "user_id": 7}, ID),
        ({"id": int(ID)}, ID),
        ({}, None),
        ([], None),
        ({"id": {}}, None),
    ],
)
def test_x_v1_delete(status: Any, key: str | None) -> None:
    envelope = read({"delete": {"status": status, "timestamp_ms": "1"}})
    assert (envelope.dialect, envelope.kind, envelope.key) == ("x_v1", "delete", key)


@pytest.mark.parametrize("name", ["statuses", "results"])
def test_x_v1_pages(name: str) -> None:
    envelope = read({name: [STATUS, STATUS | {"id_str": OTHER}, {"id": 1}], "search_metadata": {}})
    assert envelope == Envelope("x_v1", "x", "page", posts=(ID, OTHER))
    assert read({name: [], "search_metadata": {}}).kind == "page"
    assert read({name: [{"id": 1}]}).kind == "unknown"


@pytest.mark.parametrize(
    "notice",
    [
        {"limit": {"track": 5}},
        {"disconnect": {"code": 4}},
        {"warning": {"code": "FALLING_BEHIND"}},
        {"scrub_geo": {"user_id": 1}},
        {"status_withheld": {"id": 1}},
        {"friends": [1, 2]},
        {"event": "favorite", "source": {"id": 1}, "target": {"id": 2}},
    ],
)
def test_x_v1_notices(notice: dict[str, Any]) -> None:
    envelope = read(notice)
    assert (envelope.dialect, envelope.kind, envelope.key) == ("x_v1", "system", None)


@pytest.mark.parametrize("name", ["user_delete", "user_undelete", "user_suspend", "user_withheld"])
def test_x_v1_notices_about_an_account(name: str) -> None:
    envelope = read({name: {"id": 1}})
    assert (envelope.dialect, envelope.kind, envelope.key) == ("x_v1", "account", None)


@pytest.mark.parametrize(
    "message", [{"event": "update", "payload": "{}"}, {"limit": 5}, {"warning": "x"}, {"friends": {}}]
)
def test_a_word_that_others_use_too_is_no_notice_of_x(message: dict[str, Any]) -> None:
    assert read(message).kind == "unknown"


# --- whatever


@pytest.mark.parametrize("message", [{}, {"a": 1}, {"kind": "commit", "did": "did:plc:x"}, {"id": "1"}])
def test_other_json_is_unknown_kept_and_told(message: dict[str, Any]) -> None:
    payload = json.dumps(message).encode()
    assert read(payload).kind == "unknown"
    shaped = shape([one(payload)], EnvelopeReader())
    assert (shaped.raw.num_rows, shaped.quarantine.num_rows) == (1, 1)
    assert shaped.raw["payload"].to_pylist() == [payload.decode()]
    assert shaped.quarantine["payload"].to_pylist() == [payload]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"data":{"id":"1","text":"cut', "not JSON"),
        (b'{"a":1} {"b":2}', "not JSON"),
        (b"<html>", "not JSON"),
        (b"5", "int"),
        (b"[]", "list"),
        (b"null", "NoneType"),
        (b'"text"', "str"),
        (b'{"data":{"id":"1","text":"\xff"}}', "not UTF-8"),
        (b'{"data":{"id":"1","text":"\\ud800"}}', "not JSON"),
        (b'{"data":{"id":"1","text":"\\ud83d"}}', "not JSON"),
        (b'{"data":{"id":"1","text":"x","y":' + b"[" * 50_000, "too deep"),
        (b"[" * 50_000, "too deep"),
        (b'{"data":{"id":' + b"9" * 5_000 + b',"text":"x"}}', "out of range"),
        (b'{"x":1e999}', "out of range"),
    ],
)
def test_what_cannot_be_read_is_told_without_its_text(payload: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason) as caught:
        EnvelopeReader().read(payload)
    assert len(str(caught.value)) < 120
    assert "text" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["\0", "\u2028\u2029\x85", "a" * 65_536, "😀" * 16_384, "\u202e#", "é" * 3, '\\"}{', "\x7f\ufeff\ufffe"],
)
def test_odd_texts_are_posts_like_any_other(text: str) -> None:
    for message in (with_data(text=text), STATUS | {"text": text}, FLAT | {"text": text}):
        for ascii_only in (True, False):
            assert read(json.dumps(message, ensure_ascii=ascii_only).encode()).kind == "post"


def test_numbers_of_any_size_where_we_do_not_look() -> None:
    for number in (b"9" * 5_000, b"1e999", b"-0.0", b"1E+400", b"0." + b"1" * 5_000):
        assert read(b'{"data":{"id":"1","text":"x","n":' + number + b"}}").kind == "post"


def test_deep_but_not_too_deep() -> None:
    nest = b"[" * 300 + b"]" * 300
    assert read(b'{"data":{"id":"1","text":"x","n":' + nest + b"}}").kind == "post"
    assert read(b'{"data":{"id":"1","text":"x"},"matching_rules":[{"tag":' + nest + b"}]}").matched == ()


def one(*payloads: bytes) -> Messages:
    size = len(payloads)
    return Messages(Origin("x", "here", "archive", "s"), list(payloads), [0] * size, range(size))


def test_the_reader_remembers_the_dialect_and_still_knows_the_others() -> None:
    reader = EnvelopeReader()
    order = [LINE, STATUS, FLAT, LINE, FLAT, STATUS, {"delete": {"status": {"id": 1}}}, LINE]
    found = [reader.read(json.dumps(message).encode()).dialect for message in order]
    assert found == ["x_v2", "x_v1", "x_v2_flat", "x_v2", "x_v2_flat", "x_v1", "x_v1", "x_v2"]


NAMES = st.sampled_from(
    [
        *(
            "data",
            "id",
            "id_str",
            "text",
            "full_text",
            "user",
            "username",
            "errors",
            "meta",
            "matching_rules",
        ),
        *("tag", "statuses", "results", "delete", "status", "limit", "warning", "friends", "target", "event"),
        *("edit_history_tweet_ids", "edit_history_post_ids", "author_id", "conversation_id"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([ID, OTHER, "9" * 4_999])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
JSON_BYTES = st.dictionaries(NAMES, VALUES, max_size=6).map(lambda value: json.dumps(value).encode())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message of ours with some bytes changed, cut out or put in."""
    data = bytearray(
        json.dumps(draw(st.sampled_from([LINE, STATUS, FLAT])), ensure_ascii=draw(st.booleans())), "utf-8"
    )
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@given(st.binary(max_size=80) | JSON_BYTES | damaged())
@example(b'{"data":{"id":"' + b"9" * 5_000 + b'","text":"x"}}')
@example(b'{"id_str":"' + b"9" * 5_000 + b'","text":"x","user":{}}')
@example(b'{"a":' * 100_000)
@example(b"[" * 100_000)
@example(b"\xef\xbb\xbf{}")
@example(b'{"\xff":1}')
@example(b'{"data":{"id":"1","text":"x"},"x":"\xed\xa0\x80"}')
def test_no_bytes_raise_anything_but_unreadable(payload: bytes) -> None:
    try:
        envelope = EnvelopeReader().read(payload)
    except UnreadableError:
        envelope = None
    if envelope is not None:
        assert envelope.kind in ("post", "page", "edit", "delete", "account", "system", "unknown")
        assert (envelope.key is not None) or envelope.kind not in ("post", "edit")
    shaped = shape([one(payload)], EnvelopeReader())
    assert {*shaped.raw["sequence"].to_pylist(), *shaped.quarantine["sequence"].to_pylist()} == {0}


@given(damaged(), st.sampled_from([LINE, STATUS, FLAT, {}]))
def test_what_was_read_before_does_not_change_what_a_message_is(
    payload: bytes, before: dict[str, Any]
) -> None:
    reader = EnvelopeReader()
    reader.read(json.dumps(before).encode())
    try:
        fresh = EnvelopeReader().read(payload)
    except UnreadableError:
        with pytest.raises(UnreadableError):
            reader.read(payload)
        return
    again = reader.read(payload)
    if fresh.kind != "unknown":
        assert again == fresh
    assert again.kind == fresh.kind


def test_real_flattened_posts(real_data: Path) -> None:
    found: Counter[tuple[str, str]] = Counter()
    reader = EnvelopeReader()
    for _, chunks in members(real_data / "x_v2_pages" / "twarc_csv" / "flat.jsonl.gz"):
        for piece in split(chunks):
            envelope = reader.read(piece.payload)
            found[envelope.dialect, envelope.kind] += 1
    assert found == {("x_v2_flat", "post"): 100}


NO_POSTS = ("counts", "lists", "users", "tweets_compliance", "users_compliance")


def test_every_real_message_of_x_is_known(real_data: Path) -> None:
    found: Counter[tuple[str, str]] = Counter()
    reader = EnvelopeReader()
    for path in [*real_data.glob("x_v2_pages/twarc_csv/*"), *real_data.glob("x_v1/twitter_ruby/*")]:
        for _, chunks in members(path):
            for piece in split(chunks):
                try:
                    kind = reader.read(piece.payload).kind
                except UnreadableError:
                    kind = "unreadable"
                found[path.name, kind] += 1
    assert len({name for name, kind in found if kind in ("post", "page", "system")}) > 35
    # these hold no posts: counts, lists, users, the answers of compliance jobs, and one a private message
    other = {name.partition(".")[0] for name, kind in found if kind == "unknown"}
    assert other == {*NO_POSTS, "track_streaming_user"}
    # one was stopped while it wrote
    assert {name for name, kind in found if kind == "unreadable"} == {"streaming_output_with_error.jsonl.gz"}
