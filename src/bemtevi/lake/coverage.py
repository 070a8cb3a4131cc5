"""How complete a period is: what was followed, less the gaps. Pure.

Owns the arithmetic of intervals. Every second in which at least one of the rules was followed is listened to,
filled, or missing; where gaps overlap, missing wins over filled. Leaves to the caller which rules ask for a
hashtag, and to `gap` what a gap is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from bemtevi.lake.gap import Gap, State
from bemtevi.lake.sample import Share
from bemtevi.lake.sampling import Sampled, sampled
from bemtevi.lake.track import TrackedRule

FILLED = frozenset({State.FILLED, State.PARTLY_FILLED})

Interval = tuple[datetime, datetime]
"""From (within) and until (without)."""


@dataclass(frozen=True)
class Completeness:
    """How complete a period is for some rules. Seconds add up: tracked = listened + filled + missing."""

    followed: tuple[Interval, ...]
    """When at least one of the rules was followed, in the period."""
    filled: tuple[Interval, ...]
    """Of that, what was brought later."""
    missing: tuple[Interval, ...]
    """Of that, what is neither listened to nor filled."""
    gaps: tuple[Gap, ...]
    """Those that touch the period and concern the rules, oldest first."""
    expected: int | None
    """Posts that the network counted in the filled gaps; None if it was not asked."""
    stored: int | None
    """Posts that were brought for those gaps."""
    sampled: tuple[Sampled, ...] = ()
    """When only a share of the matches was asked for. Not where a gap was filled: search brings all."""

    @property
    def tracked_seconds(self) -> float:
        """How long something was followed."""
        return seconds(self.followed)

    @property
    def filled_seconds(self) -> float:
        """How much of it was brought later."""
        return seconds(self.filled)

    @property
    def missing_seconds(self) -> float:
        """How much of it is missing."""
        return seconds(self.missing)

    @property
    def listened_seconds(self) -> float:
        """How much of it was listened to."""
        return max(self.tracked_seconds - self.missing_seconds - self.filled_seconds, 0.0)

    @property
    def share(self) -> float | None:
        """The share of the time followed that is listened to or filled; None if nothing was followed."""
        if self.tracked_seconds <= 0:
            return None
        return (self.listened_seconds + self.filled_seconds) / self.tracked_seconds


def completeness(
    rules: Sequence[TrackedRule],
    gaps: Iterable[Gap],
    start: datetime,
    end: datetime,
    shares: Iterable[Share] = (),
) -> Completeness:
    """The completeness of [start, end) for what some rules of one network asked for.

    `end` must not be in the future. A gap that still lasts reaches to `end`.
    """
    tags = {rule.tag for rule in rules}
    networks = {rule.network for rule in rules}
    concerned = tuple(
        gap
        for gap in sorted(gaps, key=lambda gap: (gap.started_at, gap.gap_id))
        if gap.network in networks
        and gap.concerns(tags)
        and gap.started_at < end
        and (gap.ended_at is None or gap.ended_at > start)
    )
    followed = union((rule.added_at, rule.removed_at or end) for rule in rules)
    followed = common(followed, [(start, end)])
    missing = common(followed, union(_span(gap, end) for gap in concerned if gap.state not in FILLED))
    filled = common(followed, union(_span(gap, end) for gap in concerned if gap.state in FILLED))
    filled = without(filled, missing)
    checked = [gap for gap in concerned if gap.expected_posts is not None]
    return Completeness(
        followed=tuple(followed),
        filled=tuple(filled),
        missing=tuple(missing),
        gaps=concerned,
        expected=sum(gap.expected_posts or 0 for gap in checked) if checked else None,
        stored=sum(gap.filled_posts or 0 for gap in checked) if checked else None,
        sampled=tuple(
            replace(part, start=low, end=high)
            for part in sampled(rules, shares, start, end)
            for low, high in without(common([(part.start, part.end)], followed), union([*filled, *missing]))
        ),
    )


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same instants in intervals that neither touch nor overlap, in order."""
    merged: list[Interval] = []
    for start, end in sorted(interval for interval in intervals if interval[0] < interval[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def common(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """The instants that are in both. Both must be as `union` makes them."""
    found: list[Interval] = []
    left = right = 0
    while left < len(one) and right < len(other):
        start = max(one[left][0], other[right][0])
        end = min(one[left][1], other[right][1])
        if start < end:
            found.append((start, end))
        if one[left][1] <= other[right][1]:
            left += 1
        else:
            right += 1
    return found


def without(one: Sequence[Interval], other: Sequence[Interval]) -> list[Interval]:
    """The instants of `one` that are not in `other`. Both must be as `union` makes them."""
    found: list[Interval] = []
    first = 0
    for start, end in one:
        at = start
        while first < len(other) and other[first][1] <= start:
            first += 1
        for low, high in islice(other, first, None):
            if low >= end:
                break
            if low > at:
                found.append((at, low))
            at = high
        if at < end:
            found.append((at, end))
    return found


def seconds(intervals: Iterable[Interval]) -> float:
    """Their length together."""
    return sum((end - start).total_seconds() for start, end in intervals)


def _span(gap: Gap, end: datetime) -> Interval:
    return gap.started_at, gap.ended_at or max(end, gap.started_at)
