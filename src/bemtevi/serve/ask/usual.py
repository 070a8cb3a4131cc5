"""What is usual for a hashtag at this hour of the week: the reference beside what comes in now.

Owns the hours that are compared and the mean of them: the same hour on the clock in each of the last four
weeks, and of each only the time that was heard. Leaves to `rising` whether something is surprising.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bemtevi.serve.ask.rising import HOUR, LEAST_EXPOSURE
from bemtevi.serve.ask.selection import Question, Selection

WEEKS = 4


def same_hours(now: datetime, zone: ZoneInfo) -> list[datetime]:
    """The hour of `now` in each of the last weeks, by the clock of a zone, newest first."""
    local = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0).astimezone(zone)
    return [(local - timedelta(weeks=week)).astimezone(UTC) for week in range(1, WEEKS + 1)]


def posts_of(selection: Selection, hours: list[datetime]) -> Question:
    """`at, posts`: of those of the hours that have some."""
    network = "and network = $network" if selection.network is not None else ""
    return selection.question(
        f"""
        select created_hour as at, cast(sum(posts) as bigint) as posts
        from hashtag_hour_posts
        where hashtag = $hashtag and created_hour in (select unnest($hours))
          and created_date in (select unnest($dates)) {network}
        group by 1
        """,
        hours=hours,
        dates=sorted({at.astimezone(selection.zone).date() for at in hours}),
    )


def per_minute(rows: Iterable[dict[str, Any]], heard: dict[datetime, float]) -> float | None:
    """Posts a minute of the time that was heard; None if too little of every hour was.

    `heard` is the share of each hour, in UTC, from which posts could have come.
    """
    enough = {at: share for at, share in heard.items() if share >= LEAST_EXPOSURE}
    if not enough:
        return None
    posts: int = sum(row["posts"] for row in rows if row["at"].astimezone(UTC) in enough)
    return posts / (sum(enough.values()) * (HOUR / timedelta(minutes=1)))
