"""The quota of connects, with real connects: a server that accepts and closes, and enforces it.

X's window is 15 minutes; here both sides have one of some seconds. That an hour of the real schedule keeps
the quota is tested on a simulated clock beside the schedule.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.faults.scene import scene

pytestmark = pytest.mark.faults

WINDOW = 8.0
QUOTA = 50


def most_in_a_window(times: list[datetime], seconds: float) -> int:
    """The most connects in any window of that length."""
    window = timedelta(seconds=seconds)
    return max(sum(begin <= at < begin + window for at in times) for begin in times)


@pytest.mark.parametrize("fault", ["close:times=0,apart=2", "reset:times=0,apart=2"])
def test_the_quota_is_never_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr("bemtevi.listen.schedule.WINDOW_SECONDS", WINDOW)
    with scene(tmp_path, rate=2_000, enforce_limits=True, limit_window=WINDOW) as one:
        one.fault(fault)
        time.sleep(2.5 * WINDOW)
        one.calm()
        one.hears()
        one.finish()
        recorded = one.recorded()
    connects = [*recorded.opened_at.values(), *(answer.at for answer in recorded.refused)]
    assert not recorded.refused  # never a 429
    assert len(connects) > 1.5 * QUOTA  # the quota is used, not only kept
    assert most_in_a_window(connects, WINDOW) <= QUOTA


def test_the_quota_is_kept_over_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bemtevi.listen.schedule.WINDOW_SECONDS", WINDOW)
    with scene(tmp_path, rate=2_000, enforce_limits=True, limit_window=WINDOW) as one:
        one.fault("close:times=0,apart=2")
        until = time.monotonic() + 1.5 * WINDOW
        while time.monotonic() < until:
            time.sleep(1.0)
            one.stop()
            one.listen()
        one.calm()
        one.hears()
        one.finish()
        recorded = one.recorded()
    connects = [*recorded.opened_at.values(), *(answer.at for answer in recorded.refused)]
    assert not [answer for answer in recorded.refused if answer.path == "stream"]
    assert most_in_a_window(connects, WINDOW) <= QUOTA
