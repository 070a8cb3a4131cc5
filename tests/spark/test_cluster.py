"""A cluster of a master and two workers, and what it does when a part of it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.s3.conftest import lake_at
from tests.s3.server import SECRET, S3Server
from tests.spark.cluster import CLUSTER, Cluster
from tests.spark.conftest import Consolidate, differing
from tests.spark.test_command import begun, bemtevi
from tests.support import contents, new_lake, post, put, rows

from bemtevi.errors import StorageError
from bemtevi.lake.lake import Lake
from bemtevi.warehouse.run import last_run

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


@pytest.mark.heavy
def test_executors_whose_python_has_nothing_of_ours(
    cluster: Cluster, tmp_path: Path, on_duckdb: Consolidate
) -> None:
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    bare = subprocess.run([python, "-c", "import bemtevi"], capture_output=True, text=True, cwd=tmp_path)
    assert "No module named 'bemtevi'" in bare.stderr
    here, there = new_lake(tmp_path / "here"), new_lake(tmp_path / "there")
    for lake in (here, there):
        put(lake, POSTS)
    on_duckdb(here)
    settings = cluster.environment() | environment(there, tmp_path) | {"SPARK_CONF_DIR": str(tmp_path)}
    theirs = CLUSTER + f"spark.pyspark.python = {python}\n"
    (tmp_path / "spark-defaults.conf").write_text(theirs)
    failed = bemtevi(tmp_path, "consolidate", "--engine", "spark", **settings)
    assert failed.returncode == StorageError.exit_code, failed.stderr
    assert "No module named" in failed.stderr
    packed = bemtevi(tmp_path, "spark-pack", "ours.tar.gz")
    assert packed.returncode == 0, packed.stderr
    archives, path, _ = packed.stdout.splitlines()
    (tmp_path / "spark-defaults.conf").write_text(f"{theirs}{archives}\n{path}\n")
    done = bemtevi(tmp_path, "consolidate", "--engine", "spark", **settings)
    assert done.returncode == 0, done.stderr
    assert differing(contents(here), contents(there)) == []


@pytest.mark.heavy
def test_what_dies_in_the_middle_changes_no_table(
    cluster: Cluster, tmp_path: Path, on_duckdb: Consolidate
) -> None:
    """The driver, an executor, a worker: each killed while files are written; then once more."""
    here, there = new_lake(tmp_path / "here"), new_lake(tmp_path / "there")
    settings = cluster.environment() | environment(there, tmp_path / "there")

    def killed_while_written(table: str, victim: Callable[[int], int]) -> tuple[int, str]:
        files = Path(there.layout.table(2, table))
        before = set(files.rglob("*.parquet"))
        run = begun(tmp_path, "consolidate", "--engine", "spark", **settings)
        until = time.monotonic() + 300
        while set(files.rglob("*.parquet")) <= before:
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < until, "nothing was written"
            time.sleep(0.01)
        os.kill(victim(run.pid), signal.SIGKILL)
        _, said = run.communicate(timeout=300)
        return run.returncode, said

    def more(number: int) -> None:
        for lake in (here, there):
            put(lake, POSTS[number * 15 : number * 15 + 30], number=number)

    more(0)
    assert killed_while_written("fact_post", lambda driver: driver)[0] == -signal.SIGKILL
    assert last_run(there) is None
    more(1)
    told = [killed_while_written("bridge_post_hashtag", lambda _: cluster.executors()[0])]
    more(2)
    told.append(killed_while_written("fact_post", lambda _: cluster.workers[0].pid))
    cluster.add_worker()
    for code, said in told:
        assert code in (0, StorageError.exit_code), said
        assert "Traceback" not in said
        assert code == 0 or "nothing was changed" in said.splitlines()[-1], said
    more(3)
    done = bemtevi(tmp_path, "consolidate", "--engine", "spark", **settings)
    assert done.returncode == 0, done.stderr
    on_duckdb(here)
    assert differing(contents(here), contents(there)) == []
