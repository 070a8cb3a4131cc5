"""Tombstones in consolidation: what is told in new messages, what is known again, and what changed.

Owns the order: notices become tombstones; what was erased and is delivered once more gets a new tombstone, so
that
it is hidden now and erased again; the posts of an author who asked to be forgotten get tombstones of their
own, by which others' replies to them are found. Leaves the rule itself to `hiding`, the bytes to `erase`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.lake.lake import Lake
from bemtevi.lake.tombstone import (
    TOMBSTONE,
    Action,
    Origin,
    Subject,
    Tombstone,
    Tombstones,
    gone,
    known_again,
    state,
)
from bemtevi.warehouse.engine import Engine
from bemtevi.warehouse.model import Model
from bemtevi.warehouse.notice import read_notice

KNOWN_AGAIN = "delivered again"


@dataclass(frozen=True)
class Changes:
    """What tombstones that no run has obeyed yet change."""

    gone: pa.Table
    """Rows of `tombstone`: what is deleted now, or loses its place."""
    restored: list[str]
    """Ids of posts and authors that were deleted and come back."""
    networks: bool
    """Whether a whole network comes back."""


class Deletions:
    """The tombstones of one lake, as one engine obeys them."""

    def __init__(self, lake: Lake, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self.tombstones = Tombstones(lake)
        self._looked_at = -1, TOMBSTONE.schema.empty_table()

    def version(self) -> int | None:
        """The version of the table; None if there is no tombstone."""
        version = self.tombstones.version()
        return None if version < 0 else version

    def note_notices(self, files: Sequence[str]) -> None:
        """Write the tombstones that messages of some files of `raw` tell of."""
        found: list[Tombstone] = []
        for batch in self._engine.notices(files):
            for row in batch.to_pylist():
                payload = row["payload"].encode()
                found += read_notice(row["network"], payload, row["received_at"].astimezone(UTC))
        if found:
            self.tombstones.note(found)

    def hide(self) -> int | None:
        """Hide what is deleted from the observations and from what is defined as existing; the version of the
        tombstones that every row obeys then, those of other hours aside."""
        version = self.version()
        if version is None:
            self._engine.hide(TOMBSTONE.schema.empty_table())
            return None
        held = gone(self.tombstones.read())
        if held.num_rows:
            new = [*self._known_again(held)]
            if new and self.tombstones.note(new):
                held = gone(self.tombstones.read())
            more = [*self._posts_of_asked(held, self._engine.posts_of)]
            if more and self.tombstones.note(more):
                held = gone(self.tombstones.read())
        self._engine.hide(_with_id(held))
        return version

    def hide_only(self) -> None:
        """As `hide`, and write nothing: for who only looks."""
        version = self.tombstones.version()
        if version != self._looked_at[0]:
            self._looked_at = version, gone(self.tombstones.read())
        held = self._looked_at[1]
        if held.num_rows:
            held = pa.concat_tables([held, self.tombstones.rows(self._known_again(held))])
        self._engine.hide(_with_id(held))

    def note_posts_of_asked(self, fact: Model, files: Sequence[str]) -> None:
        """Write the tombstones of the posts in `fact_post` of authors who asked to be forgotten."""
        held = gone(self.tombstones.read())
        self.tombstones.note(
            self._posts_of_asked(held, lambda authors: self._engine.posts_of(authors, fact, files))
        )

    def changes(self, obeyed: int | None) -> Changes:
        """What tombstones after the version that was obeyed change."""
        new = self.tombstones.since(-1 if obeyed is None else obeyed)
        rows = self.tombstones.read()
        concerned = rows.filter(pc.is_in(rows["subject_hash"], new["subject_hash"]))
        restored: list[str] = []
        networks = False
        deleted = {row["subject_hash"] for row in concerned.to_pylist() if row["action"] == Action.DELETE}
        held = gone(concerned)
        deleted -= {row["subject_hash"] for row in held.to_pylist() if row["action"] == Action.DELETE}
        for row in state(concerned).to_pylist():
            if row["action"] == Action.RESTORE and row["subject_hash"] in deleted and row["id"] is not None:
                networks |= row["subject"] == Subject.NETWORK
                restored.append(row["id"])
        return Changes(_with_id(held), restored, networks)

    def _known_again(self, held: pa.Table) -> Iterator[Tombstone]:
        """New tombstones of what was erased and stands in the observations again."""
        erased = held.filter(pc.is_null(held["id"]))
        if erased.num_rows == 0:
            return
        first = {row["subject_hash"]: row for row in erased.to_pylist()}
        now = self._clock()
        choose = partial(known_again, frozenset(first), suppression=self.tombstones.suppression)
        for network, subject, id_ in self._engine.observed_ids(choose):
            row = first[self.tombstones.suppression.digest(network, subject, id_)]
            yield _again(row, id_, now)

    def _posts_of_asked(
        self, held: pa.Table, posts_of: Callable[[pa.Table], pa.Table]
    ) -> Iterator[Tombstone]:
        """Tombstones of the posts of authors who asked to be forgotten."""
        asked = held.filter(
            pc.and_(
                pc.and_(pc.equal(held["subject"], Subject.AUTHOR), pc.equal(held["origin"], Origin.REQUEST)),
                pc.and_(pc.equal(held["action"], Action.DELETE), pc.is_valid(held["id"])),
            )
        )
        if asked.num_rows == 0:
            return
        because = {(row["network"], row["id"]): row["subject_hash"] for row in asked.to_pylist()}
        has = {
            row["subject_hash"]
            for row in held.to_pylist()
            if row["subject"] == Subject.POST and row["origin"] == Origin.REQUEST and row["id"] is not None
        }
        now = self._clock()
        for post in posts_of(asked.select(["network", "id"])).to_pylist():
            network, id_ = post["network"], post["post_id"]
            if self.tombstones.suppression.digest(network, Subject.POST, id_) not in has:
                yield Tombstone(
                    network, Subject.POST, id_, Action.DELETE, Origin.REQUEST, now,
                    because=because[network, post["author_id"]],
                )  # fmt: skip


def _again(row: dict[str, Any], id_: str, now: datetime) -> Tombstone:
    return Tombstone(
        row["network"], Subject(row["subject"]), id_, Action(row["action"]), Origin(row["origin"]), now,
        reason=KNOWN_AGAIN, because=row["because"],
    )  # fmt: skip


def _with_id(rows: pa.Table) -> pa.Table:
    """Those whose id is still known; networks always are."""
    return rows.filter(pc.is_valid(rows["id"]))
