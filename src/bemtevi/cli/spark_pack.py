"""The command that packs what the executors of a cluster need: spark-pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bemtevi.cli.app import app, out, told
from bemtevi.cli.maintain import number_of_bytes
from bemtevi.errors import UsageError
from bemtevi.warehouse.engines.spark.pack import lines, pack, python

NAME = "bemtevi-spark.tar.gz"


@app.command("spark-pack")
def spark_pack(
    archive: Annotated[Path, typer.Argument(help="The file to write.", show_default=True)] = Path(NAME),
) -> None:
    """Pack what the executors of a Spark cluster need, where they have no bemtevi of their own."""
    if not archive.name.endswith((".tar.gz", ".tgz")):
        raise UsageError(f"{archive} must end in .tar.gz, for Spark tells by its name what it is.")
    if not archive.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {archive.absolute().parent}.")
    archive = archive.absolute()
    size = pack(archive)
    told().print(
        f"{archive}: {number_of_bytes(size)}, for machines like this one with {python()}. "
        "In the driver's spark-defaults.conf:",
        markup=False,
        soft_wrap=True,
    )
    for line in lines(archive):
        out().print(line, markup=False, soft_wrap=True)
