"""The engine of a cluster through the command line, and what is said where something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bemtevi.simulate import write_history

TOPICS = ("covid19", "vacinação")


def bemtevi(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call a command in a folder and wait for its end: Spark starts slowly."""
    process = begun(folder, *arguments, **environment)
    stdout, stderr = process.communicate(timeout=500)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def outside() -> dict[str, str]:
    """The environment, with Spark's own settings as they come."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BEMTEVI_") and name not in {"SPARK_CONF_DIR", "PYSPARK_PYTHON"}
    }


def begun(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """A command in a folder, with Spark's own settings as they come."""
    return subprocess.Popen(
        [sys.executable, "-m", "bemtevi", *map(str, arguments)],
        cwd=folder,
        env={**outside(), "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_week_consolidated_by_a_command(tmp_path: Path) -> None:
    archive = tmp_path / "past.jsonl.gz"
    now = datetime(2026, 11, 24, tzinfo=UTC)
    write_history(archive, TOPICS, since=now - timedelta(hours=3), until=now, count=200, seed=3)
    assert bemtevi(tmp_path, "import", archive).returncode == 0
    done = bemtevi(tmp_path, "consolidate", "--engine", "spark", BEMTEVI_SPARK="local[2]")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Run 1: "), done.stdout
    again = bemtevi(tmp_path, "consolidate")
    assert "Nothing new" in again.stdout, again.stdout + again.stderr
    asked = "select engine, posts_after, (select count(*) from fact_post) as posts from run"
    (row,) = json.loads(bemtevi(tmp_path, "query", asked, "--format", "json").stdout)
    assert row["engine"] == "spark"
    assert row["posts_after"] == row["posts"] > 100


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"JAVA_HOME": "/nowhere"}, "there is none here: install Java 17 or 21"),
        ({"BEMTEVI_SPARK": "sc://127.0.0.1:1"}, "Spark cannot be used at sc://127.0.0.1:1"),
        ({"BEMTEVI_SPARK": "mesos://here"}, "'mesos://here' is no place for Spark"),
    ],
)
def test_what_is_missing_is_one_sentence(environment: dict[str, str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text("{}\n")
    failed = bemtevi(tmp_path, "consolidate", "--engine", "spark", **environment)
    assert failed.returncode == 2, failed.stderr
    (said,) = failed.stderr.splitlines()
    assert sentence in said


def test_doctor_says_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    def told(**environment: str) -> dict[str, tuple[str, str]]:
        found = bemtevi(tmp_path, "doctor", "--engine", "spark", "--json", **environment)
        return {
            one["name"]: (one["grade"], one["found"] + " " + one["fix"]) for one in json.loads(found.stdout)
        }

    here = told(BEMTEVI_SPARK="spark://127.0.0.1:1")
    assert here["spark"][0] == here["java"][0] == "good"
    assert here["cluster"][0] == "broken"
    assert told(JAVA_HOME=str(tmp_path))["java"][0] == "broken"
