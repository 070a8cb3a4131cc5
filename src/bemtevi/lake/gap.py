"""Layer 1: `gap`, the ledger of the intervals in which we were deaf.

Owns the definition, the causes and states, and the reading of the ledger: the newest row of a gap tells its
state, earlier ones how it came to it. Leaves to the listeners when a gap begins and ends, and to `coverage`
what a period's gaps say about its completeness. Nothing that a person wrote ever enters this table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import pyarrow as pa

from bemtevi.lake.definition import TIMESTAMP, Column, TableDefinition

if TYPE_CHECKING:
    from bemtevi.lake.lake import Lake


class Cause(StrEnum):
    """Why we were deaf. docs/listening.md tells what each means and what is done about it."""

    NOT_YET = "not yet listening"
    """A rule was followed, and the network did not have it yet."""
    STOPPED = "stopped"
    """A person, or the machine's orderly end, stopped the listener."""
    KILLED = "killed"
    """The listener ended without a word: kill -9, a crash, a power cut."""
    DISCONNECTED = "disconnected"
    """The connection stood and ended: closed, broken, or ended by the network with a notice."""
    UNREACHABLE = "unreachable"
    """No connection: name, route, TCP or TLS."""
    SERVER_ERROR = "server error"
    """The network, or something between, answered with an error or with no message of the network."""
    RATE_LIMITED = "rate limited"
    USAGE_CAP = "usage cap"
    """The account has read what it may in this day or month, or has no credits left."""
    REFUSED = "refused"
    """The token is wrong, or may not do this."""
    TOO_MANY_CONNECTIONS = "too many connections"
    NO_RULES = "no rules"
    """The network had none of our rules, or did not take them."""
    SILENCE = "silence"
    """The connection was open and brought nothing, not even a sign of life."""
    SLOW_READER = "slow reader"
    """The network dropped us because we did not read fast enough."""
    DISK_FULL = "disk full"
    """Reading was stopped on purpose, because the journal has no room."""
    BUDGET = "budget"
    """Reading was stopped on purpose, because a limit of the settings was reached."""
    LOSS = "detected loss"
    """Something shows that messages are missing, though the connection stood."""


class State(StrEnum):
    """What became of a gap."""

    OPEN = "open"
    """It lasts."""
    ENDED = "ended"
    """We hear again; what was said meanwhile is not here yet."""
    FILLED = "filled"
    """Brought afterwards, but for `missing_kinds`."""
    PARTLY_FILLED = "partly filled"
    """Brought afterwards, but for `missing_kinds` and what `detail` tells."""
    UNFILLABLE = "unfillable"
    """It cannot be brought afterwards; `detail` says why."""


ORDER = tuple(State)
DONE = frozenset({State.FILLED, State.PARTLY_FILLED, State.UNFILLABLE})

GAP = TableDefinition(
    name="gap",
    layer=1,
    grain="one state of one interval in which we were deaf to a network",
    key=("gap_id", "updated_at"),
    columns=(
        Column("gap_id", pa.string(), "The gap; its row with the latest `updated_at` tells its state."),
        Column("network", pa.string(), "Network to which we were deaf."),
        Column("source", pa.string(), "Host or instance; null if none had been asked yet."),
        Column("path", pa.string(), "Path that was deaf: stream, search."),
        Column("rules", pa.list_(pa.string()), "Tags of the rules concerned; null or empty: all."),
        Column("started_at", TIMESTAMP, "From when something may be missing."),
        Column("ended_at", TIMESTAMP, "Until when; null while it lasts."),
        Column("cause", pa.string(), f"Why: {', '.join(Cause)}."),
        Column("detail", pa.string(), "More about it, in our words; no text of a post."),
        Column("state", pa.string(), f"What became of it: {', '.join(State)}."),
        Column("filled_by", pa.string(), "What brought the posts afterwards: search, archive search."),
        Column("filled_posts", pa.int64(), "Posts brought afterwards, counted once a rule."),
        Column("expected_posts", pa.int64(), "Posts that the network itself counts, once a rule."),
        Column("missing_kinds", pa.list_(pa.string()), "Kinds of post that cannot be brought afterwards."),
        Column("listener", pa.string(), "Id of the listener, or who else wrote the row."),
        Column("updated_at", TIMESTAMP, "When this row was made."),
    ),
)


@dataclass(frozen=True)
class Gap:
    """One gap in one state; the columns of the table. `rules` is empty if all are concerned."""

    gap_id: str
    network: str
    source: str | None
    path: str
    rules: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None
    cause: Cause
    detail: str
    state: State
    filled_by: str | None
    filled_posts: int | None
    expected_posts: int | None
    missing_kinds: tuple[str, ...]
    listener: str
    updated_at: datetime

    def concerns(self, tags: Iterable[str]) -> bool:
        """Whether one of these rules is deaf in it."""
        return not self.rules or not set(self.rules).isdisjoint(tags)


def new_gap(
    network: str,
    cause: Cause,
    started_at: datetime,
    *,
    path: str = "stream",
    source: str | None = None,
    rules: Sequence[str] = (),
    detail: str = "",
    listener: str,
    now: datetime,
) -> Gap:
    """An open gap. Its id is made of what it is, so that who finds it twice writes the same gap."""
    parts = (network, path, cause, started_at.isoformat(), *sorted(rules), listener)
    gap_id = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
    return Gap(
        gap_id=gap_id,
        network=network,
        source=source,
        path=path,
        rules=tuple(rules),
        started_at=started_at,
        ended_at=None,
        cause=cause,
        detail=detail,
        state=State.OPEN,
        filled_by=None,
        filled_posts=None,
        expected_posts=None,
        missing_kinds=(),
        listener=listener,
        updated_at=now,
    )


def ended(gap: Gap, at: datetime, now: datetime) -> Gap:
    """The gap, ended; never before it began."""
    return replace(gap, ended_at=max(at, gap.started_at), state=State.ENDED, updated_at=now)


def read_gaps(
    lake: Lake,
    *,
    network: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    states: Iterable[State] = State,
) -> list[Gap]:
    """The gaps that touch [since, until), each in its newest state, oldest first.

    Raises StorageError if the lake cannot be read.
    """
    table = lake.table(GAP)
    if not table.exists():
        return []
    wanted = frozenset(states)
    return [
        gap
        for gap in newest(from_rows(table.read()))
        if gap.state in wanted
        and (network is None or gap.network == network)
        and (until is None or gap.started_at < until)
        and (since is None or gap.ended_at is None or gap.ended_at > since)
    ]


def newest(gaps: Iterable[Gap]) -> list[Gap]:
    """Of each gap its newest state, in the order of their beginnings."""
    found: dict[str, Gap] = {}
    for gap in gaps:
        known = found.get(gap.gap_id)
        if known is None or _age(gap) >= _age(known):
            found[gap.gap_id] = gap
    return sorted(found.values(), key=lambda gap: (gap.started_at, gap.gap_id))


def write_gaps(lake: Lake, gaps: Sequence[Gap], transaction: tuple[str, int] | None = None) -> None:
    """Add rows in one commit; none are no commit."""
    if gaps:
        lake.table(GAP).append(to_rows(gaps), transaction)


def to_rows(gaps: Sequence[Gap]) -> pa.Table:
    """As rows of the table."""
    return pa.Table.from_pylist([vars(gap) for gap in gaps], schema=GAP.schema)


def from_rows(rows: pa.Table) -> list[Gap]:
    """Rows of the table as gaps. A cause or state of a newer version fails loudly."""
    return [
        Gap(
            **{
                **row,
                "rules": tuple(row["rules"] or ()),
                "cause": Cause(row["cause"]),
                "state": State(row["state"]),
                "missing_kinds": tuple(row["missing_kinds"] or ()),
            }
        )
        for row in rows.to_pylist()
    ]


def _age(gap: Gap) -> tuple[datetime, int]:
    return gap.updated_at, ORDER.index(gap.state)
