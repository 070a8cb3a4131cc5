"""A cluster of a master and two workers, and the lake on S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.s3.conftest import lake_at
from tests.s3.server import SECRET, S3Server
from tests.spark.cluster import Cluster
from tests.spark.conftest import Consolidate, differing
from tests.spark.test_command import bemtevi
from tests.support import contents, new_lake, post, put, rows

from bemtevi.lake.lake import Lake

POSTS = [post(number * 400, f"#tag{number % 3} ação") for number in range(60)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "of-tests")
    cluster.start()
    yield cluster
    cluster.stop()


def environment(lake: Lake, folder: Path) -> dict[str, str]:
    return lake.storage_options | {
        "BEMTEVI_LAKE": lake.layout.root,
        "BEMTEVI_JOURNAL": str(folder / "journal"),
        "BEMTEVI_TIMEZONE": lake.timezone,
    }


def test_a_lake_on_s3(
    cluster: Cluster, s3_server: S3Server, bucket: str, tmp_path: Path, on_duckdb: Consolidate
) -> None:
    here, there = new_lake(tmp_path), lake_at(bucket, s3_server.options(), tmp_path)
    for lake in (here, there):
        put(lake, POSTS[:30])
        put(lake, [*POSTS[30:], {"data": {"id": "no", "text": "no"}}], number=1)
    on_duckdb(here)
    done = bemtevi(
        tmp_path, "consolidate", "--engine", "spark", **cluster.environment(), **environment(there, tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert rows(there, "select engine, posts_after from run") == [{"engine": "spark", "posts_after": 60}]
    assert differing(contents(here), contents(there)) == []
    both = [log for log in cluster.folder.glob("worker*/app-*/*/stderr") if "Running task" in log.read_text()]
    assert len(both) == 2, "both workers worked"
    assert SECRET not in done.stdout + done.stderr + cluster.said()
