"""The profile `demo`: posts flow, parts are killed, nothing is lost or doubled, and all of it comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compose.stack import Stack, eventually
from tests.faults.account import Account, account
from tests.support import free_port

from bemtevi.lake.lake import Lake
from bemtevi.settings import load_settings

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("demo"),
        "demo",
        {
            "SERVE_AT": f"127.0.0.1:{free_port()}",
            "CONSOLIDATE_EVERY": "15s",
            "BEMTEVI_FILL_DELAY_SECONDS": "4",
            "SIMULATED_SEARCH_DELAY": "2",
            "SIMULATED_RATE": "20",
        },
    )
    with stack.running():
        yield stack


def posts(stack: Stack) -> int:
    """Posts that the dashboard's API knows of what is followed."""
    return int(stack.ask("/api/v1/hashtags/covid19/summary?last=7d")["data"]["posts"])


def runs(stack: Stack) -> list[dict[str, Any]]:
    return list(stack.ask("/api/v1/runs")["data"])


def test_posts_flow_from_the_network_to_the_answers(demo: Stack) -> None:
    eventually(lambda: posts(demo) > 50, "posts in the answers")
    eventually(lambda: runs(demo), "a consolidation")


def test_containers_are_as_closed_as_they_can_be(demo: Stack) -> None:
    for service in ("listener", "server", "consolidate", "maintain", "simulator"):
        told = demo.inspect(service)
        assert told["HostConfig"]["ReadonlyRootfs"] is True
        assert told["HostConfig"]["CapDrop"] == ["ALL"]
        assert told["Config"]["User"] == "10001:10001"
        assert told["HostConfig"]["Memory"] > 0
        assert told["HostConfig"]["LogConfig"]["Config"]["max-size"] == "10m"
        shown = " ".join([*told["Config"]["Env"], *(told["Config"]["Cmd"] or [])])
        for secret in (demo.folder / "secrets").iterdir():
            assert secret.read_text().strip() not in shown


def test_whatever_is_killed_is_started_again_and_nothing_is_lost_or_doubled(demo: Stack) -> None:
    for service in ("listener", "consolidate", "server", "listener"):
        demo.crash(service)
        eventually(lambda: not demo.unready(), "all is healthy again")
    before = posts(demo)
    eventually(lambda: posts(demo) > before, "posts go on")
    demo.simulation("pause")
    eventually(lambda: account_of(demo).settled, "all that was delivered is in layer 1 or in the ledger")
    told = account_of(demo)
    print(told.table())  # noqa: T201  for who reads the log
    assert told.delivered > 100
    assert told.gaps >= 2, "the kills of the listener are in the ledger"
    demo.simulation("resume")


def test_down_and_up_again_with_the_data_there(demo: Stack) -> None:
    before = posts(demo)
    demo.down()
    demo.up()
    eventually(lambda: posts(demo) >= before, "the posts of before")
    now = posts(demo)
    eventually(lambda: posts(demo) > now, "new posts")


def account_of(demo: Stack) -> Account:
    lake = Lake.of(load_settings(lake=str(demo.volume("lake")), journal=Path(demo.volume("journal"))))
    return account(lake, demo.volume("record") / "x.jsonl")
