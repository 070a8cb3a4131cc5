"""X API v2 as `twarc flatten` writes it: one post a line, with what it refers to put inside.

Owns the envelope of this dialect. The post is at the top: its `author` is embedded, each entry of
`referenced_tweets` holds the whole referenced post, and twarc's own note is in `__twarc`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bemtevi.listen.dialects.x_v2 import of_post, tags_of
from bemtevi.listen.envelope import Envelope

NAME = "x_v2_flat"
NETWORK = "x"


class Post(msgspec.Struct):
    """What we need of a flattened post; everything else is skipped unread."""

    id: str | None = None
    text: str | None = None
    author_id: str | None = None
    conversation_id: str | None = None
    edit_history_tweet_ids: Any = None
    edit_history_post_ids: Any = None
    matching_rules: Any = None


_decode = msgspec.json.Decoder(Post).decode


def read(payload: bytes) -> Envelope | None:
    """The envelope of a flattened post, or None: an id and a text alone are anybody's."""
    post = _decode(payload)
    history = post.edit_history_post_ids or post.edit_history_tweet_ids
    if post.id is None or post.text is None:
        return None
    if post.author_id is None and post.conversation_id is None and not isinstance(history, list):
        return None
    return of_post(NAME, post.id, history, tags_of(post.matching_rules))
