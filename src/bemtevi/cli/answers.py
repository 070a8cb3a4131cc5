"""Commands that answer: query, hashtag, top."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from bemtevi.cli.app import app, lake_of, out, told
from bemtevi.cli.times import moment
from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.serve import questions, terminal
from bemtevi.serve.catalog import Catalog
from bemtevi.serve.export import FORMATS, write_file
from bemtevi.serve.questions import Period
from bemtevi.settings import Settings

ROWS_SHOWN = 1000


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
    form: Annotated[Form | None, typer.Option("--format", help="Form of the answer.")] = None,
    output: Annotated[Path | None, typer.Option(help="File to write; its ending tells the form.")] = None,
) -> None:
    """Ask in SQL. Tables: fact_post, bridge_post_hashtag, dim_user, dim_hashtag, dim_date, agg_hashtag_hour,
    run, raw, quarantine, track; and by the names of the case: fact_tweet, dim_user_current."""
    settings, lake = lake_of(context)
    form = form or _form_of(output)
    with catalog_of(settings, lake) as catalog:
        rows = catalog.stream(sql)
        if output is not None:
            write_file(rows, "csv" if form is Form.TABLE else form.value, output)
            told().print(f"Written: {output}", markup=False, style="green")
        elif form is Form.TABLE:
            terminal.show_table(out(), rows.read_all(), most=ROWS_SHOWN)
        elif form is Form.PARQUET and sys.stdout.isatty():
            raise UsageError("Parquet is not for a screen: add --output FILE.parquet.")
        else:
            FORMATS[form.value](rows, sys.stdout.buffer)


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
        answer: dict[str, Any] = {
            "hashtag": tag,
            "since": period.since,
            "until": period.until,
            "timezone": settings.timezone,
            "granularity": period.granularity,
            "summary": questions.summary(catalog, tag, period).to_pylist()[0],
            "timeline": questions.timeline(catalog, tag, period, period.granularity),
            "top_posts": questions.top_posts(catalog, tag, period, limit),
            "top_authors": questions.top_authors(catalog, tag, period, limit),
            "languages": questions.languages(catalog, tag, period, limit),
            "seen_with": questions.seen_with(catalog, tag, period, limit),
        }
    if as_json:
        plain = {
            name: part.to_pylist() if hasattr(part, "to_pylist") else part for name, part in answer.items()
        }
        sys.stdout.buffer.write(msgspec.json.encode(plain) + b"\n")
        return
    show_hashtag(out(), answer, settings)


def show_hashtag(console: Console, answer: dict[str, Any], settings: Settings) -> None:
    """The answer about a hashtag on a terminal."""
    summary = answer["summary"]
    since, until = (answer[name].astimezone(settings.zone) for name in ("since", "until"))
    console.print(f"\n#{terminal.plain(answer['hashtag'])}", style="bold", markup=False)
    console.print(f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} ({settings.timezone})", style="dim")
    if summary["posts"] == 0:
        console.print("No collected post in this period; leave --since away to see all.")
        return
    console.print(
        f"{summary['posts']:,} posts collected, by {summary['authors']:,} authors: "
        f"{summary['originals']:,} originals, {summary['replies']:,} replies, {summary['quotes']:,} quotes, "
        f"{summary['reposts']:,} reposts"
    )
    counts = answer["timeline"]["posts"].to_pylist()
    console.print(
        f"[cyan]{terminal.sparkline(counts)}[/cyan] a {answer['granularity']}: up to {max(counts):,}\n"
    )
    terminal.show_table(console, answer["top_posts"].drop_columns(["post_id"]), "Top posts")
    console.print()
    terminal.show_table(console, answer["top_authors"].drop_columns(["author_id"]), "Who wrote most")
    console.print()
    terminal.show_table(console, answer["languages"], "Languages")
    console.print()
    terminal.show_table(console, answer["seen_with"], "Seen with it")
    console.print("\nCounts of likes and reposts are as of when the post was last observed.", style="dim")


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
        rows = questions.top_hashtags(catalog, Period(until - timedelta(hours=hours), until), limit)
        if as_json:
            sys.stdout.buffer.write(msgspec.json.encode(rows.to_pylist()) + b"\n")
            return
        if rows.num_rows == 0:
            newest = catalog.query("select max(last_seen_at) as at from dim_hashtag")["at"][0].as_py()
            when = "" if newest is None else f" The newest is of {newest:%Y-%m-%d %H:%M}; widen with --hours."
            out().print(f"No post with a hashtag in the last {hours:g} hours.{when}")
            return
    terminal.show_table(out(), rows)


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


def _form_of(output: Path | None) -> Form:
    if output is None:
        return Form.TABLE
    ending = output.suffix.lstrip(".").lower()
    try:
        return Form(ending)
    except ValueError:
        return Form.CSV
