"""The filtered stream's response body.

Owns: one listener's lines on the wire: batches of whole lines in chunks, keep-alives in silence, the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from starlette.types import Receive, Scope, Send

from bemtevi.simulate.template import Renderer
from bemtevi.simulate.world import Connection, World

CHUNK = 64 * 1024
KEEP_ALIVE = b"\r\n"


class StreamResponse:
    """An ASGI response that lasts as long as its connection."""

    def __init__(
        self,
        world: World,
        connection: Connection,
        renderer: Renderer,
        *,
        keep_alive: float,
        headers: Mapping[str, str],
    ) -> None:
        self._world = world
        self._connection = connection
        self._renderer = renderer
        self._keep_alive = keep_alive
        self._headers = {"content-type": "application/json; charset=utf-8", **headers}

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        connection = self._connection
        watcher = asyncio.create_task(self._watch(receive))
        try:
            headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for chunk in self.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(0)  # a socket that takes all at once must not keep the others waiting
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            self._world.disconnect(connection, "client")
        finally:
            self._world.disconnect(connection, "server")
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def chunks(self) -> AsyncIterator[bytes]:
        """What goes over the wire, until the connection is closed from either side."""
        world, connection = self._world, self._connection
        clock = asyncio.get_running_loop().time
        last = clock()
        while connection.open:
            if not connection.queue and world.rate <= 0 and not world.exhausted:
                await world.pull(connection)
                if not connection.queue:
                    await asyncio.sleep(0)
            elif not connection.queue:
                await connection.wait(max(0.0, last + self._keep_alive - clock()))
            if connection.queue:
                yield self._next_chunk()
                last = clock()
            elif connection.open and clock() - last >= self._keep_alive:
                yield KEEP_ALIVE
                last = clock()

    def _next_chunk(self) -> bytes:
        """As many waiting lines as fit; at least one."""
        queue, line = self._connection.queue, self._renderer.line
        names: list[bytes] = []
        pieces: list[bytes] = []
        size = 0
        while queue:
            identity, template, end = queue[0]
            name = b"%d" % identity
            body = line(identity, name, template)
            size += len(body) + len(end)
            if size > CHUNK and pieces:
                break
            queue.popleft()
            names.append(name)
            pieces += (body, end)
        self._world.delivered(self._connection, names)
        return b"".join(pieces)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._world.disconnect(self._connection, "client")
