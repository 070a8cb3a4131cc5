"""A lake as a data source of Spark: `spark.read.format("bemtevi")` and `spark.readStream.format("bemtevi")`.

    import bemtevi.spark

    bemtevi.spark.register(spark)
    posts = spark.read.format("bemtevi").load("lake")

Owns the one call that makes a session know it. `source` has the options. Imported only where it is asked for,
since PySpark is an extra; executors import it too, so they need what `bemtevi spark-pack` packs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def register(session: SparkSession) -> None:
    """Let a session, also one of Spark Connect, read with the format `bemtevi`."""
    from bemtevi.spark.source import BemteviSource

    session.dataSource.register(BemteviSource)
