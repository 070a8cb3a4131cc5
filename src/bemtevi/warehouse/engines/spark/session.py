"""The Spark session of one setting, BEMTEVI_SPARK, and the jars that it needs.

Owns what Spark is told: where it runs, Delta, time in UTC, Parquet as the lake has it. Leaves to Spark's own
files (`spark-defaults.conf`) how much memory and how many executors there are.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from bemtevi.errors import UsageError

INSTALL = "pip install 'bemtevi[spark]'"
JAVA = range(17, 22)
"""The versions of Java on which this Spark runs."""
GET_JAVA = "install Java 17 or 21 (apt install openjdk-17-jre-headless), or set JAVA_HOME to one"
SCALA = "2.13"

PARTS = (
    "delta-storage",
    "delta-kernel-api",
    "delta-kernel-defaults",
    "delta-kernel-unitycatalog",
)
"""What Delta's own jar needs beside what comes with PySpark."""
BRINGS = (
    "com.fasterxml.jackson.core com.fasterxml.jackson.datatype com.github.luben com.google.code.findbugs \
commons-logging commons-pool io.airlift javax.annotation org.apache.hadoop org.apache.logging.log4j \
org.apache.parquet org.locationtech.jts org.roaringbitmap org.slf4j org.xerial.snappy io.unitycatalog"
)
"""Groups that Delta asks for and PySpark brings, or that no lake of ours needs."""

DRIVER_MEMORY = "2g"


def open_session(place: str) -> Any:
    """The session at a master URL or a Connect URL; made, or the one that there is.

    Raises UsageError with what is missing: PySpark, Java, a jar, the cluster.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise UsageError(f"The engine spark needs PySpark, which is not installed: {INSTALL}.") from None
    if place.startswith("sc://"):
        builder = SparkSession.builder.remote(place)
    else:
        refuse_without_java()
        # executors on this machine take this Python, not whichever stands first on the path
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master(place).appName("bemtevi")
        for name, value in at_start().items():
            builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
        for name, value in WHILE_RUNNING.items():
            session.conf.set(name, value)
    except (PySparkException, OSError) as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"Spark cannot be used at {place} ({said}): `bemtevi doctor --engine spark` says what is missing."
        ) from error
    return session


WHILE_RUNNING = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # a message is 2.5 kB, ten times what it takes on disk: so much a task bounds what a task holds
    "spark.sql.files.maxPartitionBytes": str(16 * 1024 * 1024),
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.adaptive.enabled": "true",
    # a hashtag that outweighs all others is split
    "spark.sql.adaptive.skewJoin.enabled": "true",
    "spark.sql.ansi.enabled": "true",
    # a log of ours is short, and nobody but Spark would read the sums of it
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
}


def at_start() -> dict[str, str]:
    """What a session must be told before it starts; not what the person's own Spark settings say."""
    options = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    if not _is_set("spark.driver.memory"):
        options["spark.driver.memory"] = DRIVER_MEMORY
    have = [jar for jar in (find_jar(name) for name in jars()) if jar is not None]
    if len(have) == len(jars()):
        # no look at the network when nothing is missing
        options["spark.jars"] = ",".join(str(jar) for jar in have)
    else:
        delta = jars()[0]
        options["spark.jars.packages"] = f"io.delta:{delta.rsplit('-', 1)[0]}:{delta_version()}"
        options["spark.jars.excludes"] = ",".join(f"{group}:*" for group in BRINGS.split())
    return options


def _is_set(name: str) -> bool:
    """Whether the person's own Spark settings say it."""
    folder = os.environ.get("SPARK_CONF_DIR")
    file = Path(folder) / "spark-defaults.conf" if folder else None
    return file is not None and file.is_file() and name in file.read_text(encoding="utf-8")


def delta_version() -> str:
    """The version of Delta that fits the PySpark installed."""
    return metadata.version("delta-spark")


def jars() -> list[str]:
    """The jars that Spark needs beside its own, as `artifact-version`; Delta's own first."""
    spark = ".".join(metadata.version("pyspark").split(".")[:2])
    names = (f"delta-spark_{spark}_{SCALA}", *PARTS)
    return [f"{name}-{delta_version()}" for name in names]


def jar_folder() -> Path:
    """Where Spark keeps the jars that it has downloaded."""
    return Path(os.environ.get("BEMTEVI_SPARK_JARS") or Path.home() / ".ivy2.5.2" / "jars")


def find_jar(name: str) -> Path | None:
    """A jar that has been downloaded, or None."""
    for candidate in (jar_folder() / f"io.delta_{name}.jar", jar_folder() / f"{name}.jar"):
        if candidate.is_file():
            return candidate
    return None


def refuse_without_java() -> None:
    """Raises UsageError where there is no Java that this Spark runs on."""
    version = java_version()
    if version is None:
        raise UsageError(f"The engine spark needs Java, and there is none here: {GET_JAVA}.")
    if version not in JAVA:
        raise UsageError(f"The engine spark does not run on Java {version}: {GET_JAVA}.")


def java_version() -> int | None:
    """The major version of the Java that Spark would take, or None."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if program is None:
        return None
    try:
        told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    found = re.search(r'version "(\d+)', told.stderr)
    return int(found[1]) if found else None
