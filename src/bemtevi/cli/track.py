"""The command track: what is followed.

Owns what is checked and shown before the list is changed. What the network does with the list is the
listener's business; with --dry-run the network is asked, and nothing is changed anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import typer

from bemtevi.cli.app import app, lake_of, out, told
from bemtevi.cli.collect import token_of
from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import TrackedRule, change_rules, read_rules, rule_tag
from bemtevi.listen import x_rules
from bemtevi.listen.network import Refusal
from bemtevi.listen.terms import warnings
from bemtevi.listen.x_client import XClient
from bemtevi.listen.x_rule_text import doubts, refusals
from bemtevi.serve.terminal import number
from bemtevi.settings import Settings

NETWORKS = ("x",)


@dataclass(frozen=True)
class Change:
    """What a call wants of the list of one network."""

    network: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    label: str | None = None
    purpose: str | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def after(self, followed: Sequence[TrackedRule]) -> list[TrackedRule]:
        """The list as it will be."""
        kept = [rule for rule in followed if rule.value not in self.remove]
        known = {rule.value for rule in kept}
        new = [value for value in dict.fromkeys(self.add) if value not in known]
        tags = {value: rule_tag(self.network, value) for value in new}
        return kept + [TrackedRule(self.network, value, tag, self.now) for value, tag in tags.items()]


@app.command()
def track(
    context: typer.Context,
    rules: Annotated[
        list[str] | None, typer.Argument(help="Rules, e.g. '#covid19' or 'vacina lang:pt'.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Stop following the rules given.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the network what it would do; change nothing.")
    ] = False,
    label: Annotated[str | None, typer.Option(help="A name of yours for the rules given.")] = None,
    purpose: Annotated[
        str | None, typer.Option(help="What their posts are collected for; kept with the rules.")
    ] = None,
    network: Annotated[str, typer.Option(help="Network: x.")] = "x",
) -> None:
    """Follow hashtags (X's own operators work), stop following them, or list what is followed.

    A rule that the network surely refuses is refused here, before anything is changed. Following a rule again
    changes its label and purpose.
    """
    settings, lake = lake_of(context)
    if network not in NETWORKS:
        raise UsageError(f"The network '{network}' is not known; known are: {', '.join(NETWORKS)}.")
    values = tuple(dict.fromkeys(" ".join(rule.split()) for rule in rules or []))
    if any(not value for value in values):
        raise UsageError("A rule is empty: give a hashtag such as '#covid19' (with the quotes).")
    if not values and (label or purpose):
        raise UsageError("--label and --purpose belong to rules: name the rules as well.")
    followed = [rule for rule in read_rules(lake) if rule.network == network]
    known = {rule.value for rule in followed}
    if remove:
        unknown = [value for value in values if value not in known]
        if unknown or not values:
            raise UsageError(
                f"Not followed on {network}: {', '.join(unknown) or 'no rule was given'}. "
                "`bemtevi track` lists what is."
            )
        change = Change(network, remove=values)
    else:
        _check([value for value in values if value not in known], len(known), settings)
        change = Change(network, values, label=label, purpose=purpose)
    if dry_run:
        _ask(settings, change.after(followed))
        return
    if values:
        change_rules(
            lake,
            network,
            add=change.add,
            remove=change.remove,
            label=change.label,
            purpose=change.purpose,
            now=change.now,
        )
    _show(lake, set(change.add) - known, values if remove else ())
    if not remove:
        _warn([value for value in values if value not in known], purpose)


def follow(settings: Settings, lake: Lake, network: str, rules: Sequence[str]) -> None:
    """Follow rules, as the command does; what is followed already stays. Raises UsageError."""
    known = {rule.value for rule in read_rules(lake) if rule.network == network}
    new = [value for value in dict.fromkeys(rules) if value not in known]
    _check(new, len(known), settings)
    if new:
        change = Change(network, tuple(new))
        change_rules(lake, network, add=change.add, now=change.now)


def _check(new: Sequence[str], followed: int, settings: Settings) -> None:
    """Refuse what the network surely refuses, before anything is changed."""
    bad = [
        f"the rule {value!r} cannot be followed, since {', and '.join(found)}"
        for value in new
        if (found := refusals(value, settings.x_rule_length))
    ]
    if bad:
        raise UsageError(f"{'; '.join(bad)[:1].upper()}{'; '.join(bad)[1:]}. Nothing was changed.")
    over = followed + len(new) - settings.x_rule_cap
    if over > 0:
        raise UsageError(
            f"X takes {number(settings.x_rule_cap)} rules, and these would be {number(over)} too many: "
            "remove some with `bemtevi track --remove`, or join several hashtags in one rule with OR. "
            "Nothing was changed."
        )


def _show(lake: Lake, added: set[str], removed: Sequence[str]) -> None:
    """The list, with what has changed."""
    current = read_rules(lake)
    for value in removed:
        out().print(f"- x  {value}", markup=False, soft_wrap=True)
    if not current:
        out().print('Nothing is followed. Add a hashtag: bemtevi track "#covid19"', markup=False)
    changed = bool(added or removed)
    for rule in current:
        mark = "" if not changed else "+ " if rule.value in added else "  "
        more = "".join(f"  [{text}]" for text in (rule.label, rule.purpose) if text)
        out().print(f"{mark}{rule.network}  {rule.value}{more}", markup=False, soft_wrap=True)


def _warn(new: Sequence[str], purpose: str | None) -> None:
    """What a person should think of; it stops nothing."""
    for value in new:
        for reason in (*doubts(value), *warnings(value)):
            told().print(f"Note on {value!r}: {reason}.", markup=False, style="yellow", soft_wrap=True)
    if new and not purpose:
        told().print(
            "No purpose is kept with these rules; laws on personal data want one: add --purpose to say what "
            "the posts are collected for.",
            markup=False,
            style="dim",
            soft_wrap=True,
        )


def _ask(settings: Settings, wanted: Sequence[TrackedRule]) -> None:
    """Ask X, and show what it would do. Raises UsageError if it would refuse a rule."""
    with XClient(token_of(settings), settings.x_api_url) as client:
        change = x_rules.plan(x_rules.wishes(wanted, 100, settings.x_rule_length), x_rules.read(client))
        most = x_rules.cap(client) or settings.x_rule_cap
        refused = {refusal.value: refusal for refusal in x_rules.ask(client, change)}
    for rule in change.remove:
        out().print(f"- {rule.value}  (ours, and not followed any more)", markup=False, soft_wrap=True)
    for rule in (*change.add, *change.kept):
        mark = "!" if rule.value in refused else "+" if rule in change.add else " "
        out().print(f"{mark} {rule.value}{_reason(refused.get(rule.value))}", markup=False, soft_wrap=True)
    for rule in change.taken:
        out().print(f"= {rule.value}  (there already, as somebody else's rule)", markup=False, soft_wrap=True)
    for rule in change.foreign:
        tag = f", tag {rule.tag}" if rule.tag else ""
        out().print(f"? {rule.value}  (not ours{tag}: it stays)", markup=False, soft_wrap=True)
    out().print(f"X would have {number(change.total)} of {number(most)} rules. Nothing was changed.")
    if change.total > most:
        raise UsageError(f"These are {number(change.total - most)} rules more than X takes.")
    if refused:
        raise UsageError(f"X would refuse {number(len(refused))} of these rules; the reasons are above.")


def _reason(refusal: Refusal | None) -> str:
    return "" if refusal is None else f"  ({refusal.reason})"
