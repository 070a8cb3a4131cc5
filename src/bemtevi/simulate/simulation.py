"""What is simulated: every setting of a simulated X in one place.

Owns: the settings, their defaults, and choosing where the posts come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bemtevi.simulate.faults import Fault
from bemtevi.simulate.limits import WINDOW
from bemtevi.simulate.posts import DEFAULT_TOPICS, PostGenerator
from bemtevi.simulate.record import Record
from bemtevi.simulate.script import Script
from bemtevi.simulate.sources import POOL_SIZE, FreshSource, PoolSource, ReplaySource, Source
from bemtevi.simulate.spelling import Spelling
from bemtevi.simulate.world import World, now_in_utc

# Above this rate, posts come from a pool: inventing each one would take the whole core.
FRESH_UP_TO = 1_000.0


@dataclass(frozen=True)
class Simulation:
    """What is simulated. Every default is X's own where X has one."""

    topics: tuple[str, ...] = DEFAULT_TOPICS
    seed: int = 0
    rate: float = 50.0  # posts a second; 0 is as fast as the listener reads
    focus: float = 0.8  # the share of posts about one of the topics
    pool: int | None = None  # posts to make once and re-stamp; 0 invents each one; None decides by the rate
    replay: Path | None = None  # a file of stream lines or pages, instead of invented posts
    loop: bool = False  # begin the replayed file again, with new ids
    limit: int | None = None  # stop producing after so many posts
    spelling: Spelling = "tweet"
    token: str | None = None  # the only bearer token accepted; None accepts any
    max_connections: int = 1
    keep_alive: float = 20.0
    keep: int = 200_000  # posts that search can find
    buffer: int = 100_000  # posts a listener may fall behind before it is dropped
    search_delay: float = 30.0
    search_days: float | None = 7.0
    compliance_seconds: float = 1.0  # how long a compliance job takes; X takes minutes to hours
    enforce_limits: bool = False  # answer 429 when a documented rate limit is passed
    limit_window: float = WINDOW  # seconds of a rate limit's window
    faults: tuple[Fault, ...] = ()  # what goes wrong, and when (see `faults`)
    record: Path | None = None  # the ground truth (see `record`)
    record_ids_only: bool = False  # leave out of the record what search finds
    clock: Callable[[], datetime] = field(default=now_in_utc, repr=False)

    def world(self) -> World:
        """A new world; its record is opened."""
        record = Record(self.record, self.clock, ids_only=self.record_ids_only)
        return World(
            self._source(),
            rate=self.rate,
            clock=self.clock,
            keep=self.keep,
            limit=self.limit,
            buffer=self.buffer,
            record=record,
            script=Script(self.faults, record, seed=self.seed),
        )

    def _source(self) -> Source:
        if self.replay is not None:
            return ReplaySource(self.replay, loop=self.loop)
        by_rate = POOL_SIZE if self.rate <= 0 or self.rate > FRESH_UP_TO else 0
        pool = by_rate if self.pool is None else self.pool
        made = PostGenerator(self.seed, self.topics, spelling=self.spelling, focus=self.focus, edits=not pool)
        return PoolSource.of(made, self.clock(), pool, self.seed) if pool else FreshSource(made)
