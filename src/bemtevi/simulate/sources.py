"""Where the posts of the simulated world come from.

Owns: three sources (each post invented anew, a pool re-stamped for ever, a file replayed) behind one
contract. How fast they are drawn from is the world's business.
"""

from __future__ import annotations

import gzip
import io
import itertools
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec
import zstandard

from bemtevi.errors import UsageError
from bemtevi.simulate.posts import PostGenerator
from bemtevi.simulate.snowflake import Snowflakes, milliseconds
from bemtevi.simulate.template import Renderer, Template

Made = tuple[int, Template]
POOL_SIZE = 5_000
LINE_END = b"}\r\n"


class Source(Protocol):
    """Gives posts in order. Fewer than asked for means that there are no more."""

    reuses: bool  # the same template may come again

    def take(self, count: int, now: datetime) -> Sequence[Made]: ...


class FreshSource:
    """Every post is invented when it is due."""

    reuses = False

    def __init__(self, generator: PostGenerator) -> None:
        self._generator = generator

    def take(self, count: int, now: datetime) -> Sequence[Made]:
        made = (Template(self._generator.make(now)) for _ in range(count))
        return [(template.identity, template) for template in made]


class PoolSource:
    """A fixed pool of posts in a shuffled round, each time with a new id and time."""

    reuses = True

    def __init__(self, templates: Sequence[Template], seed: int = 0) -> None:
        if not templates:
            raise UsageError("a pool needs at least one post")
        order = list(templates)
        random.Random(seed).shuffle(order)
        self._round = itertools.cycle(order)
        self._snowflakes = Snowflakes()
        self._whole = Renderer(None)

    @classmethod
    def of(cls, generator: PostGenerator, now: datetime, size: int = POOL_SIZE, seed: int = 0) -> PoolSource:
        """A pool of invented posts. The generator must make no edits: an edit names its own past."""
        step = timedelta(milliseconds=20)
        return cls([Template(generator.make(now - step * (size - number))) for number in range(size)], seed)

    def take(self, count: int, now: datetime) -> Sequence[Made]:
        ids = self._snowflakes.take_many(milliseconds(now), count)
        return list(zip(ids, self._round, strict=False))

    def lines(self, count: int, now: datetime, renderer: Renderer | None = None) -> bytes:
        """That many whole stream lines, without `matching_rules`, for load without a server."""
        line = (renderer or self._whole).line
        made = (line(identity, b"%d" % identity, template) for identity, template in self.take(count, now))
        return LINE_END.join(made) + LINE_END


class ReplaySource:
    """The messages of a file, in the file's order, with the ids and times they had.

    When it is looped, later rounds are stamped anew, so that no id comes twice.
    """

    def __init__(self, path: Path, *, loop: bool = False) -> None:
        self.reuses = loop
        self._messages = read_messages(path)
        self._kept: list[Template] = []
        self._again: PoolSource | None = None

    def take(self, count: int, now: datetime) -> Sequence[Made]:
        if self._again is not None:
            return self._again.take(count, now)
        made = [Template(message) for message in itertools.islice(self._messages, count)]
        if self.reuses:
            self._kept += made
            if len(made) < count:
                self._again = PoolSource(self._kept)
                rest = self._again.take(count - len(made), now)
                return [*((template.identity, template) for template in made), *rest]
        return [(template.identity, template) for template in made]


def read_messages(path: Path) -> Iterator[dict[str, Any]]:
    """The posts of a file of stream lines or pages; any other line is passed over."""
    with _opened(path) as file:
        for line in file:
            if not line.strip():
                continue
            try:
                value = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue
            data = value.get("data") if isinstance(value, dict) else None
            if isinstance(data, dict) and "id" in data and "text" in data:
                yield {key: part for key, part in value.items() if key != "matching_rules"}
            elif isinstance(data, list):
                yield from _messages_of_page(value)


def _messages_of_page(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One stream message a post, with the part of the page's `includes` that belongs to it."""
    includes = page.get("includes") or {}
    users = {user.get("id"): user for user in includes.get("users", ())}
    names = {user.get("username"): user for user in includes.get("users", ())}
    media = {item.get("media_key"): item for item in includes.get("media", ())}
    places = {place.get("id"): place for place in includes.get("places", ())}
    polls = {poll.get("id"): poll for poll in includes.get("polls", ())}
    posts_key = "posts" if "posts" in includes else "tweets"
    posts = {post.get("id"): post for post in includes.get(posts_key, ())}
    for data in page["data"]:
        if not (isinstance(data, dict) and "id" in data and "text" in data):
            continue  # a page of users, counts or lists
        references = data.get("referenced_tweets") or data.get("referenced_posts") or ()
        together = [data, *(posts[one["id"]] for one in references if one.get("id") in posts)]
        own: dict[str, list[Any]] = {
            "users": [],
            posts_key: together[1:],
            "media": [],
            "places": [],
            "polls": [],
        }
        for post in together:
            mentions = (post.get("entities") or {}).get("mentions") or ()
            wanted = [users.get(post.get(key)) for key in ("author_id", "in_reply_to_user_id")]
            wanted += [names.get(one.get("username")) for one in mentions]
            attachments = post.get("attachments") or {}
            _gather(own["users"], wanted)
            _gather(own["media"], [media.get(key) for key in attachments.get("media_keys") or ()])
            _gather(own["polls"], [polls.get(key) for key in attachments.get("poll_ids") or ()])
            _gather(own["places"], [places.get((post.get("geo") or {}).get("place_id"))])
        yield {"data": data, "includes": {key: items for key, items in own.items() if items}}


def _gather(into: list[Any], items: list[Any]) -> None:
    into.extend(item for item in items if item is not None and item not in into)


def _opened(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file to replay")
    if path.suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(path))
    if path.suffix == ".zst":
        return io.BufferedReader(
            zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True)
        )
    return path.open("rb")
