"""From sealed segments to layer 1, in order, each as one commit per table.

Owns the retry when storage is away: the segments stay, the journal grows, the stream goes on. A commit
carries (listener, segment number), so a segment that was committed but not yet dropped is not written again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from bemtevi import crashpoint, metrics
from bemtevi.errors import ConflictError, CorruptionError, StorageError
from bemtevi.lake.lake import Lake
from bemtevi.listen import message, segment
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.journal import Journal
from bemtevi.listen.message import Count, Shaped

log = structlog.get_logger()

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass
class Writer:
    """Moves the segments of one journal into one lake, in a thread of its own."""

    lake: Lake
    journal: Journal
    wrote: Callable[[int, Shaped], None] | None = None
    """Told of each segment that is in layer 1, with its number."""
    count: Count = field(default_factory=Count)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._longest = 0.0
        self._reader = EnvelopeReader()
        self._thread = threading.Thread(target=self._loop, name="writer", daemon=True)

    def start(self) -> None:
        """Begin; segments that an earlier process left are first."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Write what is sealed, for at most so many seconds; True if nothing is left in the journal.

        No segment is begun that would take longer than what is left of the time.
        """
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self.journal.sealed.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive() and not self.journal.layout.segments()

    def write_sealed(self) -> None:
        """Write every sealed segment now. Raises as `lake.table` and `segment.decode`."""
        for number in self.journal.layout.segments():
            started = time.monotonic()
            if self._stopping.is_set() and started + self._longest > self._deadline:
                return
            # block by block, so that the segment is not in memory both as messages and as rows
            blocks = segment.decode(self.journal.layout.segment(number))
            shaped = message.shape(blocks, self._reader)
            message.commit(self.lake, shaped, (self.journal.listener, number))
            crashpoint.reach("writer.dropping")
            self.journal.drop(number)
            crashpoint.reach("writer.dropped")
            report(shaped)
            if self.wrote is not None:
                self.wrote(number, shaped)
            shaped.count.post_ids.clear()
            self.count.add(shaped.count)
            self._longest = max(self._longest, time.monotonic() - started)
            log.debug("writer.committed", segment=number, messages=shaped.count.messages)

    def _loop(self) -> None:
        attempt = 0
        while True:
            self.journal.sealed.clear()
            stopping = self._stopping.is_set()
            try:
                self.write_sealed()
                attempt = 0
            except (StorageError, ConflictError) as error:
                if isinstance(error, CorruptionError):
                    self._fail(error)
                    return
                wait = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                attempt += 1
                metrics.storage_away()
                log.warning("writer.storage_away", error=str(error), retry_seconds=wait)
                if stopping or self._stopping.wait(wait):
                    return
                continue
            except Exception as error:  # noqa: BLE001  a thread that ended unseen would fill the disk
                self._fail(error)
                return
            if stopping:
                return
            self.journal.sealed.wait(1.0)

    def _fail(self, error: Exception) -> None:
        self.failure = error
        log.error("writer.stopped", error=str(error), kind=type(error).__name__)


def report(shaped: Shaped) -> None:
    """Tell the metrics what a segment brought to layer 1."""
    for (network, path), posts in shaped.count.posts.items():
        rows = shaped.raw.filter((pc.field("path") == path) & (pc.field("network") == network))
        lag = pc.subtract(rows["received_at"].cast(pa.int64()), rows["event_at"].cast(pa.int64()))
        seconds = pc.divide(lag.drop_null().cast(pa.float64()), 1e6).to_numpy()
        metrics.written(network, path, posts, seconds)
    for way in shaped.quarantine.group_by(["network", "path"]).aggregate([([], "count_all")]).to_pylist():
        metrics.quarantined(way["network"], way["path"], way["count_all"])
