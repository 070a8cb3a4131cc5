"""How a question becomes a response: a snapshot, a bound of time, a form, an ETag, a cache.

What is known already is answered at once, on the loop; else a thread works it out.
Owns: the worker places and their waiting, the interrupting of what takes too long, the forms (JSON with
`meta`, CSV, JSON Lines, Parquet, Arrow). Leaves to `withheld` what those without the token do not see, to
`kept` which answers are known already.
"""

from __future__ import annotations

import hashlib
import io
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import duckdb
import msgspec
import pyarrow as pa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bemtevi.errors import BemteviError, UsageError
from bemtevi.lake.gap import Gap
from bemtevi.lake.memory import give_back
from bemtevi.lake.sample import Share
from bemtevi.lake.track import TrackedRule
from bemtevi.serve.api.guard import Access, problem
from bemtevi.serve.api.kept import BusyError, KeptAnswers
from bemtevi.serve.api.withheld import Withheld
from bemtevi.serve.ask.selection import Question, Selection
from bemtevi.serve.catalog import Catalog, TooLongError, TooMuchError
from bemtevi.serve.coverage import Coverage, coverage, rules_of
from bemtevi.serve.export import FORMATS
from bemtevi.serve.questions import Period
from bemtevi.serve.snapshot import NotReadyError, Snapshot, Snapshots
from bemtevi.warehouse.hashtag import fold, fold_plain

SECONDS = 20.0
PLACES = 4
"""Questions that are worked out at once: more are answered no sooner, and each takes memory of its own."""
WAIT_SECONDS = 10.0
LARGE_SECONDS = 0.1
"""Who took so long may have taken much memory."""
MEANT_EXACTLY = "select hashtag from dim_hashtag_plain where hashtag = $hashtag limit 1"
MEANT = "select hashtag from dim_hashtag_plain where hashtag_plain = $plain order by hashtag limit 1"
LOOKED_BACK = (2, 16, 128)
"""So many days back a hashtag is looked for before it is in all there is."""
MOST_MEANT = 10_000
"""Hashtags of which it is remembered what a spelling means, and from when to when it was seen."""
MEDIA = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
    "gexf": "application/xml",
}
ENDINGS = {"arrow": "arrows"}


@dataclass
class Work:
    """One question being answered."""

    snapshot: Snapshot
    full: bool
    now: datetime
    cursor: duckdb.DuckDBPyConnection
    catalog: Catalog
    version: str
    """Of all that this work sees, from its beginning to its end."""
    rules: list[TrackedRule]
    gaps: list[Gap]
    shares: list[Share]
    received_at: datetime | None
    """When the newest message came that is not consolidated yet."""
    asked: list[Question] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def table(self, question: Question) -> pa.Table:
        """The answer to one question."""
        self.asked.append(question)
        return self.catalog.stream(question.sql, question.values, self.cursor).read_all()

    def rows(self, question: Question) -> list[dict[str, Any]]:
        """The same as objects."""
        return list(self.table(question).to_pylist())

    def first(self, question: Question, limit: int) -> list[dict[str, Any]]:
        """At most `limit` rows of a question that asks for one more; `meta.more` tells if there was one."""
        rows = self.rows(question)
        self.meta["limit"], self.meta["more"] = limit, len(rows) > limit
        return rows[:limit]

    def heard(self, hashtag: str | None, network: str | None, period: Period) -> Coverage:
        """What was heard in a period by the rules that ask for a hashtag; by all, without one."""
        return coverage(rules_of(self.rules, hashtag, network), self.gaps, period, self.now, self.shares)

    def known(self, hashtag: str | None) -> Period | None:
        """From the first collected post, with the hashtag or of all, to the last."""
        bounds = self.snapshot.bounds
        stored = bounds.get(hashtag)
        if stored is None:  # it does not change before the next snapshot
            stored = (
                self._time("select min(first_seen_at) from made.dim_hashtag_stored", hashtag),
                self._last_stored(hashtag),
            )
            if len(bounds) >= MOST_MEANT:
                bounds.clear()
            bounds[hashtag] = stored
        newer = (
            self._time("select min(first_seen_at) from made.dim_hashtag", hashtag),
            self._time("select max(created_at) from made.bridge_post_hashtag", hashtag),
        )
        known = [at for at in (*stored, *newer) if at is not None]
        return Period(min(known), max(known)) if known else None

    def _last_stored(self, hashtag: str | None) -> datetime | None:
        """When a hashtag was last seen in the tables of the run: most that are asked for, of late."""
        for days in LOOKED_BACK:
            first = (self.now - timedelta(days=days)).date()
            sql = f"select max(last_at) from made.agg_hashtag_day_stored where created_date >= date '{first}'"
            last = self._time(sql, hashtag)
            if last is not None:
                return last
        return self._time("select max(last_at) from made.agg_hashtag_day_stored", hashtag)

    def _time(self, sql: str, hashtag: str | None) -> datetime | None:
        """The one time that a question about a hashtag, or all, answers with."""
        values = {}
        if hashtag is not None:
            sql += f" {'and' if ' where ' in sql else 'where'} hashtag = $hashtag"
            values = {"hashtag": hashtag}
        column = self.catalog.stream(sql, values, self.cursor).read_all().column(0)
        at: datetime | None = column[0].as_py()
        return None if at is None else at.astimezone(UTC)


Make = Callable[[Work], Any]


class Answering:
    """Answers questions on a lake's snapshots."""

    def __init__(self, snapshots: Snapshots, access: Access, seconds: float = SECONDS) -> None:
        self.snapshots = snapshots
        self.access = access
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(PLACES)
        self._kept = KeptAnswers(seconds + WAIT_SECONDS)
        self._meant: dict[tuple[str, str], str] = {}

    async def answer(
        self,
        request: Request,
        make: Make,
        *,
        selection: Selection | None = None,
        form: str = "json",
        name: str = "answer",
        closed: bool = False,
        kept: bool = True,
    ) -> Response:
        """The response to a request whose data `make` gives: a list of objects, a table, or one object."""
        full = bool(request.state.full)
        with self.snapshots.lease() as snapshot:
            period = selection.period if selection is not None else None
            parts = (request.url.path, sorted(request.query_params.multi_items()), period, full)
            asked = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
            digest = f"{snapshot.version}.{asked}"

            def work_out() -> Response:
                with self.working(snapshot, full, closed=closed) as work:
                    data = make(work)
                    if isinstance(data, Response):
                        return data
                    if not full:
                        withheld = Withheld(self.access.pseudonym)
                        data = withheld.of(data)
                        work.meta["small_groups_left_out"] = withheld.small_groups
                    response = self._respond(work, data, selection, form, name)
                    if kept:
                        response.headers["etag"] = f'"{work.version}.{asked}"'
                    return response

            if not kept:
                return await run_in_threadpool(work_out)
            if request.headers.get("if-none-match") == f'"{digest}"':
                return Response(status_code=304, headers={"etag": f'"{digest}"'})
            known = self._kept.known(digest)
            return known if known is not None else await run_in_threadpool(self._kept.get, digest, work_out)

    def known_hashtag(self, tag: str) -> str | None:
        """The same as `hashtag`, if that is known already."""
        with self.snapshots.lease() as snapshot:
            # an exact one stays what it is while posts come; another may appear
            return self._meant.get((snapshot.base, tag)) or self._meant.get((snapshot.version, tag))

    def hashtag(self, tag: str) -> str:
        """The folded hashtag that a person means: exact, else without diacritics if that is known.

        Raises UsageError if it is none.
        """
        folded = fold(tag)
        if not folded:
            raise UsageError(f"'{tag}' is no hashtag: give one such as covid19.")
        with self.snapshots.lease() as snapshot, self.working(snapshot, full=True) as work:
            exact = work.rows(Question(MEANT_EXACTLY, {"hashtag": folded}))
            rows = exact or work.rows(Question(MEANT, {"plain": fold_plain(tag)}))
            meant = str(rows[0]["hashtag"]) if rows else folded
            if len(self._meant) >= MOST_MEANT:
                self._meant.clear()
            self._meant[snapshot.base if exact else snapshot.version, tag] = meant
        return meant

    @contextmanager
    def working(self, snapshot: Snapshot, full: bool, *, closed: bool = False) -> Iterator[Work]:
        """A place to work and a cursor that is interrupted when the time is over."""
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise BusyError("Too many questions at once: try again in a moment.")
        began = time.monotonic()
        try:
            catalog = snapshot.closed if closed else snapshot.catalog
            with catalog.cursor() as cursor:
                timer = threading.Timer(self._seconds, cursor.interrupt)
                timer.daemon = True
                timer.start()
                try:
                    # what is laid over meanwhile is not seen: all questions of one answer agree
                    cursor.execute("begin")
                    rules, gaps, told = snapshot.rules, snapshot.gaps, snapshot.told
                    shares = snapshot.shares
                    (number,) = cursor.execute("select number from made.moment").fetchone() or (0,)
                    yield Work(
                        snapshot,
                        full,
                        datetime.now(UTC),
                        cursor,
                        catalog,
                        snapshot.version_of(number, told),
                        rules,
                        gaps,
                        shares,
                        snapshot.overlay.received_at if snapshot.overlay is not None else None,
                    )
                finally:
                    timer.cancel()
        finally:
            if time.monotonic() - began > LARGE_SECONDS:
                give_back()  # or what the largest question took would be kept for good
            self._places.release()

    def _respond(self, work: Work, data: Any, selection: Selection | None, form: str, name: str) -> Response:
        if form in ("json", "gexf"):
            if isinstance(data, pa.Table):
                data = data.to_pylist()
            content = {"data": data, "meta": self._meta(work, selection)}
            return Response(_encode(content), media_type=MEDIA["json"])
        table = data if isinstance(data, pa.Table) else pa.Table.from_pylist(list(_listed(data)))
        if form == "csv" and not table.schema.names:
            table = pa.table({"nothing": pa.array([], pa.string())})
        return Response(
            as_bytes(table, form),
            media_type=MEDIA[form],
            headers={"content-disposition": attachment(f"{name}.{ENDINGS.get(form, form)}")},
        )

    def _meta(self, work: Work, selection: Selection | None) -> dict[str, Any]:
        run = work.snapshot.catalog.run
        meta: dict[str, Any] = {
            "snapshot": work.version,
            "as_of": work.received_at or (None if run is None else run.finished_at),
            "behind": work.snapshot.behind,
            "now": work.now,
            "timezone": self.snapshots.lake.timezone,
        }
        if selection is not None:
            period = selection.period
            heard = work.heard(selection.hashtag, selection.network, period)
            meta |= {"since": period.since, "until": period.until, "hashtag": selection.hashtag}
            meta["completeness"] = heard.plain()
            if work.asked:
                meta["sql"] = work.asked[0].literal()
        return meta | work.meta


def attachment(name: str) -> str:
    """A file's name for a header (RFC 6266): hashtags are of any script, a header is not."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def as_bytes(table: pa.Table, form: str) -> bytes:
    """A table in a form for other programs."""
    out = io.BytesIO()
    if form == "arrow":
        with pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
    else:
        FORMATS[form](table.to_reader(), out)
    return out.getvalue()


def _listed(data: Any) -> Sequence[dict[str, Any]]:
    return data if isinstance(data, list) else [data]


_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=str).encode


def _later(title: str, error: BemteviError) -> Response:
    """A problem that will be over in a second or so."""
    response = problem(503, title, str(error))
    response.headers["retry-after"] = "1"
    return response


def told(error: BemteviError) -> Response:
    """A mistake that a person can put right, as a problem."""
    match error:
        case TooLongError():
            return problem(504, "The question took too long", str(error))
        case UsageError():
            return problem(422, "The question cannot be answered", str(error))
        case TooMuchError():
            return problem(503, "The question needs too much memory", "Ask for a shorter period.")
        case BusyError():
            return _later("Too many questions at once", error)
        case NotReadyError():
            return _later("Not ready yet", error)
        case _:
            return problem(503, "The lake cannot be read now", str(error))
