"""`bemtevi watch` as a person starts it, on posts that come while it runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.integration.command import Person, interrupt
from tests.support import ZONE, new_lake, post, put

from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules
from bemtevi.serve.watched import Watched, post_line

USAGE = 2
BEGIN = datetime(2026, 11, 24, 10, tzinfo=UTC)
NOW = datetime(2026, 11, 24, 12, 30, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = new_lake(tmp_path)
    put(lake, [post(1, "antes #covid19")], number=0)
    return lake


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "home"
    home.mkdir()
    return Person(
        home, {"BEMTEVI_LAKE": str(tmp_path / "lake"), "BEMTEVI_JOURNAL": str(tmp_path / "journal")}
    )


def now(seconds: int = 0) -> int:
    """The number of a post that is written now."""
    return int((datetime.now(UTC) - BEGIN).total_seconds()) + seconds


def ready(process: subprocess.Popen[str]) -> str:
    """What it says when it watches."""
    assert process.stderr is not None
    return process.stderr.readline()


def read(process: subprocess.Popen[str], count: int) -> Iterator[str]:
    assert process.stdout is not None
    for _ in range(count):
        yield process.stdout.readline()


def test_events_for_a_program_are_of_what_is_watched(person: Person, lake: Lake) -> None:
    process = person.start("watch", "#Covid19", "--json")
    assert "#covid19" in ready(process)
    at = now()
    put(
        lake,
        [post(at, "um #covid19"), post(at + 1, "outra #dengue"), post(at + 2, "dois #COVID19")],
        number=1,
    )
    events = [json.loads(line) for line in read(process, 3)]
    assert [event["event"] for event in events] == ["post", "post", "count"]
    assert [event["text"] for event in events[:2]] == ["um #covid19", "dois #COVID19"]
    assert (events[2]["hashtag"], events[2]["new"]) == ("covid19", 2)
    assert sum(posts for _, posts in events[2]["minutes"]) == 2
    result = interrupt(process)
    assert result.code == 0, result.err
    assert (result.out, result.err) == ("", "")


def test_hostile_text_is_a_line_without_power(person: Person, lake: Lake) -> None:
    process = person.start("watch", "covid19")
    ready(process)
    put(lake, [post(now(), "\x1b[31mred\nnext \u202eevil [bold]x[/] #covid19")], number=1)
    (line,) = read(process, 1)
    assert line.rstrip("\n").endswith("[31mred next evil [bold]x[/] #covid19")
    assert "\x1b" not in line
    assert interrupt(process).code == 0


def test_what_is_followed_is_watched_if_nothing_is_named(person: Person, lake: Lake) -> None:
    change_rules(
        lake,
        "x",
        add=(
            "#covid19",
            "#vacina lang:pt",
            "#a OR #b",
        ),
        now=NOW,
    )
    process = person.start("watch", "--seconds", "0.1")
    assert ready(process).rstrip() == "Watching #covid19 #vacina (Ctrl-C ends it)"
    assert process.wait(60) == 0


def test_what_cannot_be_watched_is_told(person: Person, lake: Lake) -> None:
    assert "bemtevi track" in person.run("watch").sentence(USAGE)
    for wrong in ("!!", "#", "a b", "1"):
        assert "is no hashtag" in person.run("watch", wrong).sentence(USAGE)
    change_rules(lake, "x", add=("#a OR #b",), now=NOW)
    assert "name what to watch" in person.run("watch").sentence(USAGE)


# --- the numbers


def counted(hashtag: str, *minutes: tuple[datetime, int], new: int = 1) -> dict[str, Any]:
    return {"hashtag": hashtag, "new": new, "minutes": list(minutes)}


def test_the_last_hour_by_minute() -> None:
    watched = Watched(("a", "b"))
    this = NOW.replace(second=0)
    assert watched.take(
        "count", counted("a", (this, 5), (this - 59 * MINUTE, 2), (this - 60 * MINUTE, 9), new=3)
    )
    assert not watched.take("count", counted("other", (this, 5)))
    series = watched.series("a", NOW)
    assert (len(series), series[0], series[-1], sum(series)) == (60, 2, 5, 7)
    assert watched.series("a", NOW + MINUTE)[-2:] == [5, 0]
    assert watched.series("b", NOW) == [0] * 60


def test_an_older_count_that_comes_late_does_no_harm() -> None:
    watched = Watched(("a",))
    this = NOW.replace(second=0)
    for posts in (5, 3):
        watched.take("count", counted("a", (this, posts)))
    assert watched.series("a", NOW)[-1] == 5
    assert watched.new["a"] == 2


@pytest.mark.parametrize("width", [30, 80, 200])
def test_a_line_for_each_hashtag(width: int) -> None:
    watched = Watched(("a", "vacinação"))
    watched.take("count", counted("a", (NOW.replace(second=0), 1_234), new=7))
    first, second = (line.plain for line in watched.lines(NOW, width))
    assert first.startswith("#a         ")
    assert first.endswith("1\u2009234 in the last hour · 1\u2009234 this minute · 7 new")
    assert second.endswith("0 in the last hour · 0 this minute · 0 new")
    assert ("█" in first) == (width > 70)
    assert width < 70 or len(first) <= width


def test_a_post_without_text_says_what_it_is() -> None:
    made = {"created_at": NOW, "username": None, "text": None, "type": "repost", "hashtags": ["a"]}
    assert post_line(made, ZoneInfo(ZONE)).plain == "09:30:20  –                (repost) #a"
