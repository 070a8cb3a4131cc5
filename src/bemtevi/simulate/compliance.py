"""Batch compliance as X does it: jobs, the storage for ids, the storage for answers.

Owns: what became of which id (told by whoever runs the simulation), the jobs and their course, and the two
addresses of each job, which are signed and refuse a token as the storage behind X does. One job of a kind
runs at a time.

    POST /simulation/compliance   {"tweets": {"1": "deleted"}, "users": {"7": "suspended"}, "failing": 1};
                                  an empty reason: nothing is wrong any more; so many jobs to come will fail
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bemtevi.errors import UsageError
from bemtevi.simulate import problems
from bemtevi.simulate.snowflake import time_of, timestamp

PATH = "/2/compliance/jobs"
KINDS = ("tweets", "users")
STATUSES = ("created", "in_progress", "failed", "complete", "expired")
UPLOAD = timedelta(minutes=15)
DOWNLOAD = timedelta(days=7)
LONGEST_NAME = 64
Handler = Callable[[Request], Awaitable[Any]]


@dataclass
class Job:
    """One job."""

    id: str
    kind: str
    name: str | None
    created: datetime
    signature: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    uploaded: datetime | None = None
    ids: list[str] = field(default_factory=list, repr=False)
    fails: bool = False


class Compliance:
    """The jobs of one simulation."""

    def __init__(self, clock: Callable[[], datetime], seconds: float) -> None:
        """`seconds`: how long a job takes."""
        self._clock = clock
        self._length = timedelta(seconds=seconds)
        self.jobs: dict[str, Job] = {}
        self._redacted: dict[str, dict[str, tuple[str, datetime]]] = {kind: {} for kind in KINDS}
        self._failing = 0

    def api(self) -> tuple[tuple[str, str, Handler], ...]:
        """X's own paths: method, path, handler."""
        return (
            ("POST", PATH, self.create),
            ("GET", PATH, self.list_jobs),
            ("GET", PATH + "/{job}", self.show),
        )

    def storage(self) -> list[Route]:
        """The addresses that need no token and take none."""
        return [
            Route("/storage/submission/{job}", self.upload, methods=["PUT"]),
            Route("/storage/delivery/{job}", self.download, methods=["GET"]),
        ]

    async def create(self, request: Request) -> dict[str, Any]:
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=_Asked)
        except (msgspec.DecodeError, msgspec.ValidationError) as why:
            raise problems.invalid_request(None, None, f"Invalid JSON body: {why}") from why
        _of_kinds("type", asked.type, KINDS)
        if asked.name is not None and not 0 < len(asked.name) <= LONGEST_NAME:
            raise problems.invalid_request("name", asked.name, "$.name: string length is not from 1 to 64")
        if any(self._status(job) in STATUSES[:2] and job.kind == asked.type for job in self.jobs.values()):
            raise problems.plain(409, "Conflict", "A compliance job of this type is already in progress.")
        job = Job(str(1_600_000_000_000_000_000 + len(self.jobs)), asked.type, asked.name, self._clock())
        if self._failing:
            self._failing, job.fails = self._failing - 1, True
        self.jobs[job.id] = job
        return {"data": self._shown(job, request)}

    async def list_jobs(self, request: Request) -> dict[str, Any]:
        kind = request.query_params.get("type", "")
        _of_kinds("type", kind, KINDS)
        status = request.query_params.get("status")
        if status is not None:
            _of_kinds("status", status, STATUSES)
        found = [
            self._shown(job, request)
            for job in self.jobs.values()
            if job.kind == kind and status in (None, self._status(job))
        ]
        meta = {"result_count": len(found)}
        return {"data": found, "meta": meta} if found else {"meta": meta}

    async def show(self, request: Request) -> dict[str, Any]:
        job = self.jobs.get(request.path_params["job"])
        if job is None:
            raise problems.not_found()
        return {"data": self._shown(job, request)}

    async def upload(self, request: Request) -> Response:
        job = self._signed(request)
        if (
            job is None
            or self._status(job) == "expired"
            or request.headers.get("content-type") != "text/plain"
        ):
            return Response(status_code=403)
        job.ids = (await request.body()).decode("ascii", "replace").split()
        job.uploaded = self._clock()
        return Response()

    async def download(self, request: Request) -> Response:
        job = self._signed(request)
        if job is None:
            return Response(status_code=403)
        if self._status(job) != "complete":
            return Response(status_code=404)
        redacted = self._redacted[job.kind]
        lines = [
            {
                "id": id_,
                "action": "delete",
                "created_at": timestamp(time_of(int(id_)) if int(id_) >> 22 else job.created),
                "redacted_at": timestamp(redacted[id_][1]),
                "reason": redacted[id_][0],
            }
            for id_ in job.ids
            if id_ in redacted
        ]
        return Response(
            b"".join(msgspec.json.encode(line) + b"\n" for line in lines), media_type="text/plain"
        )

    async def change(self, request: Request) -> tuple[int, dict[str, Any]]:
        """What becomes of which id from now on, as whoever runs the simulation says."""
        try:
            told = msgspec.json.decode(await request.body(), type=_Told)
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise UsageError('The body must be like {"tweets": {"1": "deleted"}, "users": {}}.') from None
        self._failing += told.failing
        for kind in KINDS:
            for id_, reason in getattr(told, kind).items():
                self._redacted[kind].pop(id_, None)
                if reason:
                    self._redacted[kind][id_] = (reason, self._clock())
        return 200, {kind: len(self._redacted[kind]) for kind in KINDS}

    def _status(self, job: Job) -> str:
        now = self._clock()
        if job.uploaded is None:
            return "created" if now < job.created + UPLOAD else "expired"
        if now < job.uploaded + self._length:
            return "in_progress"
        if job.fails:
            return "failed"
        return "complete" if now < job.created + DOWNLOAD else "expired"

    def _shown(self, job: Job, request: Request) -> dict[str, Any]:
        storage = f"{request.base_url}storage"
        shown = {
            "id": job.id,
            "type": job.kind,
            "status": self._status(job),
            "created_at": timestamp(job.created),
            "upload_url": f"{storage}/submission/{job.id}?signature={job.signature}",
            "upload_expires_at": timestamp(job.created + UPLOAD),
            "download_url": f"{storage}/delivery/{job.id}?signature={job.signature}",
            "download_expires_at": timestamp(job.created + DOWNLOAD),
        }
        return shown if job.name is None else shown | {"name": job.name}

    def _signed(self, request: Request) -> Job | None:
        """The job of an address, if it is signed, and by its signature alone."""
        job = self.jobs.get(request.path_params["job"])
        signature = request.query_params.get("signature", "")
        by_token = "authorization" in request.headers
        return job if job is not None and signature == job.signature and not by_token else None


class _Asked(msgspec.Struct):
    type: str = ""
    name: str | None = None
    resumable: bool = False


class _Told(msgspec.Struct):
    tweets: dict[str, str] = {}
    users: dict[str, str] = {}
    failing: int = 0


def _of_kinds(name: str, given: str, kinds: tuple[str, ...]) -> None:
    if given not in kinds:
        message = f"The `{name}` query parameter value [{given}] is not one of [{','.join(kinds)}]"
        raise problems.invalid_request(name, given, message)
