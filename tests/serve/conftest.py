"""A server over a real lake: a week of invented posts, a followed hashtag, and gaps in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.support import consolidate, new_lake, put_file

from bemtevi.lake.gap import Cause, State, ended, new_gap, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules
from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.snapshot import Snapshots
from bemtevi.simulate import write_history

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
DEAF_HOURS = 6
DEAF_FROM = NOW.replace(minute=0, second=0) - timedelta(hours=60)
FILLED_FROM = NOW.replace(minute=0, second=0) - timedelta(hours=20)

Client = Callable[..., TestClient]


@pytest.fixture(scope="session")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake. Not to be changed. Six hours are deaf, and no post of them came; two are filled."""
    folder = tmp_path_factory.mktemp("heard")
    lake = new_lake(folder)
    begin = NOW - timedelta(days=7)
    rest = DEAF_FROM + DEAF_HOURS * HOUR
    for number, (since, until) in enumerate(((begin, DEAF_FROM), (rest, NOW))):
        path = folder / f"{number}.jsonl"
        write_history(
            path, ("covid19", "vacinação", "SUS"), since=since, until=until, count=2_500, seed=number
        )
        put_file(lake, path)
    change_rules(lake, "x", add=("#covid19", "#silêncio"), now=begin)
    from bemtevi.lake.gap import read_gaps

    write_gaps(lake, [ended(gap, begin + timedelta(seconds=1), begin) for gap in read_gaps(lake)])
    deaf = new_gap("x", Cause.DISCONNECTED, DEAF_FROM, listener="test", now=DEAF_FROM)
    filled = new_gap("x", Cause.SERVER_ERROR, FILLED_FROM, listener="test", now=FILLED_FROM)
    from dataclasses import replace

    write_gaps(
        lake,
        [
            ended(deaf, rest, rest),
            replace(
                ended(filled, FILLED_FROM + 2 * HOUR, NOW),
                state=State.FILLED,
                filled_by="search",
                filled_posts=12,
                missing_kinds=("deleted posts",),
            ),
        ],
    )
    consolidate(lake)
    return lake


@pytest.fixture(scope="session")
def snapshots(heard: Lake) -> Iterator[Snapshots]:
    """The server's view of it."""
    with Snapshots(heard, memory_limit="1GB", sql_memory_limit="256MB", threads=2) as made:
        yield made


@pytest.fixture(scope="session")
def client(snapshots: Snapshots) -> TestClient:
    """Somebody on this machine."""
    return TestClient(create_app(snapshots, Access(None)), base_url="http://127.0.0.1")


@pytest.fixture(scope="session")
def public(snapshots: Snapshots) -> TestClient:
    """Somebody elsewhere, without the token."""
    app = create_app(snapshots, Access("secret", "key"), local=False)
    return TestClient(app, base_url="http://news.example")


@pytest.fixture
def empty_client(tmp_path: Path) -> Iterator[TestClient]:
    """A server over nothing."""
    with Snapshots(new_lake(tmp_path), memory_limit="1GB", sql_memory_limit="256MB", threads=1) as made:
        yield TestClient(create_app(made, Access(None)), base_url="http://127.0.0.1")
