"""One measured process: how long it took, and the most memory that it and its children had.

The peak is the larger of what the kernel noted for the process (exact) and the sum over its tree, seen
twenty times a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOOK_SECONDS = 0.05
KIB_A_UNIT = 1 if sys.platform != "darwin" else 1 / 1024


@dataclass(frozen=True)
class Measured:
    """What a process took and said."""

    seconds: float
    peak_mb: float
    cpu_seconds: float
    said: str
    cpu: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, and processor seconds of the tree until then, about once a second."""
    memory: list[tuple[float, float]] = field(default_factory=list)
    """The clock `time.perf_counter`, and the most MB of the tree since the look before, once a second too."""


def environment(lake: Path, **settings: object) -> dict[str, str]:
    """The environment of a process on a lake, without any setting of the person who measures."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("BEMTEVI_")}
    own |= {"BEMTEVI_LAKE": str(lake), "BEMTEVI_JOURNAL": str(lake.parent / "journal"), "COLUMNS": "200"}
    return own | {f"BEMTEVI_{name.upper()}": str(value) for name, value in settings.items()}


def measure(arguments: list[str], environment: dict[str, str], folder: Path) -> Measured:
    """Run `python arguments…` to its end. Raises RuntimeError with what it said if it failed."""
    said = folder / "said.txt"
    with said.open("wb") as file:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, cwd=folder, stdout=file, stderr=subprocess.STDOUT
        )
        tree = _Tree(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    text = said.read_text(encoding="utf-8", errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}: {text[-2000:]}")
    peak = max(usage.ru_maxrss * KIB_A_UNIT * 1024, tree.stop())
    return Measured(seconds, peak / 1e6, usage.ru_utime + usage.ru_stime, text, tree.cpu, tree.memory)


def bemtevi(*arguments: str | Path) -> list[str]:
    """A command of ours, as arguments to Python."""
    return ["-m", "bemtevi", *map(str, arguments)]


@contextlib.contextmanager
def running(arguments: list[str], environment: dict[str, str], said: Path) -> Iterator[None]:
    """A process beside the measured one."""
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ready(url: str) -> str:
    """The address of a server, once it answers questions."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError):
            urllib.request.urlopen(url + "/readyz", timeout=60).close()  # noqa: S310
            return url
        time.sleep(0.05)
    raise RuntimeError("the server did not get ready")


class _Tree:
    """Looks at a process and its children until told to stop."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._began = time.perf_counter()
        self.cpu: list[tuple[float, float]] = []
        self.memory: list[tuple[float, float]] = []
        self._most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The largest sum seen, in bytes."""
        self._end.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(self._pid)
                processes = [root, *root.children(recursive=True)]
                size = sum(process.memory_info().rss for process in processes)
                self._peak, self._most = max(self._peak, size), max(self._most, size)
                self._note(processes)

    def _note(self, processes: list[psutil.Process]) -> None:
        at = time.perf_counter() - self._began
        if not self.cpu or at - self.cpu[-1][0] >= 1:
            times = [process.cpu_times() for process in processes]
            self.cpu.append((at, sum(one.user + one.system for one in times)))
            self.memory.append((self._began + at, self._most / 1e6))
            self._most = 0
