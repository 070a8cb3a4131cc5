"""The cases: what is run, and what of it is counted.

A case gets a folder of its own and answers figures. `CASES` names those that `python -m benchmarks` knows.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable

from benchmarks.data import TOPICS, archive, folder_bytes
from benchmarks.process import Measured, bemtevi, environment, measure, running

Figures = dict[str, object]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    cache: Path
    posts: int | None
    seconds: float

    def of(self, usual: int) -> int:
        """The posts that were asked for, or the usual number of a case."""
        return self.posts or usual


def import_plain(folder: Path, sizes: Sizes) -> Figures:
    """`bemtevi import` of one file of JSON lines."""
    return _import(folder, archive(sizes.cache, sizes.of(200_000)))


def import_gz(folder: Path, sizes: Sizes) -> Figures:
    """The same file under gzip."""
    return _import(folder, archive(sizes.cache, sizes.of(200_000), "jsonl.gz"))


def _import(folder: Path, path: Path) -> Figures:
    lake = folder / "lake"
    measured = measure(bemtevi("import", path), environment(lake), folder)
    posts = _rows(lake / "layer1" / "raw")
    return {
        **_figures(posts, measured.seconds, measured),
        "bytes": path.stat().st_size,
        "layer1_bytes": folder_bytes(lake / "layer1"),
    }


def listen(folder: Path, sizes: Sizes) -> Figures:
    """`bemtevi listen` to a simulator in another process that sends as fast as it is read."""
    lake = folder / "lake"
    with _simulated_x(folder) as url:
        env = environment(lake, x_api_url=url, x_bearer_token="any")  # noqa: S106
        measure(bemtevi("track", *(f"#{topic}" for topic in TOPICS)), env, folder)
        arguments = bemtevi("--log-json", "listen", "--seconds", f"{sizes.seconds:g}")
        measured = measure(arguments, env, folder)
    begun, ended = _event(measured.said, "listener.connecting"), _event(measured.said, "listener.stopped")
    seconds = (_time(ended) - _time(begun)).total_seconds()
    posts = _rows(lake / "layer1" / "raw")
    acknowledged = int(str(ended["acknowledged"]))
    return {
        **_figures(posts, seconds, measured),
        "bytes": _payload_bytes(lake / "layer1" / "raw"),
        "acknowledged": acknowledged,
        "acknowledged_per_second": round(acknowledged / seconds),
        "left_in_journal": acknowledged - posts,
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
        **_figures(posts, measured.seconds, measured),
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
    "listen": listen,
    "consolidate-100k": consolidate_100k,
    "consolidate": consolidate,
    "answers": answers,
}


def _figures(posts: int, seconds: float, measured: Measured) -> Figures:
    """What every case that moves posts counts."""
    return {
        "posts": posts,
        "posts_per_second": round(posts / seconds),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(measured.cpu_seconds, 2),
        "peak_mb": round(measured.peak_mb),
    }


def _imported(folder: Path, sizes: Sizes, posts: int) -> Path:
    """A lake with so many posts in layer 1 and nothing in layer 2."""
    lake = folder / "lake"
    shutil.rmtree(lake, ignore_errors=True)
    measure(bemtevi("import", archive(sizes.cache, posts)), environment(lake), folder)
    return lake


@contextlib.contextmanager
def _simulated_x(folder: Path) -> Iterator[str]:
    said = folder / "simulator.txt"
    topics = [part for topic in TOPICS for part in ("--topic", topic)]
    arguments = bemtevi("simulate", "x", "--port", "0", "--rate", "0", *topics)
    with running(arguments, environment(folder / "lake"), said):
        deadline = time.monotonic() + 60
        while (found := re.search(r"http://[\d.]+:\d+", said.read_text(encoding="utf-8"))) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the simulator did not start: {said.read_text(encoding='utf-8')}")
            time.sleep(0.05)
        yield found[0]


def _rows(table: Path) -> int:
    return sum(
        int(number) for number in DeltaTable(table).get_add_actions(flatten=True)["num_records"].to_pylist()
    )


def _payload_bytes(table: Path) -> int:
    """The bytes that were delivered, without the ends of lines."""
    import duckdb  # here, so that the measuring process stays small

    files = [
        f"{table}/{path}" for path in DeltaTable(table).get_add_actions(flatten=True)["path"].to_pylist()
    ]
    found = duckdb.execute("select sum(octet_length(encode(payload))) from read_parquet(?)", [files])
    (size,) = found.fetchone() or (0,)
    return int(size)


def _event(said: str, name: str) -> dict[str, object]:
    for line in said.splitlines():
        if line.startswith("{"):
            entry: dict[str, object] = json.loads(line)
            if entry["event"] == name:
                return entry
    raise RuntimeError(f"the listener did not say {name}: {said[-2000:]}")


def _time(entry: dict[str, object]) -> datetime:
    return datetime.fromisoformat(str(entry["timestamp"]))


def _root() -> Path:
    return Path(__file__).resolve().parents[1]
