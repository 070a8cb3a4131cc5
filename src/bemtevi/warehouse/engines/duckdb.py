"""The embedded engine: DuckDB, in this process, spilling to disk above its memory limit.

Owns how the contract's relations are kept in DuckDB. Source of the settings: DuckDB's guide "tune workloads".
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import duckdb
import pyarrow as pa

from bemtevi.errors import BemteviError, StorageError
from bemtevi.lake.raw import QUARANTINE
from bemtevi.warehouse import hashtag
from bemtevi.warehouse.engine import Staged
from bemtevi.warehouse.model import WHOLE_PREFIX, Model, staging_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMON = ("functions", "observation")
"""Staging files that are no dialect."""

READABLE_KINDS = "('post', 'edit', 'page')"
BATCH_ROWS = 20_000


class DuckDBEngine:
    """See `warehouse.engine.Engine`."""

    name = "duckdb"

    def __init__(
        self,
        *,
        timezone: str,
        memory_limit: str,
        threads: int | None,
        rule_hashtags: Mapping[str, list[str]],
    ) -> None:
        """`rule_hashtags`: for the tag of each rule of ours, the hashtags that the rule asks for."""
        self._timezone = timezone
        self._memory_limit = memory_limit
        self._threads = threads
        self._rule_hashtags = rule_hashtags
        self._staging = staging_files()

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="bemtevi-")
        self._connection = duckdb.connect()
        run = self._connection.execute
        run("set timezone = 'UTC'")
        run("set temp_directory = ?", [self._folder])
        run("set memory_limit = ?", [self._memory_limit])
        run("set preserve_insertion_order = false")
        run("set enable_progress_bar = false")
        if self._threads is not None:
            run("set threads = ?", [self._threads])
        run("set variable timezone = ?", [self._timezone])
        rules = [{"key": tag, "value": list(tags)} for tag, tags in self._rule_hashtags.items()]
        run(
            "set variable rule_hashtags = map_from_entries(?::struct(key varchar, value varchar[])[])",
            [rules],
        )
        hashtag.register(self._connection)
        self._script(self._staging["functions"])
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stage(self, files: Sequence[str], hours: tuple[datetime, datetime] | None = None) -> Staged:
        """Make `observation`; see the contract."""
        with self._told():
            # a page may hold posts of any time: only single posts are told apart by the envelope
            within = (
                f"created_at >= {_literal(hours[0])} and created_at < {_literal(hours[1])}"
                if hours
                else "true"
            )
            source = f"select * from {_parquet(files)}"
            if hours:
                source += f" where event_at is null or {within.replace('created_at', 'event_at')}"
            self._connection.execute(f"create or replace temp view delivered as {source}")
            return self._stage_delivered(within)

    def _stage_delivered(self, within: str) -> Staged:
        run = self._connection.execute
        dialects = {row[0] for row in run("select distinct dialect from delivered").fetchall()}
        selects: list[str] = []
        for dialect in sorted(dialects - set(COMMON)):
            if dialect not in self._staging:
                continue  # kept in raw for a version that knows it; reported as unreadable below
            *prelude, last = duckdb.extract_statements(self._staging[dialect])
            for statement in prelude:
                run(statement.query)
            view = f"staged_{dialect}"
            run(
                f"create or replace temp view {view} as with message as "
                f"(select * from delivered where dialect = '{dialect}') select * from ({last.query})"
            )
            selects.append(f"select * from {view}")
        if not selects:
            raise BemteviError("None of the messages is in a dialect that this version can stage.")
        run(f"create or replace temp view staged_rows as {' union all by name '.join(selects)}")
        *steps, last = duckdb.extract_statements(self._staging["observation"])
        for step in steps:
            run(step.query)
        run(f"create or replace temp table observation as select * from ({last.query}) where {within}")
        columns = ", ".join(
            f"'staging' as {name}"
            if name == "stage"
            else f"'no post with an id, a text and a time' as {name}"
            if name == "reason"
            else f"cast(payload as blob) as {name}"
            if name == "payload"
            else name
            for name in QUARANTINE.schema.names
        )
        unreadable = run(
            f"select {columns} from delivered where kind in {READABLE_KINDS} and not exists ("
            "select 1 from staged where staged.session = delivered.session "
            "and staged.sequence = delivered.sequence) order by session, sequence"
        ).to_arrow_table()
        run("drop table staged")
        (messages,) = run("select count(*) from delivered").fetchone() or (0,)
        (observations,) = run("select count(*) from observation").fetchone() or (0,)
        return Staged(messages, observations, unreadable.cast(QUARANTINE.schema))

    def touched_hours(self) -> list[datetime]:
        """See the contract."""
        query = "select distinct created_hour from observation order by 1"
        return list(self._connection.execute(query).to_arrow_table()["created_hour"].to_pylist())

    def define_existing(self, model: Model, files: Sequence[str], hours: Sequence[datetime] | None) -> int:
        """See the contract."""
        with self._told():
            where = "true" if hours is None else f"created_hour in ({_literals(hours)})"
            self._connection.execute(
                f"create or replace temp view existing as {_rows(model, files)} where {where}"
            )
            row = self._connection.execute("select count(*) from existing").fetchone()
        return int(row[0]) if row else 0

    def define_whole(self, model: Model, files: Sequence[str], hours: Sequence[datetime]) -> None:
        """See the contract."""
        self._connection.execute(
            f"create or replace temp view {WHOLE_PREFIX}{model.name} as {_rows(model, files)} "
            f"where created_hour not in ({_literals(hours)}) union all by name select * from {model.name}"
        )

    def make(self, model: Model) -> int:
        """See the contract."""
        with self._told():
            self._connection.execute(f"create or replace temp table {model.name} as {model.query}")
        row = self._connection.execute(f"select count(*) from {model.name}").fetchone()
        return int(row[0]) if row else 0

    def violations(self, model: Model) -> list[str]:
        """See the contract."""
        key = ", ".join(model.definition.key)
        nulls = " or ".join(f"{column} is null" for column in model.definition.key)
        checks = {
            f"rows with a null in the key ({key})": f"select count(*) from {model.name} where {nulls}",
            f"keys ({key}) that repeat": f"select count(*) from (select {key} from {model.name} "
            f"group by {key} having count(*) > 1)",
        }
        found = []
        for what, query in checks.items():
            row = self._connection.execute(query).fetchone()
            if row and row[0]:
                found.append(f"{model.name} has {row[0]} {what}")
        return found

    def read(self, name: str) -> pa.RecordBatchReader:
        """See the contract."""
        with self._told():
            return self._connection.execute(f"select * from {name}").to_arrow_reader(BATCH_ROWS)

    def drop(self, name: str) -> None:
        """See the contract."""
        self._connection.execute(f"drop table if exists {name}")

    def _script(self, sql: str) -> None:
        for statement in duckdb.extract_statements(sql):
            self._connection.execute(statement.query)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise StorageError(
                f"The engine ran out of its {self._memory_limit} (BEMTEVI_MEMORY_LIMIT) or of disk under "
                f"{self._folder} to spill to; nothing was changed. {str(error).splitlines()[0]}"
            ) from error
        except duckdb.IOException as error:
            raise StorageError(f"The engine cannot read or spill: {str(error).splitlines()[0]}") from error


def _rows(model: Model, files: Sequence[str]) -> str:
    """A select of a table's columns from its files; columns that older files lack are null."""
    columns = ", ".join(f'cast("{name}" as {type_}) as "{name}"' for name, type_ in model.types.items())
    if files:
        return f"select {columns} from {_parquet(files)}"
    nulls = ", ".join(f'null as "{name}"' for name in model.types)
    return f"select {columns} from (select {nulls} where false)"


def _parquet(files: Sequence[str]) -> str:
    """The reading of some files of one table, with its partition column from the folder names."""
    names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return f"read_parquet([{names}], hive_partitioning = true, union_by_name = true)"


def _literal(hour: datetime) -> str:
    return f"timestamptz '{hour.astimezone(UTC):%Y-%m-%d %H:%M:%S}+00'"


def _literals(hours: Sequence[datetime]) -> str:
    return ", ".join(map(_literal, hours)) or "null"
