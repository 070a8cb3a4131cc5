"""The commands doctor and budget: with and without X, a lake, and something broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.integration.command import Person
from tests.scripted import Asked, Reply, scripted

from bemtevi.lake.track import rule_tag
from bemtevi.simulate import RunningX, Simulation, running_x

TOKEN = "never-to-be-seen"  # noqa: S105
NEEDS_X = ("token", "clock", "rate limit", "rules", "usage")
USAGE = "/2/usage/tweets"


@pytest.fixture
def x() -> Iterator[RunningX]:
    with running_x(Simulation(topics=("covid19",), rate=300, token=TOKEN)) as running:
        yield running


def ask(person: Person, code: int = 0, **environment: str) -> dict[str, list[dict[str, str]]]:
    """What doctor finds, by name."""
    result = person.run("doctor", "--json", **environment)
    assert result.code == code, (result.out, result.err)
    assert "Traceback" not in result.err
    assert TOKEN not in result.out + result.err
    found: dict[str, list[dict[str, str]]] = {}
    for check in json.loads(result.out):
        # what the lake says is a whole sentence, with what to do
        assert check["grade"] in ("good", "note") or check["fix"] or check["name"] == "lake"
        found.setdefault(check["name"], []).append(check)
    return found


def grades(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {name: checks[0]["grade"] for name, checks in found.items()}


def at(url: str) -> dict[str, str]:
    return {"BEMTEVI_X_API_URL": url, "BEMTEVI_X_BEARER_TOKEN": TOKEN}


def test_nothing_there_is_nothing_broken(person: Person) -> None:
    found = ask(person)
    assert [grades(found)[name] for name in ("token", "lake")] == ["note", "note"]
    assert "broken" not in grades(found).values()
    assert list(person.folder.iterdir()) == []
    text = person.good("doctor")
    assert all(name in text for name in found)


def test_all_well(person: Person, x: RunningX) -> None:
    person.environment |= at(x.url)
    person.good("track", "#covid19", "--purpose", "a test")
    assert grades(ask(person))["rules"] == "warning"  # X does not have them yet
    person.good("listen", "--seconds", "3", BEMTEVI_SEGMENT_SECONDS="0.5")
    assert grades(ask(person))["tables"] == "warning"
    person.good("consolidate")
    found = ask(person)
    for name in (
        "token",
        "clock",
        "rate limit",
        "rules",
        "usage",
        "journal",
        "disk",
        "lake",
        "tables",
        "engine",
    ):
        assert grades(found)[name] == "good", found[name]
    assert "purpose" not in found


def test_a_wrong_token_is_broken(person: Person, x: RunningX) -> None:
    result = person.run("doctor", **(at(x.url) | {"BEMTEVI_X_BEARER_TOKEN": "wrong-one"}))
    assert result.sentence(1).startswith("Broken: token")
    assert "wrong-one" not in result.out + result.err


def test_no_network_is_said_and_the_rest_is_checked(person: Person) -> None:
    found = ask(person, 1, **at("http://127.0.0.1:9"))
    assert grades(found)["network"] == "broken"
    assert "cannot be reached" in found["network"][0]["found"]
    assert grades(found)["engine"] == "good"


def x_that(rules: list[dict[str, Any]], off: timedelta = timedelta(), left: int = 400) -> Any:
    def script(asked: Asked) -> Reply:
        headers = {
            "Date": format_datetime(datetime.now(UTC) + off, usegmt=True),
            "x-rate-limit-limit": "450",
            "x-rate-limit-remaining": str(left),
        }
        if asked.path.startswith(USAGE):
            return Reply({"data": {"project_usage": "2900000", "project_cap": "3000000"}}, 200, headers)
        if "counts" in asked.path:
            return Reply(b"", 404, headers)
        return Reply({"data": rules, "meta": {}}, 200, headers)

    return scripted(script)


@pytest.mark.parametrize(
    ("seconds", "grade", "way"),
    [(0, "good", ""), (30, "warning", "behind"), (-30, "warning", "ahead of"), (3_600, "broken", "behind")],
)
def test_the_clock(person: Person, seconds: float, grade: str, way: str) -> None:
    with x_that([], timedelta(seconds=seconds)) as server:
        person.environment |= at(server.url)
        found = ask(person, 1 if grade == "broken" else 0)
    assert (grades(found)["clock"], way in found["clock"][0]["found"]) == (grade, True)


def test_rules_usage_and_rate_limit_that_need_somebody(person: Person) -> None:
    person.good("track", "#a", "#slowed")
    there: list[dict[str, Any]] = [
        {"id": 1, "value": "#theirs"},
        {"id": "2", "value": "#old", "tag": "bemtevi:0"},
        {"id": "3", "value": "#slowed sample:25", "tag": rule_tag("x", "#slowed")},
    ]
    with x_that(there, left=3) as server:
        person.environment |= at(server.url)
        found = ask(person)
    missing, stale, foreign = found["rules"]
    assert ("1 of 2" in missing["found"], "#a" in missing["found"]) == (True, True)
    assert ("#old" in stale["found"], "#theirs" in foreign["found"]) == (True, True)
    assert "#slowed" not in stale["found"] + missing["found"]
    assert (grades(found)["usage"], grades(found)["rate limit"]) == ("warning", "warning")
    assert "2 rules" in found["purpose"][0]["found"]


def test_a_lake_that_is_broken(owner: Person) -> None:
    assert grades(ask(owner))["lake"] == "good"
    assert grades(ask(owner, 1, BEMTEVI_TIMEZONE="Europe/Lisbon"))["lake"] == "broken"
    log = owner.folder / "lake/layer1/raw/_delta_log" / f"{0:020d}.json"
    log.write_text("no log")
    assert grades(ask(owner, 1))["lake"] == "broken"


def test_budget_as_text_and_json(person: Person, x: RunningX) -> None:
    person.environment |= at(x.url) | {
        "BEMTEVI_BUDGET_DAILY_POSTS": "100000",
        "BEMTEVI_SEGMENT_SECONDS": "0.5",
    }
    person.good("track", "#covid19")
    empty = json.loads(person.good("budget", "--json"))
    assert (empty["today"]["posts"], empty["month"]["limit_posts"]) == (0, None)
    person.good("listen", "--seconds", "3")
    told = json.loads(person.good("budget", "--json"))
    (row,) = json.loads(
        person.good("query", "select count(distinct key) as posts from raw", "--format", "json")
    )
    assert told["reported_problem"] is None
    assert told["today"]["posts"] == max(row["posts"], told["reported"]["today_posts"]) > 50
    assert told["today"]["dollars"] == round(told["today"]["posts"] * 0.005, 2)
    assert told["today"]["limit_posts"] == 100_000
    text = person.good("budget")
    assert "dollars" in text
    assert "X counts:" in text
    offline = person.good("budget", BEMTEVI_X_API_URL="http://127.0.0.1:9")
    assert "cannot be reached" in offline
