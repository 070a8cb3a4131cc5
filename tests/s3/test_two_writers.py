"""Two at work on one lake although the lock says one: who was paused longer than the lease, and wakes.

The pause is made where it hurts most; meanwhile another process does the same work. Afterwards the tables
must be those of a lake that was never disturbed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from tests.support import consolidate, contents, new_lake, post, put

from bemtevi.errors import ConflictError
from bemtevi.lake.append import Appender
from bemtevi.lake.lake import Lake
from bemtevi.lake.maintenance import MaintainedTable
from bemtevi.lake.raw import FILES_BY, QUARANTINE, RAW
from bemtevi.warehouse import consolidate as consolidation
from bemtevi.warehouse.run import all_runs

POSTS = [post(number, f"#tag{number % 3} texto") for number in range(40)]


class Forgetful(Lake):
    """A lake whose locks are others', as after a lease that is over."""

    def lock(self, name: str) -> FileLock:
        return FileLock(self.local.with_name(f"{name}.forgotten"), thread_local=False)


@pytest.fixture
def paused(lake: Lake) -> Lake:
    return Forgetful(lake.layout, lake.timezone, lake.storage_options, lake.local)


@pytest.fixture
def other(lake: Lake, tmp_path: Path) -> Callable[..., None]:
    """A command in a process of its own, as on another machine."""

    def call(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "bemtevi", *arguments],
            cwd=tmp_path,
            env=os.environ
            | lake.storage_options
            | {
                "BEMTEVI_LAKE": lake.layout.root,
                "BEMTEVI_JOURNAL": str(tmp_path / "elsewhere"),
                "BEMTEVI_TIMEZONE": lake.timezone,
            },
            check=True,
        )

    return call


def once(work: Callable[[], object], then: Callable[..., Any]) -> Callable[..., Any]:
    """`then`, before which the first time something else happens."""
    done: list[None] = []

    def wrapped(*arguments: Any) -> Any:
        if not done:
            done.append(None)
            work()
        return then(*arguments)

    return wrapped


@pytest.mark.parametrize("where", ["refuse_others", "commit_run"])
def test_a_consolidation_that_slept_makes_nothing_visible(
    lake: Lake,
    paused: Lake,
    other: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    alone = new_lake(tmp_path)
    for number in range(2):
        for one in (lake, alone):
            put(one, POSTS[number * 20 : number * 20 + 20], number=number)
        if number == 0:
            consolidate(lake)
        consolidate(alone)
    # a third message that only the other sees
    late = [post(5, "#tag1 outra vez", public_metrics={"like_count": 9})]

    def meanwhile() -> None:
        put(lake, late, number=2)
        other("consolidate")

    monkeypatch.setattr(consolidation, where, once(meanwhile, getattr(consolidation, where)))
    with pytest.raises(ConflictError, match="Another process"):
        consolidate(paused)
    put(alone, late, number=2)
    consolidate(alone)
    consolidate(lake)
    assert contents(lake) == contents(alone)
    numbers = [run.number for run in all_runs(lake)]
    assert numbers == sorted(set(numbers)), "each run once"


@pytest.mark.parametrize("by", ["listener", "maintenance"])
@pytest.mark.parametrize("then", ["listener", "maintenance"])
def test_files_put_together_twice_at_once_are_there_once(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, by: str, then: str
) -> None:
    for number in range(6):
        put(lake, POSTS[number * 5 : number * 5 + 5], number=number)
    day = MaintainedTable.of(lake, RAW).data_files()[0].day

    def merge(who: str) -> None:
        if who == "maintenance":
            MaintainedTable.of(lake, RAW).compact(day)
            return
        appender = Appender(lake.table(RAW), FILES_BY)
        appender.merge([path for _, path, _ in appender.small_files()])

    meanwhile: list[str] = []

    def reach(name: str) -> None:
        if name == "raw.merging" and not meanwhile:
            meanwhile.append(name)
            merge(by)

    monkeypatch.setattr("bemtevi.crashpoint.reach", reach)
    with pytest.raises(ConflictError):
        merge(then)
    assert meanwhile
    assert lake.table(RAW).read().num_rows == 30
    assert len(MaintainedTable.of(lake, RAW).data_files()) == 1
    assert lake.table(QUARANTINE).read().num_rows == 0
