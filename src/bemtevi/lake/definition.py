"""What a table is: grain, key, partitioning, columns and their meaning.

Owns the one shape in which every table of both layers is described; the data dictionary is printed from it.
Leaves to `table` how the table is written, and to `warehouse.model` how a layer-2 definition is read from
its SQL file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column.

    `private` columns hold what a person wrote: their values never enter the table's log. In `distinct`
    columns nearly every row has a value of its own: a dictionary would be made and thrown away.
    """

    name: str
    type: pa.DataType
    description: str
    private: bool = False
    distinct: bool = False


class Severity(StrEnum):
    """What follows when a check does not hold."""

    FAIL = "fail"
    """The run ends before it commits; the old content stays. For promises of ours alone, never for what a
    network may send."""
    WARN = "warn"
    """It is recorded and told."""


class CheckKind(StrEnum):
    """What a check looks at."""

    NOT_NULL = "not_null"
    UNIQUE = "unique"
    ACCEPTED_VALUES = "accepted_values"
    REFERENCES = "references"
    VOLUME = "volume"
    FRESHNESS = "freshness"
    FIELDS = "fields"


@dataclass(frozen=True)
class Check:
    """A rule about the content of a table; which of the other fields it needs depends on its kind."""

    kind: CheckKind
    columns: tuple[str, ...] = ()
    severity: Severity = Severity.WARN
    values: tuple[str, ...] = ()
    """accepted_values: what a column may say, beside null."""
    table: str = ""
    """references: the table that has the values too."""
    key: tuple[str, ...] = ()
    """references: its columns, if they have other names."""
    lowest: float = 0.0
    """volume: the smallest share of what is usual that is good."""
    highest: float = 0.0
    """volume: the largest multiple of what is usual that is good."""
    hours: float = 0.0
    """freshness: how old the newest row may be."""
    least: int = 0
    """volume, fields: below so many rows or messages nothing is judged."""

    @property
    def name(self) -> str:
        """What tells it from the other checks of its table."""
        return " ".join([self.kind.value, *self.columns])


@dataclass(frozen=True)
class Derived:
    """A column that is worked out when the table is read: it says how a row stands to others.

    Stored, it would have to be written again wherever a neighbour changes.
    """

    name: str
    type: pa.DataType
    sql: str
    """An expression over the table's columns, in the dialect of the models."""
    description: str


@dataclass(frozen=True)
class TableDefinition:
    """One table of the lake."""

    name: str
    layer: int
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    """Beside those of the key, which every table of layer 2 has: see `all_checks`."""
    properties: dict[str, str] = field(default_factory=dict)
    """Properties of Delta that the table is made with."""
    derived: tuple[Derived, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, in column order."""
        return pa.schema([pa.field(column.name, column.type) for column in self.columns])

    @property
    def all_checks(self) -> tuple[Check, ...]:
        """The checks of the key, and those that the table adds."""
        return (
            Check(CheckKind.NOT_NULL, self.key, Severity.FAIL),
            Check(CheckKind.UNIQUE, self.key, Severity.FAIL),
            *self.checks,
        )

    @property
    def statistics_columns(self) -> list[str]:
        """The columns whose smallest and largest values may stand in the log: scalars that nobody wrote."""
        return [
            column.name
            for column in self.columns
            if not column.private
            and not pa.types.is_nested(column.type)
            and not pa.types.is_boolean(column.type)
            and column.name not in self.partition_by
        ]
