"""The room that the journal's disk still has.

Owns when it is told that room becomes scarce, and when reading stops and goes on again. The reserve is kept
for what must still be written then: the messages already taken, and the commits that empty the journal.
Leaves to `journal` what it does about it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger()

LOW_TIMES = 2.0
"""Told when less than so many times the reserve is free."""
AGAIN_TIMES = 1.25
"""Not full any more when so many times the reserve is free: else it would stop and go on all the time."""


class Space:
    """Looks at the free bytes of a folder's disk. `reserve` 0 means that only a failed write says full."""

    def __init__(
        self,
        folder: Path,
        reserve: int,
        free_bytes: Callable[[Path], int] = lambda p: shutil.disk_usage(p).free,
    ) -> None:
        self._folder = folder
        self._reserve = reserve
        self._free_bytes = free_bytes
        self._low = False
        self._failed = False
        self.full = False
        """No message may be taken."""

    def look(self) -> None:
        """Look now; tells each change once."""
        free = self._free_bytes(self._folder)
        if self.full:
            if free >= self._reserve * AGAIN_TIMES and not self._failed:
                self.full = False
                log.warning("journal.disk_has_room", folder=str(self._folder), free_bytes=free)
        elif free < self._reserve:
            self._fill(free)
        low = free < self._reserve * LOW_TIMES
        if low and not self._low:
            log.warning(
                "journal.disk_low", folder=str(self._folder), free_bytes=free, reserve_bytes=self._reserve
            )
        self._low = low

    def failed(self) -> None:
        """A write has found no room: full until one succeeds."""
        self._failed = True
        self._fill(None)

    def wrote(self) -> None:
        """A write has found room."""
        self._failed = False

    def _fill(self, free: int | None) -> None:
        if not self.full:
            log.error(
                "journal.disk_full", folder=str(self._folder), free_bytes=free, reserve_bytes=self._reserve
            )
        self.full = True
