"""One lake: the tables of both layers at one root.

Owns the opening of tables and the locks. Local times and partitions of layer 2 are in one zone: the tables
say which, for other tools; the guard is in `warehouse.run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from bemtevi.errors import ConflictError
from bemtevi.lake.credentials import completed
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.layout import Layout
from bemtevi.lake.lease import Lease
from bemtevi.lake.object_store import ObjectStore
from bemtevi.lake.suppression import Suppression, load
from bemtevi.lake.table import ZONE_PROPERTY, Table
from bemtevi.settings import Settings

LOCK = "consolidate"
"""The lock of whoever changes layer 2."""
LOCKED_FOR = "consolidating or maintaining this lake"
MERGE_LOCK = "merge"
"""The lock of whoever puts files of `raw` together: two at once would double the rows."""
MERGE_LOCKED_FOR = "putting files of layer 1 together"

Lock = FileLock | Lease


@dataclass(frozen=True)
class Lake:
    """The tables at `layout.root`, in the zone of the settings."""

    layout: Layout
    timezone: str
    storage_options: dict[str, str] = field(default_factory=dict)
    local: Path = Path()
    suppression_key: str | None = field(default=None, repr=False)
    """The key of keyed hashes, if the settings tell it."""
    single_writer: bool = False
    """Whether only one process at a time ever writes this lake."""

    @classmethod
    def of(cls, settings: Settings) -> Lake:
        """The lake that the settings name."""
        layout = Layout(settings.lake)
        return cls(
            layout,
            settings.timezone,
            {} if layout.is_local else completed(settings.storage_options, Path.home()),
            settings.journal,
            None if settings.suppression_key is None else settings.suppression_key.get_secret_value(),
            settings.single_writer,
        )

    def table(self, definition: TableDefinition, properties: Mapping[str, str] | None = None) -> Table:
        """The table of a definition, whether it exists yet or not; made, it gets these properties too."""
        zone = {ZONE_PROPERTY: self.timezone} if definition.layer == 2 else {}
        uri = self.layout.table(definition.layer, definition.name)
        return Table(
            uri,
            definition,
            self.storage_options,
            zone | dict(properties or {}),
            single_writer=self.single_writer,
        )

    def suppression(self) -> Suppression:
        """The keyed hashes of this lake; the key is made if there is none. Raises StorageError."""
        return load(self.layout.suppression_key(self.local), self.suppression_key)

    def lock(self, name: str) -> Lock:
        """The lock of one kind of work on this lake, for one process at a time, on whatever machine."""
        path = self.layout.lock(name, self.local)
        path.parent.mkdir(parents=True, exist_ok=True)
        local = FileLock(path, thread_local=False)
        if self.layout.is_local or self.single_writer:
            return local
        return Lease(ObjectStore(self.layout.root, self.storage_options), name, local)


def acquire(lock: Lock, what: str, patience: float = 0) -> Lock:
    """Take the lock, within so many seconds, or say who is in the way. Use as a context manager."""
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise ConflictError(f"Another process is already {what} ({lock.lock_file} is held).") from None
    return lock
