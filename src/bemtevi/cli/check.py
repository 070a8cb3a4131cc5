"""One check of doctor: what was looked at, how good it is, and the line that says what to fix.

Owns the shape. Leaves to `checks` and `checks_of_x` what is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bemtevi.errors import BemteviError
from bemtevi.serve.terminal import plain

Grade = Literal["good", "note", "warning", "broken"]


@dataclass(frozen=True)
class Check:
    """What one check found. `fix` is empty where there is nothing to do."""

    name: str
    grade: Grade
    found: str
    fix: str = ""


def said(error: BemteviError) -> str:
    """The sentence of an error, fit for a line."""
    return plain(str(error)).rstrip(".")


def some(values: Sequence[str]) -> str:
    """The first of some values, fit for a line."""
    shown = ", ".join(plain(value) for value in values[:3])
    return shown + (" …" if len(values) > 3 else "")
