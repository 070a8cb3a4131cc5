"""Polling search for who has no stream: every post once over restarts and kills, gaps only where it must."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.command import Person, interrupt
from tests.integration.test_fill import found, pages, searchable, settings_for, simulated
from tests.recovery.killing import KILLED, Place, wait_until
from tests.support import eventually

from bemtevi.lake.gap import Cause, Gap, State, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules, read_rules, rule_tag
from bemtevi.listen.x_search import MISSING_KINDS
from bemtevi.simulate import RunningX

YOUNG = 1.0
POLL = ("listen", "--path", "search", "--every", "1s")
PROMPT = 3.0


def place_for(folder: Path, url: str, **more: object) -> Place:
    settings = {"x_api_url": url, "x_bearer_token": "any", "fill_delay_seconds": YOUNG, "fsync_seconds": 0.01}
    place = Place(folder, **settings, **more)
    place.run("track", "#covid19")
    return place


def polls(place: Place, rounds: int = 2, told: str = "poll.round") -> str:
    """Poll until so many rounds are done, or it has told something so often, then Ctrl-C; what it said."""
    process = place.start(*POLL)
    try:
        wait_until(lambda: process.text().count(told) >= rounds or not process.running, f"{told} is told")
        process.interrupt()
        assert process.wait() == 0, process.text()
    finally:
        process.end()
    return process.text()


def lake_at(folder: Path, url: str) -> Lake:
    return Lake.of(settings_for(folder, url))


def until_now(folder: Path) -> datetime:
    """How far the one rule has come."""
    places = json.loads((folder / "journal" / "x" / "polled.json").read_bytes())
    (one,) = places.values()
    return datetime.fromisoformat(one["until"])


def each_post_once(server: RunningX, folder: Path) -> Counter[str]:
    """Of the time from the rule on, all that search has and nothing else, each once."""
    lake = lake_at(folder, server.url)
    (rule,) = read_rules(lake)
    gap = Gap(
        "", "x", None, "search", (), rule.added_at, until_now(folder), Cause.NOT_YET, "", State.OPEN,
        None, None, None, (), "", rule.added_at,
    )  # fmt: skip
    posts = found(lake)
    wanted = searchable(server, gap)
    assert len(wanted) > 20
    assert wanted <= set(posts)
    assert set(posts.values()) == {1}
    rows = pages(lake)
    assert {row["kind"] for row in rows} <= {"page", "system"}
    assert {tuple(row["matched"]) for row in rows} == {(rule_tag("x", "#covid19"),)}  # type: ignore[arg-type]
    return posts


def test_posts_are_there_once_over_a_restart_and_what_came_between_is_fetched(tmp_path: Path) -> None:
    with simulated() as server:
        place = place_for(tmp_path, server.url)
        said = polls(place, 3)
        assert re.search(r"Polled: [3-9] times, \d+ posts\.", said), said
        stopped_at = until_now(tmp_path)
        assert [gap["state"] for gap in gaps(place)] == ["filled", "open"]
        time.sleep(1.5)
        polls(place)
        assert until_now(tmp_path) > stopped_at + timedelta(seconds=2)
        each_post_once(server, tmp_path)
        not_yet, first, last = gaps(place)
        assert (not_yet["cause"], not_yet["state"]) == ("not yet listening", "filled")
        assert (first["cause"], first["state"], first["path"]) == ("stopped", "filled", "search")
        assert (last["cause"], last["state"], last["path"]) == ("stopped", "open", "search")
        assert tuple(first["missing_kinds"]) == MISSING_KINDS


def gaps(place: Place) -> list[dict[str, Any]]:
    return list(json.loads(place.run("gaps", "--json").splitlines()[-1])["gaps"])


@pytest.mark.parametrize("point", ["search.page_durable:2", "search.place_kept:3", "writer.dropping"])
def test_posts_are_there_once_though_it_is_killed(tmp_path: Path, point: str) -> None:
    with simulated() as server:
        place = place_for(tmp_path, server.url)
        time.sleep(3)  # more than one page waits
        place.crash(point, *POLL, "--seconds", "20")
        polls(place)
        posts = each_post_once(server, tmp_path)
        assert len(posts) > 100


def test_a_kill_at_any_time_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with simulated() as server:
        place = place_for(tmp_path, server.url)
        for seconds in (0.4, 1.1, 1.9):
            process = place.start(*POLL)
            wait_until(lambda: "poll.round" in process.text(), "it polls")  # noqa: B023  called at once
            time.sleep(seconds)
            assert process.kill()
        killed = [gap for gap in gaps(place) if gap["cause"] == "killed"]
        polls(place)
        each_post_once(server, tmp_path)
        states = Counter((gap["cause"], gap["state"]) for gap in gaps(place))
        assert states["killed", "filled"] >= max(len(killed), 1)
        assert states["killed", "open"] == 0
    assert KILLED < 0


def test_while_it_polls_no_gap_is_open_and_ctrl_c_ends_it_promptly(tmp_path: Path) -> None:
    with simulated(search_delay=0.0) as server:
        person = Person(tmp_path, {
            "BEMTEVI_X_API_URL": server.url, "BEMTEVI_X_BEARER_TOKEN": "any",
            "BEMTEVI_FILL_DELAY_SECONDS": "1",
        })  # fmt: skip
        person.good("track", "#covid19")
        process = person.start("listen", "--path", "search", "--every", "2s")
        eventually(lambda: _states(person) == ["filled"])
        stopped = interrupt(process)
        assert (stopped.code, stopped.seconds < PROMPT) == (0, True)
        assert "Polled: " in stopped.err
        assert _states(person) == ["filled", "open"]


def _states(person: Person) -> list[str]:
    return [gap["state"] for gap in json.loads(person.good("gaps", "--json"))["gaps"]]


def test_what_is_older_than_search_reaches_is_given_up_and_told(tmp_path: Path) -> None:
    with simulated() as server:
        place = place_for(tmp_path, server.url)
        polls(place)
        lake = lake_at(tmp_path, server.url)
        # nine days pass while the listener stands still: its places and its rule are as old as that
        path = tmp_path / "journal" / "x" / "polled.json"
        kept = json.loads(path.read_bytes())
        old = datetime.now(UTC) - timedelta(days=9)
        for one in kept.values():
            one["until"] = old.isoformat()
            one["newest"] = dict.fromkeys(one["newest"], "1")
        path.write_text(json.dumps(kept))
        change_rules(lake, "x", remove=("#covid19",), now=old - timedelta(days=1))
        change_rules(lake, "x", add=("#covid19",), now=old - timedelta(days=1))
        write_gaps(lake, [])
        polls(place)
        given_up = read_gaps(lake, states=[State.UNFILLABLE])
        assert given_up
        assert all("older than search reaches" in gap.detail for gap in given_up)
        oldest = datetime.now(UTC) - timedelta(days=7)
        assert max(gap.ended_at or old for gap in given_up) == pytest.approx(
            oldest + timedelta(hours=1, minutes=1), abs=timedelta(seconds=30)
        )
        newest = next(iter(json.loads(path.read_bytes()).values()))["newest"]
        assert newest
        assert "1" not in newest.values()


def test_a_rule_that_search_does_not_know_stays_in_the_ledger_and_the_others_go_on(tmp_path: Path) -> None:
    with simulated() as server:
        place = place_for(tmp_path, server.url)
        place.run("track", "#covid19 sample:10")
        polls(place)
        each = {tuple(gap["rules"]): gap for gap in gaps(place) if gap["rules"]}
        assert each["#covid19",]["state"] == "filled"
        assert each["#covid19 sample:10",]["state"] == "open"


def test_an_x_that_is_away_is_a_gap_that_is_filled_when_it_is_back(tmp_path: Path) -> None:
    with simulated() as server:
        place = place_for(tmp_path, server.url)
        polls(place)
        place.settings["x_api_url"] = "http://127.0.0.1:9"
        polls(place, 1, "poll.waits")
        assert [gap["state"] for gap in gaps(place)][-1] == "open"
        place.settings["x_api_url"] = server.url
        polls(place)
        each_post_once(server, tmp_path)


def test_it_stops_reading_at_the_budget(tmp_path: Path) -> None:
    with simulated(rate=400.0) as server:
        place = place_for(tmp_path, server.url, budget_daily_posts=300)
        time.sleep(4)
        said = polls(place, 1, "the limit of 300 posts a day is reached")
        posts = found(lake_at(tmp_path, server.url))
        assert 200 <= len(posts) <= 400
        assert "the limit of 300 posts a day is reached" in said


def facts(place: Place) -> int:
    """Posts in layer 2."""
    found = place.run("query", "select count(*) as posts from fact_post", "--format", "json")
    return int(json.loads(found)[0]["posts"])


def test_run_polls_and_consolidates_what_came(tmp_path: Path) -> None:
    with simulated() as server:
        place = place_for(tmp_path, server.url)
        process = place.start("run", "--path", "search", "--poll-every", "1s", "--every", "1s", "--no-serve")
        try:
            wait_until(
                lambda: process.text().count("poll.round") > 2 or not process.running,
                "it polls several times",
            )
            wait_until(lambda: facts(place) > 20 or not process.running, "it consolidates what came")
            process.interrupt()
            assert process.wait() == 0, process.text()
        finally:
            process.end()
        assert "Polled: " in process.text()
        each_post_once(server, tmp_path)
        assert facts(place) > 20


def test_wrong_flags_and_nothing_followed_are_one_sentence(tmp_path: Path) -> None:
    person = Person(tmp_path, {"BEMTEVI_X_BEARER_TOKEN": "any", "BEMTEVI_X_API_URL": "http://127.0.0.1:9"})
    assert "no path" in person.run("listen", "--path", "mail").sentence(2)
    assert "no interval" in person.run("listen", "--path", "search", "--every", "soon").sentence(2)
    assert "--path search" in person.run("listen", "--every", "1m").sentence(2)
    assert "no path" in person.run("run", "--path", "mail").sentence(2)
    assert "--path search" in person.run("run", "--poll-every", "1m").sentence(2)
    assert "Nothing is followed yet" in person.run("listen", "--path", "search").sentence(2)
    person.good("track", "#covid19 sample:10")
    assert "sample" in person.run("listen", "--path", "search").sentence(2)


def test_a_token_that_is_refused_ends_it_with_a_sentence(tmp_path: Path) -> None:
    with simulated(token="right") as server:  # noqa: S106
        person = Person(tmp_path, {"BEMTEVI_X_BEARER_TOKEN": "wrong", "BEMTEVI_X_API_URL": server.url})
        person.good("track", "#covid19")
        said = person.run("listen", "--path", "search", "--seconds", "30").sentence(3)
        assert "refuses the token" in said
        (not_yet, refused) = read_gaps(Lake.of(settings_for(tmp_path, server.url)))
        assert {not_yet.cause, refused.cause} == {Cause.NOT_YET, Cause.REFUSED}


def test_places_that_do_not_read_back_stop_it_with_a_sentence(tmp_path: Path) -> None:
    person = Person(tmp_path, {"BEMTEVI_X_BEARER_TOKEN": "any", "BEMTEVI_X_API_URL": "http://127.0.0.1:9"})
    person.good("track", "#covid19")
    (tmp_path / "journal" / "x").mkdir(parents=True)
    (tmp_path / "journal" / "x" / "polled.json").write_text("{")
    assert "does not read back" in person.run("listen", "--path", "search").sentence(5)
