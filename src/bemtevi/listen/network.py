"""The contract of a live network: what a new one must answer.

Owns the shape of an ended connection (`Outcome`). A network connects once and says how that ended; when to
connect again is the supervisor's business, where the messages go the journal's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bemtevi.lake.gap import Cause
from bemtevi.lake.track import TrackedRule
from bemtevi.listen.intake import Intake
from bemtevi.listen.message import Origin


class End(StrEnum):
    """Why a connection ended, by what must be done about it."""

    STOPPED = "stopped"
    CLOSED = "closed"
    """It stood and was closed, or broke: try again at once."""
    DISCONNECTED = "disconnected"
    """The network ended it and said so: try again at once."""
    SLOW_READER = "slow reader"
    """The network ended it, because we were too slow."""
    SILENT = "silent"
    """It stood and brought nothing, not even a sign of life."""
    UNREACHABLE = "unreachable"
    """TCP, TLS or DNS: try again soon."""
    SERVER_ERROR = "server error"
    FOREIGN = "foreign answer"
    """Something answered that is not the network: a proxy, a portal."""
    RATE_LIMITED = "rate limited"
    USAGE_CAPPED = "usage cap"
    """All that may be read in a day or month has been read."""
    NO_CREDITS = "no credits"
    TOO_MANY_CONNECTIONS = "too many connections"
    NO_RULES = "no rules"
    """The server has none of our rules, or one that it does not take: give them again."""
    REFUSED = "refused"
    """The token is wrong or may not do this: only a person can help."""


CAUSES = {
    End.STOPPED: Cause.STOPPED,
    End.CLOSED: Cause.DISCONNECTED,
    End.DISCONNECTED: Cause.DISCONNECTED,
    End.SLOW_READER: Cause.SLOW_READER,
    End.SILENT: Cause.SILENCE,
    End.UNREACHABLE: Cause.UNREACHABLE,
    End.SERVER_ERROR: Cause.SERVER_ERROR,
    End.FOREIGN: Cause.SERVER_ERROR,
    End.RATE_LIMITED: Cause.RATE_LIMITED,
    End.USAGE_CAPPED: Cause.USAGE_CAP,
    End.NO_CREDITS: Cause.USAGE_CAP,
    End.TOO_MANY_CONNECTIONS: Cause.TOO_MANY_CONNECTIONS,
    End.NO_RULES: Cause.NO_RULES,
    End.REFUSED: Cause.REFUSED,
}
"""What the ledger of gaps calls each."""


@dataclass(frozen=True)
class Outcome:
    """How a connection ended."""

    end: End
    detail: str = ""
    """In one line; no text of a post."""
    messages: int = 0
    retry_at: float | None = None
    """In seconds since 1970, if the server named a time."""
    reached: bool = True
    """The server has seen the attempt, and may count it."""
    for_good: bool = False
    """Trying again would not help: a person must."""


@dataclass(frozen=True)
class Refusal:
    """A rule that the network does not take, and why, in a clause."""

    value: str
    reason: str
    is_duplicate: bool = False


@dataclass(frozen=True)
class SyncResult:
    """What was changed so that the network follows our rules."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    foreign: int = 0
    """Rules on the server that are not ours; their posts come too."""
    refused: tuple[Refusal, ...] = ()
    active: int = 0
    """Rules of our list that the server follows now."""
    reformed: tuple[str, ...] = ()
    """Rules that the server had and has in another form now, for another share of their matches."""
    percents: Mapping[str, int] = field(default_factory=dict)
    """The share of its matches that each rule asks for, by tag."""


class Network(Protocol):
    """A network that delivers posts on a live connection."""

    name: str

    def origin(self, session: str) -> Origin:
        """Where the messages of a connection come from."""
        ...

    def sync(
        self,
        rules: list[TrackedRule],
        percent: int = 100,
        giving: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> SyncResult:
        """Make the server follow just these rules of ours, each for `percent` of its matches.

        Calls `giving` with the values that the server lacks, before it is given any.
        Repeating it changes nothing. A rule that the network refuses stops none of the others. Raises
        MissingCredentialError or NetworkError.
        """
        ...

    def connect(self, intake: Intake, connected: Callable[[], None]) -> Outcome:
        """Connect and put every message into the intake until the connection ends. Never raises for what a
        network does. Calls `connected` once the server has begun to answer with its stream."""
        ...

    def heard(self) -> int:
        """Messages and signs of life of the present connection. From any thread."""
        ...

    def latest(self) -> float | None:
        """The time in the newest post of the present connection, in seconds since 1970. From any thread."""
        ...

    def free(self, connects: Sequence[float]) -> int:
        """End connections of ours that the server still counts, known by the times of our connects (seconds
        since 1970); how many. Raises NetworkError or MissingCredentialError."""
        ...

    def drop(self) -> None:
        """End the current connection now, because it is silent. From any thread."""
        ...

    def stop(self) -> None:
        """End the current connection now and make no other. From any thread."""
        ...
