"""The seed of the kills, and the table of what came of them."""

from __future__ import annotations

import os
import random

import pytest
from tests.recovery.killing import TALLIES

SEED = int(os.environ.get("BEMTEVI_TEST_SEED") or random.SystemRandom().randrange(1 << 32))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Instants by seed and test; how far a process gets until then is up to the machine."""
    return random.Random(f"{SEED} {request.node.name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was killed and what was found afterwards."""
    if not TALLIES:
        return
    terminalreporter.section("kill -9")
    line = "{:<34} {:>6} {:>10} {:>10} {:>10} {:>6} {:>8}".format
    terminalreporter.write_line(line("work", "kills", "delivered", "stored", "in flight", "lost", "doubled"))
    for one in TALLIES:
        terminalreporter.write_line(
            line(one.work, one.kills, one.delivered, one.stored, one.in_flight, one.lost, one.doubled)
        )
        for remark in one.remarks:
            terminalreporter.write_line(f"    {remark}")
    terminalreporter.write_line(
        f"{sum(one.kills for one in TALLIES)} kills; again with BEMTEVI_TEST_SEED={SEED}"
    )
