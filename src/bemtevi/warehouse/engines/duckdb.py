"""The embedded engine: DuckDB, in this process, spilling to disk above its memory limit.

Owns how the contract's relations are kept in DuckDB. Source of the settings: DuckDB's guide "tune workloads".
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import duckdb
import pyarrow as pa

from bemtevi.errors import StorageError
from bemtevi.lake import literal
from bemtevi.lake.literal import parquet
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.reading import draw_no_bar, let_read
from bemtevi.warehouse import hashtag, hiding, holiday
from bemtevi.warehouse.engine import UNREADABLE, Choose, Ids, Staged, Write
from bemtevi.warehouse.model import CREATED_HOUR, OBSERVATION, Model, staging_files
from bemtevi.warehouse.notice import KINDS as NOTICE_KINDS
from bemtevi.warehouse.spill import make_spill_folder, remove_spill_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMON = ("functions", "observation")
"""Staging files that are no dialect."""

NO_DIALECT = "x_v2"
"""Reads nothing from messages of a dialect that this version cannot stage."""

_REASONS = {
    "stage": "'staging' as stage",
    "reason": "'no post with an id, a text and a time' as reason",
    "payload": "encode(payload) as payload",
}
_QUARANTINE_COLUMNS = ", ".join(_REASONS.get(name, name) for name in QUARANTINE.schema.names)

READ = "post_id is not null and created_at is not null"
READABLE_KINDS = "('post', 'edit', 'page')"
BATCH_ROWS = 20_000
FILES_AT_ONCE = 256


class DuckDBEngine:
    """See `warehouse.engine.Engine`."""

    name = "duckdb"

    def __init__(
        self,
        *,
        timezone: str,
        memory_limit: str,
        threads: int | None,
        rule_hashtags: Mapping[str, list[str]],
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        """`rule_hashtags`: for the tag of each rule of ours, the hashtags that the rule asks for.

        `storage_options`: of the lake's store.
        """
        self._timezone = timezone
        self._memory_limit = memory_limit
        self._threads = threads
        self._rule_hashtags = rule_hashtags
        self._storage_options = storage_options or {}
        self._staging = staging_files()
        self._hides = False

    def __enter__(self) -> Self:
        self._folder = make_spill_folder()
        self._connection = duckdb.connect()
        run = self._connection.execute
        let_read(self._connection, self._storage_options)
        run("set timezone = 'UTC'")
        run("set temp_directory = ?", [self._folder])
        run("set memory_limit = ?", [self._memory_limit])
        run("set preserve_insertion_order = false")
        draw_no_bar(self._connection)
        run("set parquet_metadata_cache = true")  # files never change, and several queries read each
        if self._threads is not None:
            run("set threads = ?", [self._threads])
        run("set variable timezone = ?", [self._timezone])
        # two lists: the library takes a dictionary of `key` and `value` for a map where both are as long
        run(
            "set variable rule_hashtags = map(?::varchar[], ?::varchar[][])",
            [list(self._rule_hashtags), [list(tags) for tags in self._rule_hashtags.values()]],
        )
        hashtag.register(self._connection)
        holiday.register(self._connection, self._timezone)
        self._script(self._staging["functions"])
        return self

    def __exit__(self, *raised: object) -> None:
        self._connection.close()
        remove_spill_folder(self._folder)

    def notices(self, files: Sequence[str]) -> pa.RecordBatchReader:
        """See the contract."""
        kinds = ", ".join(f"'{kind}'" for kind in NOTICE_KINDS)
        if not files:
            return RAW.schema.empty_table().select(["network", "received_at", "payload"]).to_reader()
        with self._told():
            return self._connection.execute(
                f"select network, received_at, payload from {parquet(files)} where kind in ({kinds})"
            ).to_arrow_reader(BATCH_ROWS)

    def stage(
        self,
        files: Sequence[str],
        hours: Sequence[datetime] | None = None,
        holding: Sequence[str] | None = None,
    ) -> Staged:
        """Make `observation`; see the contract."""
        run = self._connection.execute
        within, likely = self._conditions(hours, holding)
        messages = 0
        with self._told():
            run("drop table if exists staged")
            run("drop table if exists unread")
            # many files at a time: rows are added to a table slower than they make it
            for start in range(0, len(files), FILES_AT_ONCE):
                group = files[start : start + FILES_AT_ONCE]
                run(f"create or replace temp view delivered as select * from {parquet(group)} where {likely}")
                kinds = run("select dialect, count(*) from delivered group by 1 order by 1").fetchall()
                for dialect, number in kinds:
                    messages += number
                    self._stage_dialect(dialect)
            if not self._has("staged"):
                self._connection.register("no_message", RAW.schema.empty_table())
                run("create or replace temp view delivered as select * from no_message")
                self._stage_dialect(NO_DIALECT)
            run(
                "create or replace temp view observation as "
                f"select *, false as is_deleted from staged where {READ} and {within}"
            )
        return Staged(messages, self._count(OBSERVATION), self._count("unread"))

    def stage_messages(
        self,
        messages: pa.Table,
        hours: Sequence[datetime] | None = None,
        holding: Sequence[str] | None = None,
    ) -> tuple[int, pa.Table, pa.Table]:
        """What `stage` makes of some messages, and keeps nothing of: their number, the observations, and the
        rows of `quarantine`. What an executor of a cluster asks."""
        run = self._connection.execute
        within, likely = self._conditions(hours, holding)
        run("drop table if exists staged")
        run("drop table if exists unread")
        self._connection.register("given", messages)
        run(f"create or replace temp view delivered as select * from given where {likely}")
        number = self._count("delivered")
        for (dialect,) in run("select distinct dialect from delivered").fetchall() or [(NO_DIALECT,)]:
            self._stage_dialect(dialect)
        observations = run(f"select * from staged where {READ} and {within}").to_arrow_table()
        unreadable = run("select * from unread").to_arrow_table()
        return number, observations, unreadable.cast(QUARANTINE.schema)

    def _conditions(self, hours: Sequence[datetime] | None, holding: Sequence[str] | None) -> tuple[str, str]:
        """Which observations are wanted, and which messages may hold one."""
        within, likely = "true", "true"
        if hours is not None:
            within = _in_hours(CREATED_HOUR, hours)
            # a page may hold posts of any time: only single posts are told apart by the envelope
            likely = f"(event_at is null or {_in_hours('time_bucket(interval 1 hour, event_at)', hours)})"
        if holding is not None:
            self._connection.execute("set variable holding = ?::varchar[]", [list(holding)])
            likely += " and list_has_any(regexp_extract_all(payload, '[0-9]+'), getvariable('holding'))"
        return within, likely

    def hide(self, gone: pa.Table) -> None:
        """See the contract."""
        run = self._connection.execute
        self._hides = gone.num_rows > 0
        if not self._hides:
            return
        self._connection.register(hiding.GONE, gone)
        with self._told():
            for statement in hiding.prepare():
                run(statement)
            if not self._has("staged"):
                return
            columns = [name for name, *_ in run("describe observation").fetchall() if name != "is_deleted"]
            # made once: every model reads it
            rows = hiding.observed("select * from observation", columns)
            run(f"create or replace temp table hidden as {rows}")
            run("drop view observation")
            run("drop table staged")
            run("alter table hidden rename to staged")
            run("create temp view observation as select * from staged")

    def observed_ids(self, choose: Choose) -> Ids:
        """See the contract."""
        ids = " union ".join(
            f"select network, '{subject}' as subject, {name} as id from observation where {name} is not null"
            for name, subject in hiding.NAMED.items()
        )
        found: list[tuple[str, str, str]] = []
        with self._told():
            for batch in self._connection.execute(ids).to_arrow_reader(BATCH_ROWS):
                there = [tuple(row.values()) for row in batch.to_pylist()]
                found += (there[place] for place in choose(there))
        return found

    def posts_of(self, authors: pa.Table, fact: Model | None = None, files: Sequence[str] = ()) -> pa.Table:
        """See the contract."""
        self._connection.register("chosen", authors)
        source = "observation" if fact is None else f"({_rows(fact, files)}) as row"
        with self._told():
            return self._connection.execute(
                f"select distinct network, author_id, post_id from {source} "
                "where (network, author_id) in (select (network, id) from chosen)"
            ).to_arrow_table()

    def concerned_hours(self, model: Model, files: Sequence[str]) -> list[datetime]:
        """See the contract."""
        names = list(model.types)
        with self._told():
            return self._hours(
                f"select distinct {model.hour} as hour from ({_rows(model, files)}) "
                f"where {hiding.concerned(names)} order by 1"
            )

    def _stage_dialect(self, dialect: str) -> None:
        """Add what the messages of one dialect in `delivered` hold to `staged` and `unread`."""
        run = self._connection.execute
        # a dialect without staging is kept in raw for a version that has it, and told as unreadable
        known = dialect in self._staging and dialect not in COMMON
        run(f"create or replace temp view message as select * from delivered where dialect = '{dialect}'")
        *prelude, staging = duckdb.extract_statements(self._staging[dialect if known else NO_DIALECT])
        for statement in prelude:
            run(statement.query)
        run(f"create or replace temp view staged_rows as {staging.query}")
        (observe,) = duckdb.extract_statements(self._staging["observation"])
        # all of it, and the condition later: here, it would be decided by parsing the JSON once more
        self._add("staged", observe.query)
        self._add("unread", f"select {_QUARANTINE_COLUMNS} from message where {self._unread()}")

    def _unread(self) -> str:
        """Which messages of `message` should hold a post and gave none, as a condition."""
        without = (
            f"select session, sequence from message where kind in {READABLE_KINDS} "
            f"except select session, sequence from staged where {READ}"
        )
        self._connection.execute(f"create or replace temp table without as {without}")
        # most often there is none, and then the payloads are not read again
        if not self._count("without"):
            return "false"
        return "(session, sequence) in (select (session, sequence) from without)"

    def _add(self, name: str, rows: str) -> None:
        """Add rows to a temporary table, which the first rows make."""
        how = f"insert into {name} by name" if self._has(name) else f"create temp table {name} as"
        self._connection.execute(f"{how} {rows}")

    def _has(self, name: str) -> bool:
        query = "select 1 from duckdb_tables() where table_name = ?"
        return self._connection.execute(query, [name]).fetchone() is not None

    def _count(self, name: str) -> int:
        row = self._connection.execute(f"select count(*) from {name}").fetchone()
        return int(row[0]) if row else 0

    def touched_hours(self, column: str) -> list[datetime]:
        """See the contract."""
        return self._hours(f"select distinct {column} as hour from observation order by 1")

    def _hours(self, query: str) -> list[datetime]:
        return list(self._connection.execute(query).to_arrow_table()["hour"].to_pylist())

    def define_existing(self, model: Model, files: Sequence[str], hours: Sequence[datetime] | None) -> int:
        """See the contract."""
        with self._told():
            where = "true" if hours is None else _in_hours(model.hour, hours)
            rows = f"{_rows(model, files)} where {where}"
            self._connection.execute(f"create or replace temp view existing as {rows}")
            count = self._count("existing")
            if self._hides:
                stay = hiding.kept(rows, list(model.types))
                self._connection.execute(f"create or replace temp view existing as {stay}")
            return count

    def define_existing_of_keys(
        self, model: Model, files: Sequence[str], of_hours: Sequence[str], hours: Sequence[datetime]
    ) -> int:
        """See the contract."""
        key = ", ".join(model.definition.key)
        with self._told():
            self._connection.execute(
                f"create or replace temp table existing_touched as {_rows(model, of_hours)} "
                f"where {_in_hours(model.hour, hours)}"
            )
            self._connection.execute(
                "create or replace temp table existing_of_keys as "
                f"select * from existing_touched union all by name select {model.looked_up} "
                f"from (select * from ({_rows(model, files)}) as stored "
                f"semi join ({model.keys}) as touched using ({key}) "
                f"anti join existing_touched using ({key})) as other"
            )
            self._connection.execute("create or replace temp view existing as select * from existing_of_keys")
        return self._count("existing_of_keys")

    def define_existing_since(self, model: Model, files: Sequence[str], where: str) -> None:
        """See the contract."""
        rows = f"{_rows(model, files)} where {where}"
        stay = hiding.kept(rows, list(model.types)) if self._hides else rows
        with self._told():
            self._connection.execute(f"create or replace temp view stored_since as {rows}")
            self._connection.execute(f"create or replace temp view existing_since as {stay}")

    def define_beside(
        self, name: str, model: Model, files: Sequence[str], hours: Sequence[datetime], where: str
    ) -> None:
        """See the contract."""
        self._connection.execute(
            f"create or replace view {name} as {_rows(model, files)} "
            f"where not ({_in_hours(model.hour, hours)}) and {where} "
            f"union all by name select * from {model.name}"
        )

    def load(self, model: Model, files: Sequence[str], hours: Sequence[datetime]) -> int:
        """See the contract."""
        with self._told():
            self._connection.execute(
                f"create or replace table {model.name} as {_rows(model, files)} "
                f"where {_in_hours(model.hour, hours)}"
            )
        return self._count(model.name)

    def make(self, model: Model) -> int:
        """See the contract."""
        with self._told():
            self._connection.execute(f"create or replace table {model.name} as {model.query}")
        return self._count(model.name)

    def keep_changed(self, model: Model) -> list[datetime]:
        """See the contract."""
        name, hour = model.name, model.hour
        with self._told():
            changed = self._hours(
                f"select distinct {hour} as hour from ("
                f"(select * from {name} except select * from stored_since) union all "
                f"(select * from stored_since except select * from {name})) order by 1"
            )
            self._connection.execute(f"delete from {name} where not ({_in_hours(hour, changed)})")
        return changed

    def changed_hours(self, model: Model) -> list[datetime]:
        """See the contract."""
        name, hour = model.name, model.hour
        with self._told():
            # not `temp`, as what another thread reads
            self._connection.execute(
                f"create or replace table new_{name} as "
                f"select * from {name} except select * from existing_of_keys"
            )
            self._connection.execute(
                f"create or replace table old_{name} as "
                f"select * from existing_of_keys except select * from {name}"
            )
            return self._hours(
                f"select {hour} as hour from new_{name} union "
                f"select {hour} as hour from old_{name} order by 1"
            )

    def define_beside_keys(self, name: str, model: Model, files: Sequence[str]) -> None:
        """See the contract."""
        key = ", ".join(model.definition.key)
        order = ", ".join(model.order)
        self._connection.execute(
            f"create or replace view {name} as select * from ("
            f"select * from ({_rows(model, files)}) as stored anti join old_{model.name} using ({key}) "
            f"union all by name select * from new_{model.name}) as beside order by {order}"
        )

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """See the contract."""
        with self._told():
            table = self._connection.execute(query).to_arrow_table()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def table(self, query: str) -> pa.Table:
        """The answer to a query over the relations; for who answers in this process."""
        with self._told():
            return self._connection.execute(query).to_arrow_table()

    def read(self, name: str) -> pa.RecordBatchReader:
        """The rows of a table just made, in the model's order; for who answers in this process."""
        with self._told():
            # a connection of its own, so that others can be made meanwhile: what is read is not `temp`
            reading = self._connection.cursor()
            reading.execute("set timezone = 'UTC'")
            return reading.execute(f"select * from {name}").to_arrow_reader(BATCH_ROWS)

    def writing(self, name: str) -> Write:
        """See the contract."""
        if name == UNREADABLE:
            with self._told():
                ordered = self._connection.execute("select * from unread order by session, sequence")
                unreadable = ordered.to_arrow_table().cast(QUARANTINE.schema)
            return lambda replacement: replacement.write(unreadable.to_reader())
        rows = self.read(name)
        return lambda replacement: replacement.write(rows)

    def leave_out(self, files: Sequence[str]) -> int:
        """See the contract."""
        with self._told():
            if files:
                known = f"select (session, sequence) from {parquet(files)} where stage = 'staging'"
                self._connection.execute(f"delete from unread where (session, sequence) in ({known})")
            return self._count("unread")

    def drop(self, name: str) -> None:
        """See the contract."""
        if name == OBSERVATION:
            self._connection.execute("drop view if exists observation")
            name = "staged"
        self._connection.execute(f"drop table if exists {name}")

    def _script(self, sql: str) -> None:
        for statement in duckdb.extract_statements(sql):
            self._connection.execute(statement.query)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise StorageError(
                f"The engine ran out of its {self._memory_limit} (BEMTEVI_MEMORY_LIMIT) or of disk under "
                f"{self._folder} to spill to; nothing was changed. {str(error).splitlines()[0]}"
            ) from error
        except duckdb.IOException as error:
            raise StorageError(f"The engine cannot read or spill: {str(error).splitlines()[0]}") from error


def _rows(model: Model, files: Sequence[str]) -> str:
    """A select of a table's columns from its files; columns that older files lack are null."""
    columns = ", ".join(f'cast("{name}" as {type_}) as "{name}"' for name, type_ in model.types.items())
    nulls = ", ".join(f'cast(null as {type_}) as "{name}"' for name, type_ in model.types.items())
    if not files:
        return f"select {columns} from (select {nulls} where false)"
    return f"select {columns} from (select {nulls} where false union all by name from {parquet(files)})"


def _in_hours(column: str, hours: Sequence[datetime]) -> str:
    return f"{column} in ({literal.hours(hours)})" if hours else "false"
