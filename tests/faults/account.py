"""The account: layer 1 and the ledger of gaps against what the server says that it did.

Owns the one comparison that all fault tests and the soak end with. Each post that the server handed out or
withheld must be here (by stream, by search, in quarantine), or its time must lie in a gap of the ledger. What
is in a gap that is said to be filled must be here, if a search can find it. Nothing may be here twice, and
nothing that the server does not know. Messages that are no posts are followed by the name that they carry.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bemtevi.lake.gap import Gap, State, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.simulate import Recorded, read_record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
POST_ID = re.compile(rb'^\{"data":\{[^{}]*?"id":"(\d{15,19})"')
MESSAGE_NAME = re.compile(rb"simulated-message-\d+")
MARGIN = timedelta(seconds=2)
"""A gap may begin so much before the last post that came: what was on its way then may be lost."""


@dataclass
class Account:
    """What became of every post and message. Lists hold what should not be: ids, or names."""

    delivered: int = 0
    missed: int = 0
    by_stream: int = 0
    by_search: int = 0
    """Found by search alone."""
    quarantined: int = 0
    in_gaps: int = 0
    """Not here, and the ledger says so."""
    messages: int = 0
    gaps: int = 0
    gap_seconds: float = 0.0
    """Of the gaps of all rules: one rule alone is heard late, or lost, beside others."""
    heard_in_gaps: int = 0
    """Came by stream though the ledger says that we were deaf, and not only at the gap's edge."""
    lost: list[str] = field(default_factory=list)
    not_filled: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    lost_messages: list[str] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)

    @property
    def balanced(self) -> bool:
        """Whether nothing is lost, doubled or unexplained."""
        return not (self.lost or self.not_filled or self.doubled or self.unexplained or self.lost_messages)

    @property
    def settled(self) -> bool:
        """Whether it balances, and no gap waits to be ended or filled."""
        return self.balanced and not {str(State.OPEN), str(State.ENDED)} & {*self.states}

    def table(self) -> str:
        """For a person."""
        rows: list[tuple[str, object]] = [
            ("posts delivered", self.delivered),
            ("posts withheld", self.missed),
            ("here, by stream", self.by_stream),
            ("here, by search alone", self.by_search),
            ("here, in quarantine", self.quarantined),
            ("not here, in a gap of the ledger", self.in_gaps),
            ("messages that are no posts", self.messages),
            ("gaps", f"{self.gaps} ({self.gap_seconds:.1f} s)"),
            ("  by cause", _told(self.causes)),
            ("  by state", _told(self.states)),
            ("LOST", _some(self.lost)),
            ("LOST from a gap that is said to be filled", _some(self.not_filled)),
            ("LOST messages", _some(self.lost_messages)),
            ("DOUBLED", _some(self.doubled)),
            ("UNEXPLAINED", _some(self.unexplained)),
        ]
        return "\n".join(f"  {name:<42} {value}" for name, value in rows)


@dataclass
class Stored:
    """What layer 1 holds."""

    stream: Counter[str] = field(default_factory=Counter)
    search: Counter[str] = field(default_factory=Counter)
    quarantine: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)
    doubled: list[str] = field(default_factory=list)


def account(
    lake: Lake,
    records: Path | Iterable[Path],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    gaps: Sequence[Gap] | None = None,
) -> Account:
    """Compare layer 1 and its ledger with the records of the servers that were listened to.

    Posts before `since` (default: the beginning) and after `until` (default: the end) are no business of
    ours: nobody had asked for them.
    """
    recorded = [read_record(path) for path in ([records] if isinstance(records, Path) else records)]
    intervals = list(read_gaps(lake) if gaps is None else gaps)
    stored = read_stored(lake)
    told = Account(doubled=list(stored.doubled), gaps=len(intervals))
    told.causes.update(str(gap.cause) for gap in intervals)
    told.states.update(str(gap.state) for gap in intervals)
    end = until or datetime.now(UTC)
    of_all_rules = [gap for gap in intervals if not gap.rules]
    told.gap_seconds = sum(
        max(0.0, (min(gap.ended_at or end, end) - gap.started_at).total_seconds()) for gap in of_all_rules
    )
    deaf = Covering(of_all_rules)
    sent = Counter(identity for one in recorded for identity in one.ids)
    missed = {identity for one in recorded for identity in one.missed}
    hidden = set[str]().union(*(one.hidden for one in recorded))
    ledger = Covering(intervals)
    for identity in sorted({*sent, *missed}):
        at = time_of(identity)
        if (since is not None and at < since) or (until is not None and at >= until):
            continue
        told.delivered += identity in sent
        told.missed += identity not in sent
        if stored.stream[identity] > max(sent[identity], 1):
            told.doubled.append(identity)
        covering = ledger.at(at)
        if stored.stream[identity]:
            told.by_stream += 1
            after = {gap.gap_id for gap in deaf.at(at + MARGIN)}
            told.heard_in_gaps += any(gap.gap_id in after for gap in deaf.at(at - MARGIN))
        elif stored.search[identity]:
            told.by_search += 1
        elif stored.quarantine[identity] and identity in sent:  # else it is the beginning of a cut line
            told.quarantined += 1
        elif not covering:
            told.lost.append(identity)
        else:
            told.in_gaps += 1
            if identity not in hidden and all(gap.state is State.FILLED for gap in covering):
                told.not_filled.append(identity)
    known = {*sent, *missed}
    told.unexplained = [identity for identity in stored.stream if identity not in known]
    _account_messages(told, recorded, stored, ledger)
    return told


def _account_messages(told: Account, recorded: list[Recorded], stored: Stored, ledger: Covering) -> None:
    for one in recorded:
        told.messages += len(one.messages)
        told.lost_messages += [
            name for name, at in one.messages.items() if name not in stored.names and not ledger.at(at)
        ]


class Covering:
    """The gaps at a time."""

    def __init__(self, gaps: Sequence[Gap]) -> None:
        self._gaps = gaps

    def at(self, moment: datetime) -> list[Gap]:
        """Those that cover some of the millisecond that begins then: ids know no smaller time."""
        return [
            gap
            for gap in self._gaps
            if gap.started_at < moment + MILLISECOND and (gap.ended_at is None or moment < gap.ended_at)
        ]


def read_stored(lake: Lake) -> Stored:
    """Every post and message in layer 1."""
    stored = Stored()
    places: Counter[tuple[str, int]] = Counter()
    if lake.table(RAW).exists():
        for row in lake.table(RAW).read().to_pylist():
            places[row["session"], row["sequence"]] += 1
            payload = row["payload"].encode()
            stored.names.update(name.decode() for name in MESSAGE_NAME.findall(payload))
            if row["path"] == "stream":
                if row["key"] is not None:
                    stored.stream[row["key"]] += 1
            else:
                data = json.loads(payload).get("data") or []
                stored.search.update(post["id"] for post in (data if isinstance(data, list) else [data]))
    stored.doubled = [f"{session}:{sequence}" for (session, sequence), times in places.items() if times > 1]
    places.clear()
    if lake.table(QUARANTINE).exists():
        for row in lake.table(QUARANTINE).read().to_pylist():
            places[row["session"], row["sequence"]] += 1
            found = POST_ID.match(row["payload"])
            if found:
                stored.quarantine[found[1].decode()] += 1
            stored.names.update(name.decode() for name in MESSAGE_NAME.findall(row["payload"]))
    stored.doubled += [f"{session}:{sequence}" for (session, sequence), times in places.items() if times > 1]
    return stored


def time_of(identity: str) -> datetime:
    """When the post of that id was made, to the millisecond."""
    return EPOCH + timedelta(milliseconds=(int(identity) >> 22) + 1_288_834_974_657)


def _some(found: list[str]) -> str:
    return "none" if not found else f"{len(found)}: {', '.join(found[:3])}{', …' if len(found) > 3 else ''}"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "none"
