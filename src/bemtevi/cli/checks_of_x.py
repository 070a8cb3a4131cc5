"""The checks of doctor that ask X: token, clock, rate limit, rules, and what was read beside what may be.

Owns what counts as good, as a warning and as broken there. Nothing is changed, and the token is never said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from bemtevi.cli.check import Check, Grade, said, some
from bemtevi.cli.collect import asking_of, guard_of
from bemtevi.errors import BemteviError, MissingCredentialError
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import TrackedRule, read_rules
from bemtevi.listen import x_rules
from bemtevi.listen.x_client import Answer, XClient
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings

CLOCK_WARNING = timedelta(seconds=2)
CLOCK_BROKEN = timedelta(seconds=60)


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
            yield Check("token", "broken", said(error), "make a new token in X's developer console")
            return
        except BemteviError as error:
            yield Check(
                "network", "broken", said(error), "nothing that needs X could be checked; try again online"
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
            f"X lacks {len(missing)} of {len(followed)} rules: {some(missing)}",
            "they are given when the listener runs; `bemtevi track --dry-run` tells if X refuses one",
        )
    else:
        yield Check("rules", "good", f"X has all {len(followed)}; {len(there)} of {number(cap)} are in use")
    if stale:
        yield Check(
            "rules",
            "warning",
            f"X still has {len(stale)} of ours that are not followed: {some(stale)}",
            "they are removed when the listener runs",
        )
    if change.foreign:
        yield Check(
            "rules",
            "warning",
            f"X has {len(change.foreign)} rules of others; their posts come and cost as well: "
            f"{some([rule.value for rule in change.foreign])}",
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
