"""The command that makes a file of the warehouse for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bemtevi.cli.answers import catalog_of
from bemtevi.cli.app import app, lake_of, told
from bemtevi.serve.warehouse_file import write_duckdb


@app.command()
def export(
    context: typer.Context,
    file: Annotated[
        Path, typer.Option("--duckdb", help="DuckDB file to write; one that is there is replaced.")
    ],
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy the tables, instead of views over the lake.")
    ] = False,
) -> None:
    """A DuckDB file of all tables by their names, for BI tools, notebooks and DuckDB's own program.

    Views show what the lake holds whenever they are asked, and need its folder; a copy stands alone, and
    keeps posts that are deleted later.
    """
    settings, lake = lake_of(context)
    with catalog_of(settings, lake) as catalog:
        names = write_duckdb(lake, catalog, file, copy=copy)
    kinds = "tables and views, a copy" if copy else "views over the lake"
    told().print(f"Written: {file} ({len(names)} {kinds})", markup=False, style="green", soft_wrap=True)
