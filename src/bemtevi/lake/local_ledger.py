"""The part of the gap ledger that is on the listener's own disk: what layer 1 does not have yet.

Owns two small files beside a journal. `gaps.json` holds the gap that lasts, rows on their way to layer 1, and
the times of the last connects; it is replaced whole, with fsync. `alive.json` is the last sign of life,
written each second: after a `kill -9` nobody else knows when it happened. Reading them here lets the command
line tell the truth while no listener runs. Leaves to `listen.ledger` what is written.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from bemtevi.errors import CorruptionError
from bemtevi.lake.durable import replace_file
from bemtevi.lake.gap import Cause, Gap, new_gap, newest, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout, journals

FRESH = timedelta(seconds=15)
"""A sign of life so young means that a listener runs."""


class Local(msgspec.Struct):
    """What `gaps.json` holds."""

    lake: str
    open: list[Gap] = []
    """The gaps of all rules that last; the last one is that of this listener."""
    reasons: dict[str, float] = {}
    """Seconds of each cause in it, but for the present one."""
    reason_since: datetime | None = None
    waiting: list[Gap] = []
    """Rows for layer 1."""
    sending: list[Gap] = []
    """Rows that are perhaps there already, under the transaction `number`."""
    number: int = 0
    connects: list[float] = []
    """When the last connects were made, in seconds since 1970."""
    rules: list[str] = []
    """The tags of the rules that the network had when it was last asked."""
    giving: list[str] = []
    """Of them those that it has lost, and that we were about to give again."""
    rules_at: datetime | None = None


class Alive(msgspec.Struct):
    """What `alive.json` holds."""

    network: str
    path: str
    source: str | None
    listener: str
    until: datetime
    """Whatever was sent to us before is durable here."""
    seen_at: datetime | None = None
    """When it was written; None: at about `until`."""


def load(layout: JournalLayout) -> Local | None:
    """What is kept; None if nothing is. Raises CorruptionError."""
    try:
        return msgspec.json.decode(layout.ledger.read_bytes(), type=Local)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CorruptionError(
            f"The file {layout.ledger} does not read back: move it away to go on; gaps that were only in it "
            "are lost."
        ) from None


def save(layout: JournalLayout, local: Local) -> None:
    """Keep it, durable before this returns."""
    replace_file(layout.ledger, msgspec.json.encode(local), durable=True)


def read_alive(layout: JournalLayout) -> Alive | None:
    """The last sign of life; None if there is none that can be read."""
    try:
        return msgspec.json.decode(layout.alive.read_bytes(), type=Alive)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def write_alive(layout: JournalLayout, alive: Alive) -> None:
    """Keep it. A power cut may leave an older one: the gap is longer then, never shorter."""
    replace_file(layout.alive, msgspec.json.encode(alive), durable=False)


def killed(alive: Alive, now: datetime) -> Gap:
    """The gap of a listener that ended without a word, found at `now`."""
    return new_gap(
        alive.network,
        Cause.KILLED,
        alive.until,
        path=alive.path,
        source=alive.source,
        listener=alive.listener,
        detail="the listener ended without a word",
        now=now,
    )


def known_gaps(
    lake: Lake,
    now: datetime,
    *,
    network: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Gap]:
    """All gaps that touch [since, until), with those that only this machine knows, oldest first.

    Raises StorageError if the lake cannot be read.
    """
    gaps = read_gaps(lake)
    for layout in journals(lake.local):
        local = load(layout)
        if local is not None and local.lake == lake.layout.table(1, ""):
            gaps += [*local.open, *local.sending, *local.waiting]
        alive = read_alive(layout)
        if local is None or local.open or alive is None or now - (alive.seen_at or alive.until) < FRESH:
            continue
        if local.lake == lake.layout.table(1, ""):
            gaps.append(killed(alive, now))
    return [
        gap
        for gap in newest(gaps)
        if (network is None or gap.network == network)
        and (until is None or gap.started_at < until)
        and (since is None or gap.ended_at is None or gap.ended_at > since)
    ]
