"""The questions that users ask, as SQL with parameters.

Owns the questions; each returns an Arrow table whose columns its docstring names. Counts are of collected
posts. Leaves to `terminal` and `export` how an answer looks, to `catalog` what it is asked of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from bemtevi.errors import UsageError
from bemtevi.serve.catalog import Catalog
from bemtevi.warehouse.hashtag import fold, fold_plain

GRANULARITIES = ("minute", "hour", "day", "week", "month")


@dataclass(frozen=True)
class Period:
    """Instants from `since` (within) to `until` (without)."""

    since: datetime
    until: datetime

    @property
    def values(self) -> dict[str, datetime]:
        """As bound values."""
        return {"since": self.since, "until": self.until}

    @property
    def granularity(self) -> str:
        """The one that gives some tens or hundreds of points."""
        length = self.until - self.since
        if length <= timedelta(hours=2):
            return "minute"
        if length <= timedelta(days=14):
            return "hour"
        if length <= timedelta(days=120):
            return "day"
        return "week" if length <= timedelta(days=900) else "month"


IN_PERIOD = "created_at >= $since and created_at < $until"

POSTS = f"""
  select post.*
  from bridge_post_hashtag as bridge
  inner join fact_post as post using (network, post_id)
  where bridge.hashtag = $hashtag and bridge.created_at >= $since and bridge.created_at < $until
    and post.{IN_PERIOD.replace(" and ", " and post.")}
"""


def need_a_run(catalog: Catalog) -> None:
    """Raise UsageError if there is nothing to ask yet."""
    if catalog.run is None:
        raise UsageError(
            "Nothing is consolidated yet: bring posts with `bemtevi import FILE` or `bemtevi listen`, then "
            "run `bemtevi consolidate`."
        )


def find_hashtag(catalog: Catalog, spelling: str) -> str:
    """The folded hashtag that a person means.

    Exact first, then without diacritics. Raises UsageError, with the nearest that exist, if there is none.
    """
    need_a_run(catalog)
    hashtag = fold(spelling)
    if not hashtag:
        raise UsageError(f"'{spelling}' is no hashtag: give one such as covid19.")
    rows = catalog.query(
        "select hashtag, hashtag = $hashtag as exact from dim_hashtag_plain "
        "where hashtag = $hashtag or hashtag_plain = $plain order by exact desc, hashtag",
        {"hashtag": hashtag, "plain": fold_plain(spelling)},
    ).to_pylist()
    if rows:
        return str(rows[0]["hashtag"])
    near = catalog.query(
        "select '#' || hashtag as hashtag from dim_hashtag_plain "
        "order by jaro_winkler_similarity(hashtag, $hashtag) desc, hashtag limit 3",
        {"hashtag": hashtag},
    )["hashtag"].to_pylist()
    also = f" Near it: {', '.join(near)}." if near else ""
    raise UsageError(
        f"No collected post has the hashtag #{hashtag}.{also} `bemtevi top` lists what there is."
    )


@dataclass(frozen=True)
class HashtagAnswer:
    """What a person wants to know of one hashtag; each table is the answer of the question of its name."""

    hashtag: str
    period: Period
    granularity: str
    summary: dict[str, Any]
    timeline: pa.Table
    top_posts: pa.Table
    top_authors: pa.Table
    languages: pa.Table
    seen_with: pa.Table

    def plain(self) -> dict[str, Any]:
        """For a program: the period as `since` and `until`, each table as a list of objects."""
        parts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "period"}
        return {**self.period.values} | {
            name: part.to_pylist() if isinstance(part, pa.Table) else part for name, part in parts.items()
        }


def about_hashtag(catalog: Catalog, hashtag: str, period: Period, limit: int) -> HashtagAnswer:
    """All of it, of a hashtag as `find_hashtag` gives it; lists of at most `limit` rows."""
    granularity = period.granularity
    return HashtagAnswer(
        hashtag,
        period,
        granularity,
        summary(catalog, hashtag, period).to_pylist()[0],
        timeline(catalog, hashtag, period, granularity),
        top_posts(catalog, hashtag, period, limit),
        top_authors(catalog, hashtag, period, limit),
        languages(catalog, hashtag, period, limit),
        seen_with(catalog, hashtag, period, limit),
    )


def bounds(catalog: Catalog, hashtag: str) -> Period | None:
    """From the first collected post with a hashtag to just after the last; None without any."""
    rows = catalog.query(
        "select first_seen_at, last_seen_at from dim_hashtag where hashtag = $hashtag", {"hashtag": hashtag}
    ).to_pylist()
    if not rows:
        return None
    return Period(
        rows[0]["first_seen_at"].astimezone(UTC),
        rows[0]["last_seen_at"].astimezone(UTC) + timedelta(microseconds=1),
    )


def summary(catalog: Catalog, hashtag: str, period: Period) -> pa.Table:
    """One row: posts, authors, originals, replies, quotes, reposts, first_at, last_at, observed_at."""
    return catalog.query(
        f"""
        select
          count(*) as posts, count(distinct author_key) as authors,
          count(*) filter (type = 'original') as originals, count(*) filter (type = 'reply') as replies,
          count(*) filter (type = 'quote') as quotes, count(*) filter (type = 'repost') as reposts,
          min(created_at) as first_at, max(created_at) as last_at, max(observed_at) as observed_at
        from ({POSTS})
        """,
        {"hashtag": hashtag, **period.values},
    )


def timeline(catalog: Catalog, hashtag: str, period: Period, granularity: str) -> pa.Table:
    """`at` (local start of the step), `posts`: one row a step, also where there are none."""
    if granularity not in GRANULARITIES:
        raise UsageError(f"'{granularity}' is no granularity: one of {', '.join(GRANULARITIES)}.")
    return catalog.query(
        f"""
        with step as (
          select unnest(generate_series(
            date_trunc('{granularity}', cast($since as timestamptz)), cast($until as timestamptz),
            interval 1 {granularity}
          )) as at
        ),
        counted as (
          select date_trunc('{granularity}', created_at) as at, count(*) as posts
          from bridge_post_hashtag
          where hashtag = $hashtag and {IN_PERIOD}
          group by 1
        )
        select cast(step.at as timestamp) as at, coalesce(counted.posts, 0) as posts
        from step
        left join counted on counted.at = step.at
        where step.at < cast($until as timestamptz)
        order by step.at
        """,
        {"hashtag": hashtag, **period.values},
    )


def top_posts(catalog: Catalog, hashtag: str, period: Period, limit: int) -> pa.Table:
    """`post_id, username, created_at_local, text, reposts, likes, reposts_seen`.

    Reposts count for the post they repeat: `reposts_seen` is how many of them were collected, and the order.
    """
    return catalog.query(
        f"""
        with post as ({POSTS}),
        repeated as (
          select network, referenced_post_id as post_id, referenced_author_id as author_id,
            count(*) as reposts_seen, max(text) as text, min(created_at_local) as created_at_local
          from post
          where type = 'repost'
          group by network, referenced_post_id, referenced_author_id
        ),
        candidate as (
          select
            coalesce(post.network, repeated.network) as network,
            coalesce(post.post_id, repeated.post_id) as post_id,
            coalesce(post.author_id, repeated.author_id) as author_id,
            coalesce(post.created_at_local, repeated.created_at_local) as created_at_local,
            coalesce(post.text, repeated.text) as text,
            post.repost_count as reposts, post.like_count as likes,
            coalesce(repeated.reposts_seen, 0) as reposts_seen
          from (select * from post where type <> 'repost') as post
          full join repeated using (network, post_id)
        )
        select post_id, author.username, candidate.created_at_local, text, reposts, likes, reposts_seen
        from candidate
        left join ({names("candidate")}) as author using (network, author_id)
        order by reposts_seen desc, coalesce(reposts, 0) desc, coalesce(likes, 0) desc, post_id
        limit $limit
        """,
        {"hashtag": hashtag, "limit": limit, **period.values},
    )


def names(of: str) -> str:
    """`network, author_id, username`: the latest names of the authors of a relation, as SQL.

    Only theirs, for the latest of everybody costs ten times as much; and of `dim_user_plain`, where nothing
    is worked out for everybody.
    """
    return (
        "select network, author_id, max_by(username, valid_from) as username from dim_user_plain "
        f"semi join {of} using (network, author_id) group by network, author_id"
    )


def top_authors(catalog: Catalog, hashtag: str, period: Period, limit: int) -> pa.Table:
    """`author_id, username, posts, followers`: who wrote most, reposts left out."""
    return catalog.query(
        f"""
        with counted as (
          select network, author_id, count(*) as posts, max(author_follower_count) as followers
          from ({POSTS}) as post
          where type <> 'repost'
          group by network, author_id
        )
        select author_id, author.username, posts, followers
        from counted
        left join ({names("counted")}) as author using (network, author_id)
        order by posts desc, followers desc, author_id
        limit $limit
        """,
        {"hashtag": hashtag, "limit": limit, **period.values},
    )


def languages(catalog: Catalog, hashtag: str, period: Period, limit: int) -> pa.Table:
    """`language` (null: not told), `posts`."""
    return catalog.query(
        f"select language, count(*) as posts from ({POSTS}) group by language "
        "order by posts desc, language limit $limit",
        {"hashtag": hashtag, "limit": limit, **period.values},
    )


def seen_with(catalog: Catalog, hashtag: str, period: Period, limit: int) -> pa.Table:
    """`hashtag, posts, share`: the tags in the same posts, and in which share of them."""
    return catalog.query(
        f"""
        with tagged as (
          select network, post_id from bridge_post_hashtag where hashtag = $hashtag and {IN_PERIOD}
        )
        select bridge.hashtag, count(*) as posts, count(*) / (select count(*) from tagged) as share
        from bridge_post_hashtag as bridge
        inner join tagged using (network, post_id)
        where bridge.hashtag <> $hashtag and bridge.created_at >= $since and bridge.created_at < $until
        group by bridge.hashtag
        order by posts desc, bridge.hashtag
        limit $limit
        """,
        {"hashtag": hashtag, "limit": limit, **period.values},
    )


def top_hashtags(catalog: Catalog, period: Period, limit: int) -> pa.Table:
    """`hashtag, spelling, posts, authors, reposts, last_at`: the tags of most posts, as most write them."""
    return catalog.query(
        """
        with counted as (
          select bridge.hashtag, count(*) as posts,
            count(distinct post.author_key) as authors, count(*) filter (post.type = 'repost') as reposts,
            max(bridge.created_at) as last_at
          from bridge_post_hashtag as bridge
          inner join fact_post as post using (network, post_id)
          where bridge.created_at >= $since and bridge.created_at < $until
            and post.created_at >= $since and post.created_at < $until
          group by bridge.hashtag
          order by posts desc, bridge.hashtag
          limit $limit
        ),
        spelt as (
          select hashtag, spelling, count(*) as posts
          from bridge_post_hashtag semi join counted using (hashtag)
          where created_at >= $since and created_at < $until
          group by hashtag, spelling
          qualify row_number() over (partition by hashtag order by count(*) desc, spelling) = 1
        )
        select counted.hashtag, spelt.spelling, counted.posts, counted.authors, counted.reposts,
          counted.last_at
        from counted left join spelt using (hashtag)
        order by counted.posts desc, counted.hashtag
        """,
        {"limit": limit, **period.values},
    )
