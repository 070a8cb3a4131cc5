"""One folder, one case: `<table>/<case>/input.jsonl` in, `expect.jsonl` out.

Input lines are messages as delivered, in one of X's dialects; they are put in verbatim. Expected lines are
rows of the table, in the order of its key; they name the columns that the case is about. A file `timezone`
names another zone than that of most cases.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support import ZONE, consolidate, new_lake, put_file, rows

from bemtevi.warehouse.model import load_models

HERE = Path(__file__).parent
CASES = sorted(path.parent.relative_to(HERE) for path in HERE.glob("*/*/input.jsonl"))
MODELS = {model.name: model for model in load_models()}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Path, tmp_path: Path) -> None:
    zone = HERE / case / "timezone"
    lake = new_lake(tmp_path, zone.read_text("utf-8").strip() if zone.exists() else ZONE)
    put_file(lake, HERE / case / "input.jsonl")
    consolidate(lake)
    expected = [json.loads(line) for line in (HERE / case / "expect.jsonl").read_text("utf-8").splitlines()]
    table = case.parts[0]
    key = ", ".join(f"cast({column} as varchar)" for column in MODELS[table].definition.key)
    found = rows(lake, f"select * from {table} order by {key}")
    shown = [
        {column: plain(row[column]) for column in want} for row, want in zip(found, expected, strict=True)
    ]
    assert shown == expected


def test_every_table_has_a_case() -> None:
    assert {path.parts[0] for path in CASES} == set(MODELS)


def plain(value: object) -> object:
    """A value as JSON has it; times as text."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)
