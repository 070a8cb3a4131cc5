"""The ledger of gaps against a simulated X: whatever happens, no post is missing outside of a gap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
import requests
from tests.integration.test_listen import Listening
from tests.support import eventually

from bemtevi.errors import MissingCredentialError, NetworkError
from bemtevi.lake.coverage import completeness
from bemtevi.lake.gap import Cause, Gap, State, read_gaps
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.track import read_rules
from bemtevi.listen.dialects.x_v2 import event_at
from bemtevi.listen.ledger import utc_now
from bemtevi.simulate import RunningX, Simulation, fault_of_flag, read_record, running_x


@contextmanager
def simulated(folder: Path, *faults: str, **settings: object) -> Iterator[RunningX]:
    """A simulated X whose every post has the hashtag."""
    defaults = {"topics": ("covid19",), "rate": 300.0, "pool": 100, "focus": 1.0, "keep_alive": 0.2}
    simulation = Simulation(
        **{**defaults, **settings},  # type: ignore[arg-type]
        record=folder / "record",
        faults=tuple(map(fault_of_flag, faults)),
    )
    with running_x(simulation) as server:
        yield server


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a person's or X's pace waits shorter here."""
    monkeypatch.setattr("bemtevi.listen.schedule.HTTP_SECONDS", 0.2)


def arm(server: RunningX, text: str) -> None:
    fault = fault_of_flag(text)
    body = {"fault": fault.kind, "times": fault.times, **fault.parameters}
    assert requests.post(server.url + "/simulation/fault", json=body, timeout=30).ok


def fired(server: RunningX) -> int:
    try:
        shown = requests.get(server.url + "/simulation", timeout=30).json()
    except requests.ConnectionError:
        return 0  # it is away
    return sum(shown["fired"].values())


def of_all_rules(one: Listening) -> list[Gap]:
    return [gap for gap in read_gaps(one.lake) if not gap.rules]


def account(one: Listening, record: Path) -> None:
    """Every post that X had for us since we followed is in layer 1 or in a gap."""
    (rule,) = read_rules(one.lake)
    gaps = read_gaps(one.lake)
    received = one.received()
    recorded = read_record(record)
    withheld = {*recorded.ids, *recorded.missed} - set(received)
    for identity in withheld:
        at = (event_at(identity) or 0) / 1e6
        if at < rule.added_at.timestamp():
            continue
        assert any(
            gap.started_at.timestamp() <= at and (gap.ended_at is None or at < gap.ended_at.timestamp())
            for gap in gaps
        ), f"{datetime.fromtimestamp(at).isoformat()} is in no gap of {gaps}"  # noqa: DTZ006


def test_from_the_first_start_to_the_last_stop(tmp_path: Path) -> None:
    with simulated(tmp_path) as server:
        one = Listening(tmp_path, server.url, "#covid19")
        time.sleep(0.3)
        one.start()
        eventually(one.has(100))
        one.stop()
        (rule,) = read_rules(one.lake)
        (not_yet,) = [gap for gap in read_gaps(one.lake) if gap.rules]
        (stopped,) = of_all_rules(one)
        assert (not_yet.cause, not_yet.started_at) == (Cause.NOT_YET, rule.added_at)
        assert (stopped.cause, stopped.state) == (Cause.STOPPED, State.OPEN)
        time.sleep(0.3)
        again = Listening(tmp_path, server.url, "#covid19").start()
        eventually(again.has(50))
        again.stop()
    first, second = of_all_rules(again)
    assert (first.gap_id, first.state) == (stopped.gap_id, State.ENDED)
    assert second.state is State.OPEN
    account(again, tmp_path / "record")
    now = utc_now()
    answer = completeness([rule], read_gaps(again.lake), rule.added_at, now)
    assert answer.missing_seconds > 0.5
    assert answer.tracked_seconds == pytest.approx((now - rule.added_at).total_seconds())


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("close", Cause.DISCONNECTED),
        ("abrupt", Cause.DISCONNECTED),
        ("reset", Cause.DISCONNECTED),
        ("cut", Cause.DISCONNECTED),
        ("cut:end=reset", Cause.DISCONNECTED),
        ("operational-disconnect", Cause.DISCONNECTED),
        ("operational-disconnect:type=SlowReader", Cause.SLOW_READER),
        ("stall:seconds=60", Cause.SILENCE),
        ("away:seconds=1.5", Cause.UNREACHABLE),
    ],
)
def test_a_stream_that_ends_is_a_gap_that_tells_why(tmp_path: Path, fault: str, cause: Cause) -> None:
    with simulated(tmp_path) as server:
        one = Listening(tmp_path, server.url, "#covid19", silence_seconds=1.0).start()
        eventually(one.has(200))
        arm(server, fault)
        eventually(lambda: fired(server) == 1)
        eventually(lambda: one.listener.status.connects > 1)
        eventually(one.has(one.listener.acknowledged + 200))
        eventually(lambda: any(gap.state is State.ENDED for gap in of_all_rules(one)))
        one.stop()
    assert one.failure is None
    gap, last = of_all_rules(one)
    assert (gap.cause, gap.state) == (cause, State.ENDED)
    assert last.cause is Cause.STOPPED
    account(one, tmp_path / "record")


@pytest.mark.parametrize(
    ("fault", "cause", "words"),
    [
        ("html", Cause.SERVER_ERROR, "web page"),
        ("html:status=403", Cause.SERVER_ERROR, "web page"),
        ("html:status=502", Cause.SERVER_ERROR, "web page"),
        ("unavailable", Cause.SERVER_ERROR, "503"),
        ("not-provisioned", Cause.SERVER_ERROR, "setting up"),
        ("rate-limit:seconds=1", Cause.RATE_LIMITED, ""),
        ("no-rules", Cause.NO_RULES, ""),
        ("hang-up", Cause.UNREACHABLE, ""),
        ("half-answer", Cause.DISCONNECTED, ""),
        ("mute:seconds=60", Cause.UNREACHABLE, ""),
    ],
)
def test_an_answer_that_is_no_stream_makes_the_gap_last_and_is_told_apart(
    tmp_path: Path, fault: str, cause: Cause, words: str
) -> None:
    with simulated(tmp_path) as server:
        one = Listening(tmp_path, server.url, "#covid19", silence_seconds=1.0).start()
        eventually(one.has(100))
        arm(server, fault)
        arm(server, "close")
        eventually(lambda: fired(server) == 2)
        eventually(lambda: one.listener.status.connects > 2)
        eventually(one.has(one.listener.acknowledged + 100))
        eventually(lambda: any(gap.state is State.ENDED for gap in of_all_rules(one)))
        one.stop()
    assert one.failure is None
    states = [gap for gap in of_all_rules(one) if gap.state is State.ENDED]
    assert cause.value in states[0].detail or states[0].cause is cause
    kept = one.lake.table(QUARANTINE).read()["payload"].to_pylist()
    assert len(kept) == (1 if "html" in fault else 0)
    assert all(b"<html" in page for page in kept)
    assert not any("<html" in payload for payload in one.lake.table(RAW).read()["payload"].to_pylist())
    account(one, tmp_path / "record")


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("unauthorized", MissingCredentialError, "401"),
        ("forbidden", MissingCredentialError, "project"),
        ("forbidden:reason=official-client-forbidden", MissingCredentialError, "app-only"),
        ("usage-cap:period=Monthly", NetworkError, "monthly cap of the product"),
    ],
)
def test_what_only_a_person_can_put_right_ends_it_with_a_sentence_and_an_open_gap(
    tmp_path: Path, fault: str, kind: type[Exception], words: str
) -> None:
    with simulated(tmp_path) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(100))
        arm(server, fault)
        arm(server, "close")
        eventually(one.ended)
    assert isinstance(one.failure, kind)
    assert words in str(one.failure)
    (gap,) = of_all_rules(one)
    assert gap.state is State.OPEN
    assert gap.cause in (Cause.REFUSED, Cause.USAGE_CAP)
    account(one, tmp_path / "record")


def test_a_stale_connection_of_ours_is_freed(tmp_path: Path) -> None:
    """X still counts a connection that we have left: it is ended, and not waited for."""
    with simulated(tmp_path) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(100))
        arm(server, "stale-connection:seconds=120")
        arm(server, "close")
        before = one.listener.acknowledged
        eventually(one.has(before + 100))
        one.stop()
    assert one.failure is None
    account(one, tmp_path / "record")


def test_a_rule_that_somebody_deletes_is_found_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.1)
    monkeypatch.setattr("bemtevi.listen.follow.CHECK_SECONDS", 1.0)
    with simulated(tmp_path) as server:
        one = Listening(tmp_path, server.url, "#covid19").start()
        eventually(one.has(100))
        arm(server, "rules-deleted")
        eventually(lambda: any(gap.cause is Cause.LOSS for gap in read_gaps(one.lake)))
        eventually(one.has(one.listener.acknowledged + 100))
        one.stop()
    account(one, tmp_path / "record")
