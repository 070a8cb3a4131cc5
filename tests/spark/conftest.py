"""What the tests on Spark share: one small session, and a lake consolidated by either engine.

Every test here carries the marker `spark`; `make test-spark` runs them. Nothing of PySpark is imported before
a test asks for it, so that they can be collected, and left out, where it is not installed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.spark.session import PLACE
from tests.support import consolidate

from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout
from bemtevi.warehouse.consolidate import Consolidation
from bemtevi.warehouse.rebuild import Rebuild
from bemtevi.warehouse.run import Run

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is in this folder is `spark`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.spark)
            # the first to run waits for the session, and for jars if there are none
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session", autouse=True)
def small(small_session: None) -> None:
    """What is begun in this process is small."""


Consolidate = Callable[..., list[Run]]


@pytest.fixture(scope="session")
def on_spark() -> Consolidate:
    """`tests.support.consolidate` by the other engine."""
    from bemtevi.warehouse.engines.spark.engine import SparkEngine

    def run(
        lake: Lake,
        period: tuple[datetime, datetime] | None = None,
        *,
        rules: dict[str, list[str]] | None = None,
        batch_bytes: int = 1 << 30,
        rebuild: bool = False,
    ) -> list[Run]:
        with SparkEngine(
            place=PLACE, timezone=lake.timezone, memory_limit="500MB", rule_hashtags=rules or {}
        ) as engine:
            work = Consolidation(lake, engine, batch_bytes, lambda: datetime.now(UTC))
            runs = list(work.run_new())
            if period is not None:
                runs += list(work.run_period(*period))
            if rebuild:
                again = Rebuild(lake, engine, batch_bytes, lambda: datetime.now(UTC))
                runs += filter(None, [again.run(None, None, lambda share: None)])
            return runs

    return run


@pytest.fixture(scope="session")
def on_duckdb() -> Consolidate:
    """`tests.support.consolidate`."""
    return consolidate


def twin(lake: Lake, folder: Path) -> Lake:
    """A lake with the same files."""
    shutil.copytree(lake.layout.root, folder / "lake")
    return Lake(Layout(str(folder / "lake")), lake.timezone, local=folder / "journal")


def differing(left: dict[str, list[tuple[str, ...]]], right: dict[str, list[tuple[str, ...]]]) -> list[str]:
    """What differs between two lakes' contents, in few words."""
    found = []
    for table in left:
        only_left = sorted(set(left[table]) - set(right[table]))[:1]
        only_right = sorted(set(right[table]) - set(left[table]))[:1]
        if left[table] != right[table]:
            found.append(
                f"{table}: {len(left[table])} rows {only_left} and {len(right[table])} rows {only_right}"
            )
    return found
