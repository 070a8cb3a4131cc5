"""What waits in layer 1 for the next run.

Owns the sum of its bytes, counted on from look to look. Leaves to the caller when that is much.
"""

from __future__ import annotations

from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.warehouse.run import last_run


class Waiting:
    """What came to layer 1 since the last run. Made anew after each run."""

    def __init__(self, lake: Lake) -> None:
        """Raises StorageError."""
        self._raw = lake.table(RAW)
        last = last_run(lake)
        self._counted = -1 if last is None else last.raw_version
        self._size = 0

    def size(self) -> int:
        """Bytes of its files. Raises StorageError."""
        newest = self._raw.newer(self._counted)
        self._size += sum(commit.size for commit in self._raw.commits(self._counted, newest))
        self._counted = max(newest, self._counted)
        return self._size
