"""What maintenance did to one table, or would do: the counts that a person reads.

Owns the counting. Leaves to `maintain` what is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bemtevi.lake.maintenance import DataFile, Vacuumed


@dataclass
class Upkeep:
    """What was done to one table, or would be. Bytes and files are of the newest version."""

    table: str
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    compacted: int = 0
    """Partitions whose files were made fewer."""
    removed_rows: int = 0
    removed_partitions: int = 0
    """Removed by age."""
    vacuumed_files: int = 0
    vacuumed_bytes: int = 0
    """Deleted from the store: left the table long enough ago, or left behind by a killed writer."""
    remarks: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, table: str, files: Sequence[DataFile]) -> Upkeep:
        """Nothing done yet to a table of these files."""
        size = sum(file.size for file in files)
        return cls(table, len(files), len(files), size, size)

    def end(self, files: Sequence[DataFile]) -> None:
        """The files that are there now."""
        self.files_after, self.bytes_after = len(files), sum(file.size for file in files)

    def count_removed(self, gone: Sequence[DataFile]) -> None:
        """Files whose rows were removed by age."""
        self.removed_rows += sum(file.rows for file in gone)
        self.removed_partitions += len({file.day for file in gone})

    def count_vacuumed(self, vacuumed: Vacuumed) -> None:
        """Files that were deleted from the store."""
        self.vacuumed_files += vacuumed.files
        self.vacuumed_bytes += vacuumed.size

    def remark(self, remark: str) -> None:
        """Something that a person should know, said once."""
        if remark not in self.remarks:
            self.remarks.append(remark)
