"""Lists of a selection: authors, posts, languages, apps, domains, identical texts, audience.

Each function gives a `Question` whose docstring names the columns of the answer.
"""

from __future__ import annotations

from bemtevi.serve.ask.selection import Question, Selection
from bemtevi.serve.questions import names


def authors(selection: Selection, limit: int) -> Question:
    """`network, author_id, username, posts, reposts, followers`: who wrote most, reposts counted apart."""
    return selection.question(
        f"""
        with counted as (
          select network, author_id, count(*) filter (type <> 'repost') as posts,
            count(*) filter (type = 'repost') as reposts, max(author_follower_count) as followers
          from ({selection.posts})
          group by network, author_id
          order by posts desc, followers desc nulls last, author_id
          limit $limit
        )
        select counted.network, counted.author_id, author.username, counted.posts, counted.reposts,
          counted.followers
        from counted
        left join ({names("counted")}) as author using (network, author_id)
        order by counted.posts desc, counted.followers desc nulls last, counted.author_id
        """,
        limit=limit,
    )


def languages(selection: Selection, limit: int) -> Question:
    """`language` (null: not told), `posts`, `authors`."""
    return _shares(selection, "language", limit)


def apps(selection: Selection, limit: int) -> Question:
    """`client, posts, authors`: the applications that posts were written with, as the network names them."""
    return _shares(selection, "client", limit)


def types(selection: Selection, limit: int) -> Question:
    """`type, posts, authors`: original, reply, quote, repost."""
    return _shares(selection, "type", limit)


def _shares(selection: Selection, column: str, limit: int) -> Question:
    return selection.question(
        f"""
        select {column}, count(*) as posts, count(distinct author_key) as authors
        from ({selection.posts})
        group by {column}
        order by posts desc, {column}
        limit $limit
        """,
        limit=limit,
    )


def domains(selection: Selection, limit: int) -> Question:
    """`domain, posts, authors`: hosts of the links, unshortened where the network says; t.co tells none."""
    return selection.question(
        f"""
        with linked as (
          select network, post_id, author_key, unnest(list_distinct(list_transform(
            urls, lambda link: link.domain
          ))) as domain
          from ({selection.posts})
          where urls is not null
        )
        select domain, count(distinct (network, post_id)) as posts, count(distinct author_key) as authors
        from linked
        where domain <> 't.co'
        group by domain
        order by posts desc, domain
        limit $limit
        """,
        limit=limit,
    )


def duplicates(selection: Selection, limit: int) -> Question:
    """`text, posts, authors, first_at`: texts that several posts have word for word, reposts left out."""
    return selection.question(
        f"""
        select text, count(*) as posts, count(distinct author_key) as authors, min(created_at) as first_at
        from ({selection.posts})
        where type <> 'repost'
        group by text
        having count(*) > 1
        order by posts desc, text
        limit $limit
        """,
        limit=limit,
    )


def audience(selection: Selection) -> Question:
    """`network, authors, least, most`: followers of the largest author, and of all together.

    The interval holds the accounts that may have seen a post; who they share is not known, nor who looked.
    It is of one network and never added across networks.
    """
    return selection.question(f"""
        with counted as (
          select network, author_id, max(author_follower_count) as followers
          from ({selection.posts})
          group by network, author_id
        )
        select network, count(*) as authors, max(followers) as least, cast(sum(followers) as bigint) as most
        from counted
        where followers is not null
        group by network
        order by network
        """)


def top_posts(selection: Selection, limit: int) -> Question:
    """`network, post_id, author_id, username, created_at, text, reposts, likes, reposts_seen`.

    Reposts count for the post they repeat; `reposts_seen` is how many of them were collected, and the order.
    """
    return selection.question(
        f"""
        with post as ({selection.posts}),
        repeated as (
          select network, referenced_post_id as post_id, any_value(referenced_author_id) as author_id,
            count(*) as reposts_seen, max(text) as text, min(created_at) as created_at
          from post
          where type = 'repost'
          group by network, referenced_post_id
        ),
        candidate as (
          select
            coalesce(post.network, repeated.network) as network,
            coalesce(post.post_id, repeated.post_id) as post_id,
            coalesce(post.author_id, repeated.author_id) as author_id,
            coalesce(post.created_at, repeated.created_at) as created_at,
            coalesce(post.text, repeated.text) as text,
            post.repost_count as reposts, post.like_count as likes,
            coalesce(post.possibly_sensitive, false) as sensitive,
            coalesce(repeated.reposts_seen, 0) as reposts_seen
          from (select * from post where type <> 'repost') as post
          full join repeated using (network, post_id)
          order by reposts_seen desc, coalesce(reposts, 0) desc, coalesce(likes, 0) desc, post_id
          limit $limit
        )
        select candidate.* exclude (text), author.username, candidate.text
        from candidate
        left join ({names("candidate")}) as author using (network, author_id)
        order by reposts_seen desc, coalesce(reposts, 0) desc, coalesce(likes, 0) desc, post_id
        """,
        limit=limit,
    )
