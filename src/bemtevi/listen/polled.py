"""What was polled: how far each rule has come, and what that makes of gaps.

Owns the file of the places, which is replaced whole after the pages before them are durable. Leaves to `poll`
when a rule is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import msgspec

from bemtevi.errors import CorruptionError, StorageError
from bemtevi.lake.durable import replace_file
from bemtevi.lake.gap import Cause, Gap, State, new_gap
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen.asking import Search
from bemtevi.listen.fill import cut_off, unfillable
from bemtevi.listen.ledger import TICK
from bemtevi.listen.message import Origin

TOO_OLD = "older than search reaches"


class Place(msgspec.Struct):
    """How far a rule has come: all that is older than `until` is durable."""

    until: datetime
    newest: dict[str, str] = {}
    """Of each query the id of the newest post that came."""


def load(layout: JournalLayout) -> dict[str, Place]:
    """The places by the tags of the rules; none if nothing was polled yet. Raises CorruptionError."""
    try:
        return msgspec.json.decode(layout.polled.read_bytes(), type=dict[str, Place])
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CorruptionError(
            f"The file {layout.polled} does not read back: move it away; each rule begins at its last gap."
        ) from None


def save(layout: JournalLayout, places: dict[str, Place]) -> None:
    """Keep them, durable before this returns. Raises StorageError."""
    try:
        replace_file(layout.polled, msgspec.json.encode(places), durable=True)
    except OSError as error:
        raise StorageError(f"The file {layout.polled} cannot be written: {error.strerror}.") from None


def brought(gaps: Iterable[Gap], lost: dict[str, datetime], search: Search, now: datetime) -> list[Gap]:
    """The last rows of gaps whose time was brought. Pure.

    `lost`: of some rules, by tag, search did not reach what is older than this.
    """
    rows: list[Gap] = []
    for gap in gaps:
        since = max((at for tag, at in lost.items() if gap.concerns([tag])), default=None)
        if since is not None and since >= (gap.ended_at or now):
            rows.append(unfillable(gap, TOO_OLD, now))
            continue
        if since is not None and since > gap.started_at:
            old, gap = cut_off(gap, since, now)
            rows.append(old)
        rows.append(
            replace(
                gap,
                state=State.FILLED,
                filled_by=search.name,
                missing_kinds=search.missing_kinds,
                updated_at=max(now, gap.updated_at + TICK),
            )
        )
    return rows


def gap_of(
    origin: Origin, listener: str, cause: Cause, tag: str, since: datetime, detail: str, now: datetime
) -> Gap:
    """An open gap of one rule that search does not bring."""
    return new_gap(
        origin.network,
        cause,
        since,
        path=origin.path,
        source=origin.source,
        rules=[tag],
        detail=detail,
        listener=listener,
        now=now,
    )
