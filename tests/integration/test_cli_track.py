"""The command track: what is told before anything changes, and what the network would say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import requests
from deltalake import write_deltalake
from tests.integration.command import Person
from tests.support import new_lake

from bemtevi.lake.track import TRACK, change_rules, read_rules, rule_tag
from bemtevi.simulate import RunningX, Simulation, running_x

USAGE, TOKEN = 2, 3
RULES = "/2/tweets/search/stream/rules"
BEARER = {"Authorization": "Bearer any"}


@pytest.fixture
def x() -> Iterator[RunningX]:
    with running_x(Simulation()) as running:
        yield running


@pytest.fixture
def connected(person: Person, x: RunningX) -> Person:
    person.environment |= {"BEMTEVI_X_API_URL": x.url, "BEMTEVI_X_BEARER_TOKEN": "any"}
    return person


def test_a_rule_that_x_surely_refuses_changes_nothing(person: Person) -> None:
    person.good("track", "#covid19")
    sentence = person.run("track", "#good", "lang:pt", '#a "b').sentence(USAGE)
    assert "'lang:pt'" in sentence
    assert "beside them" in sentence
    assert "quotation mark" in sentence
    assert "#good" not in sentence
    assert person.good("track").split() == ["x", "#covid19"]


def test_too_long_and_too_many_are_settings(person: Person) -> None:
    assert "1024 are allowed" in person.run("track", "#" + "a" * 1_024).sentence(USAGE)
    person.good("track", "#" + "a" * 1_024, BEMTEVI_X_RULE_LENGTH="2048")
    sentence = person.run("track", "#a", "#b", BEMTEVI_X_RULE_CAP="2").sentence(USAGE)
    assert "1 too many" in sentence
    person.good("track", "#a", BEMTEVI_X_RULE_CAP="2")


def test_what_changed_is_shown(person: Person) -> None:
    person.good("track", "#a")
    assert person.good("track", "#b").splitlines() == ["  x  #a", "+ x  #b"]
    assert person.good("track", "--remove", "#a").splitlines() == ["- x  #a", "  x  #b"]
    assert person.good("track").splitlines() == ["x  #b"]
    assert person.good("track", "#b").splitlines() == ["x  #b"]


def test_label_and_purpose_are_kept_and_may_be_changed(person: Person) -> None:
    result = person.run("track", "#a", "--label", "first", "--purpose", "a thesis")
    assert result.out.splitlines() == ["+ x  #a  [first]  [a thesis]"]
    assert "purpose" not in result.err
    person.good("track", "#a", "--purpose", "a book")
    assert person.good("track").splitlines() == ["x  #a  [first]  [a book]"]
    assert "No purpose" in person.run("track", "#b").err
    person.run("track", "--purpose", "nothing").sentence(USAGE)
    rows = person.good("query", "select value, purpose from track order by value", "--format", "csv")
    assert rows.split() == ["value,purpose", "#a,a", "book", "#b,"]


def test_notes_stop_nothing(person: Person) -> None:
    result = person.run("track", "#vacinação", "#GreveGeral", "“a”", "#futebol")
    assert result.code == 0
    notes = [line for line in result.err.splitlines() if line.startswith("Note on")]
    assert len(notes) == 3
    assert "health" in notes[0]
    assert "protests" in notes[1]
    assert "quotation marks" in notes[2]


def test_asking_x_changes_nothing_here_and_there(connected: Person, x: RunningX) -> None:
    add = [{"value": "#stale", "tag": "bemtevi:0"}, {"value": "#theirs", "tag": "t"}, {"value": "#shared"}]
    requests.post(x.url + RULES, json={"add": add}, headers=BEARER, timeout=30)
    before = requests.get(x.url + RULES, headers=BEARER, timeout=30).json()["data"]
    connected.good("track", "#a", "#shared")
    said = connected.good("track", "#b", "--dry-run").splitlines()
    assert [line.split("  ")[0] for line in said[:-1]] == [
        "- #stale",
        "+ #a",
        "+ #b",
        "= #shared",
        "? #theirs",
        "? #shared",
    ]
    assert said[-1].startswith("X would have 4 of 1")
    assert connected.good("track").splitlines() == ["x  #a", "x  #shared"]
    assert requests.get(x.url + RULES, headers=BEARER, timeout=30).json()["data"] == before


def test_what_x_would_refuse_is_told_with_its_reason(connected: Person) -> None:
    result = connected.run("track", "#a bio:x", "#b", "--dry-run")
    assert "1 of these rules" in result.sentence(USAGE)
    assert "! #a bio:x  (Reference to invalid field 'bio'" in result.out
    assert "+ #b" in result.out
    assert "Nothing is followed" in connected.good("track")


def test_asking_without_a_token_is_one_sentence(person: Person) -> None:
    assert "BEMTEVI_X_BEARER_TOKEN" in person.run("track", "#a", "--dry-run").sentence(TOKEN)


def test_a_list_of_an_earlier_version_gains_the_new_columns(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    now = datetime.now(UTC)
    row = {"network": "x", "value": "#a", "tag": rule_tag("x", "#a"), "added_at": now, "removed_at": None}
    old = pa.schema([TRACK.schema.field(name) for name in row])
    write_deltalake(lake.layout.table(1, "track"), pa.Table.from_pylist([row], schema=old))
    (rule,) = read_rules(lake)
    assert (rule.value, rule.purpose) == ("#a", None)
    change_rules(lake, "x", add=("#b",), purpose="a thesis", now=now)
    assert {rule.value: rule.purpose for rule in read_rules(lake)} == {"#a": None, "#b": "a thesis"}
