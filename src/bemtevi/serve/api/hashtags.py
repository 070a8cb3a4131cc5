"""`/api/v1/hashtags/{tag}/…`: the questions about one hashtag. Also `/hashtags`, `/compare` and `/rising`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bemtevi.errors import UsageError
from bemtevi.serve.api.answering import Make, Work
from bemtevi.serve.api.parameters import Answers, Filters, Form, Granularity, Hashtag, Limit
from bemtevi.serve.ask import company, counts, lists, rising
from bemtevi.serve.ask.coverage import coverage, rules_of, steps, week
from bemtevi.serve.ask.selection import Selection
from bemtevi.serve.coverage import named
from bemtevi.serve.questions import Period
from bemtevi.warehouse.hashtag import fold

router = APIRouter(prefix="/api/v1", tags=["hashtags"])
MOST_COMPARED = 5
PAIRS = 5_000
SAME_COVERAGE = 0.05


def _timeline(work: Work, selection: Selection, granularity: str | None) -> dict[str, Any]:
    """A timeline with what was heard of each step."""
    step = granularity or selection.period.granularity
    rules = rules_of(work.snapshot.rules, selection.hashtag, selection.network)
    heard = coverage(rules, work.snapshot.gaps, selection.period, work.now)
    rows = work.rows(counts.timeline(selection, step))
    networks = sorted({*heard.followed, *(row["network"] for row in rows if row["network"])})
    known = work.known(selection.hashtag)
    return {"granularity": step, **steps(rows, heard, networks, work.now, known)}


def _summary(work: Work, selection: Selection) -> dict[str, Any]:
    """Key numbers, and the period of the same length before it where the two can be compared."""
    (row,) = work.rows(counts.summary(selection))
    period = selection.period
    earlier = Period(period.since - (period.until - period.since), period.since)
    before_selection = Selection(
        earlier, selection.zone, selection.hashtag, selection.network, selection.language, selection.type
    )
    (before,) = work.rows(counts.summary(before_selection))
    rules = rules_of(work.snapshot.rules, selection.hashtag, selection.network)
    known = work.known(selection.hashtag)
    shares = [_heard(work, rules, part, known) for part in (period, earlier)]
    row["audience"] = work.rows(lists.audience(selection))
    minute = Period(work.now - timedelta(minutes=5), work.now)
    recent = Selection(minute, selection.zone, selection.hashtag, selection.network)
    (latest,) = work.rows(counts.summary(recent))
    row["per_minute"] = latest["posts"] / 5
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


def _heard(work: Work, rules: Any, period: Period, known: Period | None) -> float | None:
    """The share of a period from which posts could have come: listened, or inside an archive's time."""
    share = coverage(rules, work.snapshot.gaps, period, work.now).share(
        None, period.since, min(period.until, work.now)
    )
    if known is not None and known.since <= period.since + (period.until - period.since) / 20:
        return 1.0 if share is None else share
    return share if share is not None and known is None else None


def _single(name: str, make: Any) -> None:
    """A route `/hashtags/{tag}/<name>` for a list of rows with a limit."""

    def route(
        request: Request,
        answers: Answers,
        tag: Hashtag,
        filters: Filters,
        limit: Limit = 10,
        form: Form = "json",
    ) -> Response:
        selection = filters.selection(tag)
        return answers.answer(
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
def summary(
    request: Request, answers: Answers, tag: Hashtag, filters: Filters, form: Form = "json"
) -> Response:
    """Posts, authors, types, audience by network, posts a minute now, and the period before."""
    selection = filters.selection(tag)
    return answers.answer(request, lambda work: _summary(work, selection), selection=selection, form=form)


@router.get("/hashtags/{tag}/timeline")
def timeline(
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
        made = _timeline(work, selection, g)
        return made if form == "json" else _long(made)

    return answers.answer(request, make, selection=selection, form=form, name=f"{tag}-timeline")


def _long(made: dict[str, Any]) -> list[dict[str, Any]]:
    """A timeline as rows `at, network, posts, listened`."""
    return [
        {"at": at, "network": network, "posts": values[index], "listened": made["listened"][network][index]}
        for network, values in made["series"].items()
        for index, at in enumerate(made["at"])
    ]


@router.get("/hashtags/{tag}/newcomers")
def newcomers(
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
    return answers.answer(
        request,
        lambda work: work.rows(counts.newcomers(selection, step)),
        selection=selection,
        form=form,
        name=f"{tag}-newcomers",
    )


@router.get("/hashtags/{tag}/heatmap")
def heatmap(
    request: Request, answers: Answers, tag: Hashtag, filters: Filters, form: Form = "json"
) -> Response:
    """Mean posts per hour heard, for each hour of the week."""
    selection = filters.selection(tag)
    if selection.period.until - selection.period.since > timedelta(days=400):
        raise UsageError("A heat map is of at most 400 days.")

    def make(work: Work) -> Any:
        heard = coverage(
            rules_of(work.snapshot.rules, tag, selection.network),
            work.snapshot.gaps,
            selection.period,
            work.now,
        )
        period = Period(selection.period.since, min(selection.period.until, work.now))
        return week(work.rows(counts.hours(selection)), heard, period, selection.zone, work.known(tag))

    return answers.answer(request, make, selection=selection, form=form, name=f"{tag}-heatmap")


@router.get("/hashtags/{tag}/cooccurrence")
def cooccurrence(
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
        rows = company.measured(work.rows(company.pairs(selection, PAIRS)))
        work.meta["posts"] = rows[0]["posts"] if rows else 0
        if form == "gexf":
            text = company.gexf(company.picture(rows, whole=True), f"Hashtags in posts with #{tag}")
            return Response(
                text,
                media_type="application/xml",
                headers={"content-disposition": "attachment; filename=cooccurrence.gexf"},
            )
        work.meta["limit"], work.meta["more"] = limit, len(rows) > limit
        return {**company.picture(rows), "rows": rows[:limit]} if form == "json" else rows[:limit]

    return answers.answer(request, make, selection=selection, form=form, name=f"{tag}-cooccurrence")


@router.get("/hashtags")
def hashtags(
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

    return answers.answer(request, make, selection=selection, form=form, name="hashtags")


def _followed(work: Work, selection: Selection, *, sparkline: bool) -> list[dict[str, Any]]:
    current = [rule for rule in work.snapshot.rules if rule.removed_at is None]
    tags = sorted({tag for rule in current for tag in named(rule)})[:200]
    rows = {row["hashtag"]: row for row in work.rows(counts.hashtags(selection, 10_000))}
    found = [
        {"spelling": tag, "posts": 0, "authors": 0, "last_at": None, **rows.get(tag, {}), "hashtag": tag}
        for tag in tags
    ]
    for row in found:
        rules = rules_of(current, row["hashtag"], selection.network)
        heard = coverage(rules, work.snapshot.gaps, selection.period, work.now)
        row["listened"] = heard.share(None, selection.period.since, work.now)
        row["tracked_share"] = heard.plain()["tracked_share"]
        row["missing"] = [list(part) for parts in heard.missing.values() for part in parts]
        row["rules"] = [rule.value for rule in rules]
    found.sort(key=lambda row: (-row["posts"], row["hashtag"]))
    return _with_sparklines(work, selection, found) if sparkline else found


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
def compare(
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
            made = _timeline(work, selection, g)
            (row,) = work.rows(counts.summary(selection))
            total = [
                None if all(part is None for part in parts) else sum(part or 0 for part in parts)
                for parts in zip(*made["series"].values(), strict=True)
            ] or [None] * len(made["at"])
            rules = rules_of(work.snapshot.rules, name, selection.network)
            heard = coverage(rules, work.snapshot.gaps, selection.period, work.now)
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

    return answers.answer(request, make, selection=filters.selection(tags[0]))


def _in_common(selection: Selection, other: str) -> Any:
    second = Selection(
        selection.period, selection.zone, other, selection.network, selection.language, selection.type
    )
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
def rising_hashtags(
    request: Request, answers: Answers, filters: Filters, limit: Limit = 10, form: Form = "json"
) -> Response:
    """Hashtags that rise in the last hour heard, inside what is followed."""
    return answers.answer(
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
        heard = coverage(work.snapshot.rules, work.snapshot.gaps, whole, work.now)
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
