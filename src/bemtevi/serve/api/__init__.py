"""The web server: REST, the dashboard's files, health and metrics, as one FastAPI application.

Owns how the parts are put together. The parts: `guard` (who may), `parameters` (what is asked), `answering`
(how it is answered), and a module for each family of addresses.
"""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

from bemtevi import __version__
from bemtevi.errors import BemteviError
from bemtevi.serve.api import hashtags, live, pages, posts, several, sql, state
from bemtevi.serve.api.answering import SECONDS, Answering, told
from bemtevi.serve.api.description import described
from bemtevi.serve.api.guard import LOCAL_HOSTS, Access, Guard, problem
from bemtevi.serve.live import Ring, bring
from bemtevi.serve.snapshot import Snapshots

ABOUT = """
Answers about collected posts. Counts are of collected posts, never of a whole network.

Every JSON answer is `{data, meta}`; `meta` tells the snapshot, the period, the SQL, and its
**completeness**: the share of the time that was listened to, and the gaps. `format` gives CSV, JSON Lines,
Parquet or Arrow instead. Errors are `application/problem+json`.
"""


def create_app(
    snapshots: Snapshots, access: Access, *, local: bool = True, seconds: float = SECONDS
) -> FastAPI:
    """The application on a lake's snapshots. `local`: only names of this machine are answered."""
    app = FastAPI(
        title="bemtevi",
        version=__version__,
        description=ABOUT,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    app.state.answering = Answering(snapshots, access, seconds)
    app.state.ring = ring = Ring()
    app.state.clients = live.Clients()
    snapshots.brought.append(partial(bring, ring, access.pseudonym))
    for part in (hashtags, several, posts, live, state, sql, pages):
        app.include_router(part.router)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(Guard, access=access, hosts=LOCAL_HOSTS if local else None)

    @app.exception_handler(BemteviError)
    def expected(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, BemteviError)  # noqa: S101  it was registered for these
        return told(error)

    @app.exception_handler(RequestValidationError)
    def wrong(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, RequestValidationError)  # noqa: S101
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return problem(422, "A parameter is wrong", f"{where}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    def known(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, HTTPException)  # noqa: S101
        return problem(error.status_code, str(error.detail))

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> Response:
        del request, error
        return problem(500, "A mistake of ours", "It stands in the server's log.")

    made = app.openapi()  # kept by the application, and completed once
    described(made)
    return app
