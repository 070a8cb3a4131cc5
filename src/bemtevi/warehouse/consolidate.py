"""Consolidation: what is new in layer 1, into every table of layer 2, as one visible step.

Owns what is read, what is replaced and when it becomes visible. A batch touches some UTC hours; for each of
them the existing rows and the new observations become one row per key, and the hours are replaced. The
result is the same for any order, repetition or slicing of the messages. Leaves the work to an engine.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bemtevi import __version__
from bemtevi.lake.lake import LOCK, LOCKED_FOR, Lake, acquire
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.warehouse.engine import UNREADABLE, Engine, Staged
from bemtevi.warehouse.inspection import Inspection
from bemtevi.warehouse.model import (
    CREATED_HOUR,
    DAY_PREFIX,
    FORMER_PREFIX,
    WHOLE_PREFIX,
    Model,
    Scope,
    load_models,
    table_of,
)
from bemtevi.warehouse.run import Run, check_zone, commit_run, pinned, refuse_removed, restored

FACT = "fact_post"

STAGING = "staging"
"""The application of the transactions that write what staging could not read."""

Clock = Callable[[], datetime]
Hours = Mapping[str, Sequence[datetime]]
"""UTC hours by the column of the observation that they are of: of writing, of observing."""


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


@dataclass(frozen=True)
class Plan:
    """What a run replaces in a table: some hours, with the rows there before and after."""

    hours: Sequence[datetime]
    before: int
    after: int
    changed: bool = True
    """Whether anything is other than it was; if not, nothing is written."""


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
        touched = {column: engine.touched_hours(column) for column in hour_columns()}
        if period is None:
            self._quarantine(staged, raw_version)
            inspection.look_at_messages(files, raw_version)
            made.quarantined += staged.unreadable
        else:
            touched[CREATED_HOUR] = hours_of(*period)
        made.messages += staged.messages
        made.observations += staged.observations
        if staged.observations or period is not None:
            self._bring(made, touched, inspection, again=period is not None)
        else:
            inspection.conclude()
        engine.drop("observation")

    def _bring(self, made: Made, touched: Hours, inspection: Inspection, *, again: bool) -> None:
        """Make the tables of some hours, check them and commit them."""
        plans = self._make(made.versions, touched, inspection, again=again)
        inspection.conclude()
        made.versions |= self._write_all(plans, made.versions)
        if FACT in plans:
            made.posts_before += plans[FACT].before
            made.posts_after += plans[FACT].after
        made.hours += len(touched[CREATED_HOUR])

    def _make(
        self, versions: dict[str, int], touched: Hours, inspection: Inspection, *, again: bool
    ) -> dict[str, Plan]:
        """Run every model; what is to be replaced. `again` forgets the posts of the hours."""
        engine = self._engine
        plans = {}
        for model in self._models:
            table = self._lake.table(model.definition)
            version = versions.get(model.name)
            hours = touched[model.touched]
            existing = 0
            if model.scope is Scope.HOURS:
                files = [] if version is None else table.files(version, self._within(model, hours))
                existing = engine.define_existing(model, files, hours)
                if again and model.touched == CREATED_HOUR:
                    engine.define_existing(model, [], hours)
            elif model.scope is Scope.WHOLE:
                files = [] if version is None else table.snapshot(version).files
                existing = engine.define_existing(model, files, None)
            elif model.scope is Scope.SINCE:
                where = self._since(model, hours)
                files = [] if version is None else table.snapshot(version).files
                existing = engine.define_existing(model, files, None)
                files = [] if version is None else table.files(version, where)
                engine.define_existing_since(model, files, where)
            for name in model.inputs:
                if name in model.needs and not engine.ask(model.needs[name]):
                    self._define_beside(name, {}, touched)
                else:
                    self._define_beside(name, versions, touched)
            made = engine.make(model)
            inspection.look_at_table(model)
            changed = True
            if model.scope is Scope.SINCE:
                hours = engine.keep_changed(model)
                changed = bool(hours)
            elif model.scope is Scope.WHOLE and existing == made and not _counts_in(model):
                changed = self._differs(model)
            plans[model.name] = Plan(hours, existing, made, changed)
        inspection.look_across(self._models)
        for model in self._models:
            inspection.look_back(model, versions.get(model.name), plans[model.name].hours)
        return plans

    def _differs(self, model: Model) -> bool:
        """Whether a table just made is other than `existing`."""
        query = f"select 1 from (select * from {model.name} except select * from existing) as new limit 1"
        return bool(self._engine.ask(query))

    def _define_beside(self, name: str, versions: Mapping[str, int], touched: Hours) -> None:
        """Give the engine an input that is more of a table than what the run touches."""
        source = table_of(name)
        if source == name:
            return
        model = next(model for model in load_models() if model.name == source)
        hours = touched[model.touched]
        if name.startswith(FORMER_PREFIX):
            version = versions.get(source)
            where = self._within(model, hours)
            files = [] if version is None else self._lake.table(model.definition).files(version, where)
            self._engine.define_former(name, model, files, hours)
            return
        if name.startswith(WHOLE_PREFIX):
            where = "true"
        elif name.startswith(DAY_PREFIX):
            where = self._on_dates(model, hours)
        else:
            where = self._since(model, hours)
        version = versions.get(source)
        files = [] if version is None else self._lake.table(model.definition).files(version, where)
        self._engine.define_beside(name, model, files, hours, where)

    def _write_all(self, plans: Mapping[str, Plan], versions: Mapping[str, int]) -> dict[str, int]:
        """Commit every table just made; their new versions."""
        written = {}
        for model in self._models:
            written[model.name] = self._write(model, plans[model.name], versions.get(model.name))
            self._engine.drop(model.name)
        return written

    def _write(self, model: Model, plan: Plan, version: int | None) -> int:
        """Commit a table just made; its new version, or the one before if nothing changed."""
        table = self._lake.table(model.definition)
        if not plan.changed and version is not None:
            return version
        where: str | None = "true"
        if model.scope is Scope.DATES:
            where = self._on_dates(model, plan.hours)
        elif model.scope is not Scope.WHOLE:
            nothing_goes = plan.before == 0 or not plan.hours
            where = None if nothing_goes else self._within(model, plan.hours)
        return self._engine.write(model.name, table, where)

    def _within(self, model: Model, hours: Sequence[datetime]) -> str:
        """The rows of some hours, as SQL; their dates too, for those are the partitions."""
        times = ", ".join(f"'{hour.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'" for hour in hours)
        return f"{self._on_dates(model, hours)} and {model.hour} in ({times})" if hours else "false"

    def _since(self, model: Model, hours: Sequence[datetime]) -> str:
        """The rows of the first of some hours and of all later, as SQL."""
        if not hours:
            return "false"
        first = min(hours)
        day = min(self._dates(model, [first]))
        return f"{model.day} >= '{day}' and {model.hour} >= '{first.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"

    def _on_dates(self, model: Model, hours: Sequence[datetime]) -> str:
        """The rows of the dates of some hours, as SQL."""
        dates = ", ".join(f"'{date}'" for date in self._dates(model, hours))
        return f"{model.day} in ({dates})" if hours else "false"

    def _dates(self, model: Model, hours: Sequence[datetime]) -> list[str]:
        """The dates of the partitions that the hours lie in: two for an hour over midnight."""
        if model.scope is Scope.SINCE:
            months = {hour.astimezone(UTC).date().replace(day=1) for hour in hours}
            return [month.isoformat() for month in sorted(months)]
        zone = ZoneInfo(self._lake.timezone)
        last = timedelta(hours=1) - timedelta(microseconds=1)
        dates = {moment.astimezone(zone).date() for hour in hours for moment in (hour, hour + last)}
        return [date.isoformat() for date in sorted(dates)]

    def _quarantine(self, staged: Staged, raw_version: int) -> None:
        """Write what staging could not read, once for each version of raw."""
        table = self._lake.table(QUARANTINE)
        done = table.transaction(STAGING)
        if staged.unreadable and (done is None or done < raw_version):
            self._engine.write(UNREADABLE, table, None, transaction=(STAGING, raw_version))


def _counts_in(model: Model) -> bool:
    """Whether a table is what it was and what the run adds: then it is always other than before."""
    return any(name.startswith(FORMER_PREFIX) for name in model.inputs)


def hour_columns() -> set[str]:
    """The columns of the observation by whose hours tables are kept."""
    return {model.touched for model in load_models()}


def messages_of(start: datetime, end: datetime) -> str:
    """The messages that may hold posts of [start, end), as SQL.

    A page has no time of its own: its posts are told apart after staging.
    """
    first, last = (f"'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'" for at in (start, end))
    return f"event_at is null or (event_at >= {first} and event_at < {last})"


def hours_of(start: datetime, end: datetime) -> list[datetime]:
    """The hours of [start, end)."""
    return [start + timedelta(hours=number) for number in range(int((end - start) / timedelta(hours=1)))]
