"""A listener with a budget against a simulated X: it stops before the limit, says so, and slows if it may."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.test_listen import rules_at
from tests.support import eventually

from bemtevi.cli.collect import guard_of
from bemtevi.lake.gap import Cause, Gap, read_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import JournalLayout
from bemtevi.lake.raw import RAW
from bemtevi.lake.sample import shares
from bemtevi.lake.track import change_rules, rule_tag
from bemtevi.listen.listener import Listener
from bemtevi.listen.meter import read_file
from bemtevi.listen.x import X
from bemtevi.settings import Settings, load_settings
from bemtevi.simulate import RunningX, Simulation, running_x

RATE = 200.0


@pytest.fixture
def x() -> Iterator[RunningX]:
    with running_x(Simulation(topics=("covid19",), focus=1.0, rate=RATE, pool=0)) as running:
        yield running


@contextmanager
def listening(folder: Path, url: str, **more: Any) -> Iterator[tuple[Settings, Lake, Listener]]:
    settings = load_settings(
        lake=str(folder / "lake"),
        journal=folder / "journal",
        fsync_seconds=0.01,
        segment_seconds=0.3,
        x_api_url=url,
        x_bearer_token="any",  # noqa: S106
        **more,
    )
    lake = Lake.of(settings)
    change_rules(lake, "x", add=("#covid19",), now=datetime.now(UTC))
    listener = Listener(settings, lake, X("any", url), budget=guard_of(settings, lake))
    stop = threading.Event()
    thread = threading.Thread(target=listener.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield settings, lake, listener
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def budget_gaps(lake: Lake) -> list[Gap]:
    return [gap for gap in read_gaps(lake) if gap.cause is Cause.BUDGET]


def written(lake: Lake) -> int:
    return len(set(lake.table(RAW).read()["key"].to_pylist()))


def waits(listener: Listener) -> Callable[[], bool]:
    return lambda: "the limit of" in listener.status.state


def test_it_stops_before_the_limit_and_the_gap_says_why(tmp_path: Path, x: RunningX) -> None:
    with listening(tmp_path, x.url, budget_daily_posts=1_500) as (_, lake, listener):
        eventually(waits(listener))
        eventually(lambda: not x.world.connections)
        delivered = sum(x.world.usage.values())
        eventually(lambda: bool(budget_gaps(lake)))
        (gap,) = budget_gaps(lake)
        assert "1500 posts a day" in gap.detail
        assert gap.ended_at is None
        # what X counts may pass the limit by what came between two looks, and not by more
        assert 500 < delivered <= 1_500 + RATE
        connects = listener.status.connects
    assert 500 < written(lake) <= delivered
    with listening(tmp_path, x.url, budget_daily_posts=1_500) as (_, _, again):
        eventually(waits(again))
        assert again.status.connects == 0
    assert connects == 1
    with listening(tmp_path, x.url, budget_daily_posts=100_000) as (_, lake, more):
        eventually(lambda: more.acknowledged > 50)
    assert sum(x.world.usage.values()) > delivered


def test_it_slows_the_rules_without_a_new_connection_and_writes_the_share(
    tmp_path: Path, x: RunningX, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("bemtevi.listen.budget_guard.LEAST_SECONDS", 0.5)
    monkeypatch.setattr("bemtevi.listen.budget_guard.SAMPLE_SECONDS", 0.1)
    monkeypatch.setattr("bemtevi.listen.budget.NEAR", 0.001)
    tag = rule_tag("x", "#covid19")
    more = {"budget_daily_posts": 100_000, "budget_action": "sample"}
    with listening(tmp_path, x.url, **more) as (_, lake, listener):
        eventually(lambda: any("sample:" in value for value in rules_at(x)))
        ((value, given),) = rules_at(x).items()
        assert given == tag
        percent = int(value.rpartition(":")[2])
        assert percent < 100
        eventually(lambda: shares(lake, "x").get(tag, 100) < 100)
        before = listener.acknowledged
        eventually(lambda: listener.acknowledged > before)
        assert listener.status.connects == 1
        assert not [gap for gap in read_gaps(lake) if gap.cause is Cause.LOSS]
        eventually(lambda: listener.writer.count.messages > 0)
    kept = JournalLayout(tmp_path / "journal", "x").read_posts
    for _ in range(10):  # it may be as fast as ever in the instant in which it stops
        if read_file(kept).percent < 100:
            break
        with listening(tmp_path, x.url, **more) as (_, lake, _listener):
            eventually(lambda: read_file(kept).percent < 100)
    assert read_file(kept).percent < 100
    # slowed still, from the first second: no rate is known yet that could let it be faster
    monkeypatch.setattr("bemtevi.listen.budget_guard.LEAST_SECONDS", 600)
    with listening(tmp_path, x.url, **more) as (_, lake, again):
        eventually(lambda: again.acknowledged > 0)
        assert all("sample:" in value for value in rules_at(x))
    with listening(tmp_path, x.url) as (_, lake, free):
        eventually(lambda: list(rules_at(x)) == ["#covid19"])
        eventually(lambda: shares(lake, "x") == {tag: 100})
        assert not [gap for gap in read_gaps(lake) if gap.cause is Cause.LOSS]
        assert free.status.connects <= 1
