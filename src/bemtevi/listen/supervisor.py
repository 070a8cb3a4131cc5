"""The supervisor: when to connect, to wait, to give up, and what the ledger is told of it.

Owns the loop around a network's connections, and the watch over the one that stands. Leaves to the network
what its answers mean, to `schedule` how long to wait, to `ledger` how a gap is kept. Time is an argument.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from bemtevi import metrics
from bemtevi.errors import BemteviError, MissingCredentialError, NetworkError
from bemtevi.lake.gap import Cause
from bemtevi.listen.follow import Following
from bemtevi.listen.hearing import Hearing
from bemtevi.listen.journal import Journal
from bemtevi.listen.ledger import Ledger
from bemtevi.listen.network import CAUSES, End, Network, Outcome
from bemtevi.listen.schedule import Schedule

log = structlog.get_logger()

BEAT_SECONDS = 1.0
HOLD_SECONDS = 1.0
LEAST_PAUSE_SECONDS = 0.05
OUR_LIMIT = "our own limit of 50 connects in 15 minutes"


@dataclass(frozen=True)
class Hold:
    """A reason not to read at present, though the network would let us."""

    cause: Cause
    detail: str


Guard = Callable[[], Hold | None]
"""Asked once a second: a budget that is spent, a disk that is nearly full. Must answer at once."""


@dataclass(frozen=True)
class Times:
    """The clocks: steady, since 1970 (both in seconds), and waiting for an event."""

    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait


@dataclass
class Status:
    """What a person wants to see of a listener."""

    state: str = "starting"
    since: datetime | None = None
    connects: int = 0
    received: int = 0


class Supervisor:
    """Keeps one network connected."""

    def __init__(
        self,
        network: Network,
        journal: Journal,
        ledger: Ledger,
        following: Following,
        schedule: Schedule,
        *,
        silence_seconds: float,
        guards: Sequence[Guard] = (),
        times: Times | None = None,
    ) -> None:
        self._network = network
        self._journal = journal
        self._ledger = ledger
        self._following = following
        self._schedule = schedule
        self._silence_seconds = silence_seconds
        self._guards = guards
        self._times = times or Times()
        self._lock = threading.RLock()
        self._hearing: Hearing | None = None
        self._hold: Hold | None = None
        self._beat_at = 0.0
        self.status = Status()
        metrics.watch_silence(network.name, self._silence)

    def run(self, stop: threading.Event) -> None:
        """Connect, and connect again, until told to stop.

        Raises MissingCredentialError or NetworkError when only a person can help, and what is a bug of ours.
        """
        times = self._times
        now = times.steady()
        ages = [max(times.wall() - at, 0.0) for at in self._ledger.connects]
        self._schedule.remember([now - age for age in ages])
        while not stop.is_set():
            pause, cause, detail = self._in_the_way()
            if pause > LEAST_PAUSE_SECONDS:
                self._ledger.deaf(cause, self._now(), detail)
                self._waiting(pause, detail)
                if times.wait(stop, pause):
                    return
                continue
            outcome = self._connect(stop)
            if stop.is_set() or outcome.end is End.STOPPED:
                return
            if self._hold is not None:
                continue
            if outcome.for_good:
                raise refusal(self._network.name, outcome)
            freed = outcome.end is End.TOO_MANY_CONNECTIONS and self._free()
            pause = self._schedule.wait(outcome, times.steady(), times.wall(), freed=freed)
            if not outcome.reached:
                self._ledger.not_reached()
            log.warning(
                "listener.disconnected",
                end=outcome.end.value,
                detail=outcome.detail,
                wait_seconds=round(pause, 3),
            )
            self._waiting(pause, outcome.end)
            if times.wait(stop, pause):
                return
            if outcome.end is End.NO_RULES:
                self._give_rules()

    def watch(self) -> None:
        """Look at the connection that stands. Call it a few times a second, from one thread."""
        now = self._times.wall()
        with self._lock:
            hearing = self._hearing
            if hearing is None:
                return
            self._sample(hearing, now)
            if hearing.confirmed and now - self._beat_at >= BEAT_SECONDS:
                self._beat_at = now
                durable = self._journal.durable_until / 1e9
                self._ledger.beat(_moment(hearing.until(durable)))
            silent = now - hearing.changed_at > self._silence_seconds + 1.0
        self._hold = self._held()
        if silent or self._hold is not None:
            self._network.drop()

    def finish(self, cause: Cause = Cause.STOPPED, detail: str = "") -> None:
        """Nothing is read any more: tell the ledger."""
        since = self._end_hearing(stood=True)
        if since is not None or self._ledger.is_deaf:
            self._ledger.deaf(cause, since or self._now(), detail)
        self.status.state = "stopped"

    def _connect(self, stop: threading.Event) -> Outcome:
        """One connection, from its beginning to its end."""
        session = uuid.uuid4().hex
        intake = self._journal.intake(self._network.origin(session))
        self._schedule.connected(self._times.steady())
        self._ledger.connecting(self._times.wall())
        self.status.connects += 1
        self.status.state, self.status.since = "connecting", self._now()
        metrics.connecting(self._network.name)
        log.info("listener.connecting", network=self._network.name, session=session)
        try:
            outcome = self._network.connect(intake, self._connected)
        finally:
            intake.closed = True
        self.status.received += outcome.messages
        metrics.disconnected(self._network.name, outcome.end)
        if not stop.is_set() and outcome.end is not End.STOPPED:
            since = self._end_hearing(stood=False)
            cause, detail = CAUSES[outcome.end], outcome.detail
            self._hold = self._hold or self._held()
            if self._hold is not None:
                cause, detail = self._hold.cause, self._hold.detail
            self._ledger.deaf(cause, since or self._now(), detail)
        return outcome

    def _connected(self) -> None:
        """The network has begun to answer; whether it brings anything is to be seen."""
        with self._lock:
            self._hearing = Hearing.of(self._times.wall())
        self.status.state = "listening"
        metrics.connected(self._network.name, stands=True)

    def _sample(self, hearing: Hearing, now: float) -> None:
        heard = self._network.heard()
        hearing.sample(now, heard, self._network.latest())
        if heard and not hearing.confirmed:
            self._confirm(hearing)

    def _confirm(self, hearing: Hearing) -> None:
        hearing.confirmed = True
        at = _moment(hearing.connected_at)
        self._ledger.hearing(at)
        self._following.hearing(at)

    def _end_hearing(self, *, stood: bool) -> datetime | None:
        """The connection is over: from when on something may be missing; None if it brought nothing.

        `stood`: it was we who ended it, so that its silence tells nothing against it.
        """
        with self._lock:
            hearing, self._hearing = self._hearing, None
            if hearing is None:
                return None
            self._sample(hearing, self._times.wall())
            if stood and not hearing.confirmed:
                self._confirm(hearing)
            self._following.deaf()
            return _moment(hearing.until()) if hearing.confirmed else None

    def _in_the_way(self) -> tuple[float, Cause, str]:
        """Whether something forbids to connect now, for how long, and what."""
        self._hold = self._held()
        if self._hold is not None:
            return HOLD_SECONDS, self._hold.cause, self._hold.detail
        return self._schedule.must_wait(self._times.steady()), Cause.RATE_LIMITED, OUR_LIMIT

    def _held(self) -> Hold | None:
        return next((hold for guard in self._guards if (hold := guard()) is not None), None)

    def _free(self) -> bool:
        """End connections of ours that the network still counts; whether there were any."""
        try:
            freed = self._network.free(self._ledger.connects)
        except BemteviError as error:
            log.warning("listener.connections_not_freed", error=str(error))
            return False
        if freed:
            log.info("listener.connections_freed", number=freed)
        else:
            log.warning("listener.connection_taken", error="another program uses the connection of this app")
        return freed > 0

    def _give_rules(self) -> None:
        try:
            self._following.sync()
        except BemteviError as error:
            log.warning("listener.rules_not_synced", error=str(error))

    def _waiting(self, seconds: float, why: str) -> None:
        self.status.state, self.status.since = f"waiting {seconds:.0f} s: {why}", self._now()

    def _silence(self) -> float:
        hearing = self._hearing
        return 0.0 if hearing is None else self._times.wall() - hearing.changed_at

    def _now(self) -> datetime:
        return _moment(self._times.wall())


def refusal(network: str, outcome: Outcome) -> BemteviError:
    """The sentence for what only a person can put right."""
    match outcome.end:
        case End.NO_CREDITS:
            return NetworkError(
                f"The network {network} lets us read no more: {outcome.detail}. Add credits in its developer "
                "console, then start again; the time until then is in the gap ledger."
            )
        case End.USAGE_CAPPED:
            return NetworkError(
                f"The network {network} lets us read no more: {outcome.detail}. Raise the cap in its "
                "developer console or wait for the next period, then start again."
            )
        case _:
            return MissingCredentialError(
                f"The network {network} refuses us: {outcome.detail}. Check the token "
                "(BEMTEVI_X_BEARER_TOKEN) and what it may do."
            )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
