"""The contract of an engine: what consolidation asks of DuckDB here and of Spark on a cluster.

Owns the contract. An engine holds relations by name (`observation`, the tables being made) and never decides
what is read or replaced: that is `consolidate`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self, TypeAlias

import pyarrow as pa

from bemtevi.lake.replacement import Replacement
from bemtevi.warehouse.model import Model

UNREADABLE = "unreadable"
"""The relation, in the form of `quarantine`, that `stage` makes beside `observation`."""

Write: TypeAlias = Callable[[Replacement], None]
"""Writes some rows to files that take part in a replacement."""
Ids: TypeAlias = Sequence[tuple[str, str, str]]
"""Network, subject and id of posts and authors."""
Choose: TypeAlias = Callable[[Ids], list[int]]
"""The positions of those that are wanted. It may be sent to another machine."""


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

    def notices(self, files: Sequence[str]) -> Iterable[pa.RecordBatch]:
        """The messages of files of `raw` that may tell of deletions: network, received_at, payload."""
        ...

    def stage(
        self,
        files: Sequence[str],
        hours: Sequence[datetime] | None = None,
        holding: Sequence[str] | None = None,
    ) -> Staged:
        """Make the relations `observation` and `unreadable` from files of `raw`; with `hours`, observations
        only of posts written in them; with `holding`, only of messages in which one of these ids stands."""
        ...

    def hide(self, gone: pa.Table) -> None:
        """Obey tombstones (rows of `tombstone` with an id that hold), as `warehouse.hiding` says: in the
        observations, which get the column `is_deleted`, and in what is defined as existing from now on."""
        ...

    def observed_ids(self, choose: Choose) -> Ids:
        """Those that `choose` wants of every post and author that the observations name as theirs or as what
        they refer to."""
        ...

    def posts_of(self, authors: pa.Table, fact: Model | None = None, files: Sequence[str] = ()) -> pa.Table:
        """The posts of some authors (network, id): network, author_id, post_id. Of those observed, or of
        those in files of the table `fact`."""
        ...

    def concerned_hours(self, model: Model, files: Sequence[str]) -> list[datetime]:
        """The UTC hours of a table in whose rows the tombstones given to `hide` change something."""
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

    def define_existing_of_keys(
        self, model: Model, files: Sequence[str], of_hours: Sequence[str], hours: Sequence[datetime]
    ) -> int:
        """Name a table's rows of some hours, which the files `of_hours` hold, `existing_touched`; and these
        with what the model looks up of all rows that have a key of its `keys`, `existing`; the number of
        those.

        Such a table has no row of a post or an author, so that none is hidden.
        """
        ...

    def define_existing_since(self, model: Model, files: Sequence[str], where: str) -> None:
        """Name those rows of the files that satisfy `where` (SQL over the table) `existing_since`;
        what is hidden is not among them."""
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
        """Of a table just made keep only the hours in which it is not as the rows of the last
        `define_existing_since` stand in the files; those hours."""
        ...

    def changed_hours(self, model: Model) -> list[datetime]:
        """The hours in which the table just made is not as the rows of the last `define_existing_of_keys`
        are, before or after."""
        ...

    def define_beside_keys(self, name: str, model: Model, files: Sequence[str]) -> None:
        """Make the relation `name`: the rows of the files, but for those that `changed_hours` found to change
        or to go, and those that it found in their place."""
        ...

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The answer to one small SELECT over the relations defined, in the models' SQL; times in UTC."""
        ...

    def writing(self, name: str) -> Write:
        """What writes the rows of a relation, as it is now, in the model's order. It is called once, by
        another thread, while others are made."""
        ...

    def leave_out(self, files: Sequence[str]) -> int:
        """Take out of `unreadable` the messages that stand in files of `quarantine`; how many are left."""
        ...

    def drop(self, name: str) -> None:
        """Forget a relation; with `observation` also `unreadable`."""
        ...
