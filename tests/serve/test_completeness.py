"""How complete a period is over several networks: one form for the API and the command line."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from tests.unit.test_coverage import at, gap, rule

from bemtevi.lake.gap import State
from bemtevi.serve.ask.steps import lanes
from bemtevi.serve.coverage import coverage, sentence
from bemtevi.serve.questions import Period

PERIOD = Period(at(0), at(100))


def test_seconds_add_up_over_networks_and_a_loss_of_one_is_a_loss() -> None:
    rules = [rule("a", 0), replace(rule("b", 50), network="bluesky")]
    gaps = [gap(10, 20), gap(60, 80, State.FILLED), gap(70, 90, network="bluesky")]
    heard = coverage(rules, gaps, PERIOD, at(100))
    told = heard.plain()
    assert told["by_network"] == {"bluesky": pytest.approx(0.6), "x": pytest.approx(0.9)}
    assert told["share"] == pytest.approx(1 - 30 / 150)
    assert told["missing"] == [(at(10), at(20)), (at(70), at(90))]
    assert {name: told[f"{name}_seconds"] for name in ("tracked", "listened", "filled", "missing")} == {
        "tracked": 100,
        "listened": 60,
        "filled": 10,
        "missing": 30,
    }
    assert sentence(heard) == "listened 60.0%, filled 10.0%, missing 30 s"


def test_what_lies_ahead_does_not_count() -> None:
    told = coverage([rule("a", 0)], [gap(40, None)], PERIOD, at(50)).plain()
    assert (told["tracked_seconds"], told["missing_seconds"], told["share"]) == (50, 10, pytest.approx(0.8))


def test_nothing_followed_is_no_share() -> None:
    heard = coverage([rule("a", 200)], [], PERIOD, at(100))
    assert heard.plain()["share"] is None
    assert sentence(heard) == "not followed then: the posts came by another way"


def test_a_lane_is_whole() -> None:
    heard = coverage([rule("a", 0)], [gap(10, 20), gap(30, 40, State.FILLED)], PERIOD, at(100))
    (lane,) = lanes(heard)
    parts = sorted((part["from"], part["to"], part["state"]) for part in lane["parts"])
    assert [state for *_, state in parts] == ["listened", "missing", "listened", "filled", "listened"]
    assert all(one[1] == other[0] for one, other in itertools.pairwise(parts))
