"""The snapshot that a server answers from, and the change to a newer one.

Owns: which catalog is the current one, who still uses an old one, and what is known beside the tables:
rules and gaps. A new snapshot is opened beside the old one, so no query waits for it and none sees two
versions. Leaves the views to `catalog`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from bemtevi.errors import BemteviError
from bemtevi.lake.gap import GAP, Gap, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import TRACK, TrackedRule, read_rules
from bemtevi.serve.catalog import Catalog, Tables, tables_of
from bemtevi.warehouse.run import RUN

log = structlog.get_logger()
REFRESH_SECONDS = 2.0


@dataclass
class Snapshot:
    """All tables at one moment. `closed` is the same for SQL of strangers."""

    version: str
    """Changes when anything that an answer shows may have changed."""
    catalog: Catalog
    closed: Catalog
    rules: list[TrackedRule]
    gaps: list[Gap]
    opened_at: datetime
    users: int = field(default=0)
    replaced: bool = field(default=False)

    def close(self) -> None:
        """Give back what it holds."""
        for catalog in (self.catalog, self.closed):
            catalog.__exit__()


class Snapshots:
    """Holds the current snapshot of a lake. Use as a context manager; `refresh` is called by a thread."""

    def __init__(
        self, lake: Lake, *, memory_limit: str, sql_memory_limit: str, threads: int | None = None
    ) -> None:
        self.lake = lake
        self._memory_limit = memory_limit
        self._sql_memory_limit = sql_memory_limit
        self._threads = threads
        self._lock = threading.Lock()
        self._current: Snapshot | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Snapshots:
        self.refresh()
        self._thread = threading.Thread(target=self._watch, name="snapshots", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            current, self._current = self._current, None
            if current is not None:
                current.replaced = True
                if current.users == 0:
                    current.close()

    @contextmanager
    def lease(self) -> Iterator[Snapshot]:
        """The current snapshot, kept open as long as it is used."""
        with self._lock:
            snapshot = self._current
            if snapshot is None:
                raise BemteviError("The server is ending.")
            snapshot.users += 1
        try:
            yield snapshot
        finally:
            with self._lock:
                snapshot.users -= 1
                last = snapshot.replaced and snapshot.users == 0
            if last:
                snapshot.close()

    def refresh(self) -> bool:
        """Open a newer snapshot if there is one; whether there was."""
        version = self._newest()
        current = self._current
        if current is not None and current.version == version:
            return False
        tables = tables_of(self.lake)
        fresh = Snapshot(
            version,
            self._opened(tables, self._memory_limit, closed=False),
            self._opened(tables, self._sql_memory_limit, closed=True),
            read_rules(self.lake, removed=True),
            read_gaps(self.lake),
            datetime.now(UTC),
        )
        with self._lock:
            old, self._current = self._current, fresh
            unused = old is not None and old.users == 0
            if old is not None:
                old.replaced = True
        if old is not None and unused:
            old.close()
        return True

    def _opened(self, tables: Tables, memory_limit: str, *, closed: bool) -> Catalog:
        return Catalog(
            self.lake, memory_limit=memory_limit, threads=self._threads, closed=closed, tables=tables
        ).__enter__()

    def _newest(self) -> str:
        """The versions of the tables whose change changes answers."""
        return "-".join(str(self.lake.table(definition).version()) for definition in (RUN, TRACK, GAP))

    def _watch(self) -> None:
        while not self._stop.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except BemteviError as error:  # the old snapshot goes on answering
                log.warning("serve.snapshot", error=str(error))
