"""Consolidation: what is new in layer 1, into every table of layer 2, as one visible step.

Owns what is read, what is replaced and when it becomes visible. A batch touches some UTC hours; for each of
them the existing rows and the new observations become one row per key, and the hours are replaced. The
result is the same for any order, repetition or slicing of the messages. Leaves the work to an engine.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa

from bemtevi import __version__
from bemtevi.lake.lake import LOCK, LOCKED_FOR, Lake, acquire
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.warehouse.engine import Engine
from bemtevi.warehouse.inspection import Inspection
from bemtevi.warehouse.model import DAY_PREFIX, WHOLE_PREFIX, Model, Scope, load_models, table_of
from bemtevi.warehouse.run import Run, check_zone, commit_run, pinned, refuse_removed, restored

FACT = "fact_post"

STAGING = "staging"
"""The application of the transactions that write what staging could not read."""

Clock = Callable[[], datetime]


@dataclass
class Made:
    """What one step has made and committed; nobody sees it until a run names its versions."""

    versions: dict[str, int]
    """The version of every table after it."""
    messages: int = 0
    observations: int = 0
    posts_before: int = 0
    posts_after: int = 0
    quarantined: int = 0
    hours: int = 0


class Consolidation:
    """Consolidates one lake with one engine. Holds the lake's lock while it is open."""

    def __init__(
        self, lake: Lake, engine: Engine, batch_bytes: int, clock: Clock, patience: float = 0
    ) -> None:
        """`patience`: seconds to wait for who holds the lock."""
        self._lake = lake
        self._engine = engine
        self._batch_bytes = batch_bytes
        self._clock = clock
        self._patience = patience
        self._models = load_models()

    def run_new(self) -> Iterator[Run]:
        """Consolidate what is new, batch by batch; yields each run once it is visible. Nothing new, no run.

        Raises CheckError if a check that must hold does not: the old content stays.
        """
        with acquire(self._lake.lock(LOCK), LOCKED_FOR, self._patience):
            check_zone(self._lake)
            last = restored(self._lake, self._models)
            raw = self._lake.table(RAW)
            upto = raw.version()
            done = -1 if last is None else last.raw_version
            for files, version in self._batches(done, upto):
                last = self._step("incremental", files, version, last, None)
                yield last

    def run_period(self, start: datetime, end: datetime) -> Iterator[Run]:
        """Make the hours of [start, end) again from all of layer 1 that is consolidated so far."""
        with acquire(self._lake.lock(LOCK), LOCKED_FOR, self._patience):
            check_zone(self._lake)
            last = restored(self._lake, self._models)
            if last is None:
                return
            refuse_removed(self._lake, start)
            files = self._lake.table(RAW).files(last.raw_version, messages_of(start, end))
            yield self._step("period", files, last.raw_version, last, (start, end))

    def _batches(self, done: int, upto: int) -> Iterator[tuple[list[str], int]]:
        """Files of raw and the version they end at, in batches of bounded bytes."""
        pinned = self._lake.table(QUARANTINE).transaction(STAGING)
        files: list[str] = []
        size = 0
        for commit in self._lake.table(RAW).commits(done, upto):
            files += commit.files
            size += commit.size
            # a batch whose unreadable messages are already written must end where it ended then
            if files and (size >= self._batch_bytes or commit.version in (upto, pinned)):
                yield files, commit.version
                files, size = [], 0

    def _step(
        self,
        kind: str,
        files: Sequence[str],
        raw_version: int,
        last: Run | None,
        period: tuple[datetime, datetime] | None,
    ) -> Run:
        started_at = self._clock()
        number = 1 if last is None else last.number + 1
        made = Made({} if last is None else dict(last.table_versions))
        inspection = Inspection(self._lake, self._engine, number, started_at, live=period is None)
        self._advance(made, files, raw_version, period, inspection)
        run = self._row(kind, number, started_at, raw_version, made)
        commit_run(self._lake, run)
        return run

    def _row(self, kind: str, number: int, started_at: datetime, raw_version: int, made: Made) -> Run:
        """The run that makes what was made visible."""
        return Run(
            number=number,
            kind=kind,
            started_at=started_at,
            finished_at=self._clock(),
            engine=self._engine.name,
            program=__version__,
            unicode=unicodedata.unidata_version,
            timezone=self._lake.timezone,
            raw_version=raw_version,
            messages=made.messages,
            observations=made.observations,
            posts_before=made.posts_before,
            posts_after=made.posts_after,
            quarantined=made.quarantined,
            hours=made.hours,
            versions=pinned(made.versions),
        )

    def _advance(
        self,
        made: Made,
        files: Sequence[str],
        raw_version: int,
        period: tuple[datetime, datetime] | None,
        inspection: Inspection,
    ) -> None:
        """Stage some files of raw and bring the tables up to them, from the versions that `made` has."""
        engine = self._engine
        staged = engine.stage(files, period)
        if period is None:
            self._quarantine(staged.unreadable, raw_version)
            inspection.look_at_messages(files, raw_version)
            hours = engine.touched_hours()
            made.quarantined += staged.unreadable.num_rows
        else:
            hours = hours_of(*period)
        made.messages += staged.messages
        made.observations += staged.observations
        if staged.observations or period is not None:
            self._bring(made, hours, inspection, again=period is not None)
        else:
            inspection.conclude()
        engine.drop("observation")

    def _bring(self, made: Made, hours: Sequence[datetime], inspection: Inspection, *, again: bool) -> None:
        """Make the tables of some hours, check them and commit them."""
        before, after = self._make(made.versions, hours, inspection, again=again)
        inspection.conclude()
        made.versions |= self._write_all(hours, empty=before == 0 and not again)
        made.posts_before += before
        made.posts_after += after
        made.hours += len(hours)

    def _make(
        self, versions: dict[str, int], hours: Sequence[datetime], inspection: Inspection, *, again: bool
    ) -> tuple[int, int]:
        """Run every model; the posts in the hours before and after. `again` forgets the hours' old rows."""
        engine = self._engine
        before = after = 0
        for model in self._models:
            table = self._lake.table(model.definition)
            version = versions.get(model.name)
            if model.scope is Scope.HOURS:
                files = [] if version is None else table.files(version, self._within(hours))
                existing = engine.define_existing(model, files, hours)
                if again:
                    engine.define_existing(model, [], hours)
            elif model.scope is Scope.WHOLE:
                files = [] if version is None else table.snapshot(version).files
                existing = engine.define_existing(model, files, None)
            for name in model.inputs:
                self._define_beside(name, versions, hours)
            made = engine.make(model)
            inspection.look_at_table(model)
            if model.name == FACT:
                before, after = existing, made
        inspection.look_across(self._models)
        for model in self._models:
            inspection.look_back(model, versions.get(model.name), hours)
        return before, after

    def _define_beside(self, name: str, versions: dict[str, int], hours: Sequence[datetime]) -> None:
        """Give the engine an input that is more of a table than what the run touches."""
        if name.startswith(WHOLE_PREFIX):
            where = "true"
        elif name.startswith(DAY_PREFIX):
            where = self._on_dates(hours)
        else:
            return
        source = table_of(name)
        model = next(model for model in load_models() if model.name == source)
        version = versions.get(source)
        files = [] if version is None else self._lake.table(model.definition).files(version, where)
        self._engine.define_beside(name, model, files, hours, where)

    def _write_all(self, hours: Sequence[datetime], *, empty: bool) -> dict[str, int]:
        """Commit every table just made; their new versions."""
        versions = {}
        for model in self._models:
            versions[model.name] = self._write(model, hours, empty=empty)
            self._engine.drop(model.name)
        return versions

    def _write(self, model: Model, hours: Sequence[datetime], *, empty: bool) -> int:
        """Commit a table just made; its new version. `empty`: the hours had no rows, so nothing goes."""
        table = self._lake.table(model.definition)
        rows = self._engine.read(model.name)
        if model.scope is Scope.WHOLE:
            return table.replace("true", rows)
        if model.scope is Scope.DATES:
            return table.replace(self._on_dates(hours), rows)
        if empty:
            return table.append(rows)
        return table.replace(self._within(hours), rows)

    def _within(self, hours: Sequence[datetime]) -> str:
        """The rows of some hours, as SQL; their local dates too, for those are the partitions."""
        times = ", ".join(f"'{hour.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'" for hour in hours)
        return f"{self._on_dates(hours)} and created_hour in ({times})"

    def _on_dates(self, hours: Sequence[datetime]) -> str:
        """The rows of the local dates of some hours, as SQL."""
        dates = ", ".join(f"'{date}'" for date in self._dates(hours))
        return f"created_date in ({dates})"

    def _dates(self, hours: Sequence[datetime]) -> list[str]:
        """The local dates that the hours touch: two for an hour over midnight."""
        zone = ZoneInfo(self._lake.timezone)
        last = timedelta(hours=1) - timedelta(microseconds=1)
        dates = {moment.astimezone(zone).date() for hour in hours for moment in (hour, hour + last)}
        return [date.isoformat() for date in sorted(dates)]

    def _quarantine(self, unreadable: pa.Table, raw_version: int) -> None:
        """Write what staging could not read, once for each version of raw."""
        table = self._lake.table(QUARANTINE)
        done = table.transaction(STAGING)
        if unreadable.num_rows and (done is None or done < raw_version):
            table.append(unreadable, (STAGING, raw_version))


def messages_of(start: datetime, end: datetime) -> str:
    """The messages that may hold posts of [start, end), as SQL.

    A page has no time of its own: its posts are told apart after staging.
    """
    first, last = (f"'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'" for at in (start, end))
    return f"event_at is null or (event_at >= {first} and event_at < {last})"


def hours_of(start: datetime, end: datetime) -> list[datetime]:
    """The hours of [start, end)."""
    return [start + timedelta(hours=number) for number in range(int((end - start) / timedelta(hours=1)))]
