"""The checks of doctor that concern Spark: PySpark, Java, and whether the cluster answers.

Owns what is looked at and how to get what is missing. Nothing is started.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib import metadata
from urllib.parse import urlsplit

from bemtevi.cli.check import Check
from bemtevi.settings import Settings
from bemtevi.warehouse.engines.spark import session

NEEDED = ("pyspark", "pandas", "sqlglot")
NEEDED_OVER_CONNECT = ("grpcio", "grpcio-status", "googleapis-common-protos")
PORTS = {"spark": 7077, "sc": session.CONNECT_PORT}


def spark(settings: Settings) -> Iterator[Check]:
    """What the engine spark needs here."""
    connect = settings.spark.startswith("sc://")
    missing = [name for name in (*NEEDED, *(NEEDED_OVER_CONNECT if connect else ())) if not _version(name)]
    if missing:
        yield Check("spark", "broken", f"not installed: {', '.join(missing)}", session.INSTALL)
        return
    yield Check("spark", "good", f"PySpark {_version('pyspark')}")
    if not connect:
        yield from java()
    yield from place(settings.spark)


def java() -> Iterator[Check]:
    """A Java that this Spark runs on; a Connect server brings its own."""
    version = session.java_version()
    if version is None:
        yield Check("java", "broken", "there is none on the path, nor JAVA_HOME", session.GET_JAVA)
    elif version not in session.JAVA:
        yield Check("java", "broken", f"version {version} is not one of 17 to 21", session.GET_JAVA)
    else:
        yield Check("java", "good", f"version {version}")


def place(address: str) -> Iterator[Check]:
    """Whether somebody answers where Spark is to run."""
    parts = urlsplit(address)
    if parts.scheme not in PORTS or parts.hostname is None:
        yield Check("cluster", "good" if address.startswith("local") else "note", f"Spark runs at {address}")
        return
    try:
        socket.create_connection(
            (parts.hostname, parts.port or PORTS[parts.scheme]), session.ANSWER_SECONDS
        ).close()
    except OSError as error:
        yield Check(
            "cluster",
            "broken",
            f"nobody answers at {address} ({error.strerror or type(error).__name__})",
            "start it, or set BEMTEVI_SPARK to where it is",
        )
    else:
        yield Check("cluster", "good", f"somebody answers at {address}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
