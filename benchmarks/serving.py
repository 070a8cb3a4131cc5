"""The case of the server under load: `serve`.

Owns the lake (a history made at table level, with texts), the questions, and the load, which `wrk` makes.
What the answers say is tested elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psutil

from bemtevi.simulate import write_history
from benchmarks.data import TOPICS, UNTIL, folder_bytes
from benchmarks.history import fill
from benchmarks.page import first_view
from benchmarks.process import bemtevi, environment, measure, ready, running
from benchmarks.sizes import Figures, Sizes

HISTORY = 100_000_000
RATE = 200
CONNECTIONS = 20
SECONDS = 12
SINCE = (UNTIL - timedelta(days=8)).strftime("%Y-%m-%dT00:00:00Z")
TO = (UNTIL - timedelta(days=1)).strftime("%Y-%m-%dT12:00:00Z")
TAGS = (*TOPICS, "tag17", "tag4000")
LISTS = ("authors", "languages", "types", "top-posts")


def serve(folder: Path, sizes: Sizes) -> Figures:
    """Timeline, top lists and comparison of a week at 200 requests a second, over 100 million posts."""
    if shutil.which("wrk") is None:
        raise RuntimeError("this case needs wrk: apt-get install wrk")
    posts = sizes.of(HISTORY)
    place = lake_of(sizes.cache, posts)
    with served(place / "lake", folder) as (url, process):
        asked = {name: _load(url, folder, lines) for name, lines in _questions().items()}
        page = first_view(f"{url}/t/{TAGS[0]}?from={SINCE}&to={TO}&hl=en")
        search = _load(url, folder, _searches(), rate=1, fresh=True)
        # last: what cannot be answered in time is still being worked on when the next begins
        fresh = {name: _load(url, folder, lines, fresh=True) for name, lines in _questions().items()}
        memory = process.memory_info().rss / 1e6
    return {
        "posts": posts,
        "layer2_bytes": folder_bytes(place / "lake" / "layer2"),
        "server_mb": round(memory),
        "asked_before": asked,
        "never_asked_before": fresh,
        "search": search,
        "page": page,
    }


def _questions() -> dict[str, list[str]]:
    period = f"from={SINCE}&to={TO}"
    tags = [f"/api/v1/hashtags/{tag}" for tag in TAGS]
    kinds = {
        "timeline": [f"{tag}/timeline?{period}&g={step}" for tag in tags for step in ("hour", "day")],
        "lists": [f"{tag}/{name}?{period}" for tag in tags for name in LISTS]
        + [f"/api/v1/hashtags?{period}"],
        "compare": [
            f"/api/v1/compare?tag={one}&tag={other}&{period}" for one, other in itertools.pairwise(TAGS)
        ],
    }
    return {"all": [line for lines in kinds.values() for line in lines], **kinds}


def _searches() -> list[str]:
    return [f"/api/v1/posts?from={SINCE}&to={TO}&q={word}" for word in ("vacina", "chuva+a+77", "nowhere")]


def _load(
    url: str, folder: Path, lines: list[str], rate: float = RATE, *, fresh: bool = False
) -> dict[str, float]:
    """What `wrk` measured. What was not asked before is asked by as many as the rate allows, not by more."""
    questions = folder / "questions.txt"
    questions.write_text("\n".join(lines) + "\n")
    script = Path(__file__).with_name("questions.lua")
    connections = min(CONNECTIONS, max(1, round(rate)))
    settings = {
        "QUESTIONS": str(questions),
        "FRESH": str(int(fresh)),
        "PAUSE": f"{connections / rate * 1e3:.0f}",
    }

    def ask(seconds: int) -> dict[str, float]:
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "30s",
            "-s",
            str(script),
            url,
        ]
        said = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
        told: dict[str, float] = json.loads(said.stdout.strip().splitlines()[-1])
        return told

    for line in lines:  # warm: what is asked before was asked once, by one
        with urllib.request.urlopen(url + line, timeout=120) as answer:  # noqa: S310
            answer.read()
    told = ask(SECONDS)
    return told | {"per_second": round(told["requests"] / told["seconds"], 1)}


def lake_of(cache: Path, posts: int) -> Path:
    """A folder with a lake of so many posts; kept, since making it takes long."""
    place = cache / f"lake-{posts}"
    if (place / "whole").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    first = place / "first.jsonl"
    write_history(first, TOPICS, since=UNTIL - timedelta(hours=1), until=UNTIL, count=1_000, seed=99)
    env = environment(place / "lake")
    measure(bemtevi("import", first), env, place)
    measure(bemtevi("consolidate"), env, place)
    fill(place / "lake", posts, with_texts=True)
    (place / "whole").touch()
    return place


@contextlib.contextmanager
def served(lake: Path, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`bemtevi serve` on a lake: its address and its process."""
    said = folder / "server.txt"
    with running(bemtevi("serve", "--port", "0"), environment(lake), said):
        deadline = time.monotonic() + 120
        while (found := re.search(r"http://[\d.]+:\d+", said.read_text(encoding="utf-8"))) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {said.read_text(encoding='utf-8')}")
            time.sleep(0.05)
        (process,) = (one for one in psutil.Process().children() if "serve" in one.cmdline())
        yield ready(found[0]), process
