"""However the same messages come to the tables, these end up the same, column by column.

Any order, repetition and slicing; a run that is killed at any instant; two runs at once that no lock keeps
apart. Every message keeps its session and its time of receipt: all else varies.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.properties.reference import Message
from tests.properties.streams import START, deliver, slices, streams
from tests.support import ZONE, consolidate, contents, new_lake, post

from bemtevi import crashpoint
from bemtevi.errors import ConflictError
from bemtevi.lake import commit
from bemtevi.lake.lake import Lake
from bemtevi.warehouse import consolidate as consolidating
from bemtevi.warehouse.consolidate import Consolidation
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.run import Run

STREAMS = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
SURE_INSTANT, LAST_INSTANT = 60, 90
"""Two runs on a new lake pass six dozen crash points."""
FIRST = [
    Message(f"first{number}", START - timedelta(hours=1), json.dumps(post(number, "#a")).encode())
    for number in range(2)
]
"""So that there is something to be killed at, and to quarrel about, whatever is drawn."""
PATIENCE = 60.0

_processes = multiprocessing.get_context("forkserver")


@given(stream=streams(), data=st.data())
@settings(STREAMS, max_examples=4)
def test_any_order_and_slicing(stream: list[Message], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sliced = new_lake(Path(folder) / "sliced")
        for part in data.draw(slices(stream, most=3)):
            deliver(sliced, part)
            consolidate(sliced, batch_bytes=data.draw(st.sampled_from([1, 1 << 30])))
        as_at_once(sliced, stream, Path(folder))


def as_at_once(lake: Lake, stream: list[Message], folder: Path) -> None:
    """The tables are those of a lake to which all came at once and in order."""
    whole = new_lake(folder / "whole")
    deliver(whole, stream)
    consolidate(whole)
    found, expected = contents(lake), contents(whole)
    # a year stays in the calendar when all of its posts are deleted later
    assert set(found.pop("dim_date")) >= set(expected.pop("dim_date"))
    for name, rows in expected.items():
        assert found[name] == rows, name


class Kills:
    """Runs that are killed, with a count of those that were."""

    def __init__(self) -> None:
        self.killed = 0

    def consolidate(self, lake: Lake, instant: int) -> None:
        """One run in a process of its own, which dies as it passes its crash point of this number."""
        process = _processes.Process(target=_killed_at, args=(lake, instant))
        process.start()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
        assert process.exitcode in (0, -signal.SIGKILL)
        self.killed += process.exitcode != 0


def _killed_at(lake: Lake, instant: int) -> None:
    left = [instant]

    def reach(name: str) -> None:
        del name
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    crashpoint.reach = reach
    consolidate(lake, batch_bytes=1)


def killed(examples: int, most: int) -> None:
    """Streams that come in parts, each consolidated by a run that is killed, and by the next."""
    kills = Kills()

    @given(stream=streams(most=most), data=st.data())
    @settings(STREAMS, max_examples=examples)
    def tried(stream: list[Message], data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            lake = new_lake(Path(folder) / "killed")
            deliver(lake, FIRST)
            kills.consolidate(lake, data.draw(st.integers(1, SURE_INSTANT)))
            for part in data.draw(slices(stream, most=1)):
                deliver(lake, part)
                kills.consolidate(lake, data.draw(st.integers(1, LAST_INSTANT)))
            consolidate(lake)
            as_at_once(lake, [*FIRST, *stream], Path(folder))

    tried()
    assert kills.killed >= examples


def test_a_run_that_is_killed_at_any_instant() -> None:
    killed(examples=2, most=8)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_more_runs_that_are_killed() -> None:
    killed(examples=5, most=16)


class Rival:
    """A run that shares its lake with another, and does one step whenever it is told to."""

    def __init__(self, lake: Lake, name: str) -> None:
        self._lake = lake
        self._name = name
        self._steps: Iterator[Run] | None = None
        self.refused = 0

    def step(self) -> None:
        """Go on, or begin anew after the last run has ended or was refused."""
        self._steps = self._steps or self._begin()
        with patch.object(commit, "_process", lambda _: self._name):
            try:
                next(self._steps)
            except StopIteration:
                self._steps = None
            except ConflictError:
                self.refused += 1
                self._steps = None

    def end(self) -> None:
        """Leave off, as if it had been killed between two steps."""
        self._steps = None

    def _begin(self) -> Iterator[Run]:
        with DuckDBEngine(
            timezone=ZONE, memory_limit="1GB", threads=1, rule_hashtags={}, storage_options={}
        ) as engine:
            yield from Consolidation(self._lake, engine, 1, lambda: datetime.now(UTC)).run_new()


def interleaved(examples: int, most: int) -> None:
    """Two runs whose steps alternate in any order, as after the loss of the lock."""
    refused = [0]

    @given(stream=streams(most=most), data=st.data())
    @settings(STREAMS, max_examples=examples)
    def tried(stream: list[Message], data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder, patch.object(consolidating, "acquire", no_lock):
            lake = new_lake(Path(folder) / "shared")
            rivals = [Rival(lake, "one"), Rival(lake, "other")]
            deliver(lake, FIRST)
            for turn in (0, 1, 0):  # the last one begins where it was, and others went on
                rivals[turn].step()
            for part in data.draw(slices(stream, most=1)):
                deliver(lake, part)
                for turn in data.draw(st.lists(st.sampled_from([0, 1]), min_size=2, max_size=6)):
                    rivals[turn].step()
            for rival in rivals:
                rival.end()
                refused[0] += rival.refused
            consolidate(lake)
            as_at_once(lake, [*FIRST, *stream], Path(folder))

    tried()
    assert refused[0] >= examples


@contextmanager
def no_lock(*told: object) -> Iterator[None]:
    """Nobody is kept out."""
    del told
    yield


def test_two_runs_that_no_lock_keeps_apart() -> None:
    interleaved(examples=3, most=6)


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_more_runs_that_no_lock_keeps_apart() -> None:
    interleaved(examples=5, most=12)
