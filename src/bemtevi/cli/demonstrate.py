"""The demonstration: the whole path on this machine, without key or internet.

Owns the order of the show. Everything in it is the real thing but the posts, which are invented.
"""

from __future__ import annotations

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bemtevi.cli.answers import catalog_of, show_hashtag, show_top
from bemtevi.cli.app import app, only_warnings, out, settings_of
from bemtevi.cli.background import Background
from bemtevi.cli.collect import import_files, network_of, stop_on_signal
from bemtevi.cli.collect import sentence as import_sentence
from bemtevi.cli.simulator import NEEDS_EXTRA
from bemtevi.cli.warehouse import consolidate_once
from bemtevi.cli.warehouse import sentence as run_sentence
from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules
from bemtevi.listen.listener import Listener
from bemtevi.serve import questions
from bemtevi.serve.questions import Period
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings
from bemtevi.warehouse.run import Run

MARK = ".bemtevi-demo"
TOPICS = ("covid19", "vacinação", "SUS")
RULES = ("#covid19", "#vacinação", "#SUS lang:pt")
PAST_POSTS = 40_000
LIVE_RATE = 400.0


@app.command()
def demo(
    context: typer.Context,
    folder: Annotated[Path, typer.Option(help="Folder for the demo's lake; made anew.")] = Path("demo"),
    seconds: Annotated[float, typer.Option(help="How long to listen.", min=1, max=3600)] = 12,
) -> None:
    """The whole path in a minute: a simulated X, a listener, a warehouse, answers. No key, no internet."""
    try:
        from bemtevi.simulate import Simulation, running_x, write_history
    except ImportError:
        raise UsageError(NEEDS_EXTRA) from None
    console = out()
    only_warnings(context)
    _fresh(folder)
    simulation = Simulation(topics=TOPICS, rate=LIVE_RATE, seed=7)
    with stop_on_signal() as stop, running_x(simulation) as server:
        settings = settings_of(
            context,
            lake=str(folder / "lake"),
            journal=folder / "journal",
            x_api_url=server.url,
            x_bearer_token="any",  # noqa: S106  the simulator takes any
            segment_seconds=2.0,
        )
        lake = Lake.of(settings)
        _step(
            console,
            1,
            "A week of the past, from an archive file (invented posts)",
            f"bemtevi import {folder}/past.jsonl.gz",
        )
        now = datetime.now(UTC)
        past = folder / "past.jsonl.gz"
        write_history(past, TOPICS, since=now - timedelta(days=7), until=now, count=PAST_POSTS, seed=7)
        for report in import_files(lake, [past]):
            console.print("  " + import_sentence(report), markup=False)
        _step(console, 2, "Follow hashtags", "bemtevi track " + " ".join(f"'{rule}'" for rule in RULES))
        change_rules(lake, "x", add=RULES, now=now)
        _step(
            console,
            3,
            f"Listen for {seconds:g} s to a simulated X ({server.url}), and consolidate",
            "bemtevi run",
        )
        _listen(console, settings, lake, stop, seconds)
        if stop.is_set():
            console.print("Stopped. What was collected is in the lake; run the demo again to see it all.")
            return
        for run in consolidate_once(settings, lake):
            console.print("  " + run_sentence(run), markup=False)
        _step(console, 4, "Ask", f"bemtevi hashtag {TOPICS[0]} --since 7d --limit 4")
        _answers(console, settings, lake)
    _next(console, folder)


def _fresh(folder: Path) -> None:
    """An empty folder of ours; somebody else's is left alone."""
    if folder.exists():
        if not (folder / MARK).exists() and any(folder.iterdir()):
            raise UsageError(
                f"The folder {folder} exists and is not the demo's: choose another with --folder."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def _listen(console: Console, settings: Settings, lake: Lake, stop: threading.Event, seconds: float) -> None:
    """Listen for a while; the past is consolidated in the same process."""
    end = threading.Event()
    runs: list[Run] = []
    listener = Listener(settings, lake, network_of(settings))
    listening = Background("listener", lambda: listener.run(end), end)
    consolidating = Background("consolidate", lambda: runs.extend(consolidate_once(settings, lake)), end)
    deadline = time.monotonic() + seconds
    with console.status("listening …") as status:
        while time.monotonic() < deadline and not stop.wait(0.25) and not end.is_set():
            status.update(f"listening … {number(listener.acknowledged)} messages are safe in the journal")
    end.set()
    listening.finish()
    heard, written = (number(count) for count in (listener.acknowledged, listener.writer.count.raw))
    console.print(f"  {heard} messages heard, {written} in layer 1")
    if stop.is_set():
        return
    consolidating.finish()
    for run in runs:
        console.print("  " + run_sentence(run), markup=False)


def _answers(console: Console, settings: Settings, lake: Lake) -> None:
    until = datetime.now(UTC)
    with catalog_of(settings, lake) as catalog:
        tag = questions.find_hashtag(catalog, TOPICS[0])
        week = Period(until - timedelta(days=7), until)
        console.print()
        show_hashtag(console, questions.about_hashtag(catalog, tag, week, 4), settings)
        day = Period(until - timedelta(hours=24), until)
        console.print("\n  $ bemtevi top --limit 5\n", style="dim")
        show_top(console, questions.top_hashtags(catalog, day, 5), "Hashtags of the last 24 hours", settings)


def _step(console: Console, place: int, what: str, command: str) -> None:
    console.print(f"\n[bold]{place}. {what}[/bold]")
    console.print(f"  $ {command}", style="dim", markup=False)


def _next(console: Console, folder: Path) -> None:
    console.print(
        f"""
What to type next (the lake is in {folder}/lake, every table is Parquet that any tool opens):
  export BEMTEVI_LAKE={folder}/lake
  bemtevi serve                      (the dashboard, at http://127.0.0.1:8642)
  bemtevi hashtag vacinação
  bemtevi query "select lang, count(*) as tweets from fact_tweet group by lang order by tweets desc"
  bemtevi query "select * from fact_tweet" --output tweets.parquet
With a real token of X (developer console, app-only bearer token):
  export BEMTEVI_LAKE=lake BEMTEVI_X_BEARER_TOKEN=…
  bemtevi track "#covid19" && bemtevi run""",
        markup=False,
        soft_wrap=True,
    )
