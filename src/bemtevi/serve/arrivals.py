"""What came after a run: the messages of newer commits of layer 1 and of the journals' tails, each once.

Owns which of them were taken already. A message can be in both places: a journal is read first, and of a
commit that a journal of this machine made only what was not seen there. Leaves to `overlay` what becomes of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.lake.table import Commit


class Tail(Protocol):
    """What is durable on this machine before layer 1 has it; `listen.tail` is one."""

    def listeners(self) -> list[str]:
        """The applications under which it will be committed."""
        ...

    def begin(self, committed: Mapping[str, int]) -> None:
        """Read anew, from after what layer 1 has."""
        ...

    def read(self) -> pa.Table | None:
        """Rows of `raw` that became durable since the last call."""
        ...

    def covers(self, listener: str, after: int, upto: int) -> bool:
        """Whether all of a commit was read here."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


@dataclass
class Batch:
    """New messages: files of `raw`, and rows of it."""

    files: list[str] = field(default_factory=list)
    rows: list[pa.Table] = field(default_factory=list)
    size: int = 0

    def __bool__(self) -> bool:
        return bool(self.files or self.rows)


class Arrivals:
    """Everything after one version of `raw`, as it comes. For one thread."""

    def __init__(self, lake: Lake, after: int, tail: Tail | None) -> None:
        self._table = lake.table(RAW)
        self._tail = tail
        self._after = after
        self._version: int | None = None
        self._committed: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        """The next position of each session that came by way of a journal."""

    def take(self, most_bytes: int) -> Batch:
        """What is new since the last call. Of commits, as many as fit. Raises StorageError."""
        batch = Batch()
        if self._version is None:
            self._begin(batch)
        elif self._tail is not None and (rows := self._tail.read()) is not None:
            self._add(batch, rows)
        newest = self._table.newer(self._version if self._version is not None else -1)
        for commit in self._table.commits(self._version if self._version is not None else -1, newest):
            if batch.size > most_bytes:
                break
            self._take(batch, commit)
            self._version = commit.version
        return batch

    def has_more(self) -> bool:
        """Whether layer 1 has commits that were not taken. Raises StorageError."""
        known = -1 if self._version is None else self._version
        return self._table.newer(known) > known

    def waiting(self) -> int:
        """The bytes of commits that no run has read. Raises StorageError."""
        newest = self._table.newer(self._after)
        return sum(commit.size for commit in self._table.commits(self._after, newest))

    def _begin(self, batch: Batch) -> None:
        """All that layer 1 has now; from there on a journal is read before the commits that it makes."""
        upto, numbers = self._table.version(), self._numbers()
        while (again := self._table.version()) != upto:  # both of one moment
            upto, numbers = again, self._numbers()
        for commit in self._table.commits(self._after, upto):
            batch.files += commit.files
            batch.size += commit.size
        self._version = max(upto, self._after)
        if self._tail is not None:
            self._committed = numbers
            self._tail.begin(numbers)

    def _numbers(self) -> dict[str, int]:
        """The last segment of each journal here that layer 1 has."""
        found = {}
        for listener in self._tail.listeners() if self._tail is not None else ():
            number = self._table.transaction(listener)
            found[listener] = -1 if number is None else number
        return found

    def _take(self, batch: Batch, commit: Commit) -> None:
        application, number = commit.transaction or ("", -1)
        if self._tail is None or application not in self._committed:
            if self._tail is not None and application in self._tail.listeners():
                self._committed[application] = -1
            else:
                batch.files += commit.files
                batch.size += commit.size
                return
        before, self._committed[application] = self._committed[application], number
        if self._tail.covers(application, before, number):
            return
        for file in commit.files:
            rows = self._table.rows([file], RAW.schema.names)
            self._add(batch, pa.concat_tables([RAW.schema.empty_table(), *rows]))

    def _add(self, batch: Batch, rows: pa.Table) -> None:
        """Rows without those that were taken already, by the positions in their sessions."""
        for session in pc.unique(rows["session"]).to_pylist():
            own = rows.filter(pc.equal(rows["session"], session))
            fresh = own.filter(pc.greater_equal(own["sequence"], self._seen.get(session, 0)))
            if fresh.num_rows:
                self._seen[session] = pc.max(fresh["sequence"]).as_py() + 1
                batch.rows.append(fresh)
                batch.size += fresh.nbytes
