"""Rows in the place of some files of a table: written beforehand, seen all at once when they are committed.

Owns the order of the two. What is written may still be given up, and nobody has seen it: so a table can be
written while another is made, and all be checked before one is committed. Leaves to `append` how files
are written, to `table` what a table is, and to whoever calls which rows of the replaced files are kept.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import pyarrow as pa
from deltalake.transaction import AddAction, RemoveAction

from bemtevi import crashpoint
from bemtevi.errors import ConflictError
from bemtevi.lake.append import Addition, commit_files
from bemtevi.lake.parquet_file import WrittenFile
from bemtevi.lake.rows import partition_of
from bemtevi.lake.table import Table

ROW_GROUP_BYTES = 32 * 1024 * 1024
"""Bytes of rows in memory before they are encoded: large, since these tables are read by column."""


class Replacement:
    """One replacement. Not for two threads at once."""

    def __init__(self, table: Table, replaced: Sequence[str]) -> None:
        """`replaced`: files of the newest version, as `Table.files` tells them."""
        self.table = table
        table.admit()
        with table.told():
            self._delta = table.delta()
        self._removed = self._removals(replaced)
        self._encoder = ThreadPoolExecutor(1, "encoder")
        self._addition = addition_to(table, self._encoder)
        self._taken: list[WrittenFile] = []

    def write(self, rows: pa.RecordBatchReader) -> None:
        """Write rows to files that nobody sees yet. Raises StorageError."""
        schema = self.table.definition.schema
        try:
            for batch in rows:
                self._addition.add(pa.Table.from_batches([batch]).cast(schema))
            self._addition.finish()
        finally:
            self._encoder.shutdown()

    def take(self, files: Sequence[WrittenFile]) -> None:
        """Files of the table that others have written, each of one partition."""
        self._taken += files

    def commit(self, transaction: tuple[str, int] | None = None) -> int:
        """Make the rows visible and the replaced files invisible, in one commit; the new version.

        Raises ConflictError if somebody took one of those files away meanwhile.
        """
        table, delta = self.table, self._delta
        actions: list[AddAction | RemoveAction] = [
            *(file.action(data_change=True) for file in self._addition.finish()),
            *(file.action(data_change=True) for file in self._taken),
            *self._removed,
        ]
        crashpoint.reach(f"{table.definition.name}.committing")
        if actions:
            commit_files(table, delta, actions, transaction)
        crashpoint.reach(f"{table.definition.name}.committed")
        return delta.version()

    def abandon(self) -> None:
        """Forget what was written. Never after a commit was tried: it may have been made."""
        self._addition.abandon()
        for file in self._taken:
            with contextlib.suppress(Exception):
                self.table.delete_file(file.path)

    def _removals(self, replaced: Sequence[str]) -> list[RemoveAction]:
        if not replaced:
            return []
        with self.table.told():
            actions = pa.table(self._delta.get_add_actions())
        sizes = dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))
        paths = [self.table.path_of(address) for address in replaced]
        if not set(paths) <= set(sizes):
            raise ConflictError(f"Another process changed {self.table.uri} at the same time; run it again.")
        now = time.time_ns() // 1_000_000
        return [RemoveAction(path, True, now, sizes[path], {**partition_of(path)}) for path in paths]


def addition_to(table: Table, encoder: Executor) -> Addition:
    """What writes rows as a replacement does, in files of one partition each."""
    return Addition(table, table.definition.partition_by, encoder, ROW_GROUP_BYTES)
