"""What the tables must hold, said once more in plain Python: no engine, no batches, no hours, no merging.

Owns a reading of messages that is as naive as it can be. It is slow and small on purpose: whoever doubts a
model can read this page instead. Shares nothing with the product but the folding of hashtags.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bemtevi.warehouse.hashtag import fold


@dataclass(frozen=True)
class Message:
    """One message as it was delivered; the sequence in its session is 0."""

    session: str
    received_at: datetime
    payload: bytes


def tables(messages: Iterable[Message], zone: ZoneInfo) -> dict[str, Any]:
    """The content of the tables that a stream of X's v2 messages makes, in whatever order it came."""
    sightings: dict[str, list[tuple[datetime, str, int, dict[str, Any]]]] = defaultdict(list)
    unreadable = 0
    for message in messages:
        posts = _posts(message.payload)
        if posts is None:
            continue
        readable = [post for post in posts if post.get("text") is not None and "created_at" in post]
        unreadable += not readable
        for item, post in enumerate(posts):
            if post in readable:
                sightings[post["id"]].append((message.received_at, message.session, item, post))
    facts, bridge = {}, set()
    hours: dict[tuple[str, datetime], list[dict[str, Any]]] = defaultdict(list)
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for post_id, seen in sightings.items():
        latest = max(seen, key=lambda one: one[:3])[3]
        created_at = datetime.fromisoformat(latest["created_at"])
        hour = created_at.replace(minute=0, second=0, microsecond=0)
        written = [entity["tag"] for entity in latest.get("entities", {}).get("hashtags", [])]
        folded = {fold(tag): tag for tag in reversed(written)}  # of several spellings, the first stays
        hashtags = [tag for tag in dict.fromkeys(map(fold, written)) if tag]
        history = latest.get("edit_history_tweet_ids", [post_id])
        facts[post_id] = {
            "text": latest["text"],
            "created_at": created_at,
            "created_date": created_at.astimezone(zone).date(),
            "like_count": latest["public_metrics"]["like_count"],
            "edited_from": history[history.index(post_id) - 1] if history.index(post_id) else None,
            "hashtags": hashtags,
            "first_received_at": min(one[0] for one in seen),
            "last_received_at": max(one[0] for one in seen),
            "observations": len(seen),
        }
        for position, tag in enumerate(hashtags, 1):
            bridge.add((post_id, tag, folded[tag], position))
            hours[tag, hour].append(latest)
            spellings[tag][folded[tag]] += 1
    aggregate = {
        key: (
            len(posts),
            len({post["author_id"] for post in posts}),
            sum(post["public_metrics"]["like_count"] for post in posts),
        )
        for key, posts in hours.items()
    }
    return {
        "fact_post": facts,
        "bridge_post_hashtag": bridge,
        "agg_hashtag_hour": aggregate,
        "dim_hashtag": set(spellings),
        "unreadable": unreadable,
    }


def _posts(payload: bytes) -> list[dict[str, Any]] | None:
    """The posts that a message should hold; None if it is no message with posts."""
    try:
        message = json.loads(payload)
    except ValueError:
        return None
    data = message.get("data")
    if isinstance(data, dict) and "id" in data:
        return [data]
    if isinstance(data, list) and data:
        return data
    return None


def utc(at: datetime) -> datetime:
    """The same instant in UTC."""
    return at.astimezone(UTC)
