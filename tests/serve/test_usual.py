"""What is usual at an hour of the week: the same hour on the clock, of which the time heard counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient
from tests.support import consolidate, new_lake, post, put

from bemtevi.lake.gap import Cause, ended, new_gap, read_gaps, write_gaps
from bemtevi.lake.lake import Lake
from bemtevi.lake.track import change_rules
from bemtevi.serve.api import create_app
from bemtevi.serve.api.guard import Access
from bemtevi.serve.ask.usual import per_minute, same_hours
from bemtevi.serve.snapshot import Snapshots

HOUR = timedelta(hours=1)
FIRST_POST = datetime(2026, 11, 24, 10, tzinfo=UTC)
"""The time of the post with number 0."""


def test_it_is_the_hour_of_the_clock_over_a_change_of_clocks() -> None:
    """São Paulo put its clocks on on 4 November 2018: 15 o'clock was 18 UTC before, and 17 since."""
    now = datetime(2018, 11, 14, 17, 40, tzinfo=UTC)
    hours = same_hours(now, ZoneInfo("America/Sao_Paulo"))
    assert [(at.day, at.hour) for at in hours] == [(7, 17), (31, 18), (24, 18), (17, 18)]


def test_only_what_was_heard_counts() -> None:
    one, other, deaf = (datetime(2026, 11, day, 10, tzinfo=UTC) for day in (10, 17, 24))
    rows = [{"at": one, "posts": 120}, {"at": other, "posts": 30}, {"at": deaf, "posts": 5}]
    assert per_minute(rows, {one: 1.0, other: 0.5, deaf: 0.1}) == pytest.approx(150 / 90)
    assert per_minute([], {one: 1.0}) == 0
    assert per_minute(rows, {one: 0.2, other: 0.0}) is None


def told(lake: Lake) -> float | None:
    with Snapshots(lake, memory_limit="512MB", sql_memory_limit="256MB", threads=1) as snapshots:
        client = TestClient(create_app(snapshots, Access(None)), base_url="http://127.0.0.1")
        answer = client.get("/api/v1/hashtags/a/summary", params={"last": "24h"})
        assert answer.status_code == 200, answer.text
        found: float | None = answer.json()["data"]["usual_per_minute"]
        return found


def test_from_posts_to_the_answer(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    now = datetime.now(UTC)
    hours = same_hours(now, ZoneInfo(lake.timezone))
    # as many in the hour after: it may begin while this is tried
    lines = [
        post(int((at + after * HOUR - FIRST_POST).total_seconds()) + second * 3600 // count, "um #a")
        for at, count in zip(hours, (120, 60, 60), strict=False)
        for after in (0, 1)
        for second in range(count)
    ]
    put(lake, lines, received_at=now - HOUR)
    consolidate(lake)
    # of the oldest of the four nothing is known; 240 posts in three hours
    assert told(lake) == pytest.approx(240 / 180)

    change_rules(lake, "x", add=("#a",), now=hours[-1])
    write_gaps(lake, [ended(gap, hours[-1], hours[-1]) for gap in read_gaps(lake)])
    assert told(lake) == pytest.approx(240 / 240)
    deaf = new_gap("x", Cause.DISCONNECTED, hours[0], listener="test", now=hours[0])
    write_gaps(lake, [ended(deaf, hours[0] + 2 * HOUR, now)])
    assert told(lake) == pytest.approx(120 / 180)
