"""Layer 1: `track`, the list of what is followed.

Owns the definition and the reading and changing of the list. Leaves to the listeners how a network is told.
A row is never deleted, only marked as removed: the tags of old rules must still be understood.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from bemtevi.lake.definition import TIMESTAMP, Column, TableDefinition
from bemtevi.lake.gap import Cause, Gap, State, ended, new_gap, read_gaps, write_gaps

if TYPE_CHECKING:
    from bemtevi.lake.lake import Lake

TRACK = TableDefinition(
    name="track",
    layer=1,
    grain="one rule that is or was followed on one network",
    key=("network", "value"),
    columns=(
        Column("network", pa.string(), "Network on which the rule is followed."),
        Column("value", pa.string(), "The rule, in the network's own operators."),
        Column("tag", pa.string(), "Our stable id of the rule, given to the network."),
        Column("added_at", TIMESTAMP, "When it was last added."),
        Column("removed_at", TIMESTAMP, "When it was removed; null while it is followed."),
        Column("label", pa.string(), "A name for it, of who follows it; null without one."),
        Column("purpose", pa.string(), "What its posts are collected for; null if it was not said."),
    ),
)

WRITER = "track"
"""Stands as the listener in the ledger where none was there yet."""

TAG_PREFIX = "bemtevi:"
"""Marks a rule as ours on a network that others share with us."""


@dataclass(frozen=True)
class TrackedRule:
    """One rule of the list."""

    network: str
    value: str
    tag: str
    added_at: datetime
    removed_at: datetime | None = None
    label: str | None = None
    purpose: str | None = None


def rule_tag(network: str, value: str) -> str:
    """Our id of a rule: the same for the same rule, for ever."""
    return TAG_PREFIX + hashlib.sha256(f"{network}\x1f{value}".encode()).hexdigest()[:16]


def read_rules(lake: Lake, *, removed: bool = False) -> list[TrackedRule]:
    """The rules that are followed, oldest first; with `removed`, also those that were."""
    table = lake.table(TRACK)
    if not table.exists():
        return []
    rules = [TrackedRule(**row) for row in table.read().to_pylist()]
    return sorted(
        (rule for rule in rules if removed or rule.removed_at is None),
        key=lambda rule: (rule.added_at, rule.value),
    )


def change_rules(
    lake: Lake,
    network: str,
    *,
    add: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    label: str | None = None,
    purpose: str | None = None,
    now: datetime,
) -> None:
    """Add and remove rules in one commit. Adding what is there and removing what is not are no errors.

    `label` and `purpose` are given to the rules that are added, also to those that are there already.

    The ledger of gaps is told: nobody listens to a new rule yet. First, since a gap of a rule that was not
    added does no harm, and a rule without its gap would count as listened to.
    """
    rules = {(rule.network, rule.value): rule for rule in read_rules(lake, removed=True)}
    before = dict(rules)
    for value in remove:
        old = rules.get((network, value))
        if old is not None and old.removed_at is None:
            rules[network, value] = replace(old, removed_at=now)
    for value in add:
        old = rules.get((network, value))
        if old is None or old.removed_at is not None:
            rules[network, value] = old = TrackedRule(network, value, rule_tag(network, value), now)
        rules[network, value] = replace(old, label=label or old.label, purpose=purpose or old.purpose)
    if rules != before:
        heard = {rule.tag for rule in before.values() if rule.removed_at is None}
        added = [rule for rule in rules.values() if rule.removed_at is None and rule.tag not in heard]
        write_gaps(lake, [not_yet_listening(rule, now) for rule in added])
        rows = [vars(rule) for rule in rules.values()]
        lake.table(TRACK).replace("true", pa.Table.from_pylist(rows, schema=TRACK.schema))
        gone = {rule.tag for rule in rules.values() if rule.removed_at == now}
        if gone:
            waiting = read_gaps(lake, network=network, states=[State.OPEN])
            write_gaps(lake, [ended(gap, now, now) for gap in waiting if gap.rules and gone >= {*gap.rules}])


def not_yet_listening(rule: TrackedRule, now: datetime) -> Gap:
    """The gap from the moment in which a rule is followed until a listener hears it; always the same one."""
    return new_gap(rule.network, Cause.NOT_YET, rule.added_at, rules=[rule.tag], listener=WRITER, now=now)
