"""The checks of doctor, one function each: what is looked at, and the one line that says what to fix.

Owns what counts as good, as a warning and as broken. Leaves to `doctor` how it is shown. No check changes
anything, none raises for what it looks at, and none says the token.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import duckdb
from filelock import FileLock, Timeout

from bemtevi.cli.collect import asking_of, guard_of
from bemtevi.errors import BemteviError, MissingCredentialError
from bemtevi.lake.gap import GAP, State, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.sample import SAMPLE
from bemtevi.lake.track import TRACK, TrackedRule, read_rules
from bemtevi.listen import x_rules
from bemtevi.listen.x_client import Answer, XClient
from bemtevi.serve.terminal import number, plain
from bemtevi.settings import Settings
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.run import RUN, last_consolidation

Grade = Literal["good", "note", "warning", "broken"]

CLOCK_WARNING = timedelta(seconds=2)
CLOCK_BROKEN = timedelta(seconds=60)
SCARCE_BYTES = 5 * 1024**3
OLD_RUN = timedelta(hours=2)
GIGABYTE = 1e9


@dataclass(frozen=True)
class Check:
    """What one check found. `fix` is empty where there is nothing to do."""

    name: str
    grade: Grade
    found: str
    fix: str = ""


def all_checks(settings: Settings, lake: Lake, now: Callable[[], datetime]) -> Iterator[Check]:
    """Every check, in order, each as soon as it is done."""
    checks: tuple[Callable[[], Iterator[Check]], ...] = (
        lambda: network(settings, lake, now),
        lambda: usage(settings, lake),
        lambda: purposes(lake),
        lambda: journal(settings),
        lambda: disks(settings, lake),
        lambda: tables(lake),
        lambda: consolidation(lake, now()),
        lambda: gaps(lake),
        lambda: engine(settings),
    )
    for check in checks:
        try:
            yield from check()
        except BemteviError as error:
            yield Check("lake", "broken", _said(error))


def network(settings: Settings, lake: Lake, now: Callable[[], datetime]) -> Iterator[Check]:
    """Token, clock, rate limit and rules of X, by one cheap call."""
    token = settings.x_bearer_token
    if token is None or not token.get_secret_value().strip():
        yield Check(
            "token",
            "note",
            "no token of X is set; listening needs one",
            "set BEMTEVI_X_BEARER_TOKEN to an app-only bearer token of X's developer console",
        )
        return
    followed = [rule for rule in read_rules(lake) if rule.network == "x"]
    with XClient(token.get_secret_value().strip(), settings.x_api_url) as client:
        try:
            before = now()
            first = client.get(x_rules.PATH, max_results=1)
            after = now()
            there = x_rules.read(client)
            cap = x_rules.cap(client) or settings.x_rule_cap
        except MissingCredentialError as error:
            yield Check("token", "broken", _said(error), "make a new token in X's developer console")
            return
        except BemteviError as error:
            yield Check(
                "network", "broken", _said(error), "nothing that needs X could be checked; try again online"
            )
            return
    yield Check("token", "good", f"X at {settings.x_api_url} takes it")
    yield clock(first, before, after)
    yield quota(first)
    yield from rules(followed, there, cap, settings)


def clock(answer: Answer, before: datetime, after: datetime) -> Check:
    """Our clock beside X's, which tells whole seconds."""
    if answer.at is None:
        return Check("clock", "note", "X did not tell its time")
    early, late = answer.at - after, before - answer.at - timedelta(seconds=1)
    off = max(early, late, timedelta())
    grade: Grade = "broken" if off > CLOCK_BROKEN else "warning" if off > CLOCK_WARNING else "good"
    if grade == "good":
        return Check("clock", grade, "it agrees with X's")
    way = "behind" if early > late else "ahead of"
    return Check(
        "clock",
        grade,
        f"it is {off.total_seconds():.0f} s {way} X's: times of gaps and days would be wrong",
        "let the machine set its clock from the network (timedatectl set-ntp true)",
    )


def quota(answer: Answer) -> Check:
    """What is left of the calls about rules."""
    limit = answer.limit
    if limit.limit is None or limit.remaining is None:
        return Check("rate limit", "note", "X did not tell its rate limits")
    found = f"{limit.remaining} of {limit.limit} calls about rules are left in this quarter of an hour"
    if limit.remaining * 10 < limit.limit:
        return Check("rate limit", "warning", found, "see what else uses this token")
    return Check("rate limit", "good", found)


def rules(
    followed: Sequence[TrackedRule], there: Sequence[x_rules.ServerRule], cap: int, settings: Settings
) -> Iterator[Check]:
    """X's list beside ours."""
    change = x_rules.plan(x_rules.wishes(followed, 100, settings.x_rule_length), there)
    ours = {rule.tag for rule in there if rule.is_ours}
    missing = [rule.value for rule in change.add if rule.tag not in ours]  # a sampled one is another form
    stale = [rule.value for rule in change.remove if rule.tag not in {one.tag for one in followed}]
    if not followed:
        yield Check("rules", "note", "nothing is followed", 'follow something: bemtevi track "#covid19"')
    elif missing:
        yield Check(
            "rules",
            "warning",
            f"X lacks {len(missing)} of {len(followed)} rules: {_some(missing)}",
            "they are given when the listener runs; `bemtevi track --dry-run` tells if X refuses one",
        )
    else:
        yield Check("rules", "good", f"X has all {len(followed)}; {len(there)} of {number(cap)} are in use")
    if stale:
        yield Check(
            "rules",
            "warning",
            f"X still has {len(stale)} of ours that are not followed: {_some(stale)}",
            "they are removed when the listener runs",
        )
    if change.foreign:
        yield Check(
            "rules",
            "warning",
            f"X has {len(change.foreign)} rules of others; their posts come and cost as well: "
            f"{_some([rule.value for rule in change.foreign])}",
            "use an app of its own for bemtevi, or remove them with the program that made them",
        )


def usage(settings: Settings, lake: Lake) -> Iterator[Check]:
    """What was read beside what may be."""
    asking = asking_of(settings)
    guard = guard_of(settings, lake, asking)
    guard.begin()
    if settings.x_bearer_token is not None:
        guard.ask_now()
    state = guard.look(0)
    cap = state.reported.cap or settings.x_monthly_cap
    dollars = state.month * state.limits.price
    found = f"{number(state.month)} posts this month ({dollars:,.2f} dollars), X's cap is {number(cap)}"
    if state.verdict.spent is not None:
        spent = state.verdict.spent
        yield Check(
            "usage",
            "warning",
            f"the limit of {number(spent.limit)} posts a {spent.period} is reached",
            f"reading goes on at {spent.ends_at:%Y-%m-%d %H:%M} UTC, or with a higher limit",
        )
    elif state.month >= cap * 0.8:
        yield Check("usage", "warning", found, "set budget_monthly_posts, follow less, or raise X's cap")
    else:
        yield Check("usage", "good", found)
    if state.limits.daily is None and state.limits.monthly is None:
        yield Check(
            "budget",
            "note",
            "no limit is set",
            "set budget_daily_posts, budget_monthly_posts or budget_monthly_dollars to bound what X may cost",
        )


def purposes(lake: Lake) -> Iterator[Check]:
    """Rules without a purpose."""
    without = [rule.value for rule in read_rules(lake) if not rule.purpose]
    if without:
        yield Check(
            "purpose",
            "note",
            f"{len(without)} rules have none: {_some(without)}",
            'say what the posts are collected for: bemtevi track "RULE" --purpose "…"',
        )


def journal(settings: Settings) -> Iterator[Check]:
    """What waits in the journal, and whether a listener is at work."""
    layout = JournalLayout(settings.journal, "x")
    if not layout.folder.exists():
        yield Check("journal", "good", f"nothing has been heard with {settings.journal} yet")
        return
    waiting = [layout.segment(number) for number in layout.segments()]
    size = sum(path.stat().st_size for path in waiting if path.exists())
    at_work = _held(layout.lock)
    found = f"{len(waiting)} segments wait, {size / GIGABYTE:.2f} GB; " + (
        "a listener is at work" if at_work else "no listener is at work"
    )
    if len(waiting) > 10 or (waiting and not at_work):
        fix = "see the listener's log" if at_work else "bemtevi listen writes them to layer 1"
        yield Check("journal", "warning", found, fix)
    else:
        yield Check("journal", "good", found)


def disks(settings: Settings, lake: Lake) -> Iterator[Check]:
    """Room for the journal and the lake."""
    places = {"journal": settings.journal, "lake": Path(settings.lake) if lake.layout.is_local else None}
    for name, folder in places.items():
        if folder is None:
            continue
        here = folder.absolute()
        there = next(path for path in (here, *here.parents) if path.exists())
        free = shutil.disk_usage(there).free
        found = f"{free / GIGABYTE:.1f} GB are free for the {name}"
        if free <= settings.journal_reserve_bytes:
            yield Check("disk", "broken", found, f"free some space, or choose another disk for the {name}")
        elif free < SCARCE_BYTES:
            yield Check("disk", "warning", found, "free some space soon")
        else:
            yield Check("disk", "good", found)


def tables(lake: Lake) -> Iterator[Check]:
    """Every table opens, in our version and zone."""
    definitions = [RAW, QUARANTINE, TRACK, GAP, SAMPLE, RUN, *(one.definition for one in load_models())]
    there = 0
    for definition in definitions:
        try:
            version = lake.table(definition).version()
            if version >= 0 and definition.layer == 2:
                lake.check_zone(definition)
        except BemteviError as error:
            yield Check("lake", "broken", _said(error))
            continue
        there += version >= 0
    if there:
        yield Check("lake", "good", f"{there} tables in {lake.layout.root}, local times in {lake.timezone}")
    else:
        yield Check("lake", "note", f"there is none at {lake.layout.root} yet", "bemtevi track makes one")


def consolidation(lake: Lake, now: datetime) -> Iterator[Check]:
    """How far layer 2 is behind."""
    raw = lake.table(RAW).version()
    if raw < 0:
        return
    run = last_consolidation(lake)
    if run is None:
        yield Check("tables", "warning", "layer 1 has posts, layer 2 has none", "bemtevi consolidate")
        return
    age = now - run.finished_at
    found = f"run {run.number} ended {_ago(age)} ago, {raw - run.raw_version} commits behind layer 1"
    if age > OLD_RUN and raw > run.raw_version:
        yield Check("tables", "warning", found, "bemtevi consolidate, or bemtevi run, which does it hourly")
    else:
        yield Check("tables", "good", found)


def gaps(lake: Lake) -> Iterator[Check]:
    """Intervals in which we were deaf and that are not filled."""
    waiting = read_gaps(lake, states=[State.OPEN, State.ENDED])
    if waiting:
        oldest = min(gap.started_at for gap in waiting).astimezone(UTC)
        yield Check(
            "gaps",
            "warning",
            f"{len(waiting)} are not filled, the oldest from {oldest:%Y-%m-%d %H:%M} UTC",
            "the listener ends and fills them while it runs; X's search reaches 7 days back",
        )
    else:
        yield Check("gaps", "good", "none is open")


def engine(settings: Settings) -> Iterator[Check]:
    """DuckDB takes the memory that is set."""
    try:
        with duckdb.connect() as connection:
            connection.execute("set memory_limit = ?", [settings.memory_limit])
            shown = connection.execute("select current_setting('memory_limit')").fetchone()
    except duckdb.Error as error:
        yield Check("engine", "broken", f"DuckDB cannot be used: {error}", "make setup")
        return
    yield Check("engine", "good", f"DuckDB {duckdb.__version__} with {shown[0] if shown else '?'} of memory")


def _held(lock: Path) -> bool:
    """Whether another process holds a lock; looking leaves nothing behind."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, thread_local=False).acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True


def _said(error: BemteviError) -> str:
    return plain(str(error)).rstrip(".")


def _some(values: Sequence[str]) -> str:
    shown = ", ".join(plain(value) for value in values[:3])
    return shown + (" …" if len(values) > 3 else "")


def _ago(age: timedelta) -> str:
    minutes = max(round(age.total_seconds() / 60), 0)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
