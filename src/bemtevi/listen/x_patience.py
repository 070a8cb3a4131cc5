"""Calls to X that wait as long as X wants, and end at once when somebody says stop.

Owns the pace of calls outside the stream: the room that the rate limits leave, the waits after a refusal that
may pass, and the stop while an answer is waited for. Leaves to the callers what is asked. Source: docs.x.com,
fundamentals, rate limits. One thread at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from bemtevi.errors import NetworkError
from bemtevi.listen.x_client import Answer, RateLimit, XClient, XRefusalError

log = structlog.get_logger()

Given = TypeVar("Given")

TRIES = 5
RETRY_SECONDS = 5.0
LONGEST_WAIT = 16 * 60.0
STOP_LOOK_SECONDS = 0.1
"""How often who waits for an answer looks whether to stop."""


class StoppedError(Exception):
    """Somebody said stop while we waited for X."""


class Patience:
    """Asks X with one token, with as many waits as X wants."""

    def __init__(
        self,
        token: str,
        api_url: str,
        stop: threading.Event | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`stop` may be replaced later: whoever waits looks at the one that is there."""
        self._token = token
        self._api_url = api_url
        self.stop = stop or threading.Event()
        self._wall = wall
        self._limits: dict[str, RateLimit] = {}

    def ask(self, endpoint: str, call: Callable[[XClient], Answer]) -> Answer:
        """The answer to one call; `endpoint` is what X counts it under.

        Raises MissingCredentialError, NetworkError (also when X lets us ask no more) or StoppedError.
        """
        tries = 0
        while True:
            self._wait_for_room(endpoint)
            try:
                answer = self.unless_stopped(lambda: self._called(call))
            except XRefusalError as error:
                self._limits[endpoint] = error.limit
                tries += 1
                if not may_help(error) or tries >= TRIES:
                    raise
                wait = self._until_reset(error) or RETRY_SECONDS * 2 ** (tries - 1)
                log.info("x.waiting", status=error.status, seconds=round(wait))
                self.pause(wait)
            except NetworkError:
                tries += 1
                if tries >= TRIES:
                    raise
                self.pause(0.25 * tries)
            else:
                self._limits[endpoint] = answer.limit
                return answer

    def unless_stopped(self, call: Callable[[], Given]) -> Given:
        """What a call gives. Who is told to stop does not wait: its thread ends with it, or with us."""
        came: list[Given] = []
        failed: list[Exception] = []

        def work() -> None:
            try:
                came.append(call())
            except Exception as error:  # noqa: BLE001  raised again where it is waited for
                failed.append(error)

        calling = threading.Thread(target=work, name="asking-x", daemon=True)
        calling.start()
        while calling.is_alive():
            calling.join(STOP_LOOK_SECONDS)
            if self.stop.is_set():
                raise StoppedError
        if failed:
            raise failed[0]
        return came[0]

    def pause(self, seconds: float) -> None:
        """Wait. Raises StoppedError."""
        if self.stop.wait(seconds):
            raise StoppedError

    def _called(self, call: Callable[[XClient], Answer]) -> Answer:
        with XClient(self._token, self._api_url) as client:
            return call(client)

    def _wait_for_room(self, endpoint: str) -> None:
        """Wait until X lets us ask."""
        limit = self._limits.get(endpoint)
        if limit is not None and limit.remaining == 0 and limit.reset_at is not None:
            self.pause(min(max(limit.reset_at - self._wall() + 1.0, 0.0), LONGEST_WAIT))
        if self.stop.is_set():
            raise StoppedError

    def _until_reset(self, error: XRefusalError) -> float | None:
        """For a rate limit: seconds until it ends."""
        if error.status != 429:
            return None
        if error.limit.reset_at is None:
            return 60.0
        return min(max(error.limit.reset_at - self._wall() + 1.0, 1.0), LONGEST_WAIT)


def may_help(error: XRefusalError) -> bool:
    """Whether asking again may bring another answer."""
    if error.problem.kind in ("usage-capped", "credits") or error.problem.title == "CreditsDepleted":
        return False
    return error.status == 429 or error.status >= 500
