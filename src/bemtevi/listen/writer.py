"""From sealed segments to layer 1, in order.

Owns the retry when storage is away (the segments stay, the journal grows, the stream goes on), and how many
segments become one commit. A commit carries (listener, number of its last segment), so a segment that was
committed but not yet dropped is not written again. Leaves to `message` the shaping of rows, to `lake.append`
the files, and to `merging` the small ones.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from bemtevi import crashpoint, metrics
from bemtevi.errors import ConflictError, CorruptionError, StorageError
from bemtevi.lake.append import Appender
from bemtevi.lake.lake import MERGE_LOCK, Lake
from bemtevi.lake.raw import FILES_BY, QUARANTINE, RAW
from bemtevi.listen import message, segment
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.journal import Journal
from bemtevi.listen.merging import Merging
from bemtevi.listen.message import Count, Shaped
from bemtevi.listen.tally import Tally

log = structlog.get_logger()

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
GROUP_BYTES = 64 * 1024 * 1024
"""Segments of so many bytes become one commit when several wait."""
SWITCH_SECONDS = 0.0005
"""How long Python lets one thread work while another waits. The reader takes small bites from the socket:
with the usual 5 ms it would wait for the writer after each, and hear the network at a third of the speed."""
REST_TIMES = 19
"""Rest after a commit, as a multiple of what the log took: a twentieth of the time goes there,"""
REST_SECONDS = 0.8
"""but no longer than this, for the next segment is sealed after a second by default and would wait,"""
LEAST_REST_TIMES = 9
"""unless the log is so slow, as that of a far store, that more than a tenth of the time would go there."""


def rest_seconds(overhead: float) -> float:
    """How long to rest after a commit for which the log took `overhead` seconds."""
    return max(min(REST_TIMES * overhead, REST_SECONDS), LEAST_REST_TIMES * overhead)


@dataclass
class Writer:
    """Moves the segments of one journal into one lake, in a thread of its own."""

    lake: Lake
    journal: Journal
    wrote: Callable[[int, Shaped], None] | None = None
    """Told of each segment that is in layer 1, with its number. Of the payloads, pages' alone are given."""
    count: Count = field(default_factory=Count)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._longest = 0.0
        self._rest_until = 0.0
        self._reader = EnvelopeReader()
        self._raw = Appender(self.lake.table(RAW), FILES_BY)
        self._quarantine = Appender(self.lake.table(QUARANTINE), FILES_BY)
        self._committed: int | None = None
        """The last segment that layer 1 has; None if that must be asked."""
        self._merging = Merging(self._raw, time.time, self.lake.lock(MERGE_LOCK))
        self._thread = threading.Thread(target=self._loop, name="writer", daemon=True)

    def start(self) -> None:
        """Begin; segments that an earlier process left are first."""
        sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Write what is sealed, for at most so many seconds; True if nothing is left in the journal.

        No commit is begun that would take longer than what is left of the time.
        """
        self._deadline = time.monotonic() + seconds
        self._stopping.set()
        self.journal.sealed.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive() and not self.journal.layout.segments()

    def write_sealed(self) -> None:
        """Write every sealed segment now. Raises as `lake.append` and `segment.decode`."""
        while numbers := self._group():
            started = time.monotonic()
            if self._stopping.is_set() and started + self._longest > self._deadline:
                return
            try:
                self._write(numbers)
            except BaseException:
                self._committed = None
                raise
            self._longest = max(self._longest, time.monotonic() - started)

    def _group(self) -> list[int]:
        """The segments of the next commit."""
        numbers: list[int] = []
        size = 0
        for number in self.journal.layout.segments():
            size += self.journal.layout.segment(number).stat().st_size
            if numbers and size > GROUP_BYTES:
                break
            numbers.append(number)
        return numbers

    def _write(self, numbers: list[int]) -> None:
        application = self.journal.listener
        if self._committed is None:
            self._committed = self._raw.transaction(application)
        new = [number for number in numbers if number > self._committed]
        tally = self._commit(application, new) if new else Tally()
        crashpoint.reach("writer.dropping")
        for number in numbers:
            self.journal.drop(number)
        crashpoint.reach("writer.dropped")
        tally.report()
        if self.wrote is not None:
            for number, shaped in tally.segments():
                self.wrote(number, shaped)

    def _commit(self, application: str, numbers: list[int]) -> Tally:
        """Rows of quarantine first: the number in `raw` says that all is there.

        Quarantine may have some of the segments already, of a commit that was cut short in between.
        """
        raw, quarantine = self._raw.begin(), self._quarantine.begin()
        tally = Tally(keep=self.wrote is not None)
        quarantined: int | None = None
        try:
            for number in numbers:
                # block by block, so that no more than one is in memory both as messages and as rows
                for block in segment.decode(self.journal.layout.segment(number)):
                    shaped = message.shape([block], self._reader)
                    tally.add(number, shaped)
                    raw.add(shaped.raw)
                    if shaped.quarantine.num_rows:
                        if quarantined is None:
                            quarantined = self._quarantine.transaction(application)
                        if number > quarantined:
                            quarantine.add(shaped.quarantine)
            raw.finish()
            quarantine.finish()
        except BaseException:
            raw.abandon()
            quarantine.abandon()
            raise
        if quarantine.rows:
            self._quarantine.commit(quarantine, (application, numbers[-1]))
        self._raw.commit(raw, (application, numbers[-1]))
        self._committed = numbers[-1]
        self._rest_until = time.monotonic() + rest_seconds(self._raw.overhead_seconds)
        self._merging.added(raw)
        self.count.add(tally.count)
        log.debug(
            "writer.committed", segment=numbers[-1], segments=len(numbers), messages=tally.count.messages
        )
        return tally

    def _loop(self) -> None:
        attempt = 0
        while True:
            self.journal.sealed.clear()
            stopping = self._stopping.is_set()
            try:
                self.write_sealed()
                attempt = 0
                if not stopping:
                    self._merging.merge_one()
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
            self._stopping.wait(self._rest_until - time.monotonic())
            self.journal.sealed.wait(1.0)

    def _fail(self, error: Exception) -> None:
        self.failure = error
        log.error("writer.stopped", error=str(error), kind=type(error).__name__)
