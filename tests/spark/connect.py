"""A Spark Connect server on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.spark.session import PLACE, SMALL
from tests.support import free_port

PATIENCE = 180.0


@dataclass
class ConnectServer:
    """The server; its executors are in its own process. `folder`: of its settings and of what it says."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        import pyspark

        home = Path(pyspark.__file__).parent
        (self.folder / "spark-defaults.conf").write_text(SMALL, encoding="utf-8")
        with (self.folder / "connect.log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(str(home / "bin" / "spark-submit"), "--master", PLACE),
                    *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
                    *("--conf", f"spark.connect.grpc.binding.port={self.port}"),
                    *("--conf", "spark.connect.grpc.binding.address=127.0.0.1"),
                    *("--conf", "spark.ui.enabled=false"),
                    "spark-internal",
                ],
                env={
                    **os.environ,
                    "SPARK_HOME": str(home),
                    "SPARK_CONF_DIR": str(self.folder),
                    "SPARK_LOCAL_IP": "127.0.0.1",
                    "PYSPARK_PYTHON": sys.executable,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + PATIENCE
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None, (self.folder / "connect.log").read_text()
            assert time.monotonic() < until, "the Connect server did not start"
            time.sleep(0.2)

    @property
    def place(self) -> str:
        """Where it is: a value of BEMTEVI_SPARK."""
        return f"sc://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)
