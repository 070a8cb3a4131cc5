"""Search in posts, newest first, in pages that do not shift while posts come in.

Owns the search and its cursor: the time and id of the last post shown (keyset paging).
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

import msgspec

from bemtevi.errors import UsageError
from bemtevi.serve.ask.selection import Question, Selection
from bemtevi.serve.questions import names

MOST_WORDS = 8


def search(selection: Selection, words: str, limit: int, after: str | None, seed: int | None) -> Question:
    """`network, post_id, created_at, type, language, author_id, username, text, reposts, likes, sensitive`.

    Every word must stand in the text; `"two words"` stand together. With `seed`, a random sample instead,
    always the same of the same snapshot.
    """
    conditions, values = _conditions(words)
    order = "created_at desc, post_id desc"
    if seed is not None:
        order = "md5(concat($seed, network, post_id))"
        values["seed"] = str(seed)
    elif after is not None:
        values["after_at"], values["after_id"] = read_cursor(after)
        conditions.append("(created_at < $after_at or (created_at = $after_at and post_id < $after_id))")
    where = f"where {' and '.join(conditions)}" if conditions else ""
    return selection.question(
        f"""
        with found as (
          select network, post_id, created_at, type, language, author_id, text, repost_count as reposts,
            like_count as likes, coalesce(possibly_sensitive, false) as sensitive
          from ({selection.posts})
          {where}
          order by {order}
          limit $limit
        )
        select found.* exclude (text), author.username, found.text
        from found
        left join ({names("found")}) as author using (network, author_id)
        order by {order}
        """,
        limit=limit,
        **values,
    )


def count(selection: Selection, words: str) -> Question:
    """`posts`: how many posts a search finds."""
    conditions, values = _conditions(words)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    return selection.question(f"select count(*) as posts from ({selection.posts}) {where}", **values)


def _conditions(words: str) -> tuple[list[str], dict[str, object]]:
    quoted = words.split('"')
    terms = [part.strip() for part in quoted[1::2]] + " ".join(quoted[0::2]).split()
    terms = [term for term in terms if term]
    if len(terms) > MOST_WORDS:
        raise UsageError(f"At most {MOST_WORDS} words are searched for at once.")
    values: dict[str, object] = {f"word_{number}": term for number, term in enumerate(terms)}
    return [f"contains(lower(text), lower($word_{number}))" for number in range(len(terms))], values


def cursor(created_at: datetime, post_id: str) -> str:
    """Where the next page begins: after this post."""
    made = msgspec.json.encode([created_at, post_id])
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def read_cursor(text: str) -> tuple[datetime, str]:
    """The post of a cursor. Raises UsageError."""
    try:
        made = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(made, type=tuple[datetime, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise UsageError(
            "The cursor `after` is none of ours: take it from `next` of the page before."
        ) from None
