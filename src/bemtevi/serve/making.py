"""How new messages become rows of every table: by the same staging and the same models, run on them alone.

Owns what of the tables must be known for that: earlier rows of the same posts, authors and hashtags, asked of
a catalog that has all rows so far, and of no others. Leaves to `overlay` what becomes of the rows. What the
last run made of dates, and of authors by hour, stays as it was until the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bemtevi.lake import literal
from bemtevi.lake.lake import Lake
from bemtevi.serve.arrivals import Batch
from bemtevi.serve.catalog import columns_of
from bemtevi.serve.laid import AUTHOR, Kind, kind_of
from bemtevi.warehouse.deletion import Deletions
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.hashtag import fold_plain
from bemtevi.warehouse.model import FACT, OBSERVATION, SINCE_PREFIX, Model, load_models, table_of
from bemtevi.warehouse.spill import make_spill_folder, remove_spill_folder

BRIDGE = "bridge_post_hashtag"
OBSERVED = {
    Kind.POSTS: "select distinct network, post_id, created_hour, created_date from observation "
    "where not is_deleted",
    Kind.SIGHTINGS: "select distinct network, author.author_id as author_id, observed_hour, observed_date "
    "from (select network, observed_hour, observed_date, unnest(authors) as author from observation) "
    "where author.author_id is not null",
}
"""The keys of the rows that new messages touch, with the columns that say where earlier ones are."""


@dataclass(frozen=True)
class Made:
    """Rows that new messages make."""

    tables: dict[str, pa.Table]
    earlier: pa.Table
    """The rows of fact_post that were there before, of the posts among them."""


class Making:
    """Makes rows of new messages. For one thread."""

    def __init__(self, lake: Lake, engine: DuckDBEngine, known: duckdb.DuckDBPyConnection) -> None:
        """`known` is asked for earlier rows."""
        self._lake = lake
        self._known = known
        self._models = load_models()
        self._folder = Path(make_spill_folder())
        self.use(engine)

    def use(self, engine: DuckDBEngine) -> None:
        """Make rows by this engine from now on: it knows other rules."""
        self._engine = engine
        self._deletions = Deletions(self._lake, engine, lambda: datetime.now(UTC))

    def close(self) -> None:
        """Give back what it holds."""
        remove_spill_folder(str(self._folder))

    def make(self, batch: Batch) -> Made | None:
        """Rows of the tables that follow; None if there is no post to show. Raises StorageError."""
        files = list(batch.files)
        if batch.rows:
            files += self._file("messages", pa.concat_tables(batch.rows))
        staged = self._engine.stage(files)
        self._deletions.hide_only()
        made: dict[str, pa.Table] = {}
        earlier: pa.Table | None = None
        if staged.observations:
            for model in self._models:
                match kind_of(model):
                    case Kind.POSTS | Kind.SIGHTINGS:
                        made[model.name], found = self._made(model)
                        earlier = found if model.name == FACT else earlier
                    case Kind.AUTHORS:
                        made[model.name] = self._versions(model, made)
                    case Kind.HASHTAGS:
                        made[model.name] = self._hashtags(model, made[BRIDGE])
            for name in made:
                self._engine.drop(name)
        self._engine.drop(OBSERVATION)
        if earlier is None or not made[FACT].num_rows:  # what is deleted is not shown either
            return None
        return Made(made, earlier)

    def _made(self, model: Model) -> tuple[pa.Table, pa.Table | None]:
        """A model's rows of the new messages joined with the earlier rows of the same keys, and those."""
        found = None
        if "existing" in model.inputs:
            found = self._earlier(model, self._engine.table(OBSERVED[kind_of(model)]))
            self._engine.define_existing(model, self._file(model.name, found), None)
        self._engine.make(model)
        return self._engine.read(model.name).read_all(), found

    def _earlier(self, model: Model, keys: pa.Table) -> pa.Table:
        """The rows of some keys that are known."""
        # a partition that is named is the only one read
        dates = literal.dates(set(keys[model.day].unique().to_pylist()))
        hours = literal.hours(set(keys[model.hour].unique().to_pylist()))
        where = f"{model.day} in ({dates}) and {model.hour} in ({hours})" if keys.num_rows else "false"
        key = ", ".join(model.definition.key)
        name_rows(self._known, "wanted", keys.select(list(model.definition.key)))
        # first which they are: rows are wide, and most posts are new
        self._known.execute(
            f"create or replace temp table wanted as select {key} "
            f"from (select {key} from {model.name} where {where}) semi join wanted using ({key})"
        )
        if not self._known.execute("select 1 from wanted limit 1").fetchone():
            return model.definition.schema.empty_table()
        return self._known.execute(
            f"select * from (select * from {model.name} where {where}) as known "
            f"semi join wanted using ({key})"
        ).to_arrow_table()

    def _versions(self, model: Model, made: dict[str, pa.Table]) -> pa.Table:
        """All versions of the authors seen in the new messages."""
        (since,) = (name for name in model.inputs if name.startswith(SINCE_PREFIX))
        (source,) = (other for other in self._models if other.name == table_of(since))
        seen = made[source.name]
        if not seen.num_rows:
            return model.definition.schema.empty_table()
        name_rows(self._known, "wanted", seen.select(list(source.definition.key)))
        author, sighting = ", ".join(AUTHOR), ", ".join(source.definition.key)
        # plain: columns that are worked out are so for all authors, wanted or not
        plain = f"{model.name}_plain" if model.definition.derived else model.name
        known = self._known.execute(
            f"select {columns_of(model.definition)} from {plain} semi join wanted using ({author})"
        ).to_arrow_table()
        later = self._known.execute(
            f"select {columns_of(source.definition)} from (select * from {source.name} "
            f"where {source.day} >= {literal.dates({min(seen[source.day].unique().to_pylist())})} "
            f"and {source.hour} >= {literal.hours({min(seen[source.hour].unique().to_pylist())})}) as known "
            f"semi join wanted using ({author}) anti join wanted using ({sighting})"
        ).to_arrow_table()
        files = self._file(model.name, known)
        self._engine.define_existing(model, files, None)
        self._engine.define_existing_since(model, files, "true")
        self._engine.define_beside(since, source, self._file(since, later), [], "true")
        self._engine.make(model)
        return self._engine.read(model.name).read_all()

    def _hashtags(self, model: Model, tagged: pa.Table) -> pa.Table:
        """Rows of the hashtags in new posts: as they are known, or as the first of these posts has them."""
        name = model.name
        columns = ", ".join(
            f"case when known.first_seen_at <= new.first_seen_at then known.{column} else new.{column} end "
            f"as {column}"
            for column in ("spelling", "first_seen_at", "first_seen_hour", "first_seen_date")
        )
        self._known.register("tagged", tagged)
        try:
            rows: list[dict[str, Any]] = (
                self._known.execute(
                    "with new as materialized (select hashtag_key, hashtag, mode(spelling) as spelling, "
                    "min(created_at) as first_seen_at, created_hour as first_seen_hour, "
                    "created_date as first_seen_date from tagged "
                    "group by hashtag_key, hashtag, created_hour, created_date "
                    "qualify row_number() over (partition by hashtag order by min(created_at)) = 1), "
                    # most hashtags came before: few are looked for in the files
                    f"known as (select * from made.{name} semi join new using (hashtag) "
                    f"union all select * from made.{name}_stored semi join "
                    f"(select hashtag from new anti join made.{name} using (hashtag)) using (hashtag)) "
                    f"select new.hashtag_key, new.hashtag, known.hashtag_plain, {columns} "
                    "from new left join known using (hashtag)"
                )
                .to_arrow_table()
                .to_pylist()
            )
        finally:
            self._known.unregister("tagged")
        for row in rows:
            row["hashtag_plain"] = row["hashtag_plain"] or fold_plain(row["hashtag"])
        return pa.Table.from_pylist(rows, schema=model.definition.schema)

    def _file(self, name: str, rows: pa.Table) -> list[str]:
        """Rows in a file for the engine; the next of the same name takes its place. No file without rows."""
        if not rows.num_rows:
            return []
        path = self._folder / f"{name}.parquet"
        pq.write_table(rows, path, compression="lz4")
        return [str(path)]


def name_rows(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """Rows as a table of their own. Times that a join looks for could not be handed on to rows outside."""
    connection.register("outside", rows)
    connection.execute(f"create or replace temp table {name} as select * from outside")
    connection.unregister("outside")
