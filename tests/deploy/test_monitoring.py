"""Alerts and dashboards ask for metrics that are there; every alert has its tests and a runbook entry."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bemtevi import metrics

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
NAME = re.compile(r"\bbemtevi_\w+")
PARTS_OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def known() -> set[str]:
    return {name for name, *_ in metrics.described()}


def expressions() -> list[str]:
    dashboards = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")
    ]
    shown = [
        target["expr"]
        for dashboard in dashboards
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    assert len(shown) > 10
    return [*shown, *(alert["expr"] for alert in alerts())]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_measured(expression: str) -> None:
    asked = {PARTS_OF_HISTOGRAMS.sub("", name) for name in NAME.findall(expression)}
    assert asked <= known(), asked - known()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_has_tests_both_ways_and_a_runbook_entry(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    of_it = [one for test in tests for one in test["alert_rule_test"] if one["alertname"] == name]
    assert sorted(bool(one["exp_alerts"]) for one in of_it) == [False, True]
    assert alert["labels"]["severity"] in ("critical", "warning")
    file, _, anchor = alert["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]
