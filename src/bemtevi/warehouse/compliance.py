"""What is stored of X, as ids for its compliance jobs, and what an answer does to it.

Owns which ids are asked about (posts and authors of layer 2, what came along with them, and what is hidden
but not erased yet), and the tombstones that follow from an answer: what is to go, what loses its place, and
what comes back because X no longer objects. Leaves the asking to whoever knows X. Messages that are not
consolidated yet are asked about the next time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from bemtevi.lake.lake import Lake
from bemtevi.lake.literal import parquet
from bemtevi.lake.reading import let_read
from bemtevi.lake.tombstone import Action, Origin, Subject, Tombstone, Tombstones, gone
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.run import files_of, last_run

NETWORK = "x"
SUBJECTS = {"tweets": Subject.POST, "users": Subject.AUTHOR}
PLACE = "scrub_geo"
SECOND = 1 << 22
"""Above it stands the time in an id; below it, often nothing. Both tell in which part an id is."""
REVERSIBLE = frozenset({"suspended", "protected", "deactivated"})
"""Reasons that may cease to hold. What X names no more for one of these is there again."""

COLUMNS = {
    Subject.POST: {"fact_post": {"post_id": "true", "referenced_post_id": "type in ('repost', 'quote')"}},
    Subject.AUTHOR: {
        "fact_post": {"author_id": "true", "referenced_author_id": "type in ('repost', 'quote')"},
        "user_observation": {"author_id": "true"},
    },
}
"""Where ids stand whose words we hold."""


class Answered(Protocol):
    """One line of an answer."""

    @property
    def id(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def redacted_at(self) -> datetime | None: ...


class StoredIds:
    """The ids of X in one lake. Counts what answers said, by subject and reason."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._tombstones = Tombstones(lake)
        self.found: Counter[tuple[Subject, str]] = Counter()
        self.back: Counter[Subject] = Counter()

    def count(self, kind: str) -> int:
        """How many ids of a kind are stored."""
        return self._asked("count(*)", kind, "true")[0]

    def ids(self, kind: str, part: int, parts: int) -> Sequence[str]:
        """The ids of one of so many parts, each once."""
        return [
            str(id_)
            for id_ in self._asked("id", kind, f"(id + id // {SECOND}) % {parts} = {part} order by id")
        ]

    def told(
        self,
        kind: str,
        part: int,
        parts: int,
        found: Sequence[Answered],
        begun_at: datetime,
        *,
        whole: bool,
    ) -> None:
        """Write the tombstones of an answer to a job that was begun then. To be told twice does no harm."""
        subject = SUBJECTS[kind]
        rows = [row for row in self._held() if row["subject"] == subject]
        self.found.update((subject, one.reason) for one in found)
        new = [*objected(subject, found, rows, begun_at)]
        if whole:
            mine = [row for row in rows if (int(row["id"]) + int(row["id"]) // SECOND) % parts == part]
            back = [*cleared(found, mine, begun_at)]
            self.back[subject] += len(back)
            new += back
        self._tombstones.note(new)

    def _held(self) -> list[dict[str, Any]]:
        """What is hidden and not erased yet."""
        return [
            row
            for row in gone(self._tombstones.read()).to_pylist()
            if row["network"] == NETWORK and row["id"] is not None and row["subject"] != Subject.NETWORK
        ]

    def _asked(self, what: str, kind: str, where: str) -> list[int]:
        subject = SUBJECTS[kind]
        run = last_run(self._lake)
        versions = {} if run is None else run.table_versions
        hidden = [
            row["id"] for row in self._held() if row["subject"] == subject and row["origin"] != Origin.REQUEST
        ]
        parts = ["select id from hidden"]
        for model in load_models():
            files = files_of(self._lake.table(model.definition), versions)
            for column, which in COLUMNS[subject].get(model.name, {}).items() if files else ():
                parts.append(f"select {column} from {parquet(files)} where network = '{NETWORK}' and {which}")
        sql = f"""
            select {what} from (
                select distinct try_cast(id as hugeint) as id from ({" union all ".join(parts)}) as named
            ) as stored
            where id is not null and {where}
        """
        with duckdb.connect() as connection:
            let_read(connection, self._lake.storage_options)
            connection.register("hidden", pa.table({"id": pa.array(hidden, pa.string())}))
            return [int(row[0]) for row in connection.execute(sql).fetchall()]


def objected(
    subject: Subject, found: Sequence[Answered], held: Sequence[dict[str, Any]], begun_at: datetime
) -> Iterator[Tombstone]:
    """Tombstones of what X objects to and is not hidden yet. Pure."""
    known = {(row["id"], row["action"]) for row in held}
    for one in found:
        action = Action.SCRUB_GEO if one.reason == PLACE else Action.DELETE
        if (one.id, action) not in known:
            yield Tombstone(
                NETWORK, subject, one.id, action, Origin.COMPLIANCE, begun_at, one.reason,
                event_at=one.redacted_at,
            )  # fmt: skip


def cleared(
    found: Sequence[Answered], held: Sequence[dict[str, Any]], begun_at: datetime
) -> Iterator[Tombstone]:
    """Tombstones that bring back what X was asked about and objects to no longer. Pure.

    What somebody asked to be forgotten stays so, and so does what was deleted for good.
    """
    objected_to = {one.id for one in found if one.reason != PLACE}
    for row in held:
        if (
            row["action"] == Action.DELETE
            and row["origin"] != Origin.REQUEST
            and row["reason"] in REVERSIBLE
            and row["noted_at"] < begun_at
            and row["id"] not in objected_to
        ):
            yield Tombstone(
                NETWORK, Subject(row["subject"]), row["id"], Action.RESTORE, Origin.COMPLIANCE, begun_at
            )
