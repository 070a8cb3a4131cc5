"""The example notebook, executed from top to bottom as a person would."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.spark.session import SMALL
from tests.spark.test_command import outside

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


def test_every_cell_works(tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    (tmp_path / "spark-defaults.conf").write_text(SMALL)
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [programs / "jupyter-execute", "--inplace", NOTEBOOK.name],
        cwd=tmp_path,
        env={
            **outside(),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "SPARK_CONF_DIR": str(tmp_path),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "JUPYTER_CONFIG_DIR": str(tmp_path / "jupyter"),
        },
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    cells: list[dict[str, Any]] = json.loads((tmp_path / NOTEBOOK.name).read_text())["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in codes)
    (shown,) = (one for one in codes[-2]["outputs"] if one["output_type"] == "execute_result")
    counts = "".join(shown["data"]["text/plain"])
    assert "'Spark, streamed': " in counts
    assert "'DuckDB': 0" not in counts


def test_it_is_kept_without_what_it_said() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")
