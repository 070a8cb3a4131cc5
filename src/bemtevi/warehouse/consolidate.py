"""Consolidation: what is new in layer 1, into every table of layer 2, as one visible step.

Owns what is read, what is replaced and when it becomes visible. A batch touches some UTC hours; for each of
them the existing rows and the new observations become one row per key, and the hours are replaced. The
result is the same for any order, repetition or slicing of the messages. Leaves the work to an engine.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from bemtevi import __version__
from bemtevi.lake.lake import LOCK, LOCKED_FOR, Lake, acquire
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.warehouse.concerned import NO_HOUR, Concerned, Hours, some_at_once
from bemtevi.warehouse.deletion import Deletions
from bemtevi.warehouse.engine import UNREADABLE, Engine, Staged, Write
from bemtevi.warehouse.hours import (
    HOUR,
    dates_of,
    hours_of,
    instant,
    local_dates,
    messages_of,
    on_dates,
    since,
    within,
)
from bemtevi.warehouse.inspection import Inspection
from bemtevi.warehouse.model import (
    CREATED_HOUR,
    DAY_PREFIX,
    EXISTING_TOUCHED,
    FACT,
    OBSERVATION,
    OBSERVED_HOUR,
    WHOLE_PREFIX,
    Model,
    Scope,
    hour_columns,
    load_models,
    table_of,
)
from bemtevi.warehouse.run import (
    Run,
    begun,
    check_zone,
    commit_run,
    files_of,
    pinned,
    refuse_other_partitions,
    refuse_others,
    refuse_removed,
    restored,
)
from bemtevi.warehouse.writing import Writing, written_replacement

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
    tombstone_version: int | None = None
    """The version of tombstone that everything obeys."""
    watermark: datetime | None = None
    """The newest hour of writing seen so far."""
    late: int = 0
    dates: dict[str, set[date]] = field(default_factory=dict)
    """The local dates of the hours replaced, by the column of the observation that they are of."""


@dataclass(frozen=True)
class Plan:
    """What a run replaces in a table: some hours, with the rows there before and after."""

    hours: Sequence[datetime]
    before: int
    after: int


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
        self._tables = {model.name: lake.table(model.definition) for model in self._models}
        self._zone = ZoneInfo(lake.timezone)
        self._deletions = Deletions(lake, engine, clock)
        self._before: dict[str, int] = {}
        """The version of each table that the next step begins with."""

    def run_new(self) -> Iterator[Run]:
        """Consolidate what is new, batch by batch; yields each run once it is visible. Nothing new, no run.

        Raises CheckError if a check that must hold does not: the old content stays.
        """
        with acquire(self._lake.lock(LOCK), LOCKED_FOR, self._patience):
            check_zone(self._lake)
            last = restored(self._lake, self._models)
            if last is not None:
                refuse_other_partitions(self._lake, self._models, last)
            self._before = begun(self._lake, self._models, last)
            raw = self._lake.table(RAW)
            upto = raw.version()
            done = -1 if last is None else last.raw_version
            for files, version in self._batches(done, upto):
                self._deletions.note_notices(files)
                for run in self._obey(last):
                    last = run
                    yield run
                last = self._step("incremental", files, version, last)
                yield last
            yield from self._obey(last)

    def run_period(self, start: datetime, end: datetime) -> Iterator[Run]:
        """Make the hours of [start, end) again from all of layer 1 that is consolidated so far."""
        with acquire(self._lake.lock(LOCK), LOCKED_FOR, self._patience):
            check_zone(self._lake)
            last = restored(self._lake, self._models)
            if last is None:
                return
            refuse_other_partitions(self._lake, self._models, last)
            self._before = begun(self._lake, self._models, last)
            refuse_removed(self._lake, start)
            yield self._step_again("period", hours_of(start, end), last)

    def _obey(self, last: Run | None) -> Iterator[Run]:
        """Take what new tombstones delete out of every table, and bring back what they restore."""
        version = self._deletions.version()
        if last is None or version is None or last.tombstone_version == version:
            return
        fact = next(model for model in self._models if model.name == FACT)
        self._deletions.note_posts_of_asked(fact, self._files(fact, last.table_versions))
        version = self._deletions.version()
        changes = self._deletions.changes(last.tombstone_version)
        concerned = Concerned(self._lake, self._engine, self._models)
        for hours in some_at_once(concerned.gone(changes, last)):
            last = self._step("deletion", [], last.raw_version, last, hours)
            yield last
        for hours in some_at_once({CREATED_HOUR: concerned.back(changes, last)}):
            last = self._step_again("deletion", hours[CREATED_HOUR], last)
            yield last
        # told last: a process that is killed before begins again
        made = Made(dict(last.table_versions), tombstone_version=version, watermark=last.watermark)
        last = self._row("deletion", last.number + 1, self._clock(), last.raw_version, made)
        commit_run(self._lake, last)
        yield last

    def _files(self, model: Model, versions: Mapping[str, int], where: str | None = None) -> list[str]:
        """The files of a table at its version, all or those with rows of `where`; none before its first."""
        return files_of(self._tables[model.name], versions, where)

    def _step_again(self, kind: str, hours: Sequence[datetime], last: Run) -> Run:
        """Make some hours again from all of layer 1 that is consolidated so far."""
        files = self._lake.table(RAW).files(last.raw_version, messages_of(min(hours), max(hours) + HOUR))
        return self._step(kind, files, last.raw_version, last, {CREATED_HOUR: hours}, again=True)

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
        hours: Hours | None = None,
        *,
        again: bool = False,
    ) -> Run:
        """One run. `hours`: those to replace, instead of those of new observations; `again`, from layer 1
        alone."""
        started_at = self._clock()
        number = 1 if last is None else last.number + 1
        made = Made({} if last is None else dict(last.table_versions))
        made.watermark = None if last is None else last.watermark
        inspection = Inspection(self._lake, self._engine, number, started_at, live=hours is None)
        self._advance(made, files, raw_version, hours, inspection, again=again)
        if last is not None:
            made.tombstone_version = last.tombstone_version
        run = self._row(kind, number, started_at, raw_version, made)
        refuse_others(self._lake, self._before, run, self._models)
        commit_run(self._lake, run)
        self._before |= run.table_versions
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
            tombstone_version=made.tombstone_version,
            versions=pinned(made.versions),
            watermark=made.watermark,
            late=made.late,
            created_dates=sorted(made.dates.get(CREATED_HOUR, ())),
            observed_dates=sorted(made.dates.get(OBSERVED_HOUR, ())),
        )

    def _advance(
        self,
        made: Made,
        files: Sequence[str],
        raw_version: int,
        hours: Hours | None,
        inspection: Inspection,
        *,
        again: bool = False,
    ) -> None:
        """Stage some files of raw and bring the tables up to them, from the versions that `made` has."""
        engine = self._engine
        new = hours is None
        staged = engine.stage(files, None if hours is None else hours[CREATED_HOUR])
        made.tombstone_version = self._deletions.hide()
        touched = {column: engine.touched_hours(column) for column in hour_columns()} | dict(hours or {})
        if new:
            self._quarantine(staged, raw_version)
            inspection.look_at_messages(files, raw_version)
            made.quarantined += staged.unreadable
            self._note_late(made, touched[CREATED_HOUR])
        made.messages += staged.messages
        made.observations += staged.observations
        if staged.observations or not new:
            self._bring(made, touched, inspection, again=again)
        else:
            inspection.conclude()
        engine.drop(OBSERVATION)

    def _note_late(self, made: Made, hours: Sequence[datetime]) -> None:
        """Count what was written before the watermark, and move it on."""
        before = made.watermark
        if before is not None and hours and min(hours) < before:
            ((late,),) = self._engine.ask(
                f"select count(*) from observation where created_hour < {instant(before)}"
            )
            made.late += int(late)
        made.watermark = max([*hours, *([before] if before else [])], default=None)

    def _bring(self, made: Made, touched: Hours, inspection: Inspection, *, again: bool) -> None:
        """Make the tables of some hours, check them and commit them."""
        with Writing() as writing:
            plans = self._make(made.versions, touched, inspection, writing, again=again)
            inspection.conclude()
            made.versions |= writing.commit()
        for model in self._models:
            self._engine.drop(model.name)
        if FACT in plans:
            made.posts_before += plans[FACT].before
            made.posts_after += plans[FACT].after
        for column, hours in touched.items():
            replaced = [hour for hour in hours if hour != NO_HOUR]
            made.dates.setdefault(column, set()).update(local_dates(replaced, self._zone))
            made.hours += len(replaced) if column == CREATED_HOUR else 0

    def _make(
        self,
        versions: Mapping[str, int],
        touched: Hours,
        inspection: Inspection,
        writing: Writing,
        *,
        again: bool,
    ) -> dict[str, Plan]:
        """Run every model and begin to write what it makes; what is replaced.

        `again` forgets the posts of the hours.
        """
        engine = self._engine
        plans = {}
        readers = [model for model in self._models if OBSERVATION in model.inputs]
        for model in self._models:
            hours = touched[model.touched]
            files: list[str] = []
            existing = 0
            if model.scope is Scope.HOURS:
                files = self._files(model, versions, within(model, hours, self._zone))
                existing = engine.define_existing(model, files, hours)
                if again and model.touched == CREATED_HOUR:
                    engine.define_existing(model, [], hours)
                files = files if existing else []
            elif model.scope is Scope.WHOLE:
                files = self._files(model, versions)
                existing = engine.define_existing(model, files, None)
            elif model.scope is Scope.KEYS:
                pass  # what is there of the keys is known once the inputs are
            elif model.scope is Scope.SINCE:
                where = since(model, hours, self._zone)
                existing = engine.define_existing(model, self._files(model, versions), None)
                engine.define_existing_since(model, self._files(model, versions, where), where)
            else:
                files = self._files_of_dates(model, versions, hours)
            for name in model.inputs:
                if name == EXISTING_TOUCHED:
                    there = self._files(model, versions)
                    in_hours = self._files(model, versions, within(model, hours, self._zone))
                    existing = engine.define_existing_of_keys(model, there, in_hours, hours)
                elif name in model.needs and not engine.ask(model.needs[name]):
                    self._define_beside(name, {}, touched)
                else:
                    self._define_beside(name, versions, touched)
            made = engine.make(model)
            if model in readers[-1:]:
                engine.drop(OBSERVATION)  # the largest: not to be held beside all tables
            inspection.look_at_table(model)
            changed = True
            if model.scope is Scope.SINCE:
                hours = engine.keep_changed(model)
                files = self._files(model, versions, within(model, hours, self._zone))
                changed = bool(hours)
            elif model.scope is Scope.KEYS:
                hours = engine.changed_hours(model)
                files = self._files(model, versions, within(model, hours, self._zone))
                changed = bool(hours)
            elif model.scope is Scope.WHOLE and existing == made:
                changed = self._differs(model)
            # nothing changed, no version: but for the first, which makes the table
            if changed or model.name not in versions:
                writing.begin(self._tables[model.name], files, self._rows(model, files, hours))
            plans[model.name] = Plan(hours, existing, made)
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
        if name.startswith(WHOLE_PREFIX):
            where = "true"
        elif name.startswith(DAY_PREFIX):
            where = on_dates(model, hours, self._zone)
        else:
            where = since(model, hours, self._zone)
        files = self._files(model, versions, where)
        self._engine.define_beside(name, model, files, hours, where)

    def _rows(self, model: Model, replaced: Sequence[str], hours: Sequence[datetime]) -> Write:
        """What takes the place of some files of a table: what was just made, and their other hours."""
        name = f"kept_{model.name}"
        if model.scope is Scope.KEYS:
            self._engine.define_beside_keys(name, model, replaced)
            return self._engine.writing(name)
        if model.scope in (Scope.WHOLE, Scope.DATES) or not replaced:
            return self._engine.writing(model.name)
        self._engine.define_beside(name, model, replaced, hours, "true")
        return self._engine.writing(name)

    def _files_of_dates(
        self, model: Model, versions: Mapping[str, int], hours: Sequence[datetime]
    ) -> list[str]:
        """The files of the dates of some hours, each of one date."""
        ends = tuple(f"/{model.day}={date}/" for date in dates_of(model, hours, self._zone))
        files = self._files(model, versions, on_dates(model, hours, self._zone))
        # to be removed whole: what the log could not tell apart must not be among them
        return [file for file in files if any(end in file for end in ends)]

    def _quarantine(self, staged: Staged, raw_version: int) -> None:
        """Write what staging could not read, once for each version of raw."""
        table = self._lake.table(QUARANTINE)
        done = table.transaction(STAGING)
        if staged.unreadable and (done is None or done < raw_version):
            written_replacement(table, [], self._engine.writing(UNREADABLE)).commit((STAGING, raw_version))
