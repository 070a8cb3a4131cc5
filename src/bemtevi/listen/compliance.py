"""A check of what is stored against X's batch compliance, job by job, over interruptions and kills.

Owns the course, and how far it has come: a file beside the journal, which holds no id of a post or author.
X runs one job at a time, so there is one check at a time. Each job gets a name before it is made, so that one
of which a killed process never learned is found again. Leaves the calls to `x_compliance`, and to whoever
holds the ids (`Holder`) what is stored and what an answer does to it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from bemtevi import crashpoint
from bemtevi.errors import NetworkError, StorageError
from bemtevi.lake.durable import replace_file
from bemtevi.listen.x_client import XRefusalError
from bemtevi.listen.x_compliance import COMPLETE, ENDED, Found, Job, XCompliance

log = structlog.get_logger()

KINDS = ("tweets", "users")
MOST_IDS = 1_000_000
"""So many ids are given to one job: 20 MB."""
FIRST_LOOK_SECONDS = 0.5
LOOK_SECONDS = 10.0
"""A job is looked at soon, then less and less often, down to 90 times of the 150 that X allows."""


class Holder(Protocol):
    """Whoever has the ids that are stored, in parts that never change: an id is always in the same one."""

    def count(self, kind: str) -> int:
        """How many ids of a kind are stored."""
        ...

    def ids(self, kind: str, part: int, parts: int) -> Sequence[str]:
        """The ids of one of so many parts."""
        ...

    def told(
        self, kind: str, part: int, parts: int, found: Sequence[Found], begun_at: datetime, *, whole: bool
    ) -> None:
        """Do what X says of the ids of a part. `whole`: nothing else is wrong with any of them. May come
        twice."""
        ...


class Course(msgspec.Struct):
    """How far a check has come."""

    kinds: list[str]
    """What is left to be asked about; the first is at work."""
    part: int = 0
    parts: int = 0
    """0 before it is known."""
    name: str = ""
    """Of the job at work; empty between two jobs."""
    job: str = ""
    """Its id; empty before X has said it."""


class ComplianceCheck:
    """One check. Whoever calls holds the lock."""

    def __init__(self, path: Path, x: XCompliance, holder: Holder, said: Callable[[str], None]) -> None:
        """`path`: the file of the course; `said` is told what goes on, in words."""
        self._path = path
        self._x = x
        self._holder = holder
        self._said = said

    def run(self, kinds: Sequence[str], *, wait: bool) -> bool:
        """Begin a check of some kinds, or go on with the one that was begun; whether it came to its end.

        Without `wait`, a job that X still works at ends the call. Raises MissingCredentialError,
        NetworkError, StoppedError; the next call goes on.
        """
        course = self._read() or Course([*kinds])
        while course.kinds:
            kind = course.kinds[0]
            if not course.parts:
                count = self._holder.count(kind)
                if count == 0:
                    course.kinds.pop(0)
                    continue
                course.parts = -(-count // MOST_IDS)
            job = self._job(course)
            if job.status == "created":
                ids = self._holder.ids(kind, course.part, course.parts)
                self._x.upload(job, ids)
                crashpoint.reach("compliance.uploaded")
                self._said(f"X looks at {len(ids):,} {_words(kind)} (job {job.id}).")
                job = self._x.look(job.id)
            job = self._ended(course, job, wait=wait)
            if job.status != COMPLETE:
                return False
            self._told(course, job)
            crashpoint.reach("compliance.told")
            course.name = course.job = ""
            course.part += 1
            if course.part == course.parts:
                course.kinds.pop(0)
                course.part = course.parts = 0
            self._keep(course)
        self._path.unlink(missing_ok=True)
        return True

    def _job(self, course: Course) -> Job:
        """The job at work, which is made if there is none."""
        kind = course.kinds[0]
        if course.job:
            try:
                return self._x.look(course.job)
            except XRefusalError as error:
                if error.status != 404:
                    raise
                course.name = course.job = ""  # X keeps a job for some days
        known = self._x.named(kind, course.name) if course.name else None
        if known is None:
            course.name = f"bemtevi-{secrets.token_hex(8)}"
            self._keep(course)
            known = self._x.begin(kind, course.name)
            crashpoint.reach("compliance.begun")
        course.job = known.id
        self._keep(course)
        return known

    def _ended(self, course: Course, job: Job, *, wait: bool) -> Job:
        """The job when X is done with it; as it is, if it is not to be waited for. Raises NetworkError."""
        pause = FIRST_LOOK_SECONDS
        while True:
            if job.status in ENDED:
                course.name = course.job = ""
                self._keep(course)
                raise NetworkError(
                    f"X's compliance job {job.id} has {job.status}: the same command begins another one."
                )
            if job.status == COMPLETE or not wait:
                return job
            self._x.patience.pause(pause)
            pause = min(2 * pause, LOOK_SECONDS)
            job = self._x.look(job.id)

    def _told(self, course: Course, job: Job) -> None:
        found, unreadable = self._x.answer(job)
        if unreadable:
            log.warning("compliance.unreadable", job=job.id, lines=unreadable)
        kind, part, parts = course.kinds[0], course.part, course.parts
        self._holder.told(kind, part, parts, found, job.created_at, whole=not unreadable)

    def _read(self) -> Course | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Course)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise StorageError(
                f"The file {self._path} does not say how far the check has come: delete it to begin anew."
            ) from None

    def _keep(self, course: Course) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, msgspec.json.encode(course), durable=True)


def _words(kind: str) -> str:
    return "posts" if kind == "tweets" else "authors"
