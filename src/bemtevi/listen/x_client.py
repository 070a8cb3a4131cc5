"""X's REST calls: every call but the stream itself.

Owns how a call is made (token, host, version, timeouts) and what an answer is: body, rate limit, X's clock;
or a refusal with what X said in its body. Leaves to the callers which calls are made, and when one is tried
again. Source: docs.x.com, x-api/fundamentals: rate limits, response codes and errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import msgspec
import requests
from requests.auth import AuthBase

from bemtevi import __version__
from bemtevi.errors import MissingCredentialError, NetworkError

USER_AGENT = f"bemtevi/{__version__}"
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
MOST_BYTES = 64 * 1024 * 1024
"""No answer of X is so large; a proxy's might be without end."""

PROBLEM_NAMES = ("title", "detail", "connection_issue", "period", "scope", "reason", "disconnect_type")
WHOLE_NUMBER = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class RateLimit:
    """The window of one endpoint: calls allowed, calls left, and when it begins again (since 1970, s)."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: float | None = None


@dataclass(frozen=True)
class Problem:
    """What the body of a refusal says. All empty if it is no JSON: a proxy's page.

    `kind` is what follows `/problems/` in its type: the host before it differs from answer to answer.
    """

    kind: str = ""
    title: str = ""
    detail: str = ""
    connection_issue: str = ""
    period: str = ""
    scope: str = ""
    reason: str = ""
    disconnect_type: str = ""
    has_data: bool = False
    """Beside it stand data: a part of an answer is missing, not all of it."""

    @property
    def sentence(self) -> str:
        """The most that it says, in X's words."""
        return self.detail or self.title


@dataclass(frozen=True)
class Answer:
    """A call that went well."""

    body: dict[str, Any]
    limit: RateLimit
    at: datetime | None
    """X's clock when it answered, to the second."""
    content: bytes = b""
    """The body, byte for byte."""


class XRefusalError(NetworkError):
    """X answered with an error; the token is not what it is about."""

    def __init__(
        self, sentence: str, status: int, problem: Problem, limit: RateLimit, body: dict[str, Any]
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.body = body
        self.problem = problem
        self.limit = limit


class XClient:
    """Calls to X with one token. Close it, or use it as a context manager. For one thread at a time."""

    def __init__(self, token: str, api_url: str) -> None:
        self.api_url = api_url
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT
        # as authentication, not as a header: a person's .netrc would replace that
        self._session.auth = _Bearer(token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def get(self, path: str, **parameters: str | int) -> Answer:
        """Ask. Raises MissingCredentialError (401, 403), XRefusalError or NetworkError."""
        return self._call("GET", path, None, parameters)

    def post(self, path: str, body: Mapping[str, Any], **parameters: str | int) -> Answer:
        """Change something. Raises as `get`."""
        return self._call("POST", path, body, parameters)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Remove something. Raises as `get`."""
        return self._call("DELETE", path, body, {})

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, parameters: Mapping[str, str | int]
    ) -> Answer:
        try:
            with self._session.request(
                method,
                self.api_url + path,
                params=dict(parameters),
                data=None if body is None else msgspec.json.encode(body),
                headers={} if body is None else {"Content-Type": "application/json"},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=True,
                allow_redirects=False,  # a redirect would carry the token to somebody else
            ) as response:
                content = _content(response)
        except (requests.RequestException, OSError) as error:
            raise NetworkError(
                f"X at {self.api_url} cannot be reached ({type(error).__name__}): check the network and "
                "BEMTEVI_X_API_URL."
            ) from None
        headers, status = response.headers, response.status_code
        limit = rate_limit(headers)
        if not response.ok or 300 <= status < 400:
            raise _refusal(self.api_url, path, status, content, limit)
        decoded = _decoded(content)
        if decoded is None:
            raise NetworkError(
                f"What answers at {self.api_url} does not speak X (no JSON object at {path}): check "
                "BEMTEVI_X_API_URL."
            )
        return Answer(decoded, limit, _clock(headers.get("Date", "")), content)


class _Bearer(AuthBase):
    """The token in each request."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def rate_limit(headers: Mapping[str, str]) -> RateLimit:
    """What the `x-rate-limit-*` headers say; their names may be in any case."""
    named = {name.lower(): value for name, value in headers.items()}
    limit, remaining, reset = (
        int(value) if WHOLE_NUMBER.fullmatch(value := named.get(f"x-rate-limit-{name}", "")) else None
        for name in ("limit", "remaining", "reset")
    )
    return RateLimit(limit, remaining, None if reset is None else float(reset))


def problem(content: bytes) -> Problem:
    """What the body of a refusal says. Pure; takes any bytes."""
    value = _decoded(content)
    if value is None:
        return Problem()
    told = value
    errors = value.get("errors")
    if "type" not in value and isinstance(errors, list) and errors and isinstance(errors[0], dict):
        told = errors[0]  # a disconnect within the stream tells it inside
    words = {name: str(told.get(name) or "") for name in PROBLEM_NAMES}
    kind = str(told.get("type") or "")
    kind = kind.rpartition("/problems/")[2] if "/problems/" in kind else ""
    return Problem(kind, **words, has_data="data" in value)


def _decoded(content: bytes) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _content(response: requests.Response) -> bytes:
    """The body, but not one without end."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(1024 * 1024):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise requests.exceptions.ContentDecodingError
    return b"".join(parts)


def _clock(date: str) -> datetime | None:
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except (ValueError, TypeError):
        return None


def _refusal(
    api_url: str, path: str, status: int, content: bytes, limit: RateLimit
) -> XRefusalError | MissingCredentialError:
    told = problem(content)
    said = f": {told.sentence.rstrip('.')}" if told.sentence else ""
    if status in (401, 403) and told.kind != "usage-capped":
        return MissingCredentialError(
            f"X at {api_url} refuses the token (HTTP {status}{said}): set BEMTEVI_X_BEARER_TOKEN to an "
            "app-only bearer token with access to the filtered stream."
        )
    return XRefusalError(
        f"X at {api_url} answered {status} at {path}{said}; try again later.",
        status,
        told,
        limit,
        _decoded(content) or {},
    )
