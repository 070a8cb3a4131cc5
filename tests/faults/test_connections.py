"""Connections that end, break, fall silent or crawl: B, C, G, H and L of Tweepy's faults, and more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.faults.scene import STOP_SECONDS, scene
from tests.support import eventually

from bemtevi.lake.gap import Cause
from bemtevi.simulate.faults import DISCONNECTS

pytestmark = pytest.mark.faults

NONE = {Cause.NOT_YET, Cause.STOPPED}
"""Those of every test."""


@pytest.mark.parametrize("how", ["close", "abrupt", "reset"])
def test_the_stream_ends(tmp_path: Path, how: str) -> None:
    with scene(tmp_path) as one:
        one.fault(f"{how}:times=4,apart=60")
        one.fired(how, 4)
        one.hears()
        made = one.finish()
    assert made.causes[Cause.DISCONNECTED] == 4
    assert made.heard_in_gaps == 0
    assert made.gap_seconds < 10


@pytest.mark.parametrize("how", ["close", "abrupt", "reset"])
def test_a_line_is_cut_anywhere(tmp_path: Path, how: str) -> None:
    with scene(tmp_path) as one:
        one.fault(f"cut:times=5,apart=50,end={how}")
        one.fired("cut", 5)
        one.hears()
        made = one.finish()
    assert one.recorded().reasons["the line was cut"] == 5
    assert made.causes[Cause.DISCONNECTED] == 5


def test_x_says_that_it_ends_the_stream(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        for number, kind in enumerate(DISCONNECTS, 1):
            one.fault(f"operational-disconnect:type={kind},after_posts=20")
            one.fired("operational-disconnect", number)
            one.hears(50)
        made = one.finish()
        for cause in (Cause.SLOW_READER, Cause.NO_RULES, Cause.DISCONNECTED):
            assert one.told(cause)
    assert made.messages == len(DISCONNECTS)
    assert made.gaps >= len(DISCONNECTS)


def test_a_server_that_accepts_and_closes_is_not_stormed(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        before = len(one.recorded().opened)
        one.fault("close:times=0")
        time.sleep(5)
        stormed = len(one.recorded().opened) - before
        assert len(one.recorded().fired("close")) >= 3
        one.calm()
        one.hears()
        one.finish()
    assert 2 <= stormed <= 6  # at once, then after 1, 2, 4 … s; Tweepy made 1,043 in 2 s


def test_silence_without_a_close_is_noticed(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        connection = one.recorded().opened[-1]
        one.fault("stall:seconds=60")
        one.fired("stall")
        eventually(lambda: one.recorded().closed.get(connection) == "client", "the silent connection is left")
        one.hears()
        made = one.finish()
    assert made.causes[Cause.SILENCE] == 1
    assert made.gap_seconds < 15


def test_a_short_silence_is_borne(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("stall:seconds=0.7")
        one.fired("stall")
        one.hears()
        made = one.finish()
        assert len(one.recorded().opened) == 1
    assert set(made.causes) <= NONE


def test_a_quiet_hashtag_is_no_silence(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.pause()
        time.sleep(3)
        assert len(one.recorded().opened) == 1
        made = one.finish()
    assert set(made.causes) <= NONE


def test_a_crawling_stream_is_read(tmp_path: Path) -> None:
    with scene(tmp_path, rate=50) as one:
        one.fault("trickle:seconds=4,bytes_a_second=3000")
        one.fired("trickle")
        one.hears()
        made = one.finish()
        assert len(one.recorded().opened) == 1
    assert made.in_gaps + made.by_search <= made.missed


def test_nobody_at_the_port(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("away:seconds=3")
        one.fired("away")
        one.hears()
        made = one.finish()
        assert len(one.recorded().opened) == 2
    assert made.missed > 500
    assert made.gap_seconds < 15
    assert set(made.causes) & {Cause.UNREACHABLE, Cause.DISCONNECTED}


def test_posts_that_came_out_of_order_before_the_end_are_accounted_for(tmp_path: Path) -> None:
    with scene(tmp_path, rate=1_000) as one:
        one.fault("reorder:times=0")
        one.fault("abrupt:times=5,apart=80")
        one.fired("abrupt", 5)
        one.calm()
        one.hears()
        one.finish()


# --- H: stopping from any state


def test_it_stops_while_the_stream_is_silent(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("stall:seconds=60")
        one.fired("stall")
        one.pause()
        assert one.stop() < STOP_SECONDS
        assert one.failure is None
        one.account()


@pytest.mark.parametrize(
    "fault", ["mute:seconds=60", "unavailable:times=0", "rate-limit:seconds=60", "hang-up:times=0"]
)
def test_it_stops_while_it_is_not_let_in(tmp_path: Path, fault: str) -> None:
    with scene(tmp_path) as one:
        one.fault(fault)
        one.fault("close")
        one.fired(fault.partition(":")[0])
        one.pause()
        time.sleep(0.3)
        assert one.stop() < STOP_SECONDS
        assert one.failure is None
        one.account()


def test_it_stops_while_the_server_is_away(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("away:seconds=4")
        one.fired("away")
        time.sleep(1)
        assert one.stop() < STOP_SECONDS
        assert one.failure is None
        one.account()


def test_it_stops_while_the_stream_crawls(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("trickle:seconds=60,bytes_a_second=200")
        one.fired("trickle")
        one.pause()
        time.sleep(0.5)
        assert one.stop() < STOP_SECONDS
        one.account()
