"""What the libraries are told before they are loaded, each time in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOLD = """
import sys
from bemtevi.cli import set_memory
set_memory(sys.argv[1:])
import pyarrow as pa
pa.array([1])
print(pa.default_memory_pool().backend_name)
"""
PANDAS = "print('pandas'); raise ImportError"
"""One that tells that it was asked for; the true one may be installed or not."""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(["--log-json", "listen"], {"jemalloc"}, id="a listener is small"),
        pytest.param(["run"], {"pandas", "jemalloc"}, id="run answers questions too"),
        pytest.param(["consolidate"], {"pandas", "mimalloc"}, id="what ends soon"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow may come without jemalloc")
def test_arrow_of_a_command(command: list[str], said: set[str], tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text(PANDAS, encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-c", TOLD, *command],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(told.stdout.split()) == said
