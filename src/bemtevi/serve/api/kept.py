"""Answers that are known already, and those that are just being worked out.

Owns the cache by digest of question and snapshot, bounded in bytes, and that a question which many ask at
once is worked out once. Leaves to `answering` what a digest holds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

from starlette.responses import Response

from bemtevi.errors import BemteviError

MOST_BYTES = 64 * 1024 * 1024


class BusyError(BemteviError):
    """Too many questions at once."""


class KeptAnswers:
    """The last answers. For many threads."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long to wait for who works an answer out."""
        self._seconds = seconds
        self._answers: OrderedDict[str, Response] = OrderedDict()
        self._bytes = 0
        self._working: dict[str, Future[Response]] = {}
        self._lock = threading.Lock()

    def known(self, digest: str) -> Response | None:
        """The answer of a digest, if it is here."""
        with self._lock:
            found = self._answers.get(digest)
            if found is None:
                return None
            self._answers.move_to_end(digest)
        return _fresh(found)

    def get(self, digest: str, work_out: Callable[[], Response]) -> Response:
        """The answer of a digest, which one thread works out; the others wait for it, and for its failure."""
        with self._lock:
            known = self._answers.get(digest)
            if known is not None:
                self._answers.move_to_end(digest)
                return _fresh(known)
            waited = self._working.get(digest)
            own = self._working.setdefault(digest, Future()) if waited is None else None
        if waited is not None:
            try:
                return _fresh(waited.result(self._seconds))
            except TimeoutError:
                raise BusyError("Too many questions at once: try again in a moment.") from None
        assert own is not None  # noqa: S101
        try:
            made = work_out()
        except BaseException as error:
            self._end(digest)
            own.set_exception(error)
            raise
        if made.status_code == 200 and "etag" in made.headers:
            self._keep(made.headers["etag"].strip('"'), made)
        self._end(digest)
        own.set_result(made)
        return _fresh(made)

    def _end(self, digest: str) -> None:
        with self._lock:
            del self._working[digest]

    def _keep(self, digest: str, response: Response) -> None:
        """Under the digest that it has: while it was worked out, newer posts may have come."""
        size = len(response.body)
        if size > MOST_BYTES // 8:
            return
        with self._lock:
            old = self._answers.pop(digest, None)
            self._bytes += size - (len(old.body) if old is not None else 0)
            self._answers[digest] = response
            while self._bytes > MOST_BYTES:
                _, gone = self._answers.popitem(last=False)
                self._bytes -= len(gone.body)


def _fresh(response: Response) -> Response:
    """The same response anew: what sends it changes its headers."""
    return Response(response.body, response.status_code, dict(response.headers), response.media_type)
