"""The Spark session of one setting, BEMTEVI_SPARK.

Owns what Spark is told: where it runs, time in UTC, how much a task reads. It needs no jar beside its own:
the logs of tables are read by the driver, and their files are written by executors in Python. Leaves to
Spark's own files (`spark-defaults.conf`) how much memory and how many executors there are.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bemtevi.errors import UsageError

INSTALL = "pip install 'bemtevi[spark]'"
JAVA = range(17, 22)
"""The versions of Java on which this Spark runs."""
GET_JAVA = "install Java 17 or 21 (apt install openjdk-17-jre-headless), or set JAVA_HOME to one"
DRIVER_MEMORY = "2g"
PYTHON = "spark.pyspark.python"
CONNECT_PORT = 15002
ANSWER_SECONDS = 3.0


def open_session(place: str) -> Any:
    """The session at a master URL or a Connect URL; made, or the one that there is.

    Raises UsageError with what is missing: PySpark, Java, the cluster.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise UsageError(f"The engine spark needs PySpark, which is not installed: {INSTALL}.") from None
    if place.startswith("sc://"):
        builder = SparkSession.builder.remote(place)
    else:
        refuse_without_java()
        # of a program that has begun, Spark looks for the Python of its executors here alone. On this machine
        # they take this one, not whichever stands first on the path
        named = None if place.startswith("local") else _own(PYTHON)
        os.environ.setdefault("PYSPARK_PYTHON", named or sys.executable)
        builder = SparkSession.builder.master(place).appName("bemtevi")
        for name, value in at_start().items():
            builder = builder.config(name, value)
    # it would print every refused query, with its stack, beside the one sentence that we say
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
    try:
        if place.startswith("sc://"):
            # its client would knock for ten minutes before it says that nobody is there
            address = urlsplit(place)
            socket.create_connection((address.hostname, address.port or CONNECT_PORT), ANSWER_SECONDS).close()
        session = builder.getOrCreate()
        for name, value in WHILE_RUNNING.items():
            session.conf.set(name, value)
    except (PySparkException, Py4JError, OSError) as error:
        raise UsageError(
            f"Spark cannot be used at {place} ({said(error)}): "
            "`bemtevi doctor --engine spark` says what is missing."
        ) from error
    return session


WHILE_RUNNING = {
    "spark.sql.session.timeZone": "UTC",
    # a message is 2.5 kB, ten times what it takes on disk: so much a task bounds what a task holds
    "spark.sql.files.maxPartitionBytes": str(16 * 1024 * 1024),
    "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
    "spark.sql.ansi.enabled": "true",
    # the files are named, each: nobody needs to look for them
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
}


def at_start() -> dict[str, str]:
    """What a session must be told before it starts; not what the person's own Spark settings say."""
    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    if _own("spark.driver.memory") is None:
        options["spark.driver.memory"] = DRIVER_MEMORY
    return options


def _own(name: str) -> str | None:
    """What the person's own Spark settings say of it; None where they do not."""
    folder = os.environ.get("SPARK_CONF_DIR")
    file = Path(folder) / "spark-defaults.conf" if folder else None
    if file is None or not file.is_file():
        return None
    # its own form: a name and a value, with blanks, = or : between
    found = re.findall(rf"(?m)^\s*{re.escape(name)}(?:\s*[=:]\s*|\s+)(\S.*?)\s*$", file.read_text("utf-8"))
    return found[-1] if found else None


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


def said(error: Exception) -> str:
    """What Spark says, in one line; of what failed in Python on an executor, the error itself."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and line[0] not in " \t"]
    lines = [
        line.removeprefix(": ") for line in lines if not line.startswith("An error occurred while calling")
    ]
    own = [line for line in lines[1:] if re.match(r"[\w.]+(Error|Exception)\b", line)]
    if own and "Python worker" in lines[0]:
        return own[-1]
    why = [line.removeprefix("Caused by: ") for line in lines if "stage failure:" in line]
    return (why or lines or [type(error).__name__])[0]
