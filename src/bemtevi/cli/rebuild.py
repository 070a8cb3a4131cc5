"""The command rebuild: tables of layer 2 made anew from layer 1."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from bemtevi.cli.app import ENGINE_HELP, app, lake_of, out, told
from bemtevi.cli.times import moment
from bemtevi.cli.warehouse import PATIENCE_SECONDS, hours, sentence
from bemtevi.errors import UsageError
from bemtevi.warehouse.engines import open_engine
from bemtevi.warehouse.lineage_sender import lineage_told
from bemtevi.warehouse.rebuild import Rebuild
from bemtevi.warehouse.run import last_run


@app.command()
def rebuild(
    context: typer.Context,
    table: Annotated[str | None, typer.Option(help="This table alone, and what is made of it.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First hour; all if not given.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Hour before which to stop.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Make the lake anew in this zone.")] = None,
    engine: Annotated[str | None, typer.Option(help=ENGINE_HELP)] = None,
) -> None:
    """Make layer 2 anew from layer 1 beside what readers see, and show it at the end as one step."""
    settings, lake = lake_of(context, timezone=timezone, engine=engine)
    if (start is None) != (end is None):
        raise UsageError("Give both --from and --to, for example --from 2026-11-24 --to 2026-11-25.")
    if timezone is not None and (table is not None or start is not None):
        raise UsageError("--timezone changes every table: leave out --table, --from and --to.")
    now = datetime.now(UTC)
    period = None
    if start is not None and end is not None:
        period = hours(moment(start, settings.zone, now), moment(end, settings.zone, now))
    before = last_run(lake)
    console = told()
    with (
        lineage_told(settings, lake, "rebuild"),
        console.status("rebuilding …") as status,
        open_engine(settings, lake) as opened,
    ):
        work = Rebuild(lake, opened, settings.batch_bytes, lambda: datetime.now(UTC), PATIENCE_SECONDS)
        run = work.run(table, period, lambda share: status.update(f"rebuilding … {share:.0%}"))
    if run is None:
        out().print("Nothing was consolidated yet; `bemtevi consolidate` makes the tables.")
        return
    out().print(sentence(run), markup=False, soft_wrap=True)
    if before is not None and before.timezone != run.timezone:
        out().print(
            f"Local times are in {run.timezone} now: set BEMTEVI_TIMEZONE={run.timezone} for every command.",
            markup=False,
            soft_wrap=True,
        )
