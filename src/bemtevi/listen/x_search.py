"""X's search: pages of posts of the past, and how many there are.

Owns the calls, their fields and the reading of a page's outside. Leaves to `asking` what is asked and where
pages go, to `x_patience` the pace that X's rate limits want. Source: docs.x.com x-api/posts/search, counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bemtevi.listen.dialects.x_v2 import event_at
from bemtevi.listen.message import Origin
from bemtevi.listen.x import FIELDS
from bemtevi.listen.x_client import Answer, XClient
from bemtevi.listen.x_patience import Patience
from bemtevi.listen.x_query import queries

RECENT = timedelta(days=7)
NEWEST_SECONDS = 30.0
"""Posts that are younger are not found yet."""
POSTS_A_PAGE = 100
ARCHIVE_POSTS_A_PAGE = 500
RECENT_LENGTH = 512
ARCHIVE_LENGTH = 1024
ARCHIVE_SECONDS = 1.05
"""The archive may be asked once a second."""

MISSING_KINDS: tuple[str, ...] = (
    "reposts",
    "matches in quoted posts",
    "deleted and protected posts",
    "older versions of edited posts",
)
"""What X's search does not bring, though the stream does."""


@dataclass(frozen=True)
class Page:
    """One answer, newest post first. `body` is verbatim."""

    body: bytes
    posts: int
    newest_id: str | None
    oldest_at: datetime | None
    next_token: str | None


class XSearch:
    """Asks X's search. For one thread."""

    missing_kinds = MISSING_KINDS

    def __init__(
        self,
        token: str,
        api_url: str,
        *,
        archive: bool = False,
        stop: threading.Event | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._api_url = api_url
        self._patience = Patience(token, api_url, stop, wall)
        self._kind = "all" if archive else "recent"
        self._wall = wall
        self._asked_at = 0.0
        self.archive = archive
        self.name = "archive search" if archive else "search"
        self.posts_a_page = ARCHIVE_POSTS_A_PAGE if archive else POSTS_A_PAGE

    def origin(self, session: str, tags: tuple[str, ...]) -> Origin:
        """Where pages come from."""
        return Origin("x", urlsplit(self._api_url).netloc, "search", session, tags)

    def bind(self, stop: threading.Event) -> None:
        """From now on, who waits for X stops when `stop` is set."""
        self._patience.stop = stop

    def queries(self, rule: str) -> list[str]:
        """What to ask for a rule. Raises UnsearchableError."""
        return queries(rule, ARCHIVE_LENGTH if self.archive else RECENT_LENGTH)

    def oldest(self) -> datetime | None:
        """What is older cannot be asked; None: everything can."""
        if self.archive:
            return None
        return datetime.fromtimestamp(self._wall(), UTC) - RECENT + timedelta(minutes=1)

    def page(
        self,
        query: str,
        start: datetime,
        end: datetime,
        next_token: str | None = None,
        since_id: str | None = None,
    ) -> Page:
        """One page of [start, end), or of what is newer than `since_id`.

        Raises MissingCredentialError, NetworkError (also when X lets us read no more) or StoppedError.
        """
        asked: dict[str, str | int] = {
            "query": query,
            "max_results": self.posts_a_page,
            "end_time": _time(end),
        }
        asked |= {"since_id": since_id} if since_id else {"start_time": _time(start)}
        asked |= {name.replace("_", "."): value for name, value in FIELDS.items()}
        if next_token:
            asked["next_token"] = next_token
        answer = self._ask(f"/2/tweets/search/{self._kind}", asked)
        return _page(answer)

    def count(self, query: str, start: datetime, end: datetime) -> int:
        """How many posts X counts in [start, end). Raises as `page`."""
        total = 0
        token: str | None = None
        while True:
            asked: dict[str, str | int] = {
                "query": query,
                "granularity": "day",
                "start_time": _time(start),
                "end_time": _time(end),
            }
            if token:
                asked["next_token"] = token
            body = self._ask(f"/2/tweets/counts/{self._kind}", asked).body
            meta = _meta(body)
            counted = meta.get("total_tweet_count", meta.get("total_post_count", 0))
            total += counted if isinstance(counted, int) else 0
            token = str(meta["next_token"]) if meta.get("next_token") else None
            if token is None:
                return total

    def _ask(self, path: str, asked: dict[str, str | int]) -> Answer:
        """One answer, after as many waits as X wants."""

        def call(client: XClient) -> Answer:
            if self.archive:
                self._patience.pause(max(self._asked_at + ARCHIVE_SECONDS - self._wall(), 0.0))
            self._asked_at = self._wall()
            return client.get(path, **asked)

        return self._patience.ask(path, call)


def _page(answer: Answer) -> Page:
    data = answer.body.get("data")
    ids = (
        [str(post["id"]) for post in data if isinstance(post, dict) and "id" in post]
        if isinstance(data, list)
        else []
    )
    meta = _meta(answer.body)
    newest = meta.get("newest_id") or (ids[0] if ids else None)
    oldest = event_at(ids[-1]) if ids else None
    return Page(
        answer.content,
        len(ids),
        None if newest is None else str(newest),
        None if oldest is None else datetime.fromtimestamp(oldest / 1e6, UTC),
        str(meta["next_token"]) if meta.get("next_token") else None,
    )


def _meta(body: dict[str, Any]) -> dict[str, Any]:
    meta = body.get("meta")
    return meta if isinstance(meta, dict) else {}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
