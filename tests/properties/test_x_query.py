"""A rule as queries of search: together they ask for the same, each is short enough, and each is a rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.listen.x_query import UnsearchableError, queries
from bemtevi.simulate.rules import parse

WORDS = [f"#{name}" for name in ("covid19", "vacina", "saude", "brasil", "pt")]


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("#covid19", ["#covid19"]),
        ("#covid19 lang:pt -is:retweet", ["#covid19 lang:pt -is:retweet"]),
        ("#covid19 -bio:bot", ["#covid19"]),
        ("(#a -bio:bot) OR #b", ["(#a) OR #b"]),
        ('"two words" (#a OR #b)', ['"two words" (#a OR #b)']),
    ],
)
def test_a_short_rule_is_one_query(rule: str, asked: list[str]) -> None:
    assert queries(rule, 512) == asked


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("#covid19 sample:10", "sample:"),
        ("#covid19 bio:doctor", "bio:"),
        ("#covid19 is:retweet", "reposts"),
        ("#a OR -bio:x", "bio:"),
        ("(#a", "parentheses"),
        ("#a)", "parentheses"),
        ('"open', "quotation"),
        ("#a OR", "both sides"),
        ("x" * 600, "split"),
    ],
)
def test_what_search_cannot_be_asked_has_a_reason(rule: str, why: str) -> None:
    with pytest.raises(UnsearchableError, match=why):
        queries(rule, 512)


def test_a_long_rule_is_split_at_or() -> None:
    names = [f"#hashtag{number}" for number in range(80)]
    found = queries(" OR ".join(names), 512)
    assert [name for query in found for name in query.split(" OR ")] == names
    found = queries(f"({' OR '.join(names)}) lang:pt -is:reply", 512)
    assert all(query.endswith(") lang:pt -is:reply") for query in found)
    assert len(found) > 1


terms = st.sampled_from([*WORDS, "lang:pt", "-is:retweet", '"a phrase"'])
alternatives = st.lists(st.lists(terms, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=6)
groups = alternatives.map(" OR ".join).map(lambda inside: f"({inside})")
rules = st.lists(
    st.lists(terms | groups, min_size=1, max_size=3).map(lambda items: " ".join(["#all", *items])),
    min_size=1,
    max_size=5,
).map(" OR ".join)


def truth(rule: str, has: frozenset[str]) -> bool:
    """Whether a post that has some of the terms matches, worked out by the words alone."""
    expression = " ".join(
        piece
        if piece in ("(", ")", "and")
        else "or"
        if piece == "OR"
        else repr(piece in has if not piece.startswith("-") else piece[1:] not in has)
        for piece in pieces(rule)
    )
    return bool(eval(expression))  # noqa: S307  made of True, False, and, or and parentheses


def pieces(rule: str) -> list[str]:
    found: list[str] = []
    for piece in rule.replace('"a phrase"', "phrase").replace("(", " ( ").replace(")", " ) ").split():
        if found and found[-1] not in ("(", "OR", "and") and piece not in (")", "OR"):
            found.append("and")
        found.append(piece)
    return found


owned = st.sampled_from(["#all", *WORDS, "lang:pt", "is:retweet", "phrase"])


@given(rules, st.sampled_from([60, 100, 512]), st.lists(st.frozensets(owned), min_size=1, max_size=5))
def test_the_queries_together_match_what_the_rule_matches(
    rule: str, longest: int, posts: list[frozenset[str]]
) -> None:
    try:
        found = queries(rule, longest)
    except UnsearchableError:
        assert len(rule) > longest
        return
    for query in found:
        assert len(query) <= longest
        parse(query, 512)
    for has in posts:
        assert any(truth(query, has) for query in found) == truth(rule, has)
