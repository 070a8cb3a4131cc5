"""What tombstones do to rows, as SQL: which rows go, and what of the others.

Owns the one rule, for new observations and for rows that stand in tables already, so that the order in which
a post and its deletion come does not matter:

- a post goes if it, its author or its network is deleted, or if it reposts such a post;
- what was taken over from a deleted post (its hashtags, its author) leaves the posts that quote it;
- where deletion was asked for (`forget`), replies, quotes and mentions no longer name post or author either;
- `scrub_geo` takes the place of an author's posts, or of one post.

The relations it reads are made by `prepare`. Leaves to the engines when. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bemtevi.lake.tombstone import ERASED

GONE = "gone"
"""The relation of what `lake.tombstone.gone` tells, with ids."""


NAMED = {
    "post_id": "post",
    "referenced_post_id": "post",
    "author_id": "author",
    "referenced_author_id": "author",
}
"""What the columns of an observation name: the subject of each."""


def prepare() -> list[str]:
    """Statements that make the relations of the rules from the relation `gone`."""
    asked = "origin = 'request' and action = 'delete'"
    sets = {
        "gone_network": "subject = 'network' and action = 'delete'",
        "gone_author": "subject = 'author' and action = 'delete'",
        "gone_post": "subject = 'post' and action = 'delete'",
        "asked_author": f"subject = 'author' and {asked}",
        "asked_post": f"subject = 'post' and {asked}",
        "scrubbed_post": "subject = 'post' and action = 'scrub_geo'",
    }
    return [
        *(
            f"create or replace temp table {name} as select distinct network, id from {GONE} where {where}"
            for name, where in sets.items()
        ),
        f"""create or replace temp table scrubbed_author as
            select network, id, max(coalesce(try_cast(up_to as bigint), 9223372036854775807)) as up_to
            from {GONE} where subject = 'author' and action = 'scrub_geo' group by network, id""",
        "set variable gone_authors = (select list(id) from gone_author)",
        "set variable asked_authors = (select list(id) from asked_author)",
        "set variable asked_posts = (select list(id) from asked_post)",
        """set variable scrubbed = (
            select map_from_entries(list({'key': network || chr(31) || id, 'value': up_to}))
            from scrubbed_author
        )""",
    ]


def hidden(columns: Collection[str]) -> str:
    """Whether a row of a table goes, as a condition."""
    if "network" not in columns:
        return "false"
    tests = ["network in (select network from gone_network)"]
    if "post_id" in columns:
        tests.append(_in("post_id", "gone_post"))
    if "author_id" in columns:
        tests.append(_in("author_id", "gone_author"))
    if {"type", "referenced_post_id"} <= {*columns}:
        tests.append(f"(type = 'repost' and {_in('referenced_post_id', 'gone_post')})")
        tests.append(f"(type = 'repost' and {_in(_reposted_author(columns), 'gone_author')})")
    return "(" + " or ".join(tests) + ")"


def changed(columns: Collection[str]) -> dict[str, str]:
    """What some columns of the rows that stay are, as expressions."""
    there = {*columns}
    made: dict[str, str] = {}
    reference_gone = (
        f"({_in('referenced_post_id', 'gone_post')} or {_in('referenced_author_id', 'gone_author')})"
    )
    reference_asked = (
        f"({_in('referenced_post_id', 'asked_post')} or {_in('referenced_author_id', 'asked_author')})"
    )
    reply_asked = (
        f"({_in('in_reply_to_post_id', 'asked_post')} or {_in('in_reply_to_author_id', 'asked_author')})"
    )
    if {"referenced_post_id", "referenced_author_id"} <= there:
        made["referenced_post_id"] = _erased_if(reference_asked, "referenced_post_id")
        made["referenced_author_id"] = f"case when not {reference_gone} then referenced_author_id end"
        if "hashtags" in there:
            made["hashtags"] = (
                f"case when {reference_gone} "
                "then list_filter(hashtags, lambda tag: tag.matched_by <> 'referenced post') "
                "else hashtags end"
            )
    if {"in_reply_to_post_id", "in_reply_to_author_id"} <= there:
        made["in_reply_to_post_id"] = _erased_if(reply_asked, "in_reply_to_post_id")
        made["in_reply_to_author_id"] = _erased_if(
            _in("in_reply_to_author_id", "asked_author"), "in_reply_to_author_id"
        )
    for name in ("conversation_id", "edited_from"):
        if name in there:
            made[name] = _erased_if(_in(name, "asked_post"), name)
    if {"post_id", "mentions", "urls"} <= there:
        made["mentions"] = (
            "nullif(list_filter(mentions, lambda mention: not coalesce("
            "list_contains(getvariable('asked_authors'), mention.author_id), false)), [])"
        )
        made["urls"] = (
            "nullif(list_filter(urls, lambda link: not coalesce(list_contains(getvariable('asked_posts'), "
            "regexp_extract(link.url, '/status(?:es)?/([0-9]+)', 1)), false)), [])"
        )
    if {"post_id", "author_id", "place_id", "place_name", "country_code"} <= there:
        scrubbed = (
            f"({_in('post_id', 'scrubbed_post')} or coalesce(try_cast(post_id as bigint) <= "
            "getvariable('scrubbed')[network || chr(31) || author_id], false))"
        )
        for name in ("place_id", "place_name", "country_code"):
            made[name] = f"case when not {scrubbed} then {name} end"
    return made


def concerned(columns: Collection[str]) -> str:
    """Whether tombstones do anything to a row, as a condition."""
    made = [f"({name} is distinct from {what})" for name, what in changed(columns).items()]
    return " or ".join([hidden(columns), *made])


def kept(rows: str, columns: Sequence[str]) -> str:
    """A select of the rows that stay, as they are then, of a select of some columns."""
    made = changed(columns)
    names = ", ".join(f'{made[name]} as "{name}"' if name in made else f'"{name}"' for name in columns)
    return f"select {names} from ({rows}) as row where not {hidden(columns)}"


def observed(rows: str, columns: Sequence[str]) -> str:
    """A select of observations with the mark `is_deleted`. They stay: their authors were seen all the
    same, but for those who are deleted themselves."""
    author_gone = f"(network in (select network from gone_network) or {_in('author_id', 'gone_author')})"
    authors = (
        "list_filter(authors, lambda author: not coalesce("
        "list_contains(getvariable('gone_authors'), author.author_id), false))"
    )
    made = changed(columns) | {"authors": f"case when not {author_gone} then {authors} end"}
    names = ", ".join(f'{made[name]} as "{name}"' if name in made else f'"{name}"' for name in columns)
    return f"select {names}, {hidden(columns)} as is_deleted from ({rows}) as row"


def _reposted_author(columns: Collection[str]) -> str:
    """The author of what is reposted. Where X did not bring it along, it is the first one mentioned."""
    if not {"mentions", "text"} <= {*columns}:
        return "referenced_author_id"
    first = "case when starts_with(text, 'RT @') then mentions[1].author_id end"
    return f"coalesce(referenced_author_id, {first})"


def _in(name: str, relation: str) -> str:
    """Whether a subject is in a relation, as a condition that is never null."""
    return f"coalesce((network, {name}) in (select (network, id) from {relation}), false)"


def _erased_if(condition: str, name: str) -> str:
    return f"case when {name} is not null and {condition} then '{ERASED}' else {name} end"
