"""What a rule of X tells by its text alone: what X surely refuses, and how it is sampled.

Owns the checks before anybody is asked, and the `sample:` operator. It refuses only what X's documentation
refuses; X itself has the last word. Pure. Source: docs.x.com x-api/posts/filtered-stream, build a rule and
operators.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

NEEDS_ANOTHER = frozenset({"lang", "is", "has", "sample"})
"""Operators that need one beside them that can stand alone."""

TOKEN = re.compile(
    r"""\s*(?:
        (?P<group>-?\()
      | (?P<end>\))
      | (?P<quote>-?(?:[A-Za-z_]+:)?"(?:[^"\\]|\\.)*")
      | (?P<open>-?(?:[A-Za-z_]+:)?")
      | (?P<word>[^\s()"]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
OPERATOR = re.compile(r"-?([A-Za-z_]+):(.*)", re.DOTALL)


@dataclass(frozen=True)
class Token:
    """A piece of a rule: group, end, quote, open (a quote without its end) or word."""

    kind: str
    text: str

    @property
    def is_term(self) -> bool:
        """An operator with its value, not a parenthesis and not OR."""
        return self.kind == "quote" or (self.kind == "word" and self.text != "OR")

    @property
    def negated(self) -> bool:
        """Whether a minus stands before it."""
        return self.text.startswith("-")

    @property
    def operator(self) -> str:
        """The name before the colon, in small letters; empty for a word, a hashtag or a phrase."""
        found = OPERATOR.fullmatch(self.text)
        return found[1].lower() if found else ""

    @property
    def value(self) -> str:
        """What follows the colon."""
        found = OPERATOR.fullmatch(self.text)
        return found[2] if found else self.text


def refusals(rule: str, longest: int) -> list[str]:
    """Why X will not take a rule, in one clause each; empty if nothing is known against it."""
    if not rule.strip():
        return ["it is empty"]
    found = [f"it has {len(rule)} characters, and {longest} are allowed"] if len(rule) > longest else []
    pieces = list(tokens(rule))
    if any(token.kind == "open" for token in pieces):
        return [*found, "a quotation mark is not closed"]
    found += _of_groups(pieces)
    terms = [token for token in pieces if token.is_term]
    for term in terms:
        found += _of_term(term)
    if terms and not any(not term.negated and term.operator not in NEEDS_ANOTHER for term in terms):
        found.append(
            "it says only what a post must not be"
            if all(term.negated for term in terms)
            else "lang:, is:, has: and sample: need a word, a hashtag or another operator beside them"
        )
    return list(dict.fromkeys(found))


def doubts(rule: str) -> list[str]:
    """What X may refuse or understand otherwise than meant, in one clause each."""
    found = []
    if re.search("[“”„«»]", rule):
        found.append('its quotation marks are not the plain ones (") that X knows')
    if re.search(r"(?<!\S)[–—]\S", rule):
        found.append("a dash stands where a minus (-) may be meant")
    alternatives: list[list[Token]] = [[]]
    depth = 0
    for token in tokens(rule):
        depth += (token.kind == "group") - (token.kind == "end")
        if depth == 0 and token.kind == "word" and token.text == "OR":
            alternatives.append([])
        elif token.is_term:
            alternatives[-1].append(token)
    if len(alternatives) > 1 and not all(
        any(not term.negated and term.operator not in NEEDS_ANOTHER for term in terms)
        for terms in alternatives
    ):
        found.append("X may want a word or a hashtag on each side of OR")
    return found


def share(rule: str) -> int:
    """The percent of its matches that a rule asks for: the smallest of its `sample:`, 100 without one."""
    values = [token.value for token in tokens(rule) if token.is_term and token.operator == "sample"]
    return min([int(value) for value in values if value.isascii() and value.isdigit()], default=100)


def sampled(rule: str, percent: int, longest: int) -> str:
    """The rule for `percent` of its matches. As it is if it has a share of its own, or would be too long."""
    if percent >= 100 or share(rule) < 100:
        return rule
    joined = any(token.kind == "word" and token.text == "OR" for token in tokens(rule))
    narrowed = f"({rule}) sample:{percent}" if joined else f"{rule} sample:{percent}"
    return narrowed if len(narrowed) <= longest else rule


def tokens(rule: str) -> Iterator[Token]:
    """The pieces of a rule, in order; what cannot be one ends it."""
    position = 0
    while found := TOKEN.match(rule, position):
        position = found.end()
        kind = found.lastgroup or ""
        yield Token(kind, found[kind])


def _of_groups(pieces: list[Token]) -> list[str]:
    """What is wrong with parentheses and OR."""
    found = []
    depth = 0
    before = Token("group", "(")
    for token in pieces:
        if token.kind == "group":
            depth += 1
            if token.negated:
                found.append(
                    "a minus before a parenthesis is not allowed: put one before each operator in it"
                )
        elif token.kind == "end":
            depth -= 1
            if depth < 0:
                return [*found, "a parenthesis is closed that was not opened"]
            if before.kind == "group":
                found.append("a pair of parentheses is empty")
        is_or, was_or = _is_or(token), _is_or(before)
        if (is_or and (was_or or before.kind == "group")) or (token.kind == "end" and was_or):
            found.append("OR needs something on both sides")
        before = token
    if _is_or(before):
        found.append("OR needs something on both sides")
    if depth > 0:
        found.append("a parenthesis is not closed")
    return found


def _is_or(token: Token) -> bool:
    return token.kind == "word" and token.text == "OR"


def _of_term(term: Token) -> list[str]:
    """What is wrong with one operator."""
    value = term.value.strip('"').lower()
    if term.kind == "word" and term.text.lower() in ("and", "or"):
        return [f"'{term.text}' is no operator: a space means and, OR (in capitals) means or"]
    if term.operator == "is" and value == "nullcast" and not term.negated:
        return ["is:nullcast is allowed only with a minus before it"]
    if term.operator == "sample":
        if term.negated:
            return ["sample: cannot have a minus before it"]
        if not (value.isascii() and value.isdigit() and len(value) <= 3 and 1 <= int(value) <= 100):
            return ["sample: takes a whole number from 1 to 100"]
    return []
