"""Commands that answer: query, hashtag, top."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
import typer
from rich.console import Console
from rich.text import Text

from bemtevi.cli.app import app, lake_of, out, told
from bemtevi.cli.times import moment
from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.serve import coverage, questions, terminal
from bemtevi.serve.ask import counts
from bemtevi.serve.ask.selection import Selection
from bemtevi.serve.catalog import Catalog
from bemtevi.serve.export import FORMATS, write_file
from bemtevi.serve.questions import HashtagAnswer, Period
from bemtevi.settings import Settings

ROWS_SHOWN = 1000
NAME_WIDTH = 15


class Form(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


def catalog_of(settings: Settings, lake: Lake) -> Catalog:
    """The catalog of a lake, with the engine's bounds."""
    return Catalog(lake, memory_limit=settings.memory_limit, threads=settings.threads)


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One SELECT, in DuckDB's SQL.")],
    form: Annotated[
        Form | None, typer.Option("--format", help="Form of the answer; a table if not given.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write; its ending tells the form: .csv, .json, .jsonl, .parquet."),
    ] = None,
) -> None:
    """Ask in SQL.

    Tables: fact_post, bridge_post_hashtag, dim_user, user_observation, dim_hashtag, dim_date, dim_hour,
    dim_language, dim_network, agg_hashtag_hour, run, raw, quarantine, track, gap; and by the names of the
    case: fact_tweet, dim_user_current.
    """
    settings, lake = lake_of(context)
    form = _form(form, output)
    with catalog_of(settings, lake) as catalog:
        if catalog.empty:
            raise UsageError(
                f"The lake {lake.layout.root} is empty: bring posts with `bemtevi import FILE` or "
                "`bemtevi listen`, or name another with --lake."
            )
        rows = catalog.stream(sql)
        try:
            if output is not None:
                write_file(rows, form.value, output)
                told().print(f"Written: {output}", markup=False, style="green", soft_wrap=True)
            elif form is Form.TABLE:
                terminal.show_table(out(), *terminal.first_rows(rows, ROWS_SHOWN))
            else:
                FORMATS[form.value](rows, sys.stdout.buffer)
        except (pa.ArrowException, OverflowError, ValueError) as error:
            raise UsageError(
                f"A value of the answer does not fit its form ({error}): cast the column to varchar."
            ) from None


@app.command()
def hashtag(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The hashtag, with or without #.")],
    since: Annotated[
        str | None, typer.Option(help="From when: 7d, 24h, 2026-11-24. All if not given.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until when (without). Now if not given.")] = None,
    limit: Annotated[int, typer.Option(help="Rows of each list.", min=1, max=1000)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """What a person wants to know of one hashtag: posts over time, authors, top posts, languages, company."""
    settings, lake = lake_of(context)
    with catalog_of(settings, lake) as catalog:
        tag = questions.find_hashtag(catalog, name)
        period = _period(catalog, tag, settings, since, until)
        answer = questions.about_hashtag(catalog, tag, period, limit)
        complete = coverage.coverage_of(lake, tag, period, datetime.now(UTC))
        if complete.sampled:
            asked = counts.estimated(Selection(period, settings.zone, tag), complete.sampled)
            (estimate,) = catalog.query(asked.sql, asked.values)["posts"].to_pylist()
            answer.summary["estimated_posts"] = estimate
    if as_json:
        plain = {
            **answer.plain(),
            "timezone": settings.timezone,
            "completeness": complete.plain(),
        }
        sys.stdout.buffer.write(msgspec.json.encode(plain) + b"\n")
        return
    show_hashtag(out(), answer, settings, coverage.sentence(complete))


def show_hashtag(
    console: Console, answer: HashtagAnswer, settings: Settings, complete: str | None = None
) -> None:
    """The answer about a hashtag on a terminal; `complete` is how complete the period is."""
    summary = answer.summary
    since, until = (at.astimezone(settings.zone) for at in (answer.period.since, answer.period.until))
    console.print(Text(f"#{terminal.plain(answer.hashtag)}", style="bold"))
    console.print(f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} ({settings.timezone})", style="dim")
    if complete is not None:
        console.print(complete[0].upper() + complete[1:], style="dim", soft_wrap=True)
    if summary["posts"] == 0:
        console.print("No collected post in this period; leave --since away to see all.")
        return
    number = terminal.number
    console.print(f"{number(summary['posts'])} posts collected, by {number(summary['authors'])} authors")
    if "estimated_posts" in summary:
        estimate = number(summary["estimated_posts"])
        console.print(f"An estimated {estimate} posts in all: those of a sampled time stand for more")
    console.print(
        f"{number(summary['originals'])} originals, {number(summary['replies'])} replies, "
        f"{number(summary['quotes'])} quotes, {number(summary['reposts'])} reposts\n"
    )
    _show_timeline(console, answer)
    year = since.year != until.year
    terminal.show_list(
        console,
        "Top posts",
        (">seen", ">reposts", ">likes", "written", "author", "text"),
        [
            (
                post["reposts_seen"],
                post["reposts"],
                post["likes"],
                terminal.short_time(post["created_at_local"], year=year),
                terminal.cut(terminal.plain(post["username"] or "–"), NAME_WIDTH),
                post["text"],
            )
            for post in answer.top_posts.to_pylist()
        ],
    )
    console.print()
    terminal.show_beside(
        console,
        [
            (
                "Who wrote most",
                (">posts", ">followers", "author"),
                [(row["posts"], row["followers"], row["username"]) for row in answer.top_authors.to_pylist()],
            ),
            (
                "Languages",
                (">posts", "language"),
                [(row["posts"], row["language"]) for row in answer.languages.to_pylist()],
            ),
            (
                "Seen with it",
                (">posts", ">share", "hashtag"),
                [(row["posts"], row["share"], "#" + row["hashtag"]) for row in answer.seen_with.to_pylist()],
            ),
        ],
    )
    console.print(
        "\nseen: collected reposts. reposts, likes: X's counts at the last observation.",
        style="dim",
    )


def _show_timeline(console: Console, answer: HashtagAnswer) -> None:
    """Posts over time, as wide as the terminal, with the times of its ends under it."""
    times, counts = (answer.timeline[name].to_pylist() for name in ("at", "posts"))
    line, together = terminal.sparkline(counts, console.width)
    step = answer.granularity if together == 1 else f"{together} {answer.granularity}s"
    year = times[0].year != times[-1].year
    left, right = (terminal.short_time(at, year=year) for at in (times[0], times[-1]))
    console.print(Text(line, style="cyan"), no_wrap=True, crop=True)
    console.print(
        terminal.both_ends(left, f"posts in each {step}", right, console.width), style="dim", highlight=False
    )
    console.print()


@app.command()
def top(
    context: typer.Context,
    hours: Annotated[float, typer.Option(help="How many hours back.", min=0.01, max=24 * 3660)] = 24,
    limit: Annotated[int, typer.Option(help="Rows.", min=1, max=1000)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """The hashtags of most collected posts."""
    settings, lake = lake_of(context)
    until = datetime.now(UTC)
    with catalog_of(settings, lake) as catalog:
        questions.need_a_run(catalog)
        rows = questions.top_hashtags(catalog, Period(until - timedelta(hours=hours), until), limit)
        newest = catalog.query("select max(last_at) as at from agg_hashtag_day")["at"][0].as_py()
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(rows.to_pylist()) + b"\n")
    elif rows.num_rows == 0:
        when = "" if newest is None else f" The newest is of {newest:%Y-%m-%d %H:%M}; widen with --hours."
        out().print(f"No post with a hashtag in the last {hours:g} hours.{when}")
    else:
        show_top(out(), rows, f"Hashtags of the last {hours:g} hours", settings)


def show_top(console: Console, rows: pa.Table, title: str, settings: Settings) -> None:
    """The hashtags of most posts on a terminal."""
    terminal.show_list(
        console,
        title,
        (">posts", ">authors", ">reposts", "last post", "hashtag"),
        [
            (
                row["posts"],
                row["authors"],
                row["reposts"],
                terminal.short_time(row["last_at"].astimezone(settings.zone), year=False),
                "#" + (row["spelling"] or row["hashtag"]),
            )
            for row in rows.to_pylist()
        ],
    )


def _period(catalog: Catalog, tag: str, settings: Settings, since: str | None, until: str | None) -> Period:
    """What the flags say; without --since, all that was collected."""
    now = datetime.now(UTC)
    end = moment(until, settings.zone, now) if until is not None else None
    if since is not None:
        period = Period(moment(since, settings.zone, now), end or now)
    else:
        known = questions.bounds(catalog, tag)
        period = Period(known.since if known else now, end or (known.until if known else now))
    if period.until <= period.since:
        raise UsageError("The period is empty: --until must be after --since.")
    return period


def _form(form: Form | None, output: Path | None) -> Form:
    """The form that the flags ask for."""
    if output is None:
        if form is Form.PARQUET and sys.stdout.isatty():
            raise UsageError("Parquet is not for a screen: add --output FILE.parquet.")
        return form or Form.TABLE
    if form is Form.TABLE:
        raise UsageError("A table is for the screen: for a file choose csv, json, jsonl or parquet.")
    if form is not None:
        return form
    ending = output.suffix.lstrip(".").lower()
    if ending not in FORMATS:
        raise UsageError(
            f"The ending of {output} tells no form: end it in {', '.join('.' + name for name in FORMATS)}, "
            "or add --format."
        )
    return Form(ending)
