"""The envelope: what layer 1 tells about a message beside its bytes.

Owns the shape of an envelope and the contract of a dialect (`dialects/`, one module each). Reading one is
pure: bytes in, envelope out, no clock and no socket.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Envelope(NamedTuple):
    """What the writer needs to know of one message. Times are microseconds since 1970 (UTC)."""

    dialect: str
    network: str
    kind: str
    key: str | None = None
    version: str | None = None
    event_at: int | None = None
    matched: tuple[str, ...] = ()
    posts: tuple[str, ...] = ()
    """The ids of the posts inside: one for a post, several for a page."""


class UnreadableError(Exception):
    """A message that no dialect can read; the text is the reason and quotes none of the message."""


class Dialect(Protocol):
    """A form of JSON. `NAME` is also the name of the staging file that reads it."""

    NAME: str
    NETWORK: str

    def read(self, payload: bytes) -> Envelope | None:
        """The envelope; None if the message is not in this dialect.

        Raises msgspec.DecodeError if the bytes are not JSON.
        """
        ...
