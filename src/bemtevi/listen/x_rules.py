"""X's rules: what its server follows for us, made equal to our list.

Owns the calls about rules and the comparison of theirs with ours. Ours are known by their tag
(`lake/track.py`); those of others share the app and are left alone. X takes some rules of a call and refuses
others: each refusal is told and stops none of the rest. Leaves the stream to `x`, and what a rule's text
tells to `x_rule_text`. Source: docs.x.com x-api/posts/filtered-stream, build a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bemtevi.errors import NetworkError
from bemtevi.lake.track import TAG_PREFIX, TrackedRule
from bemtevi.listen.network import Refusal, SyncResult
from bemtevi.listen.x_client import XClient, XRefusalError
from bemtevi.listen.x_rule_text import sampled, share

PATH = "/2/tweets/search/stream/rules"
RULES_A_CALL = 100


@dataclass(frozen=True)
class ServerRule:
    """A rule as X has it. An id may come as a number, a tag may be missing."""

    identity: str
    value: str
    tag: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether bemtevi gave it, in this run or a former one."""
        return self.tag.startswith(TAG_PREFIX)


@dataclass(frozen=True)
class Plan:
    """What makes X follow our list. `add` has value and tag of each rule, as X shall have them."""

    add: tuple[ServerRule, ...]
    remove: tuple[ServerRule, ...]
    kept: tuple[ServerRule, ...]
    foreign: tuple[ServerRule, ...]
    taken: tuple[ServerRule, ...]
    """Rules of ours that others have as well, word for word: X keeps one only, with their tag."""

    @property
    def total(self) -> int:
        """How many rules X has afterwards."""
        return len(self.kept) + len(self.foreign) + len(self.add)


def plan(wanted: Iterable[ServerRule], existing: Sequence[ServerRule]) -> Plan:
    """Compare. Pure. What is ours at X and not wanted goes; what is not ours stays."""
    wishes = {rule.value: rule for rule in wanted}
    foreign = tuple(rule for rule in existing if not rule.is_ours)
    others = {rule.value for rule in foreign}
    kept: list[ServerRule] = []
    remove: list[ServerRule] = []
    for rule in existing:
        if rule.is_ours:
            wish = wishes.get(rule.value)
            (kept if wish is not None and wish.tag == rule.tag else remove).append(rule)
    there = {rule.value for rule in kept}
    return Plan(
        tuple(wish for value, wish in wishes.items() if value not in there | others),
        tuple(remove),
        tuple(kept),
        foreign,
        tuple(wish for value, wish in wishes.items() if value in others),
    )


def wishes(rules: Iterable[TrackedRule], percent: int, longest: int) -> list[ServerRule]:
    """Our list as X shall have it: each rule for `percent` of its matches."""
    return [ServerRule("", sampled(rule.value, percent, longest), rule.tag) for rule in rules]


def sync(
    client: XClient,
    wanted: Sequence[ServerRule],
    most: int,
    giving: Callable[[Sequence[str]], None] = lambda _: None,
) -> SyncResult:
    """Make X follow what is wanted, and nothing else of ours. Repeating it changes nothing.

    `most` is the number of rules that X may have; beyond it none is added. New rules are given before old
    ones are taken away, where there is room, so that a rule that only changes its form is never deaf. Raises
    as the client.
    """
    existing = read(client)
    change = plan(wanted, existing)
    replaced = {rule.value for rule in change.add}
    first = [rule for rule in change.remove if rule.value in replaced]  # X has a value once, whatever its tag
    later = [rule for rule in change.remove if rule.value not in replaced]
    if change.total + len(later) > most:
        first, later = [*first, *later], []
    room = max(most - len(change.kept) - len(change.foreign), 0)
    had = {rule.tag for rule in existing if rule.is_ours}
    giving([rule.value for rule in change.add[:room] if rule.tag not in had])
    _delete(client, first)
    refused = [refusal for refusal in _add(client, change.add[:room]) if not refusal.is_duplicate]
    _delete(client, later)
    refused += [
        Refusal(rule.value, f"X may have {most} rules, and the app has as many already")
        for rule in change.add[room:]
    ]
    without = {refusal.value for refusal in refused}
    given = [rule for rule in change.add if rule.value not in without]
    has = {rule.tag for rule in given}
    return SyncResult(
        tuple(rule.value for rule in given if rule.tag not in had),
        tuple(rule.value for rule in change.remove if rule.tag not in has),
        len(change.foreign),
        tuple(refused),
        len(change.kept) + len(change.taken) + len(given),
        tuple(rule.value for rule in given if rule.tag in had),
        {rule.tag: share(rule.value) for rule in wanted if rule.value not in without},
    )


def ask(client: XClient, change: Plan) -> list[Refusal]:
    """What X says to the rules that would be added; it changes nothing. Raises as the client."""
    going = {rule.value for rule in change.remove}
    return [
        refusal
        for refusal in _add(client, change.add, dry_run="true")
        if not (refusal.is_duplicate and refusal.value in going)
    ]


def cap(client: XClient) -> int | None:
    """How many rules X lets the app have; None if it does not tell. Raises as the client."""
    try:
        data = client.get(PATH + "/counts").body.get("data")
    except XRefusalError:
        return None
    caps = [
        int(value)
        for name in ("cap_per_client_app", "cap_per_project")
        if isinstance(data, dict) and str(value := data.get(name, "")).isdecimal()
    ]
    return min(caps, default=None)


def read(client: XClient) -> list[ServerRule]:
    """All rules of the app, ours and others'. Raises as the client."""
    rules: list[ServerRule] = []
    more: dict[str, str] = {}
    while True:
        body = client.get(PATH, **more).body
        try:
            rules += [_server_rule(rule) for rule in body.get("data") or []]
            token = (body.get("meta") or {}).get("next_token")
        except (AttributeError, KeyError, TypeError) as error:
            raise NetworkError(
                f"What answers at {client.api_url} does not speak X ({type(error).__name__} in its list of "
                "rules): check BEMTEVI_X_API_URL."
            ) from None
        if not token or more.get("pagination_token") == str(token):
            return rules
        more = {"pagination_token": str(token)}


def _server_rule(rule: dict[str, Any]) -> ServerRule:
    return ServerRule(str(rule["id"]), str(rule["value"]), str(rule.get("tag") or ""))


def _delete(client: XClient, rules: Sequence[ServerRule]) -> None:
    """Take rules away. One that is gone already is no error."""
    for start in range(0, len(rules), RULES_A_CALL):
        ids = [rule.identity for rule in rules[start : start + RULES_A_CALL]]
        try:
            client.post(PATH, {"delete": {"ids": ids}})
        except XRefusalError as error:
            if error.status != 400:
                raise


def _add(client: XClient, rules: Sequence[ServerRule], **parameters: str) -> list[Refusal]:
    """Give rules; what X refuses. It may answer 400 if it takes none of a call."""
    refused: list[Refusal] = []
    for start in range(0, len(rules), RULES_A_CALL):
        part = rules[start : start + RULES_A_CALL]
        entries = [{"value": rule.value, "tag": rule.tag} for rule in part]
        try:
            body = client.post(PATH, {"add": entries}, **parameters).body
        except XRefusalError as error:
            body = error.body
            if error.status != 400 or not refusals(body, part):
                raise
        refused += refusals(body, part)
    return refused


def refusals(body: dict[str, Any], asked: Sequence[ServerRule]) -> list[Refusal]:
    """The rules that an answer refuses, with X's reasons. Pure; takes any JSON."""
    values = {rule.value for rule in asked}
    found: list[Refusal] = []
    for told in _dicts(body.get("errors")):
        if str(told.get("value")) not in values:
            continue
        details = told.get("details")
        reasons = [str(reason) for reason in details] if isinstance(details, list) else []
        reason = "; ".join(reasons) or str(told.get("detail") or told.get("title") or "X gives no reason")
        duplicate = str(told.get("type", "")).endswith("/duplicate-rules")
        found.append(Refusal(str(told["value"]), reason.rstrip("."), is_duplicate=duplicate))
    meta = body.get("meta")
    summary = meta.get("summary") if isinstance(meta, dict) else None
    missing = summary.get("not_created") if isinstance(summary, dict) else None
    if isinstance(missing, int) and missing > len(found):  # refused without a word about it
        told_of = {str(rule.get("value")) for rule in _dicts(body.get("data"))}
        told_of |= {refusal.value for refusal in found}
        silent = [rule.value for rule in asked if rule.value not in told_of]
        found += [Refusal(value, "X did not take it and gives no reason") for value in silent]
    return found


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
