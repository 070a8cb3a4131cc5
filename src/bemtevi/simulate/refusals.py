"""Answers other than the one asked for.

Owns: what each fault that stands instead of an answer says, and the answers that are no HTTP. When one is due
is decided by the script.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping

from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from bemtevi.simulate import problems
from bemtevi.simulate.faults import Fault, Place
from bemtevi.simulate.script import Script
from bemtevi.simulate.wire import Wire

HALF_ANSWER = b"HTTP/1.1 200 OK\r\ndate: Tue, 24 Nov 2026 12:00:00 GMT\r\ncontent-ty"
PORTAL = "/portal"
"""No page of this server: who follows a redirect finds nothing, and is seen in no record."""
PAGE = """<!DOCTYPE html><html><head><title>Portal</title></head><body>
<h1>Welcome to the network</h1><p>Please sign in to go on.</p></body></html>
"""


class Refusals:
    """Plays the faults that stand instead of an answer."""

    def __init__(self, script: Script, wire: Wire, seconds: Callable[[], float] = time.time) -> None:
        self._script = script
        self._wire = wire
        self._seconds = seconds
        self._limited: dict[str, tuple[int, Fault]] = {}

    def answer(self, of: str, limits: Mapping[str, str]) -> Response | None:
        """What to send instead; None to answer as asked. Raises ProblemError for X's own refusals.

        A rate limit stays until the time that it told.
        """
        now = self._seconds()
        reset, known = self._limited.get(of, (0, None))
        if known is not None and now < reset:
            raise _rate_limited(reset, limits)
        armed = self._script.take(Place.ANSWER, of=of, of_request=of) if self._script.armed else None
        if armed is None:
            return None
        fault = armed.fault
        match fault.kind:
            case "unauthorized":
                raise problems.unauthorized()
            case "forbidden":
                raise problems.client_forbidden(fault["reason"])
            case "no-rules":
                raise problems.no_rules()
            case "usage-cap":
                raise problems.usage_capped(fault["period"], fault["scope"])
            case "no-credits":
                raise problems.no_credits()
            case "redirect":
                return Response(b"", 302, {"location": f"{PORTAL}?from={of}"})
            case "too-many-connections":
                raise problems.too_many_connections()
            case "not-provisioned":
                raise problems.not_provisioned()
            case "rate-limit":
                reset = math.ceil(now + fault["seconds"])
                self._limited[of] = (reset, fault)
                raise _rate_limited(reset, limits)
            case "unavailable":
                return Response(b"", fault["status"])
            case "html":
                return HTMLResponse(PAGE, fault["status"])
            case "mute":
                return Mute(fault["seconds"])
            case "half-answer":
                return Broken(self._wire, HALF_ANSWER)
            case _:
                return Broken(self._wire, b"")


def _rate_limited(reset: int, limits: Mapping[str, str]) -> problems.ProblemError:
    told = {**limits, "x-rate-limit-remaining": "0", "x-rate-limit-reset": str(reset)}
    return problems.too_many_requests(told)


class Broken(Response):
    """A connection that ends where an answer should have been."""

    def __init__(self, wire: Wire, data: bytes) -> None:
        super().__init__(status_code=500)
        self._wire = wire
        self._data = data

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write what there is and hang up."""
        if self._data:
            self._wire.write(scope["client"], self._data)
        if not self._wire.end(scope["client"], "abrupt"):
            await super().__call__(scope, receive, send)
            return
        await _gone(receive)


class Mute(Response):
    """No answer for so many seconds, then 504."""

    def __init__(self, seconds: float) -> None:
        super().__init__(status_code=504)
        self._silence = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, unless the client goes first."""
        try:
            async with asyncio.timeout(self._silence):
                await _gone(receive)
        except TimeoutError:
            await super().__call__(scope, receive, send)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
