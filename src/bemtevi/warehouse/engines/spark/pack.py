"""An archive of the Python packages that executors need, for machines on which nothing of ours is installed.

Owns what is in it: this program and what it depends on, as they are installed here, without Spark's own
Python, which a cluster has. Spark brings the archive to every executor and unpacks it beside it
(`spark.archives`). It holds compiled code: it fits machines of the same kind with the same Python.
"""

from __future__ import annotations

import os
import sys
import tarfile
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bemtevi
from bemtevi.errors import UsageError

PROGRAM = "bemtevi"
BESIDE = ("pandas",)
"""What PySpark asks of executors, beside what we depend on."""
THEIRS = frozenset({"pyspark", "py4j"})
"""What a cluster has."""
UNUSED = frozenset({"__pycache__", "tests", "include"})
"""Folders of packages that nothing runs: a tenth of the archive."""
FOLDER = "bemtevi-packages"
"""The name under which Spark unpacks it."""
LEVEL = 3
"""Of compression: a higher one takes much longer and makes it a tenth smaller."""


def python() -> str:
    """The Python that the archive fits, by the name that it has everywhere."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def lines(archive: Path) -> list[str]:
    """What `spark-defaults.conf` says so that executors use it."""
    return [
        f"spark.archives {archive}#{FOLDER}",
        f"spark.executorEnv.PYTHONPATH {FOLDER}",
        f"spark.pyspark.python {python()}",
    ]


def pack(archive: Path) -> int:
    """Write the archive, whole or not at all; its bytes. Raises UsageError if something is not installed."""
    unfinished = archive.with_name(f".{archive.name}.{uuid.uuid4()}")
    try:
        with tarfile.open(unfinished, "w:gz", compresslevel=LEVEL) as tar:
            for path, name in sorted(_contents(), key=lambda pair: pair[1]):
                tar.add(path, name, recursive=False, filter=_anonymous)
        unfinished.replace(archive)
    finally:
        unfinished.unlink(missing_ok=True)
    return archive.stat().st_size


def _contents() -> Iterator[tuple[Path, str]]:
    """Every file, and its path in the archive."""
    for found in _needed():
        # of ours, what runs: where it is being worked on, the list of installed files has none of it
        if canonicalize_name(found.name) == PROGRAM:
            continue
        for file in found.files or ():
            # programs and pages of the manual lie outside the folder of packages
            if ".." not in file.parts and UNUSED.isdisjoint(file.parts):
                path = Path(str(found.locate_file(file)))
                if path.is_file():
                    yield path, file.as_posix()
    root = Path(bemtevi.__file__).parent
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in UNUSED]
        for name in names:
            path = Path(folder) / name
            yield path, f"{PROGRAM}/{path.relative_to(root).as_posix()}"


def _needed() -> list[metadata.Distribution]:
    """The distributions installed here that executors need, each with all that it depends on."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [PROGRAM, *BESIDE]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found or name in THEIRS:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise UsageError(f"{name} is not installed, and executors need it: see docs/spark.md.") from None
        for line in found[name].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return list(found.values())


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Readable by everybody; who packed it is nobody's concern."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode |= 0o444
    return entry
