"""Values as DuckDB's SQL, for where none can be bound: names of files in a view, lists of hours.

Owns the quoting and the form of times. Whatever can be bound is bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime


def text(value: str) -> str:
    """A text."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: Iterable[str]) -> str:
    """Texts as a list."""
    return ", ".join(map(text, values))


def dates(values: Collection[date]) -> str:
    """Dates as a list, ascending."""
    return ", ".join(f"date '{one.isoformat()}'" for one in sorted(values))


def hours(values: Collection[datetime]) -> str:
    """Instants, whole seconds, as a list, ascending."""
    return ", ".join(f"timestamptz '{one.astimezone(UTC):%Y-%m-%d %H:%M:%S}+00'" for one in sorted(values))


def parquet(files: Iterable[str], *, named: bool = False) -> str:
    """The reading of some files of one table, with its partition columns from the folder names.

    `named`: and with the column `filename`.
    """
    more = ", filename = true" if named else ""
    return f"read_parquet([{texts(files)}], hive_partitioning = true, union_by_name = true{more})"
