"""What every request must pass, and what every answer carries.

Owns: the token and who may see what people wrote, the host names that are answered, the bound of a body, the
headers of safety, and errors as problem+json (RFC 9457). On 127.0.0.1 without a token everybody on this
machine sees all; then only local host names are answered, or a page elsewhere could point its own name
here.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "bemtevi_session"
MOST_BODY = 64 * 1024
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SAFETY = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Access:
    """Who may see what. Without a token the server is on this machine alone, and shows all."""

    token: str | None
    author_key: str | None = None
    """If set, author ids in answers without the token are HMAC-SHA-256 of this key."""

    def session(self) -> str:
        """What the cookie of a browser holds that gave the token."""
        return hmac.new((self.token or "").encode(), b"bemtevi session", hashlib.sha256).hexdigest()

    def is_full(self, headers: Headers, cookies: dict[str, str]) -> bool:
        """Whether what people wrote may be shown. Compares in constant time."""
        if self.token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self.token.encode()):
            return True
        return hmac.compare_digest(cookies.get(COOKIE, "").encode(), self.session().encode())

    def pseudonym(self, author_id: str) -> str:
        """The author's id for those without the token."""
        if self.author_key is None:
            return author_id
        return hmac.new(self.author_key.encode(), author_id.encode(), hashlib.sha256).hexdigest()[:32]


def problem(status: int, title: str, detail: str = "", **more: object) -> Response:
    """An error that a program can read and a person understands."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(content, status, media_type="application/problem+json")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, access: Access, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refused = self._refused(request)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFETY.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-cache")
                headers.add_vary_header("Authorization, Cookie")
            await send(message)

        if refused is not None:
            await refused(scope, receive, guarded)
            return
        scope.setdefault("state", {})["full"] = self._access.is_full(request.headers, request.cookies)
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MOST_BODY:
                raise BodyTooLargeError
            return message

        try:
            await self._app(scope, bounded, guarded)
        except BodyTooLargeError:
            await problem(413, "The request is too large")(scope, receive, guarded)

    def _refused(self, request: Request) -> Response | None:
        host = (
            request.headers.get("host", "").rsplit(":", 1)[0]
            if not request.headers.get("host", "").endswith("]")
            else request.headers.get("host", "")
        )
        if self._hosts is not None and host not in self._hosts:
            return problem(421, "This host name is not answered", "Use 127.0.0.1 or localhost.")
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BODY:
            return problem(413, "The request is too large", f"At most {MOST_BODY:,} bytes are read.")
        return None


class BodyTooLargeError(HTTPException):
    """More bytes came than are read."""

    def __init__(self) -> None:
        super().__init__(413, "The request is too large")
