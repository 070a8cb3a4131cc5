"""X's batch compliance: ids up, what became of them down.

Owns the calls of one job and the reading of its answer. Leaves to `compliance` which jobs are made and when,
and what an answer means for what is stored. Source: docs.x.com x-api/compliance/batch-compliance; 150 calls
of each kind in 15 minutes. The addresses for ids and answers are signed: whoever has them needs no token, and
must not send one, since they lead to another company's storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import requests

from bemtevi.errors import NetworkError
from bemtevi.listen.x_client import CONNECT_SECONDS, USER_AGENT, Answer
from bemtevi.listen.x_patience import Patience

PATH = "/2/compliance/jobs"
STORAGE_SECONDS = 120.0
TRIES = 3
GOING = ("created", "in_progress")
COMPLETE = "complete"
ENDED = ("failed", "expired")


@dataclass(frozen=True)
class Job:
    """A job as X tells of it. Its addresses are secrets."""

    id: str
    name: str
    status: str
    created_at: datetime
    upload_url: str
    download_url: str


@dataclass(frozen=True)
class Found:
    """One line of an answer: X asks that something is done about an id."""

    id: str
    reason: str
    redacted_at: datetime | None


class XCompliance:
    """Makes jobs, gives them ids, fetches their answers. For one thread."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience

    def begin(self, kind: str, name: str) -> Job:
        """A new job of a kind: tweets or users. Raises MissingCredentialError, NetworkError, StoppedError."""
        body = {"type": kind, "name": name, "resumable": False}
        return _job(self.patience.ask(f"POST {PATH}", lambda client: client.post(PATH, body)))

    def named(self, kind: str, name: str) -> Job | None:
        """The job of a name, if X has one. Raises as `begin`."""
        answer = self.patience.ask(f"GET {PATH}", lambda client: client.get(PATH, type=kind))
        listed = answer.body.get("data")
        found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        return next((_read(one) for one in found if one.get("name") == name), None)

    def look(self, id_: str) -> Job:
        """How a job stands. Raises as `begin`."""
        path = f"{PATH}/{id_}"
        return _job(self.patience.ask(f"GET {PATH}/:id", lambda client: client.get(path)))

    def upload(self, job: Job, ids: Iterable[str]) -> None:
        """Give a job its ids. Raises NetworkError, StoppedError."""
        body = "\n".join(ids).encode() + b"\n"
        self._stored("PUT", job.upload_url, body)

    def answer(self, job: Job) -> tuple[list[Found], int]:
        """What X says of the ids of a job that is complete, and how many lines say nothing that we know."""
        return read_answer(self._stored("GET", job.download_url, None))

    def _stored(self, method: str, url: str, body: bytes | None) -> bytes:
        """One call to the storage; tried again, for it does no harm."""
        for attempt in range(1, TRIES + 1):
            try:
                return self.patience.unless_stopped(lambda: _transferred(method, url, body))
            except NetworkError:
                if attempt == TRIES:
                    raise
                self.patience.pause(float(attempt))
        raise AssertionError


def read_answer(content: bytes) -> tuple[list[Found], int]:
    """The lines of an answer, and how many could not be read. Pure; takes any bytes."""
    found, unreadable = [], 0
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            told = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = None
        id_ = str(told.get("id") or "") if isinstance(told, dict) else ""
        if id_.isascii() and id_.isdigit():
            reason = str(told.get("reason") or told.get("action") or "deleted")
            found.append(Found(id_, reason, _moment(told.get("redacted_at"))))
        else:
            unreadable += 1
    return found, unreadable


def _transferred(method: str, url: str, body: bytes | None) -> bytes:
    headers = {"User-Agent": USER_AGENT} | ({"Content-Type": "text/plain"} if body is not None else {})
    try:
        with requests.Session() as session:
            session.trust_env = False  # a .netrc would add a password
            session.proxies = requests.utils.get_environ_proxies(url)
            response = session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=(CONNECT_SECONDS, STORAGE_SECONDS),
                allow_redirects=False,
            )
            content = response.content
    except (requests.RequestException, OSError) as error:
        # not the error itself: it quotes the address
        raise NetworkError(
            f"The storage of X's compliance job cannot be reached ({type(error).__name__}): the same command "
            "goes on from here."
        ) from None
    if response.status_code != 200:
        raise NetworkError(
            f"The storage of X's compliance job answered {response.status_code}: the same command goes on "
            "from here."
        )
    return content


def _job(answer: Answer) -> Job:
    data = answer.body.get("data")
    return _read(data if isinstance(data, dict) else {})


def _read(data: dict[str, Any]) -> Job:
    """A job. Raises NetworkError if it is none."""
    told = {
        name: str(data.get(name) or "") for name in ("id", "name", "status", "upload_url", "download_url")
    }
    created_at = _moment(data.get("created_at"))
    addresses = (told["upload_url"], told["download_url"])
    if not told["id"].isalnum() or created_at is None or not all(url.startswith("http") for url in addresses):
        raise NetworkError("X's answer about a compliance job cannot be understood: try again later.")
    if told["status"] not in (*GOING, COMPLETE, *ENDED):
        raise NetworkError(f"X's compliance job is {told['status'][:40]!r}, which we do not know.")
    return Job(created_at=created_at, **told)


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
