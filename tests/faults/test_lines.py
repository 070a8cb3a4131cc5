"""Lines in forms that nobody expects: A, I, K and M of Tweepy's measured faults, and more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.faults.scene import scene

from bemtevi.lake.gap import Cause
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.simulate import KINDS
from bemtevi.simulate.faults import Place

pytestmark = pytest.mark.faults

LINES = [name for name, kind in KINDS.items() if kind.place is Place.LINE]
QUARANTINED = {"invalid-utf8", "odd-characters", "malformed", "unknown-message", "deep"}


@pytest.mark.parametrize("fault", LINES)
def test_a_line_in_another_form(tmp_path: Path, fault: str) -> None:
    with scene(tmp_path) as one:
        one.fault(f"{fault}:times=15,apart=5")
        one.fired(fault, 15)
        one.hears()
        made = one.finish()
        assert len(one.recorded().opened) == 1  # the connection stood
        table = one.lake.table(QUARANTINE)
        assert (table.exists() and table.read().num_rows > 0) == (fault in QUARANTINED)
    assert set(made.causes) <= {Cause.NOT_YET, Cause.STOPPED}
    assert made.in_gaps + made.by_search <= made.missed


def test_all_of_them_at_once_in_pieces(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        for fault in LINES:
            one.fault(f"{fault}:times=0,apart=20")
        one.fault("shred:times=0,bytes=300")
        for fault in LINES:
            one.fired(fault, 3)
        one.calm()
        one.hears()
        made = one.finish()
        assert len(one.recorded().opened) == 1
    assert made.messages >= 15


@pytest.mark.parametrize(
    "fault", ["split-line-ends:times=0", "shred:times=0,bytes=30", "shred:times=20,bytes=1"]
)
def test_bytes_in_pieces(tmp_path: Path, fault: str) -> None:
    with scene(tmp_path, rate=200) as one:
        one.fault(fault)
        one.fired(fault.partition(":")[0], 10)
        one.hears(200)
        one.calm()
        made = one.finish()
        assert len(one.recorded().opened) == 1
        assert not one.lake.table(QUARANTINE).exists() or not one.lake.table(QUARANTINE).read().num_rows
    assert set(made.causes) <= {Cause.NOT_YET, Cause.STOPPED}


def test_a_large_post_is_kept_whole(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("large:times=3,bytes=65536")
        one.fired("large", 3)
        one.hears()
        one.finish()
        raw = one.lake.table(RAW).read()
    assert sum(len(payload) > 60_000 for payload in raw["payload"].to_pylist()) == 3


def test_a_line_without_tags_tells_the_rule_by_its_id(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("no-tag:times=5,apart=5")
        one.fired("no-tag", 5)
        one.hears()
        (rule,) = one.server.world.rules.all()
        one.finish()
        matched = [
            tags for tags in one.lake.table(RAW).read()["matched"].to_pylist() if tags == [rule.identity]
        ]
    assert len(matched) == 5


def test_the_newer_spelling_of_everything(tmp_path: Path) -> None:
    with scene(tmp_path, spelling="post") as one:
        one.hears(300)
        made = one.finish()
        kinds = set(one.lake.table(RAW).read()["kind"].to_pylist())
    assert kinds <= {"post", "edit", "page"}
    assert made.quarantined == 0


def test_long_posts_come_with_their_whole_text(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.hears(400)
        one.finish()
        payloads = one.lake.table(RAW).read()["payload"].to_pylist()
    assert any("note_tweet" in json.loads(payload)["data"] for payload in payloads if '"data":{' in payload)
