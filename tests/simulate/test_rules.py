"""X's rule language: what is accepted, what is refused, what matches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bemtevi.simulate.matching import CompiledRules, Subject, compile_rule
from bemtevi.simulate.rules import And, Node, Or, RuleSyntaxError, Term, parse, render

AUTHOR = {"id": "7", "username": "Sabia", "verified": True}
OTHER = {"id": "8", "username": "Tucano"}


def message(text: str = "", *, tags: tuple[str, ...] = (), **data: Any) -> dict[str, Any]:
    entities = {"hashtags": [{"start": 0, "end": 1, "tag": tag} for tag in tags]} if tags else {}
    post = {"id": "100", "text": text, "lang": "pt", "author_id": "7", "entities": entities, **data}
    return {"data": post, "includes": {"users": [AUTHOR, OTHER]}}


def referring(kind: str, original_tags: tuple[str, ...], text: str = "palavra rara") -> dict[str, Any]:
    original = message(text, tags=original_tags)["data"] | {"id": "50", "author_id": "8"}
    made = message("RT @Tucano: …", referenced_tweets=[{"type": kind, "id": "50"}])
    made["includes"]["tweets"] = [original]
    return made


def matches(rule: str, post: dict[str, Any], *, search: bool = False, identity: int = 100) -> bool:
    return compile_rule(parse(rule), search=search)(Subject(post, search=search), identity)


@pytest.mark.parametrize(
    ("rule", "tree"),
    [
        ("#a", Term("#", "a")),
        ("＃コロナ", Term("#", "コロナ")),
        ("#देश", Term("#", "देश")),
        ("a b OR c", Or((And((Term("keyword", "a"), Term("keyword", "b"))), Term("keyword", "c")))),
        ("a (b OR c)", And((Term("keyword", "a"), Or((Term("keyword", "b"), Term("keyword", "c")))))),
        ("((#a))", Term("#", "a")),
        ("#a -is:retweet", And((Term("#", "a"), Term("is", "retweet", negated=True)))),
        ('#a -"b c"', And((Term("#", "a"), Term("phrase", "b c", negated=True)))),
        ('url:"a.example/b"', Term("url", "a.example/b")),
        ("#a sample:5", And((Term("#", "a"), Term("sample", "5")))),
        ("from:@Sabia", Term("from", "Sabia")),
        ("coca-cola", Term("keyword", "coca-cola")),
        ("ORDEM", Term("keyword", "ORDEM")),
    ],
)
def test_a_rule_is_read(rule: str, tree: Node) -> None:
    assert parse(rule) == tree


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("-#a", "standalone"),
        ("lang:pt", "standalone"),
        ("has:images is:quote", "standalone"),
        ("#a OR has:images", "standalone"),
        ("#a OR -#b", "standalone"),
        ("#a -(b OR c)", "group"),
        ("#a (b", "missing ')'"),
        ("#a b)", "position"),
        ("#a OR", "no viable"),
        ("OR #a", "no viable"),
        ("#a OR OR b", "no viable"),
        ("()", "no viable"),
        ("#a or b", "Ambiguous use of or"),
        ("#a AND b", "Ambiguous use of AND"),
        ('#a "b', "missing '\"'"),
        ('#a ""', "empty"),
        ("#a is:nullcast", "only be negated"),
        ("#a is:golden", "invalid operator"),
        ("#a has:wings", "invalid operator"),
        ("#a colour:blue", "invalid field"),
        ("#a lang:portuguese", "language"),
        ("#a sample:0", "1 to 100"),
        ("#a sample:101", "1 to 100"),
        ("#a -sample:10", "cannot be negated"),
        ("#a from:", "needs a value"),
        ("#a from:no-such-name", "username"),
        ("#", "not a valid hashtag"),
        ("#a-b", "not a valid hashtag"),
        ("#a --b", "no viable"),
        ("a" * 1_025, "too long"),
    ],
)
def test_a_rule_is_refused(rule: str, why: str) -> None:
    with pytest.raises(RuleSyntaxError, match=why.replace("(", r"\(").replace(")", r"\)")):
        parse(rule)


def test_the_longest_rule_is_taken() -> None:
    assert parse("a" * 1_024) == Term("keyword", "a" * 1_024)


@pytest.mark.parametrize(
    ("rule", "post", "expected"),
    [
        ("#Vacina", message(tags=("vacina",)), True),
        ("#vacina", message(tags=("vacinas",)), False),
        ("#vacina", message("vacina"), False),
        ("vacina", message("A Vacina, já!"), True),
        ("vacina", message("vacinação"), False),
        ("coca", message("I like coca-cola"), True),
        ("coca-cola", message("I like coca cola"), True),
        ('"coca cola"', message("coca and cola"), False),
        ("天気", message("今日は天気がいい"), True),
        ("देश", message("मेरा देश महान"), True),
        ("दे", message("मेरा देश महान"), False),
        ("vacina lang:pt", message("vacina"), True),
        ("vacina lang:en", message("vacina"), False),
        ("from:sabia", message(), True),
        ("from:7", message(), True),
        ("from:tucano", message(), False),
        ("to:tucano", message(in_reply_to_user_id="8"), True),
        ("@tucano", message(entities={"mentions": [{"username": "Tucano"}]}), True),
        ("from:sabia is:verified", message(), True),
        ("from:sabia -is:verified", message(), False),
        ("from:sabia -is:nullcast", message(), True),
        ("from:sabia is:reply", message(referenced_tweets=[{"type": "replied_to", "id": "1"}]), True),
        ("from:sabia is:quote", message(referenced_posts=[{"type": "quoted", "id": "1"}]), True),
        ("from:sabia has:hashtags", message(tags=("a",)), True),
        ("from:sabia has:links", message(entities={"urls": [{"url": "https://t.co/a"}]}), True),
        ("from:sabia has:geo", message(geo={"place_id": "1"}), True),
        ("from:sabia has:media", message(), False),
        ("url:a.example", message(entities={"urls": [{"expanded_url": "https://a.example/b"}]}), True),
        ("url:a.example", message(entities={"urls": [{"expanded_url": "https://ba.example/b"}]}), False),
        ("#a (#b OR #c)", message(tags=("a", "c")), True),
        ("#a (#b OR #c)", message(tags=("a",)), False),
        ("#a #b OR #c", message(tags=("c",)), True),
        ("#a -#b", message(tags=("a", "b")), False),
        ("#longa", message(note_tweet={"text": "", "entities": {"hashtags": [{"tag": "Longa"}]}}), True),
        ("#longa", message(note_post={"text": "", "entities": {"hashtags": [{"tag": "Longa"}]}}), True),
        ("#a", referring("retweeted", ("a",)), True),
        ("#a", referring("quoted", ("a",)), True),
        ("#a", referring("replied_to", ("a",)), False),
        ("rara", referring("quoted", ()), True),
        ("retweets_of:tucano", referring("retweeted", ()), True),
        ("#a is:retweet", referring("retweeted", ("a",)), True),
        ("#a -is:retweet", referring("retweeted", ("a",)), False),
        ('"fim começo"', message("fim", note_tweet={"text": "começo"}), False),
    ],
)
def test_a_rule_matches_on_the_stream(rule: str, post: dict[str, Any], expected: bool) -> None:
    assert matches(rule, post) is expected


@pytest.mark.parametrize(
    ("rule", "post", "stream", "search"),
    [
        ("#vacinacao", message(tags=("vacinação",)), False, True),
        ("#vacinação", message(tags=("vacinacao",)), False, True),
        ("#vacinação", message(tags=("vacinac\u0327a\u0303o",)), True, True),
        ("educacao", message("Educação"), False, True),
        ("#a", referring("quoted", ("a",)), True, False),
        ("rara", referring("quoted", ()), True, False),
        ("#が", message(tags=("か",)), False, False),
    ],
)
def test_search_reads_rules_in_its_own_way(
    rule: str, post: dict[str, Any], stream: bool, search: bool
) -> None:
    assert (matches(rule, post), matches(rule, post, search=True)) == (stream, search)


def test_sample_takes_its_share() -> None:
    taken = sum(matches("#a sample:20", message(tags=("a",)), identity=n << 22 | 5) for n in range(5_000))
    assert 850 < taken < 1_150


def test_only_the_rules_that_match_are_hit_in_their_order() -> None:
    rules = {"9": "#b", "3": "#a", "5": "palavra", "4": "#a #c OR #b", "1": "#c"}
    compiled = CompiledRules((name, parse(value)) for name, value in rules.items())
    assert compiled.hits(Subject(message("palavra", tags=("a", "b"))), 1) == ("9", "3", "5", "4")
    assert compiled.hits(Subject(message(tags=("b",))), 1) == ("9", "4")
    assert compiled.hits(Subject(message(tags=("a", "c"))), 1) == ("3", "4", "1")
    assert not compiled.by_chance
    assert CompiledRules([("1", parse("#a (#b OR #c sample:10)"))]).by_chance


_words = st.text("abcçé", min_size=1, max_size=4)
_terms = st.one_of(
    st.builds(Term, st.sampled_from(["#", "$"]), _words, st.booleans()),
    st.builds(Term, st.just("keyword"), _words.map("k".__add__), st.booleans()),
    st.builds(Term, st.just("phrase"), st.text('ab"\\ ()-:', min_size=1).filter(str.strip), st.booleans()),
    st.builds(
        Term, st.sampled_from(["from", "to", "@"]), st.text("ab_1", min_size=1, max_size=15), st.booleans()
    ),
    st.builds(Term, st.just("url"), st.text('ab."\\ ()', min_size=1), st.booleans()),
    st.builds(Term, st.just("is"), st.sampled_from(["retweet", "reply", "quote"]), st.booleans()),
    st.builds(Term, st.just("sample"), st.integers(1, 100).map(str)),
)


def _group(parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(parts, min_size=2, max_size=4)
    conjunction = several.map(lambda found: And(_flat(found, And)))
    return conjunction | several.map(lambda found: Or(_flat(found, Or)))


def _flat(parts: list[Node], kind: type[And] | type[Or]) -> tuple[Node, ...]:
    return tuple(one for part in parts for one in (part.parts if isinstance(part, kind) else (part,)))


_nodes: st.SearchStrategy[Node] = st.recursive(_terms, _group, max_leaves=12)


@given(_nodes, st.text("ab", min_size=1))
def test_what_is_rendered_is_read_as_it_was(node: Node, anchor: str) -> None:
    tree = And(_flat([Term("#", anchor), node], And))
    assert parse(render(tree)) == tree


@given(st.text('#ab-()OR "\\:＃$@is_lang', max_size=30))
def test_any_text_is_a_rule_or_a_reasoned_refusal(text: str) -> None:
    try:
        tree = parse(text)
    except RuleSyntaxError as why:
        assert str(why)
    else:
        assert parse(render(tree)) == tree


@given(_nodes, st.sets(st.sampled_from(["a", "b", "c"])), st.booleans())
def test_the_index_by_hashtag_changes_no_answer(node: Node, tags: set[str], quoting: bool) -> None:
    post = referring("quoted", tuple(tags)) if quoting else message("ka kb", tags=tuple(tags))
    subject = Subject(post)
    hit = CompiledRules([("1", node)]).hits(subject, 5 << 22)
    assert bool(hit) == compile_rule(node)(subject, 5 << 22)
