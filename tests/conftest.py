"""What every test may ask for, and what is told at the end.

Owns: one seed for all processes that run tests side by side; where the real payloads are found. They are
public writing of real people and never part of this repository: `BEMTEVI_REAL_DATA`, or `shared/data` beside
it. Tests that ask for `real_data` are collected only where the folder exists.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from tests import summary
from tests.s3.server import S3Server
from tests.spark import session

# No time limit of an example: tests run side by side, and how long one takes says nothing of what it tests.
hypothesis.settings.register_profile(
    "side by side", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("side by side")

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure() -> None:
    """Choose the seed of the kills; let modules that list the real files at collection read one variable."""
    os.environ["BEMTEVI_TEST_SEED"] = os.environ.get("BEMTEVI_TEST_SEED") or str(
        random.SystemRandom().randrange(1 << 32)
    )
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


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Choices and instants by seed and test; how far a process gets until then is up to the machine."""
    return random.Random(f"{os.environ['BEMTEVI_TEST_SEED']} {request.node.name}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The tables, of whatever was run."""
    summary.accounts(terminalreporter)
    summary.kills(terminalreporter, os.environ["BEMTEVI_TEST_SEED"])


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server on this machine."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """The address of a prefix in a new bucket."""
    return s3_server.bucket(f"bucket-{uuid.uuid4()}") + "/some/prefix"


@pytest.fixture(scope="session")
def small_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One session of Spark for all tests of this process, for small inputs."""
    with session.small_session(tmp_path_factory.mktemp("spark-conf")):
        yield
