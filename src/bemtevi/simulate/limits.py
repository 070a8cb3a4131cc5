"""X's documented rate limits.

Owns: the windows and the `x-rate-limit-*` headers. Enforcing them is a choice of who starts the server.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from bemtevi.simulate.compliance import PATH as COMPLIANCE_PATH
from bemtevi.simulate.problems import STREAM_RULES_PATH, too_many_requests

WINDOW = 15 * 60
LIMITS: dict[tuple[str, str], int] = {
    ("GET", "/2/tweets/search/stream"): 50,
    ("GET", STREAM_RULES_PATH): 450,
    ("POST", STREAM_RULES_PATH): 100,
    ("GET", "/2/tweets/search/recent"): 450,
    ("GET", "/2/tweets/counts/recent"): 300,
    ("GET", "/2/tweets/search/all"): 300,
    ("GET", "/2/tweets/counts/all"): 300,
    ("GET", "/2/usage/tweets"): 50,
    ("DELETE", "/2/connections/all"): 25,
    ("POST", COMPLIANCE_PATH): 150,
    ("GET", COMPLIANCE_PATH): 150,
    ("GET", COMPLIANCE_PATH + "/{job}"): 150,
}
ELSE = 450


class RateLimits:
    """Requests left of each endpoint in the current window."""

    def __init__(
        self, *, enforced: bool, window: float = WINDOW, seconds: Callable[[], float] = time.time
    ) -> None:
        """`window` in seconds: a test has no quarter of an hour."""
        self._enforced = enforced
        self._window = window
        self._seconds = seconds
        self._spent: dict[tuple[str, str], tuple[int, int]] = {}

    def spend(self, method: str, path: str) -> dict[str, str]:
        """Count one request; answers the headers, or raises ProblemError when there is none left."""
        limit = LIMITS.get((method, path), ELSE)
        now = self._seconds()
        reset, spent = self._spent.get((method, path), (0, 0))
        if now >= reset:
            reset, spent = math.ceil(now + self._window), 0
        refused = self._enforced and spent >= limit
        if not refused:
            spent += 1
        self._spent[method, path] = (reset, spent)
        headers = {
            "x-rate-limit-limit": str(limit),
            "x-rate-limit-remaining": str(max(0, limit - spent)),
            "x-rate-limit-reset": str(reset),
        }
        if refused:
            raise too_many_requests(headers)
        return headers
