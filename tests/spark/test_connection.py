"""Tables of a lake as DataFrames of somebody's Spark session: the same rows, the same types."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.test_docs import blocks
from tests.spark.session import PLACE
from tests.support import consolidate, new_lake, post, put

import bemtevi


def test_a_table_is_a_data_frame_with_its_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark.sql import SparkSession

    lake = new_lake(tmp_path)
    put(lake, [post(number, "um #covid19") for number in range(3)])
    consolidate(lake)
    session = SparkSession.builder.master(PLACE).config("spark.sql.session.timeZone", "UTC").getOrCreate()
    with bemtevi.connect(lake.layout.root, journal=lake.local) as warehouse:
        posts = warehouse.spark("fact_post", session)
        assert posts.columns == warehouse.table("fact_post").columns[: len(posts.columns)]
        known = warehouse.sql("select post_id, author_key, created_date from fact_post order by 1").fetchall()
        found = posts.orderBy("post_id").select("post_id", "author_key", "created_date").collect()
        assert [tuple(row) for row in found] == known
        types = dict(posts.dtypes)
        assert (types["created_at"], types["created_at_local"]) == ("timestamp", "timestamp_ntz")
        assert warehouse.spark("tombstone", session).count() == 0
    monkeypatch.chdir(tmp_path)
    for _, example in blocks("docs/spark.md", "python"):
        exec(example, {"session": session})  # noqa: S102  as the page says it
