"""What of a period was heard: the completeness of every answer, and the share listened of every step.

Owns the choice of the rules that concern a hashtag, and the joining of counts with what was heard, so that an
hour in which we were deaf is never drawn as zero. Leaves the arithmetic of intervals to `lake.coverage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bemtevi.lake.coverage import FILLED, Interval, common, completeness, seconds, union, without
from bemtevi.lake.gap import Gap
from bemtevi.lake.sample import Share
from bemtevi.lake.sampling import Sampled
from bemtevi.lake.track import TrackedRule
from bemtevi.serve.coverage import plain_sampled, rules_about
from bemtevi.serve.questions import Period

DEAF_BELOW = 0.001
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Coverage:
    """What was followed and missed in a period, by network.

    A network that was never followed is not in it.
    """

    period: Period
    followed: dict[str, list[Interval]]
    missing: dict[str, list[Interval]]
    gaps: tuple[Gap, ...]
    sampled: tuple[Sampled, ...] = ()
    """When only a share of the matches was asked for."""

    def share(self, network: str | None, start: datetime, end: datetime) -> float | None:
        """The share of an interval that was listened to or filled; None if nothing was followed then.

        Without a network, the mean of those followed. Time in which nothing was followed does not count.
        """
        tracked = lost = 0.0
        for name in self.followed if network is None else [network]:
            then = common(self.followed.get(name, []), [(start, end)])
            tracked += seconds(then)
            lost += seconds(common(self.missing.get(name, []), then))
        return None if tracked <= 0 else 1 - lost / tracked

    def plain(self) -> dict[str, Any]:
        """For an answer: shares, the gaps that matter and how long they are together."""
        start, end = self.period.since, self.period.until
        lost = union(interval for intervals in self.missing.values() for interval in intervals)
        tracked = seconds(union(interval for times in self.followed.values() for interval in times))
        return {
            "share": self.share(None, start, end),
            "tracked_share": tracked / max((end - start).total_seconds(), 1e-9),
            "by_network": {name: self.share(name, start, end) for name in sorted(self.followed)},
            "missing_seconds": seconds(lost),
            "missing": lost,
            "gaps": [plain_gap(gap) for gap in self.gaps],
            "sampled": [plain_sampled(part) for part in self.sampled],
        }


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


def rules_of(rules: Sequence[TrackedRule], hashtag: str | None, network: str | None) -> list[TrackedRule]:
    """The rules that ask for a hashtag; all, where none names it: it came along with what is followed."""
    known = [rule for rule in rules if network is None or rule.network == network]
    return (rules_about(known, hashtag) if hashtag is not None else []) or known


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
    followed: dict[str, list[Interval]] = {}
    missing: dict[str, list[Interval]] = {}
    concerned: list[Gap] = []
    sampled: list[Sampled] = []
    for network in sorted({rule.network for rule in rules}):
        own = [rule for rule in rules if rule.network == network]
        known = completeness(own, gaps, period.since, end, shares)
        if known.followed:
            followed[network], missing[network] = [*known.followed], [*known.missing]
            concerned += known.gaps
            sampled += known.sampled
    return Coverage(period, followed, missing, tuple(concerned), tuple(sampled))


def steps(
    rows: Iterable[dict[str, Any]],
    heard: Coverage,
    networks: Sequence[str],
    now: datetime,
    known: Period | None,
) -> dict[str, Any]:
    """A timeline in columns: `at`, `series` by network, `listened`, `partial`.

    A step in which nothing was heard and nothing collected is null, not 0; so is one outside of what was
    followed and outside of `known`, the time of the collected posts.
    """
    times: list[datetime] = []
    ends: list[datetime] = []
    counts: dict[str, list[int]] = {network: [] for network in networks}
    for row in rows:
        if not times or times[-1] != row["at"]:
            times.append(row["at"])
            ends.append(row["ends_at"])
            for values in counts.values():
                values.append(0)
        if row["network"] is not None:
            counts.setdefault(row["network"], [0] * len(times))[-1] += row["posts"]
    series: dict[str, list[int | None]] = {}
    listened: dict[str, list[float | None]] = {}
    for network, values in counts.items():
        shares = [heard.share(network, at, min(end, now)) for at, end in zip(times, ends, strict=True)]
        series[network] = [
            None if value == 0 and not _could_hear(share, at, end, known, now) else value
            for value, share, at, end in zip(values, shares, times, ends, strict=True)
        ]
        listened[network] = shares
    return {
        "at": times,
        "series": series,
        "listened": listened,
        "partial": [index for index, end in enumerate(ends) if end > now],
    }


def _could_hear(
    share: float | None, at: datetime, end: datetime, known: Period | None, now: datetime
) -> bool:
    if at >= now:
        return False
    if share is not None:
        return share >= DEAF_BELOW
    return known is not None and at < known.until and end > known.since


def week(
    rows: Iterable[dict[str, Any]], heard: Coverage, period: Period, zone: ZoneInfo, known: Period | None
) -> list[dict[str, Any]]:
    """168 cells `weekday` (1 Monday), `hour`, `posts`, `listened_hours`, `mean`: posts per hour heard.

    The mean is null where nothing was ever heard. An hour that a change of clocks repeats counts as two.
    """
    posts: dict[tuple[int, int], int] = {}
    heard_hours: dict[tuple[int, int], float] = {}
    for row in rows:
        place = hour_of_week(row["at"], zone)
        posts[place] = posts.get(place, 0) + row["posts"]
    at = period.since.replace(minute=0, second=0, microsecond=0)
    while at < period.until:
        start, end = max(at, period.since), min(at + HOUR, period.until)
        share = heard.share(None, start, end)
        if share is None:
            share = 1.0 if known is not None and start < known.until and end > known.since else 0.0
        place = hour_of_week(at, zone)
        length = (end - start) / HOUR
        heard_hours[place] = heard_hours.get(place, 0.0) + share * length
        at += HOUR
    return [
        {
            "weekday": weekday,
            "hour": hour,
            "posts": posts.get((weekday, hour), 0),
            "listened_hours": round(heard_hours.get((weekday, hour), 0.0), 3),
            "mean": _mean(posts.get((weekday, hour), 0), heard_hours.get((weekday, hour), 0.0)),
        }
        for weekday in range(1, 8)
        for hour in range(24)
    ]


def _mean(posts: int, listened: float) -> float | None:
    if listened < 0.02:
        return None
    return posts / listened


def hour_of_week(at: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """Day of the week (1 Monday) and hour, on the clock of a zone."""
    local = at.astimezone(zone)
    return local.isoweekday(), local.hour


def lanes(heard: Coverage) -> list[dict[str, Any]]:
    """For each network the intervals that were listened to, filled and missing.

    For a picture of the ledger.
    """
    end = heard.period.until
    found = []
    for network, times in heard.followed.items():
        own = [gap for gap in heard.gaps if gap.network == network]
        filled = common(
            times, union((gap.started_at, gap.ended_at or end) for gap in own if gap.state in FILLED)
        )
        filled = without(filled, heard.missing[network])
        listened = without(without(times, heard.missing[network]), filled)
        parts = [("listened", listened), ("filled", filled), ("missing", heard.missing[network])]
        found.append(
            {
                "network": network,
                "parts": [
                    {"state": state, "from": start, "to": stop}
                    for state, all_ in parts
                    for start, stop in all_
                ],
            }
        )
    return found
