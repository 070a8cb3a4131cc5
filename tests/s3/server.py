"""A real S3 server on this machine: versitygw over a folder, built by `scripts/s3-server`.

It keeps to conditional puts. Leaves faults to `proxy`, which stands in front of it. Tests anywhere ask for
the fixtures `s3_server` and `bucket` and carry the mark `s3`; a program does without:

    server = S3Server(folder); server.start(); lake = server.bucket("lake"); server.options(); server.kill()
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import free_port

SCRIPT = Path(__file__).parents[2] / "scripts" / "s3-server"
KEY, SECRET = "the-key", "the-secret-of-the-key"


@dataclass
class S3Server:
    """The server, which keeps its objects when it is stopped and started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for name in ("objects", "attributes"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [
                subprocess.check_output([SCRIPT], text=True).strip(),
                *("--port", f"127.0.0.1:{self.port}", "--quiet"),
                *("posix", "--sidecar", str(self.folder / "attributes"), str(self.folder / "objects")),
            ],
            env={**os.environ, "ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 20
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < until, "the S3 server did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def bucket(self, name: str) -> str:
        """Make a bucket: a folder is one."""
        (self.folder / "objects" / name).mkdir()
        return f"s3://{name}"

    def objects(self, address: str) -> Path:
        """The folder in which the objects under an address are files, as they were put."""
        return self.folder / "objects" / address.removeprefix("s3://")

    def options(self, port: int | None = None) -> dict[str, str]:
        """What a person sets in the environment; `port`: of a proxy."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
