"""Bytes split into messages, however they are laid out and however they arrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.listen.split import NoMessagesError, Piece, split

BOM = b"\xef\xbb\xbf"
LINE_SEPARATOR = "\u2028"


def pieces(data: bytes) -> list[Piece]:
    return list(split(iter([data])))


def payloads(data: bytes) -> list[bytes]:
    return [piece.payload for piece in pieces(data)]


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return (data[start:end] for start, end in pairwise(ends))


def test_each_line_is_a_message_with_its_number() -> None:
    assert pieces(b'{"a":1}\n{"b":2}\n') == [Piece(1, b'{"a":1}'), Piece(2, b'{"b":2}')]


def test_crlf_and_blank_lines_are_no_part_of_a_message() -> None:
    assert pieces(b'\r\n{"a":1}\r\n\r\n  \n{"b":2}\r\n') == [Piece(2, b'{"a":1}'), Piece(5, b'{"b":2}')]


@pytest.mark.parametrize("inside", [LINE_SEPARATOR, "\u2029", "\u0085", "\v", "\f", "\x1c", "\x1e"])
def test_only_the_newline_byte_ends_a_line(inside: str) -> None:
    line = f'{{"text":"a{inside}b"}}'.encode()
    assert payloads(line + b"\n" + line) == [line, line]


@pytest.mark.parametrize(
    "data", [b'{"a":1}\n{"b":2}', b'[{"a":1},{"b":2}]', b'\n\n{"a":1}\n{"b":2}', b'[{"a":1},\n{"b":2}\n]']
)
def test_a_byte_order_mark_is_no_part_of_the_first_message(data: bytes) -> None:
    assert payloads(BOM + data) == [b'{"a":1}', b'{"b":2}']


def test_a_byte_order_mark_counts_only_at_the_beginning() -> None:
    assert payloads(b'{"a":1}\n' + BOM + b'{"b":2}\n') == [b'{"a":1}', BOM + b'{"b":2}']


def test_arrays_on_one_line_each() -> None:
    data = b'[{"a":1}, {"b":[{"c":2}]}]\n[]\n[{"d":3}]\n'
    assert pieces(data) == [Piece(1, b'{"a":1}'), Piece(1, b'{"b":[{"c":2}]}'), Piece(3, b'{"d":3}')]


def test_an_array_over_many_lines() -> None:
    assert pieces(b'[\n{"a":1},\n{"b":2}\n]\n') == [Piece(2, b'{"a":1}'), Piece(3, b'{"b":2}')]


def test_pretty_printed_documents_one_after_the_other() -> None:
    one, two = b'{\n  "a": {\n    "b": 1\n  }\n}', b'{\r\n  "c": []\r\n}'
    assert pieces(one + b"\n" + two + b"\n") == [Piece(1, one), Piece(6, two)]


def test_braces_quotes_and_escapes_inside_strings_are_text() -> None:
    made = [{"t": '}{][",\\'}, {"t": '\\"}'}, {"t": "\\\\", "u": {"v": '"{'}}]
    data = json.dumps(made, indent=1).encode()
    assert [json.loads(payload) for payload in payloads(data)] == made
    assert [json.loads(payload) for payload in payloads(json.dumps(made).encode())] == made


def test_a_half_last_line_comes_as_it_stands() -> None:
    assert payloads(b'{"a":1}\n{"b":"half') == [b'{"a":1}', b'{"b":"half']


def test_a_half_array_gives_what_is_whole_and_the_rest() -> None:
    assert payloads(b'[{"a":1},{"b":{"c":2}') == [b'{"a":1}', b'{"b":{"c":2}']
    assert payloads(b'[\n{"a":1},\n{"b":\n2') == [b'{"a":1}', b'{"b":\n2']


def test_a_half_pretty_document_comes_as_it_stands() -> None:
    assert payloads(b'{\n "a": 1\n}\n{\n "b":') == [b'{\n "a": 1\n}', b'{\n "b":']


@pytest.mark.parametrize("between", [b"", b"\r\n\r\n"])
def test_a_cut_first_line_does_not_take_the_others_with_it(between: bytes) -> None:
    data = b'{"a":"cut\r\n' + between + b'{"b":"\\""}\r\n' + between + b'{"c":3}\r\n'
    assert payloads(data) == [b'{"a":"cut', b'{"b":"\\""}', b'{"c":3}']


def test_a_broken_line_does_not_touch_its_neighbours() -> None:
    assert payloads(b'{"a":1}\n{"b":}}\nnoise\n{"c":3}') == [b'{"a":1}', b'{"b":}}', b"noise", b'{"c":3}']


def test_what_stands_in_an_array_and_is_no_object_is_not_lost() -> None:
    assert payloads(b'[1, {"a":1}, "x{y", null, {"b":2}]') == [
        b"1",
        b'{"a":1}',
        b'"x{y", null',
        b'{"b":2}',
    ]
    assert payloads(b'[\n{"a":1},\ntrue,\n{"b":2}\n] rest') == [
        b'{"a":1}',
        b"true",
        b'{"b":2}',
        b"] rest"[2:],
    ]


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", BOM, BOM + b"\r\n", b"[]", b"[\n]\n"])
def test_nothing_inside_is_nothing(data: bytes) -> None:
    assert pieces(data) == []


@pytest.mark.parametrize(
    "data",
    [b"id,text\n1,a\n", b"<html>", b"\x89PNG\r\n", b'"text"', b"null", b"%PDF-1.4\n{}", b"\n\nhello {"],
)
def test_what_is_not_json_at_all_is_told_before_the_first_message(data: bytes) -> None:
    with pytest.raises(NoMessagesError):
        next(split(iter([data])))


def test_endless_nesting_does_not_end_the_program() -> None:
    deep = b'{"a":' * 20_000
    assert payloads(deep + b"\n" + b'{"b":1}\n') == [deep, b'{"b":1}']
    assert payloads(b"[" * 20_000) == []
    whole = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    assert payloads(b"[" + whole + b',\n{"b":1}]') == [whole, b'{"b":1}']


texts = st.text(alphabet=st.sampled_from('ab{}[]",:\\\n\r\t é😀' + LINE_SEPARATOR), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=6)
messages = st.lists(st.dictionaries(texts, values, min_size=1, max_size=3), min_size=1, max_size=5)


def laid_out(objects: list[dict[str, Any]], layout: str) -> bytes:
    ascii_only = layout.endswith("ascii")
    match layout.removesuffix(" ascii"):
        case "lines":
            text = "\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in objects)
        case "crlf lines":
            text = "\r\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in objects) + "\r\n"
        case "array":
            text = json.dumps(objects, ensure_ascii=ascii_only)
        case "line array":
            text = "[" + ",\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in objects) + "]"
        case "pretty array":
            text = json.dumps(objects, indent=2, ensure_ascii=ascii_only)
        case "pretty":
            text = "\n".join(json.dumps(one, indent=2, ensure_ascii=ascii_only) for one in objects)
        case other:
            raise AssertionError(other)
    return text.encode()


LAYOUTS = [
    "lines",
    "crlf lines",
    "array",
    "line array",
    "pretty array",
    "pretty",
    "lines ascii",
    "pretty ascii",
]


@given(messages, st.sampled_from(LAYOUTS), st.lists(st.integers(0, 10_000), max_size=6))
def test_objects_come_back_from_every_layout_and_chunking(
    objects: list[dict[str, Any]], layout: str, places: list[int]
) -> None:
    data = laid_out(objects, layout)
    found = list(split(cut(data, places)))
    assert [json.loads(piece.payload) for piece in found] == objects
    lines = data.split(b"\n")
    for piece in found:
        assert piece.payload in data  # verbatim
        assert piece.payload.split(b"\n")[0].strip() in lines[piece.line - 1]


soup = st.lists(
    st.sampled_from([b'{"a":1}', b"{", b"}", b"[", b"]", b'"', b"\\", b",", b"\n", b"\r\n", b"x", b" "])
)


@given(soup.map(b"".join) | st.binary(max_size=60), st.lists(st.integers(0, 10_000), max_size=8))
def test_the_chunking_never_matters(data: bytes, places: list[int]) -> None:
    def outcome(chunks: Iterator[bytes]) -> list[Piece] | None:
        try:
            return list(split(chunks))
        except NoMessagesError:
            return None

    expected = outcome(iter([data]))
    assert outcome(cut(data, places)) == expected
    assert outcome(data[at : at + 1] for at in range(len(data))) == expected


@given(soup.map(lambda parts: b"".join([b"{", *parts])))
def test_nothing_but_white_brackets_and_commas_is_dropped(data: bytes) -> None:
    try:
        found = payloads(data)
    except NoMessagesError:
        return
    table = bytes.maketrans(b"", b"")
    assert b"".join(found).translate(table, b" \t\r\n,[]") == data.translate(table, b" \t\r\n,[]")
