"""The dashboard's files, and the page that every view's address gives."""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from bemtevi import metrics
from bemtevi.serve.api.guard import COOKIE, problem
from bemtevi.serve.api.parameters import Answers

router = APIRouter(include_in_schema=False)

MEDIA = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
VIEWS = ("", "t", "compare", "search", "gaps", "runs", "sql", "about")


class Given(BaseModel):
    """The token that a person typed."""

    token: str = Field(max_length=500)


@cache
def file(path: str) -> tuple[bytes, str, str] | None:
    """A file of the dashboard: its bytes, kind and hash; None if there is none."""
    parts = path.split("/")
    ending = path.rsplit(".", 1)[-1] if "." in parts[-1] else "txt"
    if ".." in parts or "" in parts or ending not in MEDIA:
        return None
    found = resources.files("bemtevi.serve") / "web"
    for part in parts:
        found = found / part
    if not found.is_file():
        return None
    content = found.read_bytes()
    return content, MEDIA[ending], hashlib.sha256(content).hexdigest()[:16]


@router.get("/web/{path:path}")
def web(request: Request, path: str) -> Response:
    """A file of the dashboard."""
    return _file(request, path)


def _file(request: Request, path: str, status: int = 200) -> Response:
    found = file(path)
    if found is None:
        return problem(404, "There is no such file")
    content, media, digest = found
    tag = f'"{digest}"'
    if status == 200 and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return Response(content, status, media_type=media, headers={"etag": tag})


@router.post("/api/v1/session")
def session(answers: Answers, given: Annotated[Given, Body()]) -> Response:
    """Open the texts for this browser."""
    expected = answers.access.token
    if expected is None or not hmac.compare_digest(given.token.strip().encode(), expected.encode()):
        return problem(401, "This is not the token")
    response = Response(status_code=204)
    response.set_cookie(
        COOKIE, answers.access.session(), httponly=True, samesite="strict", max_age=30 * 86400
    )
    return response


@router.get("/healthz")
async def healthy() -> Response:
    """Whether the process answers."""
    return Response("ok\n", media_type="text/plain")


@router.get("/readyz")
async def ready(answers: Answers) -> Response:
    """Whether there is a snapshot to answer from."""
    with answers.snapshots.lease() as snapshot:
        return Response(f"ready {snapshot.version}\n", media_type="text/plain")


@router.get("/metrics")
def measured() -> Response:
    """The metrics of this process, for Prometheus."""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    return Response(generate_latest(metrics.REGISTRY), media_type=CONTENT_TYPE_LATEST)


@router.get("/{path:path}")
def page(request: Request, path: str) -> Response:
    """The one page; what is shown is told by its address."""
    view = path.split("/", 1)[0]
    if view in ("api", "web"):
        return problem(404, "There is no such address")
    return _file(request, "index.html", 200 if view in VIEWS else 404)
