"""Live: what has just come, as events that many clients read at their own pace.

Owns the ring of the last events and their numbers. Clients hold a place in the ring and nothing else, so a
slow one costs no memory: when the ring has left it behind it is told so. Counts are set, not added: each
carries the whole of its minute, so that a lost event is made good by the next. Leaves the protocol to
`api.live`.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from bemtevi.serve.catalog import Catalog
from bemtevi.serve.overlay import Step
from bemtevi.serve.snapshot import Snapshot

log = structlog.get_logger()
MOST_EVENTS = 20_000
MOST_BYTES = 16 * 1024 * 1024
MOST_HASHTAGS = 200
"""Hashtags that are counted in one step."""
MOST_POSTS = 40
POSTS_OF_A_HASHTAG = 5
MOST_SHOWN = 400
"""Posts that are shown of one step: the newest, and some of each hashtag; the counts are of all."""
SHOWN = [
    *("network", "post_id", "created_at", "last_received_at", "type", "language", "author_id"),
    *("possibly_sensitive", "text"),
]
RECENT = timedelta(minutes=10)
"""A post written longer ago is counted as new, but changes no minute that is on a screen."""

MINUTES = """
select hashtag, date_trunc('minute', created_at) as minute, count(*) as posts
from bridge_post_hashtag
where hashtag in (select unnest($hashtags)) and created_date >= $first_date and created_at >= $since
group by all
"""


@dataclass(frozen=True)
class Event:
    """One event, ready to be sent; `public` is what those without the token get."""

    number: int
    hashtags: frozenset[str]
    full: bytes
    public: bytes


class Ring:
    """The last events. Written by one thread, read on the loops of the clients."""

    def __init__(self) -> None:
        self.life = uuid.uuid4().hex[:8]
        """Numbers begin anew with each process."""
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._bytes = 0
        self._next = 1
        self._made: dict[tuple[int, frozenset[str], bool], tuple[bytes, int]] = {}
        self._wakers: dict[asyncio.AbstractEventLoop, asyncio.Event] = {}

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._next - 1

    def add(self, kind: str, hashtags: Collection[str], full: Any, public: Any) -> None:
        """Add an event; clients are told by `wake`."""
        number = self._next
        head = f"id: {self.life}-{number}\nevent: {kind}\ndata: ".encode()
        first, second = (head + encode(data) + b"\n\n" for data in (full, public))
        event = Event(number, frozenset(hashtags), first, first if first == second else second)
        with self._lock:
            self._events.append(event)
            self._made.clear()
            self._bytes += len(first) + len(second)
            self._next += 1
            while len(self._events) > MOST_EVENTS or self._bytes > MOST_BYTES:
                gone = self._events.popleft()
                self._bytes -= len(gone.full) + len(gone.public)

    def after(self, number: int, hashtags: frozenset[str], *, full: bool) -> tuple[bytes, int] | None:
        """The events after one that concern some hashtags (all, if none is given), and the newest number.

        None if some are gone already. Made once for all clients that are at the same place.
        """
        with self._lock:
            key = (number, hashtags, full)
            if key not in self._made:
                if not self._holds(number):
                    return None
                events = [self._events[index] for index in range(number - self.last, 0)]
                wanted = [
                    event.full if full else event.public
                    for event in events
                    if not hashtags or not event.hashtags or not hashtags.isdisjoint(event.hashtags)
                ]
                self._made[key] = (b"".join(wanted), self.last)
            return self._made[key]

    def holds(self, number: int) -> bool:
        """Whether all events after one are still here."""
        with self._lock:
            return self._holds(number)

    def _holds(self, number: int) -> bool:
        return 0 <= self.last - number <= len(self._events)

    def place(self, event_id: str) -> int | None:
        """The number of an event id, if it is of this life and what came after is still here."""
        life, _, number = event_id.partition("-")
        if life != self.life or not number.isdigit() or not self.holds(int(number)):
            return None
        return int(number)

    def wake(self) -> None:
        """Tell the clients that there is something new."""
        for loop, waker in list(self._wakers.items()):
            try:
                loop.call_soon_threadsafe(waker.set)
            except RuntimeError:  # the loop has ended
                self._wakers.pop(loop, None)

    async def more(self, number: int, seconds: float) -> None:
        """Wait until there is an event after `number`, at most so long."""
        loop = asyncio.get_running_loop()
        waker = self._wakers.get(loop)
        if waker is None or waker.is_set():
            waker = self._wakers[loop] = asyncio.Event()
        if self.last > number:
            return
        try:
            await asyncio.wait_for(waker.wait(), seconds)
        except TimeoutError:
            return


def bring(ring: Ring, pseudonym: Callable[[str], str], snapshot: Snapshot, step: Step) -> None:
    """Make the events of a step that was laid over."""
    if not step.posts.num_rows:
        return
    try:
        for kind, hashtags, full, public in events(snapshot, step, pseudonym):
            ring.add(kind, hashtags, full, public)
    except duckdb.Error as error:  # the next step counts the same minutes again
        log.warning("live.not_counted", error=str(error).splitlines()[0])
    ring.wake()


def events(
    snapshot: Snapshot, step: Step, pseudonym: Callable[[str], str]
) -> Iterator[tuple[str, Collection[str], Any, Any]]:
    """Kind, hashtags, data, and data without what only the token shows, of each event of a step."""
    posts = step.posts.sort_by([("created_at", "descending")])
    versions = step.authors.select(["network", "author_id", "valid_from", "username"]).sort_by("valid_from")
    tags_of = _tags(posts)
    new: dict[str, int] = {}
    places: list[int] = []
    for place, tags in enumerate(tags_of):
        few = any(new.get(tag, 0) < POSTS_OF_A_HASHTAG for tag in tags)
        if len(places) < (MOST_SHOWN if few else MOST_POSTS):
            places.append(place)
        for tag in tags:
            new[tag] = new.get(tag, 0) + 1
    shown = posts.select(SHOWN).take(places).to_pylist()
    authors = pc.is_in(versions["author_id"], pa.array([post["author_id"] for post in shown], pa.string()))
    # the latest name is the one that stays
    names = {
        (row["network"], row["author_id"]): row["username"] for row in versions.filter(authors).to_pylist()
    }
    for post, place in zip(shown, places, strict=True):
        post["hashtags"] = tags_of[place]
    for post in reversed(shown):
        post["received_at"] = post.pop("last_received_at")
        full = post | {"username": names.get((post["network"], post["author_id"]))}
        author = post["author_id"]
        public = post | {"username": None, "text": None, "author_id": author and pseudonym(author)}
        yield "post", post["hashtags"], full, public
    counted = sorted(new, key=lambda tag: -new[tag])[:MOST_HASHTAGS]
    minutes = _minutes(snapshot, step, counted)
    for tag in counted:
        count = {"hashtag": tag, "new": new[tag], "minutes": minutes.get(tag, [])}
        yield "count", (tag,), count, count
    every = {"new": posts.num_rows, "number": step.number}
    yield "total", (), every, every


def _tags(posts: pa.Table) -> list[list[str]]:
    """The hashtags of each post. A post is a wide row, and most are only counted."""
    lists = posts["hashtags"].combine_chunks()
    found: list[list[str]] = [[] for _ in range(len(lists))]
    names = pc.struct_field(lists.flatten(), "hashtag").to_pylist()
    for place, name in zip(pc.list_parent_indices(lists).to_pylist(), names, strict=True):
        found[place].append(name)
    return found


def _minutes(snapshot: Snapshot, step: Step, hashtags: list[str]) -> dict[str, list[tuple[datetime, int]]]:
    """The posts of each minute that the step touched, of some hashtags."""
    recent = datetime.now(UTC) - RECENT
    minutes = pc.unique(pc.floor_temporal(step.posts["created_at"], unit="minute")).to_pylist()
    touched = {at.astimezone(UTC) for at in minutes if at >= recent}
    if not touched or not hashtags:
        return {}
    counts = minutes_of(snapshot.catalog, hashtags, min(touched), pc.min(step.posts["created_date"]).as_py())
    return {tag: [(at, posts) for at, posts in found if at in touched] for tag, found in counts.items()}


def minutes_of(
    catalog: Catalog, hashtags: Collection[str], since: datetime, first_date: date | None = None
) -> dict[str, list[tuple[datetime, int]]]:
    """The posts of each minute from `since`, by hashtag, in order of time.

    `first_date`, in the lake's zone, is the first day of which something is read.
    """
    found: dict[str, list[tuple[datetime, int]]] = {}
    values = {
        "hashtags": list(hashtags),
        "since": since,
        "first_date": first_date or (since - timedelta(days=1)).date(),
    }
    with catalog.cursor() as cursor:
        table = cursor.execute(MINUTES, values).to_arrow_table()
    for row in table.to_pylist():
        found.setdefault(row["hashtag"], []).append((row["minute"].astimezone(UTC), row["posts"]))
    return {tag: sorted(counts) for tag, counts in found.items()}


encode = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode
