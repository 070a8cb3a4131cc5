"""Hashtags: what must hold for every string."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bemtevi.warehouse import hashtag

# Characters that normalisation, case or extraction treat in a way of their own, so that they meet often.
ODD = (
    "#＃﹟&/:.?_·@() 1٣aéß\u0130ıIſΣςᾳΐǰŉﬁﷺ゛ﾞガйहि"
    "\u0301\u0307\u0316\u0338\u0344\u0345\u0f73\u00ad\u200c\u200d\ufe0f\u20e3"
)
anything = st.text() | st.text(ODD) | st.text(st.characters(categories=["L", "M", "Nd"]))
texts = anything | st.lists(
    st.sampled_from(["#", "＃", " ", "http://", "x.com", "t.co/a", "/", "?", "(", ")", "&", "\ufe0f"])
    | anything
).map("".join)


@given(anything)
@example("\u200d#a")
@example("\ufe5f\ufe5fa")
@example("#\u200b#a")
@example("a\u200d\u0301")
@example("\u03b1\u0345\u0301")
def test_keys_are_fixed_points(spelling: str) -> None:
    key, plain = hashtag.fold(spelling), hashtag.fold_plain(spelling)
    assert hashtag.fold(key) == key
    assert hashtag.fold(plain) == plain
    assert hashtag.fold_plain(plain) == plain
    assert hashtag.fold_plain(key) == plain
    assert hashtag.fold(f"#{spelling}") == key


@given(st.text("a\u0301\u0316\u0327\u0344\u0345\u0f73\u3099\uff9e\ufe0f", min_size=1, max_size=4))
def test_ordering_long_runs_beforehand_changes_no_key(marks: str) -> None:
    run = marks * 40
    ordered = hashtag._LONG_RUN_OF_MARKS.sub(hashtag._in_canonical_order, run)
    assert unicodedata.normalize("NFKC", ordered) == unicodedata.normalize("NFKC", run)
    assert hashtag.fold(hashtag.fold(run)) == hashtag.fold(run)


def test_keys_of_every_character_are_fixed_points() -> None:
    for code in range(sys.maxunicode + 1):
        key, plain = hashtag.fold(chr(code)), hashtag.fold_plain(chr(code))
        assert hashtag.fold(key) == key, hex(code)
        assert hashtag.fold(plain) == hashtag.fold_plain(plain) == hashtag.fold_plain(key) == plain, hex(code)


@given(texts)
def test_every_tag_is_in_the_text_and_found_again_alone(text: str) -> None:
    rest = text.replace("＃", "#")
    for tag in hashtag.extract(text):
        _, found, rest = rest.partition(f"#{tag}")
        assert found
        assert hashtag.extract(f"#{tag}") == [tag]
        assert hashtag.extract(f"＃{tag}") == [tag]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 2}) as opened:
        hashtag.register(opened)
        yield opened


@given(strings=st.lists(st.none() | texts, max_size=20))
def test_the_database_says_the_same(connection: duckdb.DuckDBPyConnection, strings: list[str | None]) -> None:
    rows = connection.execute(
        "select hashtag_fold(s), hashtag_fold_plain(s), hashtags_in_text(s) "
        "from (select unnest(list) as s, generate_subscripts(list, 1) as i "
        "from (select $strings::varchar[] as list)) "
        "order by i",
        {"strings": strings},
    ).fetchall()
    assert rows == [
        (None, None, None) if s is None else (hashtag.fold(s), hashtag.fold_plain(s), hashtag.extract(s))
        for s in strings
    ]
