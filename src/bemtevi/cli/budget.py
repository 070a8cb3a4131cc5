"""The command budget: what was read, what it costs, what may still be read.

Owns the words and the JSON. What counts and what stops is in `listen` (`meter`, `budget`, `budget_guard`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bemtevi.cli.app import app, lake_of, only_warnings, out
from bemtevi.cli.collect import asking_of, guard_of
from bemtevi.lake.lake import Lake
from bemtevi.lake.sample import shares
from bemtevi.lake.track import read_rules
from bemtevi.listen.budget import month_begins, month_ends
from bemtevi.listen.budget_guard import State
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings

NETWORK = "x"


@app.command()
def budget(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """What was read of X today and this month, what it costs, and what may still be read.

    Days and months are UTC, as X bills. A post counts once a day, however often it is read. Limits are
    settings (budget_daily_posts, budget_monthly_posts, budget_monthly_dollars); none is set by default.
    """
    only_warnings(context)
    settings, lake = lake_of(context)
    asking = asking_of(settings)
    guard = guard_of(settings, lake, asking)
    guard.begin()
    guard.ask_now()
    state = guard.look(0)
    told = facts(settings, lake, state, asking.problem, datetime.now(UTC))
    if as_json:
        out().print(json.dumps(told, ensure_ascii=False), markup=False, soft_wrap=True)
        return
    for line in lines(told):
        out().print(line, markup=False, soft_wrap=True)


def facts(settings: Settings, lake: Lake, state: State, problem: str | None, now: datetime) -> dict[str, Any]:
    """The state as JSON has it; dollars are the posts at the price that is set."""
    limits, day = state.limits, now.date()
    price = limits.price
    followed = {rule.tag: rule.value for rule in read_rules(lake) if rule.network == NETWORK}
    sampled = {followed[tag]: share for tag, share in shares(lake, NETWORK).items() if tag in followed}
    spent = state.verdict.spent
    return {
        "network": NETWORK,
        "price_dollars": price,
        "action": settings.budget_action,
        "today": {
            "date": day.isoformat(),
            "posts": state.today,
            "dollars": round(state.today * price, 2),
            "limit_posts": limits.daily,
        },
        "month": {
            "since": month_begins(day, limits.cycle_day).isoformat(),
            "until": month_ends(day, limits.cycle_day).isoformat(),
            "posts": state.month,
            "dollars": round(state.month * price, 2),
            "limit_posts": limits.monthly,
        },
        "reported": None
        if problem is not None
        else {
            "today_posts": state.reported.days.get(day),
            "month_posts": state.reported.month,
            "cap_posts": state.reported.cap,
        },
        "reported_problem": problem,
        "cap_posts": state.reported.cap or settings.x_monthly_cap,
        "spent": None if spent is None else {"period": spent.period, "until": spent.ends_at.isoformat()},
        "sampled_percent": {rule: share for rule, share in sampled.items() if share < 100},
    }


def lines(told: dict[str, Any]) -> list[str]:
    """The same for a person."""
    found = [
        _line("Today (UTC)", told["today"]),
        _line(f"Month from {told['month']['since']}", told["month"]),
        f"X's own cap: {number(told['cap_posts'])} posts a month.",
        f"Price: {told['price_dollars']:g} dollars a post.",
    ]
    reported = told["reported"]
    if reported is None:
        found.append(f"What X counts is not known: {told['reported_problem']}")
    else:
        today, month = (
            "nothing told" if count is None else number(count)
            for count in (reported["today_posts"], reported["month_posts"])
        )
        found.append(f"X counts: {today} today, {month} this month (all apps of the project).")
    for rule, share in told["sampled_percent"].items():
        found.append(f"Slowed to {share} % of its matches: {rule}")
    spent = told["spent"]
    if spent is not None:
        found.append(
            f"The limit of the {spent['period']} is reached: nothing is read until {spent['until']}."
        )
    return found


def _line(name: str, part: dict[str, Any]) -> str:
    limit = part["limit_posts"]
    share = f"{part['posts'] / limit:.0%} of the limit of {number(limit)}" if limit else "no limit is set"
    return f"{name}: {number(part['posts'])} posts, {part['dollars']:,.2f} dollars; {share}."
