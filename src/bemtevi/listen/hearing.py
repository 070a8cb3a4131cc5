"""Until when nothing is missing of a connection that stands. Pure.

Owns the estimate. A connection is looked at now and then: how much has it brought, and of what time is its
newest post? What a server still had for us when the connection ended is lost, so the estimate goes back as
far as the stream was behind, and errs to the early side. Times are seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass

MARGIN_SECONDS = 1.0
"""Posts come nearly in order."""
MOST_BEHIND_SECONDS = 3_600.0
"""Further behind is no live stream: posts of the past are replayed."""


@dataclass
class Hearing:
    """One connection, from the moment in which the server began to answer."""

    connected_at: float
    changed_at: float
    """When it was last seen to have brought something."""
    confirmed: bool = False
    """It has brought something."""
    _heard: int = 0
    _heard_at: float = 0.0
    _sampled_at: float = 0.0
    _latest: float | None = None
    _behind: float = 0.0

    @classmethod
    def of(cls, now: float) -> Hearing:
        """A connection that begins to stand."""
        return cls(now, now, _heard_at=now, _sampled_at=now)

    def sample(self, now: float, heard: int, latest: float | None) -> None:
        """Look: so much was heard so far, the newest post is of `latest`."""
        if heard != self._heard:
            self._heard = heard
            self._heard_at = self._sampled_at  # it came since then; nobody knows when
            self.changed_at = now
        if latest is not None and latest != self._latest:
            self._latest = latest
            behind = now - latest
            self._behind = behind if 0.0 <= behind < MOST_BEHIND_SECONDS else 0.0
        self._sampled_at = now

    def until(self, durable: float | None = None) -> float:
        """Nothing that was said before is missing; `durable`: what was received until then is on disk."""
        heard_at = self._heard_at if durable is None else min(self._heard_at, durable)
        return max(heard_at - self._behind - MARGIN_SECONDS, self.connected_at)
