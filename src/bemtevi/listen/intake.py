"""The way of one connection into the journal: one thread puts messages, the journal's thread takes them.

Owns what waits between the two, in bounded memory, and when the one who puts must wait or stop. Leaves to
`journal` when what was taken is durable.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable

from bemtevi.errors import DiskFullError, StorageError
from bemtevi.listen.message import Messages, Origin
from bemtevi.listen.space import Space

BLOCK_BYTES = 512 * 1024
"""What is taken at once, at least. Larger blocks cost more than they save: fresh memory for each."""
BUFFER_BYTES = 16 * 1024 * 1024
"""Above this the reader waits for the disk: the socket's buffer is the next one."""


class _Block:
    """Messages that are taken together, in columns: nothing of them is touched again one by one."""

    __slots__ = ("lengths", "payloads", "received_at", "size")

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.received_at = array("q")
        self.lengths = array("q")
        self.size = 0


class Intake:
    """The messages of one connection that are not yet durable."""

    def __init__(
        self, origin: Origin, wake: threading.Event, clock: Callable[[], int], space: Space, first: int = 0
    ) -> None:
        self.origin = origin
        self._wake = wake
        self._clock = clock
        self._space = space
        self._lock = threading.Lock()
        self._whole: deque[_Block] = deque()
        self._growing = _Block()
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

        Raises DiskFullError, without the message, while the disk has no room for more (`Journal.full` tells
        when it has again); StorageError when the journal has ended.
        """
        if self._space.full:
            raise DiskFullError("The disk of the journal is full: free some space.")
        if self.broken:
            raise StorageError("The journal takes no more messages.")
        size = len(payload)
        with self._lock:
            block = self._growing
            block.payloads.append(payload)
            block.received_at.append(self._clock() // 1000)
            block.lengths.append(size)
            block.size += size
            self._bytes_in += size
            if block.size < BLOCK_BYTES:
                return
            self._whole.append(block)
            self._growing = _Block()
        self._wake.set()
        if self._bytes_in - self._bytes_out > BUFFER_BYTES:
            self.room.clear()
            # looked at again, since it may have been taken just now
            if self._bytes_in - self._bytes_out > BUFFER_BYTES and not self.broken:
                self._wait()

    def _wait(self) -> None:
        """Until there is room, or the disk is full: then the next message is refused."""
        while not self.room.wait(1.0) and not self._space.full:
            pass

    def take(self) -> Messages | None:
        """What waits, in order, a block of it; None if nothing does. For the journal's thread."""
        with self._lock:
            if self._whole:
                block = self._whole.popleft()
            elif self._growing.payloads:
                block, self._growing = self._growing, _Block()
            else:
                return None
        first = self._sequence
        self._sequence += len(block.payloads)
        self._bytes_out += block.size
        self.room.set()
        sequences = range(first, self._sequence)
        return Messages(self.origin, block.payloads, block.received_at, sequences, lengths=block.lengths)
