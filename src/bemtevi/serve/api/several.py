"""`/api/v1/hashtags`, `/compare` and `/rising`: several hashtags beside each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bemtevi.errors import UsageError
from bemtevi.serve.api.answering import Make, Work
from bemtevi.serve.api.hashtags import timeline_of
from bemtevi.serve.api.parameters import Answers, Filters, Form, Granularity, Limit
from bemtevi.serve.api.withheld import is_small
from bemtevi.serve.ask import counts, rising
from bemtevi.serve.ask.selection import Selection
from bemtevi.serve.coverage import coverage, named, rules_of
from bemtevi.serve.questions import Period
from bemtevi.warehouse.hashtag import fold

router = APIRouter(prefix="/api/v1", tags=["hashtags"])
MOST_COMPARED = 5
OF_AUTHORS = ("posts", "authors", "last_at", "hours")


@router.get("/hashtags")
async def hashtags(
    request: Request,
    answers: Answers,
    filters: Filters,
    limit: Limit = 20,
    followed: Annotated[bool, Query(description="Only hashtags that a rule names.")] = False,
    sparkline: Annotated[bool, Query(description="Add posts by hour.")] = False,
    form: Form = "json",
) -> Response:
    """The hashtags of most collected posts, or those that are followed."""
    selection = filters.selection()

    def make(work: Work) -> Any:
        if followed:
            return _followed(work, selection, sparkline=sparkline)
        rows = work.first(counts.hashtags(selection, limit + 1), limit)
        return _with_sparklines(work, selection, rows) if sparkline else rows

    return await answers.answer(request, make, selection=selection, form=form, name="hashtags")


def _followed(work: Work, selection: Selection, *, sparkline: bool) -> list[dict[str, Any]]:
    current = [rule for rule in work.rules if rule.removed_at is None]
    tags = sorted({tag for rule in current for tag in named(rule)})[:200]
    rows = {row["hashtag"]: row for row in work.rows(counts.hashtags(selection, 10_000))}
    found = [
        {"spelling": tag, "posts": 0, "authors": 0, "last_at": None, **rows.get(tag, {}), "hashtag": tag}
        for tag in tags
    ]
    for row in found:
        rules = rules_of(current, row["hashtag"], selection.network)
        heard = coverage(rules, work.gaps, selection.period, work.now, work.shares)
        row["listened"] = heard.share(None, selection.period.since, work.now)
        row["tracked_share"] = heard.plain()["tracked_share"]
        row["missing"] = [list(part) for part in heard.missing]
        row["sampled"] = heard.plain()["sampled"]
        row["rules"] = [rule.value for rule in rules]
    found.sort(key=lambda row: (-row["posts"], row["hashtag"]))
    found = _with_sparklines(work, selection, found) if sparkline else found
    # which are followed is told to all, but not what a few people wrote
    return [
        {**row, **{name: None for name in OF_AUTHORS if name in row}}
        if is_small(row) and not work.full
        else row
        for row in found
    ]


def _with_sparklines(work: Work, selection: Selection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with `hours`: posts of each hour of the period, at most 14 days back."""
    since = max(selection.period.since, selection.period.until - timedelta(days=14))
    whole = since.replace(minute=0, second=0, microsecond=0)
    span = Selection(Period(whole, selection.period.until), selection.zone)
    names = [row["hashtag"] for row in rows]
    found: dict[tuple[str, datetime], int] = {
        (row["hashtag"], row["at"].astimezone(UTC)): row["posts"]
        for row in work.rows(counts.sparklines(span, names))
    }
    times = []
    at = whole
    while at < selection.period.until:
        times.append(at)
        at += timedelta(hours=1)
    work.meta["hours"] = times
    return [{**row, "hours": [found.get((row["hashtag"], at), 0) for at in times]} for row in rows]


@router.get("/compare")
async def compare(
    request: Request,
    answers: Answers,
    filters: Filters,
    tag: Annotated[list[str], Query(min_length=1, max_length=MOST_COMPARED, description="2 to 5 hashtags.")],
    g: Granularity = None,
) -> Response:
    """Several hashtags over the same time, and the authors that each two have in common."""
    tags = list(dict.fromkeys(fold(one) for one in tag))
    if not all(tags):
        raise UsageError("One of the hashtags is none: give some such as covid19.")

    def make(work: Work) -> Any:
        found = []
        for name in tags:
            selection = filters.selection(name)
            made = timeline_of(work, selection, g)
            (row,) = work.rows(counts.summary(selection))
            total = [
                None if all(part is None for part in parts) else sum(part or 0 for part in parts)
                for parts in zip(*made["series"].values(), strict=True)
            ] or [None] * len(made["at"])
            heard = work.heard(name, selection.network, selection.period)
            found.append(
                {
                    "hashtag": name,
                    **row,
                    "posts_by_step": total,
                    "listened": heard.share(
                        None, selection.period.since, min(work.now, selection.period.until)
                    ),
                }
            )
        common = [
            {
                "one": one,
                "other": other,
                "authors": work.rows(_in_common(filters.selection(one), other))[0]["authors"],
            }
            for index, one in enumerate(tags)
            for other in tags[index + 1 :]
        ]
        return {
            "granularity": made["granularity"],
            "at": made["at"],
            "partial": made["partial"],
            "hashtags": found,
            "common": common,
        }

    return await answers.answer(request, make, selection=filters.selection(tags[0]))


def _in_common(selection: Selection, other: str) -> Any:
    second = replace(selection, hashtag=other)
    return selection.question(
        f"""
        select count(*) as authors from (
          select author_key from ({selection.posts}) intersect
          select author_key from ({second.posts.replace("$hashtag", "$other")})
        )
        """,
        other=other,
    )


@router.get("/rising")
async def rising_hashtags(
    request: Request, answers: Answers, filters: Filters, limit: Limit = 10, form: Form = "json"
) -> Response:
    """Hashtags that rise in the last hour heard, inside what is followed."""
    return await answers.answer(
        request, _rising(filters.selection(), limit), selection=filters.selection(), form=form, name="rising"
    )


def _rising(selection: Selection, limit: int) -> Make:
    def make(work: Work) -> Any:
        known = work.known(None)
        if known is None:
            return []
        until = min(selection.period.until, work.now, known.until + timedelta(seconds=1))
        hour = until.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if until - hour < timedelta(minutes=15):  # the hour has hardly begun
            hour -= timedelta(hours=1)
            until = hour + timedelta(hours=1)
        past = Selection(Period(hour - rising.HISTORY, hour + timedelta(hours=1)), selection.zone)
        whole = Period(past.period.since, until)
        heard = work.heard(None, None, whole)
        exposure = rising.exposures(heard, whole, known)
        posts = {row["at"].astimezone(UTC): row["posts"] for row in work.rows(rising.totals(past))}
        guard = hour - timedelta(hours=rising.GUARD_HOURS)
        old = {at: number for at, number in posts.items() if at < guard}
        weights = rising.season(
            old, {at: share for at, share in exposure.items() if at < guard}, selection.zone
        )
        rows = work.rows(rising.counts(past, hour))
        work.asked.reverse()
        work.meta["hour"] = hour
        return rising.score(rows, hour, exposure, weights, selection.zone, limit)

    return make
