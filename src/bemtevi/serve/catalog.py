"""The catalog: named views over one snapshot of the lake.

Owns which files a query sees: the tables of layer 2 at the versions of the last run, so that one answer never
mixes two runs, and the tables of layer 1 as they are. Leaves to `questions` what is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any, Self

import duckdb
import pyarrow as pa

from bemtevi.errors import StorageError, UsageError
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.literal import parquet
from bemtevi.lake.reading import draw_no_bar, let_read
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.record import RECORDS
from bemtevi.warehouse.run import Run, check_zone, last_run
from bemtevi.warehouse.spill import make_spill_folder, remove_spill_folder

BATCH_ROWS = 10_000
EXPLAINED = re.compile(r"\s*explain\s+(?:analyze\s+)?(?P<sql>.*)", re.IGNORECASE | re.DOTALL)
QUOTED = re.compile(r"'.*'", re.DOTALL)
UNKNOWN_TABLE = re.compile(r"Table with name (\S+) does not exist")


class TooLongError(UsageError):
    """A question that was stopped because its time was over."""


class TooMuchError(StorageError):
    """A question that needs more memory than it may have."""


@dataclass(frozen=True)
class Tables:
    """Every table of a lake at one moment, with the files of its version."""

    run: Run | None
    """The run whose tables of layer 2 these are; None before the first."""
    files: tuple[tuple[TableDefinition, tuple[str, ...]], ...]
    empty: bool
    """Whether the lake has no table at all."""


def tables_of(lake: Lake) -> Tables:
    """The tables now. Raises UsageError for a lake in another zone, StorageError."""
    run = last_run(lake)
    if run is not None:
        check_zone(lake, run)
    versions = {} if run is None else run.table_versions
    found: list[tuple[TableDefinition, tuple[str, ...]]] = []
    for model in load_models():
        files: list[str] = []
        if model.name in versions:
            files = lake.table(model.definition).snapshot(versions[model.name]).files
        found.append((model.definition, tuple(files)))
    empty = True
    for definition in (*LAYER_1, *RECORDS):
        snapshot = lake.table(definition).snapshot()
        empty &= snapshot.version < 0
        found.append((definition, tuple(snapshot.files)))
    return Tables(run, tuple(found), empty)


class Catalog:
    """A connection that knows the tables of a lake by their names. Use as a context manager."""

    def __init__(
        self,
        lake: Lake,
        *,
        memory_limit: str = "1GB",
        threads: int | None = None,
        closed: bool = False,
        tables: Tables | None = None,
    ) -> None:
        """`tables`: those to show, as they are when it is entered if None.

        `closed`: for SQL of strangers. No file is read but the snapshot's own, and no setting is changed.
        """
        self._tables = tables
        self._lake = lake
        self._closed = closed
        self._files: list[str] = []
        self._memory_limit = memory_limit
        self._threads = threads
        self.run: Run | None = None
        """The run whose tables are shown; None before the first."""
        self.empty = True
        """Whether the lake has no table at all."""

    def __enter__(self) -> Self:
        tables = self._tables or tables_of(self._lake)
        self.run, self.empty = tables.run, tables.empty
        self._folder = make_spill_folder()
        self._connection = duckdb.connect()
        let_read(self._connection, self._lake.storage_options)
        self._connection.execute("set temp_directory = ?", [self._folder])
        self._connection.execute("set global timezone = ?", [self._lake.timezone])
        self._connection.execute("set memory_limit = ?", [self._memory_limit])
        draw_no_bar(self._connection)
        self._connection.execute("set autoinstall_known_extensions = false")  # a question downloads nothing
        self._connection.execute("set python_enable_replacements = false")  # a name is a table, no variable
        self._connection.execute("set parquet_metadata_cache = true")  # the files of a snapshot do not change
        if self._threads is not None:
            self._connection.execute("set threads = ?", [self._threads])
        self._connection.execute("create schema made")
        self._connection.execute("create table made.moment as select 0::bigint as number")
        for definition, files in sorted(tables.files, key=lambda table: asks_others(table[0])):
            self._view(definition, files)
        define_named_views(self._connection)
        if self._closed:
            self._connection.execute("set max_temp_directory_size = '1GB'")
            self._connection.execute("set allowed_paths = ?", [self._files])
            self._connection.execute("set enable_external_access = false")
            self._connection.execute("set lock_configuration = true")
        return self

    def __exit__(self, *raised: object) -> None:
        if KeyboardInterrupt not in raised:  # closing would wait for the step that was interrupted
            self._connection.close()
        remove_spill_folder(self._folder)

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
        """The answer to one SELECT, whole. Values are bound as `$name`."""
        return self.stream(sql, values).read_all()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same views, for one thread; it can be interrupted from another."""
        return self._connection.cursor()

    def stream(
        self,
        sql: str,
        values: Mapping[str, Any] | None = None,
        cursor: duckdb.DuckDBPyConnection | None = None,
    ) -> pa.RecordBatchReader:
        """The answer to one SELECT, in batches; on a cursor of its own if threads share the catalog.

        Raises UsageError for SQL that is wrong, that is several statements, or that would write.
        """
        with self._told():
            connection = cursor or self._connection
            if not _only_reads(connection, sql):
                raise UsageError(
                    "One SELECT is expected; the lake is written by `bemtevi import`, `listen` and "
                    "`consolidate` alone. Use --output to write the answer to a file."
                )
            rows = connection.execute(sql, dict(values or {})).to_arrow_reader(BATCH_ROWS)
            twice = [name for name, times in Counter(rows.schema.names).items() if times > 1]
            if twice:
                raise UsageError(
                    f"The answer has several columns named {twice[0]}: tell them apart with `as`."
                )
            return pa.RecordBatchReader.from_batches(rows.schema, self._batches(rows))

    def relation(self, sql: str, values: Mapping[str, Any] | None = None) -> duckdb.DuckDBPyRelation:
        """The answer to one SELECT as a relation, which is worked out when it is looked at.

        Raises UsageError as `stream`. What is asked of the relation raises the engine's own errors.
        """
        with self._told():
            cursor = self.cursor()
            if not _only_reads(cursor, sql):
                raise UsageError("One SELECT is expected; nothing is written here.")
            return cursor.sql(sql, params=dict(values) if values else None)

    def _batches(self, rows: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with self._told():
            yield from rows

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the engine's errors into one sentence."""
        try:
            yield
        except duckdb.OutOfMemoryException:
            raise TooMuchError(
                f"The question needs more than its {self._memory_limit} of memory: ask for less, or give "
                "more with --memory-limit."
            ) from None
        except RuntimeError as error:
            if "interrupted" not in str(error):
                raise
            raise KeyboardInterrupt from None
        except duckdb.InterruptException:
            raise TooLongError("The question took too long and was stopped: ask for less.") from None
        except duckdb.IOException as error:
            raise StorageError(f"A file cannot be read: {str(error).splitlines()[0]}.") from None
        except duckdb.ConversionException as error:
            # it quotes the value that does not fit, which may be what a person wrote
            message = " ".join(QUOTED.sub("'…'", str(error)).splitlines()[:1])
            raise UsageError(f"The SQL is wrong. {message}; `try_cast` gives null instead.") from None
        except duckdb.Error as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            unknown = UNKNOWN_TABLE.search(lines[0])
            if unknown:
                raise UsageError(
                    f"There is no table {unknown[1]}; there are {', '.join(self.names())}."
                ) from None
            raise UsageError(f"The SQL is wrong. {' '.join(lines[:2])}") from None

    def names(self) -> list[str]:
        """The tables that may be asked, in the order of the alphabet."""
        query = "select view_name from duckdb_views() where schema_name = 'main' and not internal order by 1"
        return [name for (name,) in self._connection.execute(query).fetchall()]

    def _view(self, definition: TableDefinition, files: Sequence[str]) -> None:
        """A table's view: what is stored, and `made.<table>`, which holds what is laid over it.

        A table without files is empty; a column that its files lack is null.
        """
        name = definition.name
        self._connection.register("delivered", definition.schema.empty_table())
        self._connection.execute(f"create table made.{name} as select * from delivered")
        self._connection.unregister("delivered")
        stored = f"select * from made.{name} where false"
        if files:
            self._files += files
            stored += f" union all by name select * from {parquet(files)}"
        columns = columns_of(definition)
        self._connection.execute(f"create view made.{name}_stored as select {columns} from ({stored})")
        rows = f"select {columns} from made.{name}_stored union all select {columns} from made.{name}"
        for statement in views_of(definition, rows):
            self._connection.execute(statement)


def define_named_views(connection: duckdb.DuckDBPyConnection) -> None:
    """The views of `views.sql`, over the tables that the connection knows by their names."""
    sql = (resources.files("bemtevi.serve") / "views.sql").read_text(encoding="utf-8")
    for statement in duckdb.extract_statements(sql):
        connection.execute(statement.query)


def columns_of(definition: TableDefinition) -> str:
    """A table's columns, as SQL."""
    return ", ".join(f'"{column}"' for column in definition.schema.names)


def views_of(definition: TableDefinition, rows: str) -> list[str]:
    """The statements that define a table's view over its rows, as SQL.

    Where columns are worked out when they are read, the rows without them are a view too: `<table>_plain`.
    The engine works such columns out for all rows, wanted or not.
    """
    name = definition.name
    if not definition.derived:
        return [f"create or replace view {name} as {rows}"]
    return [
        f"create or replace view {name}_plain as {rows}",
        f"create or replace view {name} as {with_derived(definition, f'select * from {name}_plain')}",
    ]


def asks_others(definition: TableDefinition) -> bool:
    """Whether a column that is worked out may ask another table, whose view must be there before."""
    return bool(definition.derived)


def with_derived(definition: TableDefinition, rows: str) -> str:
    """A table's rows, as SQL, with the columns that are worked out when they are read."""
    if not definition.derived:
        return rows
    derived = ", ".join(f'{column.sql} as "{column.name}"' for column in definition.derived)
    return f"select *, {derived} from ({rows}) as kept"


def _only_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    """Whether this is one SELECT, or the EXPLAIN of one: EXPLAIN ANALYZE would run anything.

    Asked of the catalog's own connection: parsing may look things up, and what may be is its to say.
    """
    explained = EXPLAINED.fullmatch(sql)
    statements = connection.extract_statements(explained["sql"] if explained else sql)
    return [statement.type.name for statement in statements] == ["SELECT"]
