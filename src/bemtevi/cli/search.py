"""The command search: a period of the past, in one batch."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bemtevi.cli.app import app, lake_of, only_warnings, told
from bemtevi.cli.collect import search_of, stop_on_signal
from bemtevi.cli.times import moment
from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import read_rules
from bemtevi.listen.asking import Ask, Asking, Desk, new_asking
from bemtevi.listen.x_patience import StoppedError
from bemtevi.listen.x_search import Page, XSearch
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings

NEWEST = timedelta(seconds=30)


@app.command()
def search(
    context: typer.Context,
    rule: Annotated[str, typer.Argument(help="A hashtag, or X's operators: '#covid19 lang:pt'.")],
    since: Annotated[str, typer.Option(help="From when: 7d, 24h, 2026-11-24.")] = "7d",
    until: Annotated[str | None, typer.Option(help="Until when (without). Now if not given.")] = None,
    archive: Annotated[bool, typer.Option("--archive", help="All since 2006, not the last 7 days.")] = False,
) -> None:
    """Bring posts of the past from X's search into layer 1. Interrupted, the same command goes on.

    Search brings no reposts. Each post costs as one of the stream does.
    """
    only_warnings(context)
    settings, lake = lake_of(context)
    value = " ".join(rule.split())
    if not value:
        raise UsageError("The query is empty: give a hashtag such as '#covid19' (with the quotes).")
    found = search_of(settings, archive=archive or None)
    with stop_on_signal() as stop, Desk(settings, lake, "x") as desk:
        found.bind(stop)
        key = hashlib.sha256("\x1f".join([value, since, until or "", found.name]).encode()).hexdigest()[:16]
        known = [asking for asking in desk.open() if asking.name == key]
        asking = known[0] if known else _begin(settings, lake, found, value, since, until)
        asking.name = key
        if asking.refused:
            raise UsageError(f"Search cannot be asked that: {next(iter(asking.refused.values()))}.")
        try:
            _run(desk, asking, found)
        except StoppedError:
            told().print(
                f"Stopped after {number(asking.posts)} posts. The same command goes on from there.",
                soft_wrap=True,
            )
            return
        desk.done(asking)
    counted = "" if asking.expected is None else f" X counts {number(asking.expected)}."
    told().print(f"Brought {number(asking.posts)} posts.{counted}", style="green", soft_wrap=True)


def _begin(
    settings: Settings, lake: Lake, found: XSearch, value: str, since: str, until: str | None
) -> Asking:
    """What to ask for, by the flags."""
    now = datetime.now(UTC)
    start = moment(since, settings.zone, now)
    end = min(now - NEWEST if until is None else moment(until, settings.zone, now), now - NEWEST)
    oldest = found.oldest()
    if oldest is not None and start < oldest - timedelta(minutes=2):
        raise UsageError(
            f"Recent search reaches back 7 days, to {oldest.astimezone(settings.zone):%Y-%m-%d %H:%M}: "
            "choose a later --since, or add --archive."
        )
    start = start if oldest is None else max(start, oldest)
    if end <= start:
        raise UsageError("The period is empty: --until must be after --since.")
    tags = tuple(rule.tag for rule in read_rules(lake) if rule.value == value)
    start, end = (at.replace(microsecond=0) for at in (start, end))
    return new_asking(found, [(value, tags)], start, end, now)


def _run(desk: Desk, asking: Asking, found: XSearch) -> None:
    """With a bar on a terminal: how much of the period is there."""
    console = told()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[posts]} posts"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        length = (asking.end - asking.start).total_seconds()
        tasks = {
            ask.session: progress.add_task(f"query {place}", total=length, posts=number(ask.posts))
            for place, ask in enumerate(asking.asks, start=1)
        }

        def shown(ask: Ask, page: Page) -> None:
            done = length if ask.read else (asking.end - (page.oldest_at or asking.end)).total_seconds()
            progress.update(tasks[ask.session], completed=done, posts=number(ask.posts))

        desk.run(asking, found, shown)
