"""Telling a lineage service what is done: START, and COMPLETE, FAIL or ABORT, as OpenLineage events.

Owns that nobody waits for the service and that no failure of it is one of ours: events are sent by a thread
of their own, what cannot be sent is a warning. What was read and written is told by the logs of the tables:
two looks, before and after. Leaves the shape of an event to `lineage_event`, the transport and its settings
to the library. Nothing of the library is loaded while the setting is off.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from bemtevi.errors import BemteviError, StorageError, UsageError
from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.lake import Lake
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.raw import RAW
from bemtevi.settings import Settings
from bemtevi.warehouse.check_result import read_results
from bemtevi.warehouse.checks import Result
from bemtevi.warehouse.model import OBSERVATION, load_models, table_of
from bemtevi.warehouse.run import all_runs, last_run

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

    from bemtevi.warehouse.lineage_event import Change

log = structlog.get_logger()

LAST_WORD_SECONDS = 5.0
"""Who ends waits so long for the last event to be sent."""
MAINTAIN = "maintain"
PACKAGES = {"deltalake": "deltalake", "duckdb": "duckdb", "spark": "pyspark"}


@contextmanager
def lineage_told(
    settings: Settings, lake: Lake, job: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[None]:
    """Tell of the work done inside, if the setting is on. Raises UsageError if the library is missing."""
    if not settings.openlineage:
        yield
        return
    try:
        teller = _Teller(settings, lake, job, clock)
    except ImportError as error:
        raise UsageError(
            f"The setting openlineage needs {error.name}, which is not installed: "
            "pip install 'bemtevi[openlineage]'."
        ) from None
    _harmless(teller.begin)
    try:
        yield
    except BemteviError as error:
        said = str(error)
        _harmless(lambda: teller.end("FAIL", said))
        raise
    except BaseException as error:
        # what is no sentence of ours may quote what a person wrote
        kind, state = type(error).__name__, "ABORT" if isinstance(error, KeyboardInterrupt) else "FAIL"
        _harmless(lambda: teller.end(state, kind))
        raise
    _harmless(lambda: teller.end("COMPLETE", None))


def _harmless(tell: Callable[[], None]) -> None:
    """Whatever goes wrong while we tell is no failure of the work."""
    try:
        tell()
    except Exception as error:  # noqa: BLE001
        log.warning("openlineage.failed", error=type(error).__name__, status=None)


class _Teller:
    """Tells of one piece of work."""

    def __init__(self, settings: Settings, lake: Lake, job: str, clock: Callable[[], datetime]) -> None:
        from openlineage.client.event_v2 import RunState
        from openlineage.client.uuid import generate_new_uuid

        from bemtevi.warehouse import lineage_event

        self._shape = lineage_event
        self._states = RunState
        self._lake = lake
        self._clock = clock
        maintains = job == MAINTAIN
        engine = "deltalake" if maintains else settings.engine
        self._work = lineage_event.Work(
            namespace=settings.openlineage_namespace,
            job=job,
            run_id=str(generate_new_uuid(clock())),
            engine=engine,
            engine_version=version(PACKAGES[engine]),
            parent=settings.openlineage_parent,
        )
        self._tables = [*LAYER_1] if maintains else []
        self._began = clock()
        self._before: dict[str, int] = {}
        self._number = 0
        self._sender = _Sender()

    def begin(self) -> None:
        """Say that it begins."""
        self._before, self._number, _ = self._look()
        inputs = [] if self._tables else [self._change(RAW, self._lake.table(RAW).version())]
        self._sender.send(self._shape.event(self._work, self._states.START, self._began, inputs))

    def end(self, state: str, error: str | None) -> None:
        """Say how it ended, and wait a little for that to be sent."""
        inputs: list[Change] = []
        outputs: list[Change] = []
        try:
            inputs, outputs = self._done()
        except BemteviError as failed:  # the lake is away: then that is what is told
            log.warning("openlineage.not_looked_up", error=str(failed))
        now = self._clock()
        self._sender.send(self._shape.event(self._work, self._states[state], now, inputs, outputs, error))
        self._sender.close(LAST_WORD_SECONDS)

    def _look(self) -> tuple[dict[str, int], int, int]:
        """The version of every table that readers see and of those that are maintained beside, the number of
        the last run, and up to which version of raw all is consolidated."""
        run = last_run(self._lake)
        beside = {table.name: self._lake.table(table).version() for table in self._tables}
        if run is None:
            return beside, 0, -1
        return beside | run.table_versions, run.number, run.raw_version

    def _done(self) -> tuple[list[Change], list[Change]]:
        """What was read and what was written since the beginning."""
        after, _, raw_version = self._look()
        changed = {name for name, version in after.items() if version != self._before.get(name, -1)}
        models = {model.name: model for model in load_models()}
        definitions = {name: model.definition for name, model in models.items()}
        definitions |= {table.name: table for table in self._tables}
        checks = [kept.result for kept in read_results(self._lake, self._began)] if changed else []
        outputs = [
            self._change(
                definitions[name],
                after[name],
                self._before.get(name, -1),
                [check for check in checks if check.table == name],
            )
            for name in sorted(changed & definitions.keys())
        ]
        if self._tables:
            return [], outputs
        read = {table_of(put) for name in changed & models.keys() for put in models[name].inputs}
        inputs = [
            self._change(definitions[name], after[name]) for name in sorted((read & after.keys()) - changed)
        ]
        if OBSERVATION in read:
            runs = [run for run in all_runs(self._lake) if run.number > self._number]
            messages = self._change(RAW, raw_version)
            inputs.insert(0, replace(messages, rows=sum(run.messages for run in runs)))
        return inputs, outputs

    def _change(
        self,
        definition: TableDefinition,
        version: int,
        since: int | None = None,
        checks: Sequence[Result] = (),
    ) -> Change:
        """A table at a version; with what was written since another."""
        table = self._lake.table(definition)
        change = self._shape.Change(definition, table.uri, version, checks=checks)
        if since is None:
            return change
        try:
            commits = list(table.commits(max(since, 0), version))
        except StorageError:  # the log was shortened between: how much it was is not known any more
            return change
        return replace(
            change,
            rows=sum(commit.rows for commit in commits),
            files=sum(len(commit.files) for commit in commits),
            size=sum(commit.size for commit in commits),
        )


class _Sender:
    """Sends events one after the other, by a thread that nobody waits for at the end of the process."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[RunEvent | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="openlineage", daemon=True)
        self._thread.start()

    def send(self, event: RunEvent) -> None:
        """Send an event when those before it are sent."""
        self._events.put(event)

    def close(self, patience: float) -> None:
        """Nothing more comes; wait so many seconds for what is not sent yet."""
        self._events.put(None)
        self._thread.join(patience)
        if self._thread.is_alive():
            log.warning("openlineage.slow", seconds=patience)

    def _send_all(self) -> None:
        client: OpenLineageClient | None = None
        while (event := self._events.get()) is not None:
            try:
                client = client or _client()
                client.emit(event)
            except Exception as error:  # noqa: BLE001  whatever the library raises, our work goes on
                # its words may quote addresses with passwords
                answer = getattr(getattr(error, "response", None), "status_code", None)
                log.warning("openlineage.failed", error=type(error).__name__, status=answer)
        if client is not None:
            client.close(LAST_WORD_SECONDS)


def _client() -> OpenLineageClient:
    """The library's client, by its own settings. What it prints for people goes to standard error."""
    from openlineage.client import OpenLineageClient

    logging.getLogger("openlineage").setLevel(logging.CRITICAL)
    console = logging.getLogger("openlineage.client.transport.console")
    if not console.handlers:
        console.addHandler(logging.StreamHandler(sys.stderr))
        console.setLevel(logging.INFO)
        console.propagate = False
    return OpenLineageClient()
