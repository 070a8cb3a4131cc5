"""The case `spark`: the way of the case as a plain PySpark job, ours on Spark and on DuckDB, side by side.

Owns the comparison, and the model of when a cluster pays. A straight line through two sizes tells what a run
costs to begin and what a post costs; more workers share the second. See the README, of how far that holds.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.data import archive
from benchmarks.process import Measured, bemtevi, environment, measure
from benchmarks.sizes import Figures, Sizes, rows_of

SMALL = 5
"""The smaller size is so many times smaller."""
ROOT = Path(__file__).resolve().parents[1]


def side_by_side(folder: Path, sizes: Sizes) -> Figures:
    """A plain PySpark job that makes two tables, and ours of all tables on Spark and on DuckDB."""
    most = sizes.of(1_000_000)
    figures: Figures = {"posts": most}
    for posts in (most // SMALL, most):
        lake = folder / f"lake-{posts}"
        measure(bemtevi("import", archive(sizes.cache, posts)), environment(lake), folder)
        raw = lake / "layer1" / "raw"
        assert rows_of(raw) == posts
        for way in ("plain", "spark", "duckdb"):
            measured = _measured(way, lake, folder)
            name = f"{way}_{posts}"
            figures[f"{name}_seconds"] = round(measured.seconds, 1)
            figures[f"{name}_cpu_seconds"] = round(_processor_seconds(measured), 1)
            figures[f"{name}_peak_mb"] = round(measured.peak_mb)
            told = {key: value for key, value in figures.items() if key.startswith(name)}
            print(told, file=sys.stderr, flush=True)  # the slow ways take minutes
            shutil.rmtree(lake / "layer2", ignore_errors=True)
        shutil.rmtree(lake)
    for way in ("plain", "spark", "duckdb"):
        few, many = (float(str(figures[f"{way}_{posts}_seconds"])) for posts in (most // SMALL, most))
        a_post = (many - few) / (most - most // SMALL)
        figures[f"{way}_begins_seconds"] = round(many - a_post * most, 1)
        figures[f"{way}_post_microseconds"] = round(a_post * 1e6, 1)
    return figures


def _measured(way: str, lake: Path, folder: Path) -> Measured:
    env = environment(lake, spark="local[*]") | {"PYTHONPATH": str(ROOT)}
    if way == "plain":
        job = ["-m", "benchmarks.plain_spark", str(lake / "layer1" / "raw"), str(lake / "layer2")]
        return measure(job, env, folder)
    return measure(bemtevi("consolidate", "--engine", way), env, folder)


def _processor_seconds(measured: Measured) -> float:
    """Of the process and, at its last look, of those that it began: Java is not waited for."""
    return max([measured.cpu_seconds, *(seconds for _, seconds in measured.cpu)])
