"""Checks: what each kind finds in rows that break it, and what it makes of the past."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from bemtevi.lake.definition import Check, CheckKind, Severity
from bemtevi.warehouse import checks
from bemtevi.warehouse.engines.duckdb import DuckDBEngine
from bemtevi.warehouse.model import load_models, parse_model

NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC)
HOUR = NOW.replace(hour=14, minute=0)


@pytest.fixture
def engine() -> Iterator[DuckDBEngine]:
    with DuckDBEngine(timezone="UTC", memory_limit="1GB", threads=1, rule_hashtags={}) as engine:
        rows = {"id": ["1", "2", "2"], "kind": ["a", "z", None], "other": ["x", "y", None]}
        engine._connection.register("given", pa.table(rows))
        engine._connection.register("known", pa.table({"other": ["x"]}))
        yield engine


@pytest.mark.parametrize(
    ("check", "wrong", "told"),
    [
        (Check(CheckKind.NOT_NULL, ("id", "kind")), 1, "given has 1 rows with a null in id, kind"),
        (Check(CheckKind.NOT_NULL, ("id",)), 0, "given has no rows with a null in id"),
        (Check(CheckKind.UNIQUE, ("id",)), 1, "given has 1 keys (id) that repeat"),
        (Check(CheckKind.UNIQUE, ("id", "kind")), 0, "given has no keys (id, kind) that repeat"),
        (
            Check(CheckKind.ACCEPTED_VALUES, ("kind",), values=("a", "it's")),
            1,
            "given has 1 rows with a kind that is none of a, it's",
        ),
        (Check(CheckKind.ACCEPTED_VALUES, ("kind",), values=("a", "z")), 0, "given has no rows with a kind"),
    ],
)
def test_rows(engine: DuckDBEngine, check: Check, wrong: int, told: str) -> None:
    always = Check(CheckKind.NOT_NULL, ("id",), Severity.FAIL)
    result = checks.look_at_rows("given", [always, check], engine.ask)[1]
    assert (result.wrong, result.passed, result.looked_at) == (wrong, wrong == 0, 3)
    assert result.told.startswith(told)


@pytest.mark.parametrize("whole", [(), ("known",)], ids=["as large", "much larger"])
def test_references(engine: DuckDBEngine, whole: tuple[str, ...]) -> None:
    check = Check(CheckKind.REFERENCES, ("other",), table="known")
    (result,) = checks.look_across("given", [check], engine.ask, whole)
    assert (result.wrong, result.looked_at) == (1, 2), "x is known, y is not, null refers to nothing"
    assert result.told == "given has 1 values of other that known has not"


@pytest.mark.parametrize(
    ("now", "past", "passed"),
    [(100, [100] * 7, True), (19, [100] * 7, False), (0, [100] * 7, False), (501, [100] * 7, False),
     (1, [10] * 7, True), (1, [100, 100], True), (21, [1, 100, 5000], True)],
)  # fmt: skip
def test_volume_against_the_same_hour_of_the_days_before(now: int, past: list[int], passed: bool) -> None:
    check = Check(CheckKind.VOLUME, lowest=0.2, highest=5.0, least=50)
    counts = {HOUR: now} | dict(zip(checks.past_of(HOUR), past, strict=False))
    assert checks.judge_volume("fact_post", check, HOUR, counts).passed is passed


def test_the_hour_that_is_judged_is_over() -> None:
    assert checks.hour_to_judge([HOUR - timedelta(hours=1), HOUR, HOUR + timedelta(hours=1)], NOW) == HOUR
    assert checks.hour_to_judge([HOUR + timedelta(hours=1)], NOW) is None


def test_freshness_grows_old_without_a_run() -> None:
    check = Check(CheckKind.FRESHNESS, ("last_received_at",), hours=24.0)
    young = checks.judge_freshness("fact_post", check, NOW - timedelta(hours=20), NOW)
    assert young.passed
    later = checks.stale(young, NOW, NOW + timedelta(hours=5), {check.name: check})
    assert not later.passed
    assert "25.0 hours old" in later.told
    assert checks.stale(young, NOW, NOW + timedelta(hours=3), {check.name: check}).passed


def test_every_header_names_columns_and_tables_that_there_are() -> None:
    held = {model.name: model.definition for model in load_models()}
    for name, definition in held.items():
        assert len({check.name for check in definition.all_checks}) == len(definition.all_checks), name
        for check in definition.checks:
            if check.kind is CheckKind.REFERENCES:
                assert set(check.key or check.columns) <= set(held[check.table].schema.names)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('kind = "not_null", severity = "warn", columns = ["b"]', "names the column b"),
        ('kind = "odd", severity = "warn"', "odd"),
        ('kind = "not_null", severity = "loud"', "loud"),
        ('kind = "not_null", severity = "warn", colour = "red"', "says what no check has"),
    ],
)
def test_a_header_with_a_wrong_check_is_refused(line: str, reason: str) -> None:
    header = (
        '/*\ngrain = "one thing"\nkey = ["a"]\nscope = "whole"\ninputs = []\n'
        f"checks = [{{ {line} }}]\n[columns]\n"
        'a = { type = "BIGINT", description = "A." }\n*/\nselect 1 as a'
    )
    with pytest.raises(ValueError, match=reason):
        parse_model("odd", header)
