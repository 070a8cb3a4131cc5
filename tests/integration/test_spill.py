"""What an engine spills to disk goes with it, and what a killed one left goes with the next."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.spill import PREFIX

KILLED = """
import os, signal
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
with DuckDBEngine(timezone="UTC", memory_limit="1GB", threads=1, rule_hashtags={}):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_engine_leaves_nothing_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    subprocess.run([sys.executable, "-c", KILLED], env={"TMPDIR": str(tmp_path)}, check=False)
    (left,) = tmp_path.glob(f"{PREFIX}*")
    with DuckDBEngine(timezone="UTC", memory_limit="1GB", threads=1, rule_hashtags={}):
        (own,) = tmp_path.glob(f"{PREFIX}*")
        assert own != left
        with DuckDBEngine(timezone="UTC", memory_limit="1GB", threads=1, rule_hashtags={}):
            assert own.exists(), "another that runs is left alone"
    assert list(tmp_path.iterdir()) == []
