"""What the tables must hold, said once more in plain Python: no engine, no batches, no hours, no merging.

Owns a reading of messages that is as naive as it can be. It is slow and small on purpose: whoever doubts a
model can read this page instead. Shares nothing with the product but the folding of hashtags.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any
from zoneinfo import ZoneInfo

from bemtevi.warehouse.hashtag import fold


@dataclass(frozen=True)
class Message:
    """One message as it was delivered; each is alone in its session."""

    session: str
    received_at: datetime
    payload: bytes


@dataclass(frozen=True)
class Seen:
    """One time that a post was delivered."""

    received_at: datetime
    session: str
    item: int
    post: dict[str, Any]

    @property
    def order(self) -> tuple[datetime, str, int]:
        """The greatest is the one that a post shows."""
        return self.received_at, self.session, self.item


def tables(messages: Iterable[Message], zone: ZoneInfo) -> dict[str, Any]:
    """The content of the tables that a stream of X's v2 messages makes, in whatever order it came."""
    messages = list(messages)
    gone = _gone(messages)
    sightings: dict[str, list[Seen]] = defaultdict(list)
    authors: dict[str, dict[datetime, tuple[datetime, int, str]]] = defaultdict(dict)
    for message in messages:
        posts, users = _content(message.payload)
        for item, post in enumerate(posts):
            sightings[post["id"]].append(Seen(message.received_at, message.session, item, post))
            user = users[post["author_id"]]
            hour = _hour(message.received_at)
            said = (message.received_at, user["public_metrics"]["followers_count"], user["description"])
            known = authors[user["id"]].get(hour)
            if known is None or (said[0], said[1]) > (known[0], known[1]):
                authors[user["id"]][hour] = said
    facts = {
        post_id: fact
        for post_id, seen in sightings.items()
        if not _hidden(fact := _fact(post_id, seen, zone), gone)
    }
    tagged = [(fact, tag) for fact in facts.values() for tag in fact["hashtags"]]
    return {
        "fact_post": facts,
        "bridge_post_hashtag": {
            (fact["post_id"], tag, spelling, position)
            for fact in facts.values()
            for position, (tag, spelling) in enumerate(fact["hashtags"].items(), 1)
        },
        "agg_hashtag_hour": _counted((tag, _hour(fact["created_at"])) for fact, tag in tagged),
        "agg_hashtag_day": _counted((tag, fact["created_date"]) for fact, tag in tagged),
        "agg_hashtag_pair_day": _counted(
            (one, other, fact["created_date"])
            for fact in facts.values()
            for one, other in combinations(sorted(fact["hashtags"]), 2)
        ),
        "dim_hashtag": {tag: _hashtag(tag, tagged) for _, tag in tagged},
        "dim_user": {
            author_id: _versions(hours)
            for author_id, hours in authors.items()
            if ("author", author_id) not in gone
        },
    }


def _gone(messages: Iterable[Message]) -> set[tuple[str, str]]:
    """The posts and authors whose last word is that they are gone; of two at once, that one."""
    words: dict[tuple[str, str], tuple[datetime, bool]] = {}
    for message in messages:
        for subject, gone in _words(message.payload):
            words[subject] = max(
                words.get(subject, (message.received_at, False)), (message.received_at, gone)
            )
    return {subject for subject, (_, gone) in words.items() if gone}


def _words(payload: bytes) -> Iterator[tuple[tuple[str, str], bool]]:
    """Who or what is gone (or back) by a message."""
    try:
        message = json.loads(payload)
    except ValueError:
        return
    for name, body in message.items() if isinstance(message, dict) else ():
        if name in ("delete", "undrop"):
            yield ("post", body["status"]["id_str"]), name == "delete"
        elif name.startswith("user_"):
            yield ("author", str(body["id"])), not name.startswith("user_un")


def _hidden(fact: dict[str, Any], gone: set[tuple[str, str]]) -> bool:
    """Whether it is gone, who wrote it is, or what it reposts is."""
    subjects = {("post", fact["post_id"]), ("author", fact["author_id"]), ("post", fact["reposts"])}
    return not subjects.isdisjoint(gone)


def _fact(post_id: str, seen: list[Seen], zone: ZoneInfo) -> dict[str, Any]:
    """Latest observation wins, first sighting is kept, observations are counted."""
    latest = max(seen, key=lambda one: one.order).post
    created_at = datetime.fromisoformat(latest["created_at"])
    hashtags: dict[str, str] = {}
    for entity in latest.get("entities", {}).get("hashtags", []):
        if tag := fold(entity["tag"]):
            hashtags.setdefault(tag, entity["tag"])
    history = latest["edit_history_tweet_ids"]
    position = history.index(post_id)
    return {
        "post_id": post_id,
        "author_id": latest["author_id"],
        "text": latest["text"],
        "created_at": created_at,
        "created_date": created_at.astimezone(zone).date(),
        "like_count": latest["public_metrics"]["like_count"],
        "edited_from": history[position - 1] if position else None,
        "reposts": latest.get("referenced_tweets", [{"id": None}])[0]["id"],
        "hashtags": hashtags,
        "first_received_at": min(one.received_at for one in seen),
        "last_received_at": max(one.received_at for one in seen),
        "observations": len(seen),
    }


def _hashtag(tag: str, tagged: list[tuple[dict[str, Any], str]]) -> tuple[str, datetime, datetime]:
    """Its spelling used most in its first hour, of those the first in the alphabet; first and last post."""
    posts = [fact for fact, other in tagged if other == tag]
    times = [fact["created_at"] for fact in posts]
    first = [fact for fact in posts if _hour(fact["created_at"]) == _hour(min(times))]
    spellings = Counter(fact["hashtags"][tag] for fact in first)
    commonest = min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
    return commonest, min(times), max(times)


def _versions(
    hours: dict[datetime, tuple[datetime, int, str]],
) -> list[tuple[str, datetime, datetime | None]]:
    """What an author said of themselves, from when, until when: by the last observation of each hour."""
    begun: list[tuple[str, datetime]] = []
    for hour, (_, _, said) in sorted(hours.items()):
        if not begun or begun[-1][0] != said:
            begun.append((said, hour))
    ends = [start for _, start in begun[1:]]
    return [(said, start, end) for (said, start), end in zip(begun, [*ends, None], strict=True)]


def _counted(keys: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    return dict(Counter(keys))


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _content(payload: bytes) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The posts of a message and the authors that came along; none if it cannot be read."""
    try:
        message = json.loads(payload)
    except ValueError:
        return [], {}
    if not isinstance(message, dict):
        return [], {}
    data = message.get("data")
    posts = data if isinstance(data, list) else [data]
    whole = [post for post in posts if post and "text" in post and "created_at" in post]
    return whole, {user["id"]: user for user in message.get("includes", {}).get("users", [])}
