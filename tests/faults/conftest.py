"""Short waits, and the row of each test in the table of what they ended with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from tests.faults.scene import ACCOUNTS
from tests.summary import ACCOUNT


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator takes rules at once, where X needs 20 s; they are looked at every 2 s."""
    monkeypatch.setattr("bemtevi.listen.follow.SETTLE", timedelta(seconds=0.2))
    monkeypatch.setattr("bemtevi.listen.follow.CHECK_SECONDS", 2.0)
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.3)


@pytest.fixture(autouse=True)
def told(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """The accounts of the test are told at the end of the run."""
    ACCOUNTS.clear()
    yield
    for name, one in ACCOUNTS:
        lost = len(one.lost) + len(one.not_filled) + len(one.lost_messages)
        row = (
            *(name[:62], one.delivered, one.missed, one.by_stream + one.quarantined, one.by_search),
            *(one.in_gaps, f"{one.gap_seconds:.1f}", lost, len(one.doubled), len(one.unexplained)),
        )
        record_property(ACCOUNT, list(row))
