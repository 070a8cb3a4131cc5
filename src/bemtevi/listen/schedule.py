"""When to connect again. Pure: the past in, seconds out.

Owns X's documented schedule (docs.x.com, filtered-stream, handling disconnections): at once after a
connection that stood; network errors +250 ms up to 16 s; HTTP errors 5 s doubling to 320 s; 429 from 60 s
doubling, or until the time that the server names; and never more than 50 connects in 15 minutes, also over
restarts. Retry libraries know one schedule a call; here each class of failure has its own, one outlives the
process, and the wait must end when somebody says stop: so it is a function.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from bemtevi.listen.network import End, Outcome

CONNECTS = 50
WINDOW_SECONDS = 15 * 60.0
MARGIN_SECONDS = 1.0
"""Added to the window: two connects may arrive nearer to each other than they were made."""
STOOD_SECONDS = 60.0
"""A connection that lasted so long stood, though a quiet hashtag gave it no message."""
HTTP_SECONDS = 5.0
JITTER = 0.1
"""At most this share is added to a wait, so that those whom one failure cut off do not come back at once."""
DAY_SECONDS = 86_400.0
CAP_SECONDS = 3_600.0
"""A cap of the day is looked at again at midnight UTC, and each hour: a person may have raised it."""
FREED_SECONDS = 1.0
"""After connections of ours were ended that stood in the way."""

AT_ONCE_CONNECTS = 10
AT_ONCE = frozenset({End.CLOSED, End.DISCONNECTED, End.SLOW_READER, End.SILENT, End.NO_RULES})


@dataclass
class Schedule:
    """The state between connects. Times are seconds on one steady clock, but `wall` is since 1970."""

    chance: random.Random | None = None
    """Gives the jitter; none without it."""
    _failures: int = 0
    _last: End | None = None
    _connects: deque[float] = field(default_factory=lambda: deque(maxlen=CONNECTS))

    def remember(self, times: Iterable[float]) -> None:
        """Count connects of a former process, at these times of the steady clock (before its zero, too)."""
        self._connects.extend(sorted(times))

    def connected(self, now: float) -> None:
        """A connect is made, whatever comes of it."""
        self._connects.append(now)

    def must_wait(self, now: float) -> float:
        """Seconds until another connect is allowed.

        The first of a window come at once; the rest are spread over what is left of it, so that a server that
        accepts and closes finds us back every 20 s and not after a pause of a quarter of an hour.
        """
        while self._connects and self._connects[0] <= now - WINDOW_SECONDS - MARGIN_SECONDS:
            self._connects.popleft()
        left = CONNECTS - len(self._connects)
        if left > CONNECTS - AT_ONCE_CONNECTS:
            return 0.0
        free_at = self._connects[0] + WINDOW_SECONDS + MARGIN_SECONDS
        if left <= 0:
            return free_at - now
        return max(self._connects[-1] + (free_at - self._connects[-1]) / (left + 1) - now, 0.0)

    def wait(self, outcome: Outcome, now: float, wall: float, *, freed: bool = False) -> float:
        """Seconds to wait before the next connect after `outcome`. `freed`: what stood in the way is gone."""
        lasted = now - self._connects[-1] if self._connects else 0.0
        if outcome.messages or lasted >= STOOD_SECONDS or outcome.end is not self._last:
            self._failures = 0
        self._last = outcome.end
        wait = FREED_SECONDS if freed and self._failures == 0 else self._by_kind(outcome, wall)
        self._failures += 1
        if not outcome.reached and self._connects:
            self._connects.pop()  # the server has not seen it
        if self.chance is not None:
            wait *= 1.0 + JITTER * self.chance.random()
        return max(wait, self.must_wait(now), 0.0)

    def _by_kind(self, outcome: Outcome, wall: float) -> float:
        match outcome.end:
            case end if end in AT_ONCE and self._failures == 0:
                return 0.0
            case end if end in AT_ONCE:
                return min(1.0 * 2.0 ** (self._failures - 1), 20.0)  # accepts and closes: damp it
            case End.UNREACHABLE:
                return min(0.25 * (self._failures + 1), 16.0)
            case End.SERVER_ERROR | End.FOREIGN | End.TOO_MANY_CONNECTIONS:
                return min(HTTP_SECONDS * 2.0**self._failures, 64 * HTTP_SECONDS)
            case End.RATE_LIMITED if outcome.retry_at is not None and self._failures == 0:
                # X's windows last 15 minutes: a later time is a clock's error, his or ours
                return min(max(outcome.retry_at - wall, 1.0), WINDOW_SECONDS)
            case End.RATE_LIMITED:
                return min(60.0 * 2.0**self._failures, WINDOW_SECONDS)
            case End.USAGE_CAPPED:
                return min(DAY_SECONDS - wall % DAY_SECONDS + 1.0, CAP_SECONDS)
            case _:
                return 0.0
