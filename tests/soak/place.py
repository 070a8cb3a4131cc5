"""Where a soak takes place: the folders, the processes, the storage that can be taken away.

Owns starting and ending what runs, and the one small disk of the journal. What happens when is decided in
`__main__`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import requests

SMALL_DISK = 96 * 1024 * 1024
PATIENCE = 60.0


class Place:
    """Folders and settings of one soak."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self.away = folder / "lake.away"
        self.disk = folder / "disk"
        self.record = folder / "record.jsonl"
        self.log = folder / "listener.log"
        self.disk.mkdir(parents=True)
        self.journal = self.disk / "journal"
        self.filler = self.disk / "filler"
        self.no_disk = self._mount()
        """Why there is no small disk; empty if there is one."""

    def _mount(self) -> str:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "none", str(self.disk)],
            capture_output=True,
            text=True,
            check=False,
        )
        return "" if made.returncode == 0 else (made.stderr.strip() or "mount failed")

    def close(self) -> None:
        """Unmount."""
        if not self.no_disk:
            subprocess.run(["umount", str(self.disk)], check=False)

    def environment(self, **more: object) -> dict[str, str]:
        """For the processes; `more` are settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BEMTEVI_")}
        settings = {"lake": self.lake, "journal": self.journal, **more}
        return kept | {f"BEMTEVI_{name.upper()}": str(value) for name, value in settings.items()}

    # storage

    def take_lake(self) -> None:
        """The lake is not there, and nothing can be put in its place."""
        self.lake.rename(self.away)
        self.lake.write_text("in the way")

    def give_lake(self) -> None:
        """It is there again."""
        if self.away.exists():
            self.lake.unlink(missing_ok=True)
            self.away.rename(self.lake)

    def fill_disk(self) -> None:
        """The disk of the journal is full."""
        with contextlib.suppress(OSError), self.filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 20))
                file.flush()

    def free_disk(self) -> None:
        """It has room again."""
        self.filler.unlink(missing_ok=True)


class Running:
    """One process, with its output appended to a file."""

    def __init__(self, arguments: list[str], place: Place, said: Path, **settings: object) -> None:
        self._file = said.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=place.environment(**settings) | {"PYTHONUNBUFFERED": "1", "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def memory(self) -> int:
        """Bytes of it in memory; 0 if it has ended."""
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self, number: signal.Signals | None = None, seconds: float = PATIENCE) -> int:
        """Send a signal, if it is not to end by itself, and wait; the exit code."""
        if number is not None and self.runs:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -999  # it did not stop when told to
        finally:
            self._file.close()


class Simulator:
    """The simulated X of a soak."""

    def __init__(self, place: Place, rate: float, seed: int) -> None:
        said = place.folder / "simulator.log"
        arguments = [
            *("-m", "bemtevi", "simulate", "x", "--port", "0", "--topic", "covid19", "--topic", "vacina"),
            *("--rate", str(rate), "--seed", str(seed), "--record", str(place.record)),
            *("--keep-alive", "0.5", "--search-delay", "1", "--enforce-limits", "--limit-window", "60"),
        ]
        self.running = Running(arguments, place, said)
        until = time.monotonic() + PATIENCE
        self.url = ""
        while not self.url:
            assert time.monotonic() < until and self.running.runs, said.read_text()
            found = re.search(r"http://[\d.]+:\d+", said.read_text())
            self.url = found[0] if found else ""
            time.sleep(0.05)

    def control(self, name: str, **more: Any) -> dict[str, Any]:
        """A call to the control endpoint; it may be away for a while."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                answer = requests.post(f"{self.url}/simulation/{name}", timeout=10, **more)
            except requests.RequestException:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
                continue
            answer.raise_for_status()
            return dict(answer.json())


def exits_told(exits: Counter[int]) -> str:
    """Exit codes, for a person."""
    names = {
        0: "stopped",
        -9: "killed",
        3: "refused",
        2: "without a lake",
        4: "no storage",
        6: "network",
        7: "conflict",
    }
    return ", ".join(f"{names.get(code, f'code {code}')} {times}" for code, times in sorted(exits.items()))
