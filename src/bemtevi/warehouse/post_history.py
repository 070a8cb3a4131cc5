"""What became of one post: every message that spoke of it, and where it stands now.

Owns the search through layer 1, quarantine and tombstones for one id. Text is looked up only if it is asked
for. Leaves how it is shown to `cli.lineage`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.lake.lake import Lake
from bemtevi.lake.literal import parquet, text, texts
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.tombstone import Action, Subject, Tombstones, gone
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.model import FACT, load_models
from bemtevi.warehouse.notice import KINDS, read_notice
from bemtevi.warehouse.run import Run, check_zone, files_of, last_run

SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
"""From which X's ids count milliseconds, above their 22 lowest bits."""
FACT_COLUMNS = (
    *("type", "created_at", "author_id", "observations", "first_received_at", "last_received_at"),
    *("edited_from", "referenced_post_id"),
)


class Role(StrEnum):
    """How a message speaks of a post."""

    POST = "post"
    """It delivers it."""
    NAMED = "named"
    """It delivers another post that refers to it, or brings it along."""
    NOTICE = "notice"
    """It says that it is deleted, or comes back."""
    UNREADABLE = "unreadable"
    """It could not be read, and holds the id."""


class Place(StrEnum):
    """Where a post stands now."""

    STORED = "stored"
    HIDDEN = "hidden"
    """A tombstone hides it, or what it reposts."""
    WAITING = "waiting"
    """Its messages are not consolidated yet."""
    UNREADABLE = "unreadable"
    """All that there is of it is in quarantine."""
    NAMED = "named"
    """Others speak of it; it was never delivered."""
    ERASED = "erased"
    """Only a tombstone is left."""
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Told:
    """One message that speaks of the post."""

    role: Role
    received_at: datetime
    path: str
    source: str
    dialect: str
    kind: str
    session: str
    sequence: int
    file: str
    """Of `raw` or `quarantine`, within the lake."""
    consolidated: bool
    says: str | None = None
    """What a notice says, or why it could not be read."""
    text: str | None = None


@dataclass(frozen=True)
class PostHistory:
    """All that is known of one post."""

    network: str
    post_id: str
    place: Place
    messages: list[Told]
    fact: dict[str, Any] | None
    tombstones: list[dict[str, Any]]
    """Of the post, of its author, of its network; without ids and hashes."""
    run: Run | None


def post_history(
    lake: Lake, engine: DuckDBEngine, network: str, post_id: str, *, with_text: bool = False
) -> PostHistory:
    """Every message that speaks of a post, and where it stands."""
    run = last_run(lake)
    if run is not None:
        check_zone(lake, run)
    with engine:
        fact = _fact(lake, engine, network, post_id, run, with_text=with_text)
        found, author = _messages(lake, engine, network, post_id, run, with_text=with_text)
        for told in _quarantined(lake, engine, network, post_id):
            known = found.get((told.session, told.sequence))
            # what staging could not read stands in `raw` too
            found[told.session, told.sequence] = replace(told, file=known.file) if known else told
    messages = sorted(found.values(), key=lambda one: (one.received_at, one.session, one.sequence))
    tombstones, held = _tombstones(lake, network, post_id, fact["author_id"] if fact else author)
    place = _place(messages, tombstones, stored=fact is not None, held=held)
    return PostHistory(network, post_id, place, messages, fact, tombstones, run)


def _place(
    messages: Sequence[Told], tombstones: Sequence[dict[str, Any]], *, stored: bool, held: bool
) -> Place:
    """Where a post stands. Pure."""
    roles = {message.role for message in messages}
    if stored:
        return Place.STORED
    if held:
        erased = any(row["erased_at"] is not None for row in tombstones) and Role.POST not in roles
        return Place.ERASED if erased else Place.HIDDEN
    if any(message.role is Role.POST and message.consolidated for message in messages):
        return Place.HIDDEN
    for role, place in {
        Role.POST: Place.WAITING,
        Role.UNREADABLE: Place.UNREADABLE,
        Role.NAMED: Place.NAMED,
    }.items():
        if role in roles:
            return place
    return Place.UNKNOWN


def _messages(
    lake: Lake, engine: DuckDBEngine, network: str, post_id: str, run: Run | None, *, with_text: bool
) -> tuple[dict[tuple[str, int], Told], str | None]:
    """The messages of `raw` in which the id stands, and who wrote the post."""
    raw = lake.table(RAW)
    version = raw.version()
    files = raw.files(version, _since(post_id)) if version >= 0 else []
    if not files:
        return {}, None
    engine.stage(files, holding=[post_id])
    read = {*raw.files(run.raw_version, "true")} if run is not None else set()
    mine = {
        (session, sequence): (author, said)
        for session, sequence, author, said in engine.ask(
            f"""
            select session, sequence, any_value(author_id), {"any_value(text)" if with_text else "null"}
            from observation
            where network = {text(network)} and post_id = {text(post_id)} group by session, sequence
            """
        )
    }
    kinds = texts(KINDS)
    rows = engine.ask(
        f"""
        select session, sequence, received_at, path, source, dialect, kind, filename,
          case when kind in ({kinds}) then payload end
        from {parquet(files, named=True)}
        where network = {text(network)}
          and list_contains(regexp_extract_all(payload, '[0-9]+'), {text(post_id)})
        """
    )
    found = {}
    for session, sequence, received_at, path, source, dialect, kind, file, payload in rows:
        at = received_at.astimezone(UTC)
        _, said = mine.get((session, sequence), (None, None))
        says = None if payload is None else _notice(network, payload, at, post_id)
        role = Role.NAMED if says is None else Role.NOTICE
        found[session, sequence] = Told(
            Role.POST if (session, sequence) in mine else role,
            *(at, path, source, dialect, kind, session, sequence),
            f"{RAW.name}/{raw.path_of(file)}",
            consolidated=file in read,
            says=says,
            text=said,
        )
    return found, next((author for author, _ in mine.values()), None)


def _notice(network: str, payload: str, received_at: datetime, post_id: str) -> str | None:
    """What a notice says of the post; None if it is none."""
    for tombstone in read_notice(network, payload.encode(), received_at):
        if tombstone.subject == Subject.POST and tombstone.id == post_id:
            return f"{tombstone.action} ({tombstone.reason})"
    return None


def _quarantined(lake: Lake, engine: DuckDBEngine, network: str, post_id: str) -> Iterator[Told]:
    """The messages in quarantine in which the id stands."""
    quarantine = lake.table(QUARANTINE)
    files = quarantine.snapshot().files
    if not files:
        return
    # what is no UTF-8 in a payload is told with its bytes escaped: digits stay as they are
    for session, sequence, received_at, path, source, dialect, stage, reason, file in engine.ask(
        f"""
        select session, sequence, received_at, path, source, dialect, stage, reason, filename
        from {parquet(files, named=True)}
        where network = {text(network)} and contains(payload::varchar, {text(post_id)})
        """
    ):
        yield Told(
            Role.UNREADABLE,
            *(received_at.astimezone(UTC), path, source, dialect, stage, session, sequence),
            f"{QUARANTINE.name}/{quarantine.path_of(file)}",
            consolidated=True,
            says=reason,
        )


def _fact(
    lake: Lake, engine: DuckDBEngine, network: str, post_id: str, run: Run | None, *, with_text: bool
) -> dict[str, Any] | None:
    """The row of the post as readers see it."""
    table = lake.table(next(model.definition for model in load_models() if model.name == FACT))
    versions = {} if run is None else run.table_versions
    files = files_of(table, versions, f"post_id = {text(post_id)}")
    if not files:
        return None
    columns = [*FACT_COLUMNS, *(["text"] if with_text else [])]
    rows = engine.ask(
        f"select {', '.join(columns)} from {parquet(files)} "
        f"where network = {text(network)} and post_id = {text(post_id)}"
    )
    return dict(zip(columns, rows[0], strict=True)) if rows else None


def _tombstones(
    lake: Lake, network: str, post_id: str, author_id: str | None
) -> tuple[list[dict[str, Any]], bool]:
    """What was told of the post, its author and its network, oldest first; whether a deletion holds."""
    tombstones = Tombstones(lake)
    if tombstones.version() < 0:
        return [], False
    subjects = {Subject.POST: post_id, Subject.AUTHOR: author_id, Subject.NETWORK: network}
    hashes = [
        tombstones.suppression.digest(network, subject, id_)
        for subject, id_ in subjects.items()
        if id_ is not None
    ]
    rows = tombstones.read()
    mine = rows.filter(pc.is_in(rows["subject_hash"], pa.array(hashes)))
    names = ("subject", "action", "origin", "reason", "event_at", "noted_at", "erased_at")
    told = [{name: row[name] for name in names} for row in mine.to_pylist()]
    held = any(row["action"] == Action.DELETE for row in gone(mine).to_pylist())
    return sorted(told, key=lambda row: row["noted_at"]), held


def _since(post_id: str) -> str:
    """Where messages that name a post of X may be: none was received before it was written."""
    written = datetime.fromtimestamp(((int(post_id) >> 22) + SNOWFLAKE_EPOCH_MS) / 1000, UTC)
    return f"received_date >= '{(written - timedelta(days=1)).date()}'"
