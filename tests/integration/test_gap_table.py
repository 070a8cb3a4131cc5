"""The ledger of gaps as a table: what is written is read back, the newest state of each gap counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support import new_lake

from bemtevi.lake.coverage import completeness
from bemtevi.lake.gap import Cause, State, ended, new_gap, read_gaps, write_gaps
from bemtevi.lake.track import change_rules, read_rules, rule_tag

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_the_newest_state_of_each_gap_in_the_order_of_their_beginnings(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    assert read_gaps(lake) == []
    late = new_gap("x", Cause.SILENCE, NOW + HOUR, source="api.x.com", listener="l", now=NOW + HOUR)
    early = new_gap("x", Cause.KILLED, NOW, rules=["t"], detail="why", listener="l", now=NOW)
    write_gaps(lake, [late, early])
    closed = replace(
        ended(early, NOW + HOUR, NOW + 2 * HOUR),
        state=State.FILLED,
        filled_by="search",
        filled_posts=3,
        expected_posts=4,
        missing_kinds=("reposts",),
    )
    write_gaps(lake, [closed])
    write_gaps(lake, [])
    assert read_gaps(lake) == [closed, late]
    assert read_gaps(lake, states=[State.OPEN]) == [late]
    assert read_gaps(lake, network="mastodon") == []
    assert read_gaps(lake, since=NOW + HOUR) == [late]
    assert read_gaps(lake, until=NOW + HOUR) == [closed]


def test_a_gap_that_is_found_twice_is_one(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    for now in (NOW, NOW + HOUR):
        write_gaps(lake, [new_gap("x", Cause.KILLED, NOW, listener="l", now=now)])
    assert len(read_gaps(lake)) == 1


def test_a_rule_that_nobody_listens_to_yet_is_in_a_gap_from_the_start(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    change_rules(lake, "x", add=("#a", "#b"), now=NOW)
    change_rules(lake, "x", add=("#a",), now=NOW + HOUR)  # it is there: nothing changes
    gaps = read_gaps(lake)
    assert {(gap.rules, gap.started_at, gap.ended_at, gap.cause) for gap in gaps} == {
        ((rule_tag("x", value),), NOW, None, Cause.NOT_YET) for value in ("#a", "#b")
    }
    (a,) = [rule for rule in read_rules(lake) if rule.value == "#a"]
    answer = completeness([a], gaps, NOW, NOW + HOUR)
    assert (answer.tracked_seconds, answer.missing_seconds) == (3600, 3600)


def test_a_rule_that_goes_before_anybody_listened_ends_its_gap(tmp_path: Path) -> None:
    lake = new_lake(tmp_path)
    change_rules(lake, "x", add=("#a", "#b"), now=NOW)
    change_rules(lake, "x", remove=("#a",), now=NOW + HOUR)
    gaps = {gap.rules: gap for gap in read_gaps(lake)}
    assert gaps[rule_tag("x", "#a"),].ended_at == NOW + HOUR
    assert gaps[rule_tag("x", "#b"),].ended_at is None
    change_rules(lake, "x", add=("#a",), now=NOW + 2 * HOUR)
    assert sorted(
        (gap.started_at, gap.state) for gap in read_gaps(lake) if gap.rules == (rule_tag("x", "#a"),)
    ) == [
        (NOW, State.ENDED),
        (NOW + 2 * HOUR, State.OPEN),
    ]
