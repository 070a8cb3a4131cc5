"""The command lineage: from which messages a part of a table came, or what became of one post.

Owns what is shown of it. Text of posts is shown only if it is asked for, and never as it came: a terminal
could act on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from bemtevi.cli.app import app, lake_of, out
from bemtevi.cli.forget import X
from bemtevi.errors import UsageError
from bemtevi.serve.terminal import number, plain, show_list
from bemtevi.settings import Settings
from bemtevi.warehouse.engines import open_embedded
from bemtevi.warehouse.lineage import Counts, Lineage
from bemtevi.warehouse.lineage import lineage as lineage_of
from bemtevi.warehouse.post_history import Place, PostHistory, Role, post_history
from bemtevi.warehouse.run import Run

LONGEST_ID = 19
RUNS_SHOWN = 20
MESSAGES_SHOWN = 50
PLACES = {
    Place.STORED: "stands in fact_post",
    Place.HIDDEN: "is hidden: it is deleted, or reposts what is",
    Place.WAITING: "waits for the next `bemtevi consolidate`",
    Place.UNREADABLE: "could not be read, and is in quarantine",
    Place.NAMED: "was never delivered: others speak of it",
    Place.ERASED: "is erased: only a tombstone is left",
    Place.UNKNOWN: "is unknown: nothing in the lake speaks of it",
}


@app.command()
def lineage(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="A table of layer 2, such as fact_post.")] = None,
    partition: Annotated[
        str | None, typer.Argument(help="Its partition, such as 2026-11-24; none where the table has none.")
    ] = None,
    post: Annotated[str | None, typer.Option(help="Id of a post: every message that speaks of it.")] = None,
    text: Annotated[bool, typer.Option("--text", help="With --post: show its text.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For a program; with the files.")] = False,
) -> None:
    """From which messages and by which runs a partition came, or what became of one post."""
    if (table is None) == (post is None):
        raise UsageError("Give a table and its partition, or --post ID.")
    if text and post is None:
        raise UsageError("--text goes with --post ID.")
    settings, lake = lake_of(context)
    engine = open_embedded(settings, lake)
    if table is not None:
        found = lineage_of(lake, engine, table, partition, settings.batch_bytes, datetime.now(UTC))
        _write_json(_plain(found)) if as_json else show_lineage(out(), found, settings)
        return
    id_ = str(post)
    if not (id_.isascii() and id_.isdigit() and len(id_) <= LONGEST_ID):
        raise UsageError(f"'{id_}' is no id of X: it is a number; see post_id of fact_post.")
    history = post_history(lake, engine, X, id_, with_text=text)
    _write_json(_plain_history(history)) if as_json else show_history(out(), history, settings)


def show_lineage(console: Console, found: Lineage, settings: Settings) -> None:
    """The lineage of a partition on a terminal."""
    what = found.table if found.partition is None else f"{found.table}, {found.partition}"
    hidden = f", {number(found.hidden)} more observations are hidden by tombstones" if found.hidden else ""
    _say(
        console,
        f"{what}: {number(found.rows)} rows from {number(found.messages)} messages "
        f"({number(found.observations)} observations{hidden}), version {found.version}.",
    )
    if found.sources:
        rows = [
            (
                *(counts.messages, counts.observations, source.network, source.path, source.dialect),
                *(str(source.received_date), source.source),
            )
            for source, counts in sorted(
                found.sources.items(), key=lambda one: (one[0].received_date, one[0].path, one[0].source)
            )
        ]
        heads = (">messages", ">observations", "network", "path", "dialect", "received (UTC)", "source")
        show_list(console, f"Messages, in {number(len(found.files))} files of raw", heads, rows)
    if found.raw_kept_from is not None:
        _say(console, f"Messages received before {found.raw_kept_from:%Y-%m-%d} were removed by age.")
    show_list(
        console,
        "Runs that wrote it, newest first",
        (">run", "kind", "finished", "engine", ">messages", "program"),
        [_of_run(run, settings) for run in reversed(found.runs[-RUNS_SHOWN:])],
    )
    if len(found.runs) > RUNS_SHOWN:
        _say(console, f"And {number(len(found.runs) - RUNS_SHOWN)} before; all with --json.")
    if silent := found.silent.total():
        _say(console, f"{number(silent)} older runs did not keep which dates they wrote.")


def show_history(console: Console, history: PostHistory, settings: Settings) -> None:
    """What became of a post on a terminal."""
    _say(console, f"Post {history.post_id} of {history.network} {PLACES[history.place]}.")
    shown = history.messages[:MESSAGES_SHOWN]
    if shown:
        show_list(
            console,
            f"{number(len(history.messages))} messages that speak of it",
            ("received", "how", "path", "dialect", "says", "file"),
            [
                (
                    f"{message.received_at.astimezone(settings.zone):%Y-%m-%d %H:%M:%S}",
                    message.role.value,
                    message.path,
                    message.dialect,
                    message.says or ("" if message.consolidated else "waits"),
                    message.file,
                )
                for message in shown
            ],
        )
    if len(history.messages) > len(shown):
        _say(console, f"And {number(len(history.messages) - len(shown))} later; all with --json.")
    if history.fact is not None:
        values = (
            f"{name} {_word(value, settings)}" for name, value in history.fact.items() if name != "text"
        )
        _say(console, f"fact_post: {', '.join(values)}.")
    for row in history.tombstones:
        erased = "" if row["erased_at"] is None else f", erased {_word(row['erased_at'], settings)}"
        _say(
            console,
            f"Tombstone of the {row['subject']}: {row['action']} by {row['origin']} "
            f"({row['reason'] or '–'}), noted {_word(row['noted_at'], settings)}{erased}.",
        )
    if history.fact is not None and "text" in history.fact:
        _say(console, f"Text: {history.fact['text']}")
    else:
        for message in shown:
            if message.role is Role.POST and message.text is not None:
                _say(console, f"Text: {message.text}")


def _of_run(run: Run, settings: Settings) -> tuple[Any, ...]:
    return run.number, run.kind, _word(run.finished_at, settings), run.engine, run.messages, run.program


def _word(value: Any, settings: Settings) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(settings.zone):%Y-%m-%d %H:%M}"
    return "–" if value is None else str(value)


def _say(console: Console, line: str) -> None:
    console.print(plain(line), markup=False, soft_wrap=True)


def _plain(found: Lineage) -> dict[str, Any]:
    return {
        "table": found.table,
        "partition": found.partition,
        "version": found.version,
        "rows": found.rows,
        "messages": found.messages,
        "observations": found.observations,
        "hidden_observations": found.hidden,
        "raw_kept_from": found.raw_kept_from,
        "sources": [asdict(source) | asdict(counts) for source, counts in _ordered(found.sources.items())],
        "files": [{"file": file} | asdict(counts) for file, counts in _ordered(found.files.items())],
        "runs": [
            {name: value for name, value in vars(run).items() if name != "versions"} for run in found.runs
        ],
        "runs_without_dates": found.silent.total(),
    }


def _ordered(counted: Iterable[tuple[Any, Counts]]) -> list[tuple[Any, Counts]]:
    return sorted(counted, key=lambda one: str(one[0]))


def _plain_history(history: PostHistory) -> dict[str, Any]:
    messages = [asdict(message) for message in history.messages]
    for message in messages:
        if message["text"] is None:
            del message["text"]
    return {
        "network": history.network,
        "post_id": history.post_id,
        "place": history.place,
        "messages": messages,
        "fact": history.fact,
        "tombstones": history.tombstones,
        "run": None if history.run is None else history.run.number,
    }


def _write_json(value: dict[str, Any]) -> None:
    """As ASCII: what is hostile in it stays escaped."""
    out().print(json.dumps(value, default=_iso), markup=False, soft_wrap=True)


def _iso(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
