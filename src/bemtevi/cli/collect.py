"""Commands that bring posts in: listen, import, run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from bemtevi import metrics
from bemtevi.cli.app import app, lake_of, out, told
from bemtevi.cli.background import Background
from bemtevi.cli.times import interval
from bemtevi.errors import MissingCredentialError, UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen.archive import Report, check, import_file
from bemtevi.listen.budget import Limits
from bemtevi.listen.budget_guard import BudgetGuard
from bemtevi.listen.listener import Listener
from bemtevi.listen.network import Network
from bemtevi.listen.poll import Poller
from bemtevi.listen.x import X
from bemtevi.listen.x_search import XSearch
from bemtevi.listen.x_usage import Asking
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings

log = structlog.get_logger()
PATHS = ("stream", "search")
KINDS = {
    "edit": ("edit", "edits"),
    "delete": ("deletion", "deletions"),
    "account": ("about an account", "about accounts"),
    "system": ("notice", "notices"),
}

MetricsPort = Annotated[
    int | None, typer.Option(help="Serve metrics for Prometheus at this port.", min=0, max=65535)
]


WayToX = Annotated[str, typer.Option(help="The way to X: stream, or search for who has no stream.")]


@app.command()
def listen(
    context: typer.Context,
    path: WayToX = "stream",
    every: Annotated[str | None, typer.Option(help="With search, how often to ask. [1m]")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0)] = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Listen to what is followed, until Ctrl-C: every post goes to the journal, then to layer 1."""
    pause = asking_every(path, every, "--every")
    settings, lake = lake_of(context, metrics_port=metrics_port)
    with stop_on_signal(seconds) as stop, metrics_served(settings):
        collect_until(settings, lake, path, pause, stop)


@app.command()
def run(
    context: typer.Context,
    path: WayToX = "stream",
    poll_every: Annotated[
        str | None, typer.Option(help="With --path search, how often to ask. [1m]", show_default=False)
    ] = None,
    every: Annotated[str, typer.Option(help="How often to consolidate.")] = "60m",
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0)] = None,
    metrics_port: MetricsPort = None,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Show the dashboard too.")] = True,
    port: Annotated[int, typer.Option(help="Port of the dashboard; 0 takes a free one.", min=0)] = 8642,
) -> None:
    """Listen, consolidate and show the dashboard in one process, until Ctrl-C."""
    asking = asking_every(path, poll_every, "--poll-every")
    settings, lake = lake_of(context, metrics_port=metrics_port)
    pause = interval(every)
    with stop_on_signal(seconds) as stop, metrics_served(settings):
        network_of(settings)  # before anything is begun
        # here, since `listen` does without the engine
        from bemtevi.cli.serve import served_if_possible
        from bemtevi.cli.warehouse import CUT_SHORT_SECONDS, consolidate_regularly

        with served_if_possible(settings, lake, port, wanted=serve):
            work = Background("consolidate", lambda: consolidate_regularly(settings, lake, pause, stop), stop)
            collect_until(settings, lake, path, asking, stop)
        work.finish(CUT_SHORT_SECONDS)


@app.command("import")
def import_(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Archive files.", show_default=False)],
) -> None:
    """Bring in archive files: X's API v2 (lines, pages) and v1.1; plain, .gz, .bz2, .zst, .zip, .tar."""
    _, lake = lake_of(context)
    for path in files:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name the files in it, for example {path}/*.gz.")
        if not path.exists():
            raise UsageError(f"There is no file {path}.")
    reports = import_files(lake, files)
    total = Report(Path())
    for report in reports:
        total.count.add(report.count)
        total.posts += report.posts
        out().print(sentence(report), markup=False, soft_wrap=True)
    if len(reports) > 1:
        out().print(
            f"Together: {number(total.count.messages)} messages, {number(total.posts)} posts, "
            f"{number(total.count.quarantined)} in quarantine.",
            soft_wrap=True,
        )


def import_files(lake: Lake, files: list[Path]) -> list[Report]:
    """Check all files, then import them; a bar on a terminal, nothing in a log."""
    console = told()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        size = sum(path.stat().st_size for path in files)
        checking = progress.add_task("checking", total=size)
        digests = [check(path, lambda read: progress.advance(checking, read)) for path in files]
        importing = progress.add_task("importing", total=size)
        return [
            import_file(lake, path, digest, time.time_ns, lambda read: progress.advance(importing, read))
            for path, digest in zip(files, digests, strict=True)
        ]


def sentence(report: Report) -> str:
    """What became of a file, in one line."""
    name = report.path.name
    count = report.count
    if count.messages == 0:
        return f"{name}: already imported ({number(report.known_before)} messages); nothing added."
    parts = [f"{number(count.messages)} messages", f"{number(report.posts)} posts"]
    if report.posts != report.distinct_posts:
        parts.append(f"{number(report.posts - report.distinct_posts)} of them repeated")
    parts += [
        f"{number(times)} {KINDS.get(kind, (kind, kind))[times != 1]}"
        for kind, times in sorted(count.kinds.items())
        if kind not in ("post", "page")
    ]
    if count.quarantined:
        parts.append(
            f'{number(count.quarantined)} in quarantine (bemtevi query "select reason from quarantine")'
        )
    if report.known_before:
        parts.append(f"{number(report.known_before)} were there from an interrupted import")
    if report.skipped:
        parts.append(f"no JSON in {', '.join(report.skipped[:3])}{' …' if len(report.skipped) > 3 else ''}")
    return f"{name}: {', '.join(parts)}."


def asking_every(path: str, every: str | None, flag: str) -> timedelta:
    """How often search is asked on this path. Raises UsageError for a path or a flag that does not fit."""
    if path not in PATHS:
        raise UsageError(f"'{path}' is no path: choose --path {' or '.join(PATHS)}.")
    if every is not None and path != "search":
        raise UsageError(f"{flag} says how often search is asked: add --path search, or leave it out.")
    return interval(every or "1m")


def collect_until(settings: Settings, lake: Lake, path: str, every: timedelta, stop: threading.Event) -> None:
    """Bring posts in by the stream or by search, until told to stop."""
    if path == "search":
        poll_until(settings, lake, every, stop)
    else:
        listen_until(settings, lake, stop)


def listen_until(settings: Settings, lake: Lake, stop: threading.Event) -> None:
    """Listen to X until told to stop, and say how it ended."""
    network = network_of(settings)
    listener = Listener(settings, lake, network, budget=guard_of(settings, lake), search=search_of(settings))
    started = time.monotonic()
    whole = listener.run(stop)
    count = listener.writer.count
    rate = listener.acknowledged / max(time.monotonic() - started, 0.001)
    rest = "" if whole else " The rest waits in the journal and is written at the next start."
    told().print(
        f"Listened: {number(listener.acknowledged)} messages ({number(round(rate))}/s), "
        f"{number(count.raw)} in layer 1, {number(count.quarantined)} in quarantine.{rest}",
        style="green",
        soft_wrap=True,
    )


def poll_until(settings: Settings, lake: Lake, every: timedelta, stop: threading.Event) -> None:
    """Ask X's search again and again until told to stop, and say how it ended."""
    poller = Poller(settings, lake, search_of(settings), every, guard_of(settings, lake))
    whole = poller.run(stop)
    rest = "" if whole else " The rest waits in the journal and is written at the next start."
    told().print(
        f"Polled: {number(poller.rounds)} times, {number(poller.posts)} posts.{rest}",
        style="green",
        soft_wrap=True,
    )


def asking_of(settings: Settings) -> Asking:
    """Who asks X for its count of what was read."""
    token = settings.x_bearer_token
    return Asking(None if token is None else token.get_secret_value().strip(), settings.x_api_url)


def guard_of(settings: Settings, lake: Lake, asking: Asking | None = None) -> BudgetGuard:
    """The budget of X, not begun."""
    layout = JournalLayout(settings.journal, X.name)
    return BudgetGuard(Limits.of(settings), lake, layout, X.name, ask=asking or asking_of(settings))


def network_of(settings: Settings) -> Network:
    """X with the token of the settings. Raises MissingCredentialError without one."""
    return X(
        token_of(settings),
        settings.x_api_url,
        silence_seconds=settings.silence_seconds,
        longest_rule=settings.x_rule_length,
        most_rules=settings.x_rule_cap,
    )


def search_of(settings: Settings, *, archive: bool | None = None) -> XSearch:
    """X's search with the token of the settings. Raises MissingCredentialError without one."""
    archive = settings.search_archive if archive is None else archive
    return XSearch(token_of(settings), settings.x_api_url, archive=archive)


def token_of(settings: Settings) -> str:
    """The bearer token of X. Raises MissingCredentialError without one."""
    if settings.x_bearer_token is None or not settings.x_bearer_token.get_secret_value().strip():
        raise MissingCredentialError(
            "A bearer token of X is missing: set BEMTEVI_X_BEARER_TOKEN (developer console of X, app-only "
            "token), or try without one: bemtevi demo."
        )
    return settings.x_bearer_token.get_secret_value().strip()


@contextmanager
def metrics_served(settings: Settings) -> Iterator[None]:
    """The endpoint of the metrics, if the settings want one."""
    if settings.metrics_port is None:
        yield
        return
    with metrics.endpoint(settings.metrics_host, settings.metrics_port) as url:
        log.info("metrics.serving", url=url)
        yield


@contextmanager
def stop_on_signal(seconds: float | None = None) -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM or the end of `seconds` sets; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        del number, frame
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = threading.Timer(seconds, stop.set) if seconds is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield stop
    finally:
        if timer is not None:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
