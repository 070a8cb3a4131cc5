"""`/api/v1/live`: server-sent events of new posts and counts, resumable by `Last-Event-ID`.

Owns the protocol towards one client: what it missed, what is new, a comment when nothing is, and a good-bye
to who does not keep up. Leaves the events to `serve.live`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bemtevi.serve.api.guard import problem
from bemtevi.serve.live import Ring, encode
from bemtevi.warehouse.hashtag import fold

router = APIRouter(prefix="/api/v1", tags=["live"])
QUIET_SECONDS = 10.0
"""After so long without an event a comment says that the line is alive."""
SEND_SECONDS = 15.0
"""A client that takes nothing for so long is left."""
MOST_CLIENTS = 1_500
RETRY = b"retry: 2000\n\n"


class Clients:
    """How many read along."""

    def __init__(self) -> None:
        self.number = 0


class EventStream(Response):
    """Events until the client goes, or falls behind."""

    media_type = "text/event-stream"

    def __init__(
        self, clients: Clients, ring: Ring, hashtags: frozenset[str], after: int | None, *, full: bool
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._clients = clients
        self._ring = ring
        self._hashtags = hashtags
        self._full = full
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends."""
        del scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        self._clients.number += 1
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._clients.number -= 1
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        number = self._ring.last if self._after is None else self._after
        first = RETRY + self._told("hello" if self._after is not None else "resync", number)
        await _give(send, first)
        while True:
            await self._ring.more(number, QUIET_SECONDS)
            found = self._ring.after(number, self._hashtags, full=self._full)
            if found is None:  # the ring has gone round: it takes up again with all that it asks for
                await _give(send, self._told("resync", self._ring.last), more=False)
                return
            events, number = found
            await _give(send, events or b": quiet\n\n")

    def _told(self, kind: str, number: int) -> bytes:
        place = f"{self._ring.life}-{number}"
        return f"id: {place}\nevent: {kind}\ndata: ".encode() + encode({"place": place}) + b"\n\n"


async def _give(send: Send, body: bytes, *, more: bool = True) -> None:
    await asyncio.wait_for(
        send({"type": "http.response.body", "body": body, "more_body": more}), SEND_SECONDS
    )


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@router.get("/live", responses={200: {"content": {"text/event-stream": {}}}}, response_class=Response)
async def live(
    request: Request,
    tag: Annotated[
        list[str] | None, Query(max_length=20, description="Only events of these hashtags.")
    ] = None,
    last: Annotated[
        str | None,
        Query(alias="after", max_length=60, description="Place to go on from, as `Last-Event-ID`."),
    ] = None,
) -> Response:
    """Events as they come: `post`, `count` (the whole of a minute, by hashtag), `total`.

    `resync` means that something was missed, or that nothing is known of before: ask the other addresses.
    """
    ring: Ring = request.app.state.ring
    clients: Clients = request.app.state.clients
    if clients.number >= MOST_CLIENTS:
        response = problem(503, "Too many are reading along", "Ask /api/v1/posts from time to time instead.")
        response.headers["retry-after"] = "10"
        return response
    given = request.headers.get("last-event-id") or last
    after = ring.place(given) if given else None
    tags = frozenset(folded for one in tag or () if (folded := fold(one)))
    return EventStream(clients, ring, tags, after, full=bool(request.state.full))
