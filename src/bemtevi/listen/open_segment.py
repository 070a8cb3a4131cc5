"""The segment that is being written.

Owns its file: a group of blocks is in it whole and durable, or not at all. Leaves to `segment` the format and
to `journal` when a group is written and the segment is sealed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from bemtevi.lake.layout import SEGMENT_SUFFIX
from bemtevi.listen import segment
from bemtevi.listen.message import Messages


class OpenSegment:
    """One file of blocks. Only `size` bytes of it are durable; after a failure it has no others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o644)
        self.opened_at = time.monotonic()
        self.size = 0

    def append(self, group: Iterable[Messages]) -> None:
        """Write a group of blocks and wait until the disk has them.

        Raises OSError if it has not; then the file is as it was, and the same group may be written again.
        """
        end = self.size
        try:
            for messages in group:
                for piece in segment.pieces(messages):
                    view = memoryview(piece)
                    while view:
                        written = os.write(self._descriptor, view)
                        view = view[written:]
                        end += written
            os.fdatasync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size = end

    def seal(self) -> None:
        """It takes no more; a segment without a block is not kept."""
        os.close(self._descriptor)
        if self.size:
            self._path.rename(self._path.with_suffix(SEGMENT_SUFFIX))
        else:
            self._path.unlink()
