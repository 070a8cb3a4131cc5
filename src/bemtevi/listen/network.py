"""The contract of a live network: what a new one must answer.

Owns the shape of an ended connection (`Outcome`). A network connects once and says how that ended; when to
connect again is the supervisor's business, where the messages go the journal's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bemtevi.lake.track import TrackedRule
from bemtevi.listen.intake import Intake
from bemtevi.listen.message import Origin


class End(StrEnum):
    """Why a connection ended, by what must be done about it."""

    STOPPED = "stopped"
    CLOSED = "closed"
    """It stood and was closed: try again at once."""
    UNREACHABLE = "unreachable"
    """TCP, TLS or DNS: try again soon."""
    SERVER_ERROR = "server error"
    RATE_LIMITED = "rate limited"
    NO_RULES = "no rules"
    """The server has none of our rules: give them again."""
    REFUSED = "refused"
    """The token is wrong or may not do this: only a person can help."""


@dataclass(frozen=True)
class Outcome:
    """How a connection ended. `retry_at` is in seconds since 1970, if the server named a time."""

    end: End
    detail: str = ""
    messages: int = 0
    retry_at: float | None = None


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


class Network(Protocol):
    """A network that delivers posts on a live connection."""

    name: str

    def origin(self, session: str) -> Origin:
        """Where the messages of a connection come from."""
        ...

    def sync(self, rules: list[TrackedRule], percent: int = 100) -> SyncResult:
        """Make the server follow just these rules of ours, each for `percent` of its matches.

        Repeating it changes nothing. A rule that the network refuses stops none of the others. Raises
        MissingCredentialError or NetworkError.
        """
        ...

    def connect(self, intake: Intake) -> Outcome:
        """Connect and put every message into the intake until the connection ends. Never raises for what a
        network does."""
        ...

    def stop(self) -> None:
        """End the current connection now, from any thread."""
        ...
