"""The command doctor: is all well, and if not, what to do.

Owns how the checks are shown. What is checked is in `checks`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from bemtevi.cli.app import ENGINE_HELP, app, lake_of, only_warnings, out
from bemtevi.cli.check import Check
from bemtevi.cli.checks import all_checks
from bemtevi.errors import BemteviError

MARKS = {
    "good": ("ok", "green"),
    "note": ("note", "dim"),
    "warning": ("warn", "yellow"),
    "broken": ("BAD", "red"),
}


@app.command()
def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    engine: Annotated[str | None, typer.Option(help=ENGINE_HELP)] = None,
) -> None:
    """Check token, clock, rules, usage, journal, disk, lake, gaps and engine, and say what to fix.

    Changes nothing. The exit code is not 0 if something is broken; a warning or a note leaves it 0.
    """
    only_warnings(context)
    settings, lake = lake_of(context, engine=engine)
    found: list[Check] = []
    for check in all_checks(settings, lake, lambda: datetime.now(UTC)):
        found.append(check)
        if not as_json:
            _show(check)
    if as_json:
        out().print(
            json.dumps([vars(check) for check in found], ensure_ascii=False), markup=False, soft_wrap=True
        )
    broken = [check for check in found if check.grade == "broken"]
    if broken:
        names = ", ".join(dict.fromkeys(check.name for check in broken))
        raise BemteviError(f"Broken: {names}. What to do stands above.")


def _show(check: Check) -> None:
    mark, style = MARKS[check.grade]
    fix = f" → {check.fix}" if check.fix else ""
    out().print(f"{mark:<5}{check.name:<12}{check.found}{fix}", markup=False, style=style, soft_wrap=True)
