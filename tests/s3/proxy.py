"""A proxy in front of an S3 server that makes faults: a program, and who starts and steers it.

A process of its own, so that no thread of the program under test holds it up. It takes orders as JSON lines
and answers each with what it has done so far.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

FAULTS = ("slow_down", "error", "delay", "cut", "lost_answer", "half_answer", "error_after")
"""What may become of a request: refused with 503 or 500, late, cut off before it came, answered to nobody,
answered by half, carried out and answered with 500."""
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


@dataclass(frozen=True)
class Fate:
    """What the proxy does to requests."""

    share: float = 0.0
    """How many of them have a fault."""
    faults: tuple[str, ...] = FAULTS
    seed: int = 0
    conditional: bool = False
    """Only those with `If-None-Match`."""
    once: bool = False
    """Each of them once: its repetition goes well."""
    blind: bool = False
    """Say of a put that was refused that it went well, as a server does that ignores `If-None-Match`."""


CALM = Fate()


class FaultProxy:
    """The proxy as the tests see it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line()["port"])

    def set(self, fate: Fate) -> None:
        """From the next request on."""
        self._ask(asdict(fate))

    @property
    def done(self) -> Counter[str]:
        """How many faults of each kind there were."""
        return Counter(self._ask(None)["done"])

    def _ask(self, order: dict[str, Any] | None) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        assert isinstance(told, dict)
        return told


@contextmanager
def fault_proxy(upstream: int) -> Iterator[FaultProxy]:
    """A proxy before the server at a port."""
    command = [sys.executable, "-m", "tests.s3.proxy", str(upstream)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield FaultProxy(process)
        finally:
            process.kill()


class _Program:
    """Hands requests on, one a connection."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.done: Counter[str] = Counter()
        self.order(asdict(CALM))

    def order(self, told: dict[str, Any]) -> None:
        self.fate = Fate(**told)
        self.chance = random.Random(self.fate.seed)
        self.seen: set[bytes] = set()

    def _fault(self, request: bytes, *, conditional: bool) -> str | None:
        if self.fate.conditional and not conditional:
            return None
        if self.fate.once and request in self.seen:
            return None
        self.seen.add(request)
        return self.chance.choice(self.fate.faults) if self.chance.random() < self.fate.share else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head[:-4].split(b"\r\n")
        names = {line.split(b":", 1)[0].lower(): line.split(b":", 1)[1].strip() for line in lines[1:]}
        if b"expect" in names:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if names.get(b"transfer-encoding", b"").lower() == b"chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(names.get(b"content-length", b"0")))
        fault = self._fault(lines[0], conditional=b"if-none-match" in names)
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
        if self.fate.blind and answer.startswith(b"HTTP/1.1 412"):
            answer = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
        if fault == "lost_answer":
            return
        if fault == "error_after":
            answer = _refusal(b"500 Internal Server Error")
        writer.write(answer[: len(answer) // 2] if fault == "half_answer" else answer)
        await writer.drain()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """A body in chunks, as it came."""
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        body += line
        if size := int(line.split(b";", 1)[0], 16):
            body += await reader.readexactly(size + 2)
            continue
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            body += line
        return body + line


def _refusal(status: bytes) -> bytes:
    return (
        b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
        % (
            status,
            len(SLOW_DOWN),
            SLOW_DOWN,
        )
    )


def _tell(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _main(upstream: int) -> None:
    program = _Program(upstream)
    server = await asyncio.start_server(program.serve, "127.0.0.1", 0, limit=1 << 26)
    _tell({"port": server.sockets[0].getsockname()[1]})
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while line := await orders.readline():
        if (order := json.loads(line)) is not None:
            program.order(order)
        _tell({"done": program.done})


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
