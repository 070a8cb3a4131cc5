"""The snapshot that a server answers from: the tables of a run, and the newer minutes laid over them.

Owns which run's tables are current, who still uses older ones, and what is known beside the tables: rules,
gaps and shares. The tables of a newer run are opened beside the old ones, so no query waits for it and none
sees two runs. Leaves the views to `catalog` and the newer minutes to `overlay`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import duckdb
import structlog

from bemtevi import metrics
from bemtevi.errors import BemteviError
from bemtevi.lake.gap import GAP, Gap
from bemtevi.lake.lake import Lake
from bemtevi.lake.local_ledger import known_gaps
from bemtevi.lake.sample import SAMPLE, Share, read_shares
from bemtevi.lake.track import TRACK, TrackedRule, read_rules
from bemtevi.serve.arrivals import Arrivals, Tail
from bemtevi.serve.catalog import Catalog, Tables, tables_of
from bemtevi.serve.overlay import Overlay, Step
from bemtevi.warehouse.check_result import read_results
from bemtevi.warehouse.engines import asked_hashtags
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.run import RUN, Run

log = structlog.get_logger()
REFRESH_SECONDS = 0.2
MOST_REST_SECONDS = 0.5
"""Between two looks for what is new. Much of what a look costs is the same for one post and for thousands:
one that took long of a processor is followed by as long a rest, in which more gathers."""
LONGEST_SECONDS = 1.0
"""So long new posts are laid over before anything else is looked at."""
AGAIN_SECONDS = 5.0
"""Until the first snapshot is tried again."""
LEDGER_SECONDS = 2.0
"""Between two looks at the gaps that only this machine knows."""
MOST_WAITING_BYTES = 192 * 1024 * 1024
"""Files of layer 1 that no run has read; with more, the newer minutes wait for consolidation."""
ENGINE_MEMORY = "384MB"
WATCHED = (RUN, TRACK, GAP, SAMPLE)
"""The tables whose new versions are taken up."""


class NotReadyError(BemteviError):
    """The first snapshot is not there yet."""


@dataclass
class Snapshot:
    """The tables of one run with what was laid over them. `closed` is the same for SQL of strangers."""

    base: str
    catalog: Catalog
    closed: Catalog
    overlay: Overlay | None
    rules: list[TrackedRule]
    gaps: list[Gap]
    shares: list[Share]
    told: int = 0
    """Counts the changes of rules, gaps and shares."""
    bounds: dict[str | None, tuple[datetime | None, datetime | None]] = field(default_factory=dict)
    """When a hashtag, or None for any, is first and last seen in the tables of the run, as it was asked."""
    users: int = field(default=0)
    replaced: bool = field(default=False)

    @property
    def version(self) -> str:
        """Changes when anything that an answer shows may have changed."""
        return self.version_of(0 if self.overlay is None else self.overlay.number, self.told)

    def version_of(self, number: int, told: int) -> str:
        """The version with so many steps laid over, and so many changes of rules, gaps and shares."""
        return f"{self.base}-{told}-{number}{'-behind' if self.behind else ''}"

    @property
    def behind(self) -> bool:
        """Whether more came since the run than is held in memory: the newest posts wait for the next run."""
        return self.overlay is None or self.overlay.full

    def close(self) -> None:
        """Give back what it holds."""
        if self.overlay is not None:
            self.overlay.close()
        for catalog in (self.catalog, self.closed):
            catalog.__exit__()


class Snapshots:
    """Holds the current snapshot of a lake. Use as a context manager; a thread keeps it current."""

    def __init__(
        self,
        lake: Lake,
        *,
        memory_limit: str,
        sql_memory_limit: str,
        threads: int | None = None,
        tail: Tail | None = None,
        failed: Callable[[], object] | None = None,
    ) -> None:
        """`tail` reads what is durable on this machine before layer 1 has it.

        With `failed`, entering does not wait for the first snapshot: until it is there, `lease` raises
        NotReadyError. If it cannot be made, `failed` is called, `check` raises why, and it is tried again.
        """
        self.lake = lake
        self.brought: list[Callable[[Snapshot, Step], None]] = []
        """They are told of every step that was laid over, after it can be asked."""
        self._memory_limit = memory_limit
        self._sql_memory_limit = sql_memory_limit
        self._threads = threads
        self._tail = tail
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._current: Snapshot | None = None
        self._ended: list[Snapshot] = []
        """Replaced, and used no longer."""
        self._engine: DuckDBEngine | None = None
        self._versions = {definition.name: -1 for definition in WATCHED}
        self._ledger_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed = failed
        self._failure: Exception | None = None

    def __enter__(self) -> Snapshots:
        if self._failed is None:
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
        self._close_ended()
        if self._engine is not None:
            self._engine.__exit__()
        if self._tail is not None:
            self._tail.close()

    @contextmanager
    def lease(self) -> Iterator[Snapshot]:
        """The current snapshot, kept open as long as it is used."""
        with self._lock:
            snapshot = self._current
            if snapshot is None:
                raise NotReadyError(
                    "The server is ending."
                    if self._stop.is_set()
                    else "The tables are being opened: ask again in a moment."
                )
            snapshot.users += 1
        try:
            yield snapshot
        finally:
            with self._lock:
                snapshot.users -= 1
                last = snapshot.replaced and snapshot.users == 0
                if last and not self._stop.is_set():
                    # closing takes long, and this may be the loop of all clients
                    self._ended.append(snapshot)
                    last = False
            if last:
                snapshot.close()

    def check(self) -> None:
        """Raise why the first snapshot could not be made, if it could not."""
        if self._failure is not None and self._current is None:
            raise self._failure

    def refresh(self) -> bool:
        """Take up what is new; whether there was something. One thread at a time does."""
        with self._refreshing:
            self._close_ended()
            return self._refresh()

    def _close_ended(self) -> None:
        with self._lock:
            ended, self._ended = self._ended, []
        for snapshot in ended:
            snapshot.close()

    def _refresh(self) -> bool:
        run, track, gap, sample = (self._moved(definition.name) for definition in WATCHED)
        if self._engine is None or track:
            self._open_engine()
        current = self._current
        if current is None or run:
            self._open()
            return True
        due = time.monotonic() - self._ledger_at >= LEDGER_SECONDS
        told = (track or gap or sample or due) and self._tell(current, track=track, sample=sample)
        return self._step(current) or told

    def _moved(self, name: str) -> bool:
        """Whether a table has a newer version than when this was last asked."""
        definition = next(one for one in WATCHED if one.name == name)
        known = self._versions[name]
        self._versions[name] = self.lake.table(definition).newer(known)
        return self._versions[name] != known

    def _open(self) -> None:
        """Open the tables of the newest run, lay over what came since, and change to them."""
        tables = tables_of(self.lake)
        raw_version = -1 if tables.run is None else tables.run.raw_version
        if tables.run is not None:
            self._measure(tables.run)
        catalog = self._opened(tables, self._memory_limit, closed=False)
        closed = self._opened(tables, self._sql_memory_limit, closed=True)
        arrivals = Arrivals(self.lake, raw_version, self._tail)
        overlay = None
        if arrivals.waiting() <= MOST_WAITING_BYTES:
            assert self._engine is not None  # noqa: S101
            overlay = Overlay(self.lake, arrivals, self._engine, [catalog, closed])
        else:
            log.warning("serve.behind", reason="more waits for consolidation than is held in memory")
        fresh = Snapshot(
            str(self._versions[RUN.name]),
            catalog,
            closed,
            overlay,
            read_rules(self.lake, removed=True),
            known_gaps(self.lake, datetime.now(UTC)),
            read_shares(self.lake),
            sum(self._versions[definition.name] for definition in WATCHED if definition is not RUN),
        )
        steps = self._caught_up(fresh, datetime.now(UTC))
        with self._lock:
            old, self._current = self._current, fresh
            unused = old is not None and old.users == 0
            if old is not None:
                old.replaced = True
        if old is not None:
            before = None if old.overlay is None else old.overlay.received_at
            for step in steps:
                if self.brought and (newer := step.since(before)) is not None:
                    self._bring(fresh, newer)
            if unused:
                old.close()

    def _measure(self, run: Run) -> None:
        """Tell the metrics of a run that may have been another process's."""
        metrics.last_run(run.finished_at.timestamp())
        for kept in read_results(self.lake, None):
            result = kept.result
            metrics.checked(result.table, result.check, result.severity.value, passed=result.passed)

    def _step(self, snapshot: Snapshot) -> bool:
        """Lay over what is new and tell of it, step by step."""
        changed = False
        for step in self._steps(snapshot):
            changed = True
            self._bring(snapshot, step)
        return changed

    def _steps(self, snapshot: Snapshot) -> Iterator[Step]:
        """Until nothing waits, or for so long that the rest must wait: it may never cease."""
        until = time.monotonic() + LONGEST_SECONDS
        while snapshot.overlay is not None and not self._stop.is_set():
            step = snapshot.overlay.step()
            if step is None:
                return
            yield step
            if time.monotonic() >= until or not snapshot.overlay.has_more():
                return

    def _caught_up(self, snapshot: Snapshot, until: datetime) -> list[Step]:
        """Lay over all that came until then; what comes meanwhile is for later steps."""
        found: list[Step] = []
        while snapshot.overlay is not None and not self._stop.is_set():
            step = snapshot.overlay.step()
            if step is None:
                break
            found.append(step)
            if snapshot.overlay.received_at is not None and snapshot.overlay.received_at >= until:
                break
        return found

    def _bring(self, snapshot: Snapshot, step: Step) -> None:
        for tell in self.brought:
            tell(snapshot, step)

    def _tell(self, snapshot: Snapshot, *, track: bool, sample: bool) -> bool:
        """Take up rules, gaps and shares that changed; whether some did."""
        self._ledger_at = time.monotonic()
        gaps = known_gaps(self.lake, datetime.now(UTC))
        rules = read_rules(self.lake, removed=True) if track else snapshot.rules
        shares = read_shares(self.lake) if sample else snapshot.shares
        if (rules, shares) == (snapshot.rules, snapshot.shares) and _known(gaps) == _known(snapshot.gaps):
            return False
        snapshot.rules, snapshot.gaps, snapshot.shares = rules, gaps, shares
        snapshot.told += 1
        if snapshot.overlay is not None:
            for definition in (TRACK, GAP):
                snapshot.overlay.tell(definition, self.lake.table(definition).read())
        return True

    def _open_engine(self) -> None:
        """An engine that knows the rules; newer minutes are made by it."""
        if self._engine is not None:
            self._engine.__exit__()
        self._engine = DuckDBEngine(
            timezone=self.lake.timezone,
            memory_limit=ENGINE_MEMORY,
            threads=1,  # steps are small: a second thread costs as much again, and gains nothing
            rule_hashtags={rule.tag: asked_hashtags(rule) for rule in read_rules(self.lake, removed=True)},
            storage_options=self.lake.storage_options,
        ).__enter__()
        if self._current is not None and self._current.overlay is not None:
            self._current.overlay.use(self._engine)

    def _opened(self, tables: Tables, memory_limit: str, *, closed: bool) -> Catalog:
        return Catalog(
            self.lake, memory_limit=memory_limit, threads=self._threads, closed=closed, tables=tables
        ).__enter__()

    def _watch(self) -> None:
        self._begin()
        took = 0.0
        while not self._stop.wait(min(max(REFRESH_SECONDS, took), MOST_REST_SECONDS)):
            began = time.thread_time()  # on a busy machine the clock says nothing of what it cost
            try:
                self.refresh()
            except (BemteviError, duckdb.Error) as error:  # the old snapshot goes on answering
                log.warning("serve.snapshot", error=str(error).splitlines()[0])
                self._versions[RUN.name] = -1  # what was taken and not laid over is taken again
            took = time.thread_time() - began

    def _begin(self) -> None:
        """Make the first snapshot, however long that takes."""
        while self._current is None and not self._stop.is_set():
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001  `check` raises it where it can be shown
                log.warning("serve.snapshot", error=str(error).splitlines()[0] if str(error) else repr(error))
                self._versions = dict.fromkeys(self._versions, -1)
                if self._failed is not None and self._failure is None:
                    self._failure = error
                    self._failed()
                self._stop.wait(AGAIN_SECONDS)


def _known(gaps: list[Gap]) -> list[tuple[object, ...]]:
    """What an answer shows of gaps, to tell whether something changed."""
    return [(gap.gap_id, gap.state, gap.ended_at, gap.filled_posts) for gap in gaps]
