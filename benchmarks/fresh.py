"""The case of freshness: `fresh`, from the arrival of a post to REST, to the live stream and to the page.

Owns how each is asked, all at once, while `bemtevi run` reads a simulator: one asks the newest posts again
and again, one reads the events, one looks at a hashtag's page in a browser. The time of a post's arrival is
the listener's own (`received_at`), so what the simulator and the socket take is not in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import TOPICS
from benchmarks.listening import simulated_x
from benchmarks.process import bemtevi, environment, measure, ready, running
from benchmarks.sizes import Figures, Sizes

RATE = 2_000
TOPIC = TOPICS[0]
WARM_SECONDS = 12.0
ASK_SECONDS = 0.25
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
PAGE = """
import json, sys, time
from playwright.sync_api import sync_playwright
url, seconds, chromium = sys.argv[1], float(sys.argv[2]), sys.argv[3]
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1360, "height": 900})
    page.goto(url)
    page.wait_for_selector(".tile .value")
    end = time.time() + seconds
    while time.time() < end:
        text = page.locator(".tile .value").first.inner_text()
        print(json.dumps([time.time(), text]), flush=True)
        page.wait_for_timeout(100)
    browser.close()
"""


def fresh(folder: Path, sizes: Sizes) -> Figures:
    """`bemtevi run` at 2,000 posts a second: seconds from arrival to REST, the live stream and the page."""
    lake = folder / "lake"
    with simulated_x(folder, RATE) as x:
        env = environment(lake, x_api_url=x, x_bearer_token="any")  # noqa: S106
        measure(bemtevi("track", *(f"#{topic}" for topic in TOPICS)), env, folder)
        said = folder / "run.txt"
        with running(bemtevi("run", "--port", "0"), env, said):
            url = _address(said)
            seconds = sizes.seconds + WARM_SECONDS
            rest, events = Asking(url, seconds), Reading(url, seconds)
            with _page(f"{url}/t/{TOPIC}?last=24h&hl=en", seconds, folder) as page:
                for one in (rest, events):
                    one.join()
    shown = [json.loads(line) for line in page.read_text(encoding="utf-8").splitlines()]
    return {
        "posts_per_second": round(rest.posts / (seconds - WARM_SECONDS)),
        "rest": _told(rest.ages),
        "live_stream": _told(events.ages),
        "live_stream_left_behind": events.left_behind,
        "page": _told(_ages_of(shown, rest.counts)) if shown else None,
    }


class Asking(threading.Thread):
    """Asks the newest posts and the number of all, again and again.

    An age is of the newest post in an answer, when the answer was there: no post that came so long before was
    missing.
    """

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(daemon=True)
        self._url, self._seconds = url, seconds
        self.ages: list[float] = []
        self.counts: list[tuple[float, int]] = []
        """Posts of the topic that had come, and when the newest of them came."""
        self.posts = 0
        self.start()

    def run(self) -> None:
        began = time.time()
        first: int | None = None
        while (now := time.time()) < began + self._seconds:
            told = _get(f"{self._url}/api/v1/hashtags/{TOPIC}/summary?last=24h")
            if told["data"]["posts"] and now > began + WARM_SECONDS:
                came = datetime.fromisoformat(told["data"]["received_at"]).timestamp()
                self.ages.append(time.time() - came)
                self.counts.append((came, told["data"]["posts"]))
                posts = _get(f"{self._url}/api/v1/status")["data"]["posts"]
                first = posts if first is None else first
                self.posts = posts - first
            time.sleep(ASK_SECONDS)


class Reading(threading.Thread):
    """Reads the live stream: the age of each post when its event was there."""

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(daemon=True)
        self._url, self._seconds = url, seconds
        self.ages: list[float] = []
        self.left_behind = -1  # it begins so
        self.start()

    def run(self) -> None:
        began = time.time()
        while time.time() < began + self._seconds:  # who fell behind comes back
            with urllib.request.urlopen(f"{self._url}/api/v1/live", timeout=30) as stream:  # noqa: S310
                self._read(stream, began)

    def _read(self, stream: Iterable[bytes], began: float) -> None:
        kind = b""
        for line in stream:
            now = time.time()
            if now > began + self._seconds:
                return
            if line.startswith(b"event: "):
                kind = line[7:].strip()
                self.left_behind += kind == b"resync"
            elif line.startswith(b"data: ") and kind == b"post" and now > began + WARM_SECONDS:
                came = datetime.fromisoformat(json.loads(line[6:])["received_at"])
                self.ages.append(now - came.timestamp())


def _ages_of(shown: list[tuple[float, str]], counts: list[tuple[float, int]]) -> list[float]:
    """How old the newest post is that the number on the page counts, each time that one looked.

    When so many had come is known at the moments that REST told of; between them it is in between.
    """
    times, posts = (np.array(column) for column in zip(*counts, strict=True))
    ages = []
    for at, text in shown:
        number = int(re.sub(r"\D", "", text) or 0)
        if posts[0] <= number <= posts[-1]:
            ages.append(at - float(np.interp(number, posts, times)))
    return ages


def _told(ages: list[float]) -> dict[str, float] | None:
    if not ages:
        return None
    half, most, worst = np.percentile(ages, [50, 99, 100])
    return {
        "looks": len(ages),
        "p50_seconds": round(float(half), 2),
        "p99_seconds": round(float(most), 2),
        "worst_seconds": round(float(worst), 2),
    }


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


@contextlib.contextmanager
def _page(url: str, seconds: float, folder: Path) -> Iterator[Path]:
    """What a browser shows of the number of posts, a line a look; nothing without one."""
    said = folder / "page.txt"
    if CHROMIUM is None:
        print("fresh: no chromium, so the page is not looked at", file=sys.stderr)
        said.touch()
        yield said
        return
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", PAGE, url, f"{seconds:g}", CHROMIUM], stdout=file, cwd=folder
        )
        try:
            yield said
        finally:
            process.wait(60)


def _address(said: Path) -> str:
    deadline = time.monotonic() + 120
    while (found := re.search(r"serve.serving\s+url=(http://[\d.]+:\d+)", _plain(said))) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start: {_plain(said)}")
        time.sleep(0.1)
    return ready(found[1])


def _plain(said: Path) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", said.read_text(encoding="utf-8", errors="replace"))
