"""Rules that change behind our back: another program deletes ours, or adds its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.scene import scene
from tests.support import eventually

from bemtevi import crashpoint
from bemtevi.errors import StorageError
from bemtevi.lake.gap import Cause
from bemtevi.listen import follow

pytestmark = pytest.mark.faults


def test_our_rules_are_deleted_and_given_again_after_the_next_connect(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("rules-deleted")
        one.fault("close:after_seconds=0.2")
        one.fired("rules-deleted")
        one.fired("close")
        one.hears()
        made = one.finish()
        assert one.recorded().reasons["the rule was deleted"] > 0
    assert made.missed > 0


def test_our_rules_are_deleted_while_the_connection_stands(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("rules-deleted")
        one.fired("rules-deleted")
        eventually(lambda: len(one.server.world.rules) > 0, "the rules are given again")
        one.hears()
        made = one.finish()
        assert one.recorded().reasons["the rule was deleted"] > 0
    assert made.causes[Cause.LOSS] + made.causes[Cause.NO_RULES] >= 1


@pytest.mark.parametrize("fill", [False, True], ids=["open", "filled"])
def test_our_rules_are_deleted_and_we_end_before_we_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fill: bool
) -> None:
    monkeypatch.setattr(follow, "CHECK_SECONDS", 300.0)
    with scene(tmp_path, fill=fill) as one:
        one.fault("rules-deleted")
        one.fired("rules-deleted")
        eventually(lambda: one.recorded().reasons["the rule was deleted"] > 1_500, "posts are withheld")
        one.stop()
        one.listen()
        one.hears()
        made = one.finish()
    assert made.missed > 1_500
    assert made.causes[Cause.LOSS] >= 1


def test_our_rules_are_deleted_and_we_end_as_they_are_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "CHECK_SECONDS", 300.0)

    def end(name: str) -> None:
        if name == "rules.given":
            raise StorageError("The disk is gone.")

    with scene(tmp_path, fill=False) as one:
        one.fault("rules-deleted")
        one.fired("rules-deleted")
        eventually(lambda: one.recorded().reasons["the rule was deleted"] > 1_500, "posts are withheld")
        one.stop()
        with monkeypatch.context() as patched:
            patched.setattr(crashpoint, "reach", end)
            one.listen()
            eventually(lambda: one.ended, "it ends")
        assert isinstance(one.failure, StorageError)
        assert len(one.server.world.rules) > 0  # the next start finds nothing missing
        one.listen()
        one.hears()
        made = one.finish()
    assert made.missed > 1_500
    assert made.causes[Cause.LOSS] >= 1


def test_rules_of_others_bring_posts_that_are_kept(tmp_path: Path) -> None:
    with scene(tmp_path) as one:
        one.fault("rules-added:value=#b,tag=theirs")
        one.fired("rules-added")
        one.hears(200)
        made = one.finish()
        values = {rule.value for rule in one.server.world.rules.all()}
    assert values == {"#a", "#b"}  # not ours: not touched
    assert made.by_stream > 0
