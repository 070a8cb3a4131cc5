"""Where rows came from: the messages and runs of a partition, and the history of one post."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.command import Person
from tests.support import consolidate, new_lake, post, put

from bemtevi.lake.lake import Lake

USAGE = 2
DAY = 86_400
HOSTILE = "\x1b[31msegredo\x1b]0;title\x07 \u202eabc"
Asked = Callable[..., dict[str, Any]]


def make(folder: Path) -> Lake:
    """Three posts of one day and one of the next, which came by stream and search in two runs."""
    made = new_lake(folder)
    put(made, [post(0, "#a"), post(1, "none"), post(0, "#a")], session="one")
    consolidate(made)
    page = {"data": [post(2, "#b")["data"], post(DAY, "#b")["data"]], "includes": post(2)["includes"]}
    later = datetime(2026, 11, 25, 12, tzinfo=UTC)
    put(made, [page, b"{", post(0, f"{HOSTILE} #a")], session="two", path="search", received_at=later)
    consolidate(made)
    return made


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with such a lake, who only looks."""
    folder = tmp_path_factory.mktemp("lineage")
    make(folder)
    return Person(folder)


@pytest.fixture
def asked(person: Person) -> Asked:
    """Ask for the lineage as a program does."""
    return asking(person)


def asking(person: Person) -> Asked:
    """The answers for a program."""
    return lambda *arguments: json.loads(person.good("lineage", *arguments, "--json"))


def id_of(number: int) -> str:
    """The id of a post of the fixture."""
    return str(post(number)["data"]["id"])


def test_the_messages_of_a_partition_are_those_that_hold_its_posts(asked: Asked) -> None:
    found = asked("fact_post", "2026-11-24")
    assert (found["partition"], found["rows"]) == ("created_date=2026-11-24", 3)
    by_path = {(source["path"], source["received_date"]): source for source in found["sources"]}
    assert by_path.keys() == {("stream", "2026-11-24"), ("search", "2026-11-25")}
    stream, search = by_path["stream", "2026-11-24"], by_path["search", "2026-11-25"]
    assert (stream["messages"], stream["observations"]) == (3, 3)
    # the page also holds a post of the next day, which is not of this partition
    assert (search["messages"], search["observations"]) == (2, 2)
    assert search["first_received_at"] == "2026-11-25T12:00:00+00:00"
    assert sum(file["messages"] for file in found["files"]) == found["messages"] == 5
    assert [run["number"] for run in found["runs"]] == [1, 2]
    assert [run["number"] for run in asked("fact_post", "2026-11-25")["runs"]] == [2]
    assert asked("fact_post", "created_date=2026-11-25")["messages"] == 1


@pytest.mark.parametrize(
    ("table", "partition", "rows", "messages"),
    [
        ("bridge_post_hashtag", "2026-11-24", 2, 4),
        ("agg_hashtag_hour", "2026-11-24", 2, 4),
        ("user_observation", "2026-11-25", 1, 2),
        ("dim_user", "2026-11", 1, 5),
        ("dim_hashtag", "2026-11-24", 2, 4),
        ("dim_network", None, 1, 0),
    ],
)
def test_every_kind_of_table(
    asked: Asked, table: str, partition: str | None, rows: int, messages: int
) -> None:
    found = asked(table, *([partition] if partition else []))
    assert (found["rows"], found["messages"]) == (rows, messages)
    assert found["runs"]


def test_what_is_hidden_is_counted_apart(tmp_path: Path) -> None:
    lake, person = make(tmp_path), Person(tmp_path)
    person.good("forget", "--post", id_of(0), "--yes")
    consolidate(lake)
    found = asking(person)("fact_post", "2026-11-24")
    assert (found["rows"], found["observations"], found["hidden_observations"]) == (2, 2, 3)
    assert [run["kind"] for run in found["runs"]] == ["incremental", "incremental", "deletion"]
    # the author was seen all the same
    found = asking(person)("user_observation", "2026-11-24")
    assert (found["observations"], found["hidden_observations"]) == (3, 0)


def test_runs_tell_what_was_late_and_repeated(tmp_path: Path) -> None:
    lake = make(tmp_path)
    answer = Person(tmp_path).good(
        "query",
        "select late, repeated, watermark::varchar as at from run order by number",
        "--format",
        "json",
    )
    assert json.loads(answer) == [
        {"late": 0, "repeated": 1, "at": "2026-11-24 07:00:00-03"},
        {"late": 0, "repeated": 1, "at": "2026-11-25 07:00:00-03"},
    ]
    put(lake, [post(5), post(DAY + 9)], session="three")
    (run,) = consolidate(lake)
    assert (run.late, run.created_dates) == (1, [date(2026, 11, 24), date(2026, 11, 25)])


def test_the_history_of_a_post(asked: Asked) -> None:
    found = asked("--post", id_of(0))
    assert found["place"] == "stored"
    assert [message["role"] for message in found["messages"]] == ["post"] * 3
    assert [message["path"] for message in found["messages"]] == ["stream", "stream", "search"]
    assert all(message["file"].startswith("raw/received_date=") for message in found["messages"])
    assert found["fact"]["observations"] == 3
    assert "segredo" not in json.dumps(found)


def test_the_history_of_what_is_not_stored(tmp_path: Path) -> None:
    lake, person = make(tmp_path), Person(tmp_path)
    asked = asking(person)
    notice = {"delete": {"status": {"id_str": id_of(1), "user_id_str": "7"}, "timestamp_ms": "1795516000000"}}
    quote = post(9, referenced_tweets=[{"type": "quoted", "id": id_of(700)}])
    broken = {"data": {"id": id_of(800)}}
    later = datetime(2026, 11, 26, 12, tzinfo=UTC)
    put(lake, [notice, quote, broken], session="three", received_at=later)
    consolidate(lake)
    put(lake, [post(900)], session="four")

    deleted = asked("--post", id_of(1))
    assert (deleted["place"], deleted["fact"]) == ("hidden", None)
    assert [message["role"] for message in deleted["messages"]] == ["post", "notice"]
    assert deleted["messages"][1]["says"] == "delete (deleted)"
    assert [row["origin"] for row in deleted["tombstones"]] == ["notice"]

    assert asked("--post", id_of(700))["place"] == "named"
    unreadable = asked("--post", id_of(800))
    assert unreadable["place"] == "unreadable"
    assert [message["role"] for message in unreadable["messages"]] == ["unreadable"]
    assert unreadable["messages"][0]["says"]
    waiting = asked("--post", id_of(900))
    assert (waiting["place"], waiting["messages"][0]["consolidated"]) == ("waiting", False)
    assert asked("--post", id_of(1000))["place"] == "unknown"

    consolidate(lake)
    person.good("maintain", BEMTEVI_ERASE_HOURS="0")
    erased = asked("--post", id_of(1))
    assert (erased["place"], erased["messages"]) == ("erased", [])


def test_text_is_shown_only_if_asked_for_and_harmless(person: Person) -> None:
    assert "segredo" not in person.good("lineage", "--post", id_of(0))
    shown = person.good("lineage", "--post", id_of(0), "--text")
    assert "segredo" in shown
    assert not {"\x1b", "\x07", "\u202e"} & {*shown}
    told = person.good("lineage", "--post", id_of(0), "--text", "--json")
    assert json.loads(told)["fact"]["text"].startswith("\x1b[31msegredo")
    assert told.isascii()
    assert "\x1b" not in told


def test_a_person_reads_it(person: Person) -> None:
    shown = person.good("lineage", "fact_post", "2026-11-24")
    assert shown.startswith("fact_post, created_date=2026-11-24: 3 rows from 5 messages (5 observations)")
    assert "Runs that wrote it" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Give a table and its partition, or --post ID."),
        (("fact_post", "2026-11-24", "--post", "1"), "Give a table and its partition, or --post ID."),
        (("fact_posts", "2026-11-24"), "no table fact_posts in layer 2; there are agg_hashtag_day"),
        (("fact_post",), "kept by created_date: name one of them; there are 2026-11-24 to 2026-11-25"),
        (("fact_post", "2026-11-23"), "no rows of created_date 2026-11-23; there are 2026-11-24"),
        (("fact_post", "observed_date=2026-11-24"), "kept by created_date, not by observed_date"),
        (("fact_post", "yesterday"), "'yesterday' is no partition of fact_post"),
        (("dim_hour", "2026-11-24"), "dim_hour has no partitions"),
        (("--post", "12x"), "'12x' is no id of X"),
        (("fact_post", "2026-11-24", "--text"), "--text goes with --post ID."),
    ],
)
def test_one_sentence_for_what_is_wrong(person: Person, arguments: tuple[str, ...], said: str) -> None:
    assert said in person.run("lineage", *arguments).sentence(USAGE)


def test_an_empty_lake(tmp_path: Path) -> None:
    person = Person(tmp_path)
    assert "is not made yet" in person.run("lineage", "fact_post", "2026-11-24").sentence(USAGE)
    assert json.loads(person.good("lineage", "--post", "1", "--json"))["place"] == "unknown"
    assert not (tmp_path / "lake").exists()
