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

from bemtevi.errors import StorageError, UsageError
from bemtevi.lake.lake import acquire
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import segment
from bemtevi.listen.message import Messages, Origin

log = structlog.get_logger()

BLOCK_BYTES = 4 * 1024 * 1024
BUFFER_BYTES = 64 * 1024 * 1024
"""Above this the reader waits for the disk: the socket's buffer is the next one."""


class Identity(msgspec.Struct):
    """Who writes here and for which lake: segment numbers are counted per listener."""

    listener: str
    lake: str


@dataclass(frozen=True)
class Limits:
    """When to fsync (seconds), when to seal (bytes, seconds)."""

    fsync_seconds: float
    segment_bytes: int
    segment_seconds: float


class Intake:
    """The way of one connection into the journal: one thread puts, the journal's thread takes."""

    def __init__(self, origin: Origin, wake: threading.Event, clock: Callable[[], int]) -> None:
        self.origin = origin
        self._wake = wake
        self._clock = clock
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._sequence = 0
        self._bytes_in = 0
        self._bytes_out = 0
        self.room = threading.Event()
        self.room.set()
        self.closed = False

    def put(self, payload: bytes) -> None:
        """Hand over one message; returns before it is durable. Waits only if the disk is far behind."""
        self._waiting.append((self._clock() // 1000, payload))
        self._bytes_in += len(payload)
        behind = self._bytes_in - self._bytes_out
        if behind > BLOCK_BYTES:
            self._wake.set()
            if behind > BUFFER_BYTES:
                self.room.clear()
                self.room.wait()

    def take(self) -> Messages | None:
        """All that waits, in order; None if nothing does. For the journal's thread."""
        size = len(self._waiting)
        if size == 0:
            return None
        pairs = [self._waiting.popleft() for _ in range(size)]
        payloads = [payload for _, payload in pairs]
        first = self._sequence
        self._sequence += size
        self._bytes_out += sum(map(len, payloads))
        self.room.set()
        return Messages(self.origin, payloads, [at for at, _ in pairs], range(first, first + size))


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
        self._lock = acquire(FileLock(layout.lock), f"listening with the journal {layout.folder}")
        self.listener = self._identify(lake)
        self._recover()
        self._next = 0
        self._intakes: list[Intake] = []
        self._wake = threading.Event()
        self._closing = False
        self.failure: OSError | None = None
        self.acknowledged = 0
        """Messages that this process has made durable."""
        self.sealed = threading.Event()
        """Set whenever a segment was sealed; the writer clears it."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self, committed: int) -> None:
        """Begin to take messages. `committed` is the highest segment number that layer 1 has, -1 if none."""
        self._next = max([committed, *self.layout.segments()], default=-1) + 1
        self._thread.start()

    def intake(self, origin: Origin) -> Intake:
        """A way in for a new connection."""
        intake = Intake(origin, self._wake, self._clock)
        self._intakes.append(intake)
        return intake

    def close(self) -> None:
        """Make all that was put durable, seal it, stop, and let go of the journal."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._lock.release()

    def check(self) -> None:
        """Raise StorageError if the journal's disk has failed."""
        if self.failure is not None:
            raise StorageError(
                f"The journal {self.layout.folder} cannot be written ({self.failure.strerror}): free some "
                "space or repair the disk, then start again; what was acknowledged is kept."
            )

    def drop(self, number: int) -> None:
        """Forget a segment that layer 1 has."""
        self.layout.segment(number).unlink(missing_ok=True)

    def _identify(self, lake: str) -> str:
        path = self.layout.identity
        if path.exists():
            identity = msgspec.json.decode(path.read_bytes(), type=Identity)
            if identity.lake == lake:
                return identity.listener
            if self.layout.segments() or self.layout.open_segments():
                raise UsageError(
                    f"The journal {self.layout.folder} still holds messages for the lake {identity.lake}, "
                    f"not for {lake}: listen once with that lake, or choose another BEMTEVI_JOURNAL."
                )
        identity = Identity(uuid.uuid4().hex, lake)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(identity))
        temporary.replace(path)
        _sync_folder(self.layout.folder)
        return identity.listener

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
        except OSError as error:
            self.failure = error
            for intake in self._intakes:
                intake.room.set()

    def _write(self) -> None:
        file: BinaryIO | None = None
        path = Path()
        opened_at = 0.0
        size = 0
        while True:
            self._wake.wait(self._limits.fsync_seconds)
            self._wake.clear()
            closing = self._closing
            batches = self._take()
            if batches:
                if file is None:
                    path = self.layout.open_segment(self._next)
                    file, opened_at, size = path.open("wb"), time.monotonic(), 0
                    self._next += 1
                for messages in batches:
                    size += file.write(segment.encode(messages))
                file.flush()
                os.fdatasync(file.fileno())
                self.acknowledged += sum(len(messages.payloads) for messages in batches)
            due = time.monotonic() - opened_at >= self._limits.segment_seconds
            if file is not None and (closing or due or size >= self._limits.segment_bytes):
                file.close()
                path.rename(self.layout.segment(int(path.stem)))
                _sync_folder(self.layout.folder)
                file = None
                self.sealed.set()
            if closing and not batches:
                return

    def _take(self) -> list[Messages]:
        batches: list[Messages] = []
        for intake in list(self._intakes):
            closed = intake.closed
            messages = intake.take()
            if messages is not None:
                batches.append(messages)
            elif closed:
                self._intakes.remove(intake)
        return batches


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
