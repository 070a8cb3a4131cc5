"""Layer 1: `tombstone`, who and what is deleted, without a word of it.

Owns the definition, the appending of rows, and what holds of each subject: its last row. A tombstone does
not tell when it was obeyed; the runs do.
Leaves to `warehouse.notice` what networks say, to `warehouse.hiding` what
a tombstone does to tables, and to `warehouse.erase` the bytes.

The table has no partition: rows of any age are needed, so it is never cut by age, and it is small.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.errors import UsageError
from bemtevi.lake.definition import TIMESTAMP, Column, TableDefinition
from bemtevi.lake.lake import acquire
from bemtevi.lake.suppression import Suppression
from bemtevi.lake.table import Table

if TYPE_CHECKING:
    from bemtevi.lake.lake import Lake

KEY_PROPERTY = "bemtevi.suppressionKey"
LOCK = "tombstone"
LOCK_SECONDS = 30.0
ERASED = "erased"
"""Stands where the id of a forgotten post or author stood in what others wrote."""


class Subject(StrEnum):
    """What a tombstone is about."""

    POST = "post"
    AUTHOR = "author"
    NETWORK = "network"


class Action(StrEnum):
    """What is to happen to it."""

    DELETE = "delete"
    RESTORE = "restore"
    SCRUB_GEO = "scrub_geo"


class Origin(StrEnum):
    """Who wants it."""

    NOTICE = "notice"
    REQUEST = "request"
    COMPLIANCE = "compliance"


TOMBSTONE = TableDefinition(
    name="tombstone",
    layer=1,
    grain="one word that a post, an author or a network is to go, to come back, or to lose its place",
    key=("network", "subject", "subject_hash", "action", "noted_at"),
    columns=(
        Column("network", pa.string(), "Network of the subject."),
        Column("subject", pa.string(), "What is meant: post, author, network."),
        Column("id", pa.string(), "The network's id of it; null once it is erased.", private=True),
        Column(
            "subject_hash",
            pa.string(),
            "Keyed hash of it: known again when it is delivered again.",
            private=True,
        ),
        Column("action", pa.string(), "delete, restore, or scrub_geo: the place alone goes."),
        Column(
            "origin",
            pa.string(),
            "notice (the network's message), compliance (the network's answer to a job), request (forget): "
            "then also what others wrote no longer names the subject.",
        ),
        Column("reason", pa.string(), "The network's word: deleted, suspended, protected, withheld, …"),
        Column(
            "because",
            pa.string(),
            "Hash of the author or network that was forgotten, if this row follows from that.",
            private=True,
        ),
        Column(
            "up_to", pa.string(), "With scrub_geo of an author: the last post that is meant.", private=True
        ),
        Column("event_at", TIMESTAMP, "When it happened, if the network says so."),
        Column("noted_at", TIMESTAMP, "When we were told."),
        Column("erased_at", TIMESTAMP, "When the bytes were erased; null before."),
    ),
)


@dataclass(frozen=True)
class Tombstone:
    """One row to be written."""

    network: str
    subject: Subject
    id: str | None
    """None if it was erased: then its hash is told."""
    action: Action
    origin: Origin
    noted_at: datetime
    reason: str | None = None
    because: str | None = None
    up_to: str | None = None
    event_at: datetime | None = None
    subject_hash: str | None = None


class Tombstones:
    """The table of one lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._suppression: Suppression | None = None

    @property
    def suppression(self) -> Suppression:
        """The keyed hashes of the lake. Raises UsageError if the rows were made with another key."""
        if self._suppression is None:
            self._suppression = self._lake.suppression()
            made_with = self._lake.table(TOMBSTONE).property(KEY_PROPERTY)
            if made_with not in (None, self._suppression.fingerprint):
                raise UsageError(
                    f"The tombstones of {self._lake.layout.root} were made with another key: bring back its "
                    "file .suppression.key, or the setting suppression_key."
                )
        return self._suppression

    @property
    def table(self) -> Table:
        """The table, which need not exist yet."""
        table = self._lake.table(TOMBSTONE)
        if not table.exists():
            table = self._lake.table(TOMBSTONE, {KEY_PROPERTY: self.suppression.fingerprint})
        return table

    def version(self) -> int:
        """The newest version; -1 if there is no tombstone."""
        return self._lake.table(TOMBSTONE).version()

    def read(self) -> pa.Table:
        """Every row."""
        return self._lake.table(TOMBSTONE).read()

    def since(self, version: int) -> pa.Table:
        """The rows that versions after this one added."""
        table = self._lake.table(TOMBSTONE)
        files = [file for commit in table.commits(version, table.version()) for file in commit.files]
        return pa.concat_tables([TOMBSTONE.schema.empty_table(), *table.rows(files, TOMBSTONE.schema.names)])

    def note(self, tombstones: Iterable[Tombstone]) -> int:
        """Add rows in one commit; those that are there already are left out. How many were new."""
        rows = self.rows(tombstones)
        if rows.num_rows == 0:
            return 0
        with acquire(self._lake.lock(LOCK), "writing tombstones", LOCK_SECONDS):
            there = self.read()
            key = list(TOMBSTONE.key)
            new = rows.join(there.select(key), key, join_type="left anti") if there.num_rows else rows
            if new.num_rows:
                self.table.append(new.select(TOMBSTONE.schema.names).cast(TOMBSTONE.schema))
            return int(new.num_rows)

    def hash_of(self, tombstone: Tombstone) -> str:
        """The keyed hash of its subject."""
        if tombstone.id is None:
            return str(tombstone.subject_hash)
        return self.suppression.digest(tombstone.network, tombstone.subject, tombstone.id)

    def rows(self, tombstones: Iterable[Tombstone]) -> pa.Table:
        """Tombstones as rows of the table, each once."""
        found: dict[tuple[object, ...], dict[str, Any]] = {}
        for tombstone in tombstones:
            row = asdict(tombstone) | {
                "subject_hash": self.hash_of(tombstone),
                "erased_at": None,
            }
            found.setdefault(tuple(row[name] for name in TOMBSTONE.key), row)
        return pa.Table.from_pylist(list(found.values()), schema=TOMBSTONE.schema)


def state(rows: pa.Table) -> pa.Table:
    """What holds of each subject: its last row. Pure.

    The place is a matter of its own, and so is what somebody asked for: no notice of the network takes it
    back. Of two words of the same time, deletion wins.
    """
    if rows.num_rows == 0:
        return rows
    at = pc.coalesce(rows["event_at"], rows["noted_at"])
    place = pc.equal(rows["action"], Action.SCRUB_GEO)
    ordered = (
        rows.append_column("at", at)
        .append_column("place", place)
        .append_column("last", pc.not_equal(rows["action"], Action.RESTORE))
        .append_column("known", pc.is_valid(rows["id"]))
        .append_column("asked", pc.equal(rows["origin"], Origin.REQUEST))
        .append_column("number", pa.array(range(rows.num_rows), pa.int64()))
    )
    subject = ["network", "subject", "subject_hash", "place", "asked"]
    by = [
        *((name, "ascending") for name in subject),
        *((name, "descending") for name in ("at", "last", "known", "noted_at")),
    ]
    numbers = pc.sort_indices(ordered, by)
    ordered = ordered.take(numbers)
    firsts = ordered.group_by(subject, use_threads=False).aggregate([("number", "first")])
    return rows.take(firsts["number_first"])


def gone(rows: pa.Table) -> pa.Table:
    """The subjects of which deletion or the loss of the place holds, one row for each reason. Pure."""
    held = state(rows)
    return held.filter(pc.not_equal(held["action"], Action.RESTORE))


def known_again(erased: Collection[str], ids: Iterable[Sequence[str]], suppression: Suppression) -> list[int]:
    """Of (network, subject, id), the positions of those whose hash is one of the erased. Pure."""
    return [
        index for index, (network, subject, id_) in enumerate(ids)
        if suppression.digest(network, subject, id_) in erased
    ]  # fmt: skip
