"""Posts read: once a post a day, kept over restarts, and never fewer than were read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import new_lake, post, put

from bemtevi.lake.layout import JournalLayout
from bemtevi.listen import meter
from bemtevi.listen.meter import KnownIds, Meter, as_numbers, load, read_file, write_file

DAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@given(st.lists(st.lists(st.integers(0, 300), max_size=60)))
def test_known_ids_are_a_set(batches: list[list[int]]) -> None:
    known, plain = KnownIds(), set[int]()
    for batch in batches:
        fresh = set(batch) - plain
        plain |= fresh
        assert known.add(np.array(batch, np.uint64)) == len(fresh)
        assert len(known) == len(plain)


def test_known_ids_are_merged_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "MERGE_IDS", 100)
    monkeypatch.setattr(meter, "MOST_IDS", 1_000)
    known = KnownIds()
    for start in range(0, 1_000, 50):
        assert known.add(np.arange(start, start + 50, dtype=np.uint64)) == 50
    assert known.add(np.arange(1_000, dtype=np.uint64)) == 0
    beyond = np.arange(5_000, 5_010, dtype=np.uint64)
    assert known.add(beyond) == 10
    assert known.add(beyond) == 10  # no room to know them: they count again, which is never too few
    assert len(known) == 1_000


def test_a_post_counts_once_a_day_and_again_the_next() -> None:
    counted = Meter()
    ids = as_numbers(["1", "2", "3"])
    assert counted.add(DAY, ids) == 3
    assert counted.add(DAY, ids[:2]) == 0
    tomorrow = DAY + timedelta(days=1)
    assert counted.add(tomorrow, ids) == 3
    assert counted.add(DAY, ids) == 3  # late, of a day that is not known any more
    assert counted.days == {DAY: 6, tomorrow: 3}
    assert (counted.since(DAY), counted.since(tomorrow)) == (9, 3)


def test_ids_that_are_no_numbers_are_told_apart() -> None:
    found = as_numbers(["at://a/b", "at://a/c", "7", "99999999999999999999"])
    assert len(set(found.tolist())) == 4
    assert found[2] == 7


def test_a_file_is_read_as_it_was_written_and_a_bad_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "read-posts.json"
    assert read_file(path).by_day() == {}
    write_file(path, Meter({DAY: 5}), 25)
    assert (read_file(path).by_day(), read_file(path).percent) == ({DAY: 5}, 25)
    for bad in (b"", b'{"days":{"x":1}}', b"\xff", b'{"days":[]}', b'{"days":{},"percent":0}'):
        path.write_bytes(bad)
        assert read_file(path).by_day() == {}


def test_what_the_file_lacks_is_counted_again_from_layer_1(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    path = JournalLayout(tmp_path, "x").read_posts
    path.parent.mkdir()
    yesterday = DAY - timedelta(days=1)
    put(lake, [post(1), post(2)], session="a", received_at=NOON - timedelta(days=1))
    put(lake, [post(1), post(1), post(3), b"no json", {"errors": [{}]}], session="b", received_at=NOON)
    page = {"data": [post(3)["data"], post(4)["data"]], "meta": {"result_count": 2}}
    put(lake, [page], session="c", received_at=NOON, path="search")
    put(lake, [post(9)], session="d", received_at=NOON, path="archive")  # a file costs nothing
    put(lake, [post(8)], session="e", received_at=NOON - timedelta(days=40))
    month = date(2026, 11, 1)
    assert load(path, lake, "x", month).days == {yesterday: 2, DAY: 3}
    # a day that is over is as the file has it, though layer 1 has lost some of it since
    write_file(path, Meter({yesterday: 70, DAY: 1}), 100)
    counted = load(path, lake, "x", month)
    assert counted.days == {yesterday: 70, DAY: 3}
    assert counted.add(DAY, as_numbers([post(1)["data"]["id"], post(3)["data"]["id"]])) == 0  # known still
    assert load(path, lake, "mastodon", month).days == {yesterday: 70, DAY: 1}
    assert load(tmp_path / "none", new_lake(tmp_path / "empty"), "x", month).days == {}
