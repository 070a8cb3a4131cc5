"""The catalog: named views over one snapshot of the lake.

Owns which files a query sees: the tables of layer 2 at the versions of the last run, so that one answer never
mixes two runs, and the tables of layer 1 as they are. Leaves to `questions` what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Self

import duckdb
import pyarrow as pa

from bemtevi.errors import StorageError, UsageError
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.track import TRACK
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.run import RUN, Run, last_run

READ_ONLY = ("SELECT", "EXPLAIN")
BATCH_ROWS = 10_000


class Catalog:
    """A connection that knows the tables of a lake by their names. Use as a context manager."""

    def __init__(self, lake: Lake, *, memory_limit: str = "1GB", threads: int | None = None) -> None:
        self._lake = lake
        self._memory_limit = memory_limit
        self._threads = threads
        self.run: Run | None = None
        """The run whose tables are shown; None before the first."""

    def __enter__(self) -> Self:
        self.run = last_run(self._lake)
        self._connection = duckdb.connect()
        self._connection.execute("set timezone = ?", [self._lake.timezone])
        self._connection.execute("set memory_limit = ?", [self._memory_limit])
        self._connection.execute("set enable_progress_bar = false")
        if self._threads is not None:
            self._connection.execute("set threads = ?", [self._threads])
        versions = {} if self.run is None else self.run.table_versions
        for model in load_models():
            files = []
            if model.name in versions:
                self._lake.check_zone(model.definition)
                files = self._lake.table(model.definition).snapshot(versions[model.name]).files
            self._view(model.definition, files)
        for definition in (RAW, QUARANTINE, TRACK, RUN):
            self._view(definition, self._lake.table(definition).snapshot().files)
        sql = (resources.files("bemtevi.serve") / "views.sql").read_text(encoding="utf-8")
        for statement in duckdb.extract_statements(sql):
            self._connection.execute(statement.query)
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """The answer to one SELECT, whole. Values are bound as `$name`."""
        return self.stream(sql, values).read_all()

    def stream(self, sql: str, values: Mapping[str, Any] | None = None) -> pa.RecordBatchReader:
        """The answer to one SELECT, in batches.

        Raises UsageError for SQL that is wrong, that is several statements, or that would write.
        """
        try:
            statements = duckdb.extract_statements(sql)
            kinds = [statement.type.name for statement in statements]
            if len(kinds) != 1 or kinds[0] not in READ_ONLY:
                raise UsageError(
                    "One SELECT is expected; the lake is written by `bemtevi import`, `listen` and "
                    "`consolidate` alone. Use --output to write the answer to a file."
                )
            return self._connection.execute(sql, dict(values or {})).to_arrow_reader(BATCH_ROWS)
        except duckdb.IOException as error:
            raise StorageError(f"The lake cannot be read: {str(error).splitlines()[0]}") from None
        except duckdb.Error as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise UsageError(f"The SQL is wrong. {' '.join(lines[:2])}") from None

    def _view(self, definition: TableDefinition, files: Sequence[str]) -> None:
        """A view of a table; a table without files is empty, a column that its files lack is null."""
        empty = definition.schema.empty_table()
        name = definition.name
        self._connection.register(f"{name}_columns", empty)
        if not files:
            self._connection.execute(f"create or replace view {name} as select * from {name}_columns")
            return
        names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        columns = ", ".join(f'"{column}"' for column in definition.schema.names)
        self._connection.execute(
            f"create or replace view {name} as select {columns} from ("
            f"select * from {name}_columns union all by name "
            f"select * from read_parquet([{names}], hive_partitioning = true, union_by_name = true))"
        )
