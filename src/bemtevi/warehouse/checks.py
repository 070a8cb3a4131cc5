"""Checks: what each table promises of its content, looked at inside every run before it commits.

Owns the questions that a check asks, in the SQL of the models, and the judgement of the answers. The checks
themselves stand in the tables' headers. Leaves to `check_result` where results are kept, to `fields` what is
learned of the messages, and to `consolidate` when which table is looked at.

A check of severity `fail` is a promise of ours: it does not depend on what a network sends, so that bad data
from outside never stops a run.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bemtevi.lake.definition import Check, CheckKind, Severity
from bemtevi.lake.literal import texts

Ask = Callable[[str], Sequence[tuple[Any, ...]]]
"""Answers one SELECT over the tables just made."""

PAST_DAYS = 7
PAST_LEAST = 3
"""Fewer of the past days with posts are no past to compare with."""


@dataclass(frozen=True)
class Result:
    """What one check of one table found."""

    table: str
    check: str
    severity: Severity
    wrong: int
    looked_at: int
    told: str
    """One sentence without any text of a post."""
    measured: float | None = None
    """freshness: seconds since the newest row; volume: share of what is usual."""

    @property
    def passed(self) -> bool:
        """Whether the check holds."""
        return self.wrong == 0

    def finding(self) -> dict[str, object]:
        """What was found, by name, for who keeps or shows it beside the table and the check."""
        return {
            "severity": self.severity.value,
            "passed": self.passed,
            "looked_at": self.looked_at,
            "wrong": self.wrong,
            "measured": self.measured,
            "told": self.told,
        }


def look_at_rows(table: str, checks: Sequence[Check], ask: Ask) -> list[Result]:
    """The checks that need the rows of one table: not_null, accepted_values, unique."""
    conditions = [(check, _wrong_row(check)) for check in checks]
    by_row = [(check, condition) for check, condition in conditions if condition]
    counts = ", ".join(f"count(case when {condition} then 1 end)" for _, condition in by_row)
    ((rows, *wrong),) = ask(f"select count(*), {counts} from {table}")
    results = [
        Result(table, check.name, check.severity, number, rows, _told(table, check, number))
        for (check, _), number in zip(by_row, wrong, strict=True)
    ]
    for check in checks:
        if check.kind is CheckKind.UNIQUE:
            key = ", ".join(check.columns)
            repeated = f"select {key} from {table} group by {key} having count(*) > 1"
            ((number,),) = ask(f"select count(*) from ({repeated}) as again")
            results.append(
                Result(table, check.name, check.severity, number, rows, _told(table, check, number))
            )
    return results


def look_across(table: str, checks: Sequence[Check], ask: Ask, whole: Collection[str] = ()) -> list[Result]:
    """The checks that need two tables: references. Null refers to nothing.

    `whole`: tables that may be much larger than what refers to them.
    """
    results = []
    for check in checks:
        if check.kind is not CheckKind.REFERENCES:
            continue
        columns = ", ".join(check.columns)
        there = " and ".join(f"{column} is not null" for column in check.columns)
        keys = check.key or check.columns
        values = f"select {columns} from {table} where {there}"
        counts = f"select (select count(*) from ({values}) as value)"
        if check.table in whole:
            # the engine holds the few values and passes the many keys by, a third of the work of holding keys
            same = " and ".join(
                f"known.{key} = asked.{column}" for key, column in zip(keys, check.columns, strict=True)
            )
            of_asked = ", ".join(f"asked.{column}" for column in check.columns)
            asked = f"select distinct {columns} from {table} where {there}"
            met = f"select distinct {of_asked} from {check.table} as known inner join asked on {same}"
            ((of, all_, found),) = ask(
                f"with asked as ({asked}) {counts}, (select count(*) from asked), "
                f"(select count(*) from ({met}) as met)"
            )
            wrong = all_ - found
        else:
            missing = f"{values} except select {', '.join(keys)} from {check.table}"
            ((of, wrong),) = ask(f"{counts}, (select count(*) from ({missing}) as missing)")
        results.append(Result(table, check.name, check.severity, wrong, of, _told(table, check, wrong)))
    return results


def newest_query(table: str, check: Check) -> str:
    """The question that `judge_freshness` needs answered."""
    return f"select max({check.columns[0]}) from {table}"


def judge_freshness(table: str, check: Check, newest: datetime | None, now: datetime) -> Result:
    """Whether the newest row is young enough."""
    if newest is None:
        return Result(table, check.name, check.severity, 0, 0, f"{table} has no row")
    age = max((now - newest).total_seconds(), 0.0)
    wrong = int(age > check.hours * 3600)
    told = f"the newest row of {table} is {age / 3600:,.1f} hours old, {check.hours:g} are expected at most"
    return Result(table, check.name, check.severity, wrong, 1, told, age)


def hour_to_judge(hours: Sequence[datetime], now: datetime) -> datetime | None:
    """The last of some hours that is over."""
    over = [hour for hour in hours if hour + timedelta(hours=1) <= now]
    return max(over, default=None)


def past_of(hour: datetime) -> list[datetime]:
    """The hours that a volume is compared with: the same hour of the days before."""
    return [hour - timedelta(days=days) for days in range(1, PAST_DAYS + 1)]


def judge_volume(table: str, check: Check, hour: datetime, counts: Mapping[datetime, int]) -> Result:
    """Whether an hour has about as many rows as the same hour of the days before."""
    past = [counts[at] for at in past_of(hour) if counts.get(at)]
    usual = statistics.median(past) if len(past) >= PAST_LEAST else 0.0
    if usual < check.least:
        told = f"{table} has too little past to compare {hour.astimezone(UTC):%Y-%m-%d %H}h UTC with"
        return Result(table, check.name, check.severity, 0, 0, told)
    now = counts.get(hour, 0)
    share = now / usual
    wrong = int(not check.lowest <= share <= check.highest)
    told = (
        f"{table} has {now:,} rows in the hour {hour.astimezone(UTC):%Y-%m-%d %H}h UTC, "
        f"{share:.2f} times the usual {usual:,.0f}"
    )
    return Result(table, check.name, check.severity, wrong, 1, told, share)


def stale(result: Result, checked_at: datetime, now: datetime, checks: Mapping[str, Check]) -> Result:
    """A result of freshness as it is now: time goes on also when no run comes."""
    check = checks.get(result.check)
    if check is None or check.kind is not CheckKind.FRESHNESS or result.measured is None:
        return result
    return judge_freshness(result.table, check, checked_at - timedelta(seconds=result.measured), now)


def _wrong_row(check: Check) -> str | None:
    """The condition that a row breaks a check; None if rows do not tell."""
    if check.kind is CheckKind.NOT_NULL:
        return " or ".join(f"{column} is null" for column in check.columns)
    if check.kind is CheckKind.ACCEPTED_VALUES:
        (column,) = check.columns
        return f"{column} is not null and {column} not in ({texts(check.values)})"
    return None


def _told(table: str, check: Check, number: int) -> str:
    columns = ", ".join(check.columns)
    what = {
        CheckKind.NOT_NULL: f"rows with a null in {columns}",
        CheckKind.UNIQUE: f"keys ({columns}) that repeat",
        CheckKind.ACCEPTED_VALUES: f"rows with a {columns} that is none of {', '.join(check.values)}",
        CheckKind.REFERENCES: f"values of {columns} that {check.table} has not",
    }[check.kind]
    return f"{table} has {number or 'no'} {what}"
