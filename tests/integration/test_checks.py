"""Checks inside a run: recorded, told, and with an exit code for who schedules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.integration.command import Person
from tests.support import consolidate, new_lake, post, put, rows

from bemtevi.warehouse.check_result import read_results


def findings(folder: Path) -> dict[str, str]:
    """Checks that do not hold, of the last attempt, with what they say."""
    return {
        kept.result.check: kept.result.told
        for kept in read_results(new_lake(folder))
        if not kept.result.passed
    }


def test_what_is_checked_is_in_a_table_with_its_run(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "#a")], received_at=datetime.now(UTC))
    (first,) = consolidate(lake)
    found = rows(lake, "select run, table_name, check_name, severity, passed from check_result")
    assert {row["run"] for row in found} == {first.number}
    names = {(row["table_name"], row["check_name"]) for row in found}
    assert ("fact_post", "unique network post_id") in names
    assert ("bridge_post_hashtag", "references network post_id") in names
    assert ("raw", "fields") in names
    assert findings(tmp_path) == {}


def test_a_network_that_renames_a_field_is_told_on_that_day(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    now = datetime.now(UTC)

    def bring(number: int, **fields: object) -> None:
        lines = [post(number * 1_000 + line, "#a", **fields) for line in range(100)]
        for line in lines:
            if "views" in fields:
                del line["data"]["lang"]
        put(lake, lines, number=number, received_at=now)
        consolidate(lake)

    for number in range(11):
        bring(number)
    assert "fields" not in findings(tmp_path)
    bring(11, views=3)
    told = findings(tmp_path)["fields"]
    assert told == "new fields of x (x_v2, stream): data.views; fields gone of x (x_v2, stream): data.lang"
    bring(12, views=3)
    assert "fields" not in findings(tmp_path), "told once"


def test_an_hour_with_a_tenth_of_its_posts_warns(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    for day in range(5):
        count = 100 if day < 4 else 10
        put(
            lake,
            [post((day - 4_000) * 86_400 + number, "#a") for number in range(count)],
            number=day,
            received_at=datetime.now(UTC),
        )
        consolidate(lake)
    assert findings(tmp_path)["volume"] == (
        "fact_post has 10 rows in the hour 2015-12-16 10h UTC, 0.10 times the usual 100"
    )


def test_the_command_and_its_exit_codes(tmp_path: Path, person: Person) -> None:
    lake = new_lake(tmp_path)

    def checks(*flags: str) -> tuple[int, str]:
        result = person.run("--lake", lake.layout.root, "checks", *flags)
        return result.code, result.out + result.err

    code, said = checks()
    assert (code, said.startswith("Nothing was checked")) == (0, True)
    put(lake, [post(1, "#a")], received_at=datetime.now(UTC) - timedelta(hours=30))
    consolidate(lake)
    code, said = checks()
    assert code == 0
    assert "warn (run 1): the newest row of fact_post is 30.0 hours old, 24 are expected at most." in said
    code, said = checks("--strict")
    assert code == 8
    assert "--strict makes it an error" in said
    result = person.run("--lake", lake.layout.root, "checks", "--json")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert {line["check"] for line in lines if not line["passed"]} == {"freshness last_received_at"}
