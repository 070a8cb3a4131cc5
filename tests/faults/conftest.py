"""Short waits, and the table of what each fault test ended with."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.faults.scene import ACCOUNTS


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator takes rules at once, where X needs 20 s; they are looked at every 2 s."""
    monkeypatch.setattr("bemtevi.listen.follow.SETTLE", timedelta(seconds=0.2))
    monkeypatch.setattr("bemtevi.listen.follow.CHECK_SECONDS", 2.0)
    monkeypatch.setattr("bemtevi.listen.follow.WATCH_SECONDS", 0.3)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every account in one line."""
    if not ACCOUNTS:
        return
    terminalreporter.section("faults: layer 1 and the ledger of gaps against the record")
    line = "{:<62} {:>9} {:>8} {:>8} {:>8} {:>7} {:>7} {:>5} {:>7} {:>11}".format
    heads = ("test", "delivered", "withheld", "stream", "search", "in gaps", "gap s", "lost", "doubled")
    terminalreporter.write_line(line(*heads, "unexplained"))
    for name, one in ACCOUNTS:
        lost = len(one.lost) + len(one.not_filled) + len(one.lost_messages)
        terminalreporter.write_line(
            line(
                name[:62],
                one.delivered,
                one.missed,
                one.by_stream + one.quarantined,
                one.by_search,
                one.in_gaps,
                f"{one.gap_seconds:.1f}",
                lost,
                len(one.doubled),
                len(one.unexplained),
            )
        )
