"""A standalone cluster on this machine: a real master and real workers, each a process of its own.

A worker starts one executor for an application. Owns how they are started, found and ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests
from tests.spark.session import SMALL
from tests.support import free_port

CLUSTER = (
    SMALL
    + """\
spark.executor.memory 512m
spark.executor.extraJavaOptions -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
"""
)
PATIENCE = 120.0


@dataclass
class Cluster:
    """A master and two workers of one core each. `folder`: of what they and the executors say."""

    folder: Path
    port: int = field(default_factory=free_port)
    page: int = field(default_factory=free_port)
    master: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        (self.folder / "conf").mkdir(parents=True)
        (self.folder / "conf" / "spark-defaults.conf").write_text(CLUSTER, encoding="utf-8")
        self.master = self._process(
            "master", "Master", "--port", str(self.port), "--webui-port", str(self.page)
        )
        for _ in range(2):
            self.add_worker()

    def add_worker(self) -> None:
        """One more worker, as whoever watches over them would start it again."""
        name = f"worker{len(self.workers)}"
        options = [
            "--cores",
            "1",
            "--memory",
            "1g",
            "--webui-port",
            "0",
            "--work-dir",
            str(self.folder / name),
        ]
        self.workers.append(self._process(name, "Worker", *options, self.place))
        alive = sum(worker.poll() is None for worker in self.workers)
        until = time.monotonic() + PATIENCE
        while self._alive_workers() < alive:
            assert time.monotonic() < until, "a worker did not come to its master"
            time.sleep(0.2)

    @property
    def place(self) -> str:
        """Where the cluster is: a value of BEMTEVI_SPARK."""
        return f"spark://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """The settings of who uses it."""
        return {"BEMTEVI_SPARK": self.place, "SPARK_CONF_DIR": str(self.folder / "conf")}

    def executors(self) -> list[int]:
        """The process ids of the executors that live."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # of somebody else, or gone meanwhile
                line = (process / "cmdline").read_bytes()
                if (
                    b"CoarseGrainedExecutorBackend" in line
                    and self.folder in (process / "cwd").readlink().parents
                ):
                    found.append(int(process.name))
        return found

    def said(self) -> str:
        """What all processes said."""
        files = [*self.folder.glob("*.log"), *self.folder.glob("worker*/*/*/std*")]
        return "\n".join(file.read_text("utf-8", "replace") for file in files)

    def stop(self) -> None:
        for process in (*self.workers, self.master):
            if process is not None:
                process.send_signal(signal.SIGTERM)
        for process in (*self.workers, self.master):
            if process is not None:
                process.wait(PATIENCE)

    def _alive_workers(self) -> int:
        try:
            told = requests.get(f"http://127.0.0.1:{self.page}/json/", timeout=5).json()
        except (requests.RequestException, ValueError):
            return 0
        return sum(worker["state"] == "ALIVE" for worker in told["workers"])

    def _process(self, name: str, role: str, *arguments: str) -> subprocess.Popen[bytes]:
        import pyspark

        home = Path(pyspark.__file__).parent
        log = (self.folder / f"{name}.log").open("wb")
        with log:
            return subprocess.Popen(
                [
                    str(home / "bin" / "spark-class"),
                    f"org.apache.spark.deploy.{role.lower()}.{role}",
                    *("--host", "127.0.0.1", *arguments),
                ],
                env={
                    **os.environ,
                    "SPARK_HOME": str(home),
                    "SPARK_LOCAL_IP": "127.0.0.1",
                    "SPARK_DAEMON_MEMORY": "256m",
                    "SPARK_DAEMON_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
                    "PYSPARK_PYTHON": sys.executable,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
