"""The instants of the kills, and the row of each test in the table of what came of them."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Callable, Iterator

import pytest
from tests.recovery.killing import TALLIES
from tests.summary import KILLS


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Instants by seed and test; how far a process gets until then is up to the machine."""
    return random.Random(f"{os.environ['BEMTEVI_TEST_SEED']} {request.node.name}")


@pytest.fixture(autouse=True)
def told(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """What the test counts is told at the end of the run."""
    TALLIES.clear()
    yield
    for one in TALLIES:
        record_property(KILLS, dataclasses.asdict(one))
