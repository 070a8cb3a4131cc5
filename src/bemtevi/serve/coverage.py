"""How complete an answer is: which rules asked for it, and what the gap ledger says of them, by network.

Owns the choice of the rules, and how completeness is told to a program and to a person: the same in the API
and on the command line. Leaves the arithmetic of intervals to `lake.coverage`, and what becomes of counts to
`ask.steps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bemtevi.lake.coverage import Completeness, Interval, common, completeness, seconds, union, without
from bemtevi.lake.gap import Gap
from bemtevi.lake.lake import Lake
from bemtevi.lake.local_ledger import known_gaps
from bemtevi.lake.sample import Share, read_shares
from bemtevi.lake.sampling import Sampled
from bemtevi.lake.track import TrackedRule, read_rules
from bemtevi.serve.questions import Period
from bemtevi.warehouse.hashtag import extract, fold

NOT_BEFORE = ("-#", "-＃")


def named(rule: TrackedRule) -> set[str]:
    """The hashtags that a rule asks for by their names, folded; not those that it excludes."""
    words = rule.value.replace("(", " ").split()
    wanted = " ".join(word for word in words if not word.startswith(NOT_BEFORE))
    return {fold(spelling) for spelling in extract(wanted)}


def rules_about(rules: Iterable[TrackedRule], hashtag: str) -> list[TrackedRule]:
    """The rules that ask for a hashtag (folded) by its name, alone or with others."""
    return [rule for rule in rules if hashtag in named(rule)]


def rules_of(rules: Sequence[TrackedRule], hashtag: str | None, network: str | None) -> list[TrackedRule]:
    """The rules that ask for a hashtag; all, where none names it: it came along with what is followed."""
    known = [rule for rule in rules if network is None or rule.network == network]
    return (rules_about(known, hashtag) if hashtag is not None else []) or known


@dataclass(frozen=True)
class Coverage:
    """What was followed and missed in a period, by network.

    A network that was never followed is not in it.
    """

    period: Period
    networks: dict[str, Completeness]

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Those that touch the period and concern the rules, by network, oldest first."""
        return tuple(gap for known in self.networks.values() for gap in known.gaps)

    @property
    def sampled(self) -> tuple[Sampled, ...]:
        """When only a share of the matches was asked for."""
        return tuple(part for known in self.networks.values() for part in known.sampled)

    @property
    def followed(self) -> list[Interval]:
        """When something was followed anywhere."""
        return union(interval for known in self.networks.values() for interval in known.followed)

    @property
    def missing(self) -> list[Interval]:
        """When a network that was followed was neither listened to nor filled."""
        return union(interval for known in self.networks.values() for interval in known.missing)

    @property
    def filled(self) -> list[Interval]:
        """When what was missed was brought later, and nothing is missing."""
        filled = union(interval for known in self.networks.values() for interval in known.filled)
        return without(filled, self.missing)

    def share(self, network: str | None, start: datetime, end: datetime) -> float | None:
        """The share of an interval that was listened to or filled; None if nothing was followed then.

        Without a network, the mean of those followed. Time in which nothing was followed does not count.
        """
        tracked = lost = 0.0
        for name in self.networks if network is None else {network} & self.networks.keys():
            then = common(self.networks[name].followed, [(start, end)])
            tracked += seconds(then)
            lost += seconds(common(self.networks[name].missing, then))
        return None if tracked <= 0 else 1 - lost / tracked

    def plain(self) -> dict[str, Any]:
        """For a program: shares (0 to 1), seconds, the missing intervals, the gaps that matter.

        Seconds add up: tracked = listened + filled + missing.
        """
        start, end = self.period.since, self.period.until
        tracked, missing, filled = (seconds(part) for part in (self.followed, self.missing, self.filled))
        return {
            "share": self.share(None, start, end),
            "tracked_share": tracked / max((end - start).total_seconds(), 1e-9),
            "by_network": {name: self.share(name, start, end) for name in self.networks},
            "tracked_seconds": tracked,
            "listened_seconds": max(tracked - filled - missing, 0.0),
            "filled_seconds": filled,
            "missing_seconds": missing,
            "missing": self.missing,
            "gaps": [plain_gap(gap) for gap in self.gaps],
            "expected": _sum(known.expected for known in self.networks.values()),
            "stored": _sum(known.stored for known in self.networks.values()),
            "sampled": [plain_sampled(part) for part in self.sampled],
        }


def coverage(
    rules: Sequence[TrackedRule],
    gaps: Iterable[Gap],
    period: Period,
    now: datetime,
    shares: Sequence[Share] = (),
) -> Coverage:
    """What these rules heard in a period; what lies after `now` does not count."""
    end = max(min(period.until, now), period.since)
    gaps = list(gaps)
    found: dict[str, Completeness] = {}
    for network in sorted({rule.network for rule in rules}):
        own = [rule for rule in rules if rule.network == network]
        known = completeness(own, gaps, period.since, end, shares)
        if known.followed:
            found[network] = known
    return Coverage(period, found)


def coverage_of(lake: Lake, hashtag: str, period: Period, now: datetime) -> Coverage:
    """How complete a period is for a hashtag (folded). Raises StorageError if the lake cannot be read."""
    rules = rules_of(read_rules(lake, removed=True), hashtag, None)
    gaps = known_gaps(lake, now, since=period.since, until=min(period.until, now))
    return coverage(rules, gaps, period, now, read_shares(lake))


def plain_gap(gap: Gap) -> dict[str, Any]:
    """A gap for an answer."""
    return {
        "id": gap.gap_id,
        "network": gap.network,
        "source": gap.source,
        "path": gap.path,
        "started_at": gap.started_at,
        "ended_at": gap.ended_at,
        "cause": str(gap.cause),
        "state": str(gap.state),
        "detail": gap.detail,
        "filled_by": gap.filled_by,
        "filled_posts": gap.filled_posts,
        "expected_posts": gap.expected_posts,
        "missing_kinds": list(gap.missing_kinds),
        "rules": len(gap.rules),
    }


def plain_sampled(part: Sampled) -> dict[str, Any]:
    """A sampled time for a program."""
    return {
        "network": part.network,
        "from": part.start,
        "to": part.end,
        "least_percent": part.least,
        "most_percent": part.most,
    }


def length(seconds: float) -> str:
    """A time span for a person."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3_600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 2 * 86_400 else f"{seconds / 86_400:.1f} days"


def sentence(answer: Coverage) -> str:
    """In one short line; shares are of the time in which something was followed."""
    told = answer.plain()
    tracked = told["tracked_seconds"]
    if not tracked:
        return "not followed then: the posts came by another way"
    parts = [f"listened {told['listened_seconds'] / tracked:.1%}"]
    if told["filled_seconds"]:
        parts.append(f"filled {told['filled_seconds'] / tracked:.1%}")
    if told["missing_seconds"]:
        parts.append(f"missing {length(told['missing_seconds'])}")
    if answer.sampled:
        low, high = min(part.least for part in answer.sampled), max(part.most for part in answer.sampled)
        percents = f"{low} %" if low == high else f"{low} to {high} %"
        span = seconds(union((part.start, part.end) for part in answer.sampled))
        parts.append(f"only {percents} of the posts asked for during {length(span)}")
    return ", ".join(parts)


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
