"""The budget at work: counts what is written, asks X what it counts, and says when to slow or stop.

Owns the state between the threads: the writer brings what it has written, the supervisor asks once a second
whether to go on. Both are answered at once; X is asked in a thread of its own. What is not in layer 1 yet
counts as if every message were a new post. Leaves the arithmetic to `budget` and the counting to `meter`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import structlog

from bemtevi import metrics
from bemtevi.errors import BemteviError, StorageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import budget, meter
from bemtevi.listen.budget import Limits, Verdict
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.message import Shaped
from bemtevi.listen.x_usage import Usage

log = structlog.get_logger()

ASK_SECONDS = 900.0
"""How often X is asked what it counts; it lets us 50 times in 15 minutes."""
RATE_SECONDS = 300.0
SAMPLE_SECONDS = 5.0
LEAST_SECONDS = 30.0
"""A rate over less is no rate: nothing is slowed before."""


@dataclass(frozen=True)
class State:
    """What was read, for a person and for the metrics. Counts are posts."""

    today: int
    month: int
    reported: Usage
    verdict: Verdict
    limits: Limits


class HeldError(Exception):
    """A budget forbids to read on at present."""


class BudgetGuard:
    """The budget of one network. `wrote`, `came`, `look` and `ask_now` may be called from any thread."""

    def __init__(
        self,
        limits: Limits,
        lake: Lake,
        layout: JournalLayout,
        network: str,
        *,
        ask: Callable[[], Usage] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._lake = lake
        self._layout = layout
        self._network = network
        self._ask = ask
        self._now = now
        self._steady = steady
        self._lock = threading.Lock()
        self._meter = meter.Meter()
        self._reader = EnvelopeReader()
        self._usage = Usage()
        self._awaits_count = False
        """Whether X has still to say for the first time what it counts: until then nothing is read faster."""
        self._beyond: tuple[date, int, int] = (date.min, 0, 0)
        """When X was asked: how many it counts more than we do, of that day and its month."""
        self._written = 0
        self._pending = 0
        self._left_before: frozenset[int] = frozenset()
        self._rates: deque[tuple[float, float]] = deque()
        self._messages = 0
        self._full = 0.0
        """Messages as many as they would be without `sample:`."""
        self._spent_until: datetime | None = None
        self.percent = 100
        """The share of their matches that the rules should ask for now."""

    def begin(self) -> None:
        """Count what was read before; if layer 1 is away, only as far as the file tells."""
        since = budget.month_begins(self._now().date(), self._limits.cycle_day)
        path = self._layout.read_posts
        try:
            self._meter = meter.load(path, self._lake, self._network, since)
        except StorageError as error:
            log.warning("budget.not_counted", network=self._network, error=str(error))
            self._meter = meter.Meter(meter.read_file(path).by_day())
        self.percent = meter.read_file(path).percent
        # what a former process left in the journal is not among the messages of this one
        self._left_before = frozenset(self._layout.segments())

    def keep_asking(self) -> None:
        """Ask X from now on, in a thread that ends with the process."""
        if self._ask is not None:
            self._awaits_count = True
            threading.Thread(target=self._keep_asking, name="usage", daemon=True).start()

    def wrote(self, segment: int, shaped: Shaped) -> None:
        """A segment is in layer 1."""
        ids = meter.ids_by_day(shaped.raw, self._reader)
        with self._lock:
            for day in sorted(ids):
                self._meter.add(day, ids[day])
            if segment not in self._left_before:
                self._written += shaped.count.messages
            self._keep()

    def came(self, page: bytes) -> None:
        """A page that fills a gap is durable, beside what the listener's own journal has."""
        ids = meter.as_numbers(self._reader.read(page).posts)
        with self._lock:
            self._meter.add(self._now().date(), ids)
            self._keep()

    def look(self, acknowledged: int) -> State:
        """What to do now. `acknowledged`: messages that this process made durable. Quick."""
        now = self._now()
        with self._lock:
            pending = max(acknowledged - self._written, 0)
            limits = self._limits_now()
            today, month = self._counted(now.date(), limits, pending)
            self._pending = pending
            asked, beyond_today, beyond_month = self._beyond
            if asked == now.date():
                today += beyond_today
            if asked >= budget.month_begins(now.date(), limits.cycle_day):
                month += beyond_month
            rate = self._rate(acknowledged)
            allowances = budget.allowances(limits, today, month, now)
            stopped = self._spent_until is not None and now < self._spent_until
            verdict = budget.verdict(allowances, rate, self.percent, now, slows=limits.slows, stopped=stopped)
            if self._awaits_count and verdict.percent > self.percent:
                verdict = replace(verdict, percent=self.percent)
            self._tell(verdict, today, month)
            if verdict.percent != self.percent:  # seldom: a restart must not begin with all
                self.percent = verdict.percent
                self._keep()
            return State(today, month, self._usage, verdict, limits)

    def reason(self, acknowledged: int) -> str | None:
        """Why to stop reading now, in a clause; None if we may go on."""
        spent = self.look(acknowledged).verdict.spent
        if spent is None:
            return None
        until = f"{spent.ends_at:%Y-%m-%d %H:%M} UTC"
        return f"the limit of {spent.limit} posts a {spent.period} is reached; reading goes on at {until}"

    def _keep(self) -> None:
        try:
            meter.write_file(self._layout.read_posts, self._meter, self.percent)
        except OSError as error:  # layer 1 tells the count again at the next start
            log.warning("budget.not_kept", error=error.strerror)

    def _limits_now(self) -> Limits:
        """The limits, with the month as X has it."""
        return replace(self._limits, cycle_day=self._usage.reset_day or self._limits.cycle_day)

    def _counted(self, day: date, limits: Limits, pending: int) -> tuple[int, int]:
        """What we count ourselves, of a day and its month."""
        month = self._meter.since(budget.month_begins(day, limits.cycle_day))
        return self._meter.days.get(day, 0) + pending, month + pending

    def _rate(self, acknowledged: int) -> float | None:
        """Messages a second that all rules would bring without `sample:`; None while it is not known."""
        at = self._steady()
        self._full += (acknowledged - self._messages) * 100 / self.percent
        self._messages = acknowledged
        if not self._rates or at - self._rates[-1][0] >= SAMPLE_SECONDS:
            self._rates.append((at, self._full))
        while len(self._rates) > 2 and at - self._rates[0][0] > RATE_SECONDS:
            self._rates.popleft()
        seconds = at - self._rates[0][0]
        return (self._full - self._rates[0][1]) / seconds if seconds >= LEAST_SECONDS else None

    def _tell(self, verdict: Verdict, today: int, month: int) -> None:
        price = self._limits.price
        metrics.budget(self._network, "day", today, today * price, self._limits.daily)
        metrics.budget(self._network, "month", month, month * price, self._limits.monthly)
        metrics.sample(self._network, verdict.percent)
        if verdict.percent != self.percent:
            log.warning("budget.slowed", network=self._network, percent=verdict.percent, before=self.percent)
        if verdict.spent is not None and self._spent_until is None:
            log.warning(
                "budget.spent",
                network=self._network,
                period=verdict.spent.period,
                limit=verdict.spent.limit,
                used=verdict.spent.used,
                until=verdict.spent.ends_at.isoformat(),
            )
        if verdict.spent is None and self._spent_until is not None:
            log.info("budget.renewed", network=self._network)
        self._spent_until = None if verdict.spent is None else verdict.spent.ends_at

    def _keep_asking(self) -> None:
        while True:
            self.ask_now()
            time.sleep(ASK_SECONDS)

    def ask_now(self) -> None:
        """Ask X for its count once. What it does not answer stays as it was."""
        if self._ask is None:
            return
        try:
            usage = self._ask()
        except BemteviError as error:
            log.info("budget.usage_unknown", network=self._network, error=str(error))
            self._awaits_count = False
            return
        with self._lock:
            self._awaits_count = False
            self._usage = usage
            day = self._now().date()
            today, month = self._counted(day, self._limits_now(), self._pending)
            more_today, more_month = usage.days.get(day, 0) - today, (usage.month or 0) - month
            self._beyond = (day, max(more_today, 0), max(more_month, 0))
