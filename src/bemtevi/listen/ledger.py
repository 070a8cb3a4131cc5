"""The listener's side of the gap ledger: when a gap begins, why it lasts, when it ends.

Owns the order of writing: a gap is durable on the local disk before anything else happens, and reaches layer
1 when the lake takes it, once. A disk that takes no more makes a gap longer, never shorter: what is there
tells of an earlier time. Safe to call from several threads. Leaves to `supervisor` and `follow` what
happened, to `fill` what is brought afterwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from bemtevi import crashpoint
from bemtevi.errors import BemteviError, CorruptionError
from bemtevi.lake import local_ledger
from bemtevi.lake.gap import GAP, Cause, Gap, State, ended, from_rows, new_gap, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.local_ledger import Alive, Local
from bemtevi.listen.message import Origin
from bemtevi.listen.schedule import CONNECTS

log = structlog.get_logger()

RETRY_SECONDS = 10.0
TICK = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Ledger:
    """The gaps of one listener."""

    def __init__(
        self,
        lake: Lake,
        layout: JournalLayout,
        origin: Origin,
        listener: str,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._lake = lake
        self._layout = layout
        self._origin = origin
        self.listener = listener
        self._clock = clock
        self._local = Local(lake.layout.table(1, ""))
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._send, name="ledger", daemon=True)

    def begin(self) -> None:
        """Take up what a former run left: a gap that lasts, or a killed listener's last sign of life.

        Raises CorruptionError, and StorageError if the lake cannot be read.
        """
        kept = local_ledger.load(self._layout)
        if kept is not None and kept.lake == self._local.lake:
            self._local = kept
        known = {gap.gap_id for gap in self._local.open}
        self._local.open = [
            gap
            for gap in read_gaps(self._lake, network=self._origin.network, states=[State.OPEN])
            if not gap.rules and gap.gap_id not in known
        ] + self._local.open
        if kept is not None and not self._local.open:
            alive = local_ledger.read_alive(self._layout)
            if alive is not None:
                gap = local_ledger.killed(alive, self._clock())
                self._local.open = [gap]
                self._local.waiting.append(gap)
        if self._local.open and not self._local.reasons:
            self._local.reason_since = self._local.open[-1].started_at
        self._keep()
        self._thread.start()

    @property
    def is_deaf(self) -> bool:
        """Whether a gap of all rules lasts."""
        return bool(self._local.open)

    @property
    def connects(self) -> Sequence[float]:
        """When the last connects were made, in seconds since 1970, also by former runs."""
        return tuple(self._local.connects)

    @property
    def deaf_since(self) -> datetime | None:
        """From when on the gap of all rules lasts, if one does."""
        with self._lock:
            return min((gap.started_at for gap in self._local.open), default=None)

    @property
    def rules_had(self) -> tuple[frozenset[str], datetime | None]:
        """The rules that the network had when it was last asked, by us or a former run, and when."""
        with self._lock:
            return frozenset(self._local.rules), self._local.rules_at

    @property
    def rules_given_again(self) -> frozenset[str]:
        """The rules that were about to be given again, by us or a former run; no gap tells of it yet."""
        with self._lock:
            return frozenset(self._local.giving)

    def gives_again(self, tags: Iterable[str]) -> None:
        """The network has lost these rules and is about to get them again: after a kill they are there."""
        with self._lock:
            giving = sorted({*self._local.giving, *tags})
            if giving != self._local.giving:
                self._local.giving = giving
                self._keep()

    def has_rules(self, tags: Iterable[str], at: datetime) -> None:
        """The network had these rules at a time; kept, since others may take them away while nobody looks."""
        with self._lock:
            self._local.rules, self._local.rules_at, self._local.giving = sorted(tags), at, []
            self._keep()

    def connecting(self, at: float) -> None:
        """A connect is about to be made."""
        with self._lock:
            self._local.connects = [*self._local.connects, at][-CONNECTS:]
            self._keep()

    def not_reached(self) -> None:
        """The last connect never came to the server."""
        with self._lock:
            self._local.connects = self._local.connects[:-1]

    def deaf(self, cause: Cause, since: datetime, detail: str = "") -> None:
        """We hear nothing, from `since` on, or still, for another reason."""
        now = self._clock()
        with self._lock:
            if not self._local.open:
                gap = new_gap(
                    self._origin.network,
                    cause,
                    since,
                    path=self._origin.path,
                    source=self._origin.source,
                    detail=detail,
                    listener=self.listener,
                    now=now,
                )
                self._local.open = [gap]
                self._local.reasons, self._local.reason_since = {}, since
            else:
                gap = self._local.open[-1]
                if gap.cause is cause:
                    return
                self._count(now)
                gap = replace(gap, cause=cause, detail=detail, updated_at=_after(gap, now))
                self._local.open[-1] = gap
            self._local.waiting.append(gap)
            self._keep()
        log.info("ledger.deaf", cause=cause.value, since=gap.started_at.isoformat(), detail=detail)

    def hearing(self, at: datetime) -> list[Gap]:
        """We hear again, from `at` on; the gaps that ended."""
        now = self._clock()
        with self._lock:
            self._show_alive(at)
            if not self._local.open:
                return []
            self._count(now)
            reasons = self._local.reasons
            closed = [ended(gap, at, _after(gap, now)) for gap in self._local.open]
            if len(reasons) > 1:
                cause = Cause(max(reasons, key=lambda name: reasons[name]))
                detail = ", ".join(f"{name} {_length(seconds)}" for name, seconds in reasons.items())
                closed[-1] = replace(closed[-1], cause=cause, detail=detail)
            self._local.open, self._local.reasons, self._local.reason_since = [], {}, None
            self._local.waiting += closed
            self._keep()
        self._wake.set()
        return closed

    def add(self, gaps: Sequence[Gap]) -> None:
        """Rows that somebody else has made: of single rules, or about a fill."""
        if gaps:
            with self._lock:
                self._local.waiting += gaps
                self._keep()
            self._wake.set()

    def beat(self, until: datetime) -> None:
        """A sign of life: what was sent to us before `until` is durable."""
        with self._lock:
            if not self._local.open:
                self._show_alive(until)

    def stop(self, seconds: float) -> bool:
        """Send what waits, for at most so many seconds; whether all is in layer 1."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._local.waiting and not self._local.sending

    def push(self) -> None:
        """Send what waits to layer 1 now. Raises StorageError or ConflictError."""
        application, local = f"gaps:{self.listener}", self._local
        with self._sending:
            while local.sending or local.waiting:
                last = self._lake.table(GAP).transaction(application)
                done = -1 if last is None else last
                if not local.sending:
                    self._choose(done)
                crashpoint.reach("ledger.sending")
                if done < local.number:
                    write_gaps(self._lake, local.sending, (application, local.number))
                crashpoint.reach("ledger.sent")
                with self._lock:
                    local.sending, local.number = [], local.number + 1
                    self._keep()

    def _choose(self, done: int) -> None:
        """All that waits is sent next, under a number that no commit has.

        Where a disk took no more, what is kept may be older than what was sent, with rows that are there.
        """
        there: set[tuple[str, datetime]] = set()
        if done >= self._local.number:
            there = {(gap.gap_id, gap.updated_at) for gap in from_rows(self._lake.table(GAP).read())}
        with self._lock:
            local = self._local
            local.sending = [gap for gap in local.waiting if (gap.gap_id, gap.updated_at) not in there]
            local.waiting, local.number = [], max(local.number, done + 1)
            self._keep()

    def _send(self) -> None:
        while True:
            self._wake.clear()
            stopping = self._stopping
            pause = 1.0
            try:
                self.push()
            except CorruptionError as error:
                self.failure = error
                return
            except BemteviError as error:
                pause = RETRY_SECONDS
                log.warning("ledger.storage_away", error=str(error), retry_seconds=pause)
            except Exception as error:  # noqa: BLE001  a thread that ended unseen would keep every gap back
                self.failure = error
                log.error("ledger.failed", error=str(error), kind=type(error).__name__)
                return
            if stopping:
                return
            if pause > 1.0:
                until = time.monotonic() + pause
                while not self._stopping and time.monotonic() < until:
                    time.sleep(0.05)
            self._wake.wait(pause)

    def _count(self, now: datetime) -> None:
        """Add the time of the present cause to its sum."""
        cause = self._local.open[-1].cause.value
        since = self._local.reason_since or self._local.open[-1].started_at
        reasons = dict(self._local.reasons)
        reasons[cause] = reasons.get(cause, 0.0) + max((now - since).total_seconds(), 0.0)
        self._local.reasons, self._local.reason_since = reasons, now

    def _keep(self) -> None:
        try:
            local_ledger.save(self._layout, self._local)
        except OSError as error:
            log.warning("ledger.not_kept", error=error.strerror)

    def _show_alive(self, until: datetime) -> None:
        origin = self._origin
        alive = Alive(origin.network, origin.path, origin.source, self.listener, until, self._clock())
        try:
            local_ledger.write_alive(self._layout, alive)
        except OSError as error:
            log.warning("ledger.not_kept", error=error.strerror)


def _after(gap: Gap, now: datetime) -> datetime:
    """A time for the next row of a gap: later than the last, whatever the clock says."""
    return max(now, gap.updated_at + TICK)


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
