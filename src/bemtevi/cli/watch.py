"""The command that watches: new posts of hashtags as they come, with their last hour in bars."""

from __future__ import annotations

import queue
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live

from bemtevi.cli.app import app, lake_of, only_warnings, out, told
from bemtevi.cli.serve import snapshots_of
from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import read_rules
from bemtevi.serve.live import encode, events
from bemtevi.serve.overlay import Step
from bemtevi.serve.snapshot import Snapshot
from bemtevi.serve.terminal import plain
from bemtevi.serve.watched import Watched, post_line
from bemtevi.settings import Settings
from bemtevi.warehouse.engines import asked_hashtags
from bemtevi.warehouse.hashtag import extract, fold

LOOK_SECONDS = 0.25
Event = tuple[str, dict[str, Any]]


@app.command()
def watch(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[HASHTAG]...", help="Hashtags; those that are followed if none."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Events for a program, one a line.")] = False,
) -> None:
    """New posts of hashtags as they come, seconds after they were written, until Ctrl-C.

    `listen` or `run` brings them, in another terminal or on another machine.
    """
    from bemtevi.cli.collect import stop_on_signal

    only_warnings(context)
    settings, lake = lake_of(context)
    watched = Watched(_wanted(lake, names or []))
    came: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def bring(snapshot: Snapshot, step: Step) -> None:
        for kind, _, full, _ in events(snapshot, step, str) if step.posts.num_rows else ():
            came.put((kind, full))

    snapshots = snapshots_of(settings, lake)
    snapshots.brought.append(bring)
    with snapshots, stop_on_signal(seconds) as stop:
        with snapshots.lease() as snapshot:
            watched.begin(snapshot, datetime.now(UTC))
        tags = " ".join("#" + plain(tag) for tag in watched.hashtags)
        told().print(f"Watching {tags} (Ctrl-C ends it)", markup=False, style="green", soft_wrap=True)
        show = _show_json if as_json else _show
        show(watched, came, stop.is_set, settings)


def _wanted(lake: Lake, names: list[str]) -> tuple[str, ...]:
    """The folded hashtags to watch, each once. Raises UsageError."""
    if not names:
        rules = read_rules(lake)
        followed = {tag: None for rule in rules for tag in asked_hashtags(rule)}
        if not followed:
            raise UsageError(
                "No hashtag is followed yet: `bemtevi track '#covid19'`, or name what to watch."
                if not rules
                else "No rule asks for one hashtag: name what to watch, for example `bemtevi watch covid19`."
            )
        return tuple(followed)
    folded: dict[str, None] = {}
    for name in names:
        written = "#" + name.lstrip("#＃")
        if len(found := extract(written)) != 1 or len(found[0]) != len(written) - 1:
            raise UsageError(f"'{name}' is no hashtag: give one such as covid19.")
        folded[fold(name)] = None
    return tuple(folded)


def _next(came: queue.SimpleQueue[Event]) -> list[Event]:
    """What came, after a wait if it is nothing."""
    try:
        found = [came.get(timeout=LOOK_SECONDS)]
    except queue.Empty:
        return []
    while not came.empty():
        found.append(came.get())
    return found


def _show_json(watched: Watched, came: queue.SimpleQueue[Event], stopped: Any, settings: Settings) -> None:
    del settings
    while not stopped():
        for kind, data in _next(came):
            if watched.take(kind, data):
                sys.stdout.buffer.write(encode({"event": kind, **data}) + b"\n")
        sys.stdout.buffer.flush()


def _show(watched: Watched, came: queue.SimpleQueue[Event], stopped: Any, settings: Settings) -> None:
    """Posts go by; below them, where somebody looks, the numbers stay."""
    console = out()
    if not console.is_terminal:
        while not stopped():
            _print_posts(console, watched, _next(came), settings)
        return

    def numbers() -> Group:
        return Group("", *watched.lines(datetime.now(UTC), console.width))

    with Live(get_renderable=numbers, console=console, refresh_per_second=2, transient=False) as live:
        while not stopped():
            _print_posts(live.console, watched, _next(came), settings)


def _print_posts(console: Console, watched: Watched, found: list[Event], settings: Settings) -> None:
    for kind, data in found:
        if watched.take(kind, data) and kind == "post":
            console.print(
                post_line(data, settings.zone), no_wrap=True, crop=console.is_terminal, soft_wrap=True
            )
