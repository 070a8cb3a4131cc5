"""The table `check_result`: what every check found, run by run.

Owns its definition, writing and reading. A row is written before its run commits, so that the reason is there
also for a run that was stopped. Leaves the checks to `checks`. The name is not `check`: SQL keeps that word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.lake.definition import TIMESTAMP, Column, Severity, TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.warehouse.checks import Result

CHECK_RESULT = TableDefinition(
    name="check_result",
    layer=2,
    grain="one check of one table in one attempt of a run",
    key=("started_at", "table_name", "check_name"),
    columns=(
        Column("run", pa.int64(), "Number that the run has, or would have had if it had not been stopped."),
        Column("started_at", TIMESTAMP, "When the attempt began."),
        Column("table_name", pa.string(), "The table."),
        Column("check_name", pa.string(), "The kind of the check and its columns."),
        Column("severity", pa.string(), "fail: the run is stopped; warn: it is told."),
        Column("passed", pa.bool_(), "Whether the check holds."),
        Column("looked_at", pa.int64(), "Rows, values or messages looked at."),
        Column("wrong", pa.int64(), "How many of them break the check."),
        Column("measured", pa.float64(), "freshness: age in seconds; volume: share of what is usual."),
        Column("told", pa.string(), "The finding as a sentence."),
    ),
)


@dataclass(frozen=True)
class Kept:
    """A result as it was kept."""

    run: int
    started_at: datetime
    result: Result


def write_results(lake: Lake, run: int, started_at: datetime, results: Sequence[Result]) -> None:
    """Keep the results of one attempt, in one commit."""
    rows = [
        {
            "run": run,
            "started_at": started_at,
            "table_name": result.table,
            "check_name": result.check,
            **result.finding(),
        }
        for result in results
    ]
    lake.table(CHECK_RESULT).append(pa.Table.from_pylist(rows, schema=CHECK_RESULT.schema))


def read_results(lake: Lake, since: datetime | None = None) -> list[Kept]:
    """The results of every attempt since then, of the last attempt if None; oldest first."""
    table = lake.table(CHECK_RESULT)
    if not table.exists():
        return []
    names = list(CHECK_RESULT.schema.names)
    if since is None:
        starts = [batch.column(0) for batch in table.scan(["started_at"], "true")]
        since = max((value for column in starts for value in column.to_pylist()), default=None)
        if since is None:
            return []
    where = f"started_at >= '{since.isoformat()}'"
    kept = [
        _kept(row)
        for batch in table.scan(names, where)
        for row in batch.filter(
            pc.greater_equal(batch["started_at"], pa.scalar(since, TIMESTAMP))
        ).to_pylist()
    ]
    return sorted(kept, key=lambda one: (one.started_at, one.result.table, one.result.check))


def _kept(row: dict[str, object]) -> Kept:
    result = Result(
        table=str(row["table_name"]),
        check=str(row["check_name"]),
        severity=Severity(str(row["severity"])),
        wrong=int(str(row["wrong"])),
        looked_at=int(str(row["looked_at"])),
        told=str(row["told"]),
        measured=None if row["measured"] is None else float(str(row["measured"])),
    )
    started_at = row["started_at"]
    assert isinstance(started_at, datetime)  # noqa: S101  the schema says so
    return Kept(int(str(row["run"])), started_at, result)
