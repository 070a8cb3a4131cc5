"""Hashtags: the keys and the extraction, case by case, and X's own conformance suite where it is at hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml

from bemtevi.warehouse import hashtag

# Cases of X's suite that we do not satisfy, each with its reason: they go on failing or leave this list.
KNOWN_DIFFERENCES: dict[str, str] = {}


def conformance_cases() -> Iterator[Any]:
    """Every hashtag case of twitter-text as (text, tags); nothing where the suite is not at hand."""
    rules = Path(os.environ.get("BEMTEVI_REAL_DATA") or os.devnull) / "hashtag_rules"
    if not rules.is_dir():
        return
    extraction = yaml.safe_load((rules / "extract.yml").read_text("utf-8"))["tests"]
    validation = yaml.safe_load((rules / "validate.yml").read_text("utf-8"))["tests"]
    cases = [
        (f"{section}: {case['description']}", case["text"], [_name(tag) for tag in case["expected"]])
        for section in ("hashtags", "hashtags_from_astral", "hashtags_with_indices")
        for case in extraction[section]
    ]
    cases += [
        (f"validate: {case['description']}", case["text"], [case["text"][1:]] if case["expected"] else [])
        for case in validation["hashtags"]
    ]
    for name, text, tags in cases:
        reason = KNOWN_DIFFERENCES.get(name)
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        yield pytest.param(text, tags, id=name, marks=marks)


def _name(tag: str | dict[str, Any]) -> str:
    return tag if isinstance(tag, str) else str(tag["hashtag"])


@pytest.mark.parametrize(("text", "tags"), list(conformance_cases()))
def test_the_networks_own_suite(real_data: Path, text: str, tags: list[str]) -> None:
    assert hashtag.extract(text) == tags


def test_the_suite_is_the_whole_suite(real_data: Path) -> None:
    names = {case.id for case in conformance_cases()}
    assert len(names) >= 80
    assert set(KNOWN_DIFFERENCES) <= names


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("", []),
        ("nada aqui, nem # sozinho", []),
        ("Hoje tem #eleições e #São_Paulo!", ["eleições", "São_Paulo"]),
        ("#bemtevi #BemTeVi #bemtevi", ["bemtevi", "BemTeVi", "bemtevi"]),
        ("आज #भारत_जोड़ो और #हिंदी।", ["भारत_जोड़ो", "हिंदी"]),
        ("今日は #ガンバ大阪、＃ラーメン！", ["ガンバ大阪", "ラーメン"]),
        ("今日#ガンバ大阪", []),
        ("صباح #الخير، #يوم_جميل؟", ["الخير", "يوم_جميل"]),
        ("#کتاب\u200cخانه و #نیم\u200cفاصله", ["کتاب\u200cخانه", "نیم\u200cفاصله"]),
        ("＃ＮＥＷＳ２４", ["ＮＥＷＳ２４"]),
        ("#\ufe0f\u20e3 #\u20e3 ＃\ufe0f\u20e3um", []),
        ("🐦#ave ❤\ufe0f#amor 👍🏽#sim", ["ave", "amor", "sim"]),
        ("#a#b", []),
        ("#a＃b #c", ["c"]),
        ("##dois ###três", ["dois", "três"]),
        ("#um##dois", ["dois"]),
        ("#a\ufe0f#b", []),
        ("#http:// #https://exemplo.com.br", []),
        ("d&#39;água &#x27; &#nbsp; &amp;#sim", ["sim"]),
        ("#1 #2024 #٤٠٦ #_ #1_2", []),
        ("#2024eleições #1º #_a", ["2024eleições", "1º", "_a"]),
        ("#İstanbul #ılık #ISPARTA", ["İstanbul", "ılık", "ISPARTA"]),
        ("#Straße #STRASSE #ﬁm", ["Straße", "STRASSE", "ﬁm"]),
        ("(#a) [#b] “#c” -#d- /#e '#f'", list("abcdef")),
        ("palavra#não _#não 9#não", []),
        ("linha\n#um\r\n#dois\u2028#três\u0000#quatro", ["um", "dois", "três", "quatro"]),
        ("#um-dois #um.dois #um’s #rock'n'roll", ["um", "um", "um", "rock"]),
    ],
)
def test_extracts(text: str, tags: list[str]) -> None:
    assert hashtag.extract(text) == tags


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("https://exemplo.com.br/#não exemplo.com/guia/#não", []),
        ("HTTP://Exemplo.COM:8080/a?b=#não", []),
        ("https://exemplo.com?b=/#não", []),
        ("https://pt.exemplo.org/wiki/Ave_(pássaro)/#não", []),
        ("https://t.co/aB3/#sim https://t.co/aB3 #também", ["sim", "também"]),
        ("https://exemplo.com/鳥/#sim", ["sim"]),
        ("https://exemplo.com/a ,#sim", ["sim"]),
        ("https://localhost/#sim e/ou/#sim", ["sim", "sim"]),
        ("eu@exemplo.com/#sim", ["sim"]),
        ("#ave https://exemplo.com/#não (#bico)", ["ave", "bico"]),
    ],
)
def test_a_link_hides_its_fragment(text: str, tags: list[str]) -> None:
    assert hashtag.extract(text) == tags


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [
        *["#", "＃", "a", "#a", "#1", "_", "#️", "a.", "a-", "a@", "x.co/", "http://", "http://a.", "://#a"],
        *[
            "(",
            "x.co/(",
            "(a",
            "?",
            "x.co?a#",
            "&#",
            "\u0301\u0316",
            "\uff9e\u0301",
            "\u0f73\u0301",
            " ",
            "ﷺ",
        ],
    ],
)
def test_time_is_linear(unit: str) -> None:
    # So many characters: work that grows with the square would take minutes or hours, not a second.
    repeated = unit * (300_000 // len(unit))
    for text in (repeated, f"#a{repeated}", f"#a x.co/{repeated}#", f"#a http://{repeated}#"):
        assert len(hashtag.extract(text)) <= len(text) / 2
    hashtag.fold_plain(f"a{repeated[:500_000]}")


@pytest.mark.parametrize(
    ("spelling", "key", "plain"),
    [
        ("#BemTeVi", "bemtevi", "bemtevi"),
        ("＃ＢｅｍＴｅＶｉ", "bemtevi", "bemtevi"),
        ("##dois", "dois", "dois"),
        ("", "", ""),
        ("#", "", ""),
        ("Eleições", "eleições", "eleicoes"),
        ("Eleic\u0327o\u0303es", "eleições", "eleicoes"),
        ("हिंदी", "हिंदी", "हिंदी"),
        ("ガンバ", "ガンバ", "ガンバ"),
        ("ｶﾞﾝﾊﾞ", "ガンバ", "ガンバ"),
        ("Российский", "российский", "российский"),
        ("ЁЛКА", "ёлка", "ёлка"),
        ("عربيّة", "عربيّة", "عربيّة"),
        ("کتاب\u200cخانه", "کتابخانه", "کتابخانه"),
        ("ශ්\u200dරී", "ශ්රී", "ශ්රී"),
        ("a\u00adb\u2060c\ufe0f\u200b", "abc", "abc"),
        ("a\u200d\u0301", "á", "a"),
        ("Αθήνα", "αθήνα", "αθηνα"),
        ("ΟΔΟΣ", "οδοσ", "οδοσ"),
        ("Straße", "strasse", "strasse"),
        ("STRAẞE", "strasse", "strasse"),
        ("ﬁm", "fim", "fim"),
        ("İ", "i\u0307", "i"),
        ("I", "i", "i"),
        ("ı", "ı", "i"),
        ("Øre", "øre", "ore"),
        ("Đồng", "đồng", "dong"),
        ("Łódź", "łódź", "lodz"),
        ("Ħŧ", "ħŧ", "ht"),
        ("Ǽon Œuvre", "ǽon œuvre", "aeon oeuvre"),
        ("Þórður", "þórður", "thordur"),
        ("một", "một", "mot"),
        ("नि\u0301", "नि\u0301", "नि\u0301"),
    ],
)
def test_keys(spelling: str, key: str, plain: str) -> None:
    assert hashtag.fold(spelling) == key
    assert hashtag.fold_plain(spelling) == plain


@pytest.mark.parametrize("function", [hashtag.fold_array, hashtag.fold_plain_array])
@pytest.mark.parametrize(
    ("spellings", "keys"),
    [
        ([], []),
        ([None, None], [None, None]),
        (["#A", None, "#a"], ["a", None, "a"]),
        (["#A", None, "#ガンバ", "ｶﾞﾝﾊﾞ", "Ж" * 1000], ["a", None, "ガンバ", "ガンバ", "ж" * 1000]),
    ],
)
def test_keys_of_arrays(function: Any, spellings: list[str | None], keys: list[str | None]) -> None:
    array = pa.array(spellings, pa.string())
    assert function(array).to_pylist() == keys
    assert function(pa.chunked_array([array, array])).to_pylist() == keys + keys
    assert function(pa.concat_arrays([pa.array(["x", "é"]), array])[2:]).to_pylist() == keys


def test_tags_of_arrays() -> None:
    texts = ["#a #b", None, "nada", "", "＃c", "# 1"]
    found = [["a", "b"], None, [], [], ["c"], []]
    array = pa.array(texts)
    assert hashtag.extract_array(array).to_pylist() == found
    assert hashtag.extract_array(array[1:]).to_pylist() == found[1:]
    assert hashtag.extract_array(pa.chunked_array([array, array])).to_pylist() == found + found
    assert hashtag.extract_array(pa.array([], pa.string())).to_pylist() == []
    assert hashtag.extract_array(pa.array([None], pa.string())).to_pylist() == [None]


def test_the_cache_is_bounded() -> None:
    many = pa.array([f"é{number}" for number in range(100_000)])
    hashtag.fold_array(many)
    hashtag.fold_array(pa.array(["é" * 1_000_000]))
    information = hashtag._fold_known.cache_info()
    assert information.currsize == information.maxsize


def test_functions_of_the_database_in_two_threads_and_two_cursors() -> None:
    with duckdb.connect(config={"threads": 2}) as connection:
        hashtag.register(connection)
        assert connection.execute(
            "select hashtag_fold('＃Ação'), hashtag_fold_plain('#Ação'), hashtags_in_text('#Ação e #fé'), "
            "hashtag_fold(null), hashtag_fold_plain(null), hashtags_in_text(null)"
        ).fetchone() == ("ação", "acao", ["Ação", "fé"], None, None, None)
        connection.execute(
            "create table post as select if(i % 7 = 0, null, format('#Ação{} x', i % 1000)) as body "
            "from range(500_000) as number(i)"
        )
        query = (
            "select count(*), count(distinct tag), count(hashtag_fold_plain(tag)) "
            "from (select unnest(hashtags_in_text(body)) as tag from post) "
            "where hashtag_fold(tag) like 'ação%'"
        )
        answers: list[Any] = []
        cursors = [connection.cursor() for _ in range(2)]
        threads = [
            threading.Thread(target=lambda cursor=cursor: answers.append(cursor.execute(query).fetchone()))
            for cursor in cursors
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [(428_571, 1000, 428_571)] * 2
