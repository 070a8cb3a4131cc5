"""Posts as they come: rows of `fact_post` made of new messages, before any run has seen them.

Owns the offsets, which are versions of layer 1: what is listened to goes through journal and layer 1 as ever,
so that what Spark reads again after a crash is what it read before. One row for each post in a task; a post
that comes again, edited or with other counts, is a row again. What is deleted by then is left out. With a
network, the driver's process listens itself for as long as the query runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyspark.sql.datasource import InputPartition

from bemtevi.errors import BemteviError, ConflictError, UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.lake.raw import RAW
from bemtevi.lake.tombstone import Tombstones
from bemtevi.settings import Settings
from bemtevi.spark.tables import NOTHING, Versions, shared
from bemtevi.telemetry import configure_logging
from bemtevi.warehouse.deletion import Deletions
from bemtevi.warehouse.engines import rule_hashtags
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.engines.spark.executor import absolute
from bemtevi.warehouse.model import FACT, load_models

STOP_SECONDS = 10.0
BUSY_SECONDS = 30.0
"""So long it waits for who listens to the lake already."""
RETRY_SECONDS = 0.2


@dataclass
class Messages(InputPartition):  # type: ignore[misc]
    """Messages in some files of layer 1, to be made posts."""

    root: str
    timezone: str
    storage_options: dict[str, str] = field(repr=False)
    suppression_key: str | None = field(repr=False)
    rule_hashtags: dict[str, list[str]]
    memory_limit: str
    files: tuple[str, ...]

    def read(self) -> Iterator[pa.RecordBatch]:
        """The posts, in batches."""
        lake = Lake(
            Layout(self.root), self.timezone, self.storage_options, suppression_key=self.suppression_key
        )
        (fact,) = (model for model in load_models() if model.name == FACT)
        with DuckDBEngine(
            timezone=self.timezone,
            memory_limit=self.memory_limit,
            threads=1,  # a task is one core's
            rule_hashtags=self.rule_hashtags,
            storage_options=self.storage_options,
        ) as engine:
            root = lake.table(RAW).uri
            if not engine.stage([f"{root}/{file}" for file in self.files]).observations:
                return
            Deletions(lake, engine, lambda: datetime.now(UTC)).hide_only()
            engine.define_existing(fact, [], None)
            engine.make(fact)
            for batch in engine.read(FACT):
                yield from pa.Table.from_batches([batch]).cast(fact.definition.schema).to_batches()


class LiveReader(Versions):
    """Streams what layer 1 gets."""

    def __init__(self, settings: Settings, network: str | None, track: Sequence[str]) -> None:
        if network not in (None, "x"):
            raise UsageError(f"The network '{network}' is not known; known are: x.")
        self._settings = settings
        self._network = network
        self._track = tuple(track)
        self._lake = Lake.of(settings)
        self._listening: threading.Thread | None = None
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def initialOffset(self) -> dict[str, int]:  # noqa: N802  Spark's name
        """What is in layer 1 when a query begins is not live."""
        return {"version": self._lake.table(RAW).version()}

    def newest(self) -> int:
        """What layer 1 has now."""
        if self._network is not None and self._listening is None:
            self._listen()
        if self._failure is not None:
            raise UsageError(f"It no longer listens: {self._failure}") from self._failure
        return self._lake.table(RAW).version()

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[InputPartition]:
        """The files that came, shared among tasks."""
        table = self._lake.table(RAW)
        files = (
            [file for commit in table.commits(start["version"], end["version"]) for file in commit.files]
            if end["version"] > start["version"]
            else []
        )
        if not files:
            return []
        key = self._suppression_key()
        tags = rule_hashtags(self._lake)
        return [
            Messages(
                absolute(self._lake.layout.root),
                self._lake.timezone,
                dict(self._lake.storage_options),
                key,
                tags,
                self._settings.memory_limit,
                part.files,
            )
            for part in shared(table, files)
        ]

    def stop(self) -> None:
        """The query is over."""
        self._stop.set()
        if self._listening is not None:
            self._listening.join(STOP_SECONDS)

    def _suppression_key(self) -> str | None:
        """The key by which executors know what was erased; None while nothing was deleted."""
        lake = self._lake
        if lake.suppression_key is not None or Tombstones(lake).version() == NOTHING:
            return lake.suppression_key
        path: Path = lake.layout.suppression_key(lake.local)
        return path.read_text("ascii").strip() if path.exists() else None

    def _listen(self) -> None:
        from bemtevi.cli.collect import listen_until
        from bemtevi.cli.track import follow

        configure_logging(verbose=False, for_machine=True, quiet=True)  # this process is Spark's
        if self._track:
            follow(self._settings, self._lake, str(self._network), self._track)

        def work() -> None:
            until = time.monotonic() + BUSY_SECONDS
            while not self._stop.wait(RETRY_SECONDS):
                try:
                    listen_until(self._settings, self._lake, self._stop)
                except ConflictError as error:
                    # a job of before that was killed may still be ending
                    if time.monotonic() > until:
                        self._failure = error
                        return
                except BemteviError as error:
                    self._failure = error
                    return

        # ends with its process, however that ends; what it had acknowledged is in the journal
        self._listening = threading.Thread(target=work, name="listener", daemon=True)
        self._listening.start()
