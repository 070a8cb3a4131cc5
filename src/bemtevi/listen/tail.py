"""The tail of the journals: messages that are durable here and perhaps not yet in layer 1, as rows of `raw`.

Owns how far each segment was read. It only reads: whose journal it is writes and drops. A segment is kept
open while it is read, so that one dropped meanwhile is read to its end. Leaves to the reader what layer 1
has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa
import structlog

from bemtevi.errors import BemteviError
from bemtevi.lake.layout import OPEN_SUFFIX, JournalLayout, journals
from bemtevi.listen import message, segment
from bemtevi.listen.dialects import EnvelopeReader

log = structlog.get_logger()


class Owner(msgspec.Struct):
    """What the identity of a journal says that matters here."""

    listener: str
    lake: str


@dataclass
class Reading:
    """A segment that is being read."""

    path: Path
    file: BinaryIO
    end: int = 0


class Tail:
    """Follows the journals of this machine that belong to one lake. For one thread."""

    def __init__(self, root: Path, lake: str) -> None:
        """`lake`: the address of its layer 1, as journals keep it."""
        self._root = root
        self._lake = lake
        self._reader = EnvelopeReader()
        self._open: dict[tuple[str, int], Reading] = {}
        self._whole: set[tuple[str, int]] = set()
        self._from: dict[str, int] = {}

    def listeners(self) -> list[str]:
        """The applications under which these journals commit to layer 1."""
        return [listener for listener, _ in self._journals()]

    def begin(self, committed: Mapping[str, int]) -> None:
        """Read anew, from after the segments that layer 1 has."""
        self.close()
        self._whole.clear()
        self._from = dict(committed)

    def read(self) -> pa.Table | None:
        """What became durable since the last call; None if nothing did."""
        rows: list[pa.Table] = []
        for listener, layout in self._journals():
            after = self._from.get(listener, -1)
            for path in self._segments(layout):
                number = int(path.stem)
                if number > after and (listener, number) not in self._whole:
                    self._begin(listener, number, path)
        for key, reading in sorted(self._open.items()):
            still_written = reading.path.exists()  # asked first: what is read after it was sealed is all
            try:
                rows += self._more(reading)
            except BemteviError as error:
                log.warning("tail.unreadable", segment=reading.path.name, error=str(error))
                self._forget(key)
                self._from[key[0]] = max(self._from.get(key[0], -1), key[1])
                continue
            if not still_written or reading.path.suffix != OPEN_SUFFIX:
                self._forget(key)
                self._whole.add(key)
        return pa.concat_tables(rows) if rows else None

    def covers(self, listener: str, after: int, upto: int) -> bool:
        """Whether all messages of the segments in (after, upto], which layer 1 has now, were read here."""
        keys = [(listener, number) for number in range(after + 1, upto + 1)]
        whole = all(key in self._whole for key in keys)
        self._whole.difference_update(keys)
        self._from[listener] = max(self._from.get(listener, -1), upto)
        return whole

    def close(self) -> None:
        """Let go of the files."""
        for key in list(self._open):
            self._forget(key)

    def _journals(self) -> Iterator[tuple[str, JournalLayout]]:
        for layout in journals(self._root):
            try:
                owner = msgspec.json.decode(layout.identity.read_bytes(), type=Owner)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError):
                continue  # none yet, or one that its listener will complain of
            if owner.lake == self._lake:
                yield owner.listener, layout

    def _segments(self, layout: JournalLayout) -> list[Path]:
        sealed = [layout.segment(number) for number in layout.segments()]
        return sorted([*sealed, *layout.open_segments()])

    def _begin(self, listener: str, number: int, path: Path) -> None:
        if (listener, number) in self._open:
            return
        try:
            self._open[listener, number] = Reading(path, path.open("rb"))
        except FileNotFoundError:
            return  # sealed or dropped just now: the next turn, or layer 1, has it

    def _more(self, reading: Reading) -> Iterator[pa.Table]:
        for end, messages in segment.whole_blocks(reading.file, reading.path, reading.end):
            reading.end = end
            yield message.shape([messages], self._reader).raw

    def _forget(self, key: tuple[str, int]) -> None:
        self._open.pop(key).file.close()
