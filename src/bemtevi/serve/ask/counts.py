"""Counts over time: timeline, summary, new and returning authors, hours of the week.

Each function gives a `Question`; its docstring names the columns of the answer. Counts are of collected
posts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bemtevi.errors import UsageError
from bemtevi.lake.sampling import Sampled
from bemtevi.serve.ask.selection import Question, Selection
from bemtevi.serve.questions import GRANULARITIES, Period

MOST_STEPS = 20_000
LENGTHS = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=28),
}


def check_granularity(granularity: str, period: Period) -> None:
    """Raise UsageError for one that is unknown or gives too many steps."""
    if granularity not in GRANULARITIES:
        raise UsageError(f"'{granularity}' is no granularity: one of {', '.join(GRANULARITIES)}.")
    if (period.until - period.since) / LENGTHS[granularity] > MOST_STEPS:
        raise UsageError(f"More than {MOST_STEPS:,} steps: take a shorter period or a coarser step.")


def timeline(selection: Selection, granularity: str) -> Question:
    """`at, ends_at, network, posts`: steps in the lake's zone; a step without posts has a null network."""
    check_granularity(granularity, selection.period)
    if selection.hashtag is None or selection.is_filtered:
        source = f"select created_at, network, 1 as posts from ({selection.posts})"
    elif granularity == "minute" or not _has_whole_hours(selection):
        source = f"select created_at, network, 1 as posts from ({selection.tagged})"
    else:
        source = _by_hours(selection)
    return selection.question(f"""
        with step as (
          select "at", "at" + interval 1 {granularity} as ends_at
          from generate_series(
            date_trunc('{granularity}', cast($since as timestamptz)), cast($until as timestamptz),
            interval 1 {granularity}
          ) as made("at")
        ),
        counted as (
          select date_trunc('{granularity}', created_at) as at, network, cast(sum(posts) as bigint) as posts
          from ({source})
          group by all
        )
        select step.at, step.ends_at, counted.network, coalesce(counted.posts, 0) as posts
        from step
        left join counted on counted.at = step.at
        where step.at < cast($until as timestamptz)
        order by step.at, counted.network
        """)


def _by_hours(selection: Selection) -> str:
    """Posts by hour: of whole hours as they are kept, of the ends of the period from the posts themselves."""
    first, last = (f"date_trunc('hour', cast({end} as timestamptz))" for end in ("$since", "$until"))
    first = f"case when {first} = $since then {first} else {first} + interval 1 hour end"
    return f"""
          select agg.created_hour as created_at, agg.network, agg.posts
          from hashtag_hour_posts as agg
          where agg.hashtag = $hashtag and agg.created_date between $first_date and $last_date
            and agg.created_hour >= {first} and agg.created_hour < {last}
            {"and agg.network = $network" if selection.network else ""}
          union all
          select created_at, network, 1 as posts
          from ({selection.tagged}) as tagged
          where tagged.created_date in ($first_date, $last_date)
            and (tagged.created_at < {first} or tagged.created_at >= {last})"""


def _has_whole_hours(selection: Selection) -> bool:
    """Whether hours of UTC are hours of the zone in the period, and it is long enough to have some."""
    period = selection.period
    return period.until - period.since >= timedelta(hours=2) and all(
        (at.astimezone(selection.zone).utcoffset() or timedelta()) % timedelta(hours=1) == timedelta()
        for at in (period.since, period.until)
    )


def summary(selection: Selection) -> Question:
    """One row: `posts, authors, originals, replies, quotes, reposts, first_at, last_at, received_at`."""
    return selection.question(f"""
        select
          count(*) as posts, count(distinct author_key) as authors,
          count(*) filter (type = 'original') as originals, count(*) filter (type = 'reply') as replies,
          count(*) filter (type = 'quote') as quotes, count(*) filter (type = 'repost') as reposts,
          min(created_at) as first_at, max(created_at) as last_at, max(last_received_at) as received_at
        from ({selection.posts})
        """)


def estimated(selection: Selection, sampled: Sequence[Sampled]) -> Question:
    """`posts`: as many as there would be at least, had all been asked for. One of a sampled time counts for
    more."""
    return selection.question(
        f"""
        with sampled as (
          select unnest($networks) as network, cast(unnest($starts) as timestamptz) as start_at,
            cast(unnest($ends) as timestamptz) as end_at, unnest($percents) as percent
        )
        select cast(round(coalesce(sum(100.0 / coalesce(sampled.percent, 100)), 0)) as bigint) as posts
        from ({selection.posts}) as post
        left join sampled on sampled.network = post.network
          and post.created_at >= sampled.start_at and post.created_at < sampled.end_at
        """,
        networks=[part.network for part in sampled],
        starts=[part.start for part in sampled],
        ends=[part.end for part in sampled],
        percents=[part.most for part in sampled],
    )


def newcomers(selection: Selection, granularity: str) -> Question:
    """`at, new_authors, returning_authors`.

    New is who is not in an earlier collected post with the hashtag.
    """
    check_granularity(granularity, selection.period)
    return selection.question(f"""
        with seen as (
          select post.author_key, min(bridge.created_at) as first_at
          from bridge_post_hashtag as bridge
          inner join fact_post as post using (network, post_id)
          where bridge.hashtag = $hashtag and bridge.created_at < $until
          group by post.author_key
        ),
        active as (
          select distinct date_trunc('{granularity}', created_at) as at, author_key from ({selection.posts})
        )
        select active.at,
          count(*) filter (date_trunc('{granularity}', seen.first_at) = active.at) as new_authors,
          count(*) filter (date_trunc('{granularity}', seen.first_at) < active.at) as returning_authors
        from active
        inner join seen using (author_key)
        group by active.at
        order by active.at
        """)


def hours(selection: Selection) -> Question:
    """`at, posts`: posts of each hour that has some; `coverage.week` makes the heat map of it."""
    return selection.question(f"""
        select date_trunc('hour', created_at) as at, count(*) as posts
        from ({selection.posts})
        group by 1
        order by 1
        """)


def hashtags(selection: Selection, limit: int) -> Question:
    """`hashtag, spelling, posts, authors, last_at`: the hashtags of most collected posts, as most write them.

    Authors are counted for these alone: for all hashtags it costs three times as much.
    """
    return selection.question(
        f"""
        with tagged as ({selection.tagged}),
        counted as materialized (
          select hashtag, count(*) as posts, max(created_at) as last_at
          from tagged
          group by hashtag
          order by posts desc, hashtag
          limit $limit
        ),
        written as (
          select tagged.hashtag, count(distinct post.author_key) as authors
          from (select * from tagged semi join counted using (hashtag)) as tagged
          inner join (
            select network, post_id, author_key from fact_post as post where {selection.when("post")}
          ) as post using (network, post_id)
          group by tagged.hashtag
        ),
        spelt as (
          select hashtag, spelling
          from (select * from tagged semi join counted using (hashtag)) as tagged
          group by hashtag, spelling
          qualify row_number() over (partition by hashtag order by count(*) desc, spelling) = 1
        )
        select counted.hashtag, spelt.spelling, counted.posts, written.authors, counted.last_at
        from counted
        left join written using (hashtag)
        left join spelt using (hashtag)
        order by counted.posts desc, counted.hashtag
        """,
        limit=limit,
    )


def sparklines(selection: Selection, hashtags: list[str]) -> Question:
    """`hashtag, at, posts` by hour, for some hashtags at once."""
    return selection.question(
        """
        select hashtag, created_hour as at, cast(sum(posts) as bigint) as posts
        from hashtag_hour_posts
        where hashtag in (select unnest($hashtags)) and created_date between $first_date and $last_date
          and created_hour >= $since and created_hour < $until
        group by all
        order by hashtag, "at"
        """,
        hashtags=hashtags,
    )
