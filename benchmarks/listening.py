"""The cases of the listener: steady, as fast as it can, at the ceiling of X, and with the storage away.

Owns the simulator beside it, and how fresh layer 1 was: the time of each commit against `received_at` of each
message that it brought.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.data import TOPICS
from benchmarks.process import Measured, bemtevi, environment, measure, running
from benchmarks.sizes import Figures, Sizes, figures_of, rows_of

MATCHED = 0.743
"""Of the posts that the simulator invents, the part that the followed rules match."""
WARM_SECONDS = 5.0
OUTAGE_RATE = 5_000
HOUR_POSTS = 900_000
"""Of an hour at 250 posts a second."""
HOUR_SEGMENTS = 3_600
"""Sealed at most so many; a disk that is slow to sync makes fewer."""
FEW_SEGMENTS = 25
"""So few wait while the writer keeps up with segments of a twentieth of a second."""


def steady(folder: Path, sizes: Sizes) -> Figures:
    """`bemtevi listen` to a simulated X, in another process, that delivers some 62,000 posts a second."""
    return _listen(folder, sizes.seconds, 62_000)


def full(folder: Path, sizes: Sizes) -> Figures:
    """The same, and the simulator sends as fast as it is read: what the socket takes comes before layer 1."""
    return _listen(folder, sizes.seconds, 0)


def ceiling(folder: Path, sizes: Sizes) -> Figures:
    """The same at 250 posts a second, the most that X delivers: what it costs once it has started."""
    return _listen(folder, sizes.seconds, 250)


def outage(folder: Path, sizes: Sizes) -> Figures:
    """The same at 5,000 posts a second, and for two thirds of the time the folder of the lake is away."""
    return _outage(folder, sizes.seconds * 2, (sizes.seconds / 6, sizes.seconds * 5 / 6))


def outage_hour(folder: Path, sizes: Sizes) -> Figures:
    """An hour of X's ceiling waits in the journal: 900,000 posts in many segments, put there in 180 s."""
    away = sizes.of(HOUR_POSTS) / OUTAGE_RATE
    length = away / HOUR_SEGMENTS
    return _outage(folder, away + 85, (5.0, 5.0 + away), segment_seconds=length, fsync_seconds=length / 2)


def _outage(folder: Path, seconds: float, away: tuple[float, float], **settings: float) -> Figures:
    """Listen so long; from and until when after its begin the folder of the lake is away."""
    lake = folder / "lake"
    largest = 0.0
    waiting = 0
    drained: float | None = None
    returned_at = math.inf
    ended = threading.Event()

    def take_away() -> None:
        nonlocal largest, drained, waiting, returned_at
        journal = folder / "journal" / "x"
        while not list(journal.glob("*.segment")) and not list(lake.glob("layer1/raw")):
            time.sleep(0.05)  # it has begun
        if ended.wait(away[0]):
            return
        lake.rename(folder / "away")
        ended.wait(away[1] - away[0])
        segments = list(journal.glob("*.segment"))
        waiting, largest = len(segments), sum(path.stat().st_size for path in segments)
        returned_at = time.perf_counter()
        (folder / "away").rename(lake)
        while not ended.wait(0.1) and len(list(journal.glob("*.segment"))) > FEW_SEGMENTS:
            pass
        if not ended.is_set():
            drained = time.perf_counter() - returned_at

    thread = threading.Thread(target=take_away, daemon=True)
    thread.start()
    try:
        figures, measured = _listened(folder, seconds, OUTAGE_RATE, **settings)
    finally:
        ended.set()
        thread.join()
    during = [size for at, size in measured.memory if at <= returned_at]
    after = [size for at, size in measured.memory if at > returned_at]
    return figures | {
        "away_seconds": round(away[1] - away[0], 1),
        "journal_bytes": round(largest),
        "journal_segments": waiting,
        "drained_after_seconds": None if drained is None else round(drained, 1),
        "peak_mb_until_it_returns": round(max(during, default=0)),
        "peak_mb_from_then_on": round(max(after, default=0)),
    }


def _listen(folder: Path, seconds: float, rate: float) -> Figures:
    return _listened(folder, seconds, rate)[0]


def _listened(folder: Path, seconds: float, rate: float, **settings: float) -> tuple[Figures, Measured]:
    lake = folder / "lake"
    with simulated_x(folder, rate) as url:
        env = environment(lake, x_api_url=url, x_bearer_token="any", **settings)  # noqa: S106
        measure(bemtevi("track", *(f"#{topic}" for topic in TOPICS)), env, folder)
        measured = measure(bemtevi("--log-json", "listen", "--seconds", f"{seconds:g}"), env, folder)
    begun, ended = _event(measured.said, "listener.connecting"), _event(measured.said, "listener.stopped")
    took = (_time(ended) - _time(begun)).total_seconds()
    raw = lake / "layer1" / "raw"
    posts = rows_of(raw)
    acknowledged = int(str(ended["acknowledged"]))
    figures: Figures = {
        **figures_of(posts, took, measured),
        "core_share": round(_core_share(measured), 4),
        "acknowledged": acknowledged,
        "acknowledged_per_second": round(acknowledged / took),
        "left_in_journal": acknowledged - posts,
        "sustained_per_second": sustained(raw),
        **freshness(raw),
    }
    return figures, measured


def freshness(raw: Path) -> Figures:
    """Seconds from the receipt of a message to the commit that holds it, at the median, 99 % and worst."""
    waited = []
    for version in sorted(raw.glob("_delta_log/*.json")):
        committed_at = version.stat().st_mtime_ns / 1e3
        for line in version.read_text(encoding="utf-8").splitlines():
            add = json.loads(line).get("add")
            if add and add["dataChange"]:
                received = pq.read_table(raw / add["path"], columns=["received_at"], partitioning=None)
                waited.append((committed_at - received["received_at"].cast("int64").to_numpy()) / 1e6)
    half, most, worst = np.percentile(np.concatenate(waited), [50, 99, 100])
    return {
        "fresh_p50_seconds": round(float(half), 2),
        "fresh_p99_seconds": round(float(most), 2),
        "fresh_worst_seconds": round(float(worst), 2),
    }


def sustained(raw: Path) -> int | None:
    """Posts a second into layer 1 between the first commit once all is warm and the last: what does not
    depend on how long the listener takes to begin and to end. None if there are too few commits."""
    commits: list[tuple[float, int]] = []
    for version in sorted(raw.glob("_delta_log/*.json")):
        lines = [json.loads(line) for line in version.read_text(encoding="utf-8").splitlines()]
        adds = [line["add"] for line in lines if "add" in line and line["add"]["dataChange"]]
        rows = sum(json.loads(add["stats"])["numRecords"] for add in adds)
        if rows:
            commits.append((version.stat().st_mtime, rows))
    warm = [(at, rows) for at, rows in commits if at >= commits[0][0] + WARM_SECONDS]
    if len(warm) < 2:
        return None
    return round(sum(rows for _, rows in warm[1:]) / (warm[-1][0] - warm[0][0]))


@contextlib.contextmanager
def simulated_x(folder: Path, rate: float) -> Iterator[str]:
    """A simulator that delivers so many posts a second (0: as many as are read); its address."""
    said = folder / "simulator.txt"
    topics = [part for topic in TOPICS for part in ("--topic", topic)]
    arguments = bemtevi("simulate", "x", "--port", "0", "--rate", f"{rate / MATCHED:.0f}", *topics)
    with running(arguments, environment(folder / "lake"), said):
        deadline = time.monotonic() + 60
        while (found := re.search(r"http://[\d.]+:\d+", said.read_text(encoding="utf-8"))) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the simulator did not start: {said.read_text(encoding='utf-8')}")
            time.sleep(0.05)
        yield found[0]


def _core_share(measured: Measured) -> float:
    """Of one core, once it has started."""
    later = [(at, cpu) for at, cpu in measured.cpu if at >= WARM_SECONDS]
    if len(later) < 2:
        return measured.cpu_seconds / measured.seconds
    return (later[-1][1] - later[0][1]) / (later[-1][0] - later[0][0])


def _event(said: str, name: str) -> dict[str, object]:
    for line in said.splitlines():
        if line.startswith("{"):
            entry: dict[str, object] = json.loads(line)
            if entry["event"] == name:
                return entry
    raise RuntimeError(f"the listener did not say {name}: {said[-2000:]}")


def _time(entry: dict[str, object]) -> datetime:
    return datetime.fromisoformat(str(entry["timestamp"]))
