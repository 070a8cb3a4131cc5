"""Work beside the command: a thread whose failure is the command's failure, and the turns of what recurs.

Owns how such a thread is begun and ended, and when a turn comes. The thread is a daemon: who leaves does not
wait for it, so it must be work that may be cut short at any instant.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

LOOK_SECONDS = 5.0


class Background(threading.Thread):
    """Does `work` at once. If it fails, `stop` is set, so that whoever waits for that comes to `finish`."""

    def __init__(self, name: str, work: Callable[[], object], stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._stop_event = stop
        self._failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        """In the thread."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  raised again by `finish`, where it can be shown
            self._failure = error
            self._stop_event.set()

    def finish(self, seconds: float | None = None) -> None:
        """Wait, for at most so many seconds, and raise what went wrong."""
        self.join(seconds)
        if self._failure is not None:
            raise self._failure


def turns(
    pause: timedelta,
    stop: threading.Event,
    sooner: Callable[[], bool] = lambda: False,
    look: float = LOOK_SECONDS,
) -> Iterator[None]:
    """A turn now, and then whenever the clock passes a multiple of `pause`, until told to stop.

    Every `look` seconds `sooner` is asked whether the next turn comes at once.
    """
    seconds = pause.total_seconds()
    while True:
        yield
        next_at = time.monotonic() + seconds - datetime.now(UTC).timestamp() % seconds
        while (left := next_at - time.monotonic()) > 0:
            if stop.wait(min(left, look)):
                return
            if left > look and sooner():
                break
