"""Maintenance of a lake: few files, short logs, nothing older than what is to be kept.

Owns what is done to which table, in which order, and how readers come to see it: the tables of layer 2 are
seen at the versions of the last run, so maintenance is a run of its own, of the kind `maintenance`. One that
is killed leaves tables ahead of the last run, which the next run brings back. Leaves the single steps to
`lake.maintenance`.

Three rules keep others safe. A file of raw is compacted or removed only once it is consolidated, for
consolidation finds new messages by the files that each commit added; one that the listener has merged before
stays on the disk until then. No file goes that the versions of the
last run need. Every version that readers could see in the last hours (`retention_versions_hours`) can still
be opened.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from bemtevi import __version__
from bemtevi.lake.lake import LOCK, LOCKED_FOR, MERGE_LOCK, MERGE_LOCKED_FOR, Lake, acquire
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.maintenance import DataFile, MaintainedTable, Vacuumed
from bemtevi.lake.parquet_file import WrittenFile
from bemtevi.lake.raw import RAW
from bemtevi.lake.table import Table
from bemtevi.warehouse.erase import Erased, Erasure
from bemtevi.warehouse.model import CREATED_HOUR, FACT, Model, Scope, load_models
from bemtevi.warehouse.record import RECORDS
from bemtevi.warehouse.run import (
    MAINTENANCE,
    Run,
    all_runs,
    check_zone,
    commit_run,
    last_run,
    pinned,
    refuse_others,
    restored,
)
from bemtevi.warehouse.upkeep import Upkeep

PATIENCE_SECONDS = 60.0
"""So long maintenance waits for a consolidation to end."""
TURN_SECONDS = 10.0
"""So long it holds the lock before it gives others a chance; one partition may take longer."""
PAUSE_SECONDS = 0.5
GRACE = timedelta(hours=1)
"""A day is closed so long after its end."""


@dataclass(frozen=True)
class Policy:
    """What is kept for how long. None keeps for ever."""

    versions_hours: int
    raw_days: int | None = None
    facts_days: int | None = None


class Elsewhere(Protocol):
    """Others who write the files of a compaction."""

    name: str
    at_once: int
    """So many partitions keep them busy."""

    def put_together(self, table: Table, groups: Sequence[Sequence[str]]) -> Sequence[WrittenFile]:
        """See `lake.maintenance.PutTogether`."""
        ...


class Maintenance:
    """Maintains one lake. The locks are held by turns, so that consolidation need not wait for the end."""

    def __init__(
        self,
        lake: Lake,
        policy: Policy,
        clock: Callable[[], datetime],
        patience: float = PATIENCE_SECONDS,
        erasure: Erasure | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`patience`: seconds to wait for a consolidation to end. `erasure`: erases what is deleted.
        `elsewhere`: writes compacted files, if not this process."""
        self._elsewhere = elsewhere
        self._erasure = erasure
        self.erased = Erased()
        """What the last maintenance erased."""
        self._patience = patience
        self._lake = lake
        self._policy = policy
        self._clock = clock
        self._models = load_models()
        self._upkeep: dict[str, Upkeep] = {}
        self._tried: set[tuple[str, date | None]] = set()

    def plan(self) -> list[Upkeep]:
        """What `run` would do, told by the logs alone; changes nothing."""
        now = self._clock()
        last = last_run(self._lake)
        for table in self._tables(last):
            files = table.data_files()
            upkeep = self._upkeep[table.definition.name] = Upkeep.of(table.definition.name, files)
            ready = self._consolidated(last)[1] if table.definition is RAW else files
            cutoff = self._cutoff(table, now)
            gone = [file for file in ready if cutoff and file.day and file.day < cutoff]
            kept = [file for file in ready if not (cutoff and file.day and file.day < cutoff)]
            upkeep.count_removed(gone)
            upkeep.files_after -= len(gone)
            upkeep.bytes_after -= sum(file.size for file in gone)
            for day in table.worth_compacting(kept, self._open_from(table, now)):
                sizes = [file.size for file in kept if file.day == day and file.size < table.target_bytes]
                upkeep.compacted += 1
                upkeep.files_after -= len(sizes) - math.ceil(sum(sizes) / table.target_bytes)
            upkeep.count_vacuumed(self._vacuum(table, last, dry_run=True))
        return list(self._upkeep.values())

    def run(self) -> list[Upkeep]:
        """Maintain every table; what was done.

        Raises ConflictError if somebody else is maintaining, or does not end a consolidation.
        """
        with acquire(self._lake.lock("maintain"), "maintaining this lake"):
            done = False
            while not done:
                with acquire(self._lake.lock(LOCK), LOCKED_FOR, self._patience):
                    done = self._turn()
                    if done and self._erasure is not None:
                        self.erased = self._erasure.run()
                if not done:
                    time.sleep(PAUSE_SECONDS)
        return list(self._upkeep.values())

    def _turn(self) -> bool:
        """One turn with the lock held; whether all is done."""
        started_at = self._clock()
        committed = last_run(self._lake)
        check_zone(self._lake)
        last = restored(self._lake, self._models)
        before = {} if last is None else last.table_versions
        for table in self._tables(last):
            self._upkeep.setdefault(
                table.definition.name, Upkeep.of(table.definition.name, table.data_files())
            )
        removed = 0
        if last is not None:
            last, removed = self._remove_old(last, started_at)
        done = True
        for table in self._tables(last):
            if table.definition is RAW:
                merging = self._lake.lock(MERGE_LOCK)
                with acquire(merging, MERGE_LOCKED_FOR, self._patience):
                    done = self._compact(table, last, started_at) and done
            else:
                done = self._compact(table, last, started_at) and done
        if done:
            self._tidy(last, started_at)
        if committed is not None and last is not None:
            run = self._row(last, started_at, self._versions(last), removed)
            if (run.versions, run.raw_version) != (pinned(committed.table_versions), committed.raw_version):
                refuse_others(self._lake, before, run, self._models)
                commit_run(self._lake, run)
        for table in self._tables(last):
            self._upkeep[table.definition.name].end(table.data_files())
        return done

    def _remove_old(self, last: Run, now: datetime) -> tuple[Run, int]:
        """Remove what is older than is kept; the last run, and the posts that went."""
        posts = 0
        for table in self._tables(last):
            cutoff = self._cutoff(table, now)
            if cutoff is None:
                continue
            name = table.definition.name
            version = table.version()
            gone = [file for file in table.data_files(version) if file.day and file.day < cutoff]
            if table.definition is RAW and gone:
                ready = {file.path for file in self._consolidated(last)[1]}
                if any(file.path not in ready for file in gone):
                    self._remark(name, f"messages from before {cutoff} wait for consolidation")
                    continue
                # told first: from now on, the hours before cannot be made again
                run = self._row(last, now, last.table_versions, raw_from=cutoff)
                commit_run(self._lake, run)
                last = replace(last, number=run.number)
            if gone:
                table.remove_before(cutoff, version)
                self._upkeep[name].count_removed(gone)
                posts += sum(file.rows for file in gone) if name == FACT else 0
        return last, posts

    def _compact(self, table: MaintainedTable, last: Run | None, started_at: datetime) -> bool:
        """Compact what is worth it until the turn is over; whether all is done."""
        name = table.definition.name
        version = None
        files = live = table.data_files()
        if table.definition is RAW:
            version, files = self._consolidated(last)
        there = {file.path for file in live}
        worth = table.worth_compacting(files, self._open_from(table, started_at))
        days = [day for day in worth if (name, day) not in self._tried]
        at_once = 1 if self._elsewhere is None else self._elsewhere.at_once
        for start in range(0, len(days), at_once):
            if (self._clock() - started_at).total_seconds() > TURN_SECONDS:
                return False
            some = days[start : start + at_once]
            self._tried |= {(name, day) for day in some}
            if any(file.path not in there for file in files if file.day in some):
                # what the last consolidation saw was put together since: again would double it
                self._remark(name, "waits for a consolidation since the last maintenance")
                changed = {file.day for file in files if file.path not in there}
                some = [day for day in some if day not in changed]
            self._upkeep[name].compacted += self._compact_days(table, some, version)
        return True

    def _compact_days(self, table: MaintainedTable, days: Sequence[date | None], version: int | None) -> int:
        """Compact some partitions of a table; how many became fewer files."""
        if self._elsewhere is not None:
            return table.compact_elsewhere(days, version, self._elsewhere.put_together)
        before = table.version()
        for day in days:
            table.compact(day, version)
        return int(table.version() > before)

    def _tidy(self, last: Run | None, now: datetime) -> None:
        """Delete what no reader needs any more, and shorten the logs."""
        old = now - timedelta(hours=self._policy.versions_hours)
        seen = [run for run in all_runs(self._lake) if run.finished_at <= old]
        for table in self._tables(last):
            name = table.definition.name
            self._upkeep[name].count_vacuumed(self._vacuum(table, last, dry_run=False))
            table.keep_log(self._policy.versions_hours)
            table.checkpoint()
            if table.definition is RAW:
                version = seen[-1].raw_version if seen else None
            elif table.definition.layer == 2 and table.definition not in RECORDS:
                version = seen[-1].table_versions.get(name) if seen else None
            else:
                version = table.version_at(old)
            if version is not None:
                table.clean_log(version)

    def _vacuum(self, table: MaintainedTable, last: Run | None, *, dry_run: bool) -> Vacuumed:
        hours, keep = self._policy.versions_hours, []
        if table.definition is RAW and last is not None:
            keep = [last.raw_version]
        if table.definition is RAW:
            # the listener merges files that consolidation has yet to read
            waiting = self._consolidated_version(last) + 1
            if waiting <= table.version() and self._clock() - table.added_at(waiting) >= timedelta(
                hours=hours
            ):
                self._remark(RAW.name, "old files stay until what is new is consolidated")
                return Vacuumed(0, 0)
        return table.vacuum(hours, keep, dry_run=dry_run)

    def _row(
        self,
        last: Run,
        started_at: datetime,
        versions: dict[str, int],
        removed: int = 0,
        raw_from: date | None = None,
    ) -> Run:
        """The run of this maintenance, after `last`."""
        return Run(
            number=last.number + 1,
            kind=MAINTENANCE,
            started_at=started_at,
            finished_at=self._clock(),
            engine="deltalake" if self._elsewhere is None else self._elsewhere.name,
            program=__version__,
            unicode=last.unicode,
            timezone=last.timezone,
            raw_version=self._consolidated_version(last),
            posts_before=removed,
            facts_from=self._facts_from(started_at) if removed else None,
            tombstone_version=last.tombstone_version,
            versions=pinned(versions),
            raw_from=raw_from,
            watermark=last.watermark,
        )

    def _versions(self, last: Run) -> dict[str, int]:
        """The newest version of every table that belongs to the last run."""
        return {
            model.name: self._lake.table(model.definition).version()
            for model in self._models
            if model.name in last.table_versions
        }

    def _facts_from(self, now: datetime) -> date | None:
        days, zone = self._policy.facts_days, ZoneInfo(self._lake.timezone)
        return None if days is None else now.astimezone(zone).date() - timedelta(days=days)

    def _consolidated(self, last: Run | None) -> tuple[int, list[DataFile]]:
        """The version of `_consolidated_version`, and its files."""
        version = self._consolidated_version(last)
        return version, MaintainedTable.of(self._lake, RAW).data_files(version) if last is not None else []

    def _consolidated_version(self, last: Run | None) -> int:
        """The newest version of raw in which nothing waits for consolidation."""
        table = MaintainedTable.of(self._lake, RAW)
        version = -1 if last is None else last.raw_version
        for commit in table.commits(version, table.version()):
            if commit.files:
                break
            version = commit.version
        return version

    def _tables(self, last: Run | None) -> Iterator[MaintainedTable]:
        """The tables that exist; those of layer 2 that a run has made."""
        made = set() if last is None else last.table_versions.keys()
        of_runs = [model.definition for model in self._models if model.name in made]
        for definition in (*LAYER_1, *RECORDS, *of_runs):
            table = MaintainedTable.of(self._lake, definition)
            if table.exists():
                yield table

    def _cutoff(self, table: MaintainedTable, now: datetime) -> date | None:
        """The first day of a table that is kept; None if all are."""
        model = self._model(table)
        if table.day_column is None:
            return None
        if table.definition.layer == 1:
            days = self._policy.raw_days
            return None if days is None else now.astimezone(UTC).date() - timedelta(days=days)
        # what is known of authors goes with the author, not with the day on which they were seen
        posts = model is not None and model.scope is Scope.HOURS and model.touched == CREATED_HOUR
        return self._facts_from(now) if posts else None

    def _open_from(self, table: MaintainedTable, now: datetime) -> date:
        """The first day of a table that is not closed."""
        zone = UTC if table.definition.layer == 1 else ZoneInfo(self._lake.timezone)
        day = (now - GRACE).astimezone(zone).date()
        model = self._model(table)
        months = model is not None and model.scope is Scope.SINCE
        return day.replace(day=1) if months else day

    def _model(self, table: MaintainedTable) -> Model | None:
        return next((model for model in self._models if model.name == table.definition.name), None)

    def _remark(self, name: str, remark: str) -> None:
        self._upkeep.setdefault(name, Upkeep(name)).remark(remark)
