"""Polling: what is followed is asked of search again and again, for who has no stream.

Owns the rounds: what search reaches back to is brought, so a gap stays only where it does not. Works in the
listener's own journal and ledger, so that one can take over from the other, and both cannot run at once.
Leaves to `asking` how pages come to layer 1 once, to `x_search` the pace, to `polled` what is kept.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from bemtevi.errors import (
    BemteviError,
    CorruptionError,
    DiskFullError,
    MissingCredentialError,
    StorageError,
    UsageError,
)
from bemtevi.lake.gap import Cause, Gap, State, ended
from bemtevi.lake.lake import Lake
from bemtevi.lake.local_ledger import known_gaps
from bemtevi.lake.track import TrackedRule, read_rules
from bemtevi.listen import polled, x_answers
from bemtevi.listen.asking import Ask, Asking, Desk, Search, new_asking
from bemtevi.listen.budget_guard import BudgetGuard, HeldError
from bemtevi.listen.dialects.x_v2 import event_at
from bemtevi.listen.fill import PAD, unfillable
from bemtevi.listen.follow import none_taken
from bemtevi.listen.ledger import Ledger, utc_now
from bemtevi.listen.message import Shaped, committed
from bemtevi.listen.network import CAUSES, Refusal
from bemtevi.listen.polled import Place
from bemtevi.listen.supervisor import refusal
from bemtevi.listen.x_client import XRefusalError
from bemtevi.listen.x_patience import StoppedError
from bemtevi.listen.x_search import NEWEST_SECONDS, Page
from bemtevi.settings import Settings

log = structlog.get_logger()

WATCH_SECONDS = 0.25
RETRY_SECONDS = 30.0
HOLD_SECONDS = 1.0
STOP_SECONDS = 1.5
ASKING_SECONDS = 0.5
"""Of these, for a question that waits for its answer."""
LEDGER_SECONDS = 0.3
PAGING = timedelta(hours=1)
"""The pages of one question may take so long."""
PREFIX = "poll-"


class Poller:
    """Polls one network until told to stop."""

    def __init__(
        self, settings: Settings, lake: Lake, search: Search, every: timedelta, budget: BudgetGuard
    ) -> None:
        origin = search.origin("", ())
        self._lake = lake
        self._search = search
        self._every = every.total_seconds()
        self._budget = budget
        self._network = origin.network
        self._desk = Desk(settings, lake, origin.network, journal=origin.network, wrote=self._wrote)
        self._ledger = Ledger(lake, self._desk.layout, origin, self._desk.listener)
        self._young = timedelta(seconds=min(settings.fill_delay_seconds, NEWEST_SECONDS))
        self._places: dict[str, Place] = {}
        self._until: datetime | None = None
        """All rules have come so far, in this process."""
        self._gone: set[str] = set()
        """Gaps that were closed, whose rows may still be on their way."""
        self._written = 0
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self.posts = 0
        """Posts that came, once a rule."""
        self.rounds = 0

    def run(self, stop: threading.Event) -> bool:
        """Poll until `stop` is set; True if all that came is in layer 1, else some waits in the journal.

        Raises MissingCredentialError, UsageError, NetworkError or StorageError when only a person can help.
        """
        desk, until = self._desk, 0.0
        try:
            self._need_rules()
            self._places = polled.load(desk.layout)
            self._ledger.begin()
            self._budget.begin()
            self._budget.keep_asking()
            desk.journal.start(committed(self._lake, desk.listener))
            desk.writer.start()
            asking = threading.Thread(target=self._keep_polling, args=(stop,), name="poller", daemon=True)
            asking.start()
            try:
                while not stop.wait(WATCH_SECONDS) and self._broken is None:
                    if self._until is not None:
                        self._ledger.beat(self._until)
            finally:
                stop.set()
                until = time.monotonic() + STOP_SECONDS
                asking.join(ASKING_SECONDS)
        finally:
            desk.journal.close()
            if until and self._failure is None and (self._until is not None or self._ledger.is_deaf):
                self._ledger.deaf(Cause.STOPPED, self._until or utc_now())
            whole = self._ledger.stop(LEDGER_SECONDS if until else 0.0)
            whole &= desk.writer.stop(max(until - time.monotonic(), 0.1))
            desk.journal.release()
        failure = self._failure or self._broken
        if failure is not None:
            raise failure
        return whole

    @property
    def _broken(self) -> Exception | None:
        return self._desk.writer.failure or self._desk.journal.failure or self._ledger.failure

    def _need_rules(self) -> None:
        """Raise UsageError if nothing is followed, or search can be asked none of it."""
        rules = [rule for rule in read_rules(self._lake) if rule.network == self._network]
        if not rules:
            raise UsageError('Nothing is followed yet: add a hashtag with `bemtevi track "#covid19"`.')
        now = utc_now()
        asked = [new_asking(self._search, [(rule.value, ())], now, now, now) for rule in rules]
        if not any(asking.asks for asking in asked):
            reason = next(iter(asked[0].refused.values()))
            raise UsageError(none_taken(self._network, Refusal(rules[0].value, reason)))

    def _keep_polling(self, stop: threading.Event) -> None:
        self._search.bind(stop)
        self._stop = stop
        pause = 0.0
        try:
            while not stop.wait(pause):
                begun = time.monotonic()
                pause = self._every
                try:
                    self._round()
                except HeldError as held:
                    self._ledger.deaf(Cause.BUDGET, self._until or utc_now(), str(held))
                    pause = HOLD_SECONDS
                except MissingCredentialError:
                    self._ledger.deaf(Cause.REFUSED, self._until or utc_now())
                    raise
                except CorruptionError:
                    raise
                except BemteviError as error:
                    self._failed(error)
                    pause = min(pause, RETRY_SECONDS)
                    log.warning("poll.waits", error=str(error), retry_seconds=pause)
                pause = max(pause - (time.monotonic() - begun), HOLD_SECONDS)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001  a thread that ended unseen would be deaf for good
            if not stop.is_set():
                self._failure = error
            stop.set()

    def _failed(self, error: BemteviError) -> None:
        """Tell the ledger; raise what only a person can put right."""
        since = self._until or utc_now()
        if isinstance(error, XRefusalError):
            outcome = x_answers.refused(error.status, msgspec.json.encode(error.body), {})
            self._ledger.deaf(CAUSES[outcome.end], since, outcome.detail)
            if outcome.for_good:
                raise refusal(self._network, outcome) from None
        elif isinstance(error, DiskFullError):
            self._ledger.deaf(Cause.DISK_FULL, since, "the disk of the journal has no room for more")
        elif not isinstance(error, StorageError):  # a lake that is away makes nothing missing
            self._ledger.deaf(Cause.UNREACHABLE, since)

    def _round(self) -> None:
        """Bring what is new of every rule. Raises as `Desk.run`, and HeldError."""
        self._hold()
        now = utc_now()
        end = (now - self._young).replace(microsecond=0)
        rules = {rule.tag: rule for rule in read_rules(self._lake) if rule.network == self._network}
        gaps = [
            gap
            for gap in known_gaps(self._lake, now, network=self._network)
            if gap.state is State.OPEN and gap.gap_id not in self._gone
        ]
        begun = {asking.name: asking for asking in self._desk.open() if asking.name.startswith(PREFIX)}
        rows: list[Gap] = []
        done: set[str] = set()
        lost: dict[str, datetime] = {}
        """Of rules of which search did not reach far enough back: from when on it did."""
        for tag, rule in rules.items():
            former = begun.pop(_name(tag), None)
            if former is not None:
                self._bring(tag, former)
            place = self._places.get(tag)
            concerned = [gap for gap in gaps if gap.concerns([tag])]
            wanted = min((gap.started_at for gap in concerned), default=rule.added_at)
            wanted = max(wanted, rule.added_at if place is None else place.until)
            start = max(wanted, self._oldest() or wanted)
            if start > wanted:
                lost[tag] = start
                if place is not None and not concerned:
                    asleep = self._gap(Cause.LOSS, tag, wanted, "nothing was asked meanwhile", now)
                    rows.append(unfillable(ended(asleep, start, now), polled.TOO_OLD, now))
            asking = self._asking(rule, start.replace(microsecond=0), end)
            if end <= asking.start:  # followed, or asked, just now
                if place is None:  # so that a wrong token is told at once
                    self._bring(tag, self._asking(rule, end - PAD, end))
                continue
            reason = self._bring(tag, asking)
            if reason is None:
                done.add(tag)
            elif not any(gap.rules for gap in concerned):
                log.error("poll.rule_refused", rule=rule.value, reason=reason)
                rows.append(self._gap(Cause.NO_RULES, tag, wanted, reason, now))
        for asking in begun.values():  # of rules that are not followed any more
            self._desk.done(asking)
        if self._stop.is_set():
            raise StoppedError
        own = [ended(gap, end, now) for gap in gaps if gap.rules and done >= set(gap.rules)]
        closed = [*self._ledger.hearing(end), *own]
        self._gone.update(gap.gap_id for gap in closed)
        self._ledger.add([*rows, *polled.brought(closed, lost, self._search, utc_now())])
        self._until = end
        self.rounds += 1
        log.info("poll.round", rules=len(done), posts=self.posts, until=end.isoformat())

    def _gap(self, *about: Any) -> Gap:
        return polled.gap_of(self._search.origin("", ()), self._desk.listener, *about)

    def _oldest(self) -> datetime | None:
        """What is older is not asked for: X would refuse it before all pages were there."""
        oldest = self._search.oldest()
        return None if oldest is None else oldest + PAGING

    def _asking(self, rule: TrackedRule, start: datetime, end: datetime) -> Asking:
        """What is new of a rule: after the newest post that came, if the time until then came whole."""
        asking = new_asking(self._search, [(rule.value, (rule.tag,))], start, end, utc_now())
        asking.name, asking.counted = _name(rule.tag), False
        place = self._places.get(rule.tag)
        oldest = self._oldest()
        for ask in asking.asks:
            newest = place.newest.get(ask.query) if place is not None and place.until == start else None
            at = None if newest is None else event_at(newest)
            if at is not None and (oldest is None or datetime.fromtimestamp(at / 1e6, UTC) > oldest):
                ask.since_id = newest
        return asking

    def _bring(self, tag: str, asking: Asking) -> str | None:
        """All pages of a question, then the place after them; why search does not take the rule, if so."""
        reason = next(iter(asking.refused.values()), None)
        if reason is None:
            self._hold()
            try:
                self._desk.run(asking, self._search, self._came)
            except XRefusalError as error:
                if error.status != 400:
                    raise
                reason = x_answers.refused(400, msgspec.json.encode(error.body), {}).detail
        if reason is None:
            place = self._places.setdefault(tag, Place(asking.end))
            place.until = max(place.until, asking.end)
            place.newest = {
                ask.query: newest
                for ask in asking.asks
                if (newest := ask.newest_id or place.newest.get(ask.query)) is not None
            }
            polled.save(self._desk.layout, self._places)
        self._desk.done(asking)
        return reason

    def _came(self, _ask: Ask, page: Page) -> None:
        self.posts += page.posts
        self._hold()

    def _hold(self) -> None:
        """Raise HeldError if the budget is spent. What is not in layer 1 yet counts as full pages."""
        acknowledged = self._desk.journal.acknowledged
        waiting = max(acknowledged - self._written, 0)
        reason = self._budget.reason(acknowledged + waiting * (self._search.posts_a_page - 1))
        if reason is not None:
            raise HeldError(reason)

    def _wrote(self, number: int, shaped: Shaped) -> None:
        self._written += shaped.count.messages
        self._budget.wrote(number, shaped)


def _name(tag: str) -> str:
    """The name of the question of a rule, also in the name of a file."""
    return PREFIX + tag.rpartition(":")[2]
