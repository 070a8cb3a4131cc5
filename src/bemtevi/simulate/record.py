"""The ground truth: what the server handed out, what it could not, and which faults fired.

Owns: the record file. It is JSON lines, appended with one write a batch and never rewritten:

    {"event":"opened","connection":1,"at":"…"}
    {"event":"delivered","connection":1,"ids":["…",…]}      in the order of the wire
    {"event":"closed","connection":1,"at":"…","reason":"…"}
    {"event":"missed","connection":0,"reason":"…","ids":[…]}  matched while nobody was connected
    {"event":"missed","connection":1,"reason":"…","ids":[…]}  waiting for a connection that ended, or cut
    {"event":"message","connection":1,"fault":3,"at":"…","name":"…"}  a message that is no post, by its name
    {"event":"fault","fault":3,"kind":"cut","connection":1,"at":"…",…}  a fault fired
    {"event":"refused","path":"stream","status":429,"why":"…","at":"…"}  any answer but the one asked for
    {"event":"hidden","ids":[…]}                     matched, and no search for the client's rules has it

The time of a post is in its id. A post is recorded as delivered just before it goes to the socket: a client
never has a post that the record does not, but the last ones before a close may have died on the way. With
`ids_only` nothing is written about what search finds.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

NOBODY = 0


class Record:
    """Appends to the record; does nothing without a path."""

    def __init__(
        self,
        path: Path | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        ids_only: bool = False,
    ) -> None:
        self.path = path
        self.tells_hidden = path is not None and not ids_only
        self._clock = clock
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def opened(self, connection: int, at: datetime) -> None:
        self._write({"event": "opened", "connection": connection, "at": at})

    def closed(self, connection: int, at: datetime, reason: str) -> None:
        self._write({"event": "closed", "connection": connection, "at": at, "reason": reason})

    def delivered(self, connection: int, ids: Sequence[bytes]) -> None:
        self._ids(b'"delivered","connection":%d' % connection, ids)

    def missed(self, connection: int, ids: Sequence[bytes], reason: str) -> None:
        self._ids(b'"missed","connection":%d,"reason":%b' % (connection, msgspec.json.encode(reason)), ids)

    def hidden(self, ids: Sequence[bytes]) -> None:
        self._ids(b'"hidden"', ids)

    def message(self, connection: int, fault: int, name: str) -> None:
        at = self._clock()
        self._write({"event": "message", "connection": connection, "fault": fault, "at": at, "name": name})

    def fault(self, number: int, kind: str, connection: int, more: Mapping[str, Any]) -> None:
        told = {
            "event": "fault",
            "fault": number,
            "kind": kind,
            "connection": connection,
            "at": self._clock(),
        }
        self._write({**more, **told})

    def refused(self, path: str, status: int, why: str) -> None:
        self._write({"event": "refused", "path": path, "status": status, "why": why, "at": self._clock()})

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _ids(self, event: bytes, ids: Sequence[bytes]) -> None:
        if self._file is not None and ids:
            _write_all(self._file, b'{"event":%b,"ids":["%b"]}\n' % (event, b'","'.join(ids)))

    def _write(self, entry: dict[str, object]) -> None:
        if self._file is not None:
            _write_all(self._file, msgspec.json.encode(entry) + b"\n")


@dataclass(frozen=True)
class Fired:
    """A fault that fired."""

    number: int
    kind: str
    connection: int
    at: datetime
    more: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """An answer other than the one asked for."""

    path: str
    status: int
    why: str
    at: datetime


@dataclass
class Recorded:
    """A record read back."""

    opened: list[int] = field(default_factory=list)
    opened_at: dict[int, datetime] = field(default_factory=dict)
    closed: dict[int, str] = field(default_factory=dict)
    closed_at: dict[int, datetime] = field(default_factory=dict)
    delivered: dict[int, list[str]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why posts were missed, and how many."""
    messages: dict[str, datetime] = field(default_factory=dict)
    """Messages that are no posts, by name, and when each was sent."""
    faults: list[Fired] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    """Posts that no search for the client's own rules brings back."""

    @property
    def ids(self) -> list[str]:
        """Every delivered id, connection after connection."""
        return [identity for ids in self.delivered.values() for identity in ids]

    def fired(self, kind: str) -> list[Fired]:
        """The faults of a kind that fired."""
        return [fault for fault in self.faults if fault.kind == kind]


def read_record(path: Path) -> Recorded:
    """What a record says so far; a line being written is left out."""
    recorded = Recorded()
    for line in path.read_bytes().split(b"\n")[:-1]:
        _read(recorded, msgspec.json.decode(line))
    return recorded


def _read(recorded: Recorded, entry: dict[str, Any]) -> None:
    number = entry.get("connection", NOBODY)
    at = datetime.fromisoformat(entry["at"]) if "at" in entry else datetime.min.replace(tzinfo=UTC)
    match entry["event"]:
        case "opened":
            recorded.opened.append(number)
            recorded.opened_at[number] = at
        case "closed":
            recorded.closed[number] = entry["reason"]
            recorded.closed_at[number] = at
        case "delivered":
            recorded.delivered.setdefault(number, []).extend(entry["ids"])
        case "missed":
            recorded.missed.extend(entry["ids"])
            recorded.reasons[entry["reason"]] += len(entry["ids"])
        case "message":
            recorded.messages[entry["name"]] = at
        case "fault":
            recorded.faults.append(Fired(entry["fault"], entry["kind"], number, at, entry))
        case "refused":
            recorded.refused.append(Refused(entry["path"], entry["status"], entry["why"], at))
        case "hidden":
            recorded.hidden.update(entry["ids"])


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
