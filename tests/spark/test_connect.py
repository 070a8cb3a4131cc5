"""The engine through a Spark Connect server, from a process that starts no Java."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.spark.conftest import Consolidate, differing
from tests.spark.connect import ConnectServer
from tests.spark.test_command import bemtevi
from tests.support import contents, new_lake, post, put, rows

POSTS = [post(number * 400, f"#tag{number % 3} ação") for number in range(40)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectServer]:
    server = ConnectServer(tmp_path_factory.mktemp("connect"))
    server.start()
    yield server
    server.stop()


def test_the_same_tables_over_connect(server: ConnectServer, tmp_path: Path, on_duckdb: Consolidate) -> None:
    here, there = new_lake(tmp_path / "here"), new_lake(tmp_path / "there")
    settings = {
        "BEMTEVI_SPARK": server.place,
        "BEMTEVI_LAKE": there.layout.root,
        "BEMTEVI_JOURNAL": str(tmp_path / "journal"),
        "JAVA_HOME": "/nowhere",  # none is needed here
    }
    for lake in (here, there):
        put(lake, [*POSTS[:20], {"data": {"id": "no", "text": "no"}}])
        put(lake, [*POSTS[10:], {"user_suspend": {"id": 8}}], number=1)
    on_duckdb(here)
    done = bemtevi(tmp_path, "consolidate", "--engine", "spark", **settings)
    assert done.returncode == 0, done.stderr
    assert rows(there, "select engine, posts_after from run") == [{"engine": "spark", "posts_after": 40}]
    assert differing(contents(here), contents(there)) == []
    kept = bemtevi(tmp_path, "maintain", "--engine", "spark", **settings)
    assert kept.returncode == 0, kept.stderr
    assert "run: " in kept.stdout
    assert differing(contents(here), contents(there)) == []
    told = bemtevi(tmp_path, "doctor", "--engine", "spark", **settings)
    assert f"somebody answers at {server.place}" in told.stdout, told.stdout
