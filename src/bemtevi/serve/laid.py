"""The SQL of the views when newer rows are laid over the stored tables.

Owns which rows a view shows. A table of posts shows the newer rows, and the stored ones but for posts that
have a newer row. Tables of authors and hashtags likewise. Aggregates of touched hours and days are counted
anew, when they are asked for, by their own models: so they always agree with the posts. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from bemtevi.lake import literal
from bemtevi.serve.catalog import columns_of, views_of
from bemtevi.warehouse.model import DAY_PREFIX, OBSERVATION, WHOLE_PREFIX, Model, Scope, table_of

DIM_HASHTAG = "dim_hashtag"
AUTHOR = ("network", "author_id")
POST = ("network", "post_id")


class Kind(Enum):
    """How a table follows what is new."""

    POSTS = "rows of a post"
    SIGHTINGS = "rows of an author in an hour"
    AUTHORS = "rows of an author"
    HASHTAGS = "rows of a hashtag"
    COUNTED = "counted from others"
    STORED = "as of the last run"


def kind_of(model: Model) -> Kind:
    """How a model's table follows, by its key, its scope and its inputs."""
    key = model.definition.key
    if model.name == DIM_HASHTAG:
        return Kind.HASHTAGS
    if model.scope is Scope.HOURS and set(POST) <= set(key):
        return Kind.POSTS
    if model.scope is Scope.HOURS and set(AUTHOR) <= set(key):
        return Kind.SIGHTINGS
    if model.scope is Scope.SINCE and set(AUTHOR) <= set(key):
        return Kind.AUTHORS
    own = {OBSERVATION, "existing"} & set(model.inputs)
    whole = any(name.startswith(WHOLE_PREFIX) for name in model.inputs)
    if model.scope is not Scope.WHOLE and not own and not whole:
        return Kind.COUNTED
    return Kind.STORED


@dataclass
class Touched:
    """What the newer rows touch."""

    hours: set[datetime] = field(default_factory=set)
    dates: set[date] = field(default_factory=set)
    replaced_dates: set[date] = field(default_factory=set)
    """Dates on which a stored post has a newer row."""

    def size(self) -> tuple[int, int, int]:
        """Changes when views must change."""
        return len(self.hours), len(self.dates), len(self.replaced_dates)


def views(models: Collection[Model], touched: Touched) -> Iterator[str]:
    """The statements that define the views anew."""
    for model in models:
        name, columns = model.name, columns_of(model.definition)
        stored = f"select {columns} from made.{name}_stored as stored"
        newer = f"select {columns} from made.{name}"
        match kind_of(model):
            case Kind.POSTS if touched.replaced_dates:
                dates = literal.dates(touched.replaced_dates)
                kept = (
                    f"{stored} where created_date not in ({dates})"
                    f" union all {stored} where created_date in ({dates})"
                    " and not exists (select 1 from made.replaced"
                    " where replaced.network = stored.network and replaced.post_id = stored.post_id)"
                )
            case Kind.SIGHTINGS | Kind.AUTHORS as kind:
                same = model.definition.key if kind is Kind.SIGHTINGS else AUTHOR
                equal = " and ".join(f"newer.{column} = stored.{column}" for column in same)
                kept = f"{stored} where not exists (select 1 from made.{name} as newer where {equal})"
            case Kind.HASHTAGS:
                kept = f"{stored} where hashtag not in (select hashtag from made.{name})"
            case Kind.COUNTED if touched.hours:
                column = "created_hour" if model.scope is Scope.HOURS else "created_date"
                values = (
                    literal.hours(touched.hours)
                    if model.scope is Scope.HOURS
                    else literal.dates(touched.dates)
                )
                kept = f"{stored} where {column} not in ({values})"
                newer = _counted(model, touched)
            case _:
                kept = stored
        yield from views_of(model.definition, f"{kept} union all {newer}")
    if touched.hours:
        yield _hour_posts(touched)


def _counted(model: Model, touched: Touched) -> str:
    """A model's rows of the touched hours or days, from the views of its inputs."""
    dates = f"created_date in ({literal.dates(touched.dates)})"
    hours = f"{dates} and created_hour in ({literal.hours(touched.hours)})"
    inputs = ", ".join(
        f"{put} as (select * from main.{table_of(put)} where "
        f"{dates if put.startswith(DAY_PREFIX) else hours})"
        for put in model.inputs
    )
    return f"select * from (with {inputs} {model.query})"


def _hour_posts(touched: Touched) -> str:
    """`hashtag_hour_posts`, which counts the touched hours from the hashtags of posts."""
    hours, dates = literal.hours(touched.hours), literal.dates(touched.dates)
    return (
        "create or replace view hashtag_hour_posts as "
        "select network, hashtag, created_hour, created_date, posts from made.agg_hashtag_hour_stored "
        f"where created_hour not in ({hours}) union all "
        "select network, hashtag, created_hour, created_date, count(*) as posts from bridge_post_hashtag "
        f"where created_date in ({dates}) and created_hour in ({hours}) group by all"
    )
