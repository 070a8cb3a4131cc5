"""`/api/v1/hashtags/{tag}/…`: the questions about one hashtag."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bemtevi.errors import UsageError
from bemtevi.serve.api.answering import Work, attachment
from bemtevi.serve.api.parameters import Answers, Filters, Form, Granularity, Hashtag, Limit
from bemtevi.serve.api.withheld import is_small
from bemtevi.serve.ask import company, counts, lists, usual
from bemtevi.serve.ask.rising import HOUR, exposures
from bemtevi.serve.ask.selection import Selection
from bemtevi.serve.ask.steps import steps, week
from bemtevi.serve.questions import Period

router = APIRouter(prefix="/api/v1", tags=["hashtags"])
PAIRS = 5_000
SAME_COVERAGE = 0.05


def timeline_of(work: Work, selection: Selection, granularity: str | None) -> dict[str, Any]:
    """A timeline with what was heard of each step."""
    step = granularity or selection.period.granularity
    heard = work.heard(selection.hashtag, selection.network, selection.period)
    rows = work.rows(counts.timeline(selection, step))
    networks = sorted({*heard.networks, *(row["network"] for row in rows if row["network"])})
    known = work.known(selection.hashtag)
    return {"granularity": step, **steps(rows, heard, networks, work.now, known)}


def _summary(work: Work, selection: Selection) -> dict[str, Any]:
    """Key numbers, and the period of the same length before it where the two can be compared."""
    (row,) = work.rows(counts.summary(selection))
    period = selection.period
    earlier = Period(period.since - (period.until - period.since), period.since)
    (before,) = work.rows(counts.summary(replace(selection, period=earlier)))
    known = work.known(selection.hashtag)
    shares = [_share(work, replace(selection, period=part), known) for part in (period, earlier)]
    sampled = work.heard(selection.hashtag, selection.network, period).sampled
    row["estimated_posts"] = (
        work.rows(counts.estimated(selection, sampled))[0]["posts"] if sampled else row["posts"]
    )
    row["audience"] = work.rows(lists.audience(selection))
    minute = Period(work.now - timedelta(minutes=5), work.now)
    recent = Selection(minute, selection.zone, selection.hashtag, selection.network)
    (latest,) = work.rows(counts.summary(recent))
    row["per_minute"] = latest["posts"] / 5
    row["usual_per_minute"] = _usual(work, recent, known)
    row["known"] = None if known is None else {"since": known.since, "until": known.until}
    row["before"] = {
        "since": earlier.since,
        "until": earlier.until,
        "posts": before["posts"],
        "authors": before["authors"],
        "share": shares[1],
        "comparable": None not in shares and abs(shares[0] - shares[1]) <= SAME_COVERAGE,  # type: ignore[operator]
    }
    return row


def _usual(work: Work, selection: Selection, known: Period | None) -> float | None:
    """Posts a minute at this hour of the week; None where it is not known."""
    hours = usual.same_hours(work.now, selection.zone)
    heard = work.heard(selection.hashtag, selection.network, Period(hours[-1], hours[0] + HOUR))
    shares = {at: exposures(heard, Period(at, at + HOUR), known)[at] for at in hours}
    return usual.per_minute(work.rows(usual.posts_of(selection, hours)), shares)


def _share(work: Work, selection: Selection, known: Period | None) -> float | None:
    """The share of a period from which posts could have come: listened, or inside an archive's time."""
    period = selection.period
    heard = work.heard(selection.hashtag, selection.network, period)
    share = heard.share(None, period.since, min(period.until, work.now))
    if known is not None and known.since <= period.since + (period.until - period.since) / 20:
        return 1.0 if share is None else share
    return share if share is not None and known is None else None


def _single(name: str, make: Any) -> None:
    """A route `/hashtags/{tag}/<name>` for a list of rows with a limit."""

    async def route(
        request: Request,
        answers: Answers,
        tag: Hashtag,
        filters: Filters,
        limit: Limit = 10,
        form: Form = "json",
    ) -> Response:
        selection = filters.selection(tag)
        return await answers.answer(
            request,
            lambda work: work.first(make(selection, limit + 1), limit),
            selection=selection,
            form=form,
            name=f"{tag}-{name}",
        )

    route.__doc__ = make.__doc__
    router.get(f"/hashtags/{{tag}}/{name}", name=name)(route)


for _name, _make in {
    "authors": lists.authors,
    "languages": lists.languages,
    "apps": lists.apps,
    "types": lists.types,
    "domains": lists.domains,
    "duplicates": lists.duplicates,
    "top-posts": lists.top_posts,
}.items():
    _single(_name, _make)


@router.get("/hashtags/{tag}/summary")
async def summary(
    request: Request, answers: Answers, tag: Hashtag, filters: Filters, form: Form = "json"
) -> Response:
    """Posts, authors, types, audience by network, posts a minute now and usually, and the period before.

    Usual is the same hour of the last four weeks, of which only the time that was heard counts.
    `estimated_posts` weighs the posts of times in which only a share was asked for.
    """
    selection = filters.selection(tag)
    return await answers.answer(
        request, lambda work: _summary(work, selection), selection=selection, form=form
    )


@router.get("/hashtags/{tag}/timeline")
async def timeline(
    request: Request,
    answers: Answers,
    tag: Hashtag,
    filters: Filters,
    g: Granularity = None,
    form: Form = "json",
) -> Response:
    """Posts over time by network. A step that was not heard is null, never 0; `listened` is its share."""
    selection = filters.selection(tag)

    def make(work: Work) -> Any:
        made = timeline_of(work, selection, g)
        return made if form == "json" else _long(made)

    return await answers.answer(request, make, selection=selection, form=form, name=f"{tag}-timeline")


def _long(made: dict[str, Any]) -> list[dict[str, Any]]:
    """A timeline as rows `at, network, posts, listened`."""
    return [
        {"at": at, "network": network, "posts": values[index], "listened": made["listened"][network][index]}
        for network, values in made["series"].items()
        for index, at in enumerate(made["at"])
    ]


@router.get("/hashtags/{tag}/newcomers")
async def newcomers(
    request: Request,
    answers: Answers,
    tag: Hashtag,
    filters: Filters,
    g: Granularity = None,
    form: Form = "json",
) -> Response:
    """New and returning authors of each step."""
    selection = filters.selection(tag)
    step = g or ("hour" if selection.period.granularity == "minute" else "day")
    return await answers.answer(
        request,
        lambda work: work.rows(counts.newcomers(selection, step)),
        selection=selection,
        form=form,
        name=f"{tag}-newcomers",
    )


@router.get("/hashtags/{tag}/heatmap")
async def heatmap(
    request: Request, answers: Answers, tag: Hashtag, filters: Filters, form: Form = "json"
) -> Response:
    """Mean posts per hour heard, for each hour of the week."""
    selection = filters.selection(tag)
    if selection.period.until - selection.period.since > timedelta(days=400):
        raise UsageError("A heat map is of at most 400 days.")

    def make(work: Work) -> Any:
        heard = work.heard(tag, selection.network, selection.period)
        period = Period(selection.period.since, min(selection.period.until, work.now))
        return week(work.rows(counts.hours(selection)), heard, period, selection.zone, work.known(tag))

    return await answers.answer(request, make, selection=selection, form=form, name=f"{tag}-heatmap")


@router.get("/hashtags/{tag}/cooccurrence")
async def cooccurrence(
    request: Request,
    answers: Answers,
    tag: Hashtag,
    filters: Filters,
    limit: Limit = 100,
    form: Annotated[
        Literal["json", "csv", "jsonl", "parquet", "arrow", "gexf"], Query(alias="format")
    ] = "json",
) -> Response:
    """Hashtags together inside the hashtag's posts: pairs with NPMI and G2; as JSON also the picture."""
    selection = filters.selection(tag)

    def make(work: Work) -> Any:
        found = work.rows(company.pairs(selection, PAIRS))
        rows = company.measured(row for row in found if work.full or not is_small(row))
        work.meta["posts"] = rows[0]["posts"] if rows else 0
        if form == "gexf":
            text = company.gexf(company.picture(rows, whole=True), f"Hashtags in posts with #{tag}")
            return Response(
                text,
                media_type="application/xml",
                headers={"content-disposition": attachment(f"{tag}-cooccurrence.gexf")},
            )
        work.meta["limit"], work.meta["more"] = limit, len(rows) > limit
        return {**company.picture(rows), "rows": rows[:limit]} if form == "json" else rows[:limit]

    return await answers.answer(request, make, selection=selection, form=form, name=f"{tag}-cooccurrence")
