"""The ground truth: what the server handed out, and what it could not.

Owns: the record file. It is JSON lines, appended with one write a batch and never rewritten:

    {"event":"opened","connection":1,"at":"…"}
    {"event":"delivered","connection":1,"ids":["…",…]}      in the order of the wire
    {"event":"closed","connection":1,"at":"…","reason":"…"}
    {"event":"missed","connection":0,"ids":[…]}             matched while nobody was connected
    {"event":"missed","connection":1,"ids":[…]}             waiting for a connection that ended

A post is recorded as delivered just before it goes to the socket: a client never has a post that the record
does not, but the last ones before a close may have died on the way.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

NOBODY = 0


class Record:
    """Appends to the record; does nothing without a path."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def opened(self, connection: int, at: datetime) -> None:
        self._write({"event": "opened", "connection": connection, "at": at})

    def closed(self, connection: int, at: datetime, reason: str) -> None:
        self._write({"event": "closed", "connection": connection, "at": at, "reason": reason})

    def delivered(self, connection: int, ids: Sequence[bytes]) -> None:
        self._ids(b"delivered", connection, ids)

    def missed(self, connection: int, ids: Sequence[bytes]) -> None:
        self._ids(b"missed", connection, ids)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _ids(self, event: bytes, connection: int, ids: Sequence[bytes]) -> None:
        if self._file is not None and ids:
            line = b'{"event":"%b","connection":%d,"ids":["%b"]}\n' % (event, connection, b'","'.join(ids))
            _write_all(self._file, line)

    def _write(self, entry: dict[str, object]) -> None:
        if self._file is not None:
            _write_all(self._file, msgspec.json.encode(entry) + b"\n")


@dataclass
class Recorded:
    """A record read back."""

    opened: list[int] = field(default_factory=list)
    closed: dict[int, str] = field(default_factory=dict)
    delivered: dict[int, list[str]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Every delivered id, connection after connection."""
        return [identity for ids in self.delivered.values() for identity in ids]


def read_record(path: Path) -> Recorded:
    """What a record says so far; a line being written is left out."""
    recorded = Recorded()
    for line in path.read_bytes().split(b"\n")[:-1]:
        entry = msgspec.json.decode(line)
        number = entry["connection"]
        if entry["event"] == "opened":
            recorded.opened.append(number)
        elif entry["event"] == "closed":
            recorded.closed[number] = entry["reason"]
        elif entry["event"] == "delivered":
            recorded.delivered.setdefault(number, []).extend(entry["ids"])
        else:
            recorded.missed.extend(entry["ids"])
    return recorded


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
