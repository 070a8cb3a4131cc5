"""The command that keeps a lake in good order: maintain."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
import typer

from bemtevi.cli.app import ENGINE_HELP, app, lake_of, out
from bemtevi.cli.background import Background, turns
from bemtevi.cli.collect import metrics_served, stop_on_signal
from bemtevi.cli.times import interval
from bemtevi.cli.warehouse import CUT_SHORT_SECONDS
from bemtevi.errors import BemteviError, ConflictError, CorruptionError, UsageError
from bemtevi.lake.integrity import Examined
from bemtevi.lake.lake import Lake
from bemtevi.listen import erase_journal
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings
from bemtevi.warehouse.engines import open_elsewhere
from bemtevi.warehouse.erase import Erased, Erasure
from bemtevi.warehouse.lineage_sender import lineage_told
from bemtevi.warehouse.maintain import Elsewhere, Maintenance, Policy
from bemtevi.warehouse.upkeep import Upkeep
from bemtevi.warehouse.verify import Comparison, compare, examine_tables

log = structlog.get_logger()
EMPTY = "There is no table yet: bring posts with `bemtevi import FILE` or `bemtevi listen`."


@app.command()
def maintain(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file, compare the tables, and change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each table.")] = False,
    every: Annotated[str | None, typer.Option(help="Keep doing it, e.g. 6h.")] = None,
    engine: Annotated[str | None, typer.Option(help=ENGINE_HELP)] = None,
) -> None:
    """Compact small files, remove what is older than is kept, delete old versions; safe at any time."""
    settings, lake = lake_of(context, engine=engine)
    if (dry_run + verify + (every is not None)) > 1:
        raise UsageError("Give one of --dry-run, --verify and --every.")
    if every is not None:
        pause = interval(every)
        with stop_on_signal() as stop, metrics_served(settings):
            work = Background("maintain", lambda: maintain_regularly(settings, lake, pause, stop), stop)
            stop.wait()
            work.finish(CUT_SHORT_SECONDS)
        return
    if verify:
        _verify(settings, lake, as_json=as_json)
        return
    if dry_run:
        work_of_one = maintenance(settings, lake, None)
        done = work_of_one.plan()
    else:
        work_of_one = maintenance(settings, lake, open_elsewhere(settings))
        with lineage_told(settings, lake, "maintain"):
            done = work_of_one.run()
    for line in erased_in_words(work_of_one.erased):
        _say({"erased": line} if as_json else line)
    if not done and not as_json:
        _say(EMPTY)
    for upkeep in done:
        _say(asdict(upkeep) if as_json else sentence(upkeep, planned=dry_run))


def maintenance(settings: Settings, lake: Lake, elsewhere: Elsewhere | None) -> Maintenance:
    """The maintenance that the settings ask for; `elsewhere`: who writes compacted files."""
    policy = Policy(
        settings.retention_versions_hours, settings.retention_raw_days, settings.retention_facts_days
    )
    erasure = Erasure(
        lake,
        settings.erase_hours,
        lambda: datetime.now(UTC),
        lambda ids, change: erase_journal.erase(settings.journal, ids, change),
    )
    return Maintenance(lake, policy, lambda: datetime.now(UTC), erasure=erasure, elsewhere=elsewhere)


def erased_in_words(erased: Erased) -> Iterator[str]:
    """What was erased, and what has to wait."""
    if erased.subjects:
        yield (
            f"Erased: {number(erased.subjects)} {_one(erased.subjects, 'tombstone')} without content "
            f"{'is' if erased.subjects == 1 else 'are'} left; {number(erased.files)} "
            f"{_one(erased.files, 'file')} of messages rewritten."
        )
    for wait in erased.waits:
        yield f"Not erased yet: {wait}."


def maintain_regularly(settings: Settings, lake: Lake, pause: timedelta, stop: threading.Event) -> None:
    """Now, and then whenever the clock passes a multiple of `pause`, until told to stop.

    What goes wrong once is told and tried again at the next turn.
    """
    for _ in turns(pause, stop):
        try:
            work = maintenance(settings, lake, open_elsewhere(settings))
            with lineage_told(settings, lake, "maintain"):
                done = work.run()
            for wait in work.erased.waits:
                log.warning("erase.waits", reason=wait)
            log.info(
                "maintain.done",
                compacted=sum(upkeep.compacted for upkeep in done),
                removed_rows=sum(upkeep.removed_rows for upkeep in done),
                vacuumed_files=sum(upkeep.vacuumed_files for upkeep in done),
                vacuumed_bytes=sum(upkeep.vacuumed_bytes for upkeep in done),
            )
        except ConflictError as error:
            log.warning("maintain.busy", error=str(error))
        except UsageError:
            raise
        except BemteviError as error:
            log.error("maintain.failed", error=str(error))


def sentence(upkeep: Upkeep, *, planned: bool) -> str:
    """What was done to a table, or would be, in one line."""
    files = _change(number(upkeep.files_before), number(upkeep.files_after))
    size = _change(number_of_bytes(upkeep.bytes_before), number_of_bytes(upkeep.bytes_after))
    parts = [f"{upkeep.table}: {files} {_one(upkeep.files_after, 'file')}, {size}"]
    if upkeep.compacted:
        parts.append(f"{number(upkeep.compacted)} {_one(upkeep.compacted, 'partition')} compacted")
    if upkeep.removed_rows:
        parts.append(
            f"{number(upkeep.removed_rows)} {_one(upkeep.removed_rows, 'row')} of "
            f"{number(upkeep.removed_partitions)} {_one(upkeep.removed_partitions, 'day')} removed by age"
        )
    if upkeep.vacuumed_files:
        parts.append(
            f"{number(upkeep.vacuumed_files)} old {_one(upkeep.vacuumed_files, 'file')} deleted "
            f"({number_of_bytes(upkeep.vacuumed_bytes)})"
        )
    return ("Would be " if planned else "") + "; ".join([*parts, *upkeep.remarks]) + "."


def number_of_bytes(size: int) -> str:
    """Bytes in the unit that fits: 1,234 bytes, 12.3 MB."""
    if size < 100_000:
        return f"{number(size)} bytes"
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"


def _change(before: str, after: str) -> str:
    return after if before == after else f"{before} → {after}"


def _one(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _verify(settings: Settings, lake: Lake, *, as_json: bool) -> None:
    """Say what was read and compared. Raises CorruptionError if something is wrong."""
    faults: list[str] = []
    examined = None
    for examined in examine_tables(lake):
        _say(asdict(examined) if as_json else _examined(examined))
        faults += examined.damage
    if examined is None and not as_json:
        _say(EMPTY)
    comparisons: Sequence[Comparison] = [] if faults else compare(lake, settings.memory_limit)
    for comparison in comparisons:
        line = f"{comparison.what}: {number(comparison.wrong)} of {number(comparison.of)}."
        _say(asdict(comparison) if as_json else line)
        if comparison.wrong:
            faults.append(f"{comparison.wrong} {comparison.what}.")
    if faults:
        more = f" And {len(faults) - 1} more faults." if len(faults) > 1 else ""
        raise CorruptionError(f"{faults[0]}{more} See docs/maintenance.md, what to do about damage.")


def _examined(examined: Examined) -> str:
    state = f"{len(examined.damage)} damaged" if examined.damage else "good"
    return (
        f"{examined.table}: {number(examined.files)} {_one(examined.files, 'file')}, "
        f"{number(examined.rows)} {_one(examined.rows, 'row')}, {number_of_bytes(examined.size)}, {state}."
    )


def _say(what: str | dict[str, object]) -> None:
    line = what if isinstance(what, str) else json.dumps(what, ensure_ascii=False)
    out().print(line, markup=False, soft_wrap=True)
