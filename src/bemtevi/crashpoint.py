"""Crash points: named instants at which a test may have this process killed.

Owns the names' one door, `reach`. It does nothing unless `BEMTEVI_CRASH_AT` names the point: then the process
ends there as by `kill -9`. `name:3` means the third time. Recovery is tested at each point (tests/recovery).
"""

from __future__ import annotations

import os
import signal

_name, _, _times = os.environ.get("BEMTEVI_CRASH_AT", "").partition(":")
_left = int(_times or 1)


def reach(name: str) -> None:
    """The process is at the point `name`."""
    global _left
    if name == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()  # the signal may reach another thread first; this one does nothing more
