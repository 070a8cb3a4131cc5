"""Consolidating regularly: by the clock, and sooner when much waits."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest
from tests.support import consolidate, new_lake, post, put

from bemtevi.cli import warehouse
from bemtevi.cli.background import turns
from bemtevi.cli.warehouse import consolidate_regularly
from bemtevi.lake.lake import Lake
from bemtevi.settings import load_settings
from bemtevi.warehouse.run import last_run
from bemtevi.warehouse.waiting import Waiting


def test_what_waits_is_what_came_since_the_last_run(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    waiting = Waiting(lake)
    assert waiting.size() == 0
    put(lake, [post(1, "#a")], number=0)
    first = waiting.size()
    assert first > 0
    put(lake, [post(2, "#a")], number=1)
    assert waiting.size() > first
    assert waiting.size() == Waiting(lake).size()
    consolidate(lake)
    assert Waiting(lake).size() == 0


def test_a_turn_comes_sooner_when_it_is_asked_for() -> None:
    stop = threading.Event()
    asked: list[int] = []

    def sooner() -> bool:
        asked.append(1)
        return len(asked) == 3

    made = turns(timedelta(days=1), stop, sooner, look=0.01)
    next(made)
    next(made)
    assert len(asked) == 3
    stop.set()
    assert list(made) == []


def test_much_that_waits_is_consolidated_before_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warehouse, "turns", partial(turns, look=0.05))
    lake = new_lake(tmp_path)
    settings = load_settings(
        lake=lake.layout.root, journal=tmp_path / "journal", threads=2, batch_bytes=1 << 20
    )
    stop = threading.Event()
    put(lake, [post(1, "#a")], number=0)
    thread = threading.Thread(
        target=consolidate_regularly, args=(settings, lake, timedelta(days=1), stop), daemon=True
    )
    thread.start()
    try:
        assert _run_after(lake, 0) == 1
        put(lake, [post(2, "#a")], number=1)
        time.sleep(0.5)
        assert _run_after(lake, 0) == 1  # that is little
        noise = Random(1)
        texts = ["".join(chr(noise.randrange(0x4E00, 0x9000)) for _ in range(5_000)) for _ in range(150)]
        put(lake, [post(10 + index, f"#a {text}") for index, text in enumerate(texts)], number=2)
        assert _run_after(lake, 1) == 2
    finally:
        stop.set()
        thread.join(30)


def _run_after(lake: Lake, number: int) -> int:
    for _ in range(600):
        last = last_run(lake)
        if last is not None and last.number > number:
            return last.number
        time.sleep(0.05)
    raise AssertionError(number)
