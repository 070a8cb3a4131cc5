"""The format `bemtevi` of Spark: a lake as a batch and as a stream, and a network live."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.spark.conftest import Consolidate
from tests.spark.session import PLACE, SMALL
from tests.spark.test_command import outside
from tests.support import eventually, new_lake, post, put, rows

from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.simulate import Simulation, read_record, running_x
from bemtevi.warehouse.maintain import Maintenance, Policy

DAY = 86_400


@pytest.fixture(scope="module")
def spark(small_session: None) -> Any:
    import bemtevi.spark
    from bemtevi.warehouse.engines.spark.session import open_session

    session = open_session(PLACE)
    bemtevi.spark.register(session)
    return session


def posts(*numbers: int) -> list[dict[str, Any]]:
    return [post(number, f"#tag{number % 3} ação") for number in numbers]


def test_tables_as_the_last_run_left_them(spark: Any, tmp_path: Path, on_duckdb: Consolidate) -> None:
    lake = new_lake(tmp_path)
    put(lake, posts(1, 2, 3, DAY, 2 * DAY))
    on_duckdb(lake)
    put(lake, posts(4), number=1)  # no run has seen it
    told = spark.read.format("bemtevi").load(lake.layout.root)
    held = rows(lake, "select * from fact_post")
    columns = list(held[0])
    assert told.columns == columns[: len(told.columns)]
    key = "post_id"
    found = sorted(told.toArrow().to_pylist(), key=lambda row: str(row[key]))
    expected = sorted(held, key=lambda row: str(row[key]))
    assert found == [{name: row[name] for name in told.columns} for row in expected]
    assert len(found) == 5
    hours = spark.read.format("bemtevi").option("table", "agg_hashtag_hour").load(lake.layout.root)
    assert hours.count() == len(rows(lake, "select 1 from agg_hashtag_hour"))
    assert spark.read.format("bemtevi").option("table", "raw").load(lake.layout.root).count() == 6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"table": "tweets"}, "There is no table tweets"),
        ({"hashtag": "a"}, "has no option hashtag"),
        ({"track": "#a"}, "needs the option network"),
        ({"live": "true"}, "read it with spark.readStream"),
    ],
)
def test_what_does_not_fit_is_told(
    spark: Any, tmp_path: Path, options: dict[str, str], sentence: str
) -> None:
    from pyspark.errors import PySparkException

    with pytest.raises(PySparkException, match=sentence):
        spark.read.format("bemtevi").options(**options).load(str(tmp_path / "lake")).count()


def streamed(spark: Any, lake: Lake, folder: Path) -> Counter[str]:
    """Go on with a query until there is nothing more; the ids of all the posts that it has written."""
    stream = spark.readStream.format("bemtevi").load(lake.layout.root).select("post_id", "text")
    query = (
        stream.writeStream.format("parquet")
        .option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(folder / "out"))
    )
    query.awaitTermination()
    return Counter(row["post_id"] for row in spark.read.parquet(str(folder / "out")).collect())


def test_each_post_is_streamed_once_over_restarts(spark: Any, tmp_path: Path, on_duckdb: Consolidate) -> None:
    lake = new_lake(tmp_path)

    def ids() -> Counter[str]:
        return Counter(row["post_id"] for row in rows(lake, "select post_id from fact_post"))

    put(lake, posts(1, 2, DAY))
    on_duckdb(lake)
    assert streamed(spark, lake, tmp_path) == ids()
    # the same hour is made again, with more; a new day; a post that is there already; then all is compacted
    put(lake, posts(2, 3, 3 * DAY), number=1)
    on_duckdb(lake)
    put(lake, posts(5), number=2)
    on_duckdb(lake)
    later = datetime.now(UTC) + timedelta(days=40)
    Maintenance(lake, Policy(versions_hours=10_000), lambda: later, patience=0).run()
    assert streamed(spark, lake, tmp_path) == ids()
    assert sum(ids().values()) == 6
    # killed after its second batch was planned, before it was written: the checkpoint has offsets alone
    for written in (tmp_path / "checkpoint" / "commits" / "1", tmp_path / "out" / "_spark_metadata" / "1"):
        written.unlink()
        written.with_name(f".{written.name}.crc").unlink(missing_ok=True)
    assert spark.read.parquet(str(tmp_path / "out")).count() == 3
    put(lake, posts(6, 5 * DAY), number=3)
    on_duckdb(lake)
    assert streamed(spark, lake, tmp_path) == ids()
    assert set(ids().values()) == {1}
    assert sum(ids().values()) == 8


LIVE = """
import select
import sys

import bemtevi.spark
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
bemtevi.spark.register(spark)
stream = (
    spark.readStream.format("bemtevi").option("network", "x").option("track", "#covid19").load("lake")
)
query = (
    stream.select("post_id", "text", "author_id").writeStream.format("parquet")
    .option("checkpointLocation", "checkpoint").trigger(processingTime="1 second").start("out")
)
while not select.select([sys.stdin], [], [], 0)[0]:
    query.awaitTermination(0.5)
query.stop()
"""


def listening_job(folder: Path, url: str) -> subprocess.Popen[bytes]:
    """A job of somebody's own, which streams until it is told to stop."""
    settings = {
        "BEMTEVI_X_API_URL": url,
        "BEMTEVI_X_BEARER_TOKEN": "any",
        "BEMTEVI_SEGMENT_SECONDS": "0.5",
        "PYSPARK_PYTHON": sys.executable,
    }
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf" / "spark-defaults.conf").write_text(SMALL)
    (folder / "live.py").write_text(LIVE)
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "live.py"],
            cwd=folder,
            env={**outside(), "SPARK_CONF_DIR": str(folder / "conf"), **settings},
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
        )


def written(folder: Path) -> Counter[str]:
    """The ids of what a job has committed."""
    import duckdb

    found: Counter[str] = Counter()
    for entry in (folder / "out" / "_spark_metadata").glob("[0-9]*"):
        files = [json.loads(line)["path"] for line in entry.read_text().splitlines()[1:]]
        for file in files if not entry.name.endswith(".compact") else []:
            path = unquote(file.removeprefix("file://"))
            found.update(row[0] for row in duckdb.sql(f"select post_id from '{path}'").fetchall())
    return found


def run_until(folder: Path, url: str, posts: int, *, kill: bool = True) -> int:
    """Let a job run until it has written so many posts; how it ended."""
    job = listening_job(folder, url)
    try:
        eventually(lambda: job.poll() is not None or sum(written(folder).values()) > posts, "posts", 200)
        assert job.poll() is None, (folder / "said").read_text()
        if not kill:
            job.communicate(b"stop\n", timeout=100)
    finally:
        job.kill()
        job.wait()
    return job.returncode


def test_a_network_live(tmp_path: Path) -> None:
    with running_x(
        Simulation(topics=("covid19", "vacina"), rate=50, pool=200, record=tmp_path / "record")
    ) as server:
        assert run_until(tmp_path, server.url, 50, kill=False) == 0, (tmp_path / "said").read_text()
    ids = written(tmp_path)
    delivered = set(read_record(tmp_path / "record").ids)
    assert set(ids) <= delivered
    assert set(ids.values()) == {1}
    # and the lake has them too
    raw = Counter(new_lake(tmp_path).table(RAW).read()["key"].to_pylist())
    assert set(raw) >= set(ids)
    assert set(raw.values()) == {1}


@pytest.mark.heavy
def test_a_live_job_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    with running_x(Simulation(topics=("covid19",), rate=50, pool=200, record=tmp_path / "record")) as server:
        run_until(tmp_path, server.url, 30)
        run_until(tmp_path, server.url, 120)
    ids = written(tmp_path)
    assert set(ids.values()) == {1}, "none twice"
    # of what layer 1 had up to the newest post that was written, none is missing
    raw = new_lake(tmp_path).table(RAW).read().select(["key", "received_at"]).to_pylist()
    upto = max(row["received_at"] for row in raw if row["key"] in ids)
    assert {row["key"] for row in raw if row["received_at"] <= upto} == set(ids)
