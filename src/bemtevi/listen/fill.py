"""Filling: what was said in a gap is brought afterwards by search, as far as search can.

Owns which gaps are filled together, what a filled gap is called, and the thread that fills beside listening.
Leaves to `asking` how pages come to layer 1 once, to `x_query` which rules can be asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from bemtevi import metrics
from bemtevi.errors import BemteviError, ConflictError, CorruptionError, MissingCredentialError
from bemtevi.lake.gap import GAP, Gap, State, new_gap, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.track import TrackedRule, read_rules
from bemtevi.listen.asking import Ask, Asking, Desk, Search, new_asking
from bemtevi.listen.budget_guard import HeldError
from bemtevi.listen.ledger import TICK, utc_now
from bemtevi.listen.x_patience import StoppedError
from bemtevi.listen.x_search import Page
from bemtevi.settings import Settings

log = structlog.get_logger()

PAD = timedelta(seconds=10)
"""Asked for on both sides: a post that is read twice is one post, and costs once a day."""
YOUNG = timedelta(seconds=12)
"""X wants the end of what it is asked for to be 10 s ago."""
SECOND = timedelta(seconds=1)
NEAR = timedelta(minutes=5)
"""Gaps with no more between them are asked for together."""
LOOK_SECONDS = 5.0
RETRY_SECONDS = 60.0
TOLERANCE = 0.02
"""A network's counts are not exact to the last post, and posts are deleted between two questions."""
MOST_REASONS = 3


@dataclass(frozen=True)
class Plan:
    """Gaps that are asked for together, and gaps that need no asking: their last rows."""

    together: tuple[tuple[Gap, ...], ...]
    closed: tuple[Gap, ...]
    cut: tuple[Gap, ...]
    """Gaps that begin later now: what was before is among the closed."""


def plan(gaps: Iterable[Gap], rules: Sequence[TrackedRule], oldest: datetime | None, now: datetime) -> Plan:
    """What to do about gaps that have ended. Pure. `rules` are all that are or were followed."""
    closed: list[Gap] = []
    cut: list[Gap] = []
    clusters: list[list[Gap]] = []
    for gap in sorted(gaps, key=lambda gap: (gap.rules, gap.started_at)):
        assert gap.ended_at is not None  # noqa: S101  they have ended
        if not followed_in(gap, rules):
            closed.append(unfillable(gap, "no rule that is still followed was followed then", now))
            continue
        if oldest is not None and gap.ended_at <= oldest:
            closed.append(unfillable(gap, "older than search reaches", now))
            continue
        if oldest is not None and gap.started_at < oldest:
            old, gap = cut_off(gap, oldest, now)
            closed.append(old)
            cut.append(gap)
        last = clusters[-1][-1] if clusters else None
        if last is not None and last.rules == gap.rules and gap.started_at - (last.ended_at or now) <= NEAR:
            clusters[-1].append(gap)
        else:
            clusters.append([gap])
    return Plan(tuple(map(tuple, clusters)), tuple(closed), tuple(cut))


def followed_in(gap: Gap, rules: Iterable[TrackedRule]) -> list[TrackedRule]:
    """The rules that a gap concerns, that were followed in it, and still are."""
    return [
        rule
        for rule in rules
        if rule.network == gap.network
        and gap.concerns([rule.tag])
        and rule.removed_at is None
        and rule.added_at < (gap.ended_at or rule.added_at)
    ]


def closing(gaps: Sequence[Gap], asking: Asking, search: Search, now: datetime) -> list[Gap]:
    """The last rows of gaps that were asked for together. Pure.

    The longest of them carries the counts. Where some rules could not be asked, they get a gap of their own
    that stays unfilled.
    """
    if not asking.asks:
        reason = _reasons(asking)
        return [unfillable(gap, reason, now) for gap in gaps]
    expected, found = asking.expected, asking.posts
    short = expected is not None and found < expected - max(2.0, expected * TOLERANCE)
    state = State.PARTLY_FILLED if short or asking.refused else State.FILLED
    told = [f"X counts {expected} posts, {found} came"] if short else []
    told += [_reasons(asking)] if asking.refused else []
    longest = max(gaps, key=lambda gap: (gap.ended_at or now) - gap.started_at)
    rows = [
        replace(
            gap,
            state=state,
            detail="; ".join([part for part in (gap.detail, *told) if part]),
            filled_by=search.name,
            filled_posts=found if gap is longest else None,
            expected_posts=expected if gap is longest else None,
            missing_kinds=search.missing_kinds,
            updated_at=max(now, gap.updated_at + TICK),
        )
        for gap in gaps
    ]
    for gap in gaps:
        for tag, reason in asking.refused.items():
            child = new_gap(
                gap.network,
                gap.cause,
                gap.started_at,
                path=gap.path,
                source=gap.source,
                rules=[tag],
                listener=gap.listener,
                now=now,
            )
            rows.append(unfillable(replace(child, ended_at=gap.ended_at), reason, now))
    return rows


def unfillable(gap: Gap, reason: str, now: datetime) -> Gap:
    """The gap, given up for a reason."""
    detail = "; ".join(part for part in (gap.detail, reason) if part)
    return replace(gap, state=State.UNFILLABLE, detail=detail, updated_at=max(now, gap.updated_at + TICK))


def cut_off(gap: Gap, at: datetime, now: datetime) -> tuple[Gap, Gap]:
    """The part that is too old, given up, and the rest, which goes on as the gap."""
    old = new_gap(
        gap.network,
        gap.cause,
        gap.started_at,
        path=gap.path,
        source=gap.source,
        rules=gap.rules,
        detail=gap.detail,
        listener=f"{gap.listener}/cut",
        now=now,
    )
    rest = replace(gap, started_at=at, updated_at=max(now, gap.updated_at + TICK))
    return unfillable(replace(old, ended_at=at), "older than search reaches", now), rest


def _reasons(asking: Asking) -> str:
    reasons = list(dict.fromkeys(asking.refused.values()))
    more = len(reasons) - MOST_REASONS
    return "; ".join(reasons[:MOST_REASONS]) + (f"; and {more} reasons more" if more > 0 else "")


class Filler:
    """Fills the gaps of one network."""

    def __init__(
        self,
        settings: Settings,
        lake: Lake,
        network: str,
        search: Search,
        *,
        may_read: Callable[[], bool] = lambda: True,
        came: Callable[[bytes], None] = lambda _: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """`may_read` is asked before each page; `came` is given each, once it is durable."""
        self._settings = settings
        self._lake = lake
        self._network = network
        self._search = search
        self._may_read = may_read
        self._came = came
        self._clock = clock
        self._delay = timedelta(seconds=settings.fill_delay_seconds)

    def waiting(self) -> list[Gap]:
        """The gaps that can be filled now."""
        until = self._clock() - self._delay
        ended = read_gaps(self._lake, network=self._network, states=[State.ENDED])
        return [gap for gap in ended if gap.ended_at is not None and gap.ended_at <= until]

    def run_once(self, shown: Callable[[Asking, Ask, Page], None] | None = None) -> list[Gap]:
        """Fill what can be filled now; the last rows of the gaps.

        Raises as `Search.page`, StorageError, HeldError when a budget is spent in between, and ConflictError
        while another process searches. What came until then is kept; the next call goes on from there.
        """
        found: list[Gap] = []
        with Desk(self._settings, self._lake, self._network) as desk:
            for asking in desk.open():
                if asking.gaps:
                    found += self._finish(desk, asking, shown)
            now = self._clock()
            chosen = plan(self.waiting(), read_rules(self._lake, removed=True), self._search.oldest(), now)
            write_gaps(self._lake, [*chosen.closed, *chosen.cut])
            found += chosen.closed
            rules = read_rules(self._lake)
            for gaps in chosen.together:
                concerned = {rule.tag: rule for gap in gaps for rule in followed_in(gap, rules)}
                asking = new_asking(
                    self._search,
                    [(rule.value, (rule.tag,)) for rule in concerned.values()],
                    *self._window(gaps),
                    now,
                    [gap.gap_id for gap in gaps],
                )
                found += self._finish(desk, asking, shown)
        return found

    def keep_filling(self, stop: threading.Event) -> None:
        """Fill whatever ends, until told to stop. Never raises for what a network or a disk does."""
        self._search.bind(stop)
        version = -2
        pause = 0.0
        while not stop.wait(pause):
            pause = LOOK_SECONDS
            try:
                newest = self._lake.table(GAP).version()
                if newest != version:
                    version = newest
                    waiting = read_gaps(self._lake, network=self._network, states=[State.OPEN, State.ENDED])
                    metrics.open_gaps(self._network, len(waiting))
                    if not any(gap.state is State.ENDED for gap in waiting):
                        continue
                    version = -2  # look again until they are filled
                if self._may_read() and (self._left() or self.waiting()):
                    for gap in self.run_once():
                        log.info(
                            "gap.filled",
                            cause=gap.cause.value,
                            state=gap.state.value,
                            posts=gap.filled_posts,
                            expected=gap.expected_posts,
                        )
            except StoppedError:
                return
            except HeldError:
                pause = RETRY_SECONDS
            except (CorruptionError, MissingCredentialError) as error:
                log.error("filler.stopped", error=str(error))
                return
            except ConflictError as error:
                pause = RETRY_SECONDS
                log.info("filler.busy", error=str(error), retry_seconds=pause)
            except (BemteviError, OSError) as error:
                pause = RETRY_SECONDS
                log.warning("filler.waits", error=str(error), retry_seconds=pause)
            except Exception as error:  # noqa: BLE001  it is beside listening, and must not end it
                pause = RETRY_SECONDS
                log.error("filler.failed", error=str(error), kind=type(error).__name__)

    def _left(self) -> bool:
        """Whether a former process left pages in the journal: it was killed, or the lake was away."""
        layout = JournalLayout(self._settings.journal, f"{self._network}-search")
        return bool(layout.segments() or layout.open_segments())

    def _window(self, gaps: Sequence[Gap]) -> tuple[datetime, datetime]:
        """What is asked for, in whole seconds: all of the gaps, and nothing that is too young or too old."""
        start = min(gap.started_at for gap in gaps) - PAD
        oldest = self._search.oldest()
        if oldest is not None:
            start = max(start, oldest)
        young = max(min(self._delay - SECOND, YOUNG), timedelta(0))
        end = min(max(gap.ended_at or gap.started_at for gap in gaps) + PAD, self._clock() - young)
        return start.replace(microsecond=0), end.replace(microsecond=0)

    def _finish(
        self, desk: Desk, asking: Asking, shown: Callable[[Asking, Ask, Page], None] | None
    ) -> list[Gap]:
        """Bring what is asked for, and close its gaps."""
        if not self._may_read():
            raise HeldError

        def told(ask: Ask, page: Page) -> None:
            self._came(page.body)
            if shown is not None:
                shown(asking, ask, page)
            if not self._may_read():
                raise HeldError

        desk.run(asking, self._search, told)
        ids = set(asking.gaps)
        gaps = [gap for gap in read_gaps(self._lake, states=[State.ENDED]) if gap.gap_id in ids]
        rows = closing(gaps, asking, self._search, self._clock()) if gaps else []
        write_gaps(self._lake, rows)
        desk.done(asking)
        return rows
