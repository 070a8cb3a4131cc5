"""Memory that nobody uses any more, back to the system.

Owns the asking. Both Arrow and the C library keep what was freed for the next time; in a process that runs
for months, what one busy moment took would be kept for good. Leaves the settings that Arrow reads when it is
loaded to the command line, which loads it.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable


def give_back() -> None:
    """Give back what is free; takes some milliseconds."""
    pa.default_memory_pool().release_unused()
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    """`malloc_trim` of the GNU C library; other libraries have none, or need none."""
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return found
