"""Layer 1: `raw` and `quarantine`, the messages as they were delivered.

Owns the two definitions. Leaves to the listeners how the envelope is read from a payload.
"""

from __future__ import annotations

import pyarrow as pa

from bemtevi.lake.definition import TIMESTAMP, Check, CheckKind, Column, TableDefinition

ENVELOPE = (
    Column("network", pa.string(), "Network that the message is from: x."),
    Column("received_date", pa.date32(), "UTC date of `received_at`; the partition."),
    Column("received_hour", pa.int32(), "UTC hour of `received_at`, 0 to 23."),
    Column(
        "received_at",
        TIMESTAMP,
        "When we received the message; for a file, when it was imported.",
        distinct=True,
    ),
    Column("source", pa.string(), "Host, instance or file that it came from."),
    Column("path", pa.string(), "How it came: stream, search, archive."),
    Column("dialect", pa.string(), "Form of the JSON; names the staging file that reads it."),
    Column("session", pa.string(), "One connection, or one file by the hash of its bytes."),
    Column("sequence", pa.int64(), "Position in the session, from 0.", distinct=True),
)

FILES_BY = ("received_date", "received_hour")
"""A file of layer 1 holds messages of one hour."""

RAW = TableDefinition(
    name="raw",
    layer=1,
    grain="one delivered message",
    key=("session", "sequence"),
    partition_by=("received_date",),
    checks=(Check(CheckKind.FIELDS, least=1_000),),
    properties={
        # a commit a second is usual here: replaying the log must stay short, and so must the list of the
        # small files that were merged; the log is kept until it has been read (docs/architecture.md)
        "delta.checkpointInterval": "10",
        "delta.deletedFileRetentionDuration": "interval 6 hours",
        "delta.enableExpiredLogCleanup": "false",
    },
    columns=(
        *ENVELOPE,
        Column(
            "event_at",
            TIMESTAMP,
            "The server's time of the event, where the message tells it.",
            distinct=True,
        ),
        Column("kind", pa.string(), "post, page (several posts), edit, delete, account, system, unknown."),
        Column(
            "key",
            pa.string(),
            "The network's own id of the post; null for a page or a notice.",
            distinct=True,
        ),
        Column("version", pa.string(), "Which version of the post, counted from 1, where it can be edited."),
        Column("matched", pa.list_(pa.string()), "Tags of the rules that the server says it matched."),
        Column("payload", pa.string(), "The message, byte for byte.", private=True),
    ),
)

QUARANTINE = TableDefinition(
    name="quarantine",
    layer=1,
    grain="one message that we could not read",
    key=("session", "sequence"),
    partition_by=("received_date",),
    columns=(
        *ENVELOPE,
        Column("stage", pa.string(), "Who could not read it: envelope (on arrival) or staging."),
        Column("reason", pa.string(), "Why, in one sentence, without any of its text."),
        Column("payload", pa.binary(), "The message, byte for byte.", private=True),
    ),
)
