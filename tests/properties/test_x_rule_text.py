"""Checks of a rule before X is asked: nothing is refused that X would take.

The judge is the rule parser of the simulator, which shares no code with the checks.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bemtevi.listen.x_rule_text import doubts, refusals, sampled, share
from bemtevi.simulate.rules import MAX_LENGTH, RuleSyntaxError, parse

PIECES = (
    *("#covid19", "vacina", '"so o fim"', "@who", "from:who", "lang:pt", "is:retweet", "is:nullcast"),
    *("-is:nullcast", "-#spam", '-"a b"', "has:media", "sample:25", "sample:0", "-sample:5", "url:x.com"),
    *("OR", "AND", "and", "or", "(", ")", "-(", '"', "-", "url:", 'url:"a b"', "＃tag", "caf\u00e9", "\\"),
)
texts = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from([" ", "", "  "])), max_size=9).map(
    lambda parts: "".join(piece + gap for piece, gap in parts)
)


def taken(rule: str) -> bool:
    """Whether the simulator's X takes it."""
    try:
        parse(rule)
    except RuleSyntaxError:
        return False
    return True


@given(texts | st.text(alphabet='#a()-" OR:\\langis', max_size=20) | st.text(max_size=30))
@example('#a "b')
@example("#a -(#b)")
@example("-is:nullcast #a OR (#b lang:pt)")
def test_what_is_refused_here_is_refused_by_x(rule: str) -> None:
    if refusals(rule, MAX_LENGTH):
        assert not taken(rule), refusals(rule, MAX_LENGTH)


@given(texts, st.integers(1, 100))
def test_a_sampled_rule_is_one_that_x_takes(rule: str, percent: int) -> None:
    if taken(rule):
        narrowed = sampled(rule, percent, MAX_LENGTH)
        assert taken(narrowed)
        assert not refusals(narrowed, MAX_LENGTH)
        assert share(narrowed) == (percent if share(rule) == 100 else share(rule))


@given(st.text(max_size=30))
def test_any_text_can_be_looked_at(rule: str) -> None:
    assert isinstance(refusals(rule, 10), list)
    assert isinstance(doubts(rule), list)
    assert share(rule) >= 0


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("#" + "a" * MAX_LENGTH, "1025 characters, and 1024 are allowed"),
        ('"so o fim', "quotation mark"),
        ("(#a OR #b", "not closed"),
        ("#a)", "not opened"),
        ("()", "empty"),
        ("#a ()", "empty"),
        ("#a -(#b OR #c)", "minus before a parenthesis"),
        ("-#a -#b", "only what a post must not be"),
        ("lang:pt", "beside them"),
        ("lang:pt -is:retweet", "beside them"),
        ("#a is:nullcast", "is:nullcast"),
        ("#a and #b", "no operator"),
        ("#a OR", "both sides"),
        ("OR #a", "both sides"),
        ("#a OR OR #b", "both sides"),
        ("(#a OR) #b", "both sides"),
        ("#a sample:0", "1 to 100"),
        ("#a -sample:10", "minus"),
    ],
)
def test_it_says_why(rule: str, told: str) -> None:
    assert not taken(rule)
    assert any(told in reason for reason in refusals(rule, MAX_LENGTH)), refusals(rule, MAX_LENGTH)


@pytest.mark.parametrize(
    "rule",
    [
        "#a",
        "#vacinação lang:pt -is:retweet",
        '("a b" OR #c) -is:nullcast',
        "a-(b)",
        "#a OR #b lang:pt",
        "OR:a b",
    ],
)
def test_good_rules_pass(rule: str) -> None:
    assert refusals(rule, MAX_LENGTH) == []


def test_doubts_are_told() -> None:
    assert doubts("“so o fim”")
    assert doubts("#a –#b")
    assert doubts("#a OR lang:pt")
    assert not doubts('"so o fim" OR #covid19 -is:retweet')


@pytest.mark.parametrize(
    ("rule", "percent", "found"),
    [
        ("#a", 25, "#a sample:25"),
        ("#a", 100, "#a"),
        ("#a OR #b", 5, "(#a OR #b) sample:5"),
        ("#a sample:10", 5, "#a sample:10"),
        ('"a OR b"', 5, '"a OR b" sample:5'),
    ],
)
def test_sampling(rule: str, percent: int, found: str) -> None:
    assert sampled(rule, percent, MAX_LENGTH) == found


def test_a_rule_that_would_be_too_long_is_left_as_it_is() -> None:
    rule = "#" + "a" * (MAX_LENGTH - 5)
    assert sampled(rule, 5, MAX_LENGTH) == rule
