"""The filtered stream's response body.

Owns: one listener's lines on the wire: batches of whole lines in chunks, keep-alives in silence, the end.
What faults make of them is in `stream_faults`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from starlette.types import Receive, Scope, Send

from bemtevi.simulate.stream_faults import StreamFaults
from bemtevi.simulate.template import Renderer
from bemtevi.simulate.waiting import KEEP_ALIVE, next_chunk
from bemtevi.simulate.world import Connection, World


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
        self._faults = StreamFaults(world, connection, renderer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = self._connection
        watcher = asyncio.create_task(self._watch(receive))
        try:
            headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async for chunk in self.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.sleep(0)  # a socket that takes all at once must not keep the others waiting
            ends = self._faults.ends
            if ends != "close" and self._world.wire.end(scope["client"], ends):
                await watcher
            else:
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
        world, connection, script = self._world, self._connection, self._world.script
        clock = asyncio.get_running_loop().time
        last = clock()
        while connection.open:
            if script.armed:
                async for chunk in self._faults.chunks():
                    yield chunk
                    last = clock()
                if not connection.open:
                    break
            if not connection.queue and world.rate <= 0 and not world.exhausted:
                await world.pull(connection)
                if not connection.queue:
                    await asyncio.sleep(0)
            elif not connection.queue:
                await connection.wait(max(0.0, last + self._keep_alive - clock()))
            if connection.queue and not script.armed:
                yield next_chunk(world, connection, self._renderer)
                last = clock()
            elif connection.open and not connection.queue and clock() - last >= self._keep_alive:
                yield KEEP_ALIVE
                last = clock()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._world.disconnect(self._connection, "client")
