"""The DAGs by a real scheduler, over a real lake: an hour, a failing check and its retry, a backfill, a day.

Each test goes on from where the one before has left the lake.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.airflow.instance import Airflow
from tests.integration.command import Person
from tests.support import contents, post, put, rows

from bemtevi.lake.lake import Lake
from bemtevi.settings import load_settings
from bemtevi.simulate import Simulation, running_x, write_history

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]
PATIENCE = 240.0
HOUR = timedelta(hours=1)
TOPICS = ("covid19", "vacinação")


class Told(HTTPServer):
    """Takes alerts, as a chat service does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.sentences: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Told)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.sentences.append(json.loads(body)["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    server = Told()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def last_hour() -> datetime:
    """The beginning of the hour that is over."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - HOUR


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Person:
    folder = tmp_path_factory.mktemp("owner")
    return Person(folder, {"BEMTEVI_LAKE": str(folder / "lake"), "BEMTEVI_JOURNAL": str(folder / "journal")})


@pytest.fixture(scope="module")
def lake(owner: Person) -> Lake:
    return Lake.of(
        load_settings(
            lake=owner.environment["BEMTEVI_LAKE"], journal=Path(owner.environment["BEMTEVI_JOURNAL"])
        )
    )


@pytest.fixture(scope="module")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, owner: Person, lake: Lake, told: Told, last_hour: datetime
) -> Iterator[Airflow]:
    """An Airflow whose first hour is the last one, over a lake whose newest post came 30 hours ago."""
    put(lake, [post(number, "#covid19") for number in range(50)], received_at=datetime.now(UTC) - 30 * HOUR)
    made = Airflow(
        tmp_path_factory.mktemp("airflow"),
        {
            **owner.environment,
            "BEMTEVI_ALERT_URL": told.url,
            "BEMTEVI_DAGS_START": last_hour.isoformat(),
            "BEMTEVI_DAGS_RETRY_SECONDS": "12",
        },
    )
    made.prepare(Path(__file__).with_name("late_dag.py"))
    try:
        made.start()
        yield made
    finally:
        made.end()


def eventually(true: Callable[[], object], airflow: Airflow, what: str) -> None:
    """Wait until something is so; with the logs if it never is."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, f"never: {what}\n{airflow.logs()}"
        time.sleep(0.5)


def state(airflow: Airflow, dag: str, run: str) -> str:
    return str(airflow.ask(f"dags/{dag}/dagRuns/{run}")["state"])


def test_the_dags_are_read_and_explain_themselves(airflow: Airflow) -> None:
    assert airflow.ask("importErrors")["total_entries"] == 0, airflow.ask("importErrors")
    for name in ("bemtevi_hourly", "bemtevi_daily", "bemtevi_compliance"):
        details = airflow.ask(f"dags/{name}/details")
        assert "### Every" in details["doc_md"]
        assert details["is_paused"] is False
    assert airflow.ask("pools/bemtevi_lake")["slots"] == 1


def test_the_scheduler_makes_the_hour_that_is_over(airflow: Airflow, lake: Lake, last_hour: datetime) -> None:
    eventually(lambda: airflow.runs("bemtevi_hourly"), airflow, "a run by the schedule")
    (run, *_) = airflow.runs("bemtevi_hourly")
    assert run["run_type"] == "scheduled"
    assert datetime.fromisoformat(run["data_interval_start"]) == last_hour
    assert datetime.fromisoformat(run["data_interval_end"]) == last_hour + HOUR
    eventually(
        lambda: state(airflow, "bemtevi_hourly", run["dag_run_id"]) in ("success", "failed"),
        airflow,
        "its end",
    )
    assert state(airflow, "bemtevi_hourly", run["dag_run_id"]) == "success", airflow.logs()
    assert rows(lake, "select count(*) as posts from fact_post") == [{"posts": 50}]
    events = airflow.ask("assets/events")["asset_events"]
    assert {event["name"] for event in events} == {"bemtevi_layer2"}


def test_a_check_that_fails_is_told_and_tried_again(
    airflow: Airflow, owner: Person, told: Told, last_hour: datetime
) -> None:
    """The newest post is 30 hours old: a warning, which `strict` makes a failure. Then posts come."""
    run = airflow.ask(
        "dags/bemtevi_hourly/dagRuns",
        {"logical_date": (last_hour + HOUR / 2).isoformat(), "conf": {"strict": True}},
    )["dag_run_id"]
    eventually(lambda: any("checks" in sentence for sentence in told.sentences), airflow, "an alert")
    assert "is tried again" in told.sentences[0]
    with running_x(Simulation(topics=TOPICS, rate=200, seed=7)) as x:
        environment = {"BEMTEVI_X_API_URL": x.url, "BEMTEVI_X_BEARER_TOKEN": "any"}
        owner.good("track", "#covid19", **environment)
        owner.good("listen", "--seconds", "3", **environment)
    # the schedule may hold the lake: an hour may end at any time
    eventually(lambda: owner.run("consolidate").code == 0, airflow, "a consolidation by hand")
    eventually(lambda: state(airflow, "bemtevi_hourly", run) in ("success", "failed"), airflow, "its end")
    assert state(airflow, "bemtevi_hourly", run) == "success", airflow.logs()
    ends = [end for _, end in airflow.tries("bemtevi_hourly", run, "checks")]
    assert ends == ["failed"] * (len(ends) - 1) + ["success"]
    assert len(ends) > 1


def test_a_backfill_of_three_hours_may_be_repeated(
    airflow: Airflow, owner: Person, lake: Lake, last_hour: datetime, tmp_path: Path
) -> None:
    past = tmp_path / "past.jsonl.gz"
    write_history(past, TOPICS, since=last_hour - 4 * HOUR, until=last_hour + HOUR, count=2_000, seed=9)
    owner.good("import", past)
    first, last = last_hour - 3 * HOUR, last_hour - HOUR
    states = []
    for turn in range(2):
        airflow.command(
            *("backfill", "create", "--dag-id", "bemtevi_hourly"),
            *("--from-date", first.isoformat(), "--to-date", last.isoformat()),
            *("--max-active-runs", "2", "--reprocess-behavior", "completed"),
        )
        eventually(
            partial(backfilled_whole, airflow, turn + 1), airflow, f"three runs of the backfill {turn}"
        )
        states.append(contents(lake))
    hours = [run for run in airflow.runs("bemtevi_hourly") if run["run_type"] == "backfill"]
    assert [datetime.fromisoformat(run["data_interval_start"]) for run in hours] == [
        first + number * HOUR for number in range(3)
    ]
    assert states[0] == states[1]
    assert rows(lake, "select count(*) > 1000 as many from fact_post") == [{"many": True}]
    periods = rows(lake, "select count(*) as runs from run where kind = 'period'")
    assert periods[0]["runs"] >= 6


def backfilled_whole(airflow: Airflow, turns: int) -> bool:
    """Whether so many backfills have ended, and the three runs went well in the last one."""
    all_of_them = airflow.ask("backfills?dag_id=bemtevi_hourly")["backfills"]
    if len(all_of_them) < turns or any(one["completed_at"] is None for one in all_of_them):
        return False
    went_well = sum(
        run["run_type"] == "backfill" and run["state"] == "success" for run in airflow.runs("bemtevi_hourly")
    )
    return bool(went_well == 3)


def test_the_day_is_made_again_and_maintained(airflow: Airflow, owner: Person, lake: Lake) -> None:
    # the schedule may hold the lake: an hour may end at any time
    eventually(lambda: owner.run("consolidate").code == 0, airflow, "a consolidation by hand")
    before = rows(lake, "select count(*) as posts from fact_post")
    run = airflow.ask("dags/bemtevi_daily/dagRuns", {"logical_date": datetime.now(UTC).isoformat()})[
        "dag_run_id"
    ]
    eventually(lambda: state(airflow, "bemtevi_daily", run) in ("success", "failed"), airflow, "its end")
    assert state(airflow, "bemtevi_daily", run) == "success", airflow.logs()
    assert rows(lake, "select count(*) as posts from fact_post") == before
    kinds = {row["kind"] for row in rows(lake, "select distinct kind from run")}
    assert "rebuild" in kinds


def test_a_run_that_misses_its_deadline_is_told(airflow: Airflow, told: Told) -> None:
    airflow.command("dags", "unpause", "bemtevi_late", "--yes")
    airflow.ask("dags/bemtevi_late/dagRuns", {"logical_date": None})
    eventually(
        lambda: any(sentence.startswith("The run of the test is late") for sentence in told.sentences),
        airflow,
        f"the alert, in {told.sentences}",
    )
