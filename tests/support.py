"""What several tests need: a lake with messages in it, and what its tables hold.

Owns small helpers over the real thing; nothing here stands in for a part of the product.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.listen.archive import import_file
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.message import Messages, Origin, commit, shape
from bemtevi.serve.catalog import Catalog
from bemtevi.warehouse.consolidate import Consolidation
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.run import Run

ZONE = "America/Sao_Paulo"
PATIENCE = 60.0
"""Seconds to wait for what must come to pass: a busy machine is no failure."""


def eventually(true: Callable[[], object], what: str = "it", seconds: float = PATIENCE) -> None:
    """Wait until something is so; fail if it never is."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"after {seconds:g} s still not: {what}"
        time.sleep(0.01)


def once_wrong(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but for a mistake at the first time: what nobody has foreseen."""
    made: list[bool] = []

    def wrong(*arguments: Any, **named: Any) -> Any:
        if not made:
            made.append(True)
            raise RuntimeError("a mistake of ours")
        return work(*arguments, **named)

    return wrong


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def new_lake(folder: Path, timezone: str = ZONE) -> Lake:
    """A lake in a folder."""
    return Lake(Layout(str(folder / "lake")), timezone, local=folder / "journal")


def put(
    lake: Lake,
    payloads: Sequence[bytes | dict[str, Any]],
    *,
    number: int = 0,
    received_at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC),
    session: str = "test",
    path: str = "stream",
) -> None:
    """Messages into layer 1, as the writer does: one commit, transaction `number` of `session`."""
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in payloads]
    at = int(received_at.timestamp() * 1_000_000)
    messages = Messages(
        Origin("x", "test", path, session),
        lines,
        [at + index for index in range(len(lines))],
        range(number * 1_000_000, number * 1_000_000 + len(lines)),
    )
    commit(lake, shape([messages], EnvelopeReader()), (session, number))


def put_file(lake: Lake, path: Path) -> None:
    """An archive file into layer 1."""
    import_file(lake, path, hashlib.sha256(path.read_bytes()).hexdigest(), time.time_ns)


def consolidate(
    lake: Lake,
    period: tuple[datetime, datetime] | None = None,
    *,
    rules: dict[str, list[str]] | None = None,
    batch_bytes: int = 1 << 30,
) -> list[Run]:
    """All that is new, and then a period again."""
    with DuckDBEngine(
        timezone=lake.timezone,
        memory_limit="1GB",
        threads=2,
        rule_hashtags=rules or {},
        storage_options=lake.storage_options,
    ) as engine:
        work = Consolidation(lake, engine, batch_bytes, lambda: datetime.now(UTC))
        runs = list(work.run_new())
        if period is not None:
            runs += list(work.run_period(*period))
        return runs


def rows(lake: Lake, sql: str) -> list[dict[str, Any]]:
    """The answer to a query."""
    with Catalog(lake) as catalog:
        return list(catalog.query(sql).to_pylist())


def contents(lake: Lake, without: Iterable[str] = ()) -> dict[str, list[tuple[str, ...]]]:
    """Every row of every layer-2 table, sorted; `without` some columns. Equal means equal tables."""
    left_out = set(without)
    with Catalog(lake) as catalog:
        held = {}
        for model in load_models():
            columns = [*model.definition.schema.names, *(one.name for one in model.definition.derived)]
            names = [f'"{name}"' for name in columns if name not in left_out]
            table = catalog.query(f"select {', '.join(names)} from {model.name}")
            held[model.name] = sorted(
                tuple(str(value) for value in row.values()) for row in table.to_pylist()
            )
        return held


def post(number: int, text: str = "", **fields: Any) -> dict[str, Any]:
    """A v2 stream line with a post; `number` makes its id (one a second from 2026-11-24 10:00 UTC)."""
    milliseconds = 1_795_514_400_000 + number * 1000
    post_id = str((milliseconds - 1288834974657) << 22)
    at = datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    words = [word.strip("#") for word in text.split() if word.startswith("#")]
    data: dict[str, Any] = {
        "id": post_id,
        "text": text,
        "created_at": at,
        "author_id": "7",
        "lang": "pt",
        "public_metrics": {"retweet_count": 0, "reply_count": 0, "like_count": 0, "quote_count": 0},
        "edit_history_tweet_ids": [post_id],
    }
    if words:
        data["entities"] = {"hashtags": [{"start": 0, "end": 1, "tag": word} for word in words]}
    return {"data": data | fields, "includes": {"users": [user("7")]}}


def user(author_id: str, **fields: Any) -> dict[str, Any]:
    """A v2 user."""
    return {
        "id": author_id,
        "username": f"user{author_id}",
        "name": f"User {author_id}",
        "description": "",
        "verified": False,
        "public_metrics": {"followers_count": 1, "following_count": 2, "tweet_count": 3, "listed_count": 0},
        "created_at": "2015-01-01T00:00:00.000Z",
    } | fields
