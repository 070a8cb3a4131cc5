"""Erasing what is deleted from every file of the lake, within the deadline.

Owns what is due, and the order, in which a kill at any instant only means that the next maintenance begins
again: messages are rewritten, every table of layer 2 gets a commit that says nothing, a run makes the new
versions the ones that readers see, and after a pause old files, versions and log entries go. The ids of the
tombstones go last: as long as they are there, something is left to do. Leaves the single steps to
`lake.erasure`, what leaves a message to `redact`, and the journal to whoever knows it.

What is not consolidated yet is waited for: the files in which consolidation finds new messages must stay.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from bemtevi import crashpoint
from bemtevi.errors import StorageError
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.erasure import ErasableTable
from bemtevi.lake.lake import MERGE_LOCK, MERGE_LOCKED_FOR, Lake, acquire
from bemtevi.lake.literal import texts
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.reading import let_read
from bemtevi.lake.tombstone import LOCK, TOMBSTONE, Action, Origin, Subject, Tombstones, gone
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.redact import Gone, redact
from bemtevi.warehouse.run import MAINTENANCE, Run, commit_run, last_run, pinned, refuse_others

log = structlog.get_logger()

READERS_SECONDS = 5.0
"""So long readers have to change to the new versions before the old files go; a server looks every 2 s."""
LOCK_SECONDS = 60.0
NUMBER = re.compile(rb"[0-9]+")

Journals = Callable[[Collection[str], Callable[[bytes], bytes | None]], Sequence[str]]
"""Erases from the journals the messages that hold one of the ids, as the function says; what has to wait."""


@dataclass
class Erased:
    """What was erased, or why it waits."""

    subjects: int = 0
    files: int = 0
    waits: list[str] = field(default_factory=list)


class Erasure:
    """Erases what is due from one lake. Whoever calls holds the lock of consolidation."""

    def __init__(
        self,
        lake: Lake,
        hours: int,
        clock: Callable[[], datetime],
        journals: Journals,
        pause_seconds: float = READERS_SECONDS,
    ) -> None:
        """`hours`: the deadline; what is older than half of it is due."""
        self._lake = lake
        self._grace = timedelta(hours=hours) / 2
        self._clock = clock
        self._journals = journals
        self._pause = pause_seconds
        self._tombstones = Tombstones(lake)
        self._models = load_models()

    def due(self) -> pa.Table:
        """The tombstones whose bytes are to be erased now."""
        held = gone(self._tombstones.read())
        known = pc.and_(pc.is_valid(held["id"]), pc.is_null(held["erased_at"]))
        old = pc.less_equal(held["noted_at"], pa.scalar(self._clock() - self._grace, held["noted_at"].type))
        return held.filter(pc.and_(known, old))

    def run(self) -> Erased:
        """Erase what is due; what was done. Raises ConflictError if somebody else is in the way."""
        erased = Erased()
        due = self.due()
        last = last_run(self._lake)
        if due.num_rows == 0:
            self._clear()
            return erased
        if last is None or last.tombstone_version != self._tombstones.version():
            erased.waits.append("what is deleted waits for a consolidation")
            return erased
        what = of(due)
        ids = what.ids
        networks = set(due.filter(pc.equal(due["subject"], Subject.NETWORK))["network"].to_pylist())
        waiting = self._messages(what, ids, networks, erased)
        erased.waits += self._journals(ids, lambda payload: redact(payload, what))
        version = self._consolidated_version(last)
        held = self._holding(self._table(RAW), ids, networks, version, waiting) if waiting else set()
        if held:
            erased.waits.append("messages that hold what is deleted wait for a consolidation")
            return erased
        if erased.waits:
            return erased
        last = self._show(last, version)
        crashpoint.reach("erase.shown")
        time.sleep(self._pause)
        for table in self._tables():
            at = version if table.definition is RAW else table.version()
            table.purge(at, waiting, self._clock())
        crashpoint.reach("erase.purged")
        self._close(due, last)
        crashpoint.reach("erase.closed")
        erased.subjects = due.num_rows
        log.info("erase.done", subjects=due.num_rows, files=erased.files)
        return erased

    def _messages(self, what: Gone, ids: set[str], networks: set[str], erased: Erased) -> set[str]:
        """Rewrite the messages; the files of raw in which consolidation will look for new ones."""
        waiting: set[str] = set()
        for definition in (RAW, QUARANTINE):
            table = self._table(definition)
            if not table.exists():
                continue
            merging = self._lake.lock(MERGE_LOCK)
            with acquire(merging, MERGE_LOCKED_FOR, LOCK_SECONDS):
                holding = sorted(self._holding(table, ids, networks, None, ()))
                if holding:
                    table.rewrite(holding, lambda rows: _left(rows, what, ids, networks))
                erased.files += len(holding)
            if definition is RAW:
                last = last_run(self._lake)
                assert last is not None  # noqa: S101  asked before
                for commit in table.commits(self._consolidated_version(last), table.version()):
                    waiting |= {table.path_of(file) for file in commit.files}
        return waiting

    def _holding(
        self,
        table: ErasableTable,
        ids: set[str],
        networks: set[str],
        version: int | None,
        more: Collection[str],
    ) -> set[str]:
        """The files of a version, and others, in whose messages one of the ids stands."""
        paths = sorted(table.paths(version) | {*more})
        if not paths:
            return set()
        names = texts(f"{table.uri}/{path}" for path in paths)
        # bytes that are not plain text are written as \\x22 and the like: no digits of an id
        raw_bytes = r"regexp_replace(cast(payload as varchar), '\\x[0-9A-F]{2}', ' ', 'g')"
        payload = "payload" if table.definition is RAW else raw_bytes
        sql = f"""
            select distinct filename from (
                select filename, network, unnest(regexp_extract_all({payload}, '[0-9]+')) as id
                from read_parquet([{names}], filename = true, union_by_name = true)
            )
            where id in (select id from wanted) or network in (select network from networks)
        """
        try:
            with duckdb.connect() as connection:
                let_read(connection, self._lake.storage_options)
                connection.register("wanted", pa.table({"id": pa.array(sorted(ids), pa.string())}))
                connection.register(
                    "networks", pa.table({"network": pa.array(sorted(networks), pa.string())})
                )
                found = connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise StorageError(f"{table.uri} cannot be searched: {str(error).splitlines()[0]}.") from error
        return {table.path_of(name) for (name,) in found}

    def _show(self, last: Run, raw_version: int) -> Run:
        """Give every table a commit behind which nothing that is erased stands, and show these versions."""
        now = self._clock()
        versions = dict(last.table_versions)
        for table in self._tables():
            if table.definition.name in versions:
                versions[table.definition.name] = table.touch(now)
        run = replace(
            last,
            number=last.number + 1,
            kind=MAINTENANCE,
            started_at=now,
            finished_at=self._clock(),
            engine="deltalake",
            raw_version=raw_version,
            messages=0,
            observations=0,
            posts_before=0,
            posts_after=0,
            quarantined=0,
            hours=0,
            versions=pinned(versions),
            raw_from=None,
            facts_from=None,
            late=0,
            created_dates=None,
            observed_dates=None,
        )
        refuse_others(self._lake, last.table_versions, run, self._models)
        commit_run(self._lake, run)
        return run

    def _close(self, due: pa.Table, last: Run) -> None:
        """Take the ids of what is erased out of the tombstones, and show that all is obeyed."""
        with acquire(self._lake.lock(LOCK), "writing tombstones", LOCK_SECONDS):
            obeyed = last.tombstone_version == self._tombstones.version()
            rows = self._tombstones.read()
            done = pc.is_in(rows["subject_hash"], due["subject_hash"])
            personal = pc.and_(done, pc.not_equal(rows["subject"], Subject.NETWORK))
            nothing = pa.scalar(None, pa.string())
            now = pa.scalar(self._clock(), rows["erased_at"].type)
            for name, where, value in (
                ("id", personal, nothing),
                ("up_to", personal, nothing),
                ("erased_at", done, now),
            ):
                made = pc.if_else(where, value, rows[name])
                rows = rows.set_column(rows.schema.get_field_index(name), name, made)
            self._tombstones.table.replace("true", rows.cast(TOMBSTONE.schema))
            table = self._table(TOMBSTONE)
            version = table.touch(self._clock())
        if obeyed:
            commit_run(self._lake, replace(last, number=last.number + 1, tombstone_version=version))
        self._clear()

    def _clear(self) -> None:
        """Delete what old versions of the tombstones still hold of ids, once all obey the newest version.

        By itself the last step, so that it is made up for after a kill, or when a tombstone came meanwhile: a
        consolidation that has not obeyed it reads what is new in the log.
        """
        table = self._table(TOMBSTONE)
        last = last_run(self._lake)
        if last is None or not table.exists() or last.tombstone_version != table.version():
            return
        if pc.all(pc.is_null(self._tombstones.read()["erased_at"])).as_py() or not table.has_old_files():
            return
        time.sleep(self._pause)
        table.purge(table.version(), (), self._clock())

    def _consolidated_version(self, last: Run) -> int:
        """The newest version of raw in which nothing waits for consolidation."""
        table = self._table(RAW)
        version = last.raw_version
        for commit in table.commits(version, table.version()):
            if commit.files:
                break
            version = commit.version
        return version

    def _tables(self) -> Iterator[ErasableTable]:
        """The tables in which something may stand; the tombstones come last and by themselves."""
        for definition in (RAW, QUARANTINE, *(model.definition for model in self._models)):
            table = self._table(definition)
            if table.exists():
                yield table

    def _table(self, definition: TableDefinition) -> ErasableTable:
        return ErasableTable.of(self._lake, definition)


def of(due: pa.Table) -> Gone:
    """What is due, as `redact` wants it. Pure."""
    rows = due.to_pylist()

    def ids(subject: Subject, action: Action) -> set[str]:
        return {row["id"] for row in rows if row["subject"] == subject and row["action"] == action}

    asked = {row["id"] for row in rows if row["origin"] == Origin.REQUEST and row["action"] == Action.DELETE}
    scrubbed = {
        row["id"]: int(row["up_to"]) if row["up_to"] else (1 << 63) - 1
        for row in rows
        if row["subject"] == Subject.AUTHOR and row["action"] == Action.SCRUB_GEO
    }
    return Gone(
        posts=ids(Subject.POST, Action.DELETE),
        authors=ids(Subject.AUTHOR, Action.DELETE),
        asked=asked,
        scrubbed_posts=ids(Subject.POST, Action.SCRUB_GEO),
        scrubbed_authors=scrubbed,
    )


def _left(rows: pa.Table, what: Gone, ids: set[str], networks: set[str]) -> pa.Table:
    """The messages without what is gone. A message that could not be read goes whole."""
    readable = pa.types.is_string(rows.schema.field("payload").type)
    payloads: list[str | bytes | None] = []
    for network, payload in zip(rows["network"].to_pylist(), rows["payload"].to_pylist(), strict=True):
        data = payload.encode() if readable else payload
        if network in networks:
            payloads.append(None)
        elif ids.isdisjoint(number.decode() for number in NUMBER.findall(data)):
            payloads.append(payload)
        else:
            left = redact(data, what) if readable else None
            payloads.append(None if left is None else left.decode())
    column = pa.array(payloads, rows.schema.field("payload").type)
    kept = rows.set_column(rows.schema.get_field_index("payload"), rows.schema.field("payload"), column)
    return kept.filter(pc.is_valid(column))
