"""Commands that make layer 2: consolidate."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
import typer

from bemtevi import metrics
from bemtevi.cli.app import ENGINE_HELP, app, lake_of, out
from bemtevi.cli.background import Background, turns
from bemtevi.cli.times import interval, moment
from bemtevi.errors import BemteviError, ConflictError, UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings
from bemtevi.warehouse.consolidate import Consolidation
from bemtevi.warehouse.engines import open_engine
from bemtevi.warehouse.lineage_sender import lineage_told
from bemtevi.warehouse.run import Run
from bemtevi.warehouse.waiting import Waiting

log = structlog.get_logger()
HOUR = timedelta(hours=1)
CUT_SHORT_SECONDS = 0.3
"""Who stops waits so long for a run to end; one that is cut short leaves no trace."""
PATIENCE_SECONDS = 60.0
"""Maintenance gives the lock away more often than that."""


@app.command()
def consolidate(
    context: typer.Context,
    every: Annotated[str | None, typer.Option(help="Keep doing it, e.g. 60m: on the hour.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First hour to make again.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Hour before which to stop.")] = None,
    engine: Annotated[str | None, typer.Option(help=ENGINE_HELP)] = None,
) -> None:
    """Bring what is new in layer 1 into the tables of layer 2; safe to repeat."""
    settings, lake = lake_of(context, engine=engine)
    if every is not None:
        if start is not None or end is not None:
            raise UsageError("--every goes with what is new; --from and --to are for one time.")
        from bemtevi.cli.collect import metrics_served, stop_on_signal

        pause = interval(every)
        with stop_on_signal() as stop, metrics_served(settings):
            work = Background("consolidate", lambda: consolidate_regularly(settings, lake, pause, stop), stop)
            stop.wait()
            work.finish(CUT_SHORT_SECONDS)
        return
    period = None
    if start is not None or end is not None:
        if start is None or end is None:
            raise UsageError(
                "Give both --from and --to, for example --from 2026-11-24T10:00 --to 2026-11-24T12:00."
            )
        now = datetime.now(UTC)
        period = hours(moment(start, settings.zone, now), moment(end, settings.zone, now))
    runs = consolidate_once(settings, lake, period)
    if not runs:
        empty = not lake.table(RAW).exists()
        out().print(
            "Layer 1 is empty: bring posts with `bemtevi import FILE` or `bemtevi listen`."
            if empty
            else "Nothing new in layer 1; the tables are as they were."
        )
    for run in runs:
        out().print(sentence(run), markup=False, soft_wrap=True)


def hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The whole UTC hours that cover [start, end). Raises UsageError for an empty or endless period."""
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    last = end.astimezone(UTC)
    if last != last.replace(minute=0, second=0, microsecond=0):
        last = last.replace(minute=0, second=0, microsecond=0) + HOUR
    if last <= first:
        raise UsageError("--to must be after --from.")
    if (last - first) > timedelta(days=366):
        raise UsageError("A period of more than a year is too long for one step: make it again year by year.")
    return first, last


def consolidate_once(
    settings: Settings,
    lake: Lake,
    period: tuple[datetime, datetime] | None = None,
    patience: float = 0,
) -> list[Run]:
    """Consolidate what is new, or a period again after what is new; the runs that changed something.

    `patience`: seconds to wait for who is consolidating or maintaining the lake.
    """
    with lineage_told(settings, lake, "consolidate"), open_engine(settings, lake) as engine:
        work = Consolidation(lake, engine, settings.batch_bytes, lambda: datetime.now(UTC), patience)
        runs = list(work.run_new())
        if period is not None:
            runs += list(work.run_period(*period))
        return runs


def consolidate_regularly(settings: Settings, lake: Lake, pause: timedelta, stop: threading.Event) -> None:
    """Now, and then whenever the clock passes a multiple of `pause`, until told to stop.

    Sooner when as much waits as one step takes, for who answers holds it in memory.

    What goes wrong once is told and tried again at the next turn, not sooner.
    """
    waiting: Waiting | None = None

    def sooner() -> bool:
        try:
            return waiting is not None and waiting.size() >= settings.batch_bytes
        except BemteviError:  # the turn itself tells of it
            return False

    for _ in turns(pause, stop, sooner):
        waiting = None
        try:
            for run in consolidate_once(settings, lake, patience=PATIENCE_SECONDS):
                log.info(
                    "consolidate.done", run=run.number, posts=run.posts_after, seconds=round(run.seconds, 2)
                )
            metrics.consolidated("done", time.time())
            waiting = Waiting(lake)
        except ConflictError as error:
            metrics.consolidated("busy", time.time())
            log.warning("consolidate.busy", error=str(error))
        except UsageError:
            raise
        except BemteviError as error:
            metrics.consolidated("failed", time.time())
            log.error("consolidate.failed", error=str(error))


def sentence(run: Run) -> str:
    """What a run did, in one line."""
    new, seen, hours = (
        number(count) for count in (run.posts_after - run.posts_before, run.observations, run.hours)
    )
    again = "" if run.kind == "incremental" else " (made again)"
    bad = f", {number(run.quarantined)} messages in quarantine" if run.quarantined else ""
    rate = number(round(run.observations / max(run.seconds, 0.001)))
    unit = "hour" if run.hours == 1 else "hours"
    return (
        f"Run {run.number}{again}: {new} new of {seen} posts, {hours} {unit} written{bad}; "
        f"{run.seconds:.1f} s, {rate}/s."
    )
