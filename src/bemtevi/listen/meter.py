"""How many posts were read, by UTC day: each post once a day, as X bills them.

Owns the counting, and the file that keeps it beside the journal. The file is written when layer 1 is; what it
lacks after a crash is counted again from layer 1. Leaves to `budget` what may be read.
"Soft" is X's own word: docs.x.com says that reading a post again on the same UTC day is not billed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bemtevi.lake.durable import replace_file
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.lake.rows import BATCH_ROWS
from bemtevi.listen.dialects import EnvelopeReader

Ids = NDArray[np.uint64]

MOST_IDS = 1_000_000
"""Ids of one day that are known, in 13 MB (measured). Beyond, all count as new, which is never too few."""
MERGE_IDS = 65_536
KEPT_DAYS = 92
BATCH_PAGES = 16
"""Each holds a hundred posts."""
COUNTED = ("received_date", "network", "path", "kind", "key")
BILLED = "network = '{network}' and path <> 'archive' and received_date >= date '{since}'"


class Kept(msgspec.Struct):
    """The file: posts read by day (YYYY-MM-DD), and the share that the rules asked for at last."""

    days: dict[str, int]
    percent: int = 100

    def by_day(self) -> dict[date, int]:
        """The days as dates."""
        return {date.fromisoformat(day): count for day, count in self.days.items()}


class KnownIds:
    """A set of ids that takes little memory and whole arrays at once."""

    def __init__(self) -> None:
        self._sorted: Ids = np.empty(0, np.uint64)
        self._recent: list[Ids] = []

    def __len__(self) -> int:
        return len(self._sorted) + sum(map(len, self._recent))

    def add(self, ids: Ids) -> int:
        """How many of them are new. They are known from now on, as far as there is room."""
        fresh = np.unique(ids)
        for known in (self._sorted, *self._recent):
            if len(known):
                places = np.minimum(np.searchsorted(known, fresh), len(known) - 1)
                fresh = fresh[known[places] != fresh]
        if len(fresh) and len(self) + len(fresh) <= MOST_IDS:
            self._recent.append(fresh)
            if sum(map(len, self._recent)) > MERGE_IDS or len(self._recent) > 32:
                self._sorted = np.sort(np.concatenate([self._sorted, *self._recent]))
                self._recent = []
        return len(fresh)


class Meter:
    """Posts read, by day. For one thread at a time."""

    def __init__(self, days: dict[date, int] | None = None) -> None:
        self.days = dict(days or {})
        self._today = date.min
        self._known = KnownIds()

    def add(self, day: date, ids: Ids) -> int:
        """Posts that were read on a day; how many of them count."""
        if day > self._today:
            self._today, self._known = day, KnownIds()
        # of an earlier day nothing is known any more: each counts, which is never too few
        counted = self._known.add(ids) if day == self._today else len(np.unique(ids))
        if counted:
            self.days[day] = self.days.get(day, 0) + counted
        return counted

    def since(self, day: date) -> int:
        """All that was read from a day on."""
        return sum(count for at, count in self.days.items() if at >= day)


def as_numbers(ids: Iterable[str]) -> Ids:
    """Ids as numbers: X's are; any other id is hashed to one."""
    return np.fromiter(map(_number, ids), np.uint64)


def _number(identity: str) -> int:
    if identity.isascii() and identity.isdigit() and len(identity) < 20:
        return int(identity)
    return int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=8).digest())


def ids_by_day(rows: pa.Table, reader: EnvelopeReader) -> dict[date, Ids]:
    """The ids of the posts in rows of `raw`, by the day received. Pages hold theirs in the payload."""
    found: dict[date, Ids] = {}
    for day in pc.unique(rows["received_date"]).to_pylist():
        of_day = rows.filter(pc.equal(rows["received_date"], pa.scalar(day)))
        ids = _numbers(of_day.filter(_among(of_day["kind"], ("post", "edit")))["key"].drop_null())
        pages = of_day.filter(_among(of_day["kind"], ("page",)))
        if pages.num_rows:
            inside = (reader.read(payload.as_py().encode()).posts for payload in pages["payload"])
            ids = np.concatenate([ids, as_numbers(itertools.chain.from_iterable(inside))])
        found[day] = ids
    return found


def _among(column: pa.ChunkedArray, values: Sequence[str]) -> pa.ChunkedArray:
    """Which rows are one of some values. As a mask: filtering by an expression starts threads of its own."""
    return pc.is_in(column, pa.array(values))


def _numbers(keys: pa.ChunkedArray) -> Ids:
    try:
        return np.asarray(pc.cast(keys, pa.uint64()).to_numpy(), np.uint64)
    except pa.ArrowInvalid:
        return as_numbers(keys.to_pylist())


def load(path: Path, lake: Lake, network: str, since: date) -> Meter:
    """What was read from a day on: by the file, and by layer 1 for what the file may lack.

    Raises StorageError if layer 1 cannot be read.
    """
    kept = read_file(path).by_day()
    from_day = max(since, max(kept, default=since))
    counted = Meter()
    reader = EnvelopeReader()
    table = lake.table(RAW)
    where = BILLED.format(network=network, since=from_day.isoformat())
    for kinds, columns, files, at_once in (
        (["post", "edit"], COUNTED, "kind in ('post', 'edit')", BATCH_ROWS),
        # no stream has pages: its payloads are not to be read for that
        (["page"], [*COUNTED, "payload"], "kind = 'page' and path <> 'stream'", BATCH_PAGES),
    ):
        found: dict[date, list[Ids]] = {}
        for batch in table.scan(columns, f"{where} and {files}", at_once):
            mine = pc.and_(pc.equal(batch["network"], network), pc.not_equal(batch["path"], "archive"))
            mine = pc.and_(mine, pc.greater_equal(batch["received_date"], pa.scalar(from_day)))
            mine = pc.and_(mine, _among(batch["kind"], kinds))
            for day, ids in ids_by_day(batch.filter(mine), reader).items():
                found.setdefault(day, []).append(ids)
        for day in sorted(found):
            counted.add(day, np.concatenate(found[day]))
    for day, count in kept.items():
        counted.days[day] = max(count, counted.days.get(day, 0))
    return counted


def read_file(path: Path) -> Kept:
    """What the file says; nothing if it is not there or cannot be read: layer 1 is counted then."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
        kept.by_day()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return Kept({})
    return kept if 1 <= kept.percent <= 100 else Kept(kept.days)


def write_file(path: Path, meter: Meter, percent: int) -> None:
    """Keep what was counted. Whole or as it was. Raises OSError."""
    days = {day.isoformat(): meter.days[day] for day in sorted(meter.days)[-KEPT_DAYS:]}
    replace_file(path, msgspec.json.encode(Kept(days, percent)), durable=True)
