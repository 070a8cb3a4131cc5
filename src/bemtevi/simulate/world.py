"""One simulated X: one clock, one flow of posts, whoever listens.

Owns: when posts come to be, who gets them, what is missed, and the faults that happen behind a client's back.
Posts are produced at the rate whether or not anybody is connected; with rate 0 they are produced when a
connection asks for more. HTTP is not known here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bemtevi.simulate.archive import Archive
from bemtevi.simulate.faults import Fault, Place
from bemtevi.simulate.record import NOBODY, Record
from bemtevi.simulate.rulebook import RuleBook
from bemtevi.simulate.script import Script
from bemtevi.simulate.sources import Source
from bemtevi.simulate.template import Template
from bemtevi.simulate.wire import Wire

Clock = Callable[[], datetime]
Matched = tuple[int, Template, bytes]

TICK = 0.01
# What one turn may produce, so that the event loop stays responsive.
LARGEST_TURN = 2_000
PULL = 256


def now_in_utc() -> datetime:
    return datetime.now(UTC)


class Connection:
    """One listener's line: posts that matched and wait to be sent."""

    def __init__(self, number: int, opened: datetime) -> None:
        self.number = number
        self.identity = str(uuid.uuid4())
        self.opened = opened
        self.closed: datetime | None = None
        self.reason = ""
        self.queue: deque[Matched] = deque()
        self._awake = asyncio.Event()

    @property
    def open(self) -> bool:
        return self.closed is None

    def wake(self) -> None:
        self._awake.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something to do, or so long."""
        self._awake.clear()
        if self.queue or not self.open:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return


class World:
    """Posts, rules, listeners and the record of what happened."""

    def __init__(
        self,
        source: Source,
        *,
        rate: float = 50.0,
        clock: Clock = now_in_utc,
        keep: int = 200_000,
        limit: int | None = None,
        buffer: int = 100_000,
        record: Record | None = None,
        script: Script | None = None,
    ) -> None:
        """`limit` ends production after so many posts; `buffer` is how far a listener may fall behind."""
        self.clock = clock
        self.rate = rate
        self.rules = RuleBook(clock)
        self.archive = Archive(keep)
        self.record = record or Record(None)
        self.script = script or Script((), self.record)
        self.wire = Wire()
        self.connections: dict[int, Connection] = {}
        self.stale: dict[str, tuple[Connection, datetime]] = {}
        """Connections that nobody reads, by identity, and when each goes by itself."""
        self.past: deque[Connection] = deque(maxlen=1_000)
        self.produced = 0
        self.exhausted = False
        self.paused = False
        self._leaving: asyncio.Future[None] | None = None
        self.usage: Counter[str] = Counter()
        self._source = source
        self._limit = limit
        self._buffer = buffer
        self._opened = 0

    async def run(self) -> None:
        """Produce at the rate, until cancelled or exhausted. Returns at once when the rate is 0."""
        if self.rate <= 0:
            return
        loop = asyncio.get_running_loop()
        started, before = loop.time(), self.produced
        while not self.exhausted:
            if self.paused:
                since = loop.time()
                while self.paused:
                    await asyncio.sleep(TICK)
                started += loop.time() - since
            due = int((loop.time() - started) * self.rate) - (self.produced - before)
            if due > 0:
                self.produce(min(due, LARGEST_TURN))
            behind = due > LARGEST_TURN
            await asyncio.sleep(0 if behind else max(TICK, min(1 / self.rate, 0.25)))

    def produce(self, count: int) -> None:
        """Make posts now and hand those that match to every listener."""
        if self._limit is not None:
            count = min(count, self._limit - self.produced)
        made = self._source.take(count, self.clock()) if count > 0 else ()
        self.produced += len(made)
        self.exhausted = len(made) < count or self.produced == self._limit
        self.archive.extend(made)
        rules, compiled, version = self.rules, self.rules.compiled, self.rules.version
        settled = not compiled.by_chance
        gone, withheld = rules.gone, []
        matched: list[Matched] = []
        for identity, template in made:
            if not settled or template.version != version:
                hits = compiled.hits(template.subject, identity) if template.subject else ()
                template.suffix = rules.line_end(hits)
                template.version = version
                template.gone = bool(gone and not hits and template.subject) and bool(
                    gone.hits(template.subject, identity)  # type: ignore[union-attr,arg-type]
                )
                if not self._source.reuses:
                    template.subject = None  # matched once and for all; search has its own
            if template.suffix:
                matched.append((identity, template, template.suffix))
            elif template.gone:
                withheld.append((identity, template, b""))
        if matched:
            self._hand_out(matched)
        if withheld:
            self.record.missed(NOBODY, _names(withheld), "the rule was deleted")
        if self.record.tells_hidden:
            self._tell_hidden([*matched, *withheld])

    async def pull(self, connection: Connection) -> None:
        """With rate 0: make more for a connection that has nothing left, at the pace of the slowest."""
        while self.paused or any(len(other.queue) > self._buffer // 2 for other in self.connections.values()):
            await asyncio.sleep(TICK)
            if not connection.open or self.script.armed:
                return
        if connection.open:
            self.produce(PULL)

    async def play(self) -> None:
        """Play what is due behind the client's back, and wake who has a fault to play; until cancelled."""
        while True:
            await self.script.armed_at_all()
            while armed := self.script.take(Place.WORLD):
                self._play(armed.fault)
            if self.script.due(Place.STREAM) or self.script.due(Place.CUT):
                for connection in self.connections.values():
                    connection.wake()
            await asyncio.sleep(TICK)

    def _play(self, fault: Fault) -> None:
        match fault.kind:
            case "rules-deleted":
                self.rules.delete_behind(fault["value"])
            case "rules-added":
                self.rules.add_behind(fault["value"], fault["tag"])
            case "stale-connection":
                stale = Connection(0, self.clock())
                self.stale[stale.identity] = (stale, stale.opened + timedelta(seconds=fault["seconds"]))
            case _ if self.wire.away is not None:
                self._leaving = asyncio.ensure_future(self.wire.away(fault["seconds"]))

    def occupied(self) -> int:
        """Connections that count, read or not."""
        now = self.clock()
        for identity, (_, until) in list(self.stale.items()):
            if until <= now:
                self.terminate_stale(identity)
        return len(self.connections) + len(self.stale)

    def terminate_stale(self, identity: str) -> bool:
        """End a connection that nobody reads; whether there was one."""
        found = self.stale.pop(identity, None)
        if found is None:
            return False
        found[0].closed, found[0].reason = self.clock(), "terminated"
        self.past.append(found[0])
        return True

    def connect(self) -> Connection:
        self._opened += 1
        connection = Connection(self._opened, self.clock())
        self.connections[connection.number] = connection
        self.record.opened(connection.number, connection.opened)
        return connection

    def disconnect(self, connection: Connection, reason: str) -> None:
        """End a connection; what still waits for it is lost. Once is enough, more does no harm."""
        if not connection.open:
            return
        connection.closed, connection.reason = self.clock(), reason
        del self.connections[connection.number]
        self.past.append(connection)
        self.record.missed(connection.number, _names(connection.queue), reason)
        self.record.closed(connection.number, connection.closed, reason)
        connection.queue.clear()
        connection.wake()

    def delivered(self, connection: Connection, names: list[bytes]) -> None:
        """These are on their way."""
        self.record.delivered(connection.number, names)
        self.script.posts += len(names)
        self.usage[self.clock().astimezone(UTC).strftime("%Y-%m-%dT00:00:00.000Z")] += len(names)

    def _hand_out(self, matched: list[Matched]) -> None:
        if not self.connections:
            self.record.missed(NOBODY, _names(matched), "nobody was connected")
            return
        for connection in list(self.connections.values()):
            if len(connection.queue) + len(matched) > self._buffer:
                connection.queue.extend(matched)
                self.disconnect(connection, "slow reader")
            else:
                connection.queue.extend(matched)
                connection.wake()

    def _tell_hidden(self, matched: list[Matched]) -> None:
        """Tell the record which of these posts no search brings back."""
        rules = self.rules
        hidden = []
        for identity, template, _ in matched:
            if template.hidden_version != rules.version:
                template.hidden = not rules.finds(template.search_subject, identity)
                template.hidden_version = rules.version
            if template.hidden:
                hidden.append(b"%d" % identity)
        self.record.hidden(hidden)


def _names(matched: deque[Matched] | list[Matched]) -> list[bytes]:
    return [b"%d" % identity for identity, _, _ in matched]
