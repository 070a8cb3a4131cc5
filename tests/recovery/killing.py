"""Real processes that are killed: starting them, choosing the instant, and counting what came of it.

A kill counts only if the work was in progress. Each test shows that in its own way: the process had the lock
of its work, or had a connection open, and had not finished.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

PATIENCE = 60.0
"""Seconds after which something that should have happened has not."""

KILLED = -int(signal.SIGKILL)


@dataclass
class Tally:
    """What one kind of work went through."""

    work: str
    kills: int = 0
    delivered: int = 0
    stored: int = 0
    in_flight: int = 0
    lost: int = 0
    doubled: int = 0
    remarks: list[str] = field(default_factory=list)


TALLIES: list[Tally] = []


def tally(work: str) -> Tally:
    """The line of a kind of work in the summary; the same for the same name."""
    for known in TALLIES:
        if known.work == work:
            return known
    TALLIES.append(Tally(work))
    return TALLIES[-1]


class Process:
    """One process of ours, with what it says in a file."""

    def __init__(self, arguments: list[str], environment: dict[str, str], said: Path) -> None:
        self.said = said
        self._file: IO[bytes] = said.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bemtevi", *arguments],
            env=environment,
            cwd=said.parent,
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def has_open(self, path: Path) -> bool:
        """Whether it has a file open: the lock of its work, an archive."""
        try:
            files = psutil.Process(self._process.pid).open_files()
        except psutil.Error:
            return False
        return any(Path(file.path) == path for file in files)

    def kill(self) -> bool:
        """`kill -9`; whether that ended it."""
        self._process.send_signal(signal.SIGKILL)
        return self.wait() == KILLED

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code."""
        try:
            code = self._process.wait(seconds)
        finally:
            self._file.close()
        return code

    def end(self) -> None:
        """Make sure that it does not outlive the test."""
        if self.running:
            self._process.kill()
            self._process.wait()
        self._file.close()

    def text(self) -> str:
        """What it has said so far."""
        return self.said.read_text(encoding="utf-8", errors="replace")


class Place:
    """A folder with a lake and a journal, and the processes that work on them."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self.journal = folder / "journal"
        self.settings = {name: str(value) for name, value in settings.items()}
        self._started = 0
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *arguments: str | Path, crash_at: str | None = None) -> Process:
        """A command, begun."""
        self._started += 1
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BEMTEVI_")}
        environment |= {
            "BEMTEVI_LAKE": str(self.lake),
            "BEMTEVI_JOURNAL": str(self.journal),
            "COLUMNS": "200",
            "PYTHONUNBUFFERED": "1",
        }
        environment |= {f"BEMTEVI_{name.upper()}": value for name, value in self.settings.items()}
        if crash_at is not None:
            environment["BEMTEVI_CRASH_AT"] = crash_at
        said = self.folder / f"{self._started:03d}-{arguments[0]}.log"
        return Process([str(argument) for argument in arguments], environment, said)

    def run(self, *arguments: str | Path) -> str:
        """A command, done without a fault; what it said."""
        process = self.start(*arguments)
        code = process.wait()
        assert code == 0, process.text()
        return process.text()

    def crash(self, point: str, *arguments: str | Path) -> None:
        """A command that reaches a crash point and dies there."""
        process = self.start(*arguments, crash_at=point)
        assert process.wait() == KILLED, f"the point {point} was not reached: {process.text()}"


def wait_until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something is so; fail if it never is."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(0.005)


class Simulator:
    """A simulated X in a process of its own."""

    def __init__(self, place: Place, record: Path, *, rate: float, limit: int | None = None) -> None:
        self.record = record
        more = [] if limit is None else ["--limit", str(limit)]
        self.process = place.start(
            "simulate", "x", "--port", "0", "--rate", f"{rate:g}", "--topic", "covid19", "--topic", "vacina",
            "--record", record, "--keep-alive", "0.2", *more,
        )  # fmt: skip
        wait_until(lambda: self._url() is not None or not self.process.running, "the simulator answers")
        url = self._url()
        assert url is not None, self.process.text()
        self.url = url

    def _url(self) -> str | None:
        found = re.search(r"http://[\d.]+:\d+", self.process.text())
        return found[0] if found else None

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *raised: object) -> None:
        self.process.end()


def instant(chance: random.Random, longest: float) -> float:
    """Seconds until a kill; a fifth of them at once or nearly so."""
    return chance.uniform(0, 0.05) if chance.random() < 0.2 else chance.uniform(0, longest)
