"""The inspection of one run: every check of every table that it makes, and the end of a run that must not be.

Owns which checks are asked when, and that results are kept before anything is committed. Leaves the questions
and their judgement to `checks`, and the messages' fields to `fields`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bemtevi import metrics
from bemtevi.errors import CheckError
from bemtevi.lake.definition import Check, CheckKind, Severity
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.warehouse import checks, fields
from bemtevi.warehouse.check_result import write_results
from bemtevi.warehouse.checks import Result
from bemtevi.warehouse.engine import Engine
from bemtevi.warehouse.hours import instants
from bemtevi.warehouse.model import Model, Scope

LEARNING = "fields"
"""The application of the transactions that keep what was learned of the messages."""


class Inspection:
    """Of one attempt of a run: collects results, keeps them, and stops what must not be committed."""

    def __init__(
        self, lake: Lake, engine: Engine, number: int, started_at: datetime, *, live: bool = True
    ) -> None:
        """`live`: the run brings what is new. Else nothing is asked about now: volume, age, fields."""
        self._live = live
        self._lake = lake
        self._engine = engine
        self._number = number
        self._started_at = started_at
        self.results: list[Result] = []
        self._learned: tuple[list[fields.Known], int] | None = None

    def look_at_messages(self, files: Sequence[str], raw_version: int) -> None:
        """Learn the fields of some new messages, once for each version of raw."""
        table = self._lake.table(fields.PAYLOAD_FIELD)
        done = table.transaction(LEARNING)
        wanted = [check for check in RAW.checks if check.kind is CheckKind.FIELDS]
        if not self._live or not files or not wanted or (done is not None and done >= raw_version):
            return
        (check,) = wanted
        samples = fields.sample(self._lake.table(RAW), files)
        learned = fields.learn(fields.read_fields(table), samples, self._started_at, check.least)
        looked_at = sum(found.messages for found in samples.values())
        self.results.append(fields.judge(check, learned, looked_at))
        self._learned = learned.known, raw_version

    def look_at_table(self, model: Model) -> None:
        """The checks that a table just made answers by itself. Raises CheckError if one of them must hold."""
        found = checks.look_at_rows(model.name, model.definition.all_checks, self._engine.ask)
        for check in self._of(model, CheckKind.FRESHNESS):
            ((newest,),) = self._engine.ask(checks.newest_query(model.name, check))
            found.append(checks.judge_freshness(model.name, check, newest, self._started_at))
        self.results += found
        if any(_stops(result) for result in found):
            self.conclude()

    def look_across(self, models: Sequence[Model]) -> None:
        """The checks that compare the tables just made. One that is not among them is not compared with."""
        there = {model.name for model in models}
        whole = {model.name for model in models if model.scope is Scope.WHOLE}
        for model in models:
            asked = [check for check in model.definition.checks if check.table in there]
            self.results += checks.look_across(model.name, asked, self._engine.ask, whole)

    def look_back(self, model: Model, version: int | None, hours: Sequence[datetime]) -> None:
        """The checks of a table just made against its recent past."""
        hour = checks.hour_to_judge(hours, self._started_at)
        for check in self._of(model, CheckKind.VOLUME):
            if hour is None:
                continue
            past = [at for at in checks.past_of(hour) if at not in set(hours)]
            where = f"created_hour in ({instants([hour, *checks.past_of(hour)])})"
            dates = {(at + shift).date() for at in past for shift in (-timedelta(days=1), timedelta(days=1))}
            dates |= {at.date() for at in past}
            days = ", ".join(f"'{day}'" for day in sorted(dates))
            table = self._lake.table(model.definition)
            files = (
                []
                if version is None or not past
                else table.files(version, f"created_date in ({days}) and {where}")
            )
            name = f"recent_{model.name}"
            self._engine.define_beside(name, model, files, hours, where)
            counted = self._engine.ask(
                f"select created_hour, count(*) from {name} where {where} group by created_hour"
            )
            counts = {at: int(number) for at, number in counted}
            self.results.append(checks.judge_volume(model.name, check, hour, counts))

    def conclude(self) -> None:
        """Keep the results. Raises CheckError if one of them stops the run."""
        for result in self.results:
            metrics.checked(result.table, result.check, result.severity.value, passed=result.passed)
        if self.results:
            write_results(self._lake, self._number, self._started_at, self.results)
        stopping = [result for result in self.results if _stops(result)]
        if stopping:
            more = f" And {len(stopping) - 1} more." if len(stopping) > 1 else ""
            raise CheckError(
                f"{stopping[0].told}: the run was stopped and changed nothing.{more} See `bemtevi checks`."
            )
        if self._learned is not None:
            known, raw_version = self._learned
            fields.write_fields(self._lake.table(fields.PAYLOAD_FIELD), known, (LEARNING, raw_version))

    def _of(self, model: Model, kind: CheckKind) -> list[Check]:
        """The checks of a kind that are about now."""
        return [check for check in model.definition.checks if check.kind is kind and self._live]


def _stops(result: Result) -> bool:
    return result.severity is Severity.FAIL and not result.passed
