"""`bemtevi listen`, killed at random instants and at each crash point, against the record of a simulated X.

X never sends again, so what a killed listener had not yet made durable is gone: bytes in the socket, and
messages that waited for the journal's fsync. That tail is in flight, not lost. What may never happen, on any
connection:

- layer 1 has anything but a prefix of what was delivered, or has a message twice;
- a message is missing that the listener had said was durable;
- at a pace it can keep, a message is missing that was delivered more than a second before the kill.
"""

from __future__ import annotations

import json
import random
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from tests.recovery.killing import Place, Process, Simulator, instant, tally, wait_until

from bemtevi.simulate import read_record

PACE = 2_000.0
SETTLED_SECONDS = 1.0
STOP_SECONDS = 2.0
LAST_BYTES = 1 << 18
DELIVERED = re.compile(rb'"event":"delivered","connection":(\d+)')


@dataclass
class Heard:
    """One run of the listener that got a connection."""

    connection: int
    durable: dict[str, int]
    """Messages that it said were durable, by session."""
    settled: int
    """Messages that had been delivered a second before it was killed; 0 if nothing is promised."""


class Listening:
    """A lake that listens to a simulator, and what is known of each run."""

    def __init__(self, folder: Path, simulator: Simulator, record: Path) -> None:
        self.record = record
        self.heard: list[Heard] = []
        self.place = Place(
            folder,
            x_api_url=simulator.url,
            x_bearer_token="any",  # noqa: S106
            fsync_seconds=0.2,
            segment_seconds=0.4,
            segment_bytes=1 << 20,
            fill_gaps="false",  # the account is of the stream; kills while filling are test_fill's
        )
        self.place.run("track", "#covid19", "#vacina")

    def start(self, *, crash_at: str | None = None) -> Process:
        return self.place.start("--verbose", "--log-json", "listen", crash_at=crash_at)

    def kill(self, seconds: float, *, paced: bool) -> bool:
        """Listen, and kill it so long after the first posts of its connection; whether it was at work."""
        before = self.begun()
        process = self.start()
        try:
            wait_until(lambda: self.begun() > before or not process.running, "posts are delivered")
            assert process.running, process.text()
            sizes: list[tuple[float, int]] = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                sizes.append((time.monotonic(), self.record.stat().st_size))
                time.sleep(0.01)
            killed_at = time.monotonic()
            at_work = not self._closed(self.begun())
            killed = process.kill()
        finally:
            process.end()
        if not (at_work and killed):
            return False
        connection = self.begun()
        settled = max((size for at, size in sizes if at < killed_at - SETTLED_SECONDS), default=0)
        self.heard.append(
            Heard(connection, durable(process), self._delivered(settled, connection) if paced else 0)
        )
        return True

    def interrupt(self, seconds: float) -> tuple[float, dict[str, int]]:
        """Listen and press Ctrl-C; seconds until it ended, and what it said at the end."""
        before = self.begun()
        process = self.start()
        try:
            wait_until(lambda: self.begun() > before or not process.running, "posts are delivered")
            time.sleep(seconds)
            process.interrupt()
            pressed = time.monotonic()
            code = process.wait()
            took = time.monotonic() - pressed
        finally:
            process.end()
        assert code == 0, process.text()
        (last,) = [entry for entry in said(process) if entry["event"] == "listener.stopped"]
        self.heard.append(Heard(self.begun(), durable(process), 0))
        return took, {name: int(last[name]) for name in ("read", "acknowledged")}

    def begun(self) -> int:
        """The last connection on which something was delivered."""
        if not self.record.exists():
            return 0
        size = self.record.stat().st_size
        with self.record.open("rb") as file:
            file.seek(max(0, size - LAST_BYTES))
            found = DELIVERED.findall(file.read())
        return int(found[-1]) if found else 0

    def _closed(self, connection: int) -> bool:
        return b'"closed","connection":%d,' % connection in self.record.read_bytes()

    def _delivered(self, size: int, connection: int) -> int:
        """Messages of a connection in the first bytes of the record."""
        with self.record.open("rb") as file:
            lines = file.read(size).split(b"\n")[:-1]
        entries = [json.loads(line) for line in lines]
        return sum(
            len(entry["ids"])
            for entry in entries
            if entry["event"] == "delivered" and entry["connection"] == connection
        )

    def drain(self) -> None:
        """Bring what waits in the journal to layer 1: the next start does it, also without a new post."""
        with Simulator(self.place, self.place.folder / "quiet.jsonl", rate=0, limit=0) as quiet:
            self.place.settings["x_api_url"] = quiet.url
            process = self.start()
            try:
                wait_until(
                    lambda: (
                        ("listener.connecting" in process.text() and not self.waiting())
                        or not process.running
                    ),
                    "the journal is empty",
                )
                process.interrupt()
                assert process.wait() == 0, process.text()
            finally:
                process.end()
        assert not self.waiting(), "segments stay in the journal"

    def waiting(self) -> list[Path]:
        folder = self.place.journal / "x"
        return [*folder.glob("*.segment"), *folder.glob("*.open")]

    def verify(self, work: str) -> dict[int, int]:
        """Compare layer 1 with the record; messages of each connection that are stored."""
        told = tally(work)
        delivered = read_record(self.record).delivered
        sessions = stored(self.place)
        keys = [key for rows in sessions.values() for _, key in rows]
        told.delivered += sum(map(len, delivered.values()))
        told.stored += len(set(keys))
        told.doubled += len(keys) - len(set(keys))
        assert len(keys) == len(set(keys)), "a post is doubled"
        found: dict[int, int] = {}
        of_session: dict[str, int] = {}
        owner = {ids[0]: connection for connection, ids in delivered.items()}
        for session, rows in sessions.items():
            told.doubled += len(rows) - len({sequence for sequence, _ in rows})
            assert [sequence for sequence, _ in rows] == list(range(len(rows))), "the sequence has holes"
            connection = owner[rows[0][1]]
            assert connection not in found, "two sessions have the same connection"
            found[connection] = of_session[session] = len(rows)
            assert [key for _, key in rows] == delivered[connection][: len(rows)], "no prefix"
        tails = []
        for heard in self.heard:
            have = found.get(heard.connection, 0)
            tails.append(len(delivered[heard.connection]) - have)
            for session, upto in heard.durable.items():
                told.lost += max(0, upto - of_session.get(session, 0))
                assert of_session.get(session, 0) >= upto, "what was durable is lost"
            told.lost += max(0, heard.settled - have)
            assert have >= heard.settled, f"{heard.settled} delivered a second before the kill, {have} kept"
        told.in_flight += sum(tails)
        told.remarks.append(
            f"in flight at the end of a connection: at most {max(tails)}, on average "
            f"{sum(tails) / len(tails):.0f}; delivered more than a second before a kill: "
            f"{sum(heard.settled for heard in self.heard)}"
        )
        return found


def said(process: Process) -> list[dict[str, str | int]]:
    """The log of a process; the line being written when it was killed is left out."""
    lines = [line for line in process.text().split("\n")[:-1] if line.startswith("{")]
    return [json.loads(line) for line in lines]


def durable(process: Process) -> dict[str, int]:
    """How many messages of each session it said were durable."""
    return {
        str(entry["session"]): int(entry["upto"])
        for entry in said(process)
        if entry["event"] == "journal.durable"
    }


def stored(place: Place) -> dict[str, list[tuple[int, str]]]:
    """Sequence and post of each session in raw, in order."""
    reader = DeltaTable(place.lake / "layer1" / "raw").scan(["session", "sequence", "key"])
    rows = pa.RecordBatchReader.from_stream(reader).read_all()
    sessions: dict[str, list[tuple[int, str]]] = {}
    for row in rows.to_pylist():
        sessions.setdefault(row["session"], []).append((row["sequence"], row["key"]))
    return {session: sorted(pairs) for session, pairs in sessions.items()}


def killed_often(folder: Path, chance: random.Random, kills: int, rate: float, work: str) -> None:
    record = folder / "record.jsonl"
    with Simulator(Place(folder), record, rate=rate) as simulator:
        listening = Listening(folder, simulator, record)
        done = 0
        while done < kills:
            done += listening.kill(instant(chance, 2.5), paced=rate > 0)
        tally(work).kills += done
        listening.drain()
        listening.verify(work)


def test_killed_listener(tmp_path: Path, chance: random.Random) -> None:
    killed_often(tmp_path, chance, 3, PACE, "listen (short)")


@pytest.mark.heavy
def test_listener_killed_many_times(tmp_path: Path, chance: random.Random) -> None:
    killed_often(tmp_path, chance, 17, PACE, "listen")


@pytest.mark.heavy
def test_listener_killed_at_full_speed(tmp_path: Path, chance: random.Random) -> None:
    killed_often(tmp_path, chance, 4, 0, "listen, at full speed")


POINTS = [
    *("journal.fsynced", "journal.fsynced:4", "journal.sealed", "journal.sealed:3"),
    *("raw.committing", "raw.committed", "raw.committed:3"),
    *("writer.dropping", "writer.dropping:3", "writer.dropped", "writer.dropped:3"),
]


def crashed(folder: Path, points: list[str], work: str) -> None:
    record = folder / "record.jsonl"
    with Simulator(Place(folder), record, rate=PACE) as simulator:
        listening = Listening(folder, simulator, record)
        for point in points:
            process = listening.start(crash_at=point)
            code = process.wait()
            assert code == -9, f"{point} was not reached: {process.text()}"
            listening.heard.append(Heard(listening.begun(), durable(process), 0))
        tally(work).kills += len(points)
        listening.drain()
        listening.verify(work)


def test_listener_killed_before_it_drops_a_segment(tmp_path: Path) -> None:
    crashed(tmp_path, ["writer.dropping"], "listen, a crash point (short)")


@pytest.mark.heavy
def test_listener_killed_at_each_crash_point(tmp_path: Path) -> None:
    crashed(tmp_path, POINTS, "listen, crash points")


@pytest.mark.parametrize("rate", [PACE, pytest.param(0.0, marks=pytest.mark.heavy)])
def test_ctrl_c_loses_nothing_that_was_read(tmp_path: Path, chance: random.Random, rate: float) -> None:
    record = tmp_path / "record.jsonl"
    work = f"listen, Ctrl-C at {rate:g}/s" if rate else "listen, Ctrl-C at full speed"
    with Simulator(Place(tmp_path), record, rate=rate) as simulator:
        listening = Listening(tmp_path, simulator, record)
        read: list[int] = []
        times: list[float] = []
        for _ in range(3):
            took, counts = listening.interrupt(chance.uniform(0, 2.5))
            times.append(took)
            assert counts["read"] == counts["acknowledged"], "read, and not made durable"
            read.append(counts["read"])
        connections = [heard.connection for heard in listening.heard]
        listening.drain()
        found = listening.verify(work)
    tally(work).remarks.append(f"Ctrl-C: ended after {', '.join(f'{took:.2f}' for took in times)} s")
    assert [found[connection] for connection in connections] == read
    assert max(times) < STOP_SECONDS


def test_ctrl_c_in_silence_keeps_all_that_was_delivered(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with Simulator(Place(tmp_path), record, rate=0, limit=40_000) as simulator:
        listening = Listening(tmp_path, simulator, record)
        took, counts = listening.interrupt(3.5)
        delivered = read_record(record).delivered
        assert counts["read"] == sum(map(len, delivered.values())) > 20_000
        if listening.waiting():  # a busy machine: what layer 1 had no time for comes at the next start
            listening.drain()
        assert {len(rows) for rows in stored(listening.place).values()} == {counts["read"]}
    assert took < STOP_SECONDS
