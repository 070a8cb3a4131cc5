"""Erasing from one table: rows rewritten in place, and no old file, version or log entry left behind.

Owns the single steps. Leaves to `warehouse.erase` what is to go, in which order and under which locks.
Readers are safe: a file goes only when no version that they can find names it any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from bemtevi import crashpoint
from bemtevi.lake.append import Appender
from bemtevi.lake.commit import stamped
from bemtevi.lake.maintenance import MaintainedTable

LOG = "_delta_log"
ENTRY = re.compile(r"^(\d{20})\.(json|checkpoint\.parquet|checkpoint\.\d+\.\d+\.parquet)$")
ERASED_PROPERTY = "bemtevi.erasedAt"
ORPHAN = timedelta(hours=1)
"""A file that no log entry knows is being written, if it is younger."""

Change = Callable[[pa.Table], pa.Table]


class ErasableTable(MaintainedTable):
    """A table with the steps of erasing."""

    def rewrite(self, paths: Sequence[str], change: Change) -> None:
        """Put in the place of some files what `change` leaves of their rows, in one commit.

        Whoever calls holds the lock of merging, if the table is `raw`.
        """
        name = self.definition.name
        appender = Appender(self, self._split_by)
        crashpoint.reach(f"{name}.erasing")
        appender.rewrite(paths, change)
        crashpoint.reach(f"{name}.erased")

    def touch(self, now: datetime) -> int:
        """A commit that says nothing: what is before it in the log can go; its version."""
        table = self._open()
        assert table is not None  # noqa: S101  asked of tables that exist
        commit = stamped()
        with self.committing(table, commit):
            table.alter.set_table_properties(
                {ERASED_PROPERTY: now.astimezone(UTC).isoformat()},
                raise_if_not_exists=False,
                commit_properties=commit,
            )
        return table.version()

    def paths(self, version: int | None = None) -> set[str]:
        """The files of a version, as paths in the table."""
        return {file.path for file in self.data_files(version)}

    def has_old_files(self) -> bool:
        """Whether a file is there that the newest version does not need."""
        keep = self.paths()
        found = (info.path for info in self._list("") if not info.path.startswith(LOG))
        return any(path.endswith(".parquet") and path not in keep for path in found)

    def purge(self, version: int, waiting: Collection[str], now: datetime) -> None:
        """Delete every file and log entry that no version from this one on needs, but for files that wait.

        What no log entry knows and is young may be somebody's who is writing: it stays.
        """
        table = self._open(version)
        if table is None:
            return
        keep = {*waiting} | self.paths(version) | self.paths()
        known = self._known()
        with self.told():
            table.create_checkpoint()
        crashpoint.reach(f"{self.definition.name}.purging")
        for info in self._list(""):
            path = info.path
            if not path.endswith(".parquet") or path.startswith(LOG) or path in keep:
                continue
            if path in known or (info.mtime is not None and now - info.mtime > ORPHAN):
                self._delete(path)
        for info in self._list(LOG):
            found = ENTRY.match(info.path.rsplit("/", 1)[-1])
            if found and int(found[1]) < version:
                self._delete(info.path)
        crashpoint.reach(f"{self.definition.name}.purged")

    def _known(self) -> set[str]:
        """Every path that the log tells of, also of files that left the table."""
        known: set[str] = set()
        for info in self._list(LOG):
            with self.filesystem.open_input_file(info.path) as source:
                if info.path.endswith(".json"):
                    known |= _told_in(source.read())
                elif info.path.endswith(".parquet"):
                    rows = pq.ParquetFile(source)
                    there = [name for name in ("add", "remove") if name in rows.schema_arrow.names]
                    for row in rows.read(there).to_pylist():
                        known |= {action["path"] for action in row.values() if action and action["path"]}
        return {unquote(path) for path in known}

    def _list(self, folder: str) -> Iterable[pyarrow.fs.FileInfo]:
        selector = pyarrow.fs.FileSelector(folder, recursive=True, allow_not_found=True)
        return [info for info in self.filesystem.get_file_info(selector) if info.is_file]

    def _delete(self, path: str) -> None:
        try:
            self.delete_file(path)
        except FileNotFoundError:
            return

    @property
    def _split_by(self) -> tuple[str, ...]:
        return self.definition.partition_by


def _told_in(entry: bytes) -> set[str]:
    found: set[str] = set()
    for line in entry.splitlines():
        if not line.strip():
            continue
        try:
            actions = json.loads(line)
        except ValueError:
            return found
        for name in ("add", "remove"):
            if isinstance(actions, dict) and isinstance(actions.get(name), dict):
                found.add(actions[name]["path"])
    return found
