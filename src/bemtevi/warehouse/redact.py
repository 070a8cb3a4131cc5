"""A message without what is to be erased of it: JSON in, JSON out, or nothing at all.

Owns what leaves a payload: deleted posts and their reposts, deleted authors, places; and, where somebody
asked to be forgotten, every id of theirs outside of what others wrote in their own words. What is left is
staged to the same rows as those that `hiding` leaves in the tables. Pure. Leaves to `erase` which messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bemtevi.lake.tombstone import ERASED
from bemtevi.warehouse.notice import read_notice

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORDS = frozenset({"text", "full_text", "description", "name", "raw_text", "alt_text", "ext_alt_text"})
"""What a person wrote: never searched for ids."""
ITEMS = frozenset({"data", "statuses", "results"})
"""Lists whose positions count: an item that goes leaves its place empty."""
PLACES = ("geo", "coordinates", "place")
REFERENCES = ("referenced_tweets", "referenced_posts")
STATUS = re.compile(r"/status(?:es)?/([0-9]+)")
NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Gone:
    """What is to be erased, by ids."""

    posts: Collection[str] = frozenset()
    authors: Collection[str] = frozenset()
    asked: Collection[str] = frozenset()
    """Those of both that somebody asked to forget."""
    scrubbed_posts: Collection[str] = frozenset()
    scrubbed_authors: Mapping[str, int] = field(default_factory=dict)
    """The last post of each that loses its place."""

    @property
    def ids(self) -> set[str]:
        """Every id by which a message is found."""
        return {*self.posts, *self.authors, *self.scrubbed_posts, *self.scrubbed_authors}


class _Away:
    """Stands for what goes."""


AWAY = _Away()


def redact(payload: bytes, gone: Gone) -> bytes | None:
    """The message without what is gone; None if nothing of it may stay."""
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        return None  # it cannot be told apart, and holds an id
    if any(tombstone.id in gone.ids for tombstone in read_notice("", payload, EPOCH)):
        return None
    left = _Redaction(gone, message).of(message)
    if isinstance(left, _Away) or _is_empty(message, left):
        return None
    if left == message:
        return payload
    _prune(left)
    try:
        return json.dumps(left, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a pair, escaped as it came
        return json.dumps(left, separators=(",", ":")).encode()


def _prune(left: Any) -> None:
    """Take out of the `includes` of v2 what only served what is gone."""
    includes = left.get("includes") if isinstance(left, dict) else None
    if not isinstance(includes, dict):
        return
    for name in ("tweets", "posts", "places", "media", "polls"):  # posts first: they name the others
        if isinstance(includes.get(name), list):
            named = _texts({key: value for key, value in left.items() if key != "includes"}) | _texts(
                {key: includes.get(key) for key in ("tweets", "posts") if key != name}
            )
            includes[name] = [thing for thing in includes[name] if _names(thing) & named]


def _names(thing: Any) -> set[str]:
    return (
        {str(thing[key]) for key in ("id", "media_key") if key in thing} if isinstance(thing, dict) else set()
    )


def _texts(node: Any) -> set[str]:
    """Every text in a part of a message."""
    if isinstance(node, str):
        return {node}
    inside = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return set().union(*map(_texts, inside))


def _is_empty(before: Any, after: Any) -> bool:
    """Whether what the message was about is gone."""
    if not isinstance(before, dict):
        return False
    for name in ITEMS & before.keys():
        left = after.get(name)
        if left is None or (isinstance(left, list) and before[name] and not any(left)):
            return True
    return False


class _Redaction:
    """Of one message."""

    def __init__(self, gone: Gone, message: Any) -> None:
        self._gone = gone
        self._posts = {*gone.posts, *_posts_of(message, gone.authors)}
        self._asked_posts = {*gone.asked} | {
            *_posts_of(message, {author for author in gone.authors if author in gone.asked})
        }

    def of(self, node: Any, name: str = "") -> Any:
        """A part of the message without what is gone."""
        if isinstance(node, dict):
            return self._of_object(node)
        if isinstance(node, list):
            left = [self.of(item, name) for item in node]
            if name in ITEMS:
                return [{} if isinstance(item, _Away) else item for item in left]
            return [item for item in left if not isinstance(item, _Away)]
        if isinstance(node, bool) or name in WORDS:
            return node
        if isinstance(node, int):
            return 0 if str(node) in self._asked_posts else node
        return self._of_text(node) if isinstance(node, str) else node

    def _of_object(self, node: dict[str, Any]) -> Any:
        if self._goes(node):
            return AWAY
        left = {}
        for key, value in node.items():
            made = self.of(value, key)
            if isinstance(made, _Away):
                if key in ("retweeted_status", "data"):
                    return AWAY  # a repost is its words
                continue
            left[key] = made
        if self._answers_asked(node):
            for key in ("in_reply_to_status_id_str", "in_reply_to_screen_name"):
                if left.get(key) is not None:
                    left[key] = ERASED
            if left.get("in_reply_to_status_id") is not None:
                left["in_reply_to_status_id"] = 0
        if self._is_scrubbed(node):
            for key in PLACES:
                left.pop(key, None)
        return left

    def _goes(self, node: dict[str, Any]) -> bool:
        id_ = _id(node)
        if _is_post(node):
            return id_ in self._posts or _author(node) in self._gone.authors or self._reposts(node)
        if "start" in node or "indices" in node:  # an entity: a mention or a link
            url = node.get("unwound_url") or node.get("expanded_url") or node.get("url")
            found = STATUS.search(url) if isinstance(url, str) else None
            return id_ in self._gone.asked or (found is not None and found[1] in self._asked_posts)
        if {"screen_name", "username"} & node.keys():
            return id_ in self._gone.authors
        return False

    def _reposts(self, node: dict[str, Any]) -> bool:
        """Whether a post of v2 reposts what is gone."""
        refs = [ref for key in REFERENCES for ref in node.get(key) or [] if isinstance(ref, dict)]
        reposted = [ref for ref in refs if ref.get("type") == "retweeted"]
        if not reposted:
            return False
        if any(_id(ref) in self._posts for ref in reposted):
            return True
        mentions = (node.get("entities") or {}).get("mentions") or []
        first = mentions[0] if mentions and isinstance(mentions[0], dict) else {}
        return str(node.get("text")).startswith("RT @") and first.get("id") in self._gone.authors

    def _answers_asked(self, node: dict[str, Any]) -> bool:
        author = node.get("in_reply_to_user_id_str") or node.get("in_reply_to_user_id")
        return author is not None and str(author) in self._gone.asked

    def _is_scrubbed(self, node: dict[str, Any]) -> bool:
        if not _is_post(node):
            return False
        id_, author = _id(node), _author(node)
        if id_ in self._gone.scrubbed_posts:
            return True
        last = self._gone.scrubbed_authors.get(author or "")
        return last is not None and id_ is not None and id_.isdigit() and int(id_) <= last

    def _of_text(self, text: str) -> str:
        if not self._asked_posts or not NUMBER.search(text):
            return text
        return NUMBER.sub(lambda found: ERASED if found[0] in self._asked_posts else found[0], text)


def _posts_of(node: Any, authors: Collection[str]) -> set[str]:
    """The ids of the posts of some authors anywhere in a message."""
    found: set[str] = set()
    if isinstance(node, dict):
        if authors and _is_post(node) and _author(node) in authors and (id_ := _id(node)) is not None:
            found.add(id_)
        for value in node.values():
            found |= _posts_of(value, authors)
    elif isinstance(node, list):
        for item in node:
            found |= _posts_of(item, authors)
    return found


def _is_post(node: dict[str, Any]) -> bool:
    return _id(node) is not None and ("text" in node or "full_text" in node)


def _id(node: dict[str, Any]) -> str | None:
    id_ = node.get("id_str") or node.get("id")
    return str(id_) if isinstance(id_, str | int) and not isinstance(id_, bool) else None


def _author(node: dict[str, Any]) -> str | None:
    """The author's id in each form: v2, v1.1, and v2 flattened."""
    if isinstance(node.get("author_id"), str):
        return str(node["author_id"])
    inside = node.get("user") or node.get("author")
    return _id(inside) if isinstance(inside, dict) else None
