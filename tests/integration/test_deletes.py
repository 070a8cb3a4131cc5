"""What is deleted is gone from every table, whatever the order, and may come back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.command import Person
from tests.integration.test_rebuild import rebuild
from tests.support import consolidate, contents, new_lake, post, put, rows, user

from bemtevi.lake.lake import Lake
from bemtevi.lake.tombstone import Action, Origin, Subject, Tombstone, Tombstones

NOTED = datetime(2026, 11, 24, 13, tzinfo=UTC)
OF_RUNS = [
    *("session", "sequence", "first_received_at", "last_received_at"),
    *("first_observed_at", "observed_at", "first_seen_at"),
]


def by(author: str, number: int, text: str, **fields: Any) -> dict[str, Any]:
    """A post of an author."""
    line = post(number, text, author_id=author, **fields)
    line["includes"]["users"] = [user(author)]
    return line


def id_of(line: dict[str, Any]) -> str:
    """The id of a post."""
    return str(line["data"]["id"])


def word(subject: Subject, id_: str, action: Action = Action.DELETE, **fields: Any) -> Tombstone:
    """A tombstone of X."""
    told = Tombstone("x", subject, id_, action, Origin.REQUEST, NOTED)
    return replace(told, **fields)


def same(left: Lake, right: Lake) -> None:
    """Both lakes hold the same in every table of layer 2."""
    first, second = contents(left), contents(right)
    for name, found in first.items():
        assert found == second[name], name


def test_a_forgotten_author_is_in_no_table(tmp_path: Path) -> None:
    theirs = by("7", 1, "mine #vacina #segredo")
    quoted = by("8", 2, "look #vacina", referenced_tweets=[{"type": "quoted", "id": id_of(theirs)}])
    quoted["includes"]["tweets"] = [theirs["data"]]
    quoted["includes"]["users"].append(user("7"))
    reposted = by("9", 3, "RT @user7: mine", referenced_tweets=[{"type": "retweeted", "id": id_of(theirs)}])
    reposted["includes"]["tweets"] = [theirs["data"]]
    reply = by(
        "8", 4, "@user7 no #vacina", in_reply_to_user_id="7", conversation_id=id_of(theirs),
        referenced_tweets=[{"type": "replied_to", "id": id_of(theirs)}],
    )  # fmt: skip
    reply["data"]["entities"]["mentions"] = [{"id": "7", "username": "user7"}]
    other = by("10", 5, "other #vacina")
    lake = new_lake(tmp_path)
    put(lake, [theirs, quoted, reposted, reply, other])
    consolidate(lake)
    assert len(rows(lake, "select * from fact_post")) == 5
    Tombstones(lake).note([word(Subject.AUTHOR, "7")])
    runs = consolidate(lake)
    assert {run.kind for run in runs} == {"deletion"}
    calendar = ("dim_date", "dim_hour")
    held = {name: str(found) for name, found in contents(lake).items() if name not in calendar}
    assert [name for name, text in held.items() if "'7'" in text or id_of(theirs) in text] == []
    assert [name for name, text in held.items() if "segredo" in text] == []
    assert [
        row["author_id"] for row in rows(lake, "select author_id from fact_post order by created_at")
    ] == [
        "8",
        "8",
        "10",
    ]
    (hour,) = rows(lake, "select posts, authors from agg_hashtag_hour where hashtag = 'vacina'")
    assert hour == {"posts": 3, "authors": 2}
    assert consolidate(lake) == []
    # the same when the deletion is there before the posts, and in other slices
    for slices in (
        [[theirs, quoted, reposted, reply, other]],
        [[reply, quoted], [reposted], [theirs, other]],
    ):
        first = new_lake(tmp_path / str(len(slices)))
        Tombstones(first).note([word(Subject.AUTHOR, "7")])
        for number, lines in enumerate(slices):
            put(first, lines, number=number)
            consolidate(first)
        left, right = contents(first, OF_RUNS), contents(lake, OF_RUNS)
        for name, found in left.items():
            assert found == right[name], name


def test_what_is_restored_is_as_if_it_had_never_gone(tmp_path: Path) -> None:
    theirs = by("7", 1, "mine #vacina")
    reply = by("8", 4000, "no", in_reply_to_user_id="7", conversation_id=id_of(theirs))
    lake, never = new_lake(tmp_path / "a"), new_lake(tmp_path / "b")
    for one in (lake, never):
        put(one, [theirs, reply, by("9", 2, "other #vacina")])
        consolidate(one)
    tombstones = Tombstones(lake)
    tombstones.note([word(Subject.AUTHOR, "7")])
    consolidate(lake)
    assert len(rows(lake, "select * from fact_post")) == 2
    restored = word(Subject.AUTHOR, "7", Action.RESTORE, noted_at=datetime.now(UTC))
    because = tombstones.suppression.digest("x", Subject.AUTHOR, "7")
    posts = [word(Subject.POST, id_of(theirs), Action.RESTORE, noted_at=datetime.now(UTC), because=because)]
    tombstones.note([restored, *posts])
    consolidate(lake)
    same(lake, never)
    assert consolidate(lake) == []


def test_notices_of_x_are_obeyed(tmp_path: Path) -> None:
    lines = [by("7", 1, "a #t"), by("8", 2, "b #t"), by("9", 3, "c #t"), by("9", 4, "d #t")]
    lines[2]["data"]["geo"] = {"place_id": "p"}
    lines[2]["includes"]["places"] = [{"id": "p", "full_name": "Rio", "country_code": "BR"}]
    lake = new_lake(tmp_path)
    put(lake, lines)
    consolidate(lake)
    assert rows(lake, "select count(place_id) as places from fact_post") == [{"places": 1}]
    notices: list[bytes | dict[str, Any]] = [
        {"delete": {"status": {"id": int(id_of(lines[0])), "id_str": id_of(lines[0]), "user_id": 7}}},
        {"user_suspend": {"id": 8}},
        {"scrub_geo": {"user_id": 9, "user_id_str": "9", "up_to_status_id_str": id_of(lines[2])}},
    ]
    put(lake, notices, number=1)
    consolidate(lake)
    found = rows(lake, "select author_id, place_id, country_code from fact_post order by created_at")
    assert found == [{"author_id": "9", "place_id": None, "country_code": None}] * 2
    put(lake, [{"user_unsuspend": {"id": 8}}], number=2, received_at=datetime(2026, 11, 25, tzinfo=UTC))
    consolidate(lake)
    assert [row["author_id"] for row in rows(lake, "select author_id from fact_post order by 1")] == [
        "8",
        "9",
        "9",
    ]


def test_forget_says_what_it_touches_and_asks(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    lake = new_lake(folder)
    put(lake, [by("7", 1, "mine #vacina"), by("8", 2, "other #vacina")])
    consolidate(lake)
    person = Person(folder)
    assert "Give one of" in person.run("forget").sentence(2)
    assert "is no id" in person.run("forget", "--author", "user7").sentence(2)
    assert "1 posts go" in person.good("forget", "--author", "7", "--dry-run")
    assert "say that you mean it" in person.run("forget", "--author", "7").sentence(2)
    assert Tombstones(lake).version() == -1
    assert "is not forgotten" in person.run("forget", "--author", "7", "--undo").sentence(2)
    assert "Forgotten." in person.good("forget", "--author", "7", "--yes")
    assert oct((folder / "lake" / ".suppression.key").stat().st_mode)[-3:] == "600"
    consolidate(lake)
    assert [row["author_id"] for row in rows(lake, "select author_id from fact_post")] == ["8"]
    person.good("forget", "--author", "7", "--undo")
    consolidate(lake)
    assert [row["author_id"] for row in rows(lake, "select author_id from fact_post order by 1")] == [
        "7",
        "8",
    ]
    (folder / "lake" / ".suppression.key").write_text("another key, long enough")
    assert "another key" in person.run("forget", "--post", "1", "--yes").sentence(2)


@pytest.mark.parametrize("table", [None, "fact_post", "dim_user", "bridge_post_hashtag", "agg_hashtag_hour"])
def test_a_rebuild_keeps_it_hidden(table: str | None, tmp_path: Path) -> None:
    """The messages are all in layer 1 still: the rebuild reads them, and obeys what is obeyed already."""
    lake = new_lake(tmp_path)
    theirs = by("7", 1, "mine #vacina #segredo")
    reply = by("8", 2, "no #vacina", in_reply_to_user_id="7", conversation_id=id_of(theirs))
    put(lake, [reply, by("9", 4_000, "other #vacina")])
    put(lake, [theirs, by("7", 5_000, "again mine #segredo")], number=1)
    consolidate(lake)
    Tombstones(lake).note([word(Subject.AUTHOR, "7")])
    consolidate(lake)
    before = contents(lake)
    assert len(before["fact_post"]) == 2
    assert "segredo" not in str(before)
    rebuild(lake, table)
    after = contents(lake)
    for name, found in before.items():
        assert after[name] == found, name
    assert consolidate(lake) == [], "the tombstones are obeyed"
    day = (datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC))
    rebuild(lake, table, day)
    after = contents(lake)
    for name, found in before.items():
        assert after[name] == found, name


def test_a_rebuild_takes_nothing_out_that_no_run_has_told_of(tmp_path: Path) -> None:
    """A tombstone that comes before a rebuild and after the last run is obeyed by both, and told once."""
    lake = new_lake(tmp_path)
    put(lake, [by("7", 1, "mine #segredo"), by("8", 2, "other")])
    consolidate(lake)
    Tombstones(lake).note([word(Subject.AUTHOR, "7")])
    rebuild(lake)
    assert [row["author_id"] for row in rows(lake, "select author_id from fact_post")] == ["8"]
    assert consolidate(lake), "what a rebuild of one table would have missed is looked for"
    held = contents(lake)
    assert "segredo" not in str(held)
    assert consolidate(lake) == []
