"""A bound of memory for one question, beside the engine's own: some aggregates do not count what they keep.

Owns a thread that looks at the memory of the process while the question is answered, and stops it. Where the
system does not tell its memory this way, the engine's bound is the only one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

STATM = Path("/proc/self/statm")
LOOK_SECONDS = 0.05


@contextmanager
def bounded(most_bytes: int, stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` once the process has grown by so much in the block."""
    before = resident()
    if before is None:
        yield
        return
    over = threading.Event()

    def look(before: int = before) -> None:
        while not over.wait(LOOK_SECONDS):
            now = resident()
            if now is not None and now - before > most_bytes:
                stop()

    thread = threading.Thread(target=look, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def resident() -> int | None:
    """The bytes of memory that this process has; None where that is not told."""
    try:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
