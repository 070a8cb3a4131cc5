"""The listener: one network, its journal and its writer, from start to prompt stop.

Owns the loop that connects, waits and stops, and the order of the end: no more from the socket, journal
flushed, layer 1 written as far as the time allows, the rest left in the journal for the next start.
"""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bemtevi import metrics
from bemtevi.errors import BemteviError, MissingCredentialError, UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.track import TRACK, read_rules
from bemtevi.listen.journal import Journal, Limits
from bemtevi.listen.message import committed
from bemtevi.listen.network import End, Network, SyncResult
from bemtevi.listen.schedule import Schedule
from bemtevi.listen.writer import Writer
from bemtevi.settings import Settings

log = structlog.get_logger()

WATCH_SECONDS = 2.0
STOP_SECONDS = 1.5
READER_SECONDS = 0.5
"""Of these, for the reader: one that waits for the first answer of a server has nothing to bring."""
RULES_RETRY_SECONDS = 30.0


@dataclass
class Status:
    """What a person wants to see of a listener."""

    state: str = "starting"
    since: datetime | None = None
    connects: int = 0
    received: int = 0


class Listener:
    """Listens to one network until told to stop."""

    def __init__(self, settings: Settings, lake: Lake, network: Network) -> None:
        self._lake = lake
        self._network = network
        uri = lake.layout.table(1, "")
        self._journal = Journal(
            JournalLayout(settings.journal, network.name),
            uri,
            Limits(
                settings.fsync_seconds,
                settings.segment_bytes,
                settings.segment_seconds,
                settings.journal_reserve_bytes,
            ),
        )
        self.writer = Writer(lake, self._journal)
        self.status = Status()
        self._schedule = Schedule()
        self._failure: Exception | None = None
        layout = self._journal.layout
        metrics.watch_journal(network.name, lambda: map(layout.segment, layout.segments()), time.time)
        metrics.watch_disk("journal", settings.journal)
        if lake.layout.is_local:
            metrics.watch_disk("lake", Path(lake.layout.root))

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
            self._follow()
            self._journal.start(committed(self._lake, self._journal.listener))
            self.writer.start()
            connecting = threading.Thread(target=self._read, args=(stop,), name="reader", daemon=True)
            connecting.start()
            try:
                self._watch(stop)
            finally:
                stop.set()
                until = time.monotonic() + STOP_SECONDS
                self._network.stop()
                connecting.join(READER_SECONDS)
        finally:
            self._journal.close()
            whole = self.writer.stop(max(until - time.monotonic(), 0.1))
            self._journal.release()
        self.status.state = "stopped"
        log.info("listener.stopped", read=self.status.received, acknowledged=self.acknowledged)
        failure = self._failure or self.writer.failure
        if failure is not None:
            raise failure
        self._journal.check()
        return whole

    def _watch(self, stop: threading.Event) -> None:
        """Follow changes of the list while the connection stands."""
        version = self._lake.table(TRACK).version()
        again_at = 0.0
        while not stop.wait(WATCH_SECONDS):
            if self.writer.failure is not None or self._journal.failure is not None:
                return
            if time.monotonic() < again_at:
                continue
            try:
                newest = self._lake.table(TRACK).version()
                if newest > version:  # a lake that is away has none: that is no change of the list
                    self._follow(listening=True)
                    version = newest
            except UsageError as error:
                version = newest  # asking again would change nothing until the list does
                log.error("listener.rules_not_synced", error=str(error))
            except BemteviError as error:
                again_at = time.monotonic() + RULES_RETRY_SECONDS
                log.warning("listener.rules_not_synced", error=str(error), retry_seconds=RULES_RETRY_SECONDS)

    def _follow(self, *, listening: bool = False) -> SyncResult:
        rules = [rule for rule in read_rules(self._lake) if rule.network == self._network.name]
        if not rules and not (listening and self._lake.table(TRACK).exists()):
            raise UsageError('Nothing is followed yet: add a hashtag with `bemtevi track "#covid19"`.')
        result = self._network.sync(rules)
        metrics.rules(self._network.name, "ours", result.active)
        metrics.rules(self._network.name, "others", result.foreign)
        log.info(
            "listener.rules", added=list(result.added), removed=list(result.removed), foreign=result.foreign
        )
        for refusal in result.refused:
            log.error("listener.rule_refused", rule=refusal.value, reason=refusal.reason)
        if result.refused and not result.active:
            first = result.refused[0]
            raise UsageError(
                f"The network {self._network.name} takes none of the rules that are followed; of "
                f"{first.value!r} it says: {first.reason}. Remove it with `bemtevi track --remove` and add "
                "it again, mended."
            )
        return result

    def _read(self, stop: threading.Event) -> None:
        try:
            self._connect_loop(stop)
        except Exception as error:  # noqa: BLE001  a thread that ended unseen would be deaf for good
            self._failure = error
            stop.set()

    def _connect_loop(self, stop: threading.Event) -> None:
        while not stop.is_set():
            session = uuid.uuid4().hex
            intake = self._journal.intake(self._network.origin(session))
            self._schedule.connected(time.monotonic())
            self.status.connects += 1
            metrics.connecting(self._network.name)
            self.status.state, self.status.since = "listening", datetime.now(UTC)
            log.info("listener.connecting", network=self._network.name, session=session)
            outcome = self._network.connect(intake)
            intake.closed = True
            self.status.received += outcome.messages
            metrics.disconnected(self._network.name, outcome.end)
            if stop.is_set() or outcome.end is End.STOPPED:
                return
            if outcome.end is End.REFUSED:
                self._failure = MissingCredentialError(
                    f"The network {self._network.name} refuses us: {outcome.detail}. Check the token "
                    "(BEMTEVI_X_BEARER_TOKEN) and what it may do."
                )
                stop.set()
                return
            wait = self._schedule.wait(outcome, time.monotonic(), time.time())
            self.status.state = f"waiting {wait:.0f} s: {outcome.end}"
            log.warning("listener.disconnected", end=outcome.end, detail=outcome.detail, wait_seconds=wait)
            if stop.wait(wait):
                return
            if outcome.end is End.NO_RULES:
                try:
                    self._follow()
                except BemteviError as error:
                    log.warning("listener.rules_not_synced", error=str(error))
