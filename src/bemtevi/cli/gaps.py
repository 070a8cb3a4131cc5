"""The command gaps: what was missed, why, and what became of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from bemtevi.cli.app import app, lake_of, only_warnings, out, told
from bemtevi.cli.collect import search_of, stop_on_signal
from bemtevi.cli.times import moment
from bemtevi.errors import UsageError
from bemtevi.lake.gap import Gap, State
from bemtevi.lake.lake import Lake
from bemtevi.lake.local_ledger import known_gaps
from bemtevi.lake.sample import read_shares
from bemtevi.lake.track import TrackedRule, read_rules
from bemtevi.listen.fill import Filler
from bemtevi.listen.x_patience import StoppedError
from bemtevi.serve import coverage, terminal
from bemtevi.serve.coverage import Coverage
from bemtevi.serve.questions import Period
from bemtevi.settings import Settings
from bemtevi.warehouse.hashtag import fold

LONGEST_DETAIL = 60


@app.command()
def gaps(
    context: typer.Context,
    hashtag: Annotated[
        str | None, typer.Argument(help="Only the gaps that concern it, with or without #.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From when: 7d, 2026-11-24. All if not given.")] = None,
    fill: Annotated[bool, typer.Option("--fill", help="First bring by search what can be brought.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
) -> None:
    """What was missed: each interval in which we could not listen, why, and what became of it."""
    settings, lake = lake_of(context)
    if fill:
        only_warnings(context)
        _fill(settings, lake)
    now = datetime.now(UTC)
    rules = read_rules(lake, removed=True)
    if hashtag is not None:
        rules = coverage.rules_about(rules, fold(hashtag))
        if not rules:
            raise UsageError(f"No rule asks for #{fold(hashtag)}: `bemtevi track` lists what is followed.")
    if not rules:
        raise UsageError('Nothing is followed yet: add a hashtag with `bemtevi track "#covid19"`.')
    start = min(rule.added_at for rule in rules) if since is None else moment(since, settings.zone, now)
    answer = coverage.coverage(
        rules, known_gaps(lake, now, since=start), Period(start, now), now, read_shares(lake)
    )
    if as_json:
        told_as = {**answer.plain(), "since": start, "until": now}
        told_as["gaps"] = [_plain(gap, rules) for gap in answer.gaps]
        sys.stdout.buffer.write(msgspec.json.encode(told_as) + b"\n")
        return
    _show(answer, rules, settings, start, now)


def _show(
    answer: Coverage, rules: Sequence[TrackedRule], settings: Settings, start: datetime, now: datetime
) -> None:
    console = out()
    console.print(
        f"{start.astimezone(settings.zone):%Y-%m-%d %H:%M} to {now.astimezone(settings.zone):%Y-%m-%d %H:%M} "
        f"({settings.timezone})",
        style="dim",
    )
    console.print(coverage.sentence(answer), soft_wrap=True)
    if not answer.gaps:
        console.print("No gaps.")
        return
    values = {rule.tag: rule.value for rule in rules}
    console.print()
    terminal.show_list(
        console,
        "Gaps",
        ("began", ">length", "cause", "state", ">brought", ">expected", "rules", "more"),
        [
            (
                f"{gap.started_at.astimezone(settings.zone):%m-%d %H:%M:%S}",
                coverage.length(((gap.ended_at or now) - gap.started_at).total_seconds()),
                gap.cause.value,
                gap.state.value,
                gap.filled_posts,
                gap.expected_posts,
                terminal.cut(", ".join(values.get(tag, tag) for tag in gap.rules) or "all", LONGEST_DETAIL),
                gap.detail or "–",
            )
            for gap in answer.gaps
        ],
    )
    kinds = sorted({kind for gap in answer.gaps for kind in gap.missing_kinds})
    if kinds:
        console.print(f"\nWhat search cannot bring: {', '.join(kinds)}.", style="dim", soft_wrap=True)


def _plain(gap: Gap, rules: Sequence[TrackedRule]) -> dict[str, Any]:
    values = {rule.tag: rule.value for rule in rules}
    return {**vars(gap), "rules": [values.get(tag, tag) for tag in gap.rules]}


def _fill(settings: Settings, lake: Lake) -> None:
    """Fill now, and say what came of it."""
    search = search_of(settings)
    console = told()
    with stop_on_signal() as stop, console.status("filling …") as status:
        search.bind(stop)
        filler = Filler(settings, lake, "x", search)
        try:
            closed = filler.run_once(
                lambda asking, _ask, _page: status.update(f"filling … {terminal.number(asking.posts)} posts")
            )
        except StoppedError:
            console.print("Stopped. What came is kept; the same command goes on from there.")
            return
    filled = [gap for gap in closed if gap.state in (State.FILLED, State.PARTLY_FILLED)]
    posts = terminal.number(sum(gap.filled_posts or 0 for gap in filled))
    console.print(
        f"Filled {len(filled)} gaps with {posts} posts; {len(closed) - len(filled)} cannot be filled.",
        style="green",
        soft_wrap=True,
    )
