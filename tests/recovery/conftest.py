"""The row of each test in the table of what came of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from tests.recovery.killing import TALLIES
from tests.summary import KILLS


@pytest.fixture(autouse=True)
def told(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """What the test counts is told at the end of the run."""
    TALLIES.clear()
    yield
    for one in TALLIES:
        record_property(KILLS, dataclasses.asdict(one))
