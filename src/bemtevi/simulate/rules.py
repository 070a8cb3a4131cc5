"""X's rule language: from text to a tree and back.

Owns: the grammar, its limits and its error sentences. AND is a space and binds before OR; `-` negates a
single operator; every alternative needs an operator that can stand alone. Whether a post matches is decided
in `matching`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TypeAlias

MAX_LENGTH = 1_024
MAX_RULES = 1_000

IS_VALUES = frozenset({"retweet", "reply", "quote", "verified", "nullcast"})
HAS_VALUES = frozenset({"hashtags", "cashtags", "links", "mentions", "media", "images", "videos", "geo"})
STANDALONE = frozenset(
    {"keyword", "phrase", "#", "$", "@", "from", "to", "url", "retweets_of", "conversation_id"}
)
DEPENDENT = frozenset({"lang", "is", "has", "sample"})


class RuleSyntaxError(ValueError):
    """Why X would not take a rule, in words like its own."""


@dataclass(frozen=True, slots=True)
class Term:
    """One operator: `kind` is the operator's name, or keyword, phrase, `#`, `$`, `@`."""

    kind: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Node: TypeAlias = Term | And | Or

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>-?\()
      | (?P<close>\))
      | (?P<or>OR(?=[\s()]|$))
      | (?P<term>-?(?:[A-Za-z_]+:)?(?:"(?:[^"\\]|\\.)*"|[^\s()"]+))
    )""",
    re.VERBOSE,
)
_OPERATOR = re.compile(r"([A-Za-z_]+):(.*)", re.DOTALL)
# Marks belong to the letter before them, which `\w` does not know (Hindi, Thai, decomposed accents).
LETTERS = (
    r"\w"
    + "".join(map(chr, range(0x300, 0x370)))
    + "".join(chr(code) for code in range(0x483, 0xFE30) if unicodedata.category(chr(code)).startswith("M"))
)
_TAG = re.compile(f"[{LETTERS}\u200c\u200d\u30fb]+")
_USERNAME = re.compile(r"[A-Za-z0-9_]{1,15}|[0-9]{1,19}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")


def parse(text: str, limit: int = MAX_LENGTH) -> Node:
    """The tree of a valid rule; RuleSyntaxError for any other text."""
    if not text.strip():
        raise RuleSyntaxError("Rule value must not be empty")
    if len(text) > limit:
        raise RuleSyntaxError(f"Rule is too long: {len(text)} characters, the maximum is {limit}")
    parser = _Parser(text)
    tree = parser.alternatives()
    if parser.kind != "end":
        raise RuleSyntaxError(
            f"no viable alternative at input '{parser.token}' (at position {parser.start + 1})"
        )
    if not _stands_alone(tree):
        raise RuleSyntaxError(
            "Rule must contain at least one positive, standalone clause in each alternative"
        )
    return tree


def render(node: Node) -> str:
    """The canonical text of a tree; parsing it gives the same tree."""
    if isinstance(node, Or):
        return " OR ".join(
            f"({render(part)})" if isinstance(part, And) else render(part) for part in node.parts
        )
    if isinstance(node, And):
        return " ".join(f"({render(part)})" if isinstance(part, Or) else render(part) for part in node.parts)
    sign = "-" if node.negated else ""
    if node.kind == "keyword":
        return sign + node.value
    if node.kind == "phrase":
        return sign + _quoted(node.value)
    if node.kind in "#$@":
        return sign + node.kind + node.value
    plain = node.kind != "url" or re.fullmatch(r'[^\s()"\\]+', node.value)
    return f"{sign}{node.kind}:{node.value if plain else _quoted(node.value)}"


class _Parser:
    """A recursive descent over the tokens, one ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.kind = ""
        self.token = ""
        self.start = 0
        self._advance()

    def alternatives(self) -> Node:
        parts = [self._conjunction()]
        while self.kind == "or":
            self._advance()
            parts.append(self._conjunction())
        return _joined(Or, parts)

    def _conjunction(self) -> Node:
        parts = []
        while self.kind in ("open", "term"):
            parts.append(self._single())
        if not parts:
            found = self.token or "<EOF>"
            raise RuleSyntaxError(f"no viable alternative at input '{found}' (at position {self.start + 1})")
        return _joined(And, parts)

    def _single(self) -> Node:
        if self.kind == "term":
            term = _term(self.token, self.start + 1)
            self._advance()
            return term
        if self.token.startswith("-"):
            raise RuleSyntaxError(
                "The NOT operator cannot be applied to a group: negate each operator in it "
                f"(at position {self.start + 1})"
            )
        opened = self.start + 1
        self._advance()
        group = self.alternatives()
        if self.kind != "close":
            raise RuleSyntaxError(f"missing ')' for the group (at position {opened})")
        self._advance()
        return group

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._position)
        if found is None:
            rest = self._text[self._position :].lstrip()
            if rest:
                raise RuleSyntaxError(
                    f"missing '\"' or unexpected input '{rest[:20]}' (at position {self._position + 1})"
                )
            self.kind, self.token, self.start = "end", "", len(self._text)
            return
        self.kind = found.lastgroup or ""
        self.token = found[self.kind]
        self.start = found.start(self.kind)
        self._position = found.end()


def _term(token: str, position: int) -> Term:
    negated = token.startswith("-")
    body = token[1:] if negated else token
    where = f"(at position {position})"
    if not body:
        raise RuleSyntaxError(f"no viable alternative at input '-' {where}")
    if body.startswith('"'):
        phrase = _unquoted(body)
        if not phrase.strip():
            raise RuleSyntaxError(f"A phrase must not be empty {where}")
        return Term("phrase", phrase, negated)
    sign = "#" if body[0] == "＃" else body[0]
    if sign in "#$":
        if not _TAG.fullmatch(body[1:]):
            raise RuleSyntaxError(
                f"'{body}' is not a valid {'hashtag' if sign == '#' else 'cashtag'} {where}"
            )
        return Term(sign, body[1:], negated)
    if sign == "@":
        return Term("@", _username(body[1:], where), negated)
    if operator := _OPERATOR.fullmatch(body):
        name, value = operator[1].lower(), _unquoted(operator[2])
        return Term(name, _checked(name, value, negated, where), negated)
    if body.lower() in ("and", "or"):
        raise RuleSyntaxError(
            f"Ambiguous use of {body} as a keyword. Use a space to logically join two clauses, OR between "
            f'alternatives, or "{body}" to find occurrences of {body} in text {where}'
        )
    if body.startswith("-") or '"' in body or not any(character.isalnum() for character in body):
        raise RuleSyntaxError(f"no viable alternative at input '{body}' {where}")
    return Term("keyword", body, negated)


def _checked(name: str, value: str, negated: bool, where: str) -> str:
    if name not in STANDALONE | DEPENDENT:
        raise RuleSyntaxError(f"Reference to invalid field '{name}' {where}")
    if not value:
        raise RuleSyntaxError(f"Operator '{name}:' needs a value {where}")
    if name in ("from", "to", "retweets_of"):
        return _username(value, where)
    if name == "lang" and not _LANGUAGE.fullmatch(value):
        raise RuleSyntaxError(f"Invalid language '{value}' {where}")
    allowed = {"is": IS_VALUES, "has": HAS_VALUES}.get(name)
    if allowed is not None:
        value = value.lower()
        if value not in allowed:
            raise RuleSyntaxError(f"Reference to invalid operator '{name}:{value}' {where}")
        if value == "nullcast" and not negated:
            raise RuleSyntaxError(f"Operator 'is:nullcast' can only be negated {where}")
    if name == "sample" and (
        negated or not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 100
    ):
        raise RuleSyntaxError(f"sample: takes a whole number from 1 to 100 and cannot be negated {where}")
    if name == "conversation_id" and not (value.isascii() and value.isdigit() and len(value) <= 19):
        raise RuleSyntaxError(f"Invalid id '{value}' {where}")
    return str(int(value)) if name == "sample" else value


def _username(value: str, where: str) -> str:
    name = value.removeprefix("@")
    if not _USERNAME.fullmatch(name):
        raise RuleSyntaxError(f"Invalid username '{value}' {where}")
    return name


def _joined(kind: type[And] | type[Or], parts: list[Node]) -> Node:
    if len(parts) == 1:
        return parts[0]
    # A group inside a group of the same kind is no group.
    flat: list[Node] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return kind(tuple(flat))


def _stands_alone(node: Node) -> bool:
    if isinstance(node, Or):
        return all(map(_stands_alone, node.parts))
    if isinstance(node, And):
        return any(map(_stands_alone, node.parts))
    return node.kind in STANDALONE and not node.negated


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
    return value
