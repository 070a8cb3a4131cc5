"""Rebuild: tables of layer 2 made anew from layer 1, beside what readers see, and shown as one step.

Owns what is made anew from what, in which steps, and that nobody sees it before all of it is there. The steps
commit versions that no run names: readers stay at those of the last run, and one row of `run` at the end
shows everything at once. A rebuild that is killed is undone by whoever comes next, like any run. Leaves the
making of the tables to `consolidate`, whose steps these are, so that memory is bounded by the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from bemtevi import crashpoint
from bemtevi.errors import UsageError
from bemtevi.lake.lake import LOCK, LOCKED_FOR, acquire
from bemtevi.lake.maintenance import MaintainedTable, in_steps
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.table import ZONE_PROPERTY
from bemtevi.warehouse.concerned import Hours
from bemtevi.warehouse.consolidate import Consolidation, Made, Plan
from bemtevi.warehouse.engine import UNREADABLE, Staged
from bemtevi.warehouse.hours import hours_of, messages_of, midnight, within
from bemtevi.warehouse.inspection import Inspection
from bemtevi.warehouse.model import (
    CREATED_HOUR,
    FACT,
    OBSERVATION,
    SINCE_PREFIX,
    Model,
    Scope,
    hour_columns,
    load_models,
    table_of,
)
from bemtevi.warehouse.run import (
    Run,
    all_runs,
    begun,
    check_zone,
    commit_run,
    refuse_other_partitions,
    refuse_others,
    refuse_removed,
    restored,
)
from bemtevi.warehouse.writing import Writing, written_replacement

Period = tuple[datetime, datetime]
Told = Callable[[float], None]
"""Is told the share that is done, from 0 to 1."""


class Rebuild(Consolidation):
    """Makes tables of one lake anew. Holds the lake's lock while it does."""

    def run(self, table: str | None, period: Period | None, told: Told) -> Run | None:
        """Make everything anew, or one table and what is made of it, or both of a period alone.

        The run that shows it; None if nothing was consolidated yet. Raises UsageError, CheckError if a check
        that must hold does not: the old content stays.
        """
        whole = table is None and period is None
        wanted = self._wanted(table)
        with acquire(self._lake.lock(LOCK), LOCKED_FOR, self._patience):
            if not whole:
                check_zone(self._lake)
            last = restored(self._lake, load_models())
            if last is None:
                return None
            if period is not None:
                refuse_other_partitions(self._lake, wanted, last)
            self._models = wanted
            self._loaded = self._parents(wanted)
            self._from = dict(last.table_versions)
            number = last.number + 1
            started_at = self._clock()
            names = {model.name for model in wanted}
            made = Made(dict(self._from), watermark=last.watermark)
            # a table that reads messages is made of layer 1; others of the tables that they read
            from_messages = any(OBSERVATION in model.inputs for model in wanted)
            if from_messages:
                refuse_removed(self._lake, period[0] if period else datetime.min.replace(tzinfo=UTC))
                steps = self._from_messages(last, period)
            else:
                steps = self._from_tables(period)
            if period is None:
                for model in wanted:
                    empty = model.definition.schema.empty_table()
                    made.versions[model.name] = self._lake.table(model.definition).make_anew(empty)
            for share, files, part in steps:
                inspection = Inspection(self._lake, self._engine, number, self._clock(), live=False)
                if from_messages:
                    hours = None if part is None else {CREATED_HOUR: hours_of(*part)}
                    self._advance(made, files, last.raw_version, hours, inspection, again=part is not None)
                elif part is not None:
                    touched = dict.fromkeys(hour_columns(), hours_of(*part))
                    self._bring(made, touched, inspection, again=period is not None)
                crashpoint.reach("rebuild.step")
                told(share)
            for model in wanted:
                of_table = self._lake.table(model.definition)
                made.versions[model.name] = of_table.set_property(ZONE_PROPERTY, self._lake.timezone)
            if period is None and FACT in names:
                made.posts_before = sum(run.posts_after - run.posts_before for run in all_runs(self._lake))
                facts = MaintainedTable.of(self._lake, _model(FACT).definition)
                made.posts_after = sum(file.rows for file in facts.data_files(made.versions[FACT]))
            elif FACT not in names:
                made.posts_before = made.posts_after = 0
            made.tombstone_version = last.tombstone_version
            crashpoint.reach("rebuild.made")
            run = self._row("rebuild", number, started_at, last.raw_version, made)
            refuse_others(self._lake, begun(self._lake, load_models(), last), run, load_models())
            commit_run(self._lake, run)
            return run

    def _wanted(self, table: str | None) -> tuple[Model, ...]:
        """The table and all that is made of it, each after what it reads."""
        models = load_models()
        if table is None:
            return models
        names = [model.name for model in models]
        if table not in names:
            raise UsageError(f"There is no table {table} in layer 2; there are {', '.join(sorted(names))}.")
        wanted = {table}
        while True:
            for model in models:  # in the order of what reads what
                if _reads(model) & wanted:
                    wanted.add(model.name)
            chosen = tuple(model for model in models if model.name in wanted)
            # the steps go by hours of creation: what is not kept by them is made too
            whole = {model.name for model in self._parents(chosen) if model.scope is not Scope.HOURS}
            if not whole:
                return chosen
            wanted |= whole

    def _parents(self, wanted: Sequence[Model]) -> tuple[Model, ...]:
        """The tables that are read and not made."""
        names = {model.name for model in wanted}
        read = {name for model in wanted for name in _reads(model)} - names
        return tuple(model for model in load_models() if model.name in read)

    def _from_messages(
        self, last: Run, period: Period | None
    ) -> Iterator[tuple[float, list[str], Period | None]]:
        """The steps through layer 1: what will be done, some files, and the hours that they are read for."""
        table = MaintainedTable.of(self._lake, RAW)
        if period is not None:
            start, end = period
            for first in _days(start, end):
                until = min(first + timedelta(days=1), end)
                files = table.files(last.raw_version, messages_of(first, until))
                yield (until - start) / (end - start), files, (first, until)
            return
        all_files = table.data_files(last.raw_version)
        total = sum(file.size for file in all_files) or 1
        done = 0
        for step in in_steps(all_files, self._batch_bytes):
            done += sum(file.size for file in step)
            yield done / total, [f"{table.uri}/{file.path}" for file in step], None

    def _from_tables(self, period: Period | None) -> Iterator[tuple[float, list[str], Period | None]]:
        """The steps through the tables that are read, as they are, some days at a time, oldest first."""
        if period is None:
            days = {
                file.day
                for model in self._loaded
                for file in MaintainedTable.of(self._lake, model.definition).data_files(
                    self._from.get(model.name)
                )
                if file.day
            }
            if not days:
                if not self._loaded:  # made of nothing
                    start = datetime.combine(date.min, time(), UTC)
                    yield 1.0, [], (start, start + timedelta(hours=1))
                return
            zone = self._zone
            period = (
                midnight(min(days), zone),
                midnight(max(days) + timedelta(days=1), zone) + timedelta(hours=1),
            )
        else:
            days = None
        start, end = period
        for first in _days(start, end):
            until = min(first + timedelta(days=1), end)
            near = {first.date() + timedelta(days=shift) for shift in (-1, 0, 1)}
            if days is None or near & days:
                yield (until - start) / (end - start), [], (first, until)

    def _make(
        self,
        versions: Mapping[str, int],
        touched: Hours,
        inspection: Inspection,
        writing: Writing,
        *,
        again: bool,
    ) -> dict[str, Plan]:
        for model in self._loaded:
            table, hours = self._lake.table(model.definition), touched[model.touched]
            self._engine.load(
                model, table.files(self._from[model.name], within(model, hours, self._zone)), hours
            )
        plans = super()._make(versions, touched, inspection, writing, again=again)
        for model in self._loaded:
            self._engine.drop(model.name)
        return plans

    def _define_beside(self, name: str, versions: Mapping[str, int], touched: Hours) -> None:
        loaded = {model.name for model in self._loaded}
        if name.startswith(SINCE_PREFIX) and table_of(name) in loaded:
            # what is later comes with a later step
            versions = {table: at for table, at in versions.items() if table != table_of(name)}
        super()._define_beside(name, versions, touched)

    def _quarantine(self, staged: Staged, raw_version: int) -> None:
        """Write what this version cannot read and an earlier one could."""
        del raw_version
        table = self._lake.table(QUARANTINE)
        if staged.unreadable and self._engine.leave_out(table.snapshot().files):
            written_replacement(table, [], self._engine.writing(UNREADABLE)).commit()


def _reads(model: Model) -> set[str]:
    return {table_of(name) for name in model.inputs}


def _model(name: str) -> Model:
    return next(model for model in load_models() if model.name == name)


def _days(start: datetime, end: datetime) -> Iterator[datetime]:
    """The beginnings of steps of a day through [start, end)."""
    while start < end:
        yield start
        start += timedelta(days=1)
