"""The listener: one network, its journal and its writer, from start to prompt stop.

Owns the threads and the order of the end: no more from the socket, journal flushed, layer 1 written as far as
the time allows, the rest left in the journal for the next start. Leaves to `supervisor` when to connect.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from bemtevi import metrics
from bemtevi.errors import NetworkError
from bemtevi.lake.gap import Cause
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen.asking import Search
from bemtevi.listen.budget_guard import BudgetGuard
from bemtevi.listen.fill import Filler
from bemtevi.listen.follow import Following
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.ledger import Ledger, utc_now
from bemtevi.listen.message import committed
from bemtevi.listen.network import Network
from bemtevi.listen.schedule import Schedule
from bemtevi.listen.supervisor import Guard, Hold, Status, Supervisor
from bemtevi.listen.writer import Writer
from bemtevi.listen.x_client import XRefusalError
from bemtevi.settings import Settings

log = structlog.get_logger()

WATCH_SECONDS = 0.25
STOP_SECONDS = 1.5
READER_SECONDS = 0.5
"""Of these, for the reader: one that waits for the first answer of a server has nothing to bring."""
RULES_SECONDS = 5.0
"""Before the first rules are given again to a network that is away."""
LEDGER_SECONDS = 0.3
"""And for the ledger's last rows: what is not sent by then is kept, and sent at the next start."""


class Listener:
    """Listens to one network until told to stop."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        network: Network,
        guards: Sequence[Guard] = (),
        budget: BudgetGuard | None = None,
        search: Search | None = None,
    ) -> None:
        """`guards` may hold it back; `search` fills its gaps, if the settings want it."""
        self._lake = lake
        self._network = network
        uri = lake.layout.table(1, "")
        layout = JournalLayout(settings.journal, network.name)
        self._journal = Journal(
            layout,
            uri,
            Limits.of(settings),
        )
        self._budget = budget
        self.writer = Writer(lake, self._journal, None if budget is None else budget.wrote)
        self._ledger = Ledger(lake, layout, network.origin(""), self._journal.listener)
        percent = (lambda: 100) if budget is None else (lambda: budget.percent)
        self._following = Following(lake, network, self._ledger, percent=percent)
        self._supervisor = Supervisor(
            network,
            self._journal,
            self._ledger,
            self._following,
            Schedule(random.Random()),  # noqa: S311  so that many do not come back at once
            silence_seconds=settings.silence_seconds,
            guards=(self._disk_guard, self._budget_guard, *guards),
        )
        self._filler = None
        if search is not None and settings.fill_gaps:
            self._filler = Filler(
                settings,
                lake,
                network.name,
                search,
                may_read=lambda: all(guard() is None for guard in (self._budget_guard, *guards)),
                came=(lambda _: None) if budget is None else budget.came,
            )
        self._failure: Exception | None = None
        metrics.watch_journal(network.name, lambda: map(layout.segment, layout.segments()), time.time)
        metrics.watch_disk("journal", settings.journal)
        if lake.layout.is_local:
            metrics.watch_disk("lake", Path(lake.layout.root))

    @property
    def status(self) -> Status:
        """What it does now."""
        return self._supervisor.status

    @property
    def acknowledged(self) -> int:
        """Messages made durable by this process."""
        return self._journal.acknowledged

    def run(self, stop: threading.Event) -> bool:
        """Listen until `stop` is set; True if all that came is in layer 1, else some waits in the journal.

        Raises MissingCredentialError, UsageError, NetworkError or StorageError when only a person can help.
        """
        until = 0.0
        try:
            self._following.need_rules()
            self._ledger.begin()
            if self._budget is not None:
                self._budget.begin()
                self._budget.keep_asking()
            self._journal.start(committed(self._lake, self._journal.listener))
            self.writer.start()
            reader = threading.Thread(target=self._read, args=(stop,), name="reader", daemon=True)
            reader.start()
            try:
                while not stop.wait(WATCH_SECONDS) and self._broken is None:
                    self._supervisor.watch()
            finally:
                stop.set()
                until = time.monotonic() + STOP_SECONDS
                self._network.stop()
                reader.join(READER_SECONDS)
        finally:
            self._journal.close()
            if until and self._failure is None:  # else the ledger knows already
                self._supervisor.finish(*self._why())
            whole = self._ledger.stop(LEDGER_SECONDS if until else 0.0)
            whole &= self.writer.stop(max(until - time.monotonic(), 0.1))
            self._journal.release()
        log.info("listener.stopped", read=self.status.received, acknowledged=self.acknowledged)
        failure = self._failure or self._broken
        self._journal.check()
        if failure is not None:
            raise failure
        return whole

    @property
    def _broken(self) -> Exception | None:
        """What keeps us from going on, though the network would."""
        return self.writer.failure or self._journal.failure or self._ledger.failure

    def _disk_guard(self) -> Hold | None:
        if not self._journal.full:
            return None
        return Hold(Cause.DISK_FULL, "the disk of the journal has no room for more")

    def _budget_guard(self) -> Hold | None:
        reason = None if self._budget is None else self._budget.reason(self._journal.acknowledged)
        return None if reason is None else Hold(Cause.BUDGET, reason)

    def _why(self) -> tuple[Cause, str]:
        """Why it ends, for the ledger."""
        if isinstance(self._journal.failure, OSError):
            return Cause.DISK_FULL, "the journal could not be written"
        return Cause.STOPPED, "" if self._broken is None else "the listener could not go on"

    def _give_rules(self, stop: threading.Event) -> bool:
        """Give the network its rules, however long it is away; False if told to stop.

        Raises what only a person can put right, as `Following.sync` does.
        """
        while not stop.is_set():
            try:
                self._following.sync()
            except NetworkError as error:
                if isinstance(error, XRefusalError) and error.status < 500:
                    raise
                self._ledger.deaf(Cause.UNREACHABLE, utc_now())
                log.warning("listener.rules_not_synced", error=str(error), retry_seconds=RULES_SECONDS)
                stop.wait(RULES_SECONDS)
            else:
                return True
        return False

    def _read(self, stop: threading.Event) -> None:
        try:
            if not self._give_rules(stop):
                return
            watching = threading.Thread(target=self._following.watch, args=(stop,), name="rules", daemon=True)
            watching.start()
            if self._filler is not None:
                filling = threading.Thread(
                    target=self._filler.keep_filling, args=(stop,), name="filler", daemon=True
                )
                filling.start()
            self._supervisor.run(stop)
        except Exception as error:  # noqa: BLE001  a thread that ended unseen would be deaf for good
            if not stop.is_set():
                self._failure = error
            stop.set()
