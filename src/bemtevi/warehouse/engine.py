"""The contract of an engine: what consolidation asks of DuckDB here and of Spark on a cluster.

Owns the contract. An engine holds relations by name (`observation`, the tables being made) and never decides
what is read or replaced: that is `consolidate`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self

from bemtevi.lake.table import Table
from bemtevi.warehouse.model import Model

UNREADABLE = "unreadable"
"""The relation, of the form of `quarantine`, that `stage` makes beside `observation`."""


@dataclass(frozen=True)
class Staged:
    """What staging made of some messages."""

    messages: int
    observations: int
    unreadable: int
    """Messages that should hold a post and gave none: the rows of the relation `unreadable`."""


class Engine(Protocol):
    """Runs staging and models on the files of layer 1. Use as a context manager: it holds memory."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *raised: object) -> None: ...

    def stage(self, files: Sequence[str], hours: tuple[datetime, datetime] | None = None) -> Staged:
        """Make the relations `observation` and `unreadable` from files of `raw`; with `hours`, observations
        only of posts written in [first, second)."""
        ...

    def touched_hours(self, column: str) -> list[datetime]:
        """The UTC hours in a column of `observation`, ascending: `created_hour`, in which the posts were
        written, or `observed_hour`."""
        ...

    def define_existing(self, model: Model, files: Sequence[str], hours: Sequence[datetime] | None) -> int:
        """Name a table's rows `existing`, so that its model can read them; their number.

        With `hours`, only those hours. No files is a relation without rows.
        """
        ...

    def define_former(self, name: str, model: Model, files: Sequence[str], hours: Sequence[datetime]) -> None:
        """Name a table's rows of some hours, as they were before the run, `name`."""
        ...

    def define_existing_since(self, model: Model, files: Sequence[str], where: str) -> None:
        """Name those rows of the files that satisfy `where` (SQL over the table) `existing_since`."""
        ...

    def define_beside(
        self, name: str, model: Model, files: Sequence[str], hours: Sequence[datetime], where: str
    ) -> None:
        """Make the relation `name`: the rows of the files outside `hours` that satisfy `where` (SQL over the
        table's columns), and the table just made."""
        ...

    def load(self, model: Model, files: Sequence[str], hours: Sequence[datetime]) -> int:
        """Make the relation of a table from its files, of some hours, as if its model had just run; its
        rows."""
        ...

    def make(self, model: Model) -> int:
        """Run a model on the relations defined and keep the result under its name; its rows."""
        ...

    def keep_changed(self, model: Model) -> list[datetime]:
        """Of a table just made keep only the hours in which it is not as `existing_since`; those hours."""
        ...

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The answer to one small SELECT over the relations defined, in the models' SQL; times in UTC."""
        ...

    def write(
        self,
        name: str,
        table: Table,
        where: str | None,
        transaction: tuple[str, int] | None = None,
        *,
        anew: bool = False,
    ) -> int:
        """Put the rows of a relation into a table, in one commit; its new version.

        They take the place of the rows that satisfy `where` (SQL over the table's columns, "true" for all),
        or are added if it is None. With `anew`, they take the place of all rows, and their columns of
        its own. In a file they are in the order of the model.
        """
        ...

    def leave_out(self, files: Sequence[str]) -> int:
        """Take out of `unreadable` the messages that stand in files of `quarantine`; how many are left."""
        ...

    def drop(self, name: str) -> None:
        """Forget a relation; with `observation` also `unreadable`."""
        ...
