"""The command line, as a person uses it: one call, its exit code, and what it says.

Owns how a test calls `bemtevi`. `run` forks a process that has the program loaded already, which is fast;
`start` and `shell` begin an interpreter of their own, for signals, pipes and other users' rights.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

BEMTEVI = f"{sys.executable} -m bemtevi"
PATIENCE = 60.0

AS_NO_SUPERUSER = """
import ctypes, os, sys
for right in (1, 2):  # to pass over the rights of files, and to search any folder
    ctypes.CDLL(None).prctl(24, right, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([f"bemtevi.cli.{name}" for name in ("answers", "demonstrate", "simulator")])


@dataclass(frozen=True)
class Result:
    """How a call ended."""

    code: int
    out: str
    err: str
    seconds: float

    def sentence(self, code: int) -> str:
        """The one sentence that a failed call says, which must have ended with `code`."""
        assert self.code == code, (self.code, self.out, self.err)
        assert "Traceback" not in self.out + self.err, self.err
        lines = self.err.splitlines()
        said = [line for line in lines if line.startswith("bemtevi: ")]
        # logs of the listener may stand before it, nothing after it
        assert len(said) == 1, self.err
        assert said == lines[-1:], self.err
        return said[0].removeprefix("bemtevi: ")


@dataclass
class Person:
    """Somebody in a folder of their own, with nothing of ours in the environment but what a test sets."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path, **environment: str) -> Result:
        """Call a command and wait for its end."""
        out, err = (self.folder.with_name(f"{self.folder.name}.{name}") for name in ("out", "err"))
        process = _processes.Process(
            target=_call,
            args=([str(argument) for argument in arguments], self._all(environment), self.folder, out, err),
        )
        began = time.monotonic()
        process.start()
        process.join(PATIENCE)
        seconds = time.monotonic() - began
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"{arguments} did not end in {PATIENCE:g} s: {err.read_text()}")
        return Result(process.exitcode, out.read_text(), err.read_text(), seconds)

    def good(self, *arguments: str | Path, **environment: str) -> str:
        """What a call says that must go well."""
        result = self.run(*arguments, **environment)
        assert result.code == 0, result.err
        assert "Traceback" not in result.err
        return result.out

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """A call that goes on while the test does."""
        return subprocess.Popen(
            [sys.executable, "-m", "bemtevi", *map(str, arguments)],
            cwd=self.folder,
            env=self._all(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def shell(self, line: str, *, superuser: bool = True, **environment: str) -> Result:
        """A line for a shell that begins with `bemtevi`; as somebody whom files' rights bind, if asked."""
        began = time.monotonic()
        command = ["/bin/sh", "-c", line.replace("bemtevi ", BEMTEVI + " ", 1)]
        if not superuser and os.geteuid() == 0:
            command = [sys.executable, "-c", AS_NO_SUPERUSER, *command]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._all(environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def _all(self, environment: dict[str, str]) -> dict[str, str]:
        outside = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BEMTEVI_", "AWS_", "COLUMNS", "FORCE_COLOR"))
        }
        return outside | {"PYTHONDONTWRITEBYTECODE": "1"} | self.environment | environment


def interrupt(process: subprocess.Popen[str]) -> Result:
    """Ctrl-C, and how the process ended."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    return Result(process.returncode, out, err, time.monotonic() - began)


def _call(arguments: list[str], environment: dict[str, str], folder: Path, out: Path, err: Path) -> None:
    """In the forked process: become the program."""
    from bemtevi.cli import main

    for path, number in ((out, 1), (err, 2)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    main(arguments)
