"""The checks of doctor, one function each: what is looked at, and the one line that says what to fix.

Owns what counts as good, as a warning and as broken on this machine and in the lake, and the order of all.
Leaves to `checks_of_x` what X is asked, to `doctor` how it is shown. No check changes anything, and none
raises for what it looks at.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from bemtevi.cli import checks_of_spark, checks_of_x
from bemtevi.cli.check import Check, said, some
from bemtevi.errors import BemteviError
from bemtevi.lake.credentials import way
from bemtevi.lake.gap import State, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.object_store import ObjectStore
from bemtevi.lake.raw import RAW
from bemtevi.lake.s3_files import endpoint_of, region_of
from bemtevi.lake.track import read_rules
from bemtevi.settings import Settings
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.record import RECORDS
from bemtevi.warehouse.run import check_zone, last_consolidation

SCARCE_BYTES = 5 * 1024**3
OLD_RUN = timedelta(hours=2)
GIGABYTE = 1e9


def all_checks(settings: Settings, lake: Lake, now: Callable[[], datetime]) -> Iterator[Check]:
    """Every check, in order, each as soon as it is done."""
    checks: tuple[Callable[[], Iterator[Check]], ...] = (
        lambda: checks_of_x.network(settings, lake, now),
        lambda: checks_of_x.usage(settings, lake),
        lambda: purposes(lake),
        lambda: journal(settings),
        lambda: disks(settings, lake),
        lambda: store(lake),
        lambda: tables(lake),
        lambda: consolidation(lake, now()),
        lambda: gaps(lake),
        lambda: engine(settings),
    )
    for check in checks:
        try:
            yield from check()
        except BemteviError as error:
            yield Check("lake", "broken", said(error))


def purposes(lake: Lake) -> Iterator[Check]:
    """Rules without a purpose."""
    without = [rule.value for rule in read_rules(lake) if not rule.purpose]
    if without:
        yield Check(
            "purpose",
            "note",
            f"{len(without)} rules have none: {some(without)}",
            'say what the posts are collected for: bemtevi track "RULE" --purpose "…"',
        )


def journal(settings: Settings) -> Iterator[Check]:
    """What waits in the journal, and whether a listener is at work."""
    layout = JournalLayout(settings.journal, "x")
    if not layout.folder.exists():
        yield Check("journal", "good", f"nothing has been heard with {settings.journal} yet")
        return
    waiting = [layout.segment(number) for number in layout.segments()]
    size = sum(path.stat().st_size for path in waiting if path.exists())
    at_work = _held(layout.lock)
    found = f"{len(waiting)} segments wait, {size / GIGABYTE:.2f} GB; " + (
        "a listener is at work" if at_work else "no listener is at work"
    )
    if len(waiting) > 10 or (waiting and not at_work):
        fix = "see the listener's log" if at_work else "bemtevi listen writes them to layer 1"
        yield Check("journal", "warning", found, fix)
    else:
        yield Check("journal", "good", found)


def disks(settings: Settings, lake: Lake) -> Iterator[Check]:
    """Room for the journal and the lake."""
    places = {"journal": settings.journal, "lake": Path(settings.lake) if lake.layout.is_local else None}
    for name, folder in places.items():
        if folder is None:
            continue
        here = folder.absolute()
        there = next(path for path in (here, *here.parents) if path.exists())
        free = shutil.disk_usage(there).free
        found = f"{free / GIGABYTE:.1f} GB are free for the {name}"
        if free <= settings.journal_reserve_bytes:
            yield Check("disk", "broken", found, f"free some space, or choose another disk for the {name}")
        elif free < SCARCE_BYTES:
            yield Check("disk", "warning", found, "free some space soon")
        else:
            yield Check("disk", "good", found)


def store(lake: Lake) -> Iterator[Check]:
    """The S3 store answers, lets us in, and keeps the first of two puts. Looking leaves nothing behind."""
    if lake.layout.is_local:
        return
    options = lake.storage_options
    place = f"{lake.layout.root} at {endpoint_of(options) or f'Amazon S3 in {region_of(options)}'}"
    try:
        keeps = ObjectStore(lake.layout.root, options).keeps_the_first()
    except BemteviError as error:
        yield Check("store", "broken", f"{said(error)} ({place}, with {way(options)})", "see docs/s3.md")
        return
    if keeps:
        yield Check("store", "good", f"{place}, with {way(options)}; it keeps to conditional puts")
    elif lake.single_writer:
        yield Check(
            "store",
            "warning",
            f"{place} ignores conditional puts; single_writer promises that one process at a time writes",
            "use a store that keeps to If-None-Match",
        )
    else:
        yield Check(
            "store",
            "broken",
            f"{place} ignores conditional puts: of two commits at once one would be lost",
            "use another store, or set BEMTEVI_SINGLE_WRITER=true if one process at a time writes",
        )


def tables(lake: Lake) -> Iterator[Check]:
    """Every table opens, in our version and zone."""
    definitions = [*LAYER_1, *RECORDS, *(one.definition for one in load_models())]
    there = 0
    try:
        check_zone(lake)
    except BemteviError as error:
        yield Check("lake", "broken", said(error))
        return
    for definition in definitions:
        try:
            version = lake.table(definition).version()
        except BemteviError as error:
            yield Check("lake", "broken", said(error))
            continue
        there += version >= 0
    if there:
        yield Check("lake", "good", f"{there} tables in {lake.layout.root}, local times in {lake.timezone}")
    else:
        yield Check("lake", "note", f"there is none at {lake.layout.root} yet", "bemtevi track makes one")


def consolidation(lake: Lake, now: datetime) -> Iterator[Check]:
    """How far layer 2 is behind."""
    raw = lake.table(RAW).version()
    if raw < 0:
        return
    run = last_consolidation(lake)
    if run is None:
        yield Check("tables", "warning", "layer 1 has posts, layer 2 has none", "bemtevi consolidate")
        return
    age = now - run.finished_at
    found = f"run {run.number} ended {_ago(age)} ago, {raw - run.raw_version} commits behind layer 1"
    if age > OLD_RUN and raw > run.raw_version:
        yield Check("tables", "warning", found, "bemtevi consolidate, or bemtevi run, which does it hourly")
    else:
        yield Check("tables", "good", found)


def gaps(lake: Lake) -> Iterator[Check]:
    """Intervals in which we were deaf and that are not filled."""
    waiting = read_gaps(lake, states=[State.OPEN, State.ENDED])
    if waiting:
        oldest = min(gap.started_at for gap in waiting).astimezone(UTC)
        yield Check(
            "gaps",
            "warning",
            f"{len(waiting)} are not filled, the oldest from {oldest:%Y-%m-%d %H:%M} UTC",
            "the listener ends and fills them while it runs; X's search reaches 7 days back",
        )
    else:
        yield Check("gaps", "good", "none is open")


def engine(settings: Settings) -> Iterator[Check]:
    """DuckDB takes the memory that is set."""
    try:
        with duckdb.connect() as connection:
            connection.execute("set memory_limit = ?", [settings.memory_limit])
            shown = connection.execute("select current_setting('memory_limit')").fetchone()
    except duckdb.Error as error:
        yield Check("engine", "broken", f"DuckDB cannot be used: {error}", "make setup")
        return
    yield Check("engine", "good", f"DuckDB {duckdb.__version__} with {shown[0] if shown else '?'} of memory")
    if settings.engine == "spark":
        yield from checks_of_spark.spark(settings)


def _held(lock: Path) -> bool:
    """Whether another process holds a lock; looking leaves nothing behind."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, thread_local=False).acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True


def _ago(age: timedelta) -> str:
    minutes = max(round(age.total_seconds() / 60), 0)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
