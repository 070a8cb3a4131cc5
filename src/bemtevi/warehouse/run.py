"""The table `run`: the commit point of layer 2.

Owns its definition and the reading of its last row. A row is written last; it names the version of `raw` that
was read and the version of every table that belongs together. Readers open the tables at those versions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime

import pyarrow as pa

from bemtevi.lake.definition import TIMESTAMP, Column, TableDefinition
from bemtevi.lake.lake import Lake

VERSIONS = pa.list_(pa.struct([("table", pa.string()), ("version", pa.int64())]))

RUN = TableDefinition(
    name="run",
    layer=2,
    grain="one step of consolidation that changed something",
    key=("number",),
    columns=(
        Column("number", pa.int64(), "Counted from 1; the last one is what readers see."),
        Column("kind", pa.string(), "incremental: what was new; period: the hours of --from and --to again."),
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

    @property
    def table_versions(self) -> dict[str, int]:
        """The version of each table by its name."""
        return {str(entry["table"]): int(entry["version"]) for entry in self.versions}

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()


def last_run(lake: Lake) -> Run | None:
    """The last run of the lake, or None."""
    rows = lake.table(RUN).read()
    if rows.num_rows == 0:
        return None
    newest = max(rows.to_pylist(), key=lambda row: row["number"])
    return Run(**{field.name: newest[field.name] for field in fields(Run)})


def commit_run(lake: Lake, run: Run) -> None:
    """Write the row that makes a run visible.

    Raises ConflictError if another run was committed under the same number.
    """
    rows = pa.Table.from_pylist([vars(run)], schema=RUN.schema)
    lake.table(RUN).append(rows, ("run", run.number))
