"""Compaction on a cluster: executors put files together, the driver commits what they wrote.

Owns how the groups of files are spread. Leaves to `warehouse.maintain` which files become one, and when.
"""

from __future__ import annotations

from collections.abc import Sequence

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from bemtevi.errors import StorageError
from bemtevi.lake.parquet_file import WrittenFile
from bemtevi.lake.replacement import ROW_GROUP_BYTES
from bemtevi.lake.table import Table
from bemtevi.warehouse.engines.spark.executor import MERGED, Address, Merger, absolute, written_file
from bemtevi.warehouse.engines.spark.schema import spark_schema
from bemtevi.warehouse.engines.spark.session import open_session, said

CORES = 16
"""Of a cluster that does not say how many it has."""


class SparkCompaction:
    """See `warehouse.maintain.Elsewhere`."""

    name = "spark"

    def __init__(self, place: str) -> None:
        """`place`: a master URL or a Connect URL. Raises UsageError as `open_session`."""
        self._place = place
        self._spark = open_session(place)
        cores = CORES if place.startswith("sc://") else self._spark.sparkContext.defaultParallelism
        self.at_once = 2 * cores

    def put_together(self, table: Table, groups: Sequence[Sequence[str]]) -> Sequence[WrittenFile]:
        """One file for each group, each by a task of its own."""
        address = Address(absolute(table.uri), table.definition, table.storage_options)
        rows = ROW_GROUP_BYTES if table.definition.layer == 2 else None
        merger = Merger(address, tuple(map(tuple, groups)), rows)
        places = self._spark.range(0, len(groups), 1, len(groups))
        try:
            files = places.mapInArrow(merger, spark_schema(MERGED)).collect()
        except (PySparkException, Py4JError) as error:
            raise StorageError(
                f"Spark at {self._place} gave up; what was compacted before stays so. {said(error)}"
            ) from error
        return [written_file(*file[:4]) for file in sorted(files, key=lambda file: file["place"])]
