"""Small files of layer 1 become large ones while the listener listens.

Owns when: a commit a second makes 86,400 files a day, so the files of a minute are merged as they come, and
those of an hour when it is over. No file ever spans two received hours. Leaves to `lake.append` how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from itertools import groupby

import structlog

from bemtevi.errors import ConflictError
from bemtevi.lake.append import MERGED_BYTES, SMALL_BYTES, Addition, Appender
from bemtevi.lake.lake import MERGE_LOCKED_FOR, Lock, acquire

log = structlog.get_logger()

FEW_FILES = 60
"""So many files of an hour that is not over are merged at once."""
HOUR_SECONDS = 3600
LATE_SECONDS = 120
"""How long after its end an hour is merged: what was received in it has come through the journal by then."""

Key = tuple[str, ...]
"""Received date and hour (UTC)."""


class Merging:
    """Merges what one appender adds, one merge at a time.

    `clock`: seconds since 1970. `lock`: held while files are put together, by whoever does it.
    """

    def __init__(self, appender: Appender, clock: Callable[[], float], lock: Lock | None = None) -> None:
        self._appender = appender
        self._lock = lock
        self._clock = clock
        self._new: dict[Key, dict[str, int]] = {}
        """Path and bytes of the files added to each hour and not merged yet."""
        self._hour = 0
        self._waiting: list[list[str]] = []
        """Merges of hours that are over, to be done one by one."""

    def added(self, addition: Addition) -> None:
        """A commit was made."""
        for key, path, size in addition.written():
            if size < SMALL_BYTES:
                self._new.setdefault(key, {})[path] = size

    def merge_one(self) -> None:
        """Do one merge if there is one to do: the caller comes back often, and has other work in between.

        Raises StorageError. Another writer in the way is no error: it is left for the next time.
        """
        hour = int(self._clock() - LATE_SECONDS) // HOUR_SECONDS
        if hour != self._hour:
            self._hour = hour
            over = datetime.fromtimestamp(hour * HOUR_SECONDS, UTC)
            self._waiting = bins(self._appender.small_files(), over)
            self._new.clear()
        try:
            if self._waiting:
                with self._alone():
                    self._appender.merge(self._waiting.pop())
                return
            for key, files in self._new.items():
                if len(files) >= FEW_FILES:
                    with self._alone():
                        del self._new[key]
                        if sum(files.values()) < SMALL_BYTES:
                            self._appender.merge(list(files))
                    return
        except ConflictError as error:
            log.info("writer.merge_put_off", reason=str(error))

    def _alone(self) -> AbstractContextManager[object]:
        """Raises ConflictError if maintenance is at it."""
        return nullcontext() if self._lock is None else acquire(self._lock, MERGE_LOCKED_FOR)


def bins(files: Sequence[tuple[Key, str, int]], before: datetime) -> list[list[str]]:
    """Which files of the hours before one (UTC) become one file, at most `MERGED_BYTES` together. Pure.

    `files`: received date and hour, path, bytes.
    """
    merges: list[list[str]] = []
    for (date, hour), group in groupby(sorted(files, key=lambda file: file[0]), key=lambda file: file[0]):
        if (date, int(hour)) >= (before.date().isoformat(), before.hour):
            continue
        paths: list[str] = []
        size = 0
        for _, path, more in group:
            if size + more > MERGED_BYTES:
                merges.append(paths)
                paths, size = [], 0
            paths.append(path)
            size += more
        merges.append(paths)
    return [paths for paths in merges if len(paths) > 1]
