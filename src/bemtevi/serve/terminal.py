"""Answers on a terminal.

Owns how tables, lists and sparklines look. Post text is hostile here too: control characters and the marks
that turn the direction of text are taken out, and nothing in it is markup.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bemtevi.serve.export import written

BARS = "▁▂▃▄▅▆▇█"
CELL_WIDTH = 100
LEAST_COLUMN = 14
"""Where a column of a table would have less room than this, rows are shown one value a line."""
LEAST_BESIDE = 76
"""In a narrower terminal, lists stand one under the other."""
GAP = "  "


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


def number(value: float) -> str:
    """A count with thin spaces between the thousands, which no country reads as a decimal sign."""
    return f"{value:,}".replace(",", "\u2009")


def sparkline(values: Sequence[int], width: int) -> tuple[str, int]:
    """A line of bars just `width` wide, and how many values a bar adds up.

    Neighbours are added up until they fit, the last ones together, then drawn wide enough. Zero is a space.
    """
    if not values or width < 1:
        return "", 1
    together = -(-len(values) // width)
    ends = range(len(values), 0, -together)
    bars = [sum(values[max(end - together, 0) : end]) for end in ends][::-1]
    highest = max(bars)
    shapes = [BARS[min(len(BARS) - 1, bar * len(BARS) // (highest + 1))] if bar > 0 else " " for bar in bars]
    return "".join(shapes[column * len(shapes) // width] for column in range(width)), together


def both_ends(left: str, middle: str, right: str, width: int) -> str:
    """Three texts on one line: at its ends and between; the middle one is left out where it has no room."""
    room = width - cell_len(left) - cell_len(right)
    if room < cell_len(middle) + 2 * len(GAP):
        middle = ""
    before = (width - cell_len(middle)) // 2 - cell_len(left) if middle else 0
    before = max(before, len(GAP)) if middle else 0
    after = max(room - before - cell_len(middle), 1)
    return left + " " * before + middle + " " * after + right


def short_time(value: datetime, *, year: bool) -> str:
    """A local time to the minute, with the year only where it matters."""
    return f"{value:%Y-%m-%d %H:%M}" if year else f"{value:%m-%d %H:%M}"


def list_lines(heads: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> list[Text]:
    """A list, one line a row: numbers right, the last column cut by an ellipsis where it has no room.

    `heads` names the columns; in front of a name `>` sets the column to the right.
    """
    right = [head.startswith(">") for head in heads]
    cells = [[head.removeprefix(">") for head in heads], *([_short(value) for value in row] for row in rows)]
    widths = [max(cell_len(row[place]) for row in cells) for place in range(len(heads) - 1)]
    left = max(width - sum(widths) - len(GAP) * len(widths), 4)
    lines = []
    for index, row in enumerate(cells):
        parts = [
            " " * (size - cell_len(text)) + text if to_right else text + " " * (size - cell_len(text))
            for text, size, to_right in zip(row, widths, right, strict=False)
        ]
        lines.append(Text(GAP.join([*parts, cut(row[-1], left)]), style="dim" if index == 0 else ""))
    return lines


def cut(text: str, width: int) -> str:
    """A text of at most so many columns, its end replaced by an ellipsis if it is longer."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def show_list(console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A list under its title."""
    console.print(Text(title, style="bold"))
    for line in list_lines(heads, rows, console.width):
        console.print(line, no_wrap=True, crop=True)


def show_beside(
    console: Console, lists: Sequence[tuple[str, Sequence[str], Sequence[Sequence[Any]]]]
) -> None:
    """Some narrow lists side by side where the terminal is wide enough, else one under the other."""
    gap = 3
    natural = [
        max(cell_len(title), *(line.cell_len for line in list_lines(heads, rows, 10_000)))
        for title, heads, rows in lists
    ]
    if console.width < LEAST_BESIDE:
        for title, heads, rows in lists:
            show_list(console, title, heads, rows)
            console.print()
        return
    widths = _shared(natural, console.width - gap * (len(lists) - 1))
    blocks = [
        [Text(cut(title, width), style="bold"), *list_lines(heads, rows, width)]
        for (title, heads, rows), width in zip(lists, widths, strict=True)
    ]
    for row in range(max(map(len, blocks))):
        line = Text()
        for block, width in zip(blocks, widths, strict=True):
            part = block[row] if row < len(block) else Text()
            line.append_text(part).append(" " * (width - part.cell_len + gap))
        line.rstrip()
        console.print(line, no_wrap=True, crop=True)


def _shared(natural: Sequence[int], room: int) -> list[int]:
    """The widths of columns in some room: as wide as they want, the widest cut first."""
    widths = list(natural)
    while sum(widths) > room and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    return widths


def _short(value: Any) -> str:
    """A value in a list; a share of all is a percentage."""
    match value:
        case None:
            return "–"
        case bool() | str():
            return plain(str(value))
        case int():
            return number(value)
        case float():
            return f"{value:.1%}"
        case _:
            return plain(str(value))


def cell(value: Any, width: int = CELL_WIDTH) -> Text:
    """A value of a table as a person reads it."""
    if value is None:
        return Text("–", style="dim")
    return Text(cut(plain(written(value)), width))


def first_rows(rows: pa.RecordBatchReader, most: int) -> tuple[pa.Table, bool]:
    """The first rows of an answer, and whether there are more; the rest is not even made."""
    batches = []
    size = 0
    for batch in rows:
        batches.append(batch)
        size += batch.num_rows
        if size > most:
            break
    return pa.Table.from_batches(batches, rows.schema).slice(0, most), size > most


def show_table(console: Console, rows: pa.Table, more: bool = False) -> None:
    """A table of rows, or one value a line where it is too wide; `more` says that they are only the first.

    Where nobody looks (a pipe, a file) it is as wide as it wants to be.
    """
    names = [plain(name) for name in rows.schema.names]
    lines = [[cell(value) for value in row.values()] for row in rows.to_pylist()]
    columns = range(len(names))
    natural = sum(max([cell_len(names[at]), *(line[at].cell_len for line in lines)]) + 3 for at in columns)
    if not console.is_terminal:
        console = Console(file=console.file, width=max(natural, console.width), highlight=False)
    if natural > console.width and console.width < LEAST_COLUMN * len(names):
        _show_records(console, names, rows)
    else:
        table = Table(show_edge=False, pad_edge=False)
        for field, name in zip(rows.schema, names, strict=True):
            table.add_column(
                Text(name), justify="right" if _is_number(field.type) else "left", overflow="fold"
            )
        for line in lines:
            table.add_row(*line)
        console.print(table)
    if more:
        console.print(f"The first {number(rows.num_rows)} rows; all with --output FILE.", style="dim")


def _show_records(console: Console, names: Sequence[str], rows: pa.Table) -> None:
    """Rows one after the other, one value a line."""
    widest = max(map(cell_len, names))
    for index, row in enumerate(rows.to_pylist(), start=1):
        console.print(Text(f"row {number(index)}", style="bold"))
        for name, value in zip(names, row.values(), strict=True):
            line = Text(name + " " * (widest - cell_len(name)) + GAP, style="dim")
            shown = cell(value, max(console.width - widest - len(GAP), LEAST_COLUMN))
            console.print(line.append_text(shown), no_wrap=True, crop=False)
    if rows.num_rows == 0:
        console.print("No rows.", style="dim")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
