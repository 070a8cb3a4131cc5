"""Killed in the middle of merging small files: the table says what it said, and the next merge works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import new_lake

from bemtevi.lake.append import Appender
from bemtevi.lake.raw import FILES_BY, RAW

MERGE = """
import sys
from pathlib import Path
from tests.support import new_lake
from bemtevi.lake.append import Appender
from bemtevi.lake.raw import FILES_BY, RAW
appender = Appender(new_lake(Path(sys.argv[1])).table(RAW), FILES_BY)
appender.merge([path for _, path, _ in appender.small_files()])
"""
APPEND = """
import sys
from pathlib import Path
from tests.support import new_lake, put
for number in range(5):
    put(new_lake(Path(sys.argv[1])), [{"data": {"id": str(number + 1), "text": "a"}}], number=number)
"""


def run(script: str, folder: Path, crash_at: str = "") -> int:
    root = Path(__file__).parents[2]
    environment = os.environ | {"BEMTEVI_CRASH_AT": crash_at, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.run(command, env=environment, check=False).returncode


@pytest.mark.parametrize(("point", "files"), [("raw.merging", 5), ("raw.merged", 1)])
def test_killed_while_merging(tmp_path: Path, point: str, files: int) -> None:
    assert run(APPEND, tmp_path) == 0
    table = new_lake(tmp_path).table(RAW)
    before = table.read().sort_by("key")
    assert run(MERGE, tmp_path, point) == -9
    assert table.read().sort_by("key").equals(before)
    assert len(table.snapshot().files) == files
    appender = Appender(table, FILES_BY)
    paths = [path for _, path, _ in appender.small_files()]
    if len(paths) > 1:
        appender.merge(paths)
    assert len(table.snapshot().files) == 1
    assert table.read().sort_by("key").equals(before)
