"""No kind of fault without a test, and the page of the cases tells the truth."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bemtevi.simulate import KINDS
from bemtevi.simulate.faults import Place

HERE = Path(__file__).parent
PAGE = (HERE / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([A-M]?) ?\| (.+?) \| (`.+) \|$", PAGE, re.MULTILINE)
pytestmark = pytest.mark.faults


def faults_given() -> set[str]:
    """The first word of every string in the tests of this folder."""
    words = set()
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and path != Path(__file__):
                words.add(node.value.partition(":")[0])
    return words


def test_every_kind_of_fault_is_tried() -> None:
    by_line = {name for name, kind in KINDS.items() if kind.place is Place.LINE}  # one test runs over them
    assert set(KINDS) - by_line - faults_given() == set()


def test_every_letter_has_a_row() -> None:
    assert [letter for letter, _, _ in ROWS if letter] == list("ABCDEFGHIJKLM")


@pytest.mark.parametrize(("case", "tests"), [(what, tests) for _, what, tests in ROWS])
def test_the_tests_that_a_row_names_exist(case: str, tests: str) -> None:
    named = re.findall(r"`([\w./]+)::(\w+)`", tests)
    assert named, case
    for path, name in named:
        tree = ast.parse((HERE / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (path, name)
