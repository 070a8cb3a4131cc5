"""The engine of a cluster: Apache Spark.

Owns how the contract's relations are kept in Spark. Messages are staged and files written on the executors,
models run as Spark's SQL. What comes to the driver is counts, hours, the names of files and what is deleted,
never rows of a table. A relation is a view under a name of its own for each time it is made: over Connect,
Spark reads a view when a result is asked for, not when it is defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import functions as f
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StringType

from bemtevi.errors import StorageError
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.tombstone import TOMBSTONE
from bemtevi.warehouse import hiding
from bemtevi.warehouse.engine import UNREADABLE, Choose, Ids, Staged, Write
from bemtevi.warehouse.engines.spark.executor import (
    FILES,
    Address,
    Chooser,
    Hider,
    HolidayName,
    Reader,
    Stager,
    Writer,
    absolute,
    fold_plain,
    only_notices,
    written_file,
)
from bemtevi.warehouse.engines.spark.schema import spark_schema
from bemtevi.warehouse.engines.spark.session import open_session, said
from bemtevi.warehouse.engines.spark.translate import shared_parts, translate
from bemtevi.warehouse.model import EXISTING_TOUCHED, OBSERVATION
from bemtevi.warehouse.notice import KINDS as NOTICE_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bemtevi.lake.definition import TableDefinition
    from bemtevi.lake.replacement import Replacement
    from bemtevi.warehouse.model import Model

EXISTING = "existing"
EXISTING_SINCE = "existing_since"
STORED_SINCE = "stored_since"
STORED_OF_KEYS = "stored_of_keys"

MOST_TASKS = 1_000
"""Of reading files, where the number of cores is not known: from then on a task reads several."""
TASKS_OF_A_CORE = 4


class SparkEngine:
    """See `warehouse.engine.Engine`."""

    name = "spark"

    def __init__(
        self,
        *,
        place: str,
        timezone: str,
        memory_limit: str,
        rule_hashtags: Mapping[str, list[str]],
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        """`place`: a master URL or a Connect URL. `memory_limit`: of staging in one task of an executor.
        `storage_options`: how the lake's store is reached, for executors too."""
        self._place = place
        self._timezone = timezone
        self._memory_limit = memory_limit
        self._rule_hashtags = dict(rule_hashtags)
        self._storage_options = dict(storage_options or {})
        self._gone = TOMBSTONE.schema.empty_table()
        self._views: dict[str, str] = {}
        self._types: dict[str, Mapping[str, str]] = {}
        self._orders: dict[str, tuple[str, ...]] = {UNREADABLE: ("session", "sequence")}
        self._made = 0

    def __enter__(self) -> Self:
        self._spark = open_session(self._place)
        self._spark.udf.register("hashtag_fold_plain", f.arrow_udf(fold_plain, StringType()))
        name_holiday = HolidayName(self._timezone)
        self._spark.udf.register("holiday_name", f.udf(lambda day: name_holiday(day), StringType()))
        self._staged_schema = self._stager(()).schema()
        self._tasks = MOST_TASKS
        if not self._place.startswith("sc://"):
            self._tasks = TASKS_OF_A_CORE * self._spark.sparkContext.defaultParallelism
        return self

    def __exit__(self, *raised: object) -> None:
        # the session is the process's, for the next engine: to start one takes seconds
        for name in list(self._views):
            self.drop(name)

    def notices(self, files: Sequence[str]) -> Iterable[pa.RecordBatch]:
        """See the contract; what is no notice stays on the executors."""
        columns = ["network", "received_at", "payload"]
        schema = pa.schema([RAW.schema.field(name) for name in columns])
        with self._told():
            told = self._read(files, RAW).where(f.col("kind").isin(*NOTICE_KINDS)).select(*columns)
            rows = told.mapInArrow(only_notices, spark_schema(schema)).toArrow()
        return list(rows.cast(schema).to_batches())

    def stage(
        self,
        files: Sequence[str],
        hours: Sequence[datetime] | None = None,
        holding: Sequence[str] | None = None,
    ) -> Staged:
        """Make `observation` and `unreadable`; see the contract."""
        stager = self._stager(
            files, None if hours is None else tuple(hours), None if holding is None else tuple(holding)
        )
        with self._told():
            staged = self._places(files).mapInArrow(stager, spark_schema(self._staged_schema))
            staged = _held(staged)
            messages, observations, unreadable = staged.agg(
                f.sum("messages"),
                f.count_if(f.col("observation").isNotNull()),
                f.count_if(f.col("unreadable").isNotNull()),
            ).first()
            observed = staged.where(f.col("observation").isNotNull()).select("observation.*")
            types = _types(self._staged_schema.field("observation").type)
            self._define(
                OBSERVATION,
                observed.withColumn("is_deleted", f.lit(False)),
                {**types, "is_deleted": "BOOLEAN"},
            )
            unread = staged.where(f.col("unreadable").isNotNull()).select("unreadable.*")
            self._define(UNREADABLE, unread, _types(self._staged_schema.field("unreadable").type))
        return Staged(messages or 0, observations, unreadable)

    def _stager(
        self,
        files: Sequence[str],
        hours: tuple[datetime, ...] | None = None,
        holding: tuple[str, ...] | None = None,
    ) -> Stager:
        reader = self._reader(files, RAW) if files else None
        return Stager(self._timezone, self._memory_limit, self._rule_hashtags, reader, hours, holding)

    def hide(self, gone: pa.Table) -> None:
        """See the contract."""
        self._gone = gone
        if not gone.num_rows or OBSERVATION not in self._views:
            return
        schema = pa.schema(list(self._staged_schema.field("observation").type))
        hider = Hider.of(gone, schema, hiding.observed("select * from given", schema.names))
        with self._told():
            made = pa.schema([*schema, pa.field("is_deleted", pa.bool_())])
            rows = self._relation(OBSERVATION).drop("is_deleted").mapInArrow(hider, spark_schema(made))
            self._define(OBSERVATION, _held(rows), self._types[OBSERVATION])

    def observed_ids(self, choose: Choose) -> Ids:
        """See the contract; the others stay on the executors."""
        schema = pa.schema([(name, pa.string()) for name in ("network", "subject", "id")])
        with self._told():
            observed = self._relation(OBSERVATION)
            each = [
                f.struct("network", f.lit(subject).alias("subject"), f.col(name).alias("id"))
                for name, subject in hiding.NAMED.items()
            ]
            named = observed.select(f.explode(f.array(*each)).alias("named")).select("named.*")
            chosen = (
                named.where(f.col("id").isNotNull())
                .distinct()
                .mapInArrow(Chooser(choose), spark_schema(schema))
                .toArrow()
            )
        return [(row["network"], row["subject"], row["id"]) for row in chosen.to_pylist()]

    def posts_of(self, authors: pa.Table, fact: Model | None = None, files: Sequence[str] = ()) -> pa.Table:
        """See the contract."""
        names = ["network", "author_id", "post_id"]
        schema = pa.schema([(name, pa.string()) for name in names])
        with self._told():
            rows = self._relation(OBSERVATION) if fact is None else self._read(files, fact.definition)
            chosen = self._spark.createDataFrame(authors.rename_columns(["network", "author_id"]))
            posts = rows.join(chosen, ["network", "author_id"], "left_semi").select(*names).distinct()
            return posts.toArrow().cast(schema)

    def concerned_hours(self, model: Model, files: Sequence[str]) -> list[datetime]:
        """See the contract."""
        schema = model.definition.schema
        query = f"select distinct {model.hour} from given where {hiding.concerned(schema.names)}"
        hider = Hider.of(self._gone, schema, query)
        with self._told():
            found = pa.schema([schema.field(model.hour)])
            rows = self._read(files, model.definition).mapInArrow(hider, spark_schema(found))
            return _hours(rows, model.hour)

    def _hidden(self, model: Model, rows: Any) -> Any:
        """Rows of a table as they are without what is deleted."""
        if not self._gone.num_rows:
            return rows
        schema = model.definition.schema
        hider = Hider.of(self._gone, schema, hiding.kept("select * from given", schema.names))
        return rows.mapInArrow(hider, spark_schema(schema))

    def touched_hours(self, column: str) -> list[datetime]:
        """See the contract."""
        with self._told():
            return _hours(self._relation(OBSERVATION), column)

    def define_existing(self, model: Model, files: Sequence[str], hours: Sequence[datetime] | None) -> int:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition)
            if hours is not None:
                rows = rows.where(_in_hours(model, hours))
            self._define(EXISTING, self._hidden(model, rows), model.types)
            return int(rows.count()) if files else 0

    def define_existing_of_keys(
        self, model: Model, files: Sequence[str], of_hours: Sequence[str], hours: Sequence[datetime]
    ) -> int:
        """See the contract."""
        key = list(model.definition.key)
        with self._told():
            touched = _held(self._read(of_hours, model.definition).where(_in_hours(model, hours)))
            self._define(EXISTING_TOUCHED, touched, model.types)
            inputs = [name for name in model.inputs if name in self._views and name in model.keys]
            keys = self._run(model.keys, inputs).distinct()
            stored = self._read(files, model.definition).join(keys, key, "left_semi")
            self._define(
                STORED_OF_KEYS, stored.join(touched, key, "left_anti").select(*model.types), model.types
            )
            other = self._run(f"select {model.looked_up} from {STORED_OF_KEYS}", [STORED_OF_KEYS])
            rows = _held(touched.unionByName(other, allowMissingColumns=True))
            self.drop(STORED_OF_KEYS)
            self._define(EXISTING, rows.select(*model.types), model.types)
            return int(rows.count())

    def define_existing_since(self, model: Model, files: Sequence[str], where: str) -> None:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition).where(where)
            self._define(STORED_SINCE, rows, model.types)
            self._define(EXISTING_SINCE, self._hidden(model, rows), model.types)

    def define_beside(
        self, name: str, model: Model, files: Sequence[str], hours: Sequence[datetime], where: str
    ) -> None:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition)
            beside = rows.where(~_in_hours(model, hours)).where(where)
            self._orders[name] = model.order
            self._define(name, beside.unionByName(self._relation(model.name)), model.types)

    def load(self, model: Model, files: Sequence[str], hours: Sequence[datetime]) -> int:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition)
            return self._hold(model, rows.where(_in_hours(model, hours)))

    def make(self, model: Model) -> int:
        """See the contract."""
        shared: list[str] = []
        parts, rest = shared_parts(model.sql)
        with self._told():
            for name, query in parts:
                rows = _held(self._run(query, model.inputs, shared))
                self._define(name, rows, _types(to_arrow_schema(rows.schema, timezone="UTC")))
                shared.append(name)
            made = self._hold(model, self._run(model.typed(rest), model.inputs, shared))
            for name in shared:
                self.drop(name)
        return made

    def _run(self, query: str, *names: Sequence[str]) -> Any:
        """A query of the models over the relations of some names."""
        read = [name for group in names for name in group]
        relations = {name: self._types[name] for name in read}
        views = {name: self._views[name] for name in read}
        return self._spark.sql(translate(query, relations, views, self._timezone))

    def keep_changed(self, model: Model) -> list[datetime]:
        """See the contract."""
        with self._told():
            made, old = self._relation(model.name), self._relation(STORED_SINCE)
            changed = _hours(made.subtract(old).unionByName(old.subtract(made)), model.hour)
            self._hold(model, made.where(_in_hours(model, changed)))
        return changed

    def changed_hours(self, model: Model) -> list[datetime]:
        """See the contract."""
        with self._told():
            made, old = self._relation(model.name), self._relation(EXISTING)
            self._define(f"new_{model.name}", _held(made.subtract(old)), model.types)
            self._define(f"old_{model.name}", _held(old.subtract(made)), model.types)
            both = self._relation(f"new_{model.name}").unionByName(self._relation(f"old_{model.name}"))
            return _hours(both, model.hour)

    def define_beside_keys(self, name: str, model: Model, files: Sequence[str]) -> None:
        """See the contract."""
        with self._told():
            gone = self._relation(f"old_{model.name}").select(*model.definition.key)
            kept = self._read(files, model.definition).join(gone, list(model.definition.key), "left_anti")
            self._orders[name] = model.order
            rows = kept.select(*model.types).unionByName(self._relation(f"new_{model.name}"))
            self._define(name, rows, model.types)

    def _hold(self, model: Model, rows: Any) -> int:
        """Hold the rows of a table, so that nothing makes them twice; their number."""
        kept = _held(rows)
        self._orders[model.name] = model.order
        self._define(model.name, kept, model.types)
        return int(kept.count())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """See the contract; the one place where rows come to the driver: the few of an answer."""
        with self._told():
            answer = self._spark.sql(translate(query, self._types, self._views, self._timezone)).toArrow()
        return list(zip(*(column.to_pylist() for column in answer.columns), strict=True))

    def writing(self, name: str) -> Write:
        """See the contract."""
        rows, order = self._relation(name), self._orders.get(name, ())

        def write(replacement: Replacement) -> None:
            with self._told():
                replacement.take(self._write(rows, order, replacement))

        return write

    def _write(self, rows: Any, order: Sequence[str], replacement: Replacement) -> list[Any]:
        """Write rows on the executors; what each file is."""
        table = replacement.table
        partition = list(table.definition.partition_by)
        # as many files as there is data, none with rows of two partitions, a heavy partition in several
        rows = rows.hint("rebalance", *partition)
        by = [*partition, *(name for name in order if name not in partition)]
        if by:
            rows = rows.sortWithinPartitions(*by)
        writer = Writer(Address(absolute(table.uri), table.definition, table.storage_options))
        files = rows.mapInArrow(writer, spark_schema(FILES)).collect()
        return [written_file(*file) for file in files]

    def leave_out(self, files: Sequence[str]) -> int:
        """See the contract."""
        with self._told():
            known = self._read(files, QUARANTINE).where("stage = 'staging'").select("session", "sequence")
            left = self._relation(UNREADABLE).join(known, ["session", "sequence"], "left_anti")
            self._define(UNREADABLE, left.select(*QUARANTINE.schema.names), self._types[UNREADABLE])
            return int(left.count())

    def drop(self, name: str) -> None:
        """See the contract."""
        for gone in (name, UNREADABLE) if name == OBSERVATION else (name,):
            view = self._views.pop(gone, None)
            if view is not None:
                self._types.pop(gone)
                self._spark.catalog.dropTempView(view)

    def _define(self, name: str, rows: Any, types: Mapping[str, str]) -> None:
        """Give a relation its name."""
        self._made += 1
        view = f"{name}_{self._made}"
        rows.createOrReplaceTempView(view)
        old = self._views.get(name)
        self._views[name], self._types[name] = view, types
        if old is not None:
            self._spark.catalog.dropTempView(old)

    def _relation(self, name: str) -> Any:
        return self._spark.table(self._views[name])

    def _read(self, files: Sequence[str], definition: TableDefinition) -> Any:
        """The rows of some files of one table; columns that older files lack are null."""
        schema = spark_schema(definition.schema)
        if not files:
            return self._spark.createDataFrame([], schema)
        if "://" in files[0]:
            # read by Python, as everywhere in this program: Spark would need jars to reach the store
            return self._places(files).mapInArrow(self._reader(files, definition), schema)
        addresses = [absolute(file) for file in files]
        return (
            self._spark.read.schema(schema)
            .option("basePath", _root(addresses[0]))
            .option("__globPaths__", "false")
            .parquet(*addresses)
            .select(*definition.schema.names)  # it puts the partition last
        )

    def _reader(self, files: Sequence[str], definition: TableDefinition) -> Reader:
        root = _root(files[0])
        address = Address(absolute(root), definition, self._storage_options)
        return Reader(address, tuple(file[len(root) + 1 :] for file in files))

    def _places(self, files: Sequence[str]) -> Any:
        """The places of the files in their list, spread over tasks."""
        return self._spark.range(0, len(files), 1, min(max(len(files), 1), self._tasks))

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        # what PySpark does not know by name, such as the loss of an executor, comes as Java's
        except (PySparkException, Py4JError) as error:
            raise StorageError(
                f"Spark at {self._place} gave up; nothing was changed. {said(error)}"
            ) from error


def _held(rows: Any) -> Any:
    """Rows that are made now and once, and stay on the executors, in memory or on their disks.

    Not merely cached: a plan would go on to hold all that its inputs were made of, and of a table made of
    tables made of tables it fills the driver.
    """
    return rows.localCheckpoint(True, StorageLevel.MEMORY_AND_DISK)


def _types(struct: pa.StructType | pa.Schema) -> dict[str, str]:
    """The columns, and of their types what translation asks: which are lists."""
    return {field.name: _type(field.type) for field in struct}


def _type(type_: pa.DataType) -> str:
    if pa.types.is_list(type_):
        return f"{_type(type_.value_type)}[]"
    if pa.types.is_struct(type_):
        return "STRUCT(" + ", ".join(f"{field.name} {_type(field.type)}" for field in type_) + ")"
    if pa.types.is_timestamp(type_):
        return "TIMESTAMP" if type_.tz is None else "TIMESTAMPTZ"
    return _NAMES[type_]


_NAMES = {
    pa.bool_(): "BOOLEAN",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.string(): "VARCHAR",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.float64(): "DOUBLE",
}


def _hours(rows: Any, column: str) -> list[datetime]:
    """The UTC hours in a column, ascending: a number for each comes to the driver."""
    found = rows.select(f.unix_seconds(column).alias("at")).distinct()
    return sorted(datetime.fromtimestamp(row["at"], UTC) for row in found.collect())


def _in_hours(model: Model, hours: Sequence[datetime]) -> Any:
    """The condition that a row of a table lies in some hours."""
    return f.col(model.hour).isin([f.lit(hour.astimezone(UTC)) for hour in hours]) if hours else f.lit(False)


def _root(file: str) -> str:
    """The folder of the table that a file belongs to: above the folders of partitions."""
    folder = file.rsplit("/", 1)[0]
    while "=" in folder.rsplit("/", 1)[1]:
        folder = folder.rsplit("/", 1)[0]
    return folder
