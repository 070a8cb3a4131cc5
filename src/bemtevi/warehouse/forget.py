"""To forget on request: what a request will touch, and its tombstones.

Owns the counting before and the words of `forget` and its undoing. Leaves
to consolidation that it is obeyed, to
`erase` the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow.compute as pc

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.literal import parquet
from bemtevi.lake.reading import let_read
from bemtevi.lake.tombstone import Action, Origin, Subject, Tombstone, Tombstones, gone
from bemtevi.warehouse.model import FACT, load_models
from bemtevi.warehouse.run import last_run

COUNT = {
    Subject.POST: ("post_id = $id", "referenced_post_id = $id"),
    Subject.AUTHOR: ("author_id = $id", "referenced_author_id = $id"),
    Subject.NETWORK: ("true", "false"),
}
"""Which posts are meant, and which refer to them."""


@dataclass(frozen=True)
class Touched:
    """Posts that readers see now and that would go, and those that stay and would no longer name them."""

    posts: int
    reposts: int
    quotes: int
    hours: int


@dataclass(frozen=True)
class Request:
    """What somebody wants forgotten."""

    network: str
    subject: Subject
    id: str

    def touched(self, lake: Lake) -> Touched:
        """What it concerns of what readers see now."""
        fact = next(model.definition for model in load_models() if model.name == FACT)
        run = last_run(lake)
        version = None if run is None else run.table_versions.get(FACT)
        files = [] if version is None else lake.table(fact).snapshot(version).files
        if not files:
            return Touched(0, 0, 0, 0)
        meant, referring = COUNT[self.subject]
        sql = f"""
            select count(*) filter (where {meant}),
              count(*) filter (where not ({meant}) and {referring} and type = 'repost'),
              count(*) filter (where not ({meant}) and {referring} and type <> 'repost'),
              count(distinct created_hour) filter (where ({meant}) or ({referring}))
            from {parquet(files)}
            where network = $network
        """
        values = {"network": self.network} | ({"id": self.id} if "$id" in sql else {})
        with duckdb.connect() as connection:
            let_read(connection, lake.storage_options)
            row = connection.execute(sql, values).fetchone() or (0, 0, 0, 0)
        return Touched(*map(int, row))

    def held(self, tombstones: Tombstones) -> list[dict[str, object]]:
        """The tombstones of this subject that were asked for and hold, and of what followed from it."""
        digest = tombstones.suppression.digest(self.network, self.subject, self.id)
        rows = gone(tombstones.read())
        mine = pc.or_kleene(
            pc.equal(rows["subject_hash"], digest), pc.fill_null(pc.equal(rows["because"], digest), False)
        )
        asked = pc.equal(rows["origin"], Origin.REQUEST)
        return list(rows.filter(pc.and_(mine, asked)).to_pylist())

    def forget(self, tombstones: Tombstones, now: datetime) -> None:
        """Write the tombstone. To ask again does no harm."""
        if not self.held(tombstones):
            tombstones.note(
                [Tombstone(self.network, self.subject, self.id, Action.DELETE, Origin.REQUEST, now)]
            )

    def undo(self, tombstones: Tombstones, now: datetime) -> bool:
        """Take it back; whether all of it can still come back. Raises UsageError if it was not forgotten."""
        held = self.held(tombstones)
        if not held:
            raise UsageError(
                f"The {self.subject} {self.id} of {self.network} is not forgotten: nothing to undo."
            )
        tombstones.note(_restored(held, now))
        return all(row["id"] is not None for row in held)


def _restored(held: list[dict[str, object]], now: datetime) -> Iterator[Tombstone]:
    for row in held:
        yield Tombstone(
            str(row["network"]),
            Subject(str(row["subject"])),
            None if row["id"] is None else str(row["id"]),
            Action.RESTORE,
            Origin.REQUEST,
            now,
            because=None if row["because"] is None else str(row["because"]),
            subject_hash=str(row["subject_hash"]),
        )
