"""The table `run`: the commit point of layer 2.

Owns its definition, the reading of its last row, and the files that it names. A row is written last; it names
the version of `raw` that was read and the version of every table that belongs together. Readers open the
tables at those versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time

import pyarrow as pa

from bemtevi.errors import ConflictError, UsageError
from bemtevi.lake.commit import this_process
from bemtevi.lake.definition import TIMESTAMP, Column, Derived, TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.lake.table import Table
from bemtevi.warehouse.model import Model

MAINTENANCE = "maintenance"
"""The kind of a run that changes files but no row of what is kept."""

DATES = pa.list_(pa.date32())
VERSIONS = pa.list_(pa.struct([("table", pa.string()), ("version", pa.int64())]))

RUN = TableDefinition(
    name="run",
    layer=2,
    grain="one step of consolidation that changed something",
    key=("number",),
    columns=(
        Column("number", pa.int64(), "Counted from 1; the last one is what readers see."),
        Column(
            "kind",
            pa.string(),
            "incremental: what was new; period: the hours of --from and --to again; rebuild: tables made "
            "anew from layer 1; deletion: what new tombstones concern; maintenance: files rewritten, removed "
            "by age, or erased.",
        ),
        Column("started_at", TIMESTAMP, "When it began."),
        Column("finished_at", TIMESTAMP, "When it was committed."),
        Column("engine", pa.string(), "Engine that ran it."),
        Column("program", pa.string(), "Version of bemtevi."),
        Column("unicode", pa.string(), "Version of Unicode that folded the hashtags."),
        Column("timezone", pa.string(), "Zone of local times."),
        Column("raw_version", pa.int64(), "Version of raw up to which all is consolidated."),
        Column("messages", pa.int64(), "Messages read."),
        Column("observations", pa.int64(), "Posts in them, each as often as it was delivered."),
        Column("posts_before", pa.int64(), "Rows of fact_post in the touched hours before."),
        Column("posts_after", pa.int64(), "Rows of fact_post in the touched hours after."),
        Column("quarantined", pa.int64(), "Messages that should hold a post and gave none."),
        Column("hours", pa.int64(), "UTC hours that were replaced."),
        Column("versions", VERSIONS, "Version of each table that belongs to this run."),
        Column(
            "tombstone_version", pa.int64(), "Version of tombstone up to which all is obeyed; null: none."
        ),
        Column(
            "raw_from",
            pa.date32(),
            "Set by the maintenance that removed messages by age: the first UTC date received that is kept.",
        ),
        Column(
            "facts_from",
            pa.date32(),
            "Set by the maintenance that removed posts by age: the first local date created that is kept.",
        ),
        Column("watermark", TIMESTAMP, "The newest hour of writing that it or a run before it has seen."),
        Column(
            "late",
            pa.int64(),
            "Of the observations, posts written before the hour of the watermark that it began with.",
        ),
        Column(
            "created_dates",
            DATES,
            "Local dates of writing whose hours it replaced; null in runs that did not keep them.",
        ),
        Column("observed_dates", DATES, "The same of the hours in which authors were seen."),
    ),
    derived=(
        Derived(
            "repeated",
            pa.int64(),
            "case when kind = 'incremental' "
            "then greatest(observations - (posts_after - posts_before), 0) end",
            "Of the observations, those that brought no new post; null in a run that reads nothing new.",
        ),
    ),
)


@dataclass(frozen=True)
class Run:
    """One row of `run`."""

    number: int
    kind: str
    started_at: datetime
    finished_at: datetime
    engine: str
    program: str
    unicode: str
    timezone: str
    raw_version: int
    messages: int = 0
    observations: int = 0
    posts_before: int = 0
    posts_after: int = 0
    quarantined: int = 0
    hours: int = 0
    versions: list[dict[str, str | int]] = field(default_factory=list)
    tombstone_version: int | None = None
    raw_from: date | None = None
    facts_from: date | None = None
    watermark: datetime | None = None
    late: int = 0
    created_dates: list[date] | None = None
    observed_dates: list[date] | None = None

    @property
    def table_versions(self) -> dict[str, int]:
        """The version of each table by its name."""
        return {str(entry["table"]): int(entry["version"]) for entry in self.versions}

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()


def all_runs(lake: Lake) -> list[Run]:
    """Every run of the lake, oldest first."""
    names = [field.name for field in fields(Run)]
    rows = lake.table(RUN).read().select(names).to_pylist()
    return sorted((Run(**row) for row in rows), key=lambda run: run.number)


def last_run(lake: Lake) -> Run | None:
    """The last run of the lake, or None."""
    runs = all_runs(lake)
    return runs[-1] if runs else None


def last_consolidation(lake: Lake) -> Run | None:
    """The last run that brought something from layer 1, or None."""
    runs = [run for run in all_runs(lake) if run.kind != MAINTENANCE]
    return runs[-1] if runs else None


def commit_run(lake: Lake, run: Run) -> None:
    """Write the row that makes a run visible.

    Raises ConflictError if another run was committed under the same number.
    """
    rows = pa.Table.from_pylist([vars(run)], schema=RUN.schema)
    lake.table(RUN).append_once(rows, ("run", run.number))


def begun(lake: Lake, models: Sequence[Model], last: Run | None) -> dict[str, int]:
    """The version of each table that the next run begins with, after `restored`."""
    if last is None:
        return {model.name: max(lake.table(model.definition).version(), 0) for model in models}
    return dict(last.table_versions)


def refuse_others(lake: Lake, before: Mapping[str, int], run: Run, models: Sequence[Model]) -> None:
    """Refuse a run in which somebody else wrote between: a table is what the last run left, and our commits.

    So that no lock need be trusted: who was away for longer than their lease finds that others went on.
    Raises ConflictError; the next run brings the tables back.
    """
    for model in models:
        table = lake.table(model.definition)
        for version in range(before.get(model.name, 0) + 1, run.table_versions.get(model.name, 0) + 1):
            if table.writer(version) != this_process():
                raise ConflictError(
                    f"Another process wrote to {table.uri} during this run, which was not made visible; "
                    "run it again."
                )


def pinned(versions: dict[str, int]) -> list[dict[str, str | int]]:
    """Versions by table as a run keeps them."""
    return [{"table": name, "version": version} for name, version in sorted(versions.items())]


def files_of(table: Table, versions: Mapping[str, int], where: str | None = None) -> list[str]:
    """The files of a table at its version, all or those with rows of `where`; none before its first."""
    version = versions.get(table.definition.name)
    if version is None:
        return []
    return list(table.snapshot(version).files) if where is None else table.files(version, where)


def restored(lake: Lake, models: Sequence[Model]) -> Run | None:
    """The last run, with every table brought back to it: a run that was killed leaves no trace."""
    last = last_run(lake)
    if last is None:
        for model in models:
            table = lake.table(model.definition)
            if table.version() > 0:
                table.restore(0)
        return None
    versions = last.table_versions
    for model in models:
        table = lake.table(model.definition)
        known = versions.get(model.name, 0)
        if table.version() > known:
            # the restored version is the same content under a new number
            versions[model.name] = table.restore(known)
    return replace(last, versions=pinned(versions))


def check_zone(lake: Lake, run: Run | None = None) -> None:
    """Refuse a zone other than the one that the last run, or `run`, made the tables in. Raises UsageError."""
    run = run or last_run(lake)
    if run is not None and run.timezone != lake.timezone:
        raise UsageError(
            f"The lake {lake.layout.root} keeps its local times in {run.timezone}, the setting timezone says "
            f"{lake.timezone}: set BEMTEVI_TIMEZONE={run.timezone}, or change the lake with `bemtevi rebuild "
            f"--timezone {lake.timezone}`."
        )


def refuse_other_partitions(lake: Lake, models: Sequence[Model], last: Run) -> None:
    """Refuse tables that an earlier version of this program kept by other columns. Raises UsageError."""
    for model in models:
        version = last.table_versions.get(model.name)
        if version is not None and not lake.table(model.definition).has_its_partitions(version):
            raise UsageError(
                f"The table {model.name} was made by an earlier bemtevi, which kept it otherwise: "
                f"run `bemtevi rebuild --table {model.name}` once."
            )


def refuse_removed(lake: Lake, start: datetime) -> None:
    """Refuse to make hours again whose messages were removed by age: their posts would be lost.

    Raises UsageError.
    """
    kept_from = raw_kept_from(lake)
    if kept_from is not None and start < kept_from:
        day = f"{kept_from:%Y-%m-%d}"
        raise UsageError(
            f"Messages received before {day} were removed by age (retention_raw_days): hours before that "
            f"date cannot be made again without losing posts. Begin with --from {day}."
        )


def raw_kept_from(lake: Lake) -> datetime | None:
    """The time before which messages may have been removed by age; None if none were."""
    kept_from = max((run.raw_from for run in all_runs(lake) if run.raw_from is not None), default=None)
    return None if kept_from is None else datetime.combine(kept_from, time(), UTC)
