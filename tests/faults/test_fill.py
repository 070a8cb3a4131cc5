"""Faults with filling: what search can find of a gap that is said to be filled is here, and once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.scene import scene

from bemtevi.lake.gap import State

pytestmark = pytest.mark.faults


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaps are looked for each 0.3 s, and search is asked again soon."""
    monkeypatch.setattr("bemtevi.listen.fill.LOOK_SECONDS", 0.3)
    monkeypatch.setattr("bemtevi.listen.fill.RETRY_SECONDS", 0.5)
    monkeypatch.setattr("bemtevi.listen.x_patience.RETRY_SECONDS", 0.3)


@pytest.mark.parametrize("fault", ["abrupt:times=3,apart=200", "cut:times=3,apart=200", "away:seconds=2"])
def test_what_was_missed_is_brought(tmp_path: Path, fault: str) -> None:
    with scene(tmp_path, fill=True) as one:
        one.fault(fault)
        one.fired(fault.partition(":")[0], 3 if "times" in fault else 1)
        one.hears()
        made = one.finish()
    assert made.by_search > 0
    assert made.states[State.FILLED] + made.states[State.PARTLY_FILLED] >= 1


@pytest.mark.parametrize(
    "fault",
    [
        "unavailable:of=search,times=2",
        "html:of=search",
        "rate-limit:of=search,seconds=2",
        "hang-up:of=search",
    ],
)
def test_a_search_that_fails_is_asked_again(tmp_path: Path, fault: str) -> None:
    with scene(tmp_path, fill=True) as one:
        one.fault(fault)
        one.fault("away:seconds=1.5")
        one.fired("away")
        one.fired(fault.partition(":")[0])
        one.hears()
        made = one.finish()
    assert made.by_search > 0


def test_a_listener_that_was_stopped_fills_when_it_is_started_again(tmp_path: Path) -> None:
    with scene(tmp_path, fill=True) as one:
        one.stop()
        one.listen()
        one.hears(300)
        made = one.finish()
    assert made.by_search > 0
