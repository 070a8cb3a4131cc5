"""The tables of one step: each written while later ones are made, and committed when all are checked.

Owns the threads that write, and that all or nothing is left of a step that stops before its first commit.
Leaves to `consolidate` which files a table replaces and which rows take their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from bemtevi.lake.replacement import Replacement
from bemtevi.lake.table import Table
from bemtevi.warehouse.engine import Write

TABLES_AT_ONCE = 2
"""So many tables are written side by side: the largest is not alone at the end, and memory stays bounded."""


class Writing:
    """The tables of one step. Use as a context manager: what is not committed at its end is taken away."""

    def __init__(self) -> None:
        self._writers = ThreadPoolExecutor(TABLES_AT_ONCE, "writer")
        self._begun: dict[str, Future[Replacement]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._writers.shutdown(cancel_futures=True)
        for future in self._begun.values():
            if not future.cancelled() and future.exception() is None:
                future.result().abandon()

    def begin(self, table: Table, replaced: Sequence[str], write: Write) -> None:
        """Write rows beside what else is done; they will stand in the place of the files of a table."""
        name = table.definition.name
        self._begun[name] = self._writers.submit(written_replacement, table, replaced, write)

    def commit(self) -> dict[str, int]:
        """Commit every table once all are written; their versions. Raises StorageError, ConflictError."""
        written = {name: future.result() for name, future in self._begun.items()}
        self._begun = {}  # whatever happens now, a commit may have been made
        # most of a commit is waiting for the disk
        versions = self._writers.map(Replacement.commit, written.values())
        return dict(zip(written, versions, strict=True))


def written_replacement(table: Table, replaced: Sequence[str], write: Write) -> Replacement:
    """A replacement whose rows are written and that nobody sees yet."""
    replacement = Replacement(table, replaced)
    try:
        write(replacement)
    except BaseException:
        replacement.abandon()
        raise
    return replacement
