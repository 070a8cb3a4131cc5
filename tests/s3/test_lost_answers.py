"""A commit that went well, and whose answer was lost: the repetition is refused, and yet it is ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.s3.conftest import lake_at
from tests.s3.proxy import Fate, FaultProxy
from tests.s3.server import S3Server
from tests.support import consolidate, contents, new_lake, post, put

from bemtevi.lake.lake import Lake
from bemtevi.lake.raw import RAW
from bemtevi.warehouse.run import all_runs

FIRST = [post(number, f"#tag{number % 3} texto") for number in range(20)]
SECOND = [post(number, "#tag1 de novo") for number in range(15, 25)]


@pytest.mark.parametrize("fault", ["lost_answer", "error_after"])
def test_no_commit_fails_because_its_answer_was_lost(
    bucket: str, s3_server: S3Server, proxy: FaultProxy, tmp_path: Path, fault: str
) -> None:
    """Of every other commit of two runs: no work of ours fails, and all is there once."""
    quiet = lake_at(bucket, s3_server.options(), tmp_path)
    alone = new_lake(tmp_path / "alone")
    shaken: Lake = lake_at(bucket, s3_server.options(proxy.port), tmp_path)
    proxy.set(Fate(0.5, (fault,), seed=3, conditional=True, once=True))
    for number, posts in enumerate((FIRST, SECOND)):
        for lake in (shaken, alone):
            put(lake, posts, number=number)
            consolidate(lake)
    assert proxy.done[fault] > 10
    assert quiet.table(RAW).read().num_rows == 30
    assert contents(quiet) == contents(alone)
    assert [run.number for run in all_runs(quiet)] == [1, 2]
