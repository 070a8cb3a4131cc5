"""The faults that a stream can have: ends, silences, and bytes and lines in another form.

Owns: playing them on one connection, with each told to the record. A line without a fault is the business of
`stream`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bemtevi.simulate import lines
from bemtevi.simulate.faults import Fault, Place
from bemtevi.simulate.script import Armed
from bemtevi.simulate.template import Renderer, Template
from bemtevi.simulate.waiting import CHUNK, KEEP_ALIVE, next_chunk
from bemtevi.simulate.world import Connection, World

STEP = 0.05
"""Seconds between two pieces of a trickle, and between two looks during a stall."""


class StreamFaults:
    """Plays the faults of one connection."""

    def __init__(self, world: World, connection: Connection, renderer: Renderer) -> None:
        self._world = world
        self._script = world.script
        self._connection = connection
        self._renderer = renderer
        self.ends = "close"
        """How the connection is to be ended, once it is closed."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """What faults make of this moment: an end, a silence, or the waiting lines in another form."""
        connection, script = self._connection, self._script
        if armed := script.take(Place.STREAM, connection=connection.number):
            async for piece in self._play(armed):
                yield piece
        elif connection.queue and (armed := script.take(Place.CUT, connection=connection.number)):
            yield self._cut_line(armed.fault)
            self._end(armed.fault["end"], "cut")
        elif connection.queue:
            if script.due(Place.LINE):
                chunk = self._changed_chunk()
            else:
                chunk = next_chunk(self._world, connection, self._renderer)
            shaping = script.take(Place.CHUNK, connection=connection.number)
            for piece in [chunk] if shaping is None else self._pieces(chunk, shaping.fault):
                yield piece

    async def _play(self, armed: Armed) -> AsyncIterator[bytes]:
        fault = armed.fault
        match fault.kind:
            case "stall":
                clock = asyncio.get_running_loop().time
                until = clock() + fault["seconds"]
                while self._connection.open and clock() < until:
                    await asyncio.sleep(min(STEP, max(0.0, until - clock())))
            case "trickle":
                async for piece in self._trickle(fault["seconds"], fault["bytes_a_second"]):
                    yield piece
            case "operational-disconnect":
                name = self._script.extra_name()
                self._world.record.message(self._connection.number, armed.number, name)
                yield lines.disconnect(fault["type"], name)
                self._end("close", fault.kind)
            case how:
                self._end(how, how)

    async def _trickle(self, seconds: float, bytes_a_second: int) -> AsyncIterator[bytes]:
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        size = max(1, int(bytes_a_second * STEP))
        rest = b""
        while self._connection.open and (rest or clock() < until):
            if not rest and self._connection.queue:
                rest = next_chunk(self._world, self._connection, self._renderer, size)
            if rest:
                piece = rest[:size] if clock() < until else rest
                yield piece
                rest = rest[len(piece) :]
            await asyncio.sleep(STEP)

    def _end(self, how: str, why: str) -> None:
        self.ends = how
        self._world.disconnect(self._connection, f"fault: {why}")

    def _pieces(self, chunk: bytes, fault: Fault) -> list[bytes]:
        if fault.kind == "split-line-ends":
            first, *others = chunk.split(b"\r\n")
            return [first + b"\r", *(b"\n" + part + b"\r" for part in others[:-1]), b"\n" + others[-1]]
        pieces, place = [], 0
        while place < len(chunk):
            step = self._script.chance.randint(1, fault["bytes"])
            pieces.append(chunk[place : place + step])
            place += step
        return pieces

    def _cut_line(self, fault: Fault) -> bytes:
        """The beginning of the next line; its post is missed."""
        identity, template, end = self._connection.queue.popleft()
        name = b"%d" % identity
        line = self._renderer.line(identity, name, template) + end
        # the last brace, CR and LF belong to what is cut off: else the message would be whole
        longest = len(line) - 3
        at = min(fault["at"] or self._script.chance.randint(1, longest), longest)
        self._world.record.missed(self._connection.number, [name], "the line was cut")
        return line[:at]

    def _changed_chunk(self) -> bytes:
        """As many waiting lines as fit, each as one fault leaves it."""
        queue = self._connection.queue
        names: list[bytes] = []
        pieces: list[bytes] = []
        size = 0
        while queue and size < CHUNK:
            identity, template, end = matched = queue.popleft()
            told = [str(identity)]
            armed = self._script.take(Place.LINE, connection=self._connection.number, ids=told)
            kind = "" if armed is None else armed.fault.kind
            if kind == "reorder" and queue:
                identity, template, end = queue.popleft()
                queue.appendleft(matched)
            name = b"%d" % identity
            line = self._renderer.line(identity, name, template) + end
            times = 2 if kind == "duplicate" else 1
            if armed is not None:
                before, line = self._changed(line, armed, identity, template)
                pieces.append(before)
            names += [name] * times
            pieces += [line] * times
            size += len(line) * times
            self._script.posts += times
        self._script.posts -= len(names)  # `delivered` counts them again
        self._world.delivered(self._connection, names)
        return b"".join(pieces)

    def _changed(self, line: bytes, armed: Armed, identity: int, template: Template) -> tuple[bytes, bytes]:
        """What goes before the line, and the line after a fault."""
        if armed.fault.kind == "keep-alives":
            return KEEP_ALIVE * 50, line
        name = self._script.extra_name()
        before = lines.before(armed.fault, name, self._world.rules.sent())
        if before is not None:
            self._world.record.message(self._connection.number, armed.number, name)
        return before or b"", lines.changed(line, armed.fault, lambda: template.message(identity))
