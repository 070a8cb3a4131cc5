"""What the libraries are told before they are loaded, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

TOLD = """
import sys
from bemtevi.cli import set_memory
set_memory(sys.argv[1:])
import pyarrow as pa
pa.array([1])
print(pa.default_memory_pool().backend_name, "pandas" in sys.modules)
"""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        pytest.param(["--log-json", "listen"], "jemalloc False", id="a listener is small"),
        pytest.param(["run"], "jemalloc True", id="run answers questions too"),
        pytest.param(["consolidate"], "mimalloc True", id="what ends soon"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow may come without jemalloc")
def test_arrow_of_a_command(command: list[str], said: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", TOLD, *command], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == said
