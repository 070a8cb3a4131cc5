"""A rule of the stream as queries of X's search, which knows less and takes less. Pure.

Owns what search cannot be asked, and the splitting of what is too long for one query. Leaves the pieces of a
rule to `x_rule_text`. Source: docs.x.com, search: build a query, operators; filtered stream: operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bemtevi.listen.x_rule_text import Token, tokens

STREAM_ONLY = frozenset(
    {
        "sample",
        "bio",
        "user_bio",
        "bio_name",
        "user_bio_name",
        "bio_location",
        "user_bio_location",
        "embedding",
    }
)
"""Operators that search does not know."""


class UnsearchableError(Exception):
    """A rule that search cannot be asked; the text is the reason, a clause."""


@dataclass(frozen=True)
class Group:
    """Parentheses: alternatives, each all of its items."""

    sign: str
    alternatives: tuple[tuple[Item, ...], ...]

    def __str__(self) -> str:
        return f"{self.sign}({_either(self.alternatives)})"


Item = str | Group
Items = tuple[Item, ...]


def queries(rule: str, longest: int) -> list[str]:
    """The queries that together bring what a rule asks for, each of at most `longest` characters.

    They bring a little more where a negated operator had to be left out. Raises UnsearchableError.
    """
    pieces = list(tokens(rule))
    for piece in pieces:
        if piece.is_term and piece.operator in STREAM_ONLY and not piece.negated:
            raise UnsearchableError(f"search does not know {piece.operator}:")
        if piece.is_term and piece.operator == "is" and piece.value == "retweet" and not piece.negated:
            raise UnsearchableError("search brings no reposts")
    if any(piece.kind == "open" for piece in pieces):
        raise UnsearchableError("a quotation mark is not closed")
    alternatives, rest = _read(pieces)
    opened, closed = (sum(piece.kind == kind for piece in pieces) for kind in ("group", "end"))
    if rest or opened != closed:
        raise UnsearchableError("its parentheses do not match")
    whole = _either(alternatives)
    return [whole] if len(whole) <= longest else _split(alternatives, longest)


def _read(pieces: Sequence[Token]) -> tuple[tuple[Items, ...], Sequence[Token]]:
    """Alternatives up to the end or a closing parenthesis, and what follows it."""
    alternatives: list[Items] = []
    items: list[Item] = []
    while pieces:
        piece, pieces = pieces[0], pieces[1:]
        if piece.kind == "end":
            break
        if piece.kind == "group":
            inside, pieces = _read_group(pieces)
            items.append(Group(piece.text[:-1], inside))
        elif piece.kind == "word" and piece.text == "OR":
            alternatives.append(tuple(items))
            items = []
        elif not (piece.operator in STREAM_ONLY and piece.negated):
            items.append(piece.text)
        elif not items and (not pieces or pieces[0].text == "OR"):
            raise UnsearchableError(f"search does not know {piece.operator}:")
    alternatives.append(tuple(items))
    if not all(alternatives):
        raise UnsearchableError("OR needs something on both sides")
    return tuple(alternatives), pieces


def _read_group(pieces: Sequence[Token]) -> tuple[tuple[Items, ...], Sequence[Token]]:
    depth = 1
    for place, piece in enumerate(pieces):
        depth += (piece.kind == "group") - (piece.kind == "end")
        if depth == 0:
            inside, _ = _read(pieces[:place])
            return inside, pieces[place + 1 :]
    raise UnsearchableError("its parentheses do not match")


def _split(alternatives: Sequence[Items], longest: int) -> list[str]:
    """Queries of whole alternatives, as many in each as fit."""
    found: list[str] = []
    together: list[Items] = []
    for alternative in alternatives:
        if len(_all(alternative)) > longest:
            found += _split_one(alternative, longest)
        elif together and len(_either([*together, alternative])) > longest:
            found.append(_either(together))
            together = [alternative]
        else:
            together.append(alternative)
    return [*found, _either(together)] if together else found


def _split_one(items: Items, longest: int) -> list[str]:
    """Queries of one alternative: the largest group in it gives some of its own to each."""
    groups = [
        (len(str(item)), place)
        for place, item in enumerate(items)
        if isinstance(item, Group) and not item.sign and len(item.alternatives) > 1
    ]
    if not groups:
        raise UnsearchableError(f"it cannot be split into queries of {longest} characters")
    place = max(groups)[1]
    group = items[place]
    assert isinstance(group, Group)  # noqa: S101  it was chosen so
    before, after = items[:place], items[place + 1 :]
    middle = (len(group.alternatives) + 1) // 2
    found: list[str] = []
    for part in (group.alternatives[:middle], group.alternatives[middle:]):
        narrower = (*before, Group("", part), *after)
        if len(_all(narrower)) <= longest:
            found.append(_all(narrower))
        elif len(part) > 1:
            found += _split_one(narrower, longest)
        else:
            found += _split_one((*before, *part[0], *after), longest)
    return found


def _either(alternatives: Sequence[Items]) -> str:
    return " OR ".join(map(_all, alternatives))


def _all(items: Items) -> str:
    return " ".join(map(str, items))
