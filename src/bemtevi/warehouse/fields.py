"""Fields of messages: which a network sends, which it has added, which have gone.

Owns the table `payload_field` and what is learned from a sample of each batch. A network that changes its
JSON is told on the day that it does, not on the day that somebody misses a column. Leaves to `checks` what a
result is, and to `inspection` that it is kept.

A sample is enough: what a network changes, it changes in nearly every message. Names of fields are the
network's; a name that does not look like one (an id or a word of a person as a key) counts as `*`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from bemtevi.lake.definition import TIMESTAMP, Check, Column, TableDefinition
from bemtevi.lake.raw import RAW
from bemtevi.lake.table import Table
from bemtevi.warehouse.checks import Result

PAYLOAD_FIELD = TableDefinition(
    name="payload_field",
    layer=2,
    grain="one field of the messages of one network, dialect and path",
    key=("network", "dialect", "path", "field"),
    columns=(
        Column("network", pa.string(), "Network of the messages."),
        Column("dialect", pa.string(), "Form of their JSON."),
        Column("path", pa.string(), "How they came: stream, search, archive."),
        Column("field", pa.string(), "The field: names with dots between, `[]` for the entries of a list."),
        Column("sampled", pa.int64(), "Messages of this kind looked at so far; a few of each batch."),
        Column("seen", pa.int64(), "Of them with the field."),
        Column("missed", pa.int64(), "Messages looked at since one had it."),
        Column("first_seen_at", TIMESTAMP, "Run that first saw it."),
        Column("last_seen_at", TIMESTAMP, "Run that last saw it."),
        Column("gone_at", TIMESTAMP, "Run that found it gone; null while it comes."),
    ),
)

FILES, MESSAGES = 5, 100
"""So many files of a batch are looked into, and so many messages of each."""
MOST_FIELDS = 2_000
USUAL = 0.5
"""The share of messages in which a field stands whose absence is told."""
MISSED_LEAST = 100
BY_CHANCE = 1e-6
"""A field counts as gone once so long a silence would be rarer by chance."""
TOLD = 8
NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_$.@:-]{1,60}")

Group = tuple[str, str, str]


@dataclass(frozen=True)
class Known:
    """What is known of one field: a row of `payload_field`."""

    network: str
    dialect: str
    path: str
    field: str
    sampled: int
    seen: int
    missed: int
    first_seen_at: datetime
    last_seen_at: datetime
    gone_at: datetime | None

    @property
    def group(self) -> Group:
        """The kind of message that it stands in."""
        return self.network, self.dialect, self.path


@dataclass(frozen=True)
class Sample:
    """Some messages of one kind, and in how many of them each field stands."""

    messages: int
    fields: Counter[str]


def fields_of(payload: str | bytes) -> set[str]:
    """The fields of one message; none if it is not JSON."""
    try:
        return set(_walk(msgspec.json.decode(payload), ""))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return set()


def _walk(value: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = key if NAME.fullmatch(key) else "*"
            here = f"{at}.{name}" if at else name
            yield here
            yield from _walk(inner, here)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, f"{at}[]")


def sample(table: Table, files: Sequence[str]) -> dict[Group, Sample]:
    """A few messages of the first file, the last and some between, by their kind."""
    step = max((len(files) - 1) / (FILES - 1), 1.0)
    chosen = {files[min(round(number * step), len(files) - 1)] for number in range(FILES)}
    counts: dict[Group, tuple[int, Counter[str]]] = {}
    for file in sorted(chosen):
        with table.told(), table.filesystem.open_input_file(table.path_of(file)) as source:
            columns = ["network", "dialect", "path", "payload"]
            batches = pq.ParquetFile(source).iter_batches(MESSAGES, columns=columns, use_threads=False)
            for row in next(batches, pa.record_batch([], schema=pa.schema([]))).to_pylist():
                group = row["network"], row["dialect"], row["path"]
                number, fields = counts.setdefault(group, (0, Counter()))
                fields.update(fields_of(row["payload"]))
                counts[group] = number + 1, fields
    return {group: Sample(number, fields) for group, (number, fields) in counts.items()}


@dataclass(frozen=True)
class Learned:
    """What is known after a sample, and what it changed."""

    known: list[Known]
    added: list[Known]
    gone: list[Known]


def learn(known: Sequence[Known], samples: dict[Group, Sample], at: datetime, least: int) -> Learned:
    """Put samples to what is known. Of a kind of which fewer than `least` messages were looked at, nothing is
    told yet: its rare fields are still coming in."""
    rows: dict[tuple[Group, str], Known] = {(one.group, one.field): one for one in known}
    before = {one.group: one.sampled for one in known}
    added, gone = [], []
    for group, found in sorted(samples.items()):
        number = before.get(group, 0)
        held = [one for one in rows.values() if one.group == group]
        for one in held:
            seen = found.fields[one.field]
            changed = replace(
                one,
                sampled=number + found.messages,
                seen=one.seen + seen,
                missed=0 if seen else one.missed + found.messages,
                last_seen_at=at if seen else one.last_seen_at,
                gone_at=None if seen else one.gone_at,
            )
            if changed.gone_at is None and number >= least and _is_gone(one, changed):
                changed = replace(changed, gone_at=at)
                gone.append(changed)
            rows[group, one.field] = changed
        new = sorted(name for name in found.fields if (group, name) not in rows)
        for name in new[: max(MOST_FIELDS - len(held), 0)]:
            one = Known(*group, name, number + found.messages, found.fields[name], 0, at, at, None)
            rows[group, name] = one
            if number >= least:
                added.append(one)
    return Learned(list(rows.values()), added, gone)


def _is_gone(before: Known, now: Known) -> bool:
    heard = before.sampled - before.missed
    share = before.seen / heard if heard else 0.0
    return share >= USUAL and now.missed >= MISSED_LEAST and (1 - share) ** now.missed < BY_CHANCE


def judge(check: Check, learned: Learned, looked_at: int) -> Result:
    """The result of a `fields` check."""
    parts = [
        f"{kind} of {network} ({dialect}, {path}): {_names(fields)}"
        for kind, changes in (("new fields", learned.added), ("fields gone", learned.gone))
        for (network, dialect, path), fields in _by_group(changes).items()
    ]
    wrong = len(learned.added) + len(learned.gone)
    told = "; ".join(parts) or "messages have the fields that they had"
    return Result(RAW.name, check.name, check.severity, wrong, looked_at, told)


def _by_group(changes: Sequence[Known]) -> dict[Group, list[str]]:
    groups: dict[Group, list[str]] = {}
    for one in changes:
        groups.setdefault(one.group, []).append(one.field)
    return groups


def _names(fields: Sequence[str]) -> str:
    more = f" and {len(fields) - TOLD} more" if len(fields) > TOLD else ""
    return ", ".join(fields[:TOLD]) + more


def read_fields(table: Table) -> list[Known]:
    """What is known so far."""
    return [Known(**row) for row in table.read().to_pylist()]


def write_fields(table: Table, known: Sequence[Known], transaction: tuple[str, int]) -> None:
    """Keep what is known, in the place of what was."""
    rows = pa.Table.from_pylist([vars(one) for one in known], schema=PAYLOAD_FIELD.schema)
    table.replace("true", rows, transaction)
