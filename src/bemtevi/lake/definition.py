"""What a table is: grain, key, partitioning, columns and their meaning.

Owns the one shape in which every table of both layers is described; the data dictionary is printed from it.
Leaves to `table` how the table is written, and to `warehouse.model` how a layer-2 definition is read from
its SQL file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class TableDefinition:
    """One table of the lake."""

    name: str
    layer: int
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    checks: dict[str, dict[str, object]] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    """Properties of Delta that the table is made with."""

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema, in column order."""
        return pa.schema([pa.field(column.name, column.type) for column in self.columns])

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
