"""An archive file of past days, as a listener would have kept it.

Owns: when in the past people posted (a daily rhythm, quieter weekends, a few bursts about one topic) and
writing it fast: part of the posts is invented, the others are earlier ones of the same days stamped anew.
"""

from __future__ import annotations

import gzip
import io
import math
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import msgspec
import zstandard

from bemtevi.errors import UsageError
from bemtevi.simulate.posts import DEFAULT_TOPICS, PostGenerator
from bemtevi.simulate.snowflake import milliseconds
from bemtevi.simulate.spelling import Spelling, both_spellings
from bemtevi.simulate.template import stamped

STEP = timedelta(minutes=5)
# Where most of the invented people live.
LOCAL = timedelta(hours=-3)
RECENT = 4_000
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Burst:
    """For some hours a topic is on everybody's mind: it starts at once and fades."""

    start: datetime
    fades_in: timedelta
    strength: float  # times the ordinary rate, at the start
    topic: str

    def at(self, moment: datetime) -> float:
        past = (moment - self.start) / self.fades_in
        return self.strength * math.exp(-past) if past >= 0 else 0.0


def write_history(
    path: Path,
    topics: Sequence[str] = DEFAULT_TOPICS,
    *,
    since: datetime,
    until: datetime,
    count: int,
    seed: int = 0,
    bursts: int = 2,
    variety: float = 0.2,
    spelling: Spelling = "tweet",
) -> int:
    """Write `count` stream lines in the order of time, packed as the name says; answers the bytes of JSON.

    `variety` is the share of posts with a text of their own.
    """
    if not since < until:
        raise UsageError("a history needs a beginning before its end")
    chance = random.Random(seed)
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    planned = plan_bursts(chance, topics, since, until, bursts)
    generator = PostGenerator(seed, topics, spelling=spelling)
    recent: dict[str | None, list[tuple[int, bytes]]] = {None: []} | {burst.topic: [] for burst in planned}
    history_key = both_spellings("edit_history_tweet_ids")[spelling == "post"]
    size = 0
    # Packing takes as long as inventing; it does not hold the interpreter, so it has a thread of its own.
    with _created(path) as file, ThreadPoolExecutor(1) as packing:
        packed = packing.submit(file.write, b"")
        block: list[bytes] = []
        for moment, burst in _moments(chance, planned, since, until, count):
            topic = burst.topic if burst else None
            known = recent[topic]
            if known and chance.random() >= variety:
                first, body = chance.choice(known)
                line = stamped(body, first, generator.snowflakes.take(milliseconds(moment)))
            else:
                message = generator.make(moment, topic)
                line = msgspec.json.encode(message)
                if len(message["data"][history_key]) == 1:  # an edit names its own past: once is enough
                    entry = (int(message["data"]["id"]), line)
                    if len(known) < RECENT:
                        known.append(entry)
                    else:
                        known[chance.randrange(RECENT)] = entry
            block.append(line)
            if len(block) == BLOCK:
                packed.result()
                text = b"\n".join(block) + b"\n"
                size += len(text)
                packed = packing.submit(file.write, text)
                block = []
        packed.result()
        if block:
            text = b"\n".join(block) + b"\n"
            size += len(text)
            file.write(text)
    return size


def plan_bursts(
    chance: random.Random, topics: Sequence[str], since: datetime, until: datetime, count: int
) -> list[Burst]:
    """Bursts in the middle four fifths of the time, each about one of the topics."""
    length = until - since
    planned = [
        Burst(
            start=since + length * chance.uniform(0.1, 0.9),
            fades_in=max(min(length / 20, timedelta(hours=3)), STEP) * chance.uniform(0.7, 1.5),
            strength=chance.uniform(4, 9),
            topic=chance.choice(topics).lstrip("#＃"),
        )
        for _ in range(count if topics else 0)
    ]
    return sorted(planned, key=lambda burst: burst.start)


def rhythm(moment: datetime) -> float:
    """How much is posted at an hour of the day and week; about 1 on average."""
    local = moment + LOCAL
    hour = local.hour + local.minute / 60
    daily = 1 + 0.6 * math.cos((hour - 20) / 24 * math.tau) + 0.25 * math.cos((hour - 12.5) / 12 * math.tau)
    return max(daily, 0.05) * (0.8 if local.weekday() >= 5 else 1.08)


def _moments(
    chance: random.Random, bursts: Sequence[Burst], since: datetime, until: datetime, count: int
) -> Iterator[tuple[datetime, Burst | None]]:
    """Rising moments, as dense as the rhythm and the bursts say, each with the burst it belongs to."""
    steps = max(1, math.ceil((until - since) / STEP))
    starts = [since + STEP * number for number in range(steps)]
    weather = [max(0.2, chance.gauss(1, 0.2)) for _ in starts]
    total = sum(
        calm * rhythm(start) + sum(burst.at(start) for burst in bursts)
        for start, calm in zip(starts, weather, strict=True)
    )
    reached, made = 0.0, 0
    for start, calm in zip(starts, weather, strict=True):
        strengths = [calm * rhythm(start), *(burst.at(start) for burst in bursts)]
        reached += sum(strengths)
        due = round(count * reached / total) - made
        length = min(STEP, until - start)
        for offset in sorted(chance.random() for _ in range(due)):
            chosen = chance.choices((None, *bursts), strengths)[0]
            yield start + length * offset, chosen
        made += due


@contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as plain:
        if path.suffix == ".gz":
            # The time is left out, so that the same seed gives the same file.
            with gzip.GzipFile("", "wb", compresslevel=1, fileobj=plain, mtime=0) as packed:
                yield io.BufferedWriter(packed)
        elif path.suffix == ".zst":
            with zstandard.ZstdCompressor(level=3).stream_writer(plain, closefd=False) as stream:
                yield stream
        else:
            yield plain
