"""When the faults of a script fire.

Owns: what is armed, what is due, and the seeded chance. What a fault does is not known here; who plays one
takes it from here, so that each is in the record when it happens.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bemtevi.simulate.faults import Fault, Place
from bemtevi.simulate.record import Record


@dataclass
class Armed:
    """A fault that waits, from the moment it was given."""

    number: int
    fault: Fault
    at: float
    posts: int
    connects: int
    left: int
    """How often it still fires; negative: without end."""


class Script:
    """The armed faults. Belongs to the server's event loop."""

    def __init__(
        self,
        faults: Iterable[Fault],
        record: Record,
        *,
        seed: int = 0,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.chance = random.Random(seed)
        self.posts = 0
        """Posts delivered on streams so far."""
        self.connects = 0
        """Requests for a stream so far, whatever was answered."""
        self.armed: list[Armed] = []
        """Empty when nothing is to happen: the one thing that a fast path has to look at."""
        self.fired: dict[int, int] = {}
        """How often each has fired, by number."""
        self._record = record
        self._seconds = seconds
        self._numbers = 0
        self._extras = 0
        self._added = asyncio.Event()
        for fault in faults:
            self.arm(fault)

    def arm(self, fault: Fault) -> int:
        """From now on; the number under which the record tells of it."""
        self._numbers += 1
        self.fired[self._numbers] = 0
        left = fault.times or -1
        self.armed.append(Armed(self._numbers, fault, self._seconds(), self.posts, self.connects, left))
        self._added.set()
        return self._numbers

    def disarm(self) -> None:
        """Nothing more is to happen."""
        self.armed.clear()

    def due(self, place: Place) -> bool:
        """Is there something to play at this place now?"""
        return any(armed.fault.place is place and self._is_due(armed) for armed in self.armed)

    def take(self, place: Place, *, of: str = "stream", connection: int = 0, **more: Any) -> Armed | None:
        """The first fault that is due at this place, spent once and recorded; None if there is none."""
        for armed in self.armed:
            fault = armed.fault
            if (
                fault.place is place
                and self._is_due(armed)
                and (place is not Place.ANSWER or fault.about(of))
            ):
                self._spend(armed)
                self._record.fault(armed.number, fault.kind, connection, dict(fault.parameters) | more)
                return armed
        return None

    def extra_name(self) -> str:
        """A name that no other message carries."""
        self._extras += 1
        return f"simulated-message-{self._extras}"

    async def armed_at_all(self) -> None:
        """Wait until something is armed."""
        while not self.armed:
            self._added.clear()
            await self._added.wait()

    def _is_due(self, armed: Armed) -> bool:
        fault = armed.fault
        return (
            self.posts - armed.posts >= fault.after_posts
            and self.connects - armed.connects >= fault.after_connects
            and self._seconds() - armed.at >= fault.after_seconds
        )

    def _spend(self, armed: Armed) -> None:
        self.fired[armed.number] += 1
        armed.left -= 1
        # to the end of the row: a fault without end leaves their turn to the others
        self.armed.remove(armed)
        if armed.left:
            self.armed.append(armed)
        if armed.fault.apart:
            # counted from here on, as if it had been given now
            armed.posts = self.posts - armed.fault.after_posts + armed.fault.apart
