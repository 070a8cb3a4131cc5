"""X API v2: stream lines, pages of search and lookup, notices. Both spellings of August 2026.

Owns the envelope of this dialect. Source: X's OpenAPI description 2.166
(`edit_history_tweet_ids`) and 2.167 (`edit_history_post_ids`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from bemtevi.listen.envelope import Envelope

NAME = "x_v2"
NETWORK = "x"

SNOWFLAKE_EPOCH = 1288834974657
"""Milliseconds at which X's ids begin to carry the time: (id >> 22) + epoch."""
FIRST_SNOWFLAKE = 29_700_859_247
LONGEST_ID = 19


class Post(msgspec.Struct):
    """What we need of a post; everything else is skipped unread."""

    id: str | int | None = None
    text: Any = None
    username: Any = None
    edit_history_tweet_ids: Any = None
    edit_history_post_ids: Any = None


class Line(msgspec.Struct):
    """One message: a stream line (`data` is an object), a page (a list) or a notice (none)."""

    data: Post | list[Post] | None = None
    matching_rules: Any = None
    errors: Any = None
    meta: Any = None


class PlainRule(msgspec.Struct):
    """A rule as X writes it today."""

    id: str | None = None
    tag: str | None = None


class PlainPost(msgspec.Struct):
    """A post as X writes it today."""

    id: str
    text: str
    edit_history_tweet_ids: list[str] | None = None
    edit_history_post_ids: list[str] | None = None


class PlainLine(msgspec.Struct):
    """A stream line as X writes it today: nearly every message, and read in two thirds of the time."""

    data: PlainPost
    matching_rules: list[PlainRule] = []


_decode = msgspec.json.Decoder(Line).decode
_decode_plain = msgspec.json.Decoder(PlainLine).decode


def read(payload: bytes) -> Envelope | None:
    """The envelope of a v2 message, or None."""
    try:
        plain = _decode_plain(payload)
    except msgspec.ValidationError:
        return _read_any(payload)
    post = plain.data
    tags = tuple([tag for rule in plain.matching_rules if (tag := rule.tag or rule.id) is not None])
    key = post.id
    history = post.edit_history_post_ids or post.edit_history_tweet_ids
    if not history or history[0] == key:
        return Envelope(NAME, NETWORK, "post", key, "1", event_at(key), tags, (key,))
    return of_post(NAME, key, history, tags)


def _read_any(payload: bytes) -> Envelope | None:
    """What is no plain line: pages, notices, and fields of odd types."""
    line = _decode(payload)
    data = line.data
    if isinstance(data, Post):
        if data.id is None or data.text is None:
            return Envelope(NAME, NETWORK, "unknown")
        history = data.edit_history_post_ids or data.edit_history_tweet_ids
        return of_post(NAME, str(data.id), history, tags_of(line.matching_rules))
    if isinstance(data, list):
        posts = tuple(
            str(post.id)
            for post in data
            if post.id is not None and post.text is not None and post.username is None
        )
        return Envelope(NAME, NETWORK, "page" if posts else "unknown", posts=posts)
    if line.errors is not None or line.meta is not None:
        return Envelope(NAME, NETWORK, "system")
    return None


def of_post(dialect: str, key: str, history: Any, tags: tuple[str, ...]) -> Envelope:
    """The envelope of a message that is one post. `history` is the ids of its versions, oldest first."""
    version = 1 + history.index(key) if isinstance(history, list) and key in history else 1
    kind = "edit" if version > 1 else "post"
    return Envelope(dialect, NETWORK, kind, key, str(version), event_at(key), tags, (key,))


def event_at(key: str) -> int | None:
    """The time in an id, in microseconds; None for ids older than November 2010."""
    if not key.isascii() or not key.isdigit() or len(key) > LONGEST_ID:
        return None
    number = int(key)
    if number < FIRST_SNOWFLAKE or number >= 1 << 63:
        return None
    return ((number >> 22) + SNOWFLAKE_EPOCH) * 1000


def tags_of(matching_rules: Any) -> tuple[str, ...]:
    """The rules' tags; a rule without one is named by its id."""
    if not isinstance(matching_rules, list):
        return ()
    names = [rule.get("tag") or rule.get("id") for rule in matching_rules if isinstance(rule, dict)]
    return tuple(str(name) for name in names if isinstance(name, str | int))
