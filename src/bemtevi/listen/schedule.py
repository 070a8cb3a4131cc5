"""When to connect again. Pure: the past in, seconds out.

Owns X's documented schedule (docs.x.com, filtered-stream, handling disconnections): at once after a
connection that stood; network errors +250 ms up to 16 s; HTTP errors 5 s doubling to 320 s; 429 from 60 s
doubling, or until the time that the server names; and never more than 50 connects in 15 minutes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from bemtevi.listen.network import End, Outcome

CONNECTS = 50
WINDOW_SECONDS = 15 * 60.0
STOOD_SECONDS = 60.0
"""A connection that lasted so long stood, though a quiet hashtag gave it no message."""


@dataclass
class Schedule:
    """The state between connects. Times are seconds on one steady clock, but `wall` is since 1970."""

    _failures: int = 0
    _last: End | None = None
    _connects: deque[float] = field(default_factory=lambda: deque(maxlen=CONNECTS))

    def connected(self, now: float) -> None:
        """A connect was made, whatever came of it."""
        self._connects.append(now)

    def wait(self, outcome: Outcome, now: float, wall: float) -> float:
        """Seconds to wait before the next connect after `outcome`."""
        lasted = now - self._connects[-1] if self._connects else 0.0
        if outcome.messages or lasted >= STOOD_SECONDS or outcome.end is not self._last:
            self._failures = 0
        self._last = outcome.end
        wait = self._by_kind(outcome, wall)
        self._failures += 1
        if len(self._connects) == CONNECTS:
            wait = max(wait, self._connects[0] + WINDOW_SECONDS - now)
        return max(wait, 0.0)

    def _by_kind(self, outcome: Outcome, wall: float) -> float:
        match outcome.end:
            case End.CLOSED | End.NO_RULES if self._failures == 0:
                return 0.0
            case End.CLOSED | End.NO_RULES:
                return min(1.0 * 2.0 ** (self._failures - 1), 20.0)  # accepts and closes: damp it
            case End.UNREACHABLE:
                return min(0.25 * (self._failures + 1), 16.0)
            case End.SERVER_ERROR:
                return min(5.0 * 2.0**self._failures, 320.0)
            case End.RATE_LIMITED if outcome.retry_at is not None and self._failures == 0:
                # X's windows last 15 minutes: a later time is a clock's error, his or ours
                return min(max(outcome.retry_at - wall, 1.0), WINDOW_SECONDS)
            case End.RATE_LIMITED:
                return min(60.0 * 2.0**self._failures, WINDOW_SECONDS)
            case _:
                return 0.0
