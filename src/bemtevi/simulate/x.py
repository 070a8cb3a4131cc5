"""A server that speaks X.

Owns: running it, in the foreground (`serve`), in the background of a test (`running_x`), or inside another
program (`create_app`). Faults are not played here, but for the one that closes the port.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from bemtevi.errors import NetworkError
from bemtevi.simulate import problems
from bemtevi.simulate.control import Control
from bemtevi.simulate.endpoints import Endpoints, as_json
from bemtevi.simulate.simulation import Simulation
from bemtevi.simulate.wire import Client
from bemtevi.simulate.world import World


def create_app(simulation: Simulation | None = None, world: World | None = None) -> Starlette:
    """The application. Posts are produced from its start-up to its shut-down, in `app.state.world`."""
    simulation = simulation or Simulation()
    world = world or simulation.world()
    endpoints = Endpoints(simulation, world)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(world.run()), asyncio.create_task(world.play())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            _close_all(world)
            world.record.close()

    async def not_found(_request: Request, _error: Exception) -> Response:
        problem = problems.not_found()
        return as_json(problem.body, problem.status, {})

    routes = [*endpoints.routes(), *Control(world, endpoints.compliance).routes()]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: not_found})
    app.state.world = world
    return app


def serve(
    simulation: Simulation | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until interrupted. Port 0 takes a free one; `ready` is told the URL once it answers."""
    with contextlib.suppress(KeyboardInterrupt):  # the server has stopped by then, as it was asked to
        _Server(simulation or Simulation(), host, port, ready).run_until_stopped()


@dataclass
class RunningX:
    """A server in the background."""

    url: str
    record: Path | None
    world: World  # belongs to the server's thread: look, do not touch


@contextlib.contextmanager
def running_x(
    simulation: Simulation | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[RunningX]:
    """Serve in a thread for the length of a block."""
    simulation = simulation or Simulation()
    started = threading.Event()
    server = _Server(simulation, host, port, lambda _url: started.set())
    thread = threading.Thread(target=server.run_until_stopped, name="simulated-x", daemon=True)
    thread.start()
    while not started.wait(0.05):
        if not thread.is_alive():
            raise NetworkError("the simulated X did not start")
    try:
        yield RunningX(server.url, simulation.record, server.world)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


class _Server(uvicorn.Server):
    """uvicorn on a socket of ours; open streams end when it stops."""

    def __init__(
        self, simulation: Simulation, host: str, port: int, ready: Callable[[str], None] | None
    ) -> None:
        self.world = simulation.world()
        app = create_app(simulation, self.world)
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws="none",
                log_level="warning",
                access_log=False,
                lifespan="on",
                timeout_graceful_shutdown=2,
            )
        )
        try:
            self._socket = socket.create_server((host, port), reuse_port=False)
        except OSError as error:
            raise NetworkError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        self._address = self._socket.getsockname()
        self.url = f"http://{host}:{self._address[1]}"
        self._ready = ready
        self.world.wire.transport_of = self._transport_of
        self.world.wire.away = self._go_away

    def run_until_stopped(self) -> None:
        try:
            self.run(sockets=[self._socket])
        finally:
            self._socket.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and self._ready is not None:
            self._ready(self.url)

    def _transport_of(self, client: Client) -> asyncio.Transport | None:
        for protocol in self.server_state.connections:
            if getattr(protocol, "client", None) == client:
                return getattr(protocol, "transport", None)
        return None

    async def _go_away(self, seconds: float) -> None:
        """Close the port and every connection, and come back at the same address."""
        for server in self.servers:
            server.close()
        self._socket.close()
        for connection in list(self.world.connections.values()):
            self.world.disconnect(connection, "fault: away")
        for protocol in list(self.server_state.connections):
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()
        await asyncio.sleep(seconds)
        self._socket = socket.create_server(self._address, reuse_port=False)
        config = self.config
        self.servers.append(
            await asyncio.get_running_loop().create_server(
                lambda: config.http_protocol_class(  # type: ignore[call-arg]
                    config=config, server_state=self.server_state, app_state=self.lifespan.state
                ),
                sock=self._socket,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _close_all(self.world)
        await super().shutdown(sockets=sockets)


def _close_all(world: World) -> None:
    for connection in list(world.connections.values()):
        world.disconnect(connection, "server")
