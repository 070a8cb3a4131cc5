"""The macros of `staging/functions.sql` against the functions that they save from being called."""

from __future__ import annotations

import re

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bemtevi.warehouse import hashtag
from bemtevi.warehouse.model import staging_files

FUNCTIONS = staging_files()["functions"]
LETTERS = re.search(r"regexp_full_match\(spelling, '\[(.*)\]\+'\)", FUNCTIONS)
assert LETTERS is not None
LETTER = re.compile(f"[{LETTERS[1]}]")
SHORT_CUT = [
    character
    for code in range(0x20, 0x110000)
    if not 0xD800 <= code < 0xE000 and LETTER.fullmatch(character := chr(code))
]


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    hashtag.register(connection)
    for statement in duckdb.extract_statements(FUNCTIONS):
        connection.execute(statement.query)
    return connection


def folded(engine: duckdb.DuckDBPyConnection, spellings: list[str]) -> list[str]:
    found = engine.execute("select list_transform(?, lambda s: folded(s))", [spellings]).fetchone()
    assert found is not None
    return list(found[0])


def test_the_short_cut_folds_every_letter_as_the_function_does(engine: duckdb.DuckDBPyConnection) -> None:
    assert len(SHORT_CUT) > 30_000
    assert folded(engine, SHORT_CUT) == [hashtag.fold(letter) for letter in SHORT_CUT]


def test_letters_that_the_function_changes_take_no_short_cut(engine: duckdb.DuckDBPyConnection) -> None:
    changed = ["Straße", "ﬁnal", "ＣＯＶＩＤ", "İstanbul", "e\u0301", "क\u093c", "ガ", "x\u200dy", "Ω"]
    assert folded(engine, changed) == [hashtag.fold(spelling) for spelling in changed]


@given(st.lists(st.text(st.sampled_from(SHORT_CUT), min_size=1, max_size=12), min_size=1, max_size=50))
def test_words_of_such_letters_too(spellings: list[str]) -> None:
    with duckdb.connect() as connection:
        lowered = connection.execute("select list_transform(?, lambda s: lower(s))", [spellings]).fetchone()
    assert lowered is not None
    assert list(lowered[0]) == [hashtag.fold(spelling) for spelling in spellings]


ADDRESS = r"^[A-Za-z]+://(?:[^/?#@]*@)?(?:www\.)?([^/:?#]+)"
"""What the host of an address is, as one pattern; the macro takes a faster way to the same."""


@given(
    st.tuples(st.sampled_from(["http://", "https://", "x:", ""]), st.text("aZ.www@:/?#é", max_size=14)).map(
        "".join
    )
)
@example("https://www.")
@example("https://WWW.example.org/@a")
@example("https://www.www.example.org")
@example("https://a:b@www.example.org/")
def test_the_host_of_an_address(engine: duckdb.DuckDBPyConnection, address: str) -> None:
    found = engine.execute(
        f"select domain_of($1), nullif(lower(regexp_extract($1, '{ADDRESS}', 1)), '')", [address]
    )
    domain, expected = found.fetchone() or ()
    assert domain == expected
