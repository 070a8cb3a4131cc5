"""What every test may ask for.

Owns: where the real payloads are found. They are public writing of real people and never part of this
repository: `BEMTEVI_REAL_DATA`, or `shared/data` beside it. Tests that ask for `real_data` are collected only
where the folder exists.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """Let test modules that list the real files at collection read one variable."""
    if "BEMTEVI_REAL_DATA" not in os.environ and _BESIDE.is_dir():
        os.environ["BEMTEVI_REAL_DATA"] = str(_BESIDE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs real data where there is none: the summary counts it as deselected."""
    if Path(os.environ.get("BEMTEVI_REAL_DATA") or os.devnull).is_dir():
        return
    without = [item for item in items if "real_data" not in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in without])
    items[:] = without


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real payloads."""
    return Path(os.environ["BEMTEVI_REAL_DATA"])
