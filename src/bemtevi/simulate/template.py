"""One message that can be sent many times, each time as a new post.

Owns: a message's bytes, and stamping them with another id and time by substituting bytes of the same width.
This is what makes load cheap: a pool of some thousand posts is made once and re-stamped for ever.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from bemtevi.simulate.fields import Selection
from bemtevi.simulate.matching import Subject
from bemtevi.simulate.snowflake import EPOCH_MS, LOW_BITS, timestamp
from bemtevi.simulate.writing import EDIT_WINDOW

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class Template:
    """A whole message under its first id, with what rules see in it."""

    __slots__ = (
        "body",
        "gone",
        "hidden",
        "hidden_version",
        "identity",
        "search_subject",
        "subject",
        "suffix",
        "version",
    )

    def __init__(self, message: dict[str, Any]) -> None:
        self.identity = int(message["data"]["id"])
        self.body = _encode(message)
        self.subject: Subject | None = Subject(message)
        self.search_subject = Subject(message, search=True)
        # The last matching results, kept by the world for the rules of that version.
        self.version = -1
        self.suffix = b""
        self.gone = False
        self.hidden_version = -1
        self.hidden = False

    def message(self, identity: int) -> dict[str, Any]:
        """The whole message, as the post of that id."""
        message: dict[str, Any] = _decode(stamped(self.body, self.identity, identity))
        return message


def stamped(body: bytes, first: int, identity: int) -> bytes:
    """A message that was made under one id, as the post of another."""
    return body if identity == first else (b"%d" % identity).join(segments(body, first, identity))


def segments(body: bytes, first: int, identity: int) -> tuple[bytes, ...]:
    """The bytes between the places of the first id, with the times turned to the other's."""
    for before, after in zip(_times(_second(first)), _times(_second(identity)), strict=True):
        body = body.replace(before, after)
    return tuple(body.split(b"%d" % first))


def _second(identity: int) -> int:
    return ((identity >> LOW_BITS) + EPOCH_MS) // 1_000


@lru_cache(maxsize=16_384)
def _times(second: int) -> tuple[bytes, bytes]:
    """The times that a post of that second carries: its creation and the end of its editing."""
    moment = datetime.fromtimestamp(second, UTC)
    return (b'"%b"' % timestamp(moment).encode(), b'"%b"' % timestamp(moment + EDIT_WINDOW).encode())


class Renderer:
    """The lines of one selection of fields, without their end (`}` and what follows it)."""

    def __init__(self, selection: Selection | None) -> None:
        """Without a selection, lines are whole."""
        self._selection = selection
        self._bodies: dict[Template, bytes] = {}
        self._known: dict[Template, tuple[int, tuple[bytes, ...]]] = {}

    def line(self, identity: int, name: bytes, template: Template) -> bytes:
        """The line of a post; `name` is its id in digits."""
        if identity == template.identity:
            return self._body(template)[:-1]
        # X's `created_at` has whole seconds, so one stamping serves a template for a second.
        second = _second(identity)
        known = self._known.get(template)
        if known is None or known[0] != second:
            body = self._bodies.get(template)
            if body is None:
                body = self._bodies[template] = self._body(template)[:-1]
            known = (second, segments(body, template.identity, identity))
            self._known[template] = known
        return name.join(known[1])

    def _body(self, template: Template) -> bytes:
        if self._selection is None:
            return template.body
        return _encode(self._selection.apply(_decode(template.body)))
