"""The engine of a cluster: Apache Spark.

Owns how the contract's relations are kept in Spark. Messages are staged on the executors, models run as
Spark's SQL, tables are written by Delta's own writer. What comes to the driver is counts and the hours
touched, never rows. A relation is a view under a name of its own for each time it is made: over Connect,
Spark reads a view when a result is asked for, not when it is defined.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import functions as f
from pyspark.sql.types import StringType

from bemtevi.errors import ConflictError, StorageError
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.warehouse.engine import UNREADABLE, Staged
from bemtevi.warehouse.engines.spark.executor import HolidayName, Stager, fold_plain
from bemtevi.warehouse.engines.spark.schema import spark_schema
from bemtevi.warehouse.engines.spark.session import open_session
from bemtevi.warehouse.engines.spark.translate import translate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bemtevi.lake.table import Table
    from bemtevi.warehouse.model import Model

OBSERVATION = "observation"
EXISTING = "existing"
EXISTING_SINCE = "existing_since"


class SparkEngine:
    """See `warehouse.engine.Engine`."""

    name = "spark"

    def __init__(
        self, *, place: str, timezone: str, memory_limit: str, rule_hashtags: Mapping[str, list[str]]
    ) -> None:
        """`place`: a master URL or a Connect URL. `memory_limit`: of staging in one task of an executor."""
        self._place = place
        self._timezone = timezone
        self._stager = Stager(timezone, memory_limit, dict(rule_hashtags))
        self._views: dict[str, str] = {}
        self._types: dict[str, Mapping[str, str]] = {}
        self._kept: dict[str, Any] = {}
        self._orders: dict[str, tuple[str, ...]] = {}
        self._made = 0

    def __enter__(self) -> Self:
        self._spark = open_session(self._place)
        self._spark.udf.register("hashtag_fold_plain", f.arrow_udf(fold_plain, StringType()))
        name_holiday = HolidayName(self._timezone)
        self._spark.udf.register("holiday_name", f.udf(lambda day: name_holiday(day), StringType()))
        self._staged_schema = self._stager.schema()
        return self

    def __exit__(self, *raised: object) -> None:
        # the session is the process's, for the next engine: to start one takes seconds
        for name in list(self._views):
            self.drop(name)

    def stage(self, files: Sequence[str], hours: tuple[datetime, datetime] | None = None) -> Staged:
        """Make `observation` and `unreadable`; see the contract."""
        with self._told():
            messages = self._read(files, RAW.schema)
            within = None
            if hours:
                first, second = (f.lit(moment.astimezone(UTC)) for moment in hours)
                # a page may hold posts of any time: only single posts are told apart by the envelope
                event = f.col("event_at")
                messages = messages.where(event.isNull() | ((event >= first) & (event < second)))
                created = f.col("observation.created_at")
                within = (created >= first) & (created < second)
            delivered = messages.count()
            staged = messages.mapInArrow(self._stager, spark_schema(self._staged_schema))
            if within is not None:
                staged = staged.where(f.col("unreadable").isNotNull() | within)
            staged = staged.persist(StorageLevel.MEMORY_AND_DISK)
            observations, unreadable = staged.agg(
                f.count_if(f.col("observation").isNotNull()), f.count_if(f.col("unreadable").isNotNull())
            ).first()
            self._kept[OBSERVATION] = staged
            observed = staged.where(f.col("observation").isNotNull()).select("observation.*")
            self._define(OBSERVATION, observed, _types(self._staged_schema.field("observation").type))
            unread = staged.where(f.col("unreadable").isNotNull()).select("unreadable.*")
            self._define(UNREADABLE, unread, _types(self._staged_schema.field("unreadable").type))
        return Staged(delivered, observations, unreadable)

    def touched_hours(self, column: str) -> list[datetime]:
        """See the contract."""
        with self._told():
            return _hours(self._relation(OBSERVATION), column)

    def define_existing(self, model: Model, files: Sequence[str], hours: Sequence[datetime] | None) -> int:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition.schema)
            if hours is not None:
                rows = rows.where(_in_hours(model, hours))
            self._define(EXISTING, rows, model.types)
            return int(rows.count()) if files else 0

    def define_former(self, name: str, model: Model, files: Sequence[str], hours: Sequence[datetime]) -> None:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition.schema)
            self._define(name, rows.where(_in_hours(model, hours)), model.types)

    def define_existing_since(self, model: Model, files: Sequence[str], where: str) -> None:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition.schema).where(where)
            self._define(EXISTING_SINCE, rows, model.types)

    def define_beside(
        self, name: str, model: Model, files: Sequence[str], hours: Sequence[datetime], where: str
    ) -> None:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition.schema)
            beside = rows.where(~_in_hours(model, hours)).where(where)
            self._define(name, beside.unionByName(self._relation(model.name)), model.types)

    def load(self, model: Model, files: Sequence[str], hours: Sequence[datetime]) -> int:
        """See the contract."""
        with self._told():
            rows = self._read(files, model.definition.schema)
            return self._keep(model, rows.where(_in_hours(model, hours)))

    def make(self, model: Model) -> int:
        """See the contract."""
        relations = {name: self._types[name] for name in model.inputs}
        views = {name: self._views[name] for name in model.inputs}
        with self._told():
            query = translate(model.unordered, relations, views, self._timezone)
            return self._keep(model, self._spark.sql(query))

    def keep_changed(self, model: Model) -> list[datetime]:
        """See the contract."""
        with self._told():
            made, old = self._relation(model.name), self._relation(EXISTING_SINCE)
            changed = _hours(made.subtract(old).unionByName(old.subtract(made)), model.hour)
            whole = self._kept[model.name]
            self._keep(model, made.where(_in_hours(model, changed)))
            whole.unpersist()
        return changed

    def _keep(self, model: Model, rows: Any) -> int:
        """Hold the rows of a table, so that nothing makes them twice; their number."""
        kept = rows.persist(StorageLevel.MEMORY_AND_DISK)
        self._kept[model.name] = kept
        self._orders[model.name] = model.order
        self._define(model.name, kept, model.types)
        return int(kept.count())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """See the contract; the one place where rows come to the driver: the few of an answer."""
        with self._told():
            answer = self._spark.sql(translate(query, self._types, self._views, self._timezone)).toArrow()
        return list(zip(*(column.to_pylist() for column in answer.columns), strict=True))

    def write(
        self,
        name: str,
        table: Table,
        where: str | None,
        transaction: tuple[str, int] | None = None,
        *,
        anew: bool = False,
    ) -> int:
        """See the contract."""
        rows = self._relation(name)
        partition = [column for column in table.definition.partition_by if column in rows.columns]
        if partition:
            # as many files as there is data, none with rows of two partitions, a heavy partition in several
            rows = rows.hint("rebalance", *partition)
        if order := self._orders.get(name):
            rows = rows.sortWithinPartitions(*order)
        writer = rows.write.format("delta").mode("append" if where is None and not anew else "overwrite")
        if anew:
            # it would lose the partitions too if they were not named
            writer = writer.option("overwriteSchema", "true").partitionBy(*table.definition.partition_by)
        elif where not in (None, "true"):
            writer = writer.option("replaceWhere", where)
        if transaction is not None:
            writer = writer.option("txnAppId", transaction[0]).option("txnVersion", transaction[1])
        with self._told():
            return table.written_by(lambda uri: writer.save(_address(uri)))

    def leave_out(self, files: Sequence[str]) -> int:
        """See the contract."""
        with self._told():
            known = self._read(files, QUARANTINE.schema).select("session", "sequence")
            left = self._relation(UNREADABLE).join(known, ["session", "sequence"], "left_anti")
            self._define(UNREADABLE, left.select(*QUARANTINE.schema.names), self._types[UNREADABLE])
            return int(left.count())

    def drop(self, name: str) -> None:
        """See the contract."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept.unpersist()
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

    def _read(self, files: Sequence[str], schema: pa.Schema) -> Any:
        """The rows of some files of one table; columns that older files lack are null."""
        if not files:
            return self._spark.createDataFrame([], spark_schema(schema))
        addresses = [_address(file) for file in files]
        return (
            self._spark.read.schema(spark_schema(schema))
            .option("basePath", _root(addresses[0]))
            .option("__globPaths__", "false")
            .parquet(*addresses)
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except PySparkException as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            if "Concurrent" in type(error).__name__ or "Concurrent" in said:
                raise ConflictError(
                    f"Another process changed the lake at the same time ({said}); run it again."
                ) from error
            raise StorageError(f"Spark at {self._place} gave up; nothing was changed. {said}") from error


def _types(struct: pa.StructType) -> dict[str, str]:
    """The columns of a struct, and of their types what translation asks: which are lists."""
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


def _address(uri: str) -> str:
    """An address as Spark has it."""
    return "s3a://" + uri.removeprefix("s3://") if uri.startswith("s3://") else uri
