"""Spark's own settings for small inputs, and the end of the session that tests made."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACE = "local[2]"

# a compiler that thinks less, plans that are neither compiled nor made again half-way: these inputs are small
SMALL = """\
spark.driver.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
spark.sql.shuffle.partitions 2
spark.sql.adaptive.enabled false
spark.driver.memory 1g
"""


@contextmanager
def small_session(folder: Path) -> Iterator[None]:
    """A session that is begun meanwhile is a small one, and ends at the end."""
    (folder / "spark-defaults.conf").write_text(SMALL, encoding="utf-8")
    os.environ["SPARK_CONF_DIR"] = str(folder)
    # a test may begin the session by Spark's own builder, and all that come after it share its Python
    os.environ["PYSPARK_PYTHON"] = sys.executable
    yield
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session is not None:
        session.stop()
    del os.environ["SPARK_CONF_DIR"], os.environ["PYSPARK_PYTHON"]
