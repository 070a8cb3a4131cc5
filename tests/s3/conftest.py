"""What the tests on S3 share: an empty bucket of the real server, and the proxy in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.s3.proxy import FaultProxy, fault_proxy
from tests.s3.server import S3Server
from tests.support import ZONE

from bemtevi.errors import ConflictError, StorageError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layout import Layout


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is run by `make test-s3`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("s3")


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    with fault_proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def lake(s3_server: S3Server, bucket: str, tmp_path: Path) -> Lake:
    """A lake in an empty bucket, without faults."""
    return lake_at(bucket, s3_server.options(), tmp_path)


def lake_at(root: str, options: dict[str, str], folder: Path) -> Lake:
    return Lake(Layout(root), ZONE, options, local=folder / "journal")


def until_it_works(work: Callable[[], object], tries: int = 60) -> int:
    """How often it failed before, as a person or a schedule would try it again."""
    for failed in range(tries):
        try:
            work()
        except (StorageError, ConflictError):
            continue
        return failed
    raise AssertionError("it never worked")
