"""The sockets under HTTP, for faults that HTTP has no words for.

Owns: ending a connection in ways a server would not. Without a server of ours beneath (an application inside
another program), there are no sockets to reach and each of these ends cleanly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

Client = tuple[str, int] | None
_AT_ONCE = struct.pack("ii", 1, 0)


class Wire:
    """What a server lets us do beside answering."""

    def __init__(self) -> None:
        self.transport_of: Callable[[Client], asyncio.Transport | None] = lambda _: None
        self.away: Callable[[float], Coroutine[Any, Any, None]] | None = None
        """Close the port for so many seconds; set by a server."""

    def write(self, client: Client, data: bytes) -> None:
        """Bytes outside of any answer."""
        transport = self.transport_of(client)
        if transport is not None:
            transport.write(data)

    def end(self, client: Client, how: str) -> bool:
        """Close a connection in the middle (`abrupt`) or reset it (`reset`); whether it could be done."""
        transport = self.transport_of(client)
        if transport is None:
            return False
        if how == "reset":
            sock = transport.get_extra_info("socket")
            # lingering belongs to the socket, so it can be set on a copy of its number
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as copy:
                copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            transport.abort()
        else:
            transport.close()
        return True
