"""The minutes not yet consolidated, laid over the tables of a run, in memory.

Owns how new rows come into the catalogs: each step is committed to each catalog in one transaction, so that
no question sees half of it and none waits. Leaves to `arrivals` what is new, to `making` what rows it makes,
to `laid` what a view shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.serve.arrivals import Arrivals
from bemtevi.serve.catalog import Catalog
from bemtevi.serve.laid import AUTHOR, POST, Kind, Touched, kind_of, views
from bemtevi.serve.making import Made, Making, name_rows
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.model import FACT, Model, load_models

DIM_USER = "dim_user"
MOST_POSTS = 300_000
"""What is held in memory; more waits for the next run."""
STEP_BYTES = 16 * 1024 * 1024
"""Messages of one step, about."""


@dataclass(frozen=True)
class Step:
    """What one step brought."""

    posts: pa.Table
    """Rows of fact_post that were not there before."""
    authors: pa.Table
    """Rows of dim_user of those who wrote them, every version."""
    number: int

    def since(self, received_at: datetime | None) -> Step | None:
        """The step without posts that came until then; None if none is left."""
        if received_at is None:
            return self
        limit = pa.scalar(received_at, self.posts.schema.field("last_received_at").type)
        posts = self.posts.filter(pc.greater(self.posts["last_received_at"], limit))
        return replace(self, posts=posts) if posts.num_rows else None


class Overlay:
    """Newer rows over some catalogs of one run. For one thread. Use as a context manager."""

    def __init__(
        self, lake: Lake, arrivals: Arrivals, engine: DuckDBEngine, catalogs: Sequence[Catalog]
    ) -> None:
        self._arrivals = arrivals
        self._writers = [catalog.cursor() for catalog in catalogs]
        self._making = Making(lake, engine, self._writers[0])
        self._models = load_models()
        self._touched = Touched()
        self.number = 0
        """Counts the steps that changed something."""
        self.posts = 0
        self.received_at: datetime | None = None
        """When the newest message came."""
        self.full = False
        """Whether more came than is held."""
        for writer in self._writers:
            writer.execute("create table made.replaced (network varchar, post_id varchar)")
            self._define(writer)

    def close(self) -> None:
        """Give back what it holds, but for the catalogs."""
        for writer in self._writers:
            writer.close()
        self._making.close()

    def use(self, engine: DuckDBEngine) -> None:
        """Make rows by this engine from now on: it knows other rules."""
        self._making.use(engine)

    def has_more(self) -> bool:
        """Whether the last step left something for the next. Raises StorageError."""
        return self.posts < MOST_POSTS and self._arrivals.has_more()

    def step(self) -> Step | None:
        """Lay over what is new; None if nothing changed. Raises StorageError."""
        if self.posts >= MOST_POSTS:
            self.full = self.full or self._arrivals.has_more()
            return None
        batch = self._arrivals.take(STEP_BYTES)
        if not batch:
            return None
        made = self._making.make(batch)
        if made is None:
            return None
        posts, found = made.tables[FACT], made.earlier
        self._commit(made)
        self.posts += posts.num_rows
        latest = pc.max(posts["last_received_at"]).as_py()
        self.received_at = max(self.received_at or latest, latest.astimezone(UTC))
        new = posts
        if found.num_rows:
            known = set(zip(*(found[name].to_pylist() for name in POST), strict=True))
            keys = zip(*(posts[name].to_pylist() for name in POST), strict=True)
            new = posts.filter(pa.array([key not in known for key in keys]))
        return Step(new, made.tables[DIM_USER], self.number)

    def tell(self, definition: TableDefinition, rows: pa.Table) -> None:
        """Show these rows of a small table instead of the stored ones."""
        name = definition.name
        for writer in self._writers:
            writer.register("incoming", rows)
            writer.execute("begin")
            writer.execute(f"create or replace view {name} as select * from made.{name}")
            writer.execute(f"delete from made.{name}")
            writer.execute(f"insert into made.{name} by name select * from incoming")
            writer.execute("commit")
            writer.unregister("incoming")

    def _commit(self, made: Made) -> None:
        before = self._touched.size()
        posts = made.tables[FACT]
        self._touched.hours |= set(posts["created_hour"].unique().to_pylist())
        self._touched.dates |= set(posts["created_date"].unique().to_pylist())
        self._touched.replaced_dates |= set(made.earlier["created_date"].unique().to_pylist())
        number = self.number + 1
        for writer in self._writers:
            writer.execute("begin")
            try:
                self._insert(writer, made)
                if self._touched.size() != before:
                    self._define(writer)
                writer.execute("update made.moment set number = ?", [number])
                writer.execute("commit")
            except BaseException:
                writer.execute("rollback")
                raise
        self.number = number  # told when it can be asked

    def _insert(self, writer: duckdb.DuckDBPyConnection, made: Made) -> None:
        name_rows(writer, "found", made.earlier.select(list(POST)))
        writer.execute("insert into made.replaced select network, post_id from found")
        for model in self._models:
            rows = made.tables.get(model.name)
            if rows is None:
                continue
            match kind_of(model):
                case Kind.POSTS if made.earlier.num_rows:
                    self._delete(writer, model.name, "found", POST)
                case Kind.SIGHTINGS:
                    self._replace(writer, model, rows, model.definition.key)
                case Kind.AUTHORS:
                    self._replace(writer, model, rows, AUTHOR)
                case Kind.HASHTAGS:
                    self._replace(writer, model, rows, ("hashtag",))
            if rows.num_rows:
                writer.register("incoming", rows)
                writer.execute(f"insert into made.{model.name} by name select * from incoming")
                writer.unregister("incoming")

    def _replace(
        self, writer: duckdb.DuckDBPyConnection, model: Model, rows: pa.Table, key: tuple[str, ...]
    ) -> None:
        """Delete what the rows take the place of."""
        if rows.num_rows:
            name_rows(writer, "replacing", rows.select(list(key)))
            self._delete(writer, model.name, "replacing", key)

    def _delete(self, writer: duckdb.DuckDBPyConnection, name: str, by: str, key: tuple[str, ...]) -> None:
        same = " and ".join(f"made.{name}.{column} = {by}.{column}" for column in key)
        writer.execute(f"delete from made.{name} using {by} where {same}")

    def _define(self, writer: duckdb.DuckDBPyConnection) -> None:
        for statement in views(self._models, self._touched):
            writer.execute(statement)
