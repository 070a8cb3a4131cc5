"""Maintenance of one table: fewer and larger files, removal by age, vacuum, a short log.

Owns the single steps and what each would do. Leaves to `warehouse.maintain` when, in which order and under
which locks they are taken, and what readers see of them.

Measured with delta-rs 1.6.6, and why the locks are needed: of two compactions of the same files, the
listener's merging among them, both are accepted and double the rows. An append beside one is safe. Where the
lock may be lost (an object store), layer 1 is safe by numbered merges (`append`), and layer 2 because a run
in which somebody else wrote is refused (`warehouse.run`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Self, TypeAlias
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.transaction import RemoveAction

from bemtevi import crashpoint
from bemtevi.errors import ConflictError
from bemtevi.lake.append import Appender, commit_files
from bemtevi.lake.commit import stamped
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.lake.parquet_file import WrittenFile
from bemtevi.lake.rows import partition_of
from bemtevi.lake.table import LOG_PROPERTIES, Table

PutTogether: TypeAlias = Callable[[Table, Sequence[Sequence[str]]], Sequence[WrittenFile]]
"""Writes the rows of each group of files of a table, all of one partition, to one file that nobody sees."""

MEBIBYTE = 1024 * 1024
TARGET_BYTES = {1: 32 * MEBIBYTE, 2: 128 * MEBIBYTE}
"""Size of a compacted file by layer. A step of consolidation takes whole files of layer 1, 64 MiB of them."""
REMEMBERED = "delta.deletedFileRetentionDuration"
REMEMBERED_HOURS = 6
"""What every table has at least; see `raw`."""
OPEN_FILES = 100
"""From so many small files on, what still grows is compacted too."""


@dataclass(frozen=True)
class DataFile:
    """One data file of a version, as the log tells it. `day` is its partition, None without one."""

    path: str
    size: int
    rows: int
    day: date | None


def in_steps(files: Iterable[DataFile], most_bytes: int) -> Iterator[list[DataFile]]:
    """The files by their paths, some at a time: a step ends with the file that fills so many bytes."""
    step: list[DataFile] = []
    size = 0
    for file in sorted(files, key=lambda file: file.path):
        step.append(file)
        size += file.size
        if size >= most_bytes:
            yield step
            step, size = [], 0
    if step:
        yield step


@dataclass(frozen=True)
class Vacuumed:
    """Files that were, or would be, deleted from the store."""

    files: int
    size: int


class MaintainedTable(Table):
    """A table with the steps of maintenance. It never makes the table."""

    @classmethod
    def of(cls, lake: Lake, definition: TableDefinition) -> Self:
        """The table of a definition."""
        uri = lake.layout.table(definition.layer, definition.name)
        return cls(uri, definition, lake.storage_options, {}, single_writer=lake.single_writer)

    @cached_property
    def day_column(self) -> str | None:
        """The column of dates that the table is partitioned by, if it is."""
        for name in self.definition.partition_by:
            if pa.types.is_date(self.definition.schema.field(name).type):
                return name
        return None

    @property
    def target_bytes(self) -> int:
        """The size of a compacted file."""
        return TARGET_BYTES[self.definition.layer]

    def data_files(self, version: int | None = None) -> list[DataFile]:
        """The files of a version, the newest if None; none if the table does not exist."""
        table = self._open(version)
        if table is None:
            return []
        with self.told():
            actions = pa.table(table.get_add_actions(flatten=True))
        days = f"partition.{self.day_column}"
        return [
            DataFile(
                path=unquote(row["path"]),
                size=row["size_bytes"],
                rows=row["num_records"] or 0,
                day=row.get(days),
            )
            for row in actions.to_pylist()
        ]

    def worth_compacting(self, files: Iterable[DataFile], open_from: date) -> list[date | None]:
        """The partitions that compaction would leave with fewer files, oldest first.

        What is of `open_from` or later, or has no date, still grows: only when it has many small files.
        """
        groups: dict[date | None, list[int]] = {}
        for file in files:
            groups.setdefault(file.day, []).append(file.size)
        found = []
        for day, sizes in groups.items():
            least = 2 if day is not None and day < open_from else OPEN_FILES
            small = [size for size in sizes if size < self.target_bytes]
            if len(small) >= least and len(small) > 2 * math.ceil(sum(small) / self.target_bytes) - 1:
                found.append(day)
        return sorted(found, key=lambda day: day or date.min)

    def compact(self, day: date | None, version: int | None = None) -> None:
        """Write the small files of one partition as few; no row changes.

        `version`: only the files that were there then. They must all be there still.
        """
        table = self._open(version)
        if table is None:
            return
        self.admit()
        if self.definition.layer == 1:
            self._merge(day, version)
            return
        filters = None if day is None else [(str(self.day_column), "=", day.isoformat())]
        crashpoint.reach(f"{self.definition.name}.compacting")
        with self.told():
            # one at a time: the memory of a compaction is that of its tasks
            table.optimize.compact(
                filters,
                target_size=self.target_bytes,
                max_concurrent_tasks=1,
                writer_properties=self._writer_properties,
                commit_properties=stamped(),
            )
        crashpoint.reach(f"{self.definition.name}.compacted")

    def compact_elsewhere(
        self, days: Sequence[date | None], version: int | None, put_together: PutTogether
    ) -> int:
        """As `compact`, of several partitions, whose files others write; how many became fewer files."""
        table = self._open(version)
        if table is None:
            return 0
        self.admit()
        small = [file for file in self.data_files(version) if file.size < self.target_bytes]
        groups = {day: merges([file for file in small if file.day == day], self.target_bytes) for day in days}
        each = [paths for of_day in groups.values() for paths in of_day]
        if not each:
            return 0
        crashpoint.reach(f"{self.definition.name}.compacting")
        written = put_together(self, each)
        try:
            if self.definition.layer == 1:
                appender = Appender(self, self.definition.partition_by)
                for paths, file in zip(each, written, strict=True):
                    appender.merge(paths, file)
            else:
                self._exchange([path for paths in each for path in paths], written)
        finally:
            there = {file.path for file in self.data_files()}
            for file in written:
                if file.path not in there:
                    with suppress(Exception):
                        self.delete_file(file.path)
        crashpoint.reach(f"{self.definition.name}.compacted")
        return sum(bool(of_day) for of_day in groups.values())

    def _exchange(self, paths: Sequence[str], written: Sequence[WrittenFile]) -> None:
        """Files in the place of others whose rows they hold, in one commit."""
        table = self.delta()
        sizes = {file.path: file.size for file in self.data_files(table.version())}
        if not set(paths) <= set(sizes):
            raise ConflictError(f"Another process changed {self.uri} at the same time; run it again.")
        now = time.time_ns() // 1_000_000
        commit_files(
            self,
            table,
            [
                *(file.action(data_change=False) for file in written),
                *(RemoveAction(path, False, now, sizes[path], {**partition_of(path)}) for path in paths),
            ],
        )

    def _merge(self, day: date | None, version: int | None) -> None:
        """The same for a table of layer 1, which readers see at once: by merges that are numbered."""
        appender = Appender(self, self.definition.partition_by)
        small = [
            file for file in self.data_files(version) if file.day == day and file.size < self.target_bytes
        ]
        crashpoint.reach(f"{self.definition.name}.compacting")
        for paths in merges(small, self.target_bytes):
            appender.merge(paths)
        crashpoint.reach(f"{self.definition.name}.compacted")

    def remove_before(self, day: date, version: int) -> None:
        """Remove the partitions before a day, as they were at `version`, in one commit."""
        table = self._open(version)
        if table is None:
            return
        crashpoint.reach(f"{self.definition.name}.removing")
        commit = stamped()
        with self.committing(table, commit):
            table.delete(f"{self.day_column} < '{day.isoformat()}'", commit_properties=commit)
        crashpoint.reach(f"{self.definition.name}.removed")

    def vacuum(self, hours: int, keep: Sequence[int] = (), *, dry_run: bool) -> Vacuumed:
        """Delete files that left the table, or that a killed writer left behind, more than `hours` ago.

        Files of the versions `keep` stay.
        """
        table = self._open()
        if table is None:
            return Vacuumed(0, 0)
        with self.told():
            paths = {unquote(path) for path in self._vacuum(table, hours, keep, dry_run=True)}
            infos = self.filesystem.get_file_info(sorted(paths))
            there = [info for info in infos if info.type == pyarrow.fs.FileType.File]
            if there and not dry_run:
                self._vacuum(table, hours, keep, dry_run=False)
        if there and not dry_run:
            crashpoint.reach(f"{self.definition.name}.vacuumed")
        return Vacuumed(len(there), sum(info.size for info in there))

    @staticmethod
    def _vacuum(table: DeltaTable, hours: int, keep: Sequence[int], *, dry_run: bool) -> list[str]:
        # full: the log forgets the files of a table after a while, and never knew those of a killed writer
        return table.vacuum(
            retention_hours=hours,
            dry_run=dry_run,
            enforce_retention_duration=False,
            full=True,
            keep_versions=[*keep] or None,
            commit_properties=stamped(),
        )

    def clean_log(self, version: int) -> None:
        """Delete log entries that no version from `version` on needs to be opened."""
        table = self._open(version)
        if table is not None:
            with self.told():
                table.cleanup_metadata()
            crashpoint.reach(f"{self.definition.name}.cleaned")

    def version_at(self, moment: datetime) -> int | None:
        """The version that was the newest at a moment; None if there was none, or the log has lost it."""
        table = self._open()
        if table is None:
            return None
        with suppress(DeltaError):
            table.load_as_version(moment)
            return table.version()
        return None

    def checkpoint(self) -> None:
        """Write the log so far as one file, so that opening the table does not read every commit."""
        table = self._open()
        if table is not None and table.version() > self._last_checkpoint():
            with self.told():
                table.create_checkpoint()
            crashpoint.reach(f"{self.definition.name}.checkpointed")

    def keep_log(self, hours: int) -> None:
        """Let nobody but maintenance shorten the log of a table that was made before this was so.

        And let the log remember for so many hours which files left the table: their age is told by that.
        """
        table = self._open()
        if table is None:
            return
        wanted = LOG_PROPERTIES | (
            {REMEMBERED: f"interval {hours} hours"} if hours > REMEMBERED_HOURS else {}
        )
        kept = table.metadata().configuration
        if any(kept.get(name) != value for name, value in wanted.items()):
            commit = stamped()
            with self.committing(table, commit):
                table.alter.set_table_properties(wanted, commit_properties=commit)

    def added_at(self, version: int) -> datetime:
        """When a version was committed."""
        actions = self._entry(version)
        told = [action["commitInfo"]["timestamp"] for action in actions if "commitInfo" in action]
        return datetime.fromtimestamp(told[0] / 1000, UTC)

    def size_of(self, path: str) -> int | None:
        """The bytes of a file of the table; None if it is not there."""
        info = self.filesystem.get_file_info(path)
        return info.size if info.type == pyarrow.fs.FileType.File else None

    def open_file(self, path: str) -> pa.NativeFile:
        """A file of the table, for reading."""
        return self.filesystem.open_input_file(path)

    def _last_checkpoint(self) -> int:
        try:
            with self.filesystem.open_input_stream("_delta_log/_last_checkpoint") as stream:
                return int(json.loads(stream.read())["version"])
        except (OSError, ValueError, KeyError):
            return -1


def merges(files: Sequence[DataFile], target_bytes: int) -> list[list[str]]:
    """Which files become one, in their order, at most so many bytes together. Pure."""
    groups: list[list[str]] = [[]]
    size = 0
    for file in files:
        if groups[-1] and size + file.size > target_bytes:
            groups.append([])
            size = 0
        groups[-1].append(file.path)
        size += file.size
    return [paths for paths in groups if len(paths) > 1]
