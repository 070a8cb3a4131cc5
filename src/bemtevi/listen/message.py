"""Messages on their way to layer 1, and their last step: rows of `raw` and `quarantine`.

Owns the shaping of delivered bytes into the two tables and the commit of both under one transaction, so that
whatever is repeated after a crash is written once. Leaves to `journal` and `archive` where messages wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.envelope import Envelope, UnreadableError

STRING = pa.string()


@dataclass(frozen=True)
class Origin:
    """Where messages come from: the same for all of one connection or file."""

    network: str
    source: str
    path: str
    session: str
    matched: tuple[str, ...] = ()
    """Tags of the rules that were asked for, where the messages themselves do not tell (search)."""


@dataclass
class Messages:
    """Some messages of one origin, in order. Times are microseconds since 1970 (UTC)."""

    origin: Origin
    payloads: Sequence[bytes]
    received_at: Sequence[int]
    sequences: Sequence[int]
    places: Sequence[str] | None = None
    """Where each stood in a file ("line 7"), for the reason of one that cannot be read."""
    column: pa.Array | None = None
    """The payloads as an Arrow string column, where they already lie so; not validated."""
    lengths: Sequence[int] | None = None
    """Bytes of each payload, where somebody has counted them already."""

    @property
    def sizes(self) -> Sequence[int]:
        """Bytes of each payload."""
        return self.lengths or [*map(len, self.payloads)]

    def after(self, sequence: int) -> Messages:
        """Those from this position on."""
        skip = max(sequence - self.sequences[0], 0)
        places = None if self.places is None else self.places[skip:]
        return Messages(
            self.origin, self.payloads[skip:], self.received_at[skip:], self.sequences[skip:], places
        )


@dataclass
class Count:
    """What became of messages; adds up."""

    messages: int = 0
    raw: int = 0
    quarantined: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    posts: dict[tuple[str, str], int] = field(default_factory=dict)
    """Posts by network and path, repetitions included."""
    post_ids: list[str] = field(default_factory=list)

    def add(self, other: Count) -> None:
        """Add another count to this one."""
        self.messages += other.messages
        self.raw += other.raw
        self.quarantined += other.quarantined
        for kind, number in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + number
        for way, number in other.posts.items():
            self.posts[way] = self.posts.get(way, 0) + number
        self.post_ids += other.post_ids


@dataclass
class Shaped:
    """Rows ready to be committed."""

    raw: pa.Table
    quarantine: pa.Table
    count: Count


def shape(batches: Iterable[Messages], reader: EnvelopeReader) -> Shaped:
    """Turn messages into rows of `raw` and `quarantine`. Pure but for the reader's memory of the dialect."""
    count = Count()
    raw_tables: list[pa.Table] = []
    quarantine_tables: list[pa.Table] = []
    for messages in batches:
        envelopes: list[Envelope | None] = []
        failures: list[tuple[int, str]] = []
        payload_column, bad_bytes = _text(messages)
        posts_before = len(count.post_ids)
        for index, payload in enumerate(messages.payloads):
            try:
                if index in bad_bytes:
                    raise UnreadableError("not UTF-8")  # noqa: TRY301  one way for all reasons
                envelope = reader.read(payload)
            except UnreadableError as error:
                envelopes.append(None)
                failures.append((index, str(error)))
                continue
            envelopes.append(envelope)
            if envelope.kind == "unknown":
                failures.append((index, "JSON, but no message that this version knows"))
        good = [index for index, envelope in enumerate(envelopes) if envelope is not None]
        whole = len(good) == len(envelopes)
        for kind, number in Counter([envelope.kind for envelope in envelopes if envelope]).items():
            count.kinds[kind] = count.kinds.get(kind, 0) + number
        count.post_ids += [post for envelope in envelopes if envelope for post in envelope.posts]
        if good:
            payload = payload_column if whole else payload_column.take(pa.array(good))
            raw_tables.append(_raw(messages, [envelopes[index] for index in good], good, payload))
        if failures:
            quarantine_tables.append(_quarantine(messages, failures, envelopes))
        way = (messages.origin.network, messages.origin.path)
        count.posts[way] = count.posts.get(way, 0) + len(count.post_ids) - posts_before
        count.messages += len(messages.payloads)
        count.raw += len(good)
        count.quarantined += len(failures)
    return Shaped(
        pa.concat_tables(raw_tables) if raw_tables else RAW.schema.empty_table(),
        pa.concat_tables(quarantine_tables) if quarantine_tables else QUARANTINE.schema.empty_table(),
        count,
    )


def commit(lake: Lake, shaped: Shaped, transaction: tuple[str, int]) -> None:
    """Write both tables under one transaction number; what is already there under it is left alone.

    `raw` is written last and also without rows: its number says that all is there.
    """
    application, number = transaction
    for definition, rows in ((QUARANTINE, shaped.quarantine), (RAW, shaped.raw)):
        if rows.num_rows == 0 and definition is not RAW:
            continue
        table = lake.table(definition)
        done = table.transaction(application)
        if done is None or done < number:
            table.append(rows, transaction)


def committed(lake: Lake, application: str) -> int:
    """The highest transaction number that `application` has wholly in layer 1; -1 if none."""
    number = lake.table(RAW).transaction(application)
    return -1 if number is None else number


def _text(messages: Messages) -> tuple[pa.Array, set[int]]:
    """The payloads as an Arrow string column, and the indexes of those that are not UTF-8 (empty there)."""
    payloads = messages.payloads
    column = strings(payloads) if messages.column is None else messages.column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        bad = {index for index, payload in enumerate(payloads) if not _is_text(payload)}
        mended = list(payloads)
        for index in bad:
            mended[index] = b""
        return strings(mended), bad
    return column, set()


def strings(payloads: Sequence[bytes], kind: pa.DataType = STRING) -> pa.Array:
    """The payloads as an Arrow column of text or bytes, not validated.

    Arrow's own way takes twice the time and, as it grows, twice the memory.
    """
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    offsets = np.zeros(len(payloads) + 1, np.int64 if wide else np.int32)
    np.cumsum(np.fromiter(map(len, payloads), np.int64, len(payloads)), out=offsets[1:])
    return pa.Array.from_buffers(
        kind, len(payloads), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(payloads))]
    )


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _shared(messages: Messages, indexes: Sequence[int]) -> dict[str, pa.Array]:
    """The columns that both tables have, for some of the messages."""
    size = len(indexes)
    received_at, sequences = messages.received_at, messages.sequences
    if size < len(messages.payloads):
        received_at = [received_at[index] for index in indexes]
        sequences = [sequences[index] for index in indexes]
    received = pa.array(received_at, pa.int64())
    received = received.cast(RAW.schema.field("received_at").type)
    origin = messages.origin
    return {
        "received_at": received,
        "received_date": received.cast(pa.date32()),
        "received_hour": pc.cast(pc.hour(received), pa.int32()),
        "source": pa.repeat(origin.source, size),
        "path": pa.repeat(origin.path, size),
        "session": pa.repeat(origin.session, size),
        "sequence": pa.array(sequences, pa.int64()),
    }


def _raw(
    messages: Messages, envelopes: Sequence[Envelope | None], indexes: Sequence[int], payload: pa.Array
) -> pa.Table:
    read = [envelope for envelope in envelopes if envelope is not None]
    columns = _shared(messages, indexes) | {
        "network": pa.array([envelope.network for envelope in read], pa.string()),
        "dialect": pa.array([envelope.dialect for envelope in read], pa.string()),
        "event_at": pa.array([envelope.event_at for envelope in read], pa.int64()).cast(
            RAW.schema.field("event_at").type
        ),
        "kind": pa.array([envelope.kind for envelope in read], pa.string()),
        "key": pa.array([envelope.key for envelope in read], pa.string()),
        "version": pa.array([envelope.version for envelope in read], pa.string()),
        "matched": pa.array(
            [envelope.matched or messages.origin.matched for envelope in read], pa.list_(pa.string())
        ),
        "payload": payload,
    }
    return pa.table([columns[name] for name in RAW.schema.names], schema=RAW.schema)


def _quarantine(
    messages: Messages, failures: Sequence[tuple[int, str]], envelopes: Sequence[Envelope | None]
) -> pa.Table:
    indexes = [index for index, _ in failures]
    places = messages.places
    size = len(indexes)
    columns = _shared(messages, indexes) | {
        "network": pa.repeat(messages.origin.network, size),
        "dialect": pa.array(
            [None if (envelope := envelopes[index]) is None else envelope.dialect for index in indexes],
            pa.string(),
        ),
        "stage": pa.repeat("envelope", size),
        "reason": pa.array(
            [reason if places is None else f"{places[index]}: {reason}" for index, reason in failures],
            pa.string(),
        ),
        "payload": pa.array([messages.payloads[index] for index in indexes], pa.binary()),
    }
    return pa.table([columns[name] for name in QUARANTINE.schema.names], schema=QUARANTINE.schema)
