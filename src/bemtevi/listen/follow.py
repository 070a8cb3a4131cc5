"""What is followed, at the network as in the list, and since when each rule is heard.

Owns the syncing of rules while listening, and the gaps of single rules: not heard yet, or found missing at
the network. Leaves to the network how rules are told, to `supervisor` the gaps of all rules.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from bemtevi import crashpoint, metrics
from bemtevi.errors import BemteviError, UsageError
from bemtevi.lake.gap import DONE, Cause, Gap, State, ended, new_gap, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.sample import note_shares
from bemtevi.lake.track import TRACK, TrackedRule, not_yet_listening, read_rules
from bemtevi.listen.ledger import Ledger, utc_now
from bemtevi.listen.network import Network, Refusal, SyncResult

log = structlog.get_logger()

WATCH_SECONDS = 2.0
RULES_RETRY_SECONDS = 30.0
CHECK_SECONDS = 300.0
"""How often the network's rules are looked at, though ours did not change: others may have changed them."""
SETTLE = timedelta(seconds=20)
"""A rule that is added takes effect after so long at the latest (docs.x.com, build a rule)."""


class Following:
    """Keeps the network's rules equal to the list."""

    def __init__(
        self,
        lake: Lake,
        network: Network,
        ledger: Ledger,
        clock: Callable[[], datetime] = utc_now,
        percent: Callable[[], int] = lambda: 100,
    ) -> None:
        self._lake = lake
        self._network = network
        self._ledger = ledger
        self._clock = clock
        self._percent = percent
        """The share of their matches that the rules shall ask for now."""
        self._given_percent = 100
        self._syncing = threading.Lock()
        """Held as long as the network takes; `_lock` never is."""
        self._lock = threading.Lock()
        self._awaited: dict[str, tuple[Gap, datetime]] = {}
        """Gaps of rules that the network has, and from when on."""
        self._hearing_since: datetime | None = None

    def rules(self) -> list[TrackedRule]:
        """The rules of this network that are followed."""
        return [rule for rule in read_rules(self._lake) if rule.network == self._network.name]

    def need_rules(self) -> None:
        """Raise UsageError if nothing is followed."""
        if not self.rules():
            raise UsageError('Nothing is followed yet: add a hashtag with `bemtevi track "#covid19"`.')

    def sync(self) -> SyncResult:
        """Make the network follow the list. Raises as `Network.sync`, and StorageError."""
        with self._syncing:
            rules = self.rules()
            asked_at = self._clock()
            percent = self._percent()
            result = self._network.sync(rules, percent, lambda values: self._giving(rules, values))
            crashpoint.reach("rules.given")
            self._given_percent = percent
            metrics.rules(self._network.name, "ours", result.active)
            metrics.rules(self._network.name, "others", result.foreign)
            log.info(
                "listener.rules",
                added=list(result.added),
                removed=list(result.removed),
                foreign=result.foreign,
                reformed=list(result.reformed),
            )
            for refusal in result.refused:
                log.error("listener.rule_refused", rule=refusal.value, reason=refusal.reason)
            refused = {refusal.value for refusal in result.refused}
            self._note([rule for rule in rules if rule.value not in refused], result, asked_at)
            note_shares(self._lake, self._network.name, result.percents, slowed=percent < 100, now=asked_at)
        if result.refused and not result.active:
            raise UsageError(none_taken(self._network.name, result.refused[0]))
        return result

    def hearing(self, at: datetime) -> None:
        """A connection stands since `at`."""
        with self._lock:
            self._hearing_since = at
            self._end_awaited(at)

    def deaf(self) -> None:
        """No connection stands."""
        with self._lock:
            self._hearing_since = None

    def watch(self, stop: threading.Event) -> None:
        """Sync when the list changes, and from time to time, until told to stop."""
        version = self._lake.table(TRACK).version()
        again_at = 0.0
        check_at = time.monotonic() + CHECK_SECONDS
        while not stop.wait(WATCH_SECONDS):
            if time.monotonic() < again_at:
                continue
            newest = version
            try:
                newest = self._lake.table(TRACK).version()
                due = time.monotonic() >= check_at or self._percent() != self._given_percent
                # a lake that is away has no version: that is no change of the list
                if newest > version or (newest == version and due):
                    self.sync()
                    version = newest
                    check_at = time.monotonic() + CHECK_SECONDS
            except UsageError as error:
                version = newest  # asking again would change nothing until the list does
                check_at = time.monotonic() + CHECK_SECONDS
                log.error("listener.rules_not_synced", error=str(error))
            except BemteviError as error:
                again_at = time.monotonic() + RULES_RETRY_SECONDS
                log.warning("listener.rules_not_synced", error=str(error), retry_seconds=RULES_RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001  ended unseen, it would look after no rule any more
                again_at = time.monotonic() + RULES_RETRY_SECONDS
                log.error("listener.rules_failed", error=str(error), kind=type(error).__name__)

    def _note(self, rules: Sequence[TrackedRule], result: SyncResult, asked_at: datetime) -> None:
        """Tell the ledger what the sync means for each rule."""
        now = self._clock()
        followed = {rule.tag for rule in rules}
        added = {rule.tag for rule in rules if rule.value in result.added}
        gaps = read_gaps(self._lake, network=self._network.name)
        metrics.open_gaps(self._network.name, sum(gap.state not in DONE for gap in gaps))
        told = {tag for gap in gaps if gap.cause is Cause.NOT_YET for tag in gap.rules}
        untold = [not_yet_listening(rule, now) for rule in rules if rule.tag not in told]
        had, had_at = self._ledger.rules_had
        lost = sorted((added & had) | (self._ledger.rules_given_again & followed))
        self._ledger.add([*untold, *(self._lost(lost, had_at, now) if lost and had_at else [])])
        with self._lock:
            for gap in [*gaps, *untold]:
                if gap.state is State.OPEN and gap.rules and followed.issuperset(gap.rules):
                    self._awaited[gap.gap_id] = (gap, now if added.isdisjoint(gap.rules) else now + SETTLE)
            self._ledger.has_rules(followed, asked_at)
            if self._hearing_since is not None:
                self._end_awaited(self._hearing_since)

    def _giving(self, rules: Sequence[TrackedRule], values: Sequence[str]) -> None:
        """Remember which rules the network has lost, before it has them again."""
        had, _ = self._ledger.rules_had
        self._ledger.gives_again({rule.tag for rule in rules if rule.value in values} & had)

    def _lost(self, tags: Sequence[str], had_at: datetime, now: datetime) -> list[Gap]:
        """The gaps of rules that the network had and has no more; given again, they take effect soon.

        Nobody knows when it lost them. Time in which we heard nothing at all is in another gap already.
        """
        origin = self._network.origin("")
        deaf_since = self._ledger.deaf_since
        times = [(had_at, now + SETTLE)]
        if deaf_since is not None:
            times = [(had_at, deaf_since), (now, now + SETTLE)]
        return [
            ended(
                new_gap(
                    self._network.name,
                    Cause.LOSS,
                    since,
                    path=origin.path,
                    source=origin.source,
                    rules=tags,
                    detail="the network had lost these rules; they were given again",
                    listener=self._ledger.listener,
                    now=now,
                ),
                until,
                now,
            )
            for since, until in times
            if since < until
        ]

    def _end_awaited(self, at: datetime) -> None:
        now = self._clock()
        self._ledger.add([ended(gap, max(at, heard_at), now) for gap, heard_at in self._awaited.values()])
        self._awaited.clear()


def none_taken(network: str, first: Refusal) -> str:
    """The sentence for a list of which a network takes nothing."""
    return (
        f"The network {network} takes none of the rules that are followed; of {first.value!r} it says: "
        f"{first.reason}. Remove it with `bemtevi track --remove` and add it again, mended."
    )
