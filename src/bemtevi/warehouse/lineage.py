"""Where the rows of a table come from: the messages of layer 1, and the runs that wrote them.

Owns the lineage of one partition. Its messages are found as they were read: by staging them again, in steps
of bounded bytes, as the tombstones of now would have them. Leaves one post to `post_history`, how it is shown
to `cli.lineage`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.literal import parquet
from bemtevi.lake.maintenance import DataFile, MaintainedTable, in_steps
from bemtevi.lake.raw import RAW
from bemtevi.warehouse.deletion import Deletions
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.hours import HOUR, hours_of, instant, local_dates, messages_of, midnight
from bemtevi.warehouse.model import CREATED_HOUR, OBSERVATION, Model, Scope, load_models, table_of
from bemtevi.warehouse.run import MAINTENANCE, Run, all_runs, check_zone, raw_kept_from


@dataclass(frozen=True)
class Source:
    """Messages that came one way on one day."""

    network: str
    source: str
    path: str
    dialect: str
    received_date: date


@dataclass
class Counts:
    """What came from somewhere."""

    messages: int = 0
    observations: int = 0
    first_received_at: datetime | None = None
    last_received_at: datetime | None = None

    def add(self, messages: int, observations: int, first: datetime, last: datetime) -> None:
        """Some more."""
        self.messages += messages
        self.observations += observations
        self.first_received_at = min(first, self.first_received_at or first)
        self.last_received_at = max(last, self.last_received_at or last)


@dataclass
class Lineage:
    """The rows of one partition, and what they come from."""

    model: Model
    partition: str | None
    """As `column=value`; None for a table that is kept whole."""
    version: int
    rows: int
    sources: dict[Source, Counts] = field(default_factory=lambda: defaultdict(Counts))
    files: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    """By the files of `raw`."""
    hidden: int = 0
    """Observations of it that tombstones hide."""
    runs: list[Run] = field(default_factory=list)
    """Those that wrote it, oldest first."""
    silent: Counter[str] = field(default_factory=Counter)
    """Runs that changed the table and did not keep which dates, by kind."""
    raw_kept_from: datetime | None = None
    """Before that, messages may have been removed by age."""

    @property
    def table(self) -> str:
        """Its name."""
        return self.model.name

    @property
    def messages(self) -> int:
        """All of them."""
        return sum(counts.messages for counts in self.sources.values())

    @property
    def observations(self) -> int:
        """All of them."""
        return sum(counts.observations for counts in self.sources.values())


def lineage(
    lake: Lake, engine: DuckDBEngine, table: str, partition: str | None, batch_bytes: int, now: datetime
) -> Lineage:
    """The lineage of a partition as readers see it. Raises UsageError for a wrong table or partition."""
    model = _model(table)
    runs = all_runs(lake)
    if not runs or table not in runs[-1].table_versions:
        raise UsageError(f"The table {table} is not made yet: run `bemtevi consolidate`.")
    last = runs[-1]
    check_zone(lake, last)
    version = last.table_versions[table]
    files = MaintainedTable.of(lake, model.definition).data_files(version)
    day = _day(model, partition, files)
    chosen = [file for file in files if file.day == day]
    found = Lineage(
        model,
        None if day is None else f"{model.day}={day}",
        version,
        rows=sum(file.rows for file in chosen),
        raw_kept_from=raw_kept_from(lake),
    )
    found.runs = [*_wrote(model, day, runs, found.silent, ZoneInfo(lake.timezone))]
    if not _of_messages(model):
        return found
    uri = lake.table(model.definition).uri
    rows = parquet(f"{uri}/{file.path}" for file in chosen)
    condition = _condition(model, day, rows)
    deletions = Deletions(lake, engine, lambda: now)
    with engine:
        for step in _steps(lake, model, day, last.raw_version, batch_bytes):
            staged = engine.stage(step)
            if not staged.observations:
                continue
            deletions.hide_only()
            _count(engine, step, condition, found, f"{lake.table(RAW).uri}/")
    return found


def _count(engine: DuckDBEngine, files: Sequence[str], condition: str, found: Lineage, prefix: str) -> None:
    """Add what the observations just staged say."""
    counted = engine.ask(
        f"""
        select network, source, observation.path, dialect, received_date, filename, is_deleted,
          count(distinct (session, sequence)), count(*), min(received_at), max(received_at)
        from observation
        inner join (
          select session, sequence, source, dialect, received_date, filename
          from {parquet(files, named=True)}
        ) as raw using (session, sequence)
        where {condition}
        group by all
        """
    )
    posts = found.model.touched == CREATED_HOUR  # an author was seen all the same
    for network, source, path, dialect, day, file, is_deleted, *counts in counted:
        if is_deleted and posts:
            found.hidden += counts[1]
            continue
        found.sources[Source(network, source, path, dialect, day)].add(*counts)
        found.files[file.removeprefix(prefix)].add(*counts)


def _model(table: str) -> Model:
    models = {model.name: model for model in load_models()}
    if table not in models:
        raise UsageError(f"There is no table {table} in layer 2; there are {', '.join(sorted(models))}.")
    return models[table]


def _day(model: Model, partition: str | None, files: Sequence[DataFile]) -> date | None:
    """The partition that is meant. Raises UsageError with one that there is."""
    if not model.definition.partition_by:
        if partition is not None:
            raise UsageError(f"{model.name} has no partitions: leave '{partition}' away.")
        return None
    days = sorted({file.day for file in files if file.day is not None})
    there = f"there are {days[0]} to {days[-1]}" if days else "it has no rows yet"
    if partition is None:
        raise UsageError(f"{model.name} is kept by {model.day}: name one of them; {there}.")
    column, _, value = partition.rpartition("=")
    if column not in ("", model.day):
        raise UsageError(f"{model.name} is kept by {model.day}, not by {column}; {there}.")
    try:
        day = date.fromisoformat(
            f"{value}-01" if model.scope is Scope.SINCE and value.count("-") == 1 else value
        )
    except ValueError:
        raise UsageError(
            f"'{value}' is no partition of {model.name}, which is kept by {model.day}; {there}."
        ) from None
    if day not in days:
        raise UsageError(f"{model.name} has no rows of {model.day} {day}; {there}.")
    return day


def _of_messages(model: Model) -> bool:
    """Whether anything delivered stands in a table, by whatever way."""
    if OBSERVATION in model.inputs:
        return True
    models = {other.name: other for other in load_models()}
    return any(_of_messages(models[name]) for put in model.inputs if (name := table_of(put)) in models)


def _steps(
    lake: Lake, model: Model, day: date | None, raw_version: int, batch_bytes: int
) -> Iterator[list[str]]:
    """The files of raw that may hold messages of the partition, in steps of bounded bytes."""
    table = MaintainedTable.of(lake, RAW)
    files = {*table.files(raw_version, _messages(model, day, ZoneInfo(lake.timezone)))}
    chosen = [file for file in table.data_files(raw_version) if f"{table.uri}/{file.path}" in files]
    for step in in_steps(chosen, batch_bytes):
        yield [f"{table.uri}/{file.path}" for file in step]


def _messages(model: Model, day: date | None, zone: ZoneInfo) -> str:
    """The messages that may matter, in the SQL of the table format."""
    if day is None:
        return "true"
    if model.touched == CREATED_HOUR:
        start, end = midnight(day, zone), midnight(day + timedelta(days=1), zone) + HOUR
        return messages_of(start, end)
    # an author is seen no later than the message was received
    return f"received_at >= {instant(midnight(day - timedelta(days=1), zone))}"


def _condition(model: Model, day: date | None, rows: str) -> str:
    """Which observations stand in the rows of a partition, over `observation`."""
    columns = {*model.types}
    tests = []
    if day is not None and model.touched == CREATED_HOUR:
        tests.append(f"created_date = date '{day}'")
    elif day is not None and model.scope is Scope.SINCE:
        tests.append(f"date_trunc('month', observed_hour) = timestamptz '{day} 00:00:00+00'")
    elif day is not None:
        tests.append(f"observed_date = date '{day}'")
    if {"network", "post_id"} <= columns:
        tests.append(f"(is_deleted or (network, post_id) in (select (network, post_id) from {rows}))")
    elif {"network", "author_id"} <= columns:
        of_rows = f"select network || chr(31) || author_id from {rows}"
        tests.append(
            "list_has_any(list_transform(authors, lambda author: network || chr(31) || author.author_id), "
            f"(select list(distinct one) from ({of_rows}) as seen(one)))"
        )
    elif "hashtag" in columns or "hashtag_key" in columns:
        tests.append("len(hashtags) > 0")
    return " and ".join(tests) or "true"


def _wrote(
    model: Model, day: date | None, runs: Sequence[Run], silent: Counter[str], zone: ZoneInfo
) -> Iterator[Run]:
    """The runs that wrote a partition: they changed the table, and the hours they replaced lie in it."""
    before: dict[str, int] = {}
    for run in runs:
        now = run.table_versions
        changed = now.get(model.name) != before.get(model.name)
        before = now
        if not changed or run.kind == MAINTENANCE:
            continue
        dates = run.created_dates if model.touched == CREATED_HOUR else run.observed_dates
        if day is None:
            yield run
        elif dates is None:
            silent[run.kind] += 1
        elif day in dates or (model.scope is Scope.SINCE and _writes_month(day, dates, zone)):
            yield run


def _writes_month(month: date, dates: Sequence[date], zone: ZoneInfo) -> bool:
    """Whether an author seen on one of these dates may have changed a version that began in a month."""
    end = (month + timedelta(days=31)).replace(day=1)
    hours = hours_of(
        datetime(month.year, month.month, 1, tzinfo=UTC), datetime(end.year, end.month, 1, tzinfo=UTC)
    )
    return not local_dates(hours, zone).isdisjoint(dates)
