"""A rebuild that is killed: readers keep what they had, and the next one comes through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.recovery.killing import Place
from tests.support import contents, new_lake, post, put

from bemtevi.warehouse.run import all_runs

POINTS = (
    "fact_post.committing",
    "bridge_post_hashtag.committed",
    "rebuild.step",
    "rebuild.made",
    "run.committing",
)
ZONE = "Asia/Kolkata"


def test_at_every_point_and_in_another_zone(tmp_path: Path) -> None:
    place = Place(tmp_path)
    lake = new_lake(tmp_path)
    for number in range(2):
        lines = [post(number * 86_400 + line * 1800, "#a #b", author_id=str(line % 3)) for line in range(20)]
        put(
            lake,
            lines,
            number=number,
            received_at=datetime(2026, 11, 26, tzinfo=UTC) + timedelta(days=number),
        )
    place.run("consolidate")
    before = contents(lake)
    for point in POINTS:
        place.crash(point, "rebuild", "--timezone", ZONE)
        assert contents(lake) == before, point
        assert len(all_runs(lake)) == 1
    assert "Nothing new" in place.run("consolidate"), "in the zone that it was in"
    assert contents(lake) == before
    said = place.run("rebuild", "--timezone", ZONE)
    assert f"BEMTEVI_TIMEZONE={ZONE}" in said
    moved = contents(new_lake(tmp_path, ZONE))
    assert len(moved["fact_post"]) == len(before["fact_post"]) == 40
    assert moved != before
    place.run("--timezone", ZONE, "rebuild", "--timezone", "America/Sao_Paulo")
    assert contents(lake) == before
