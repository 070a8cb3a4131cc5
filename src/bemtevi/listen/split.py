"""Bytes split into messages: one JSON value each, verbatim.

Owns the three ways in which files hold messages: one a line; in arrays; as documents over several lines.
Lines end at the byte `\\n` alone: U+2028 stands inside texts. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHITE = b" \t\r\n"
TOKEN = re.compile(rb'["\\{}]')
BETWEEN = WHITE + b",[]"


class Piece(NamedTuple):
    """A message and the line on which it begins, from 1."""

    line: int
    payload: bytes


class NoMessagesError(Exception):
    """The bytes do not begin like JSON."""


def split(chunks: Iterator[bytes]) -> Iterator[Piece]:
    """The messages, in order. What is no whole JSON value comes as it stands, for the reader to refuse.

    Raises NoMessagesError, before the first message, for what is not JSON at all.
    """
    lines = _lines(chunks)
    first = next(((number, text) for number, line in lines if (text := _bare(line))), None)
    if first is None:
        return
    number, line = first
    if line[:1] not in (b"{", b"["):
        raise NoMessagesError
    if line[:1] == b"{" and not _is_whole(line):
        second = next((following for following in lines if following[1].strip(WHITE)), None)
        if second is not None and second[1].lstrip(WHITE)[:1] != b"{":
            # a document over several lines; one cut line among whole ones is left to the reader
            yield from _scan(iter([(number, line), second]), lines)
            return
        lines = _chain(second, lines)
    if line[:1] == b"[" and not _is_whole(line):
        yield from _scan(iter([(number, line)]), lines)
        return
    yield from _of_line(number, line)
    for number, line in lines:
        line = line.strip(WHITE)
        if line:
            yield from _of_line(number, line)


def _bare(line: bytes) -> bytes:
    """The first line without the white around it, nor the mark that may begin a file."""
    return line.removeprefix(BYTE_ORDER_MARK).strip(WHITE)


def _of_line(number: int, line: bytes) -> Iterator[Piece]:
    """The message of a line, or the messages of an array on one line."""
    if line[:1] == b"[":
        yield from _scan(iter([(number, line)]), iter(()))
    else:
        yield Piece(number, line)


def _lines(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 1
    rest: list[bytes] = []
    for chunk in chunks:
        parts = chunk.split(b"\n")
        if len(parts) == 1:
            rest.append(chunk)
            continue
        yield number, b"".join(rest) + parts[0] if rest else parts[0]
        for part in parts[1:-1]:
            number += 1
            yield number, part
        number += 1
        rest = [parts[-1]] if parts[-1] else []
    if rest:
        yield number, b"".join(rest)


def _chain(first: tuple[int, bytes] | None, rest: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    if first is not None:
        yield first
    yield from rest


def _is_whole(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _scan(*sources: Iterator[tuple[int, bytes]]) -> Iterator[Piece]:
    """The objects of arrays and documents, found by their braces. A cut end comes as it stands, and so does
    what stands between objects and is no bracket or comma."""
    depth = 0
    in_string = False
    begun: list[bytes] = []
    begun_at = 0
    for source in sources:
        for number, line in source:
            start = 0
            skip = -1
            for token in TOKEN.finditer(line):
                at, sign = token.start(), token.group()
                if at == skip:
                    continue
                if in_string:
                    if sign == b"\\":
                        skip = at + 1  # whatever is escaped is no sign
                    elif sign == b'"':
                        in_string = False
                elif sign == b'"':
                    in_string = True
                elif sign == b"{":
                    if depth == 0:
                        yield from _between(number, line[start:at])
                        start, begun_at = at, number
                    depth += 1
                elif sign == b"}" and depth:
                    depth -= 1
                    if depth == 0:
                        yield Piece(begun_at, b"\n".join([*begun, line[start : at + 1]]))
                        begun = []
                        start = at + 1
            if depth:
                begun.append(line[start:])
            else:
                yield from _between(number, line[start:])
    if depth:
        yield Piece(begun_at, b"\n".join(begun))


def _between(number: int, text: bytes) -> Iterator[Piece]:
    """What stands between two objects, if it is more than an array's signs."""
    text = text.strip(BETWEEN)
    if text:
        yield Piece(number, text)
