"""The simulator's own endpoints, beside X's: faults at will, and what is going on.

    GET  /simulation           what is armed, what has fired, how many posts
    POST /simulation/fault     a fault, or a list of them (`{"fault": "close", "times": 3}`)
    POST /simulation/calm      nothing that is armed happens any more
    POST /simulation/compliance  what X says of which id (see `compliance`)
    POST /simulation/pause     no new posts; /simulation/resume goes on

Owns: these paths. They answer this machine only, and need no token.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bemtevi.errors import UsageError
from bemtevi.simulate.compliance import Compliance
from bemtevi.simulate.faults import Fault, fault_of
from bemtevi.simulate.world import World

Handler = Callable[[Request], Awaitable[tuple[int, dict[str, Any]]]]


class Control:
    """The endpoints that a test, or a person who watches, talks to."""

    def __init__(self, world: World, compliance: Compliance) -> None:
        self._world = world
        self._compliance = compliance

    def routes(self) -> list[Route]:
        """Method, path, handler."""
        table: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/simulation", self.show),
            ("POST", "/simulation/fault", self.fault),
            ("POST", "/simulation/calm", self.calm),
            ("POST", "/simulation/compliance", self._compliance.change),
            ("POST", "/simulation/pause", self.pause),
            ("POST", "/simulation/resume", self.resume),
        )
        return [Route(path, _local(handler), methods=[method]) for method, path, handler in table]

    async def show(self, _request: Request) -> tuple[int, dict[str, Any]]:
        """What is going on."""
        world, script = self._world, self._world.script
        return 200, {
            "produced": world.produced,
            "delivered": script.posts,
            "connects": script.connects,
            "connections": len(world.connections),
            "paused": world.paused,
            "armed": [{"number": armed.number, "fault": armed.fault.kind} for armed in script.armed],
            "fired": {str(number): times for number, times in script.fired.items()},
        }

    async def fault(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Arm faults; all of them or, if one is wrong, none."""
        try:
            given = msgspec.json.decode(await request.body())
        except msgspec.DecodeError:
            raise UsageError("The body is no JSON.") from None
        entries = given if isinstance(given, list) else [given]
        faults: list[Fault] = [fault_of(entry, f"fault {number}") for number, entry in enumerate(entries, 1)]
        return 202, {"armed": [self._world.script.arm(fault) for fault in faults]}

    async def calm(self, request: Request) -> tuple[int, dict[str, Any]]:
        """No more faults."""
        self._world.script.disarm()
        return await self.show(request)

    async def pause(self, request: Request) -> tuple[int, dict[str, Any]]:
        """No more posts for now."""
        self._world.paused = True
        return await self.show(request)

    async def resume(self, request: Request) -> tuple[int, dict[str, Any]]:
        """Posts again."""
        self._world.paused = False
        return await self.show(request)


def _local(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        host = request.client.host if request.client else ""
        try:
            here = ipaddress.ip_address(host).is_loopback
        except ValueError:
            here = False
        if not here:
            return _json(403, {"detail": "Only this machine may change the simulation."})
        try:
            return _json(*await handler(request))
        except UsageError as error:
            return _json(400, {"detail": str(error)})

    return answer


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
