"""A lake in a notebook: tables by name, as relations of DuckDB, and as what other libraries make of those.

Owns `bemtevi.connect`. All that one connection answers is of one run, until `refresh`. Leaves to `catalog`
which files that are. Reads only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.serve.catalog import Catalog, Tables, tables_of
from bemtevi.settings import Settings, load_settings

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame, SparkSession


class Connection:
    """The tables of a lake as the last run left them. Use as a context manager, or `close` it."""

    def __init__(self, lake: Lake, settings: Settings) -> None:
        self._lake = lake
        self._settings = settings
        self._opened: list[Catalog] = []
        self._open()

    def sql(self, query: str, **values: Any) -> duckdb.DuckDBPyRelation:
        """The answer to one SELECT: `.df()` for pandas, `.pl()` for Polars, `.to_arrow_table()`, `.show()`.

        Values are bound as `$name`. Times with a zone are instants, in the lake's zone; as Python's own
        values they need `pytz`. Raises UsageError for what is no SELECT over these tables.
        """
        return self._opened[-1].relation(query, values)

    def table(self, name: str) -> duckdb.DuckDBPyRelation:
        """A table or view, whole. Raises UsageError if there is none of that name."""
        quoted = name.replace('"', '""')
        return self.sql(f'select * from "{quoted}"')

    def tables(self) -> list[str]:
        """The names of the tables and views."""
        return self._opened[-1].names()

    def spark(self, name: str, session: SparkSession) -> DataFrame:
        """A table, not a view, as a DataFrame of a Spark session that reaches the lake's files.

        Its types are those of the lake: an instant is a timestamp, a time on the clock one without zone.
        Raises UsageError if there is no table of that name.
        """
        from bemtevi.warehouse.engines.spark.schema import spark_schema

        tables = {definition.name: (definition, files) for definition, files in self._tables.files}
        if name not in tables:
            raise UsageError(f"There is no table {name}; there are {', '.join(sorted(tables))}.")
        definition, files = tables[name]
        schema = spark_schema(definition.schema)
        if not files:
            return session.createDataFrame([], schema)
        base = self._lake.table(definition).uri.replace("s3://", "s3a://", 1)
        paths = [file.replace("s3://", "s3a://", 1) for file in files]
        rows = session.read.schema(schema).option("basePath", base).parquet(*paths)
        return rows.select(*definition.schema.names)

    def refresh(self) -> None:
        """From now on, what the newest run left. Relations that were made before keep what they show."""
        self._open()

    def close(self) -> None:
        """End it, and every relation that was made of it."""
        while self._opened:
            self._opened.pop().__exit__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _open(self) -> None:
        self._tables: Tables = tables_of(self._lake)
        limit, threads = self._settings.memory_limit, self._settings.threads
        catalog = Catalog(self._lake, memory_limit=limit, threads=threads, tables=self._tables)
        self._opened.append(catalog.__enter__())


def connect(lake: str | None = None, **settings: Any) -> Connection:
    """The lake at a folder or `s3://` address, that of the settings if None; others as in docs/settings.md.

    Raises UsageError for a wrong setting, StorageError if the lake cannot be read.
    """
    given = load_settings(**settings, **({} if lake is None else {"lake": lake}))
    return Connection(Lake.of(given), given)
