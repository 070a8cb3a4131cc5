"""The command checks: what the checks of the tables found, with an exit code for who schedules.

Owns what is shown and which code that is. Leaves the checks to `warehouse.checks`; the checks of doctor are
in `cli.checks`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from bemtevi.cli.app import app, lake_of, out
from bemtevi.cli.times import moment
from bemtevi.errors import CheckError
from bemtevi.lake.definition import Severity
from bemtevi.serve import terminal
from bemtevi.warehouse.check_result import Kept, read_results
from bemtevi.warehouse.checks import stale
from bemtevi.warehouse.model import load_models


@app.command()
def checks(
    context: typer.Context,
    since: Annotated[
        str | None, typer.Option(help="All runs since then: 24h, 2026-11-24. The last one if not given.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show also the checks that hold.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 8 for a warning too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON object for each check, all of them.")
    ] = False,
) -> None:
    """What the checks of the tables found; exits with 8 if one that must hold does not."""
    settings, lake = lake_of(context)
    now = datetime.now(UTC)
    kept = read_results(lake, None if since is None else moment(since, settings.zone, now))
    kept = as_of(kept, now)
    if as_json:
        for one in kept:
            out().print(json.dumps(_plain(one)), markup=False, soft_wrap=True)
    elif not kept:
        out().print("Nothing was checked: checks are asked by `bemtevi consolidate`.")
    else:
        for one in kept:
            if everything or not one.result.passed:
                found = f"{_grade(one)} (run {one.run}): {one.result.told}."
                out().print(terminal.plain(found), markup=False, soft_wrap=True)
        held = sum(one.result.passed for one in kept)
        out().print(f"{held} of {len(kept)} checks hold.", highlight=False)
    failed = [one for one in kept if not one.result.passed and one.result.severity is Severity.FAIL]
    warned = [one for one in kept if not one.result.passed and one.result.severity is Severity.WARN]
    if failed:
        raise CheckError(f"{failed[-1].result.told}: run {failed[-1].run} was stopped and changed nothing.")
    if strict and warned:
        raise CheckError(f"{warned[-1].result.told} (a warning; --strict makes it an error).")


def as_of(kept: Sequence[Kept], now: datetime) -> list[Kept]:
    """The results with the age of the newest row as it is now, for those of the last attempt."""
    headers = {
        model.name: {check.name: check for check in model.definition.checks} for model in load_models()
    }
    last = kept[-1].started_at if kept else None
    return [
        replace(one, result=stale(one.result, one.started_at, now, headers.get(one.result.table, {})))
        if one.started_at == last
        else one
        for one in kept
    ]


def _grade(one: Kept) -> str:
    return "holds" if one.result.passed else one.result.severity.value


def _plain(one: Kept) -> dict[str, object]:
    return {
        "run": one.run,
        "started_at": one.started_at.isoformat(),
        "table": one.result.table,
        "check": one.result.check,
        **one.result.finding(),
    }
