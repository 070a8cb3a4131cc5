"""A real S3 server on this machine, and a proxy in front of it that makes faults.

Owns both. The server is versitygw over a folder, built by `scripts/s3-server`; it keeps to conditional puts.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

KEY, SECRET = "the-key", "the-secret-of-the-key"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
FAULTS = ("slow_down", "error", "delay", "cut", "lost_answer", "half_answer", "error_after")
"""What may become of a request: refused with 503 or 500, late, cut off before it came, answered to nobody,
answered by half, carried out and answered with 500."""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


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
                os.environ.get("BEMTEVI_S3_SERVER", "versitygw"),
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

    def options(self, port: int | None = None) -> dict[str, str]:
        """What a person sets in the environment; `port`: of a proxy."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }


@dataclass
class Request:
    """The head of a request, for who decides its fate."""

    method: str
    path: str
    conditional: bool


Fate = Callable[[Request], str | None]


class FaultProxy:
    """Hands requests on, one a connection, each with the fault that `fate` says; counts what it did."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.fate: Fate = lambda request: None
        self.done: Counter[str] = Counter()
        self.blind = False
        """Say of a put that was refused that it went well, as a server does that ignores `If-None-Match`."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head[:-4].split(b"\r\n")
        method, path, _ = lines[0].decode().split(" ", 2)
        names = {line.split(b":", 1)[0].lower(): line.split(b":", 1)[1].strip() for line in lines[1:]}
        if b"expect" in names:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(names.get(b"content-length", b"0")))
        fault = self.fate(Request(method, path, b"if-none-match" in names))
        if fault is not None:
            self.done[fault] += 1
        if fault == "cut":
            return
        if fault in ("slow_down", "error"):
            writer.write(_refusal(b"503 Slow Down" if fault == "slow_down" else b"500 Internal Server Error"))
            await writer.drain()
            return
        if fault == "delay":
            await asyncio.sleep(0.5)
        kept = [
            line for line in lines[1:] if line.split(b":", 1)[0].lower() not in (b"connection", b"expect")
        ]
        inward, outward = await asyncio.open_connection("127.0.0.1", self.upstream, limit=1 << 26)
        try:
            outward.write(b"\r\n".join([lines[0], *kept, b"Connection: close", b"", b""]) + body)
            await outward.drain()
            answer = await inward.read()
        finally:
            outward.close()
        if self.blind and answer.startswith(b"HTTP/1.1 412"):
            answer = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
        if fault == "lost_answer":
            return
        if fault == "error_after":
            answer = _refusal(b"500 Internal Server Error")
        writer.write(answer[: len(answer) // 2] if fault == "half_answer" else answer)
        await writer.drain()


def _refusal(status: bytes) -> bytes:
    return (
        b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (
            status,
            len(SLOW_DOWN),
            SLOW_DOWN,
        )
    )


@contextmanager
def fault_proxy(upstream: int) -> Iterator[FaultProxy]:
    """A proxy in a thread of its own."""
    proxy = FaultProxy(upstream)
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=1 << 26)
        proxy.port = server.sockets[0].getsockname()[1]
        ready.set()
        async with server:
            await server.serve_forever()

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(run())
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


def at_random(seed: int, share: float, faults: tuple[str, ...] = FAULTS) -> Fate:
    """Faults for a share of the requests."""
    chance = random.Random(seed)
    lock = threading.Lock()

    def fate(request: Request) -> str | None:
        with lock:
            return chance.choice(faults) if chance.random() < share else None

    return fate
