"""The journal: messages on local disk between the socket and layer 1.

Owns when bytes become durable (group fsync), when a segment is sealed, and what is found after a crash.
What `Journal` has acknowledged survives a kill at any instant. Leaves to `writer` the way to layer 1 and to
`segment` the format.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import structlog
from filelock import FileLock

from bemtevi import crashpoint, metrics
from bemtevi.errors import CorruptionError, StorageError, UsageError
from bemtevi.lake.lake import acquire
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import segment
from bemtevi.listen.message import Messages, Origin

log = structlog.get_logger()

BLOCK_BYTES = 4 * 1024 * 1024
"""What is written at once. Much larger blocks cost more than they save: fresh memory for each."""
GROUP_BLOCKS = 4
"""Blocks of a connection for one fsync, at most."""
BUFFER_BYTES = 16 * 1024 * 1024
"""Above this the reader waits for the disk: the socket's buffer is the next one."""


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
    """When to fsync (seconds), when to seal (bytes, seconds)."""

    fsync_seconds: float
    segment_bytes: int
    segment_seconds: float


class Intake:
    """The way of one connection into the journal: one thread puts, the journal's thread takes."""

    def __init__(
        self, origin: Origin, wake: threading.Event, clock: Callable[[], int], first: int = 0
    ) -> None:
        self.origin = origin
        self._wake = wake
        self._clock = clock
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._sequence = first
        self._bytes_in = 0
        self._bytes_out = 0
        self.room = threading.Event()
        self.room.set()
        self.closed = False
        self.broken = False
        """The journal's thread has ended: nothing is taken any more."""

    def put(self, payload: bytes) -> None:
        """Hand over one message; returns before it is durable. Waits only if the disk is far behind.

        Raises StorageError when the journal has ended.
        """
        if self.broken:
            raise StorageError("The journal takes no more messages.")
        self._waiting.append((self._clock() // 1000, payload))
        self._bytes_in += len(payload)
        behind = self._bytes_in - self._bytes_out
        if behind > BLOCK_BYTES:
            self._wake.set()
            if behind > BUFFER_BYTES:
                self.room.clear()
                # looked at again, since it may have been taken just now
                if self._bytes_in - self._bytes_out > BUFFER_BYTES and not self.broken:
                    self.room.wait()

    def take(self) -> Messages | None:
        """What waits, in order, as much as fits a block; None if nothing does. For the journal's thread."""
        waiting = self._waiting
        payloads: list[bytes] = []
        received_at: list[int] = []
        size = 0
        for _ in range(len(waiting)):
            at, payload = waiting.popleft()
            payloads.append(payload)
            received_at.append(at)
            size += len(payload)
            if size >= BLOCK_BYTES:
                break
        if not payloads:
            return None
        first = self._sequence
        self._sequence += len(payloads)
        self._bytes_out += size
        self.room.set()
        return Messages(self.origin, payloads, received_at, range(first, self._sequence))


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
        intake = Intake(origin, self._wake, self._clock, first)
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
        """Raise StorageError if the journal's disk has failed, and what is a bug of ours as it is."""
        if self.failure is not None and not isinstance(self.failure, OSError):
            raise self.failure
        if self.failure is not None:
            raise StorageError(
                f"The journal {self.layout.folder} cannot be written ({self.failure.strerror}): free some "
                "space or repair the disk, then start again; what was acknowledged is kept."
            )

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
        temporary = self.layout.identity.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode(identity))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.layout.identity)
        _sync_folder(self.layout.folder)

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
        _sync_folder(self.layout.folder)

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
        file: BinaryIO | None = None
        path = Path()
        opened_at = 0.0
        size = 0
        more = False
        while True:
            if not more:
                self._wake.wait(self._limits.fsync_seconds)
            self._wake.clear()
            closing = self._closing
            before = self._clock()
            batches, more = self._take()
            if batches:
                if file is None:
                    path = self.layout.open_segment(self._identity.next)
                    self._identity.next += 1
                    self._keep(self._identity)
                    file, opened_at, size = path.open("wb"), time.monotonic(), 0
                    _sync_folder(self.layout.folder)
                for messages in batches:
                    size += file.write(segment.encode(messages))
                file.flush()
                os.fdatasync(file.fileno())
                for messages in batches:
                    size_in = sum(map(len, messages.payloads))
                    metrics.received(
                        messages.origin.network, messages.origin.path, len(messages.payloads), size_in
                    )
                self.acknowledged += sum(len(messages.payloads) for messages in batches)
                crashpoint.reach("journal.fsynced")
                for messages in batches:
                    log.debug(
                        "journal.durable", session=messages.origin.session, upto=messages.sequences[-1] + 1
                    )
            if not more:
                self.durable_until = before
            due = time.monotonic() - opened_at >= self._limits.segment_seconds
            if file is not None and (closing or due or size >= self._limits.segment_bytes):
                file.close()
                path.rename(self.layout.segment(int(path.stem)))
                _sync_folder(self.layout.folder)
                file = None
                crashpoint.reach("journal.sealed")
                self.sealed.set()
            if closing and not batches:
                return

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


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
