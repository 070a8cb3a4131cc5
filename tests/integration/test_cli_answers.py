"""Answers: SQL that may not write, forms that read back to the same values, hostile text, and the look."""

from __future__ import annotations

import base64
import csv
import io
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len
from tests.integration.command import Person
from tests.support import ZONE, post

from bemtevi.errors import UsageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.serve.catalog import Catalog

USAGE, STORAGE = 2, 4

HOSTILE = {
    "formula": '=HYPERLINK("http://a.example","ganhe já")',
    "others": "+1 -1 @SUM(1)",
    "minus": "-2+3",
    "wide": "＝1+1",
    "escape": "\x1b[31mred\x1b]0;title\x07 \x9b2J\x1b[2J",
    "turned": "abc \u202egnp.exe\u2066 x \u200f",
    "markup": "[bold]not bold[/bold] [link=http://a.example]x[/link]",
    "lines": 'first\r\nsecond\t"quoted", and\u2028third',
    "emoji": "👩🏽‍⚕️ ação 日本語",
    "long": "palavra " * 60,
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody whose lake holds what nobody should look at with a simple tool."""
    folder = tmp_path_factory.mktemp("hostile")
    person = Person(folder)
    lines = [post(number, f"{text} #perigo") for number, text in enumerate(HOSTILE.values())]
    lines[3]["includes"]["users"][0] |= {"username": "\x1b[5mblink", "description": "@cmd"}
    (folder / "hostile.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    person.good("import", "hostile.jsonl")
    person.good("consolidate")
    return person


@pytest.mark.parametrize(
    "sql",
    [
        "drop table fact_post",
        "drop view fact_post",
        "delete from track",
        "create table mine as select 1",
        "copy (select 1) to 'stolen.csv'",
        "explain analyze copy (select 1) to 'stolen.csv'",
        "EXPLAIN ANALYZE /* x */ copy (select 1) to 'stolen.csv'",
        "/* x */ explain analyze copy (select 1) to 'stolen.csv'",
        "select 1; copy (select 1) to 'stolen.csv'",
        "select 1; select 2",
        "attach 'stolen.db'",
        "export database 'stolen'",
        "install httpfs",
        "set memory_limit = '1TB'",
        "pragma enable_profiling",
        "",
        ";",
    ],
)
def test_sql_that_is_no_question(
    hostile: Person, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        Catalog(Lake(Layout(str(hostile.folder / "lake")), ZONE)) as catalog,
        pytest.raises(UsageError, match="One SELECT is expected"),
    ):
        catalog.query(sql)
    assert list(tmp_path.iterdir()) == []


def test_sql_that_writes_is_one_sentence(hostile: Person) -> None:
    for sql in ("drop table fact_post", "explain analyze copy (select 1) to 'stolen.csv'"):
        assert "One SELECT is expected" in hostile.run("query", sql).sentence(USAGE)
    assert not list(hostile.folder.glob("stolen*"))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("selec 1", "syntax error"),
        ("select nope from fact_post", '"nope" not found'),
        ("select * from nope", "there are agg_hashtag_day, "),
        ("select $x", "x"),
        ("select cast(text as int) from fact_post", "try_cast"),
        ("select 1 as a, 2 as a", "several columns named a"),
        ("select timestamp_ns '2026-01-01 00:00:00.123456789' as at", "cast the column"),
        ("select * from 'http://127.0.0.1:1/a.parquet'", "httpfs"),
    ],
)
def test_wrong_sql(hostile: Person, sql: str, said: str) -> None:
    sentence = hostile.run("query", sql, "--format", "csv").sentence(USAGE)
    assert said in sentence
    assert "perigo" not in sentence


def test_questions_of_every_kind(hostile: Person) -> None:
    for sql in (
        "from dim_date limit 1",
        "with a as (select 1) select * from a",
        "values (1)",
        "describe run",
    ):
        hostile.good("query", sql)
    hostile.good("query", "explain analyze select * from fact_post")
    names = hostile.good("query", "show tables", "--format", "csv").split()[1:]
    assert {"fact_post", "fact_tweet", "dim_user_current", "run", "raw"} < set(names)
    assert not [name for name in names if "column" in name]


def test_a_question_too_large_for_its_memory(hostile: Person) -> None:
    sql = "select list(i order by i) from range(50000000) t(i)"
    assert "--memory-limit" in hostile.run("--memory-limit", "30MB", "query", sql).sentence(STORAGE)
    assert list(hostile.folder.glob(".tmp*")) == []


@pytest.mark.parametrize("form", ["table", "jsonl", "parquet"])
def test_a_pipe_that_closes(hostile: Person, form: str) -> None:
    result = hostile.shell(
        f"bemtevi query 'select * from range(300000), raw' --format {form} | head -c 20 >/dev/null"
    )
    assert (result.code, result.out, result.err) == (0, "", "")


def test_a_short_answer_into_a_closed_pipe(hostile: Person) -> None:
    result = hostile.shell("bemtevi query 'select 1 as one' | true")
    assert (result.code, result.err) == (0, "")


VALUES = """
select
  'ação, "x"' as words, '' as nothing, null as unknown, 'null' as word,
  9007199254740993 as large, -1 as negative, 0.1::double as tenth, 1e300 as huge, true as yes, false as no,
  date '2026-11-24' as day, timestamp '2026-11-24 10:00:00.5' as wall,
  timestamptz '2026-11-24 10:00:00+00' as instant,
  'Bytes'::blob as bytes, ['a', null, 'c,d'] as list, {'key': 1, 'text': 'é'} as struct, sum(1) as total
"""
INSTANT = datetime(2026, 11, 24, 7, tzinfo=ZoneInfo("America/Sao_Paulo"))


def _same(row: dict[str, Any]) -> None:
    """A row of VALUES as JSON holds it."""
    assert row == {
        "words": 'ação, "x"',
        "nothing": "",
        "unknown": None,
        "word": "null",
        "large": 9007199254740993,
        "negative": -1,
        "tenth": 0.1,
        "huge": 1e300,
        "yes": True,
        "no": False,
        "day": "2026-11-24",
        "wall": "2026-11-24T10:00:00.500000",
        "instant": "2026-11-24T07:00:00-03:00",
        "bytes": base64.b64encode(b"Bytes").decode(),
        "list": ["a", None, "c,d"],
        "struct": {"key": 1, "text": "é"},
        "total": 1,
    }


def test_json_reads_back(hostile: Person) -> None:
    _same(json.loads(hostile.good("query", VALUES, "--format", "json"))[0])
    _same(json.loads(hostile.good("query", VALUES, "--format", "jsonl")))


def test_parquet_reads_back(hostile: Person) -> None:
    told = hostile.run("query", VALUES, "--output", "values.parquet")
    assert (told.code, told.out, told.err.strip()) == (0, "", "Written: values.parquet")
    row = pq.read_table(hostile.folder / "values.parquet").to_pylist()[0]
    assert row["instant"] == INSTANT
    assert (row["day"], row["large"], row["tenth"]) == (date(2026, 11, 24), 9007199254740993, 0.1)
    assert (row["nothing"], row["unknown"], row["bytes"]) == ("", None, b"Bytes")
    assert row["list"] == ["a", None, "c,d"]


def test_what_others_do_in_the_process_does_not_matter(hostile: Person) -> None:
    duckdb.execute("begin")
    with pytest.raises(duckdb.Error):
        duckdb.execute("select error('this transaction is aborted')")
    try:
        with (
            Catalog(Lake(Layout(str(hostile.folder / "lake")), ZONE)) as catalog,
            pytest.raises(UsageError, match="One SELECT is expected"),
        ):
            catalog.stream("pragma enable_profiling")
    finally:
        duckdb.execute("rollback")


def test_csv_reads_back(hostile: Person) -> None:
    hostile.good("query", VALUES, "--output", "values.csv")
    file = str(hostile.folder / "values.csv")
    row = (
        duckdb.sql(f"select * from read_csv('{file}', allow_quoted_nulls = false)")
        .to_arrow_table()
        .to_pylist()[0]
    )
    assert (row["words"], row["nothing"], row["unknown"], row["word"]) == ('ação, "x"', "", None, "null")
    assert (row["large"], row["negative"], row["tenth"]) == (9007199254740993, -1, 0.1)
    assert (row["yes"], row["no"], row["day"]) == (True, False, date(2026, 11, 24))
    assert row["wall"] == datetime(2026, 11, 24, 10, 0, 0, 500_000)  # noqa: DTZ001  a wall clock has no zone
    assert row["instant"] == INSTANT
    assert json.loads(row["list"]) == ["a", None, "c,d"]
    assert json.loads(row["struct"]) == {"key": 1, "text": "é"}
    frame = pl.read_csv(file)
    assert frame["yes"].to_list() == [True]


def test_a_table_reads_back(hostile: Person) -> None:
    head, rule, row = hostile.good("query", VALUES, "--format", "table").splitlines()
    assert set(rule) <= set("━╇")
    values = dict(
        zip(
            (name.strip() for name in head.split("┃")), (cell.strip() for cell in row.split("│")), strict=True
        )
    )
    assert values == {
        "words": 'ação, "x"',
        "nothing": "",
        "unknown": "–",
        "word": "null",
        "large": "9007199254740993",
        "negative": "-1",
        "tenth": "0.1",
        "huge": "1e+300",
        "yes": "true",
        "no": "false",
        "day": "2026-11-24",
        "wall": "2026-11-24 10:00:00.500000",
        "instant": "2026-11-24 07:00:00-03:00",
        "bytes": "Qnl0ZXM=",
        "list": '["a",null,"c,d"]',
        "struct": '{"key":1,"text":"é"}',
        "total": "1",
    }


def test_the_same_rows_in_every_form(owner: Person) -> None:
    sql = "select post_id, text, like_count, created_at from fact_post order by post_id"
    lines = [json.loads(line) for line in owner.good("query", sql, "--format", "jsonl").splitlines()]
    assert len(lines) == 3_000
    assert json.loads(owner.good("query", sql, "--format", "json")) == lines
    rows = list(csv.DictReader(io.StringIO(owner.good("query", sql, "--format", "csv"), newline="")))
    assert [row["text"].removeprefix("'") for row in rows] == [row["text"].removeprefix("'") for row in lines]
    for name in ("csv", "json", "jsonl", "parquet"):
        owner.good("query", sql, "--output", f"all.{name}")
    assert pl.read_parquet(owner.folder / "all.parquet")["text"].to_list() == [row["text"] for row in lines]
    assert json.loads((owner.folder / "all.json").read_text()) == lines
    shown = owner.good("query", sql)
    assert len(shown.splitlines()) == 2 + 1000 + 1
    assert shown.endswith("The first 1\u2009000 rows; all with --output FILE.\n")


def test_formulas_are_no_formulas_in_csv(hostile: Person) -> None:
    text = hostile.good(
        "query", "select text, description from fact_post join dim_user using (author_id)", "--format", "csv"
    )
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))]
    assert f"'{HOSTILE['formula']} #perigo" in cells
    as_json = json.loads(hostile.good("query", "select text from fact_post", "--format", "json"))
    assert {row["text"] for row in as_json} == {f"{text} #perigo" for text in HOSTILE.values()}


def test_hostile_text_does_nothing_to_a_terminal(hostile: Person) -> None:
    for question in (
        ("hashtag", "perigo", "--limit", "20"),
        ("top", "--hours", "80000"),
        ("query", "select text, username from fact_post join dim_user using (author_id)"),
        ("query", "select * from raw"),
        ("query", 'select 1 as "a\x1b[31m"'),
    ):
        shown = hostile.good(*question, FORCE_COLOR="")
        bad = [character for character in shown if character < " " and character != "\n"]
        assert not bad, question
        assert not set("\x7f\x9b\u202e\u2066\u200f\u2028") & set(shown), question
    assert "[bold]not bold[/bold]" in hostile.good("hashtag", "perigo", "--limit", "20")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--output", "answer.xlsx"], ".csv, .json, .jsonl, .parquet"),
        (["--output", "answer"], "--format"),
        (["--format", "table", "--output", "answer.txt"], "for the screen"),
        (["--output", ".", "--format", "csv"], "is a folder"),
    ],
)
def test_a_file_that_cannot_be(hostile: Person, arguments: list[str], said: str) -> None:
    assert said in hostile.run("query", "select 1 as one", *arguments).sentence(USAGE)
    for missing in ("none/answer.csv", "hostile.jsonl/answer.csv"):
        hostile.run("query", "select 1 as one", "--output", missing).sentence(STORAGE)
    assert not list(hostile.folder.glob("answer*"))


def test_a_failed_answer_leaves_the_old_file(hostile: Person) -> None:
    file = hostile.folder / "kept.csv"
    file.write_text("old")
    hostile.run("query", "select cast(text as int) from fact_post", "--output", "kept.csv").sentence(USAGE)
    hostile.run(
        "query", "select timestamp_ns '2026-01-01 00:00:00.123456789' as at", "--output", "kept.csv"
    ).sentence(USAGE)
    assert file.read_text() == "old"
    assert list(hostile.folder.glob("*.part")) == []


def test_a_device_is_written_not_replaced(hostile: Person) -> None:
    result = hostile.shell("bemtevi query 'select 1 as one' --format csv --output /dev/stdout | cat")
    assert (result.code, result.out.split()) == (0, ["one", "1"])
    assert Path("/dev/stdout").is_symlink()


def test_json_for_programs(owner: Person) -> None:
    answer = json.loads(owner.good("hashtag", "Covid19", "--since", "8d", "--json"))
    assert answer["hashtag"] == "covid19"
    assert answer["timezone"] == "America/Sao_Paulo"
    assert sum(step["posts"] for step in answer["timeline"]) == answer["summary"]["posts"] > 100
    assert len(answer["top_posts"]) == 5
    tags = json.loads(owner.good("top", "--hours", "200", "--limit", "3", "--json"))
    assert [tag["hashtag"] for tag in tags][:1] in (["covid19"], ["vacinação"])


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal_and_none_is_wrapped(owner: Person, width: int) -> None:
    shown = owner.good("hashtag", "vacinacao", "--limit", "7", COLUMNS=str(width))
    lines = shown.splitlines()
    assert max(map(cell_len, lines)) <= width
    first = lines.index("Top posts")
    assert lines[first + 1].split() == ["seen", "reposts", "likes", "written", "author", "text"]
    assert all(line[:4].strip().isdigit() for line in lines[first + 2 : first + 9])
    assert lines[first + 9] == ""
    (bars,) = [line for line in lines if set(line) <= set(" ▁▂▃▄▅▆▇█") and line]
    assert cell_len(bars) == width
    below = lines[lines.index(bars) + 1]
    assert cell_len(below) == width
    assert below[:11] != below[-11:]
    top = owner.good("top", "--hours", "200", COLUMNS=str(width)).splitlines()
    assert max(map(cell_len, top)) <= width
    assert top[1].split() == ["posts", "authors", "reposts", "last", "post", "hashtag"]


def test_few_posts_and_short_periods(hostile: Person) -> None:
    for since, until in (("2026-11-24T06:59", "2026-11-24T07:01"), ("2020-01-01", "2026-12-31")):
        shown = hostile.good("hashtag", "perigo", "--since", since, "--until", until)
        assert "10 posts collected, by 1 author" in shown
    assert "No collected post in this period" in hostile.good(
        "hashtag", "perigo", "--since", "2020-01-01", "--until", "2020-01-02"
    )
    assert "No post with a hashtag" in hostile.good("top", "--hours", "0.01")


def test_wide_rows_are_shown_one_value_a_line(hostile: Person) -> None:
    shown = hostile.shell("COLUMNS=80 script -qec \"bemtevi query 'from fact_post limit 2'\" /dev/null")
    if shown.code == 127:
        pytest.skip("there is no `script` here to make a terminal")
    assert shown.out.count("created_at_local") == 2
