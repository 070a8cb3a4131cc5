"""Filling gaps by search: what search can bring is brought once, and what it cannot is told."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.integration.test_gaps import arm
from tests.integration.test_listen import Listening
from tests.recovery.killing import Place, wait_until
from tests.support import eventually, once_wrong

from bemtevi.lake.gap import Cause, Gap, State, ended, new_gap, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.lake.track import change_rules, rule_tag
from bemtevi.listen.dialects.x_v2 import event_at
from bemtevi.listen.fill import Filler
from bemtevi.listen.x_search import MISSING_KINDS, XSearch
from bemtevi.settings import Settings, load_settings
from bemtevi.simulate import RunningX, Simulation, parse, running_x, write_history
from bemtevi.simulate.matching import compile_rule

DELAY = 1.5
DEAF_SECONDS = 4.0
ASKED = compile_rule(parse("#covid19", 512), search=True)


@contextmanager
def simulated(**settings: object) -> Iterator[RunningX]:
    defaults = {"topics": ("covid19",), "rate": 100.0, "pool": 0, "focus": 1.0, "keep_alive": 0.2}
    with running_x(Simulation(**{**defaults, "search_delay": 0.0, **settings})) as server:  # type: ignore[arg-type]
        yield server


def settings_for(folder: Path, url: str) -> Settings:
    return load_settings(
        lake=str(folder / "lake"),
        journal=folder / "journal",
        x_api_url=url,
        fsync_seconds=0.01,
        fill_delay_seconds=DELAY,
    )


def pages(lake: Lake) -> list[dict[str, object]]:
    return [row for row in lake.table(RAW).read().to_pylist() if row["path"] == "search"]


def found(lake: Lake) -> Counter[str]:
    """The ids of the posts that search brought."""
    ids: Counter[str] = Counter()
    for row in pages(lake):
        ids.update(post["id"] for post in json.loads(str(row["payload"])).get("data", []))
    return ids


def in_gap(gap: Gap, identity: str) -> bool:
    at = datetime.fromtimestamp((event_at(identity) or 0) / 1e6, UTC)
    assert gap.ended_at is not None
    return gap.started_at <= at < gap.ended_at


def searchable(server: RunningX, gap: Gap) -> set[str]:
    """What X's search has of the time of a gap: all that match in search's way, but reposts."""
    return {
        str(identity)
        for identity, template in server.world.archive.newest_first(0, 1 << 62)
        if in_gap(gap, str(identity))
        and "is:retweet" not in template.search_subject.flags
        and ASKED(template.search_subject, identity)
    }


def test_a_gap_is_filled_beside_listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.listen.fill.LOOK_SECONDS", 0.2)
    with simulated() as server:
        one = Listening(tmp_path, server.url, "#covid19", fill_delay_seconds=DELAY, search=True).start()
        eventually(one.has(50))
        arm(server, "away:seconds=1.5")

        def filled() -> list[Gap]:
            return [gap for gap in read_gaps(one.lake) if gap.state is State.FILLED and not gap.rules]

        eventually(lambda: bool(filled()))
        (gap,) = filled()
        before = one.listener.acknowledged
        eventually(one.has(before + 20))
        one.stop()
        assert one.failure is None
        assert gap.cause is Cause.UNREACHABLE
        assert (gap.filled_by, gap.missing_kinds) == ("search", MISSING_KINDS)
        assert gap.filled_posts is not None
        assert gap.expected_posts == gap.filled_posts > 50
        posts = found(one.lake)
        wanted = searchable(server, gap)
        assert len(wanted) > 20
        assert wanted <= set(posts)
    rows = pages(one.lake)
    assert {row["kind"] for row in rows} == {"page"}
    assert {tuple(row["matched"]) for row in rows} == {(rule_tag("x", "#covid19"),)}  # type: ignore[arg-type]
    keys = Counter((row["session"], row["sequence"]) for row in rows)
    assert set(keys.values()) == {1}


def test_a_mistake_of_ours_does_not_end_the_filling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.listen.fill.LOOK_SECONDS", 0.2)
    monkeypatch.setattr("bemtevi.listen.fill.RETRY_SECONDS", 0.2)
    monkeypatch.setattr(Filler, "run_once", once_wrong(Filler.run_once))
    with simulated() as server, capture_logs() as logs:
        one = Listening(tmp_path, server.url, "#covid19", fill_delay_seconds=DELAY, search=True).start()
        eventually(one.has(50))
        arm(server, "away:seconds=1.5")
        eventually(lambda: any(gap.state is State.FILLED and not gap.rules for gap in read_gaps(one.lake)))
        one.stop()
    (told,) = [entry for entry in logs if entry["event"] == "filler.failed"]
    assert (told["kind"], told["log_level"]) == ("RuntimeError", "error")


@pytest.fixture(scope="module")
def deaf_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningX, Path]]:
    """Somebody who listened, stopped for some seconds, and listened again: a gap that has ended."""
    folder = tmp_path_factory.mktemp("deaf")
    with simulated() as server:
        place = place_at(folder, server.url)
        place.run("track", "#covid19")
        hear(place)
        time.sleep(DEAF_SECONDS)
        hear(place)
        lake = Lake.of(settings_for(folder, server.url))
        # X may have taken 20 s to have the rule; here it had it at once, and nobody wants to wait
        (not_yet,) = [gap for gap in read_gaps(lake) if gap.cause is Cause.NOT_YET]
        until = not_yet.started_at + timedelta(seconds=1)
        now = datetime.now(UTC)
        write_gaps(lake, [replace(not_yet, ended_at=until, state=State.UNFILLABLE, updated_at=now)])
        time.sleep(DELAY)
        yield server, folder


def hear(place: Place) -> None:
    """Listen until something is heard, then Ctrl-C: how long a start takes is up to the machine."""
    process = place.start("--verbose", "listen")
    try:
        wait_until(lambda: "journal.durable" in process.text() or not process.running, "it hears")
        process.interrupt()
        assert process.wait() == 0, process.text()
    finally:
        process.end()


@pytest.fixture
def deaf(deaf_once: tuple[RunningX, Path], tmp_path: Path) -> tuple[RunningX, Place]:
    """The same for one test alone: a copy of the lake, beside the server that goes on."""
    server, folder = deaf_once
    shutil.copytree(folder / "lake", tmp_path / "lake")
    return server, place_at(tmp_path, server.url)


def place_at(folder: Path, url: str) -> Place:
    return Place(
        folder,
        x_api_url=url,
        x_bearer_token="any",  # noqa: S106
        fill_delay_seconds=DELAY,
        fsync_seconds=0.01,
        fill_gaps="false",
    )


def test_gaps_fills_by_hand_and_tells(deaf: tuple[RunningX, Place]) -> None:
    server, place = deaf
    before = place.run("gaps", "covid19")
    assert "not yet listening" in before
    assert "stopped" in before
    said = place.run("gaps", "covid19", "--fill")
    assert "Filled 1 gaps" in said
    assert "What search cannot bring: " in said
    told = json.loads(place.run("gaps", "--json").splitlines()[-1])
    states = Counter(gap["state"] for gap in told["gaps"])
    assert states == {"filled": 1, "open": 1, "unfillable": 1}
    assert told["filled_seconds"] > DEAF_SECONDS / 2
    assert told["tracked_seconds"] == pytest.approx(
        told["listened_seconds"] + told["filled_seconds"] + told["missing_seconds"]
    )
    lake = Lake.of(settings_for(place.folder, server.url))
    (gap,) = read_gaps(lake, states=[State.FILLED])
    assert searchable(server, gap) <= set(found(lake))
    place.run("consolidate")
    answer = place.run("hashtag", "covid19")
    assert ", filled " in answer


@pytest.mark.parametrize(
    "point",
    ["search.page_durable", "search.place_kept", "search.page_durable:3", "gap.committing", "gap.committed"],
)
def test_a_fill_that_is_killed_goes_on_and_every_page_is_there_once(
    deaf: tuple[RunningX, Place], point: str
) -> None:
    server, place = deaf
    place.crash(point, "gaps", "--fill")
    place.run("gaps", "--fill")
    lake = Lake.of(settings_for(place.folder, server.url))
    (gap,) = read_gaps(lake, states=[State.FILLED])
    assert gap.filled_posts == gap.expected_posts
    assert searchable(server, gap) <= set(found(lake))
    rows = pages(lake)
    assert len(rows) > 3
    assert set(Counter((row["session"], row["sequence"]) for row in rows).values()) == {1}
    assert set(found(lake).values()) == {1}
    assert not list((place.folder / "journal" / "x-search").glob("asking-*"))


def filler(folder: Path, server: RunningX) -> tuple[Filler, Lake]:
    settings = settings_for(folder, server.url)
    lake = Lake.of(settings)
    return Filler(settings, lake, "x", XSearch("any", server.url)), lake


def with_gap(lake: Lake, *rules: str, ago: timedelta, lasting: timedelta) -> None:
    """A gap of the time before the listener, as a former listener left it."""
    now = datetime.now(UTC)
    change_rules(lake, "x", add=rules, now=now - ago - timedelta(days=1))
    waiting = [ended(gap, now - ago, now) for gap in read_gaps(lake)]
    gap = new_gap("x", Cause.STOPPED, now - ago, listener="l", now=now - ago)
    write_gaps(lake, [ended(gap, now - ago + lasting, now)])
    write_gaps(lake, [replace(one, state=State.UNFILLABLE) for one in waiting])


def stopped(lake: Lake) -> list[Gap]:
    return [gap for gap in read_gaps(lake) if gap.cause is Cause.STOPPED]


def test_rules_that_search_cannot_be_asked_stay_unfilled_with_the_reason(tmp_path: Path) -> None:
    with simulated() as server:
        work, lake = filler(tmp_path, server)
        with_gap(
            lake, "#covid19", "#covid19 sample:10", ago=timedelta(minutes=5), lasting=timedelta(minutes=1)
        )
        work.run_once()
    of_all, of_one = sorted(stopped(lake), key=lambda gap: gap.rules)
    assert (of_all.state, of_all.rules) == (State.PARTLY_FILLED, ())
    assert (of_one.state, of_one.rules) == (State.UNFILLABLE, (rule_tag("x", "#covid19 sample:10"),))
    assert "sample:" in of_one.detail
    assert (of_one.started_at, of_one.ended_at) == (of_all.started_at, of_all.ended_at)


def test_what_is_older_than_search_reaches_is_unfillable_and_the_rest_is_filled(tmp_path: Path) -> None:
    with simulated() as server:
        work, lake = filler(tmp_path, server)
        with_gap(lake, "#covid19", ago=timedelta(days=9), lasting=timedelta(days=5))
        work.run_once()
    old, rest = stopped(lake)
    assert (old.state, rest.state) == (State.UNFILLABLE, State.FILLED)
    assert "older" in old.detail
    assert old.ended_at == rest.started_at


def test_a_post_that_x_counts_and_does_not_bring_makes_it_partly_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated() as server:
        time.sleep(2)
        work, lake = filler(tmp_path, server)
        with_gap(lake, "#covid19", ago=timedelta(minutes=5), lasting=timedelta(minutes=4.9))
        monkeypatch.setattr(XSearch, "count", lambda *_: 10_000)
        work.run_once()
    (gap,) = stopped(lake)
    assert (gap.state, gap.expected_posts) == (State.PARTLY_FILLED, 10_000)
    assert "10000" in gap.detail


def test_a_rule_that_is_not_followed_any_more_is_not_paid_for(tmp_path: Path) -> None:
    with simulated() as server:
        work, lake = filler(tmp_path, server)
        with_gap(lake, "#covid19", ago=timedelta(minutes=5), lasting=timedelta(minutes=1))
        change_rules(lake, "x", remove=("#covid19",), now=datetime.now(UTC))
        work.run_once()
    (gap,) = stopped(lake)
    assert gap.state is State.UNFILLABLE
    assert pages(lake) == []


def test_search_brings_a_period_and_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    past = tmp_path / "past.jsonl.gz"
    now = datetime.now(UTC)
    write_history(past, ("covid19",), since=now - timedelta(hours=1), until=now, count=800, seed=3)
    with simulated(replay=past, rate=5_000.0) as server:
        eventually(lambda: server.world.exhausted)
        place = Place(tmp_path, x_api_url=server.url, x_bearer_token="any", fsync_seconds=0.01)  # noqa: S106
        place.crash("search.page_durable:2", "search", "#covid19", "--since", "2h")
        place.crash("search.place_kept:2", "search", "#covid19", "--since", "2h")
        said = place.run("search", "#covid19", "--since", "2h")
        assert "Brought" in said
    lake = Lake.of(settings_for(tmp_path, server.url))
    posts = found(lake)
    assert f"X counts {len(posts)}" in said
    assert len(posts) > 100
    assert set(posts.values()) == {1}
    assert {tuple(row["matched"]) for row in pages(lake)} == {()}  # type: ignore[arg-type]
