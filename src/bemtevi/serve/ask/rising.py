"""Hashtags that rise: a Gamma-Poisson surprise that knows seasons and gaps.

Owns the score. For each hashtag: a season w (pooled by hour of the week), a level with a half-life of 72
hours that leaves out the last 12 (a guard: a rise must not raise its own expectation), the exposure e (the
share of the hour that was listened to), so that m = (a/b) * w * e posts are expected. Surprise is the tail
of a negative binomial with over-dispersion PHI. A hashtag that was never seen before the guard has no level:
it is held against the median first hour of hashtags that were new before it. "Rising" means: inside what is
followed. Sources: Fearnhead and Heard (2010) for the conjugate form; Benjamini and Hochberg (1995).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bemtevi.serve.ask.selection import Question, Selection
from bemtevi.serve.ask.steps import hour_of_week
from bemtevi.serve.coverage import Coverage
from bemtevi.serve.questions import Period

HISTORY = timedelta(days=28)
GUARD_HOURS = 12
HALF_LIFE_HOURS = 72.0
PHI = 4.0
LEAST_EXPOSURE = 0.25
LEAST_POSTS = 3
LEAST_AUTHORS = 3
FIRST_HOUR = 1.0
"""Posts of a new hashtag in its first hour, where nothing is known of others."""
FALSE_SHARE = 0.1
HOUR = timedelta(hours=1)
Z90 = 1.6448536269514722


def counts(selection: Selection, hour: datetime) -> Question:
    """`hashtag, posts, authors, level, first_hour`: of the hour, and the weighted past before the guard.

    `level` is the sum of posts, each by 2^(-age / half-life). `first_hour`, the same in each row, is the
    median of the posts that hashtags had in the hour in which they were new.
    """
    return selection.question(
        """
        with past as (
          select hashtag,
            cast(sum(posts) filter (created_hour = $hour) as bigint) as posts,
            max(authors) filter (created_hour = $hour) as authors,
            sum(posts * pow(2, -date_diff('hour', created_hour, cast($hour as timestamptz)) / $half_life))
              filter (created_hour < cast($hour as timestamptz) - to_hours($guard)) as level,
            min(created_hour) as born, arg_min(posts, created_hour) as born_with
          from agg_hashtag_hour
          where created_date between $first_date and $last_date
            and created_hour >= $since and created_hour <= $hour
          group by hashtag
        )
        select hashtag, posts, authors, coalesce(level, 0) as level,
          (
            select median(born_with) from past
            where born > cast($since as timestamptz) + to_hours($guard) and born < cast($hour as timestamptz)
          ) as first_hour
        from past
        where posts > 0
        """,
        hour=hour,
        half_life=HALF_LIFE_HOURS,
        guard=GUARD_HOURS,
    )


def totals(selection: Selection) -> Question:
    """`at, posts` by hour over all hashtags: what the season is made of."""
    return selection.question("""
        select created_hour as at, cast(sum(posts) as bigint) as posts
        from hashtag_hour_posts
        where created_date between $first_date and $last_date
          and created_hour >= $since and created_hour < $until
        group by 1
        """)


def exposures(heard: Coverage, period: Period, known: Period | None) -> dict[datetime, float]:
    """The share of each hour of a period that was heard; where nothing was followed.

    Whether posts are known.
    """
    found = {}
    at = period.since.replace(minute=0, second=0, microsecond=0)
    while at < period.until:
        end = min(at + HOUR, period.until)
        share = heard.share(None, max(at, period.since), end)
        if share is None:
            share = 1.0 if known is not None and at < known.until and end > known.since else 0.0
        found[at] = share * ((end - max(at, period.since)) / HOUR)
        at += HOUR
    return found


def season(
    posts: dict[datetime, int], heard: dict[datetime, float], zone: ZoneInfo
) -> dict[tuple[int, int], float]:
    """The weight of each hour of the week, mean 1; drawn to 1 where little was heard."""
    rate = sum(posts.values()) / max(sum(heard.values()), 1e-9)
    seen: dict[tuple[int, int], float] = {}
    for at, exposure in heard.items():
        place = hour_of_week(at, zone)
        seen[place] = seen.get(place, 0.0) + exposure
    made: dict[tuple[int, int], float] = {}
    for at, number in posts.items():
        place = hour_of_week(at, zone)
        made[place] = made.get(place, 0.0) + number
    return {
        place: (made.get(place, 0.0) / max(rate, 1e-9) + 1.0) / (exposure + 1.0)
        for place, exposure in seen.items()
    }


def score(
    rows: Iterable[dict[str, Any]],
    hour: datetime,
    heard: dict[datetime, float],
    weights: dict[tuple[int, int], float],
    zone: ZoneInfo,
    limit: int,
) -> list[dict[str, Any]]:
    """The hashtags that rise in `hour`, most surprising first: those that pass the rules and the false share.

    `hashtag, posts, authors, expected, lift, lift_low, lift_high, surprise, new, exposure`. `lift` is how
    many times its level, drawn to 1 as far as chance may have made it, and `lift_*` the interval of 90 %
    around it: Gamma(posts + size) / (expected + size). `new`: no post before the guard; then there is no
    lift.
    """
    exposure = heard.get(hour, 0.0)
    if exposure < LEAST_EXPOSURE:
        return []
    guard = hour - timedelta(hours=GUARD_HOURS)
    strength = 1.0 + sum(
        weights.get(hour_of_week(at, zone), 1.0) * share * 2 ** (-((hour - at) / HOUR) / HALF_LIFE_HOURS)
        for at, share in heard.items()
        if at < guard
    )
    tested = []
    for row in rows:
        shape = 0.5 + row["level"]
        new = row["level"] == 0
        if new:
            expected = (row["first_hour"] or FIRST_HOUR) * exposure
        else:
            expected = shape / strength * weights.get(hour_of_week(hour, zone), 1.0) * exposure
        size = 1.0 / (1.0 / shape + 1.0 / PHI)
        number = row["posts"]
        tail = log_tail(number, size, expected)
        low, high = (_gamma_quantile(number + size, z) / (expected + size) for z in (-Z90, Z90))
        tested.append(
            {
                "hashtag": row["hashtag"],
                "posts": number,
                "authors": row["authors"],
                "expected": expected,
                "lift": None if new else (number + size) / (expected + size),
                "lift_low": None if new else low,
                "lift_high": None if new else high,
                "surprise": -tail / math.log(10),
                "new": new,
                "exposure": exposure,
            }
        )
    tested.sort(key=lambda row: (-row["surprise"], row["hashtag"]))
    passed = 0
    for rank, row in enumerate(tested, start=1):
        if 10 ** -row["surprise"] <= FALSE_SHARE * rank / len(tested):
            passed = rank
    return [
        row
        for row in tested[:passed]
        if row["posts"] >= LEAST_POSTS and row["authors"] >= LEAST_AUTHORS and row["posts"] > row["expected"]
    ][:limit]


def log_tail(number: int, size: float, mean: float) -> float:
    """ln P(X >= number) of a negative binomial with this size and mean."""
    if number <= 0:
        return 0.0
    log_p, log_q = math.log(size / (size + mean)), math.log(mean / (size + mean))
    term = (
        math.lgamma(number + size)
        - math.lgamma(size)
        - math.lgamma(number + 1)
        + size * log_p
        + number * log_q
    )
    highest, total, at, current = term, 1.0, number, term
    for _ in range(100_000):
        current += log_q + math.log((at + size) / (at + 1))
        at += 1
        if current > highest:
            total, highest = total * math.exp(highest - current) + 1.0, current
        else:
            total += math.exp(current - highest)
        if current < highest - 40:
            break
    return min(highest + math.log(total), 0.0)


def _gamma_quantile(shape: float, z: float) -> float:
    """A quantile of Gamma(shape, 1) by Wilson and Hilferty (1931); off by some per cent for small shapes."""
    return shape * max(1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape)), 0.0) ** 3
