"""What is said when a part of Spark dies: one sentence."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.spark.session import PLACE
from tests.support import new_lake, post, put

from bemtevi.errors import StorageError
from bemtevi.lake.raw import RAW


def dies(ids: Any) -> list[int]:
    """Its process is killed, as when the machine has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_a_process_of_an_executor_that_is_killed(tmp_path: Path) -> None:
    from bemtevi.warehouse.engines.spark.engine import SparkEngine

    lake = new_lake(tmp_path)
    put(lake, [post(1, "#a")])
    with SparkEngine(place=PLACE, timezone=lake.timezone, memory_limit="500MB", rule_hashtags={}) as engine:
        assert engine.stage(lake.table(RAW).snapshot().files).observations == 1
        with pytest.raises(StorageError, match="nothing was changed") as told:
            engine.observed_ids(dies)
        (sentence,) = str(told.value).splitlines()
        assert "exited unexpectedly" in sentence
        # and the next question is answered
        assert engine.ask("select count(*) from observation") == [(1,)]
