"""The minutes not yet consolidated, laid over the tables of a run, in memory.

Owns how new messages become rows of every table: by the same staging and the same models, run on the new
messages alone, and committed to each catalog in one transaction, so that no question sees half of it and none
waits. Leaves to `arrivals` what is new, to `laid` what a view shows. What the last run made of dates, and of
authors by hour, stays as it was until the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog

from bemtevi.lake import literal
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.serve.arrivals import Arrivals, Batch
from bemtevi.serve.catalog import Catalog, columns_of
from bemtevi.serve.laid import AUTHOR, POST, Kind, Touched, kind_of, views
from bemtevi.warehouse.deletion import Deletions
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.hashtag import fold_plain
from bemtevi.warehouse.model import FACT, OBSERVATION, SINCE_PREFIX, Model, load_models, table_of
from bemtevi.warehouse.spill import make_spill_folder, remove_spill_folder

log = structlog.get_logger()
BRIDGE, DIM_USER = "bridge_post_hashtag", "dim_user"
MOST_POSTS = 300_000
"""What is held in memory; more waits for the next run."""
STEP_BYTES = 16 * 1024 * 1024
"""Messages of one step, about."""
Tables = dict[str, pa.Table]


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
        self._deletions = Deletions(lake, engine, lambda: datetime.now(UTC))
        self.engine = engine
        self._writers = [catalog.cursor() for catalog in catalogs]
        self._models = load_models()
        self._touched = Touched()
        self._folder = Path(make_spill_folder())
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
        remove_spill_folder(str(self._folder))

    def step(self) -> Step | None:
        """Lay over what is new; None if nothing changed. Raises StorageError."""
        if self.posts >= MOST_POSTS:
            self.full = self.full or self._arrivals.has_more()
            return None
        batch = self._arrivals.take(STEP_BYTES)
        if not batch:
            return None
        made, found = self._make(batch)
        if made is None or not made[FACT].num_rows:  # what is deleted is not shown either
            return None
        posts = made[FACT]
        self._commit(made, found)
        self.posts += posts.num_rows
        latest = max(posts["last_received_at"].to_pylist())
        self.received_at = max(self.received_at or latest, latest.astimezone(UTC))
        new = posts
        if found.num_rows:
            known = set(zip(*(found[name].to_pylist() for name in POST), strict=True))
            keys = zip(*(posts[name].to_pylist() for name in POST), strict=True)
            new = posts.filter(pa.array([key not in known for key in keys]))
        return Step(new, made.get(DIM_USER, posts.slice(0, 0)), self.number)

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

    def _make(self, batch: Batch) -> tuple[Tables | None, pa.Table]:
        """Rows of the tables that follow, and the earlier rows of the posts among them."""
        files = list(batch.files)
        if batch.rows:
            files.append(self._file("messages", pa.concat_tables(batch.rows)))
        staged = self.engine.stage(files)
        self._deletions.hide_only()
        made: Tables = {}
        found: pa.Table | None = None
        if staged.observations:
            for model in self._models:
                match kind_of(model):
                    case Kind.POSTS:
                        made[model.name], earlier = self._made(model, POST)
                        found = earlier if model.name == FACT else found
                    case Kind.SIGHTINGS:
                        made[model.name], _ = self._made(model, model.definition.key)
                    case Kind.AUTHORS:
                        made[model.name] = self._versions(model, made)
                    case Kind.HASHTAGS:
                        made[model.name] = self._hashtags(model, made[BRIDGE])
            for name in made:
                self.engine.drop(name)
        self.engine.drop(OBSERVATION)
        return (
            (made, found if found is not None else made[FACT].slice(0, 0)) if made else (None, pa.table({}))
        )

    def _made(self, model: Model, key: tuple[str, ...]) -> tuple[pa.Table, pa.Table]:
        """A model's rows of the new messages joined with the earlier rows of the same keys, and those."""
        self.engine.define_existing(model, [], None)
        self.engine.make(model)
        made = self.engine.read(model.name).read_all()
        if "existing" not in model.inputs or not made.num_rows:
            return made, made.slice(0, 0)
        found = self._earlier(model, made, key)
        if found.num_rows:
            self.engine.define_existing(model, [self._file(model.name, found)], None)
            self.engine.make(model)
            made = self.engine.read(model.name).read_all()
        return made, found

    def _earlier(self, model: Model, made: pa.Table, key: tuple[str, ...]) -> pa.Table:
        """The rows that the catalogs have of the keys in `made`."""
        writer = self._writers[0]
        where = ""
        if model.definition.partition_by:  # a partition that is named is the only one read
            dates = literal.dates(set(made[model.day].to_pylist()))
            hours = literal.hours(set(made[model.hour].to_pylist()))
            where = f"where {model.day} in ({dates}) and {model.hour} in ({hours})"
        _name(writer, "wanted", made.select(list(key)))
        try:
            query = (
                f"select * from (select * from {model.name} {where}) as known "
                f"semi join wanted using ({', '.join(key)})"
            )
            return writer.execute(query).to_arrow_table()
        finally:
            writer.execute("drop table wanted")

    def _versions(self, model: Model, made: Tables) -> pa.Table:
        """All versions of the authors seen in the new messages."""
        (since,) = (name for name in model.inputs if name.startswith(SINCE_PREFIX))
        (source,) = (other for other in self._models if other.name == table_of(since))
        seen = made[source.name]
        if not seen.num_rows:
            return model.definition.schema.empty_table()
        writer = self._writers[0]
        _name(writer, "wanted", seen.select(list(source.definition.key)))
        author, sighting = ", ".join(AUTHOR), ", ".join(source.definition.key)
        try:
            known = writer.execute(
                f"select {columns_of(model.definition)} from {model.name} semi join wanted using ({author})"
            ).to_arrow_table()
            later = writer.execute(
                f"select {columns_of(source.definition)} from (select * from {source.name} "
                f"where {source.day} >= {literal.dates({min(seen[source.day].to_pylist())})} "
                f"and {source.hour} >= {literal.hours({min(seen[source.hour].to_pylist())})}) as known "
                f"semi join wanted using ({author}) anti join wanted using ({sighting})"
            ).to_arrow_table()
        finally:
            writer.execute("drop table wanted")
        file = self._file(model.name, known)
        self.engine.define_existing(model, [file], None)
        self.engine.define_existing_since(model, [file], "true")
        self.engine.define_beside(since, source, [self._file(since, later)], [], "true")
        self.engine.make(model)
        return self.engine.read(model.name).read_all()

    def _hashtags(self, model: Model, tagged: pa.Table) -> pa.Table:
        """Rows of the hashtags in new posts: seen since and until, else as they are known."""
        writer = self._writers[0]
        writer.register("tagged", tagged)
        try:
            rows: list[dict[str, Any]] = (
                writer.execute(
                    "with new as (select hashtag_key, hashtag, mode(spelling) as spelling, "
                    "min(created_at) as first_at, max(created_at) as last_at from tagged group by all) "
                    "select new.hashtag_key, new.hashtag, known.hashtag_plain, "
                    "coalesce(known.spelling, new.spelling) as spelling, "
                    "least(known.first_seen_at, new.first_at) as first_seen_at, "
                    "greatest(known.last_seen_at, new.last_at) as last_seen_at "
                    f"from new left join {model.name} as known using (hashtag)"
                )
                .to_arrow_table()
                .to_pylist()
            )
        finally:
            writer.unregister("tagged")
        for row in rows:
            row["hashtag_plain"] = row["hashtag_plain"] or fold_plain(row["hashtag"])
        return pa.Table.from_pylist(rows, schema=model.definition.schema)

    def _commit(self, made: Tables, found: pa.Table) -> None:
        before = self._touched.size()
        self._touched.hours |= set(made[FACT]["created_hour"].unique().to_pylist())
        self._touched.dates |= set(made[FACT]["created_date"].unique().to_pylist())
        self._touched.replaced_dates |= set(found["created_date"].unique().to_pylist())
        number = self.number + 1
        for writer in self._writers:
            writer.execute("begin")
            try:
                self._insert(writer, made, found)
                if self._touched.size() != before:
                    self._define(writer)
                writer.execute("update made.moment set number = ?", [number])
                writer.execute("commit")
            except BaseException:
                writer.execute("rollback")
                raise
        self.number = number  # told when it can be asked

    def _insert(self, writer: duckdb.DuckDBPyConnection, made: Tables, found: pa.Table) -> None:
        if found.num_rows:
            writer.register("found", found.select(list(POST)))
            writer.execute("insert into made.replaced select network, post_id from found")
        for model in self._models:
            rows = made.get(model.name)
            if rows is None or not rows.num_rows:
                continue
            _name(writer, "incoming", rows)
            match kind_of(model):
                case Kind.POSTS if found.num_rows:
                    self._delete(writer, model.name, "found", POST)
                case Kind.SIGHTINGS:
                    self._delete(writer, model.name, "incoming", model.definition.key)
                case Kind.AUTHORS:
                    self._delete(writer, model.name, "incoming", AUTHOR)
                case Kind.HASHTAGS:
                    self._delete(writer, model.name, "incoming", ("hashtag",))
            writer.execute(f"insert into made.{model.name} by name select * from incoming")
            writer.execute("drop table incoming")
        if found.num_rows:
            writer.unregister("found")

    def _delete(self, writer: duckdb.DuckDBPyConnection, name: str, by: str, key: tuple[str, ...]) -> None:
        same = " and ".join(f"made.{name}.{column} = {by}.{column}" for column in key)
        writer.execute(f"delete from made.{name} using {by} where {same}")

    def _define(self, writer: duckdb.DuckDBPyConnection) -> None:
        for statement in views(self._models, self._touched):
            writer.execute(statement)

    def _file(self, name: str, rows: pa.Table) -> str:
        """Rows in a file for the engine; the next of the same name takes its place."""
        path = self._folder / f"{name}.parquet"
        pq.write_table(rows, path, compression="lz4")
        return str(path)


def _name(writer: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """Rows as a table of their own. Times that a join looks for could not be handed on to rows outside."""
    writer.register("outside", rows)
    writer.execute(f"create or replace temp table {name} as select * from outside")
    writer.unregister("outside")
