"""When only a share was asked for: the least and the most of the rules, instant by instant."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_coverage import at, gap, rule

from bemtevi.lake.coverage import completeness
from bemtevi.lake.gap import State
from bemtevi.lake.sample import Share
from bemtevi.lake.sampling import sampled
from bemtevi.lake.track import TrackedRule
from bemtevi.serve.coverage import Coverage, sentence
from bemtevi.serve.questions import Period

Told = list[tuple[float, float, int, int]]


def share(tag: str, since: float, percent: int) -> Share:
    return Share("x", tag, at(since), percent)


def told(rules: list[TrackedRule], shares: list[Share]) -> Told:
    return [
        ((part.start - at(0)).total_seconds(), (part.end - at(0)).total_seconds(), part.least, part.most)
        for part in sampled(rules, shares, at(0), at(100))
    ]


def test_without_a_row_all_is_asked_for() -> None:
    assert told([rule("a", 0)], []) == []
    assert told([rule("a", 0)], [share("a", 10, 100), share("b", 10, 5)]) == []


def test_a_share_holds_until_the_next() -> None:
    assert told([rule("a", 0)], [share("a", 30, 10), share("a", 50, 5), share("a", 60, 100)]) == [
        (30, 50, 10, 10),
        (50, 60, 5, 5),
    ]
    assert told([rule("a", -50)], [share("a", -20, 10)]) == [(0, 100, 10, 10)]


def test_a_rule_that_is_not_followed_does_not_count() -> None:
    assert told([rule("a", 20, 40)], [share("a", 0, 10)]) == [(20, 40, 10, 10)]


def test_of_several_rules_the_least_and_the_most_are_told() -> None:
    rules = [rule("a", 0), rule("b", 0, 70)]
    assert told(rules, [share("a", 0, 10), share("b", 50, 25)]) == [
        (0, 50, 10, 100),
        (50, 70, 10, 25),
        (70, 100, 10, 10),
    ]


def test_another_network_has_its_own() -> None:
    other = replace(rule("a", 0), network="mastodon")
    assert told([other], [share("a", 0, 10)]) == []


def test_what_search_brought_is_not_sampled_and_the_sentence_says_the_rest() -> None:
    rules, shares = [rule("a", 0)], [share("a", 10, 10)]
    gaps = [gap(20, 30, State.FILLED), gap(40, 50, State.ENDED)]
    answer = completeness(rules, gaps, at(0), at(100), shares)
    assert [(part.start, part.end) for part in answer.sampled] == [
        (at(10), at(20)),
        (at(30), at(40)),
        (at(50), at(100)),
    ]
    heard = Coverage(Period(at(0), at(100)), {"x": answer})
    assert sentence(heard).endswith("only 10 % of the posts asked for during 70 s")
    assert heard.plain()["sampled"][0] == {
        "network": "x",
        "from": at(10),
        "to": at(20),
        "least_percent": 10,
        "most_percent": 10,
    }


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100), st.integers(0, 60)), max_size=4),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100), st.integers(1, 100)), max_size=6),
)
def test_each_instant_has_the_shares_that_held_then(
    followed: list[tuple[str, int, int]], changes: list[tuple[str, int, int]]
) -> None:
    changes = list({(tag, since): (tag, since, percent) for tag, since, percent in changes}.values())
    rules = [rule(tag, since, since + length) for tag, since, length in followed]
    parts = told(rules, [share(*change) for change in changes])
    for second in range(100):
        percents = []
        for tag, since, length in followed:
            if since <= second < since + length:
                held = [(at_, percent) for name, at_, percent in changes if name == tag and at_ <= second]
                percents.append(max(held)[1] if held else 100)
        expected = [(min(percents), max(percents))] if percents and min(percents) < 100 else []
        assert [(least, most) for low, high, least, most in parts if low <= second < high] == expected
