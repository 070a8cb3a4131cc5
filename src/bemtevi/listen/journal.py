"""The journal: messages on local disk between the socket and layer 1.

Owns when bytes become durable (group fsync), when a segment is sealed, what is found after a crash, and what
is done when the disk is full: what is taken waits, and nothing more is taken until there is room.
What `Journal` has acknowledged survives a kill at any instant. Leaves to `intake` how messages come, to
`writer` the way to layer 1 and to `segment` the format.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog
from filelock import FileLock

from bemtevi import crashpoint, metrics
from bemtevi.errors import CorruptionError, DiskFullError, StorageError, UsageError
from bemtevi.lake.durable import replace_file, sync
from bemtevi.lake.lake import acquire
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import segment
from bemtevi.listen.intake import Intake
from bemtevi.listen.message import Messages, Origin
from bemtevi.listen.open_segment import OpenSegment
from bemtevi.listen.space import Space
from bemtevi.settings import Settings

log = structlog.get_logger()

GROUP_BLOCKS = 8
"""Blocks of a connection for one fsync, at most."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FULL_SECONDS = 1.0
"""How often the disk is looked at: also how often a group is tried again that found no room."""


class Identity(msgspec.Struct):
    """Who writes here, for which lake, and the first segment number that was never used.

    A number must not come twice: layer 1 would take the second segment for the first. The lake cannot be
    asked, since one that is away looks like one that is new.
    """

    listener: str
    lake: str
    next: int = 0


@dataclass(frozen=True)
class Limits:
    """When to fsync (seconds), when to seal (bytes, seconds), and below how many free bytes reading stops."""

    fsync_seconds: float
    segment_bytes: int
    segment_seconds: float
    reserve_bytes: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those of the settings."""
        return cls(
            settings.fsync_seconds,
            settings.segment_bytes,
            settings.segment_seconds,
            settings.journal_reserve_bytes,
        )


class Journal:
    """The segments of one listener. One process at a time."""

    def __init__(
        self, layout: JournalLayout, lake: str, limits: Limits, clock: Callable[[], int] = time.time_ns
    ) -> None:
        """Open or make the journal and mend what a crash left; `clock` gives nanoseconds since 1970.

        Raises ConflictError if another process has it, UsageError if it holds segments for another lake,
        CorruptionError if a segment does not read back.
        """
        self.layout = layout
        self._limits = limits
        self._clock = clock
        try:
            layout.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The journal folder {layout.folder} cannot be made: {error.strerror}; "
                "choose another with BEMTEVI_JOURNAL."
            ) from None
        lock = FileLock(layout.lock, thread_local=False)
        self._lock = acquire(lock, f"listening with the journal {layout.folder}")
        try:
            self._identity = self._identify(lake)
            self._recover()
        except BaseException:
            self._lock.release()
            raise
        self.listener = self._identity.listener
        self._space = Space(layout.folder, limits.reserve_bytes)
        self._space.look()
        self._intakes: list[Intake] = []
        self._wake = threading.Event()
        self._closing = False
        self._ended = False
        self.failure: Exception | None = None
        self.acknowledged = 0
        """Messages that this process has made durable."""
        self.durable_until = 0
        """Whatever was put before this instant (nanoseconds since 1970) is durable."""
        self.sealed = threading.Event()
        """Set whenever a segment was sealed; the writer clears it."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self, committed: int) -> None:
        """Begin to take messages. `committed` is the highest segment number that layer 1 has, -1 if none."""
        self._identity.next = max(self._identity.next, 1 + max([committed, *self.layout.segments()]))
        self._thread.start()

    def intake(self, origin: Origin, first: int = 0) -> Intake:
        """A way in for a new connection, or for one that goes on at the sequence `first`."""
        intake = Intake(origin, self._wake, self._clock, self._space, first)
        self._intakes.append(intake)
        intake.broken = self._ended
        return intake

    def close(self) -> None:
        """Make all that was put durable, seal it and take no more."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def release(self) -> None:
        """Let go of the journal. Only when nobody moves its segments any more: the next process may."""
        self._lock.release()

    def check(self) -> None:
        """Raise StorageError if the journal's disk has failed or is full, and a bug of ours as it is."""
        if self.failure is not None and not isinstance(self.failure, OSError):
            raise self.failure
        if self.failure is not None:
            raise StorageError(
                f"The journal {self.layout.folder} cannot be written ({self.failure.strerror}): free some "
                "space or repair the disk, then start again; what was acknowledged is kept."
            )
        if self.full:
            raise DiskFullError(
                f"The disk of the journal {self.layout.folder} has no room for more: free some space, then "
                "start again; what was acknowledged is kept."
            )

    @property
    def full(self) -> bool:
        """The disk has no room: `Intake.put` raises DiskFullError until this is False again.

        Looked at once a second and told in the log: early, when it begins, and when it ends.
        """
        return self._space.full

    def drop(self, number: int) -> None:
        """Forget a segment that layer 1 has."""
        self.layout.segment(number).unlink(missing_ok=True)

    def _identify(self, lake: str) -> Identity:
        path = self.layout.identity
        if path.exists():
            try:
                identity = msgspec.json.decode(path.read_bytes(), type=Identity)
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise CorruptionError(
                    f"The file {path} does not say whose journal this is. Keep the folder; choose another "
                    "BEMTEVI_JOURNAL to go on without it."
                ) from None
            if identity.lake == lake:
                return identity
            if self.layout.segments() or self.layout.open_segments():
                raise UsageError(
                    f"The journal {self.layout.folder} still holds messages for the lake {identity.lake}, "
                    f"not for {lake}: listen once with that lake, or choose another BEMTEVI_JOURNAL."
                )
        identity = Identity(uuid.uuid4().hex, lake)
        self._keep(identity)
        return identity

    def _keep(self, identity: Identity) -> None:
        replace_file(self.layout.identity, msgspec.json.encode(identity), durable=True)

    def _recover(self) -> None:
        """Seal what a killed process left open, without the tail that it never acknowledged."""
        for path in self.layout.open_segments():
            whole = segment.whole_bytes(path)
            size = path.stat().st_size
            if whole < size:
                log.warning("journal.torn_tail", segment=path.name, bytes_dropped=size - whole)
                os.truncate(path, whole)
            if whole:
                path.rename(self.layout.segment(int(path.stem)))
            else:
                path.unlink()
        sync(self.layout.folder)

    def _run(self) -> None:
        try:
            self._write()
        except Exception as error:  # noqa: BLE001  a thread that ended unseen would lose every post to come
            self.failure = error
            log.error("journal.failed", error=str(error), kind=type(error).__name__)
        finally:
            self._ended = True
            for intake in self._intakes:
                intake.broken = True
                intake.room.set()

    def _write(self) -> None:
        current: OpenSegment | None = None
        group: list[Messages] = []
        more = False
        while True:
            if not more:
                self._wake.wait(FULL_SECONDS if group else self._limits.fsync_seconds)
            self._wake.clear()
            closing = self._closing
            before = self._clock()
            self._space.look()
            again = bool(group)  # what found no room in the turn before comes before what is new
            if not group:
                group, more = self._take()
            wrote = bool(group)
            if group:
                try:
                    current = current or self._open()
                    current.append(group)
                except OSError as error:
                    if error.errno not in NO_ROOM or closing:
                        raise
                    self._space.failed()
                    more = False
                else:
                    self._space.wrote()
                    self._acknowledge(group)
                    group = []
                    more = more or again
            if not more and not group:
                self.durable_until = before
            if current is not None and (closing or self._due(current)):
                current.seal()
                sync(self.layout.folder)
                current = None
                crashpoint.reach("journal.sealed")
                self.sealed.set()
            if closing and not wrote:
                return

    def _open(self) -> OpenSegment:
        number = self._identity.next
        self._identity.next += 1
        self._keep(self._identity)
        opened = OpenSegment(self.layout.open_segment(number))
        sync(self.layout.folder)
        return opened

    def _due(self, current: OpenSegment) -> bool:
        """Whether a segment is big or old enough; any is when the disk is full, so that it may be emptied."""
        old = time.monotonic() - current.opened_at >= self._limits.segment_seconds
        return old or current.size >= self._limits.segment_bytes or self._space.full

    def _acknowledge(self, group: list[Messages]) -> None:
        self.acknowledged += sum(len(messages.payloads) for messages in group)
        crashpoint.reach("journal.fsynced")
        for messages in group:
            origin = messages.origin
            size = sum(messages.sizes)
            metrics.received(origin.network, origin.path, len(messages.payloads), size)
            log.debug("journal.durable", session=origin.session, upto=messages.sequences[-1] + 1)

    def _take(self) -> tuple[list[Messages], bool]:
        """Some blocks of each connection, and whether there may be more."""
        batches: list[Messages] = []
        more = False
        for intake in list(self._intakes):
            for _ in range(GROUP_BLOCKS):
                closed = intake.closed
                messages = intake.take()
                if messages is None:
                    break
                batches.append(messages)
            else:
                more = True
                continue
            if closed and messages is None:
                self._intakes.remove(intake)
        return batches, more
