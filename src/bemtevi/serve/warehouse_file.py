"""A DuckDB file for other programs: the tables by their names, as views over the lake or as a copy.

Owns the file: whole or not at all, with the descriptions of tables and columns as comments. Views show each
table as it is when it is asked, through DuckDB's `delta` extension; a copy is the snapshot of the last run
and needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources, util
from pathlib import Path

import duckdb

from bemtevi.errors import StorageError, UsageError
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.literal import text
from bemtevi.serve.catalog import Catalog, asks_others, define_named_views, with_derived
from bemtevi.serve.export import beside
from bemtevi.serve.questions import need_a_run
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.record import RECORDS

EXTENSION = "duckdb_extension_delta"
NEEDS_EXTRA = "Views over the lake need the extra 'export': pip install 'bemtevi[export]'; or add --copy."


def write_duckdb(lake: Lake, catalog: Catalog, path: Path, *, copy: bool) -> list[str]:
    """Write the file; the names of what is in it. Raises UsageError, StorageError."""
    need_a_run(catalog)
    kind = "table" if copy else "view"
    with _written(path) as part, catalog.cursor() as cursor:
        if not copy:
            _load_delta(cursor)
        cursor.execute(f"attach {text(str(part))} as exported")
        cursor.execute("use exported")
        for definition in sorted(_definitions(lake), key=asks_others):
            rows = f"from memory.main.{definition.name}" if copy else _stored(lake, definition)
            cursor.execute(f"create {kind} {definition.name} as {rows}")
            _comment(cursor, definition, kind)
        define_named_views(cursor)
        names = "select table_name from information_schema.tables where table_catalog = 'exported' order by 1"
        found = [name for (name,) in cursor.execute(names).fetchall()]
        cursor.execute("use memory")
        cursor.execute("detach exported")
    return found


def _definitions(lake: Lake) -> Iterator[TableDefinition]:
    """The tables that the lake has."""
    for definition in (*(model.definition for model in load_models()), *LAYER_1, *RECORDS):
        if lake.table(definition).exists():
            yield definition


def _stored(lake: Lake, definition: TableDefinition) -> str:
    """A table of the lake as it is when it is read."""
    uri = lake.layout.table(definition.layer, definition.name)
    if lake.layout.is_local:
        uri = str(Path(uri).resolve())
    return with_derived(definition, f"select * from delta_scan({text(uri)})")


def _load_delta(connection: duckdb.DuckDBPyConnection) -> None:
    if util.find_spec(EXTENSION) is None:
        raise UsageError(NEEDS_EXTRA)
    folder = Path(str(resources.files(EXTENSION)))
    connection.execute(f"load {text(str(next(folder.rglob('*.duckdb_extension'))))}")


def _comment(connection: duckdb.DuckDBPyConnection, definition: TableDefinition, kind: str) -> None:
    """What the data dictionary says, where a program finds it."""
    connection.execute(f"comment on {kind} {definition.name} is {text('Grain: ' + definition.grain)}")
    told = [(column.name, column.description) for column in definition.columns]
    told += [(column.name, column.description) for column in definition.derived]
    for name, description in told:
        connection.execute(f'comment on column {definition.name}."{name}" is {text(description)}')


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """The file while it is made, which leaves neither a half nor its log behind."""
    if not path.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {path.absolute().parent}: make it, or name another file.")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(f"{path} is a device or a pipe: give the name of a file.")
    with beside(path) as part:
        log = part.with_name(part.name + ".wal")
        part.unlink(missing_ok=True)
        try:
            yield part
        except duckdb.IOException as error:
            raise StorageError(f"{path} cannot be written: {str(error).splitlines()[0]}.") from None
        finally:
            log.unlink(missing_ok=True)
