"""The profile `full`: X, S3, Airflow's own schedule, the answers; kills; down and up again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.browser.chromium import chromium, wait_for_text
from tests.compose.stack import Stack, eventually
from tests.faults.account import Account, account
from tests.support import free_port

from bemtevi.lake.lake import Lake
from bemtevi.settings import load_settings

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
LAKE = "s3://bemtevi/lake"


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    last_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    stack = Stack(
        tmp_path_factory.mktemp("full"),
        "full",
        {
            "BEMTEVI_LAKE": LAKE,
            "BEMTEVI_DAGS_START": last_hour.isoformat(),
            "BEMTEVI_DAGS_RETRY_SECONDS": "15",
            "BEMTEVI_FILL_DELAY_SECONDS": "4",
            "SIMULATED_SEARCH_DELAY": "2",
            **{name: f"127.0.0.1:{free_port()}" for name in ("SERVE_AT", "AIRFLOW_AT", "PROMETHEUS_AT")},
        },
    )
    with stack.running():
        yield stack


def secret(full: Stack, name: str) -> str:
    return (full.folder / "secrets" / name).read_text().strip()


def number(text: str) -> int:
    """A number as the page writes it in English; -1 while there is none."""
    digits = text.replace("≥", "").replace(",", "").strip()
    return int(digits) if digits.isdigit() else -1


def posts(full: Stack) -> int:
    return int(full.ask("/api/v1/hashtags/covid19/summary?last=7d")["data"]["posts"])


def airflow(full: Stack, path: str, body: dict[str, Any] | None = None) -> Any:
    """An answer of Airflow's API, as the admin of the secrets."""
    url = f"http://{full.environment['AIRFLOW_AT']}"
    password = json.loads(secret(full, "airflow_passwords"))["admin"]
    token = requests.post(
        f"{url}/auth/token", json={"username": "admin", "password": password}, timeout=30
    ).json()["access_token"]
    answer = requests.request(
        "GET" if body is None else "POST",
        f"{url}/api/v2/{path}",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.ok, answer.text
    return answer.json()


def ended_well(full: Stack) -> list[str]:
    """The hourly runs that went well, by how they were begun."""
    found = airflow(full, "dags/bemtevi_hourly/dagRuns?limit=100")["dag_runs"]
    return [run["run_type"] for run in found if run["state"] == "success"]


def account_of(full: Stack, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Layer 1 on S3 against the record of the simulated X."""
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{full.address('s3')}:7070",
        "AWS_ACCESS_KEY_ID": secret(full, "s3_access_key"),
        "AWS_SECRET_ACCESS_KEY": secret(full, "s3_secret_key"),
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    lake = Lake.of(load_settings(lake=LAKE, journal=Path(full.volume("journal"))))
    return account(lake, full.volume("record") / "x.jsonl")


def test_posts_flow_to_s3_and_by_the_schedule_to_the_tables(full: Stack) -> None:
    eventually(lambda: posts(full) > 50, "posts in the answers")
    eventually(lambda: "scheduled" in ended_well(full), "a run by Airflow's own schedule")
    eventually(lambda: full.ask("/api/v1/runs")["data"], "a consolidation in the answers")


def test_the_dashboard_shows_them_and_texts_only_with_the_token(full: Stack) -> None:
    """In Chromium: the number on the page is at least the one of before, and a text wants the token."""
    before = posts(full)
    url = f"http://{full.environment['SERVE_AT']}"
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{url}/t/covid19?hl=en&last=7d")
        wait_for_text(page, ".tile .value", lambda text: number(text) >= before)
        wait_for_text(page, ".posts li p", lambda text: "token" in text)
        page.goto(f"{url}/about?hl=en")
        page.fill("input[name=token]", secret(full, "api_token"))
        page.click("form button")
        page.wait_for_selector("input[name=token]", state="detached")
        page.goto(f"{url}/t/covid19?hl=en&last=7d")
        wait_for_text(page, ".posts li p", lambda text: bool(text) and "token" not in text)


def test_the_images_tell_what_is_in_them(full: Stack) -> None:
    """For scanners: CycloneDX, at the versions that were installed."""
    for service, place, package in (
        ("server", "/opt/bemtevi", "duckdb"),
        ("airflow-scheduler", "/opt/airflow", "apache-airflow"),
    ):
        told = json.loads(full.execute(service, "cat", f"{place}/sbom.cdx.json"))
        assert told["bomFormat"] == "CycloneDX"
        versions = {component["name"]: component["version"] for component in told["components"]}
        asked = f"import importlib.metadata as m; print(m.version({package!r}))"
        assert versions[package] == full.execute(service, f"{place}/bin/python", "-c", asked).strip()


def test_prometheus_sees_the_parts_and_has_the_alerts(full: Stack) -> None:
    url = f"http://{full.environment['PROMETHEUS_AT']}/api/v1"

    def up() -> set[str]:
        targets = requests.get(f"{url}/targets", timeout=30).json()["data"]["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}

    eventually(lambda: up() == {"bemtevi-listener", "bemtevi-server"}, "both targets are up")
    groups = requests.get(f"{url}/rules", timeout=30).json()["data"]["groups"]
    assert len(groups[0]["rules"]) >= 15

    def age() -> bool:
        answer = requests.get(
            f"{url}/query", params={"query": "bemtevi_last_consolidation_timestamp_seconds > 0"}, timeout=30
        ).json()
        return bool(answer["data"]["result"])

    eventually(age, "the server tells when Airflow consolidated")


def test_kills_lose_and_double_nothing(full: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ("listener", "s3", "airflow-scheduler"):
        full.crash(service)
        eventually(lambda: not full.unready(), f"all is healthy again after {service}")
    before = posts(full)
    eventually(lambda: posts(full) > before, "posts go on")
    full.simulation("pause")
    eventually(lambda: account_of(full, monkeypatch).settled, "all is in layer 1 or in the ledger")
    told = account_of(full, monkeypatch)
    print(told.table())  # noqa: T201  for who reads the log
    assert told.delivered > 100
    assert told.gaps >= 1, "the kill of the listener is in the ledger"
    before_runs = len(ended_well(full))
    airflow(full, "dags/bemtevi_hourly/dagRuns", {"logical_date": datetime.now(UTC).isoformat()})
    eventually(lambda: len(ended_well(full)) > before_runs, "the scheduler that was killed makes a run")
    full.simulation("resume")


def test_down_and_up_again_with_the_data_there(full: Stack) -> None:
    before, runs = posts(full), len(ended_well(full))
    full.down()
    full.up()
    eventually(lambda: posts(full) >= before, "the posts of before")
    assert len(ended_well(full)) >= runs
