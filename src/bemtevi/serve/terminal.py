"""Answers on a terminal.

Owns how tables, sparklines and summaries look. Post text is hostile here too: control characters and the
marks that turn the direction of text are taken out, and nothing in it is markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

BARS = "▁▂▃▄▅▆▇█"
CELL_WIDTH = 100


def plain(value: str) -> str:
    """A text without anything that a terminal would act on; white space becomes one space."""
    visible = "".join(
        " " if character.isspace() else character
        for character in value
        if character.isspace()
        or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")
        or character == "\u200d"
    )
    return " ".join(visible.split())


def sparkline(values: Sequence[int], width: int = 60) -> str:
    """A line of bars, at most `width` wide: neighbours are added up to fit. Zero is a space."""
    if len(values) > width:
        step = -(-len(values) // width)
        values = [sum(values[start : start + step]) for start in range(0, len(values), step)]
    highest = max(values, default=0)
    if highest == 0:
        return " " * len(values)
    return "".join(
        BARS[min(len(BARS) - 1, value * len(BARS) // (highest + 1))] if value else " " for value in values
    )


def cell(value: Any) -> Text:
    """A value as a person reads it."""
    match value:
        case None:
            return Text("–", style="dim")
        case bool():
            return Text("yes" if value else "no")
        case int():
            return Text(f"{value:,}".replace(",", "\u2009"))
        case float():
            return Text(f"{value:,.4g}")
        case datetime():
            return Text(value.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds"))
        case date():
            return Text(value.isoformat())
        case list():
            return Text(plain(", ".join(str(item) for item in value))[:CELL_WIDTH])
        case _:
            text = plain(str(value))
            return Text(text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…")


def show_table(console: Console, rows: pa.Table, title: str | None = None, most: int | None = None) -> None:
    """A table of rows; with `most`, only so many, and how many there are."""
    shown = rows if most is None else rows.slice(0, most)
    table = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for field in rows.schema:
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        table.add_column(Text(field.name), justify="right" if number else "left", overflow="fold")
    for row in shown.to_pylist():
        table.add_row(*(cell(value) for value in row.values()))
    console.print(table)
    if shown.num_rows < rows.num_rows:
        console.print(f"{shown.num_rows} of {rows.num_rows} rows; all with --output FILE.", style="dim")
