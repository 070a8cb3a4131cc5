"""Hashtags: how two spellings are found to be one tag, and which words of a plain text are tags.

Owns: the keys `hashtag` (`fold`) and `hashtag_plain` (`fold_plain`), the tags in a text that came without
entities (`extract`), and the same three over Arrow arrays and as DuckDB functions. Leaves to others: the tags
that a network hands over ready-made (staging), and which of two spellings is shown. The keys depend on the
Unicode tables of the running Python (`unicodedata.unidata_version`): who stores keys stores that beside them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import regex
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import VARCHAR

# Quoted: DuckDB evaluates the annotations of what it registers, and PyArrow's classes take no subscript.
Strings: TypeAlias = "pa.Array[pa.StringScalar]"
Texts: TypeAlias = "Strings | pa.ChunkedArray[pa.StringScalar]"
Lists: TypeAlias = "pa.Array[pa.Scalar[pa.ListType[pa.DataType]]]"
Fold: TypeAlias = Callable[[str], str]

SIGNS = "#＃"

# Never seen by a reader: soft hyphen, zero-width space and joiners, word joiner, variation selectors.
_IGNORABLE = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, *range(0xFE00, 0xFE10)])

# Canonical order is a stable sort by class, so sorting beforehand changes no key. It is done because Python's
# `normalize` sorts by insertion: 40,000 marks on one letter would hold a run for seconds. The five named
# characters are of class 0 and become marks of another class when they are decomposed.
_LONG_RUN_OF_MARKS = regex.compile(r"[\P{Canonical_Combining_Class=0}\u0F73\u0F75\u0F81\uFF9E\uFF9F]{31,}+")

# Letters that people type without their stroke, dot or ligature, and that Unicode does not decompose.
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}
)
# \p{L} because Unicode also counts musical marks as Greek.
_LETTER_WITH_MARKS = regex.compile(r"((?=\p{L})[\p{Latin}\p{Greek}])(\p{M}++)")
_DIACRITIC = dict.fromkeys(range(0x0300, 0x0370))

# Joiners (Persian, Sinhala), Cyrillic kavyka, Hebrew maqaf, geresh and gershayim, the dashes, dots and sound
# marks of Japanese, the ditto mark, the Tibetan tsheg, the Catalan middle dot: inside words, yet no letters.
_WORD_SIGN = (
    r"_\u200C\u200D\uA67E\u05BE\u05F3\u05F4\uFF5E\u301C\u309B\u309C\u30A0\u30FB\u3003\u0F0B\u0F0C\u00B7"
)
_TAG_CHARACTER = rf"\p{{L}}\p{{M}}\p{{Nd}}{_WORD_SIGN}"
# Every repetition is possessive and no two neighbours share a character, so nothing is read twice. The sign
# or `://` that spoils a tag is taken along: in `#a\uFE0F#b` the second must not get a chance of its own.
_TAG = (
    rf"[{SIGNS}](?:(?<![{_TAG_CHARACTER}&].)|(?<=[\uFE0E\uFE0F].))(?![\uFE0F\u20E3])"
    rf"([\p{{Nd}}{_WORD_SIGN}]*+[\p{{L}}\p{{M}}][{_TAG_CHARACTER}]*+)([{SIGNS}]|://)?"
)
# A link hides the fragments in it. Only its reach matters here, so any last label of two letters counts as a
# top-level domain: X keeps a list, which ages. A t.co link ends with its code whatever is glued to it.
_QUERY = r"(?:\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]_.,~|-]*+)?"
_PATH_CHARACTER = r"[\p{Latin}\p{Cyrillic}0-9!*';:=+,.$/%#\[\]_~@|&\u2013-]"
_REST = rf"(?![0-9A-Za-z@+-])(?::[0-9]++)?(?:/(?:{_PATH_CHARACTER}|\({_PATH_CHARACTER}*+\))*+)?{_QUERY}"
_LINK = (
    r"(?<![A-Za-z0-9@＠$#＃])(?i:https?)://(?:"
    rf"t\.co/[A-Za-z0-9]++{_QUERY}"
    rf"|(?:[\p{{L}}\p{{M}}\p{{Nd}}_-]++\.)++(?:xn--[a-z0-9-]++|[\p{{L}}\p{{M}}]{{2,}}+){_REST})"
    rf"|(?<![A-Za-z0-9@＠$#＃_./-])(?:[A-Za-z0-9_-]++\.)++[A-Za-z]{{2,}}+{_REST}"
)
_FIND_TAG = regex.compile(_TAG, regex.DOTALL)
_FIND_LINK_OR_TAG = regex.compile(f"{_LINK}|{_TAG}", regex.DOTALL)
# What a link may hold before a sign, and a tag may stand behind: ASCII punctuation and the en dash.
_SIGN_IN_REACH_OF_A_LINK = regex.compile(r"(?<=[!-/:-@\[-`{-~\u2013])#")

# Per key, and only of spellings beyond ASCII. Both bounds together: a character may fold to 18 (ﷺ), and even
# caches full of those stay under 50 MB.
_CACHED_SPELLINGS = 16_384
_CACHED_LENGTH = 32


def fold(spelling: str) -> str:
    """The key `hashtag`: NFKC, casefold, NFKC, without signs in front and without invisible characters.

    Turkish ı and i stay apart, accents count, ß is ss. Folding a key changes
    nothing.
    """
    if spelling.isascii():
        return spelling.lstrip("#").lower()
    folded = _fold_once(spelling)
    # Each step can give work to an earlier one: an invisible character stood between letter and accent, a
    # small sign ﹟ became `#`, a casefold undid a composition. The second round is nearly always the last.
    while (again := _fold_once(folded)) != folded:
        folded = again
    return folded


def fold_plain(spelling: str) -> str:
    """The key `hashtag_plain`: `fold`, then no diacritics on Latin and Greek letters, and no letters like ø.

    Marks elsewhere are part of the letter (й, हिंदी, ガンバ) and stay. The dot
    that İ leaves behind goes too, so that all four Turkish i meet here.
    """
    folded = fold(spelling)
    if folded.isascii():
        return folded
    decomposed = unicodedata.normalize("NFD", folded)
    bare = _LETTER_WITH_MARKS.sub(lambda match: match[1] + match[2].translate(_DIACRITIC), decomposed)
    return unicodedata.normalize("NFC", bare.translate(_PLAIN_LETTERS))


def extract(text: str) -> list[str]:
    """The hashtags of a plain text in order, repeated as they are repeated, as written without the sign.

    Source: X's rules, as the conformance suite of twitter-text (`extract.yml`) states them. Takes time linear
    in the length of the text. Known difference: without a list of top-level domains `e.mail/#tag` is a link.
    The stub of a tag at the end of a cut repost (`#Brasi…`) is a tag here; X leaves it out of its entities.
    """
    if "#" not in text and "＃" not in text:
        return []
    # Looking for links as well costs seven times as much, and seldom is there a sign that one could hide.
    pattern = _FIND_LINK_OR_TAG if _SIGN_IN_REACH_OF_A_LINK.search(text) else _FIND_TAG
    return [tag for tag, spoiler in pattern.findall(text) if tag and not spoiler]


def fold_array(spellings: Texts) -> Strings:
    """`fold` of each string; null stays null."""
    return _over_distinct(_fold_known, fold, spellings)


def fold_plain_array(spellings: Texts) -> Strings:
    """`fold_plain` of each string; null stays null."""
    return _over_distinct(_fold_plain_known, fold_plain, spellings)


def extract_array(texts: Texts) -> Lists:
    """`extract` of each string; null stays null. Texts without a sign never become Python strings."""
    array = _one_chunk(texts)
    signed = pc.or_(*(pc.match_substring(array, sign) for sign in SIGNS))
    candidates: list[str] = array.filter(signed).to_pylist()
    # Row 0 of the lists is the empty one that every text without a sign points at.
    lists = pa.array([[], *map(extract, candidates)], pa.list_(pa.string()))
    place = pc.cumulative_sum(signed.cast(pa.int32()), skip_nulls=True)
    return lists.take(pc.if_else(signed, place, pa.scalar(0, pa.int32())))


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection `hashtag_fold`, `hashtag_fold_plain` and `hashtags_in_text`; null in, null out."""
    text, texts = VARCHAR, duckdb.list_type(VARCHAR)
    for name, function, result in (
        ("hashtag_fold", fold_array, text),
        ("hashtag_fold_plain", fold_plain_array, text),
        ("hashtags_in_text", extract_array, texts),
    ):
        connection.create_function(
            name,
            function,
            [text],
            result,
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )


def _fold_once(text: str) -> str:
    ordered = _LONG_RUN_OF_MARKS.sub(_in_canonical_order, text)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", ordered).casefold())
    return folded.translate(_IGNORABLE).lstrip(SIGNS)


def _in_canonical_order(marks: regex.Match[str]) -> str:
    decomposed = "".join(unicodedata.normalize("NFKD", mark) for mark in marks[0])
    return "".join(sorted(decomposed, key=unicodedata.combining))


_fold_known = lru_cache(_CACHED_SPELLINGS)(fold)
_fold_plain_known = lru_cache(_CACHED_SPELLINGS)(fold_plain)


def _over_distinct(known: Fold, uncached: Fold, spellings: Texts) -> Strings:
    array = _one_chunk(spellings)
    is_ascii = pc.string_is_ascii(array)
    # Most tags are ASCII, where both keys are this one kernel, without Python and without its lock.
    keys = pc.ascii_lower(pc.ascii_ltrim(array, characters="#"))
    if pc.all(is_ascii).as_py() is not False:  # null for an array of nulls
        return keys
    encoded = array.filter(pc.invert(is_ascii)).dictionary_encode()
    distinct: list[str] = encoded.dictionary.to_pylist()
    folded = [known(text) if len(text) <= _CACHED_LENGTH else uncached(text) for text in distinct]
    return pc.replace_with_mask(
        keys, pc.invert(is_ascii), pa.array(folded, pa.string()).take(encoded.indices)
    )


def _one_chunk(strings: Texts) -> Strings:
    return strings.combine_chunks() if isinstance(strings, pa.ChunkedArray) else strings
