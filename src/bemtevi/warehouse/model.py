"""Models: one SQL file a table, whose header is the table's definition.

Owns the reading of those headers and the order in which models run. Leaves the SQL to the engines. A new
table is one new file in `models/`: found by scanning, no list to edit.
"""

from __future__ import annotations

import graphlib
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

import duckdb
import pyarrow as pa

from bemtevi.lake.definition import Check, CheckKind, Column, Derived, Severity, TableDefinition

OPEN, CLOSE = "/*\n", "*/\n"
WHOLE_PREFIX = "all_"
"""An input `all_<table>` is that table as it will be, whole; without a prefix, what the run touches."""
DAY_PREFIX = "day_"
"""An input `day_<table>` is that table as it will be, on the local dates that the run touches."""
SINCE_PREFIX = "since_"
"""An input `since_<table>` is that table as it will be, from the first hour that the run touches on."""
EXISTING_TOUCHED = "existing_touched"
"""An input of scope `keys`: of `existing`, the rows of the hours that the run touches, as they were."""
FACT = "fact_post"
OBSERVATION = "observation"
CREATED_HOUR = "created_hour"
OBSERVED_HOUR = "observed_hour"


class Scope(StrEnum):
    """What of a table a run replaces."""

    HOURS = "hours"
    """The UTC hours that the new observations touch."""
    SINCE = "since"
    """Those hours since the first touched one in which something changes."""
    DATES = "dates"
    """The local dates (`created_date`) of those hours."""
    KEYS = "keys"
    """Of the keys that the new observations touch, the rows that change, whatever hour they stand in."""
    WHOLE = "whole"


@dataclass(frozen=True)
class Model:
    """A table of layer 2 and the query that makes it."""

    definition: TableDefinition
    scope: Scope
    inputs: tuple[str, ...]
    order: tuple[str, ...]
    types: dict[str, str]
    """The columns' types in the dialect of the models."""
    sql: str
    touched: str = CREATED_HOUR
    """The column of the observation that says which hours are touched: of writing, or of observing."""
    hour: str = CREATED_HOUR
    """The table's own column of such hours."""
    needs: dict[str, str] = field(default_factory=dict)
    """Inputs that are seldom needed: a query that answers with a row if this one is. Else it is what the run
    touches."""
    keys: str = ""
    """Of scope `keys`: a query over the inputs that answers with the keys touched, beside those that stand in
    touched hours."""
    looked_up: str = ""
    """Of scope `keys`: what is read of their rows in other hours, as the list of a select; the rest is null.
    Narrow columns, for all files are read."""

    @property
    def day(self) -> str:
        """The column of dates that its hours lie in; the partition."""
        return self.definition.partition_by[0]

    @property
    def name(self) -> str:
        """The table's name."""
        return self.definition.name

    @property
    def query(self) -> str:
        """The query with the columns in order and cast to their types."""
        order = f" order by {', '.join(self.order)}" if self.order else ""
        return self.unordered + order

    @property
    def unordered(self) -> str:
        """The query without the order of its rows."""
        return self.typed(self.sql)

    def typed(self, query: str) -> str:
        """A query with the columns in order and cast to their types."""
        columns = ", ".join(f'cast("{name}" as {type_}) as "{name}"' for name, type_ in self.types.items())
        return f"select {columns} from (\n{query}\n) as made"


def staging_files() -> dict[str, str]:
    """The SQL of every staging file by its name, without the suffix."""
    folder = resources.files("bemtevi.warehouse") / "staging"
    return {
        entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    }


@cache
def load_models() -> tuple[Model, ...]:
    """Every model, each after those it reads."""
    folder = resources.files("bemtevi.warehouse") / "models"
    models = {
        name: parse_model(name, entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if (name := entry.name.removesuffix(".sql")) != entry.name
    }
    graph = {
        name: {source for put in model.inputs if (source := table_of(put)) in models}
        for name, model in sorted(models.items())
    }
    return tuple(models[name] for name in graphlib.TopologicalSorter(graph).static_order())


def hour_columns() -> set[str]:
    """The columns of the observation by whose hours tables are kept."""
    return {model.touched for model in load_models()}


def table_of(put: str) -> str:
    """The table that an input of a model is made of."""
    for prefix in (WHOLE_PREFIX, DAY_PREFIX, SINCE_PREFIX):
        put = put.removeprefix(prefix)
    return put


def parse_model(name: str, text: str) -> Model:
    """A model from its file. Raises ValueError, naming the file, for a header that does not fit."""
    if not text.startswith(OPEN) or CLOSE not in text:
        raise ValueError(f"models/{name}.sql must begin with a header between /* and */.")
    header_text, sql = text.removeprefix(OPEN).split(CLOSE, 1)
    try:
        header = tomllib.loads(header_text)
        columns: dict[str, dict[str, str | bool]] = header["columns"]
        types = {column: str(told["type"]) for column, told in columns.items()}
        derived: dict[str, dict[str, str]] = header.get("derived", {})
        arrow = _arrow_types(types | {column: told["type"] for column, told in derived.items()})
        definition = TableDefinition(
            name=name,
            layer=2,
            grain=header["grain"],
            key=tuple(header["key"]),
            partition_by=tuple(header.get("partition", ())),
            columns=tuple(
                Column(
                    column,
                    arrow[column],
                    str(told["description"]),
                    private=bool(told.get("private", False)),
                    distinct=bool(told.get("distinct", False)),
                )
                for column, told in columns.items()
            ),
            checks=tuple(_check(told, set(columns)) for told in header.get("checks", ())),
            derived=tuple(
                Derived(column, arrow[column], told["sql"], told["description"])
                for column, told in derived.items()
            ),
        )
        touched = str(header.get("touched", CREATED_HOUR))
        return Model(
            definition=definition,
            scope=Scope(header["scope"]),
            inputs=tuple(header["inputs"]),
            order=tuple(header.get("order", ())),
            types=types,
            sql=sql.strip(),
            touched=touched,
            hour=str(header.get("hour", touched)),
            needs=dict(header.get("needs", {})),
            keys=str(header["keys"]) if header["scope"] == Scope.KEYS else "",
            looked_up=str(header["looked_up"]) if header["scope"] == Scope.KEYS else "",
        )
    except (tomllib.TOMLDecodeError, KeyError, ValueError, duckdb.Error) as error:
        raise ValueError(f"The header of models/{name}.sql is wrong: {error}.") from error


def _check(told: dict[str, Any], columns: set[str]) -> Check:
    """A check from its line in a header. Raises ValueError."""
    lists = {"columns", "values", "key"}
    given: dict[str, Any] = {name: tuple(value) if name in lists else value for name, value in told.items()}
    given |= {"kind": CheckKind(told["kind"]), "severity": Severity(told["severity"])}
    try:
        check = Check(**given)
    except TypeError:
        raise ValueError(f"the check {told} says what no check has") from None
    unknown = [name for name in check.columns if name not in columns]
    if unknown:
        raise ValueError(f"a check names the column {unknown[0]}, which the table has not")
    return check


def _arrow_types(types: dict[str, str]) -> dict[str, pa.DataType]:
    """The Arrow type of each SQL type, as the engine gives it."""
    columns = ", ".join(f'cast(null as {type_}) as "{name}"' for name, type_ in types.items())
    cursor = _types_known().cursor()  # two threads may load the models at once
    schema = cursor.execute(f"select {columns}").to_arrow_table().schema
    return {field.name: field.type for field in schema}


@cache
def _types_known() -> duckdb.DuckDBPyConnection:
    """One connection for all headers: to open one takes longer than to ask."""
    connection = duckdb.connect()
    connection.execute("set global timezone = 'UTC'")
    return connection
