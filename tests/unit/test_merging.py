"""When small files are merged: those of a minute as they come, those of an hour when it is over."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support import new_lake

from bemtevi.lake.append import MERGED_BYTES, Appender
from bemtevi.lake.raw import FILES_BY, RAW
from bemtevi.listen.dialects import EnvelopeReader
from bemtevi.listen.merging import FEW_FILES, LATE_SECONDS, Merging, bins
from bemtevi.listen.message import Messages, Origin, shape

MEBIBYTE = 1024 * 1024


def test_bins_are_of_one_hour_and_bounded() -> None:
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    files = [
        (("2026-11-24", "11"), "a", 1),
        (("2026-11-24", "9"), "b", 1),
        (("2026-11-24", "11"), "c", 1),
        (("2026-11-24", "12"), "now", 1),
        (("2026-11-24", "12"), "now too", 1),
        (("2026-11-23", "23"), "yesterday", 1),
        (("2026-11-23", "23"), "yesterday too", 1),
        (("2026-11-25", "0"), "tomorrow", 1),
        (("2026-11-25", "0"), "a clock that was wrong", 1),
    ]
    assert sorted(bins(files, noon)) == [["a", "c"], ["yesterday", "yesterday too"]]
    large = [(("2026-11-24", "3"), str(number), 30 * MEBIBYTE) for number in range(5)]
    assert sorted(bins(large, noon)) == [["0", "1"], ["2", "3"]]
    assert 3 * 30 * MEBIBYTE > MERGED_BYTES
    assert bins([], noon) == []


@pytest.mark.parametrize("posts", [1, 3])
def test_a_day_of_a_quiet_hashtag_leaves_a_file_an_hour(tmp_path: Path, posts: int) -> None:
    """Here a commit in half a minute, three hours of it; and at no time many files."""
    table = new_lake(tmp_path).table(RAW)
    appender = Appender(table, FILES_BY)
    start = datetime(2026, 11, 24, 10, tzinfo=UTC).timestamp()
    now = start
    merging = Merging(appender, lambda: now)
    most = commits = 0
    while now < start + 3 * 3600:
        lines = [json.dumps({"data": {"id": "1", "text": "a"}}).encode()] * posts
        origin = Origin("x", "host", "stream", "s")
        times = [int(now * 1e6)] * posts
        messages = Messages(origin, lines, times, range(commits * posts, (commits + 1) * posts))
        addition = appender.begin()
        addition.add(shape([messages], EnvelopeReader()).raw)
        appender.commit(addition, ("listener", commits))
        commits += 1
        merging.added(addition)
        merging.merge_one()
        most = max(most, len(table.snapshot().files))
        now += 30
    now += LATE_SECONDS
    for _ in range(5):
        merging.merge_one()
    assert len(table.snapshot().files) == 3
    assert most <= FEW_FILES + LATE_SECONDS // 30 + 5
    assert sorted(table.read()["sequence"].to_pylist()) == list(range(commits * posts))
