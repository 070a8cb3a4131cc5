"""What runs on an executor: staging, by DuckDB, of the messages that Spark hands over batch by batch.

Owns the form in which both results of staging travel as one relation: a row is either an observation or a
message that gave none. A batch at a time bounds the memory of a task whatever the size of its partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache

import pyarrow as pa

from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.warehouse import hashtag, holiday
from bemtevi.warehouse.engines.duckdb import DuckDBEngine


@dataclass(frozen=True)
class Stager:
    """Stages batches of messages; sent to the executors whole."""

    timezone: str
    memory_limit: str
    rule_hashtags: dict[str, list[str]] = field(default_factory=dict)

    def schema(self) -> pa.Schema:
        """The two columns of what `__call__` yields."""
        with self._engine() as engine:
            observations, _ = engine.stage_messages(RAW.schema.empty_table())
        return pa.schema(
            [
                pa.field("observation", pa.struct(list(observations.schema))),
                pa.field("unreadable", pa.struct(list(QUARANTINE.schema))),
            ]
        )

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """For each batch of messages, its observations and those that gave none."""
        with self._engine() as engine:
            for batch in batches:
                if batch.num_rows:
                    messages = pa.Table.from_batches([batch]).select(RAW.schema.names).cast(RAW.schema)
                    yield from _side_by_side(*engine.stage_messages(messages))

    def _engine(self) -> DuckDBEngine:
        return DuckDBEngine(
            timezone=self.timezone,
            memory_limit=self.memory_limit,
            threads=1,  # a task is one core's
            rule_hashtags=self.rule_hashtags,
        )


def _side_by_side(observations: pa.Table, unreadable: pa.Table) -> Iterator[pa.RecordBatch]:
    kinds = [pa.struct(list(observations.schema)), pa.struct(list(unreadable.schema))]
    for place, table in enumerate((observations, unreadable)):
        for batch in table.to_batches():
            columns = [pa.nulls(batch.num_rows, kind) for kind in kinds]
            columns[place] = batch.to_struct_array()
            yield pa.RecordBatch.from_arrays(columns, ["observation", "unreadable"])


def fold_plain(spellings: pa.Array) -> pa.Array:
    """`hashtag_fold_plain` for Spark, which sees by the annotations that it is over Arrow arrays."""
    return hashtag.fold_plain_array(spellings)


@dataclass(frozen=True)
class HolidayName:
    """`holiday_name` for Spark; the library's calendar is made on the executor, once in each process."""

    timezone: str

    def __call__(self, day: date | None) -> str | None:
        """The name of the holiday of a day, or None."""
        return _names(self.timezone)(day)


@cache
def _names(timezone: str) -> Callable[[date | None], str | None]:
    return holiday.holiday_names(timezone)
