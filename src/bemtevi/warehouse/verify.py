"""Whether layer 2 is what layer 1 and the runs say.

Owns the comparisons between tables, counted by the embedded engine within its memory. Looks at what readers
see: layer 2 at the versions of the last run, raw at the version that this run has consolidated. Leaves to
`lake.integrity` whether the files can be read at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb

from bemtevi.errors import StorageError
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.integrity import Examined, examine
from bemtevi.lake.lake import Lake
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.literal import parquet
from bemtevi.lake.maintenance import MaintainedTable
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.reading import let_read
from bemtevi.lake.tombstone import Tombstones, gone
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.record import RECORDS
from bemtevi.warehouse.run import Run, all_runs
from bemtevi.warehouse.spill import make_spill_folder, remove_spill_folder

COMPARED = ("fact_post", "bridge_post_hashtag", "agg_hashtag_hour")

QUESTIONS = {
    "messages of raw that stand there twice": """
        select count(*), coalesce(sum(times - 1), 0) from (
            select count(*) as times from raw group by session, sequence
        ) as message
    """,
    "posts of raw that fact_post lacks": """
        with delivered as (
            select distinct network, key from raw
            where kind in ('post', 'edit') and key is not null
            and (event_at is null or event_at >= $facts_from)
            and (session, sequence) not in (
                select (session, sequence) from quarantine where stage = 'staging'
            )
        ),
        lacking as (
            select network, key from delivered anti join fact_post
            on fact_post.network = delivered.network and fact_post.post_id = delivered.key
        ),
        deleted as (
            select distinct network, key from (
                select network, key, unnest(regexp_extract_all(payload, '[0-9]+')) as id
                from raw semi join lacking using (network, key)
            )
            where id in (select id from gone) or network in (select id from gone)
        )
        select (select count(*) from delivered), count(*) from lacking anti join deleted using (network, key)
    """,
    "posts of fact_post, more or less than the runs have counted": """
        select count(*), abs(count(*) - $posts_of_runs) from fact_post
    """,
    "hours in which fact_post and bridge_post_hashtag have other hashtags": """
        with fact as (
            select created_hour, sum(len(hashtags)) as tags from fact_post
            where len(hashtags) > 0 group by 1
        ),
        bridge as (select created_hour, count(*) as tags from bridge_post_hashtag group by 1)
        select count(*), count(*) filter (where fact.tags is distinct from bridge.tags)
        from fact full join bridge on fact.created_hour = bridge.created_hour
    """,
    "hours in which bridge_post_hashtag and agg_hashtag_hour have other counts": """
        with bridge as (select created_hour, count(*) as tags from bridge_post_hashtag group by 1),
        hourly as (select created_hour, sum(posts) as tags from agg_hashtag_hour group by 1)
        select count(*), count(*) filter (where bridge.tags is distinct from hourly.tags)
        from bridge full join hourly on bridge.created_hour = hourly.created_hour
    """,
}
"""What is counted: of how many, and how many are wrong."""


@dataclass(frozen=True)
class Comparison:
    """One thing that was compared: how many were looked at, and how many of them are wrong."""

    what: str
    of: int
    wrong: int


def examine_tables(lake: Lake) -> Iterator[Examined]:
    """Read every file that readers may see, table by table."""
    runs = all_runs(lake)
    versions = runs[-1].table_versions if runs else {}
    for definition in (*LAYER_1, *RECORDS):
        table = MaintainedTable.of(lake, definition)
        if table.exists():
            yield examine(table)
    for model in load_models():
        if model.name in versions:
            yield examine(MaintainedTable.of(lake, model.definition), versions[model.name])


def compare(lake: Lake, memory_limit: str) -> list[Comparison]:
    """Compare the tables with each other; nothing without a run.

    Raises StorageError if the engine cannot read a file, or needs more than its memory.
    """
    runs = all_runs(lake)
    if not runs:
        return []
    folder = make_spill_folder()
    try:
        with duckdb.connect() as connection:
            let_read(connection, lake.storage_options)
            connection.execute("set timezone = ?", [lake.timezone])
            connection.execute("set temp_directory = ?", [folder])
            connection.execute("set memory_limit = ?", [memory_limit])
            _define(connection, lake, runs[-1])
            values = {
                "facts_from": max((run.facts_from for run in runs if run.facts_from), default=None),
                "posts_of_runs": sum(run.posts_after - run.posts_before for run in runs),
            }
            return [_ask(connection, what, sql, values) for what, sql in QUESTIONS.items()]
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise StorageError(f"The tables cannot be compared: {str(error).splitlines()[0]}.") from error
    finally:
        remove_spill_folder(folder)


def _ask(
    connection: duckdb.DuckDBPyConnection, what: str, sql: str, values: Mapping[str, object]
) -> Comparison:
    used = {name: value for name, value in values.items() if f"${name}" in sql}
    if used.get("facts_from", "") is None:
        sql, used = sql.replace("event_at >= $facts_from", "true"), {}
    row = connection.execute(sql, used).fetchone() or (0, 0)
    return Comparison(what, int(row[0]), int(row[1]))


def _define(connection: duckdb.DuckDBPyConnection, lake: Lake, last: Run) -> None:
    """The tables as readers see them, by their names."""
    facts = [model.definition for model in load_models() if model.name in COMPARED]
    _view(connection, lake, RAW, last.raw_version)
    _view(connection, lake, QUARANTINE, None)
    connection.register("gone", gone(Tombstones(lake).read()))
    for definition in facts:
        _view(connection, lake, definition, last.table_versions.get(definition.name))


def _view(
    connection: duckdb.DuckDBPyConnection, lake: Lake, definition: TableDefinition, version: int | None
) -> None:
    name = definition.name
    files = lake.table(definition).snapshot(version).files
    connection.register(f"no_{name}", definition.schema.empty_table())
    rows = f"select * from no_{name}"
    if files:
        rows += f" union all by name select * from {parquet(files)}"
    connection.execute(f"create view {name} as {rows}")
