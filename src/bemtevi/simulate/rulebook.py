"""The rules an app has stored at X.

Owns: adding, deleting and listing with X's answers, and the compiled form of what is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from bemtevi.simulate import problems
from bemtevi.simulate.matching import CompiledRules, Predicate, Subject, compile_rule
from bemtevi.simulate.rules import MAX_RULES, Node, RuleSyntaxError, parse
from bemtevi.simulate.snowflake import Snowflakes, milliseconds

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Rule:
    identity: str
    value: str
    tag: str | None
    tree: Node

    def shown(self, *, value: bool = True) -> dict[str, str]:
        shown = {"id": self.identity}
        if value:
            shown["value"] = self.value
        if self.tag is not None:
            shown["tag"] = self.tag
        return shown


class RuleBook:
    """Rules by id; `version` grows with every change."""

    def __init__(self, clock: Clock, cap: int = MAX_RULES) -> None:
        self.version = 0
        self.cap = cap
        self.compiled = CompiledRules(())
        self.gone: CompiledRules | None = None
        """Rules that were deleted behind the client's back and not given again."""
        self._clock = clock
        self._rules: dict[str, Rule] = {}
        self._snowflakes = Snowflakes()
        self._suffixes: dict[tuple[str, ...], bytes] = {(): b""}
        self._behind: dict[str, Rule] = {}
        self._of_others: set[str] = set()
        """The values of rules that another program added, and the client did not ask for."""
        self._searches: list[Predicate] | None = None

    def __len__(self) -> int:
        return len(self._rules)

    def all(self) -> list[Rule]:
        return list(self._rules.values())

    def line_end(self, hits: tuple[str, ...]) -> bytes:
        """What closes a line that these rules matched; nothing for no rules."""
        known = self._suffixes.get(hits)
        if known is None:
            shown = [self._rules[identity].shown(value=False) for identity in hits]
            known = self._suffixes[hits] = b',"matching_rules":' + msgspec.json.encode(shown) + b"}\r\n"
        return known

    def add(self, entries: list[dict[str, Any]], *, dry_run: bool = False) -> dict[str, Any]:
        """X's answer to `add`: what could be added is, and the rest is listed under `errors`."""
        by_value = {rule.value: rule.identity for rule in self._rules.values()}
        added: list[Rule] = []
        errors: list[dict[str, Any]] = []
        for entry in entries:
            value, tag = entry["value"], entry.get("tag")
            if not dry_run and value in self._of_others:
                self._of_others.discard(value)
                self._changed()
            if value in by_value:
                errors.append(problems.duplicate_rule(value, by_value[value]))
                continue
            if len(self._rules) + len(added) >= self.cap:
                errors.append(problems.too_many_rules(value, self.cap))
                continue
            try:
                tree = parse(value)
            except RuleSyntaxError as why:
                errors.append(problems.invalid_rule(value, str(why)))
                continue
            rule = Rule(str(self._snowflakes.take(milliseconds(self._clock()))), value, tag, tree)
            by_value[value] = rule.identity
            added.append(rule)
        if not dry_run and added:
            self._rules.update((rule.identity, rule) for rule in added)
            for rule in added:
                self._behind.pop(rule.value, None)
            self._changed()
        failed = len(errors)
        summary = {"created": len(added), "not_created": failed, "valid": len(added), "invalid": failed}
        return self._answer([rule.shown() for rule in added], summary, errors)

    def delete(
        self,
        ids: list[str] | None = None,
        values: list[str] | None = None,
        *,
        everything: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """X's answer to `delete`."""
        by_value = {rule.value: rule.identity for rule in self._rules.values()}
        gone: set[str] = set(self._rules) if everything else set()
        errors = []
        for kind, names, known in (
            ("ids", ids or (), {identity: identity for identity in self._rules}),
            ("values", values or (), by_value),
        ):
            for name in names:
                if name in known:
                    gone.add(known[name])
                else:
                    errors.append(problems.unknown_rule(kind, name))
        if not dry_run and gone:
            for identity in gone:
                del self._rules[identity]
            if everything:
                self._behind.clear()
            self._changed()
        return self._answer([], {"deleted": len(gone), "not_deleted": len(errors)}, errors)

    def delete_behind(self, value: str = "") -> None:
        """Another program deletes the rule with that value, or all; what they would match is withheld."""
        for rule in self.all():
            if not value or rule.value == value:
                self._behind[rule.value] = self._rules.pop(rule.identity)
        self._changed()

    def add_behind(self, value: str, tag: str) -> None:
        """Another program adds a rule."""
        if all(rule.value != value for rule in self.all()):
            self.add([{"value": value, "tag": tag or None}])
            self._of_others.add(value)
            self._searches = None

    def finds(self, subject: Subject, identity: int) -> bool:
        """Does a search for the client's own rules bring this post? `subject` is made for search."""
        if self._searches is None:
            known = (*self._rules.values(), *self._behind.values())
            own = [rule for rule in known if rule.value not in self._of_others]
            self._searches = [compile_rule(rule.tree, search=True) for rule in own]
        if "is:retweet" in subject.flags:
            return False
        return any(matches(subject, identity) for matches in self._searches)

    def sent(self) -> str:
        """The time X puts into `meta.sent`."""
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _answer(
        self, data: list[dict[str, str]], summary: dict[str, int], errors: list[dict[str, Any]]
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {"meta": {"sent": self.sent(), "summary": summary}}
        if data:
            answer["data"] = data
        if errors:
            answer["errors"] = errors
        return answer

    def _changed(self) -> None:
        self.version += 1
        self.compiled = CompiledRules((rule.identity, rule.tree) for rule in self._rules.values())
        behind = self._behind.values()
        self.gone = CompiledRules((rule.identity, rule.tree) for rule in behind) if behind else None
        self._suffixes = {(): b""}
        self._searches = None
