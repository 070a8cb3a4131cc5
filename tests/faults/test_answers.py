"""Answers other than the stream: E and F of Tweepy's measured faults, told apart by their bodies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.faults.scene import STOP_SECONDS, scene
from tests.support import eventually

from bemtevi.errors import BemteviError, MissingCredentialError
from bemtevi.lake.gap import Cause
from bemtevi.lake.raw import QUARANTINE

pytestmark = pytest.mark.faults


def test_a_rate_limit_is_waited_for_as_long_as_it_is_told(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("rate-limit:seconds=3")
        one.fault("close")
        one.fired("rate-limit")
        one.hears()
        made = one.finish()
        refused = one.recorded().refused
    assert [answer.status for answer in refused] == [429]  # asked once, and not again before the time
    assert made.causes[Cause.RATE_LIMITED] == 1
    assert made.gap_seconds < 15


def test_a_second_connection_of_ours_is_freed(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("stale-connection:seconds=300")
        one.fault("close:after_seconds=0.1")
        one.fired("stale-connection")
        one.hears(200)
        made = one.finish()
        refused = one.recorded().refused
    assert {answer.why for answer in refused} == {"TooManyConnections"}
    assert made.causes[Cause.TOO_MANY_CONNECTIONS] == 1
    assert made.gap_seconds < 20


def test_a_connection_of_somebody_else_is_waited_for(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("too-many-connections")
        one.fault("close")
        one.fired("too-many-connections")
        one.hears()
        made = one.finish()
        refused = one.recorded().refused
    assert [answer.why for answer in refused] == [
        "TooManyConnections"
    ]  # waited for, and not asked again at once
    assert made.causes[Cause.TOO_MANY_CONNECTIONS] == 1
    assert 5 <= made.gap_seconds < 20


@pytest.mark.parametrize("fault", ["unauthorized", "forbidden", "forbidden:reason=official-client-forbidden"])
def test_a_refusal_ends_it_with_a_clear_word(tmp_path: Path, fault: str) -> None:
    with scene(tmp_path) as one:
        one.fault(f"{fault}{',' if ':' in fault else ':'}times=0")
        one.fault("close")
        one.fired(fault.partition(":")[0])
        eventually(lambda: one.ended, "the listener ends")
        one.pause()
        assert isinstance(one.failure, MissingCredentialError), one.failure
        assert "\n" not in str(one.failure)
        assert "any" not in str(one.failure).split()  # the token
        assert len(one.recorded().refused) == 1  # F: Tweepy asked for ever
        made = one.account()
    assert made.causes[Cause.REFUSED] == 1


@pytest.mark.parametrize("fault", ["usage-cap", "usage-cap:period=Monthly,scope=Account", "no-credits"])
def test_what_costs_money_ends_it_with_a_clear_word(tmp_path: Path, fault: str) -> None:
    with scene(tmp_path) as one:
        one.fault(f"{fault}{',' if ':' in fault else ':'}times=0")
        one.fault("close")
        one.fired(fault.partition(":")[0])
        eventually(lambda: one.ended, "the listener ends")
        one.pause()
        assert isinstance(one.failure, BemteviError), one.failure
        assert len(one.recorded().refused) == 1
        made = one.account()
    assert made.causes[Cause.USAGE_CAP] == 1


def test_the_cap_of_a_day_is_waited_for(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("usage-cap:period=Daily")
        one.fault("close")
        one.fired("usage-cap")
        one.pause()
        time.sleep(1)
        assert not one.ended
        assert len(one.recorded().refused) == 1
        assert one.stop() < STOP_SECONDS
        one.account()
        assert one.told(Cause.USAGE_CAP)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("unavailable", Cause.SERVER_ERROR),
        ("not-provisioned", Cause.SERVER_ERROR),
        ("html", Cause.SERVER_ERROR),
        ("html:status=403", Cause.SERVER_ERROR),
        ("redirect", Cause.SERVER_ERROR),
        ("half-answer", None),
        ("hang-up", None),
    ],
)
def test_errors_of_servers_and_proxies_are_tried_again(
    tmp_path: Path, fault: str, cause: Cause | None
) -> None:
    with scene(tmp_path) as one:
        one.fault(fault)
        one.fault("close")
        one.fired(fault.partition(":")[0])
        one.hears()
        made = one.finish()
        assert len(one.recorded().opened) == 2
        if fault == "html":  # the page is kept
            pages = [row["payload"] for row in one.lake.table(QUARANTINE).read().to_pylist()]
            assert any(b"Welcome to the network" in page for page in pages)
    if cause is not None:
        assert made.causes[cause] == 1
    assert made.gap_seconds < 20


def test_a_connect_that_is_not_answered_is_left(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("mute:seconds=60")
        one.fault("close")
        one.fired("mute")
        one.hears()
        made = one.finish()
    assert made.gap_seconds < 15


def test_409_gives_the_rules_again(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("no-rules")
        one.fault("close")
        one.fired("no-rules")
        one.hears()
        made = one.finish()
        assert one.told(Cause.NO_RULES)
    assert made.gap_seconds < 10
