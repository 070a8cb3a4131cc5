"""The lines that wait for one listener, as bytes of whole lines.

Owns: taking them from the queue and telling the world that they are on their way.
"""

from __future__ import annotations

from bemtevi.simulate.template import Renderer
from bemtevi.simulate.world import Connection, World

CHUNK = 64 * 1024
KEEP_ALIVE = b"\r\n"


def next_chunk(world: World, connection: Connection, renderer: Renderer, most: int = CHUNK) -> bytes:
    """As many waiting lines as fit; at least one."""
    queue, line = connection.queue, renderer.line
    names: list[bytes] = []
    pieces: list[bytes] = []
    size = 0
    while queue:
        identity, template, end = queue[0]
        name = b"%d" % identity
        body = line(identity, name, template)
        size += len(body) + len(end)
        if size > most and pieces:
            break
        queue.popleft()
        names.append(name)
        pieces += (body, end)
    world.delivered(connection, names)
    return b"".join(pieces)
