"""When only a share of the matches of some rules was asked for. Pure.

Owns the joining of shares with the time in which rules were followed. Leaves to `sample` where shares are
kept, to `coverage` what was heard of that time at all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from bemtevi.lake.sample import Share
from bemtevi.lake.track import TrackedRule


@dataclass(frozen=True)
class Sampled:
    """A time in which at least one of some rules of a network asked for less than all of its matches."""

    network: str
    start: datetime
    end: datetime
    least: int
    """The smallest percent that one of them asked for."""
    most: int
    """The largest: a post then stands for at least 100 / most posts."""


def sampled(
    rules: Iterable[TrackedRule], shares: Iterable[Share], start: datetime, end: datetime
) -> list[Sampled]:
    """The times within [start, end), in order; next to each other only where a percent changes."""
    found: list[Sampled] = []
    by_network: defaultdict[str, list[TrackedRule]] = defaultdict(list)
    for rule in rules:
        by_network[rule.network].append(rule)
    shares = list(shares)
    for network, own in sorted(by_network.items()):
        tags = {rule.tag for rule in own}
        known = [share for share in shares if share.network == network and share.tag in tags]
        if any(share.percent < 100 for share in known):
            found += _of_network(network, own, known, start, end)
    return found


def _of_network(
    network: str, rules: Sequence[TrackedRule], shares: Sequence[Share], start: datetime, end: datetime
) -> list[Sampled]:
    changes: defaultdict[str, tuple[list[datetime], list[int]]] = defaultdict(lambda: ([], []))
    for share in sorted(shares, key=lambda share: share.since):
        since, percents = changes[share.tag]
        since.append(share.since)
        percents.append(share.percent)
    times = {share.since for share in shares} | {rule.added_at for rule in rules}
    times |= {rule.removed_at for rule in rules if rule.removed_at is not None}
    found: list[Sampled] = []
    for low, high in pairwise(sorted({start, end, *(at for at in times if start < at < end)})):
        asked = [
            _percent(*changes[rule.tag], low)
            for rule in rules
            if rule.added_at <= low and (rule.removed_at is None or rule.removed_at > low)
        ]
        if not asked or min(asked) == 100:
            continue
        one = Sampled(network, low, high, min(asked), max(asked))
        last = found[-1] if found else None
        if last is not None and last.end == low and (last.least, last.most) == (one.least, one.most):
            found[-1] = replace(last, end=high)
        else:
            found.append(one)
    return found


def _percent(since: Sequence[datetime], percents: Sequence[int], at: datetime) -> int:
    """What holds at an instant; all before the first change."""
    place = bisect_right(since, at)
    return percents[place - 1] if place else 100
