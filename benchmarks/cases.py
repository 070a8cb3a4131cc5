"""The cases: what is run, and what of it is counted.

A case gets a folder of its own and answers figures. `CASES` names those that `python -m benchmarks` knows.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks import fresh, listening, serving, spark
from benchmarks.data import TOPICS, archive, folder_bytes
from benchmarks.history import consolidate_history
from benchmarks.process import bemtevi, environment, measure
from benchmarks.sizes import Figures, Sizes, figures_of, rows_of


def import_plain(folder: Path, sizes: Sizes) -> Figures:
    """`bemtevi import` of one file of JSON lines."""
    return _import(folder, archive(sizes.cache, sizes.of(200_000)))


def import_gz(folder: Path, sizes: Sizes) -> Figures:
    """The same file under gzip."""
    return _import(folder, archive(sizes.cache, sizes.of(200_000), "jsonl.gz"))


def _import(folder: Path, path: Path) -> Figures:
    lake = folder / "lake"
    measured = measure(bemtevi("import", path), environment(lake), folder)
    posts = rows_of(lake / "layer1" / "raw")
    return {
        **figures_of(posts, measured.seconds, measured),
        "bytes": path.stat().st_size,
        "layer1_bytes": folder_bytes(lake / "layer1"),
    }


def consolidate_100k(folder: Path, sizes: Sizes) -> Figures:
    """`bemtevi consolidate` of 100,000 posts that are new."""
    return _consolidate(folder, sizes, sizes.of(100_000))


def consolidate(folder: Path, sizes: Sizes) -> Figures:
    """`bemtevi consolidate` of a million posts that are new."""
    return _consolidate(folder, sizes, sizes.of(1_000_000))


def _consolidate(folder: Path, sizes: Sizes, posts: int) -> Figures:
    lake = _imported(folder, sizes, posts)
    measured = measure(bemtevi("consolidate"), environment(lake), folder)
    return {
        **figures_of(posts, measured.seconds, measured),
        "bytes": folder_bytes(lake / "layer1" / "raw"),
        "layer2_bytes": folder_bytes(lake / "layer2"),
        "runs": [line for line in measured.said.splitlines() if line.startswith("Run ")],
    }


def answers(folder: Path, sizes: Sizes) -> Figures:
    """The answers about one hashtag of a million posts, warm, and the command from start to end."""
    posts = sizes.of(1_000_000)
    lake = _imported(folder, sizes, posts)
    env = environment(lake)
    measure(bemtevi("consolidate"), env, folder)
    measured = measure(["-m", "benchmarks.answers", TOPICS[0]], env | {"PYTHONPATH": str(_root())}, folder)
    command = measure(bemtevi("hashtag", TOPICS[0]), env, folder)
    asked: Figures = json.loads(measured.said.strip().splitlines()[-1])
    return {
        "posts": posts,
        "posts_per_second": None,
        "seconds": round(measured.seconds, 2),
        "peak_mb": round(measured.peak_mb),
        "bytes": folder_bytes(lake / "layer2"),
        "command_seconds": round(command.seconds, 2),
        **asked,
    }


CASES: dict[str, Callable[[Path, Sizes], Figures]] = {
    "import": import_plain,
    "import-gz": import_gz,
    "listen": listening.steady,
    "listen-full": listening.full,
    "listen-250": listening.ceiling,
    "listen-outage": listening.outage,
    "listen-outage-hour": listening.outage_hour,
    "consolidate-100k": consolidate_100k,
    "consolidate": consolidate,
    "consolidate-history": consolidate_history,
    "answers": answers,
    "fresh": fresh.fresh,
    "serve": serving.serve,
    "spark": spark.side_by_side,
}


def _imported(folder: Path, sizes: Sizes, posts: int) -> Path:
    """A lake with so many posts in layer 1 and nothing in layer 2."""
    lake = folder / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    measure(bemtevi("import", archive(sizes.cache, posts)), environment(lake), folder)
    return lake


def _root() -> Path:
    return Path(__file__).resolve().parents[1]
