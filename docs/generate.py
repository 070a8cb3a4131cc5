"""The reference pages, made from the code: commands, settings, data dictionary, telemetry.

    python docs/generate.py           writes them
    python docs/generate.py --check   fails if what is there is not what the code says

Owns their form. What they say stands in the code: the help of a command, the description of a setting, the
header of a model, the definition of a table, the metric, the call that logs.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bemtevi import metrics
from bemtevi.cli.app import InterruptedByPersonError, app, load_commands
from bemtevi.errors import BemteviError
from bemtevi.lake.definition import Check, CheckKind, TableDefinition
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.settings import FILE, Settings
from bemtevi.simulate.faults import KINDS
from bemtevi.warehouse.checks import PAST_DAYS
from bemtevi.warehouse.model import load_models
from bemtevi.warehouse.record import RECORDS

load_commands([])

METRICS = """\
`bemtevi listen` and `run`, and `consolidate` and `maintain` with `--every`, serve metrics for Prometheus
if `--metrics-port` or the setting `metrics_port` says where, on this machine alone unless `metrics_host` says
otherwise. `bemtevi serve` has them at `/metrics`, with the age of the tables and the checks of the last run,
whoever made it:

```console
bemtevi run --metrics-port 9464
curl http://127.0.0.1:9464/metrics
```

No label is a hashtag, an author, a text or a secret. Metrics of the process itself (`process_*`) come with
them. A metric that has nothing to say yet is not there. Posts a second are
`rate(bemtevi_received_messages_total[1m])`."""
EVENTS = """\
Logs go to standard error, in lines for a person, or as JSON with `--log-json`. Each has `timestamp` (UTC),
`level`, `event` and the fields below. An event is named after the part and what happened to it. `debug` is
told with `--verbose` only. No text of a post and no token goes into a log."""
FOLDER = Path(__file__).resolve().parent
MADE = "<!-- Made from the code by `make docs`. Change the code, not this page. -->"
TIMES = """\
An interval is a number and `s`, `m`, `h`, `d` or `w`: `60m`. A time is an interval before now, or a date with
or without the time of day: `7d`, `2026-11-24`, `2026-11-24T15:00`. Without a zone it is on the clock of the
lake's zone."""
SOURCES = f"""\
A setting comes from a flag of the command line, from the environment, or from the file `{FILE}` in the
folder in which bemtevi is called; else it has its default. The first of these wins. In the file it is a line
such as `lake = "tweets"`. A name that is no setting is refused.

Keep the token in the environment: the file may be committed by mistake. A secret may also stand in a file of
its own, which `BEMTEVI_<NAME>_FILE` names, such as `BEMTEVI_X_BEARER_TOKEN_FILE`. The `AWS_*` names of the
environment are handed on to the store when the lake is an `s3://` address."""
IN_CONTAINERS = ("lake", "journal", "x_api_url", "metrics_port", "metrics_host")
ENVIRONMENT = """\
# Settings of compose.yaml. Copy this file to .env and change what you want; secrets stand in the folder
# secrets. Made from the code by `make docs`.

# Which profile `docker compose up` brings up, and where the lake is: without this file, a volume of `demo`.
COMPOSE_PROFILES=full
BEMTEVI_LAKE=s3://bemtevi/lake
AWS_ENDPOINT_URL=http://s3:7070
AWS_REGION=us-east-1

# X itself: https://api.x.com, with your bearer token in secrets/x_bearer_token. What is followed at first.
BEMTEVI_X_API_URL=http://simulator:8089
FOLLOWED=#covid19

# Where this machine shows what. Put a proxy with TLS in front of what others may reach.
SERVE_AT=127.0.0.1:8642
AIRFLOW_AT=127.0.0.1:8080
AIRFLOW_URL=http://127.0.0.1:8080
PROMETHEUS_AT=127.0.0.1:9090
GRAFANA_AT=127.0.0.1:3000

# Airflow: the first hour to make (none: from now on), who is told of failures, the wait before another try.
# BEMTEVI_DAGS_START=2026-11-26T00:00:00+00:00
# BEMTEVI_ALERT_URL=https://chat.example.com/hook
# BEMTEVI_DAGS_RETRY_SECONDS=300

# Where OpenLineage events go, with BEMTEVI_OPENLINEAGE=true.
# OPENLINEAGE_URL=

# Images, and the base of those that are built here. BEMTEVI_SECRETS is the folder of secrets.
# BASE=python:3.11-slim-bookworm
# BEMTEVI_IMAGE=bemtevi:local
# AIRFLOW_IMAGE=bemtevi-airflow:local
# S3_IMAGE=bemtevi-s3:local
# DATABASE_IMAGE=postgres:17-bookworm
# PROMETHEUS_IMAGE=prom/prometheus:v3.5.0
# GRAFANA_IMAGE=grafana/grafana:12.2.0
# BEMTEVI_VERSION=unknown
# BEMTEVI_REVISION=unknown
# BEMTEVI_SECRETS=./secrets

# The profile demo, and the simulated X.
# CONSOLIDATE_EVERY=1m
# SIMULATED_RATE=20
# SIMULATED_SEARCH_DELAY=30

# bemtevi's own, as docs/settings.md has them; shown are the defaults.
"""
TABLES = """\
Every table is a Delta table, Parquet files and a log, at `<lake>/layer1/<table>` or `<lake>/layer2/<table>`.
Types are DuckDB's. `TIMESTAMP WITH TIME ZONE` is an instant, kept in UTC; `TIMESTAMP` is a time on the clock
of the lake's zone. A column marked *private* holds what a person wrote: its values never stand in the log.
One marked *worked out when read* is not in the files: `bemtevi query` gives it; `<table>_plain` is the table
without such columns, which costs less."""
VIEWS = """\
`fact_tweet` and `dim_user_current` have the names of the case, for people who come from it. Asked with
`bemtevi query`; nothing is stored."""
DIAGRAM = """\
How the tables join, by the references that their headers check. Shown are the columns of keys (PK, and
UK for another that is referred to) and of references (FK)."""
MODEL_TYPES = {model.name: model.types for model in load_models()}
LEVELS = ("debug", "info", "warning", "error")


def main() -> int:
    """Write the pages, or tell which of them are not as the code says."""
    parser = argparse.ArgumentParser(description="Make the reference pages from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a page differs")
    check = parser.parse_args().check
    stale = []
    for name, lines in {
        "commands.md": commands(),
        "settings.md": settings(),
        "data-dictionary.md": data_dictionary(),
        "telemetry.md": telemetry(),
        "faults.md": faults(),
        "../.env.example": environment(),
    }.items():
        made = [MADE, ""] if name.endswith(".md") else []
        text = "\n".join([*made, *lines]) + "\n"
        path = FOLDER / name
        if check:
            stale += [name] if not path.exists() or path.read_text(encoding="utf-8") != text else []
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"docs: {', '.join(stale)} not as the code says; run `make docs`.\n")
    return 1 if stale else 0


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown, with an empty line after it."""
    for row in (heads, ["---"] * len(heads), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


def environment() -> Iterator[str]:
    """Every setting that a person may give to compose.yaml, with its default."""
    yield from ENVIRONMENT.splitlines()
    for name, field in Settings.model_fields.items():
        if SecretStr in getattr(field.annotation, "__args__", ()) or name in IN_CONTAINERS:
            continue
        default = "" if field.default is None else field.default
        yield f"# {field.description}"
        yield f"# BEMTEVI_{name.upper()}={default}"


def faults() -> Iterator[str]:
    """Every fault of the simulator, by its place."""
    yield from ["# Faults of the simulator", "", "How to ask for them: [simulator.md](simulator.md).", ""]
    for place in dict.fromkeys(kind.place for kind in KINDS.values()):
        yield from [f"## {place.capitalize()}", ""]
        rows = []
        for name, kind in KINDS.items():
            given = [
                f"`{key}={one.default}`" + (f" ({', '.join(one.choices)})" if one.choices else "")
                for key, one in kind.parameters.items()
            ]
            if kind.place is place:
                rows.append((f"`{name}`", kind.words, "; ".join(given)))
        yield from table(("fault", "what happens", "parameters"), rows)


def commands() -> Iterator[str]:
    """Every command and flag, and the exit codes."""
    root = typer.main.get_command(app)
    yield from ["# Commands", "", f"{root.help} `bemtevi COMMAND --help` says the same on a terminal.", ""]
    yield "Flags that stand before the command, for all commands:"
    yield ""
    yield from _parameters(root)
    yield "They win over the [settings](settings.md) of the environment and of the settings file."
    yield ""
    yield from _commands_of(root, "bemtevi")
    yield from ["## Times", ""]
    yield TIMES
    yield from ["", "## Exit codes", ""]
    yield "What goes wrong is one line on standard error that begins with `bemtevi:`."
    yield ""
    errors: list[type[BemteviError]] = [BemteviError, *_below(BemteviError)]
    told = {error.exit_code: error.__doc__ or "" for error in errors if "exit_code" in vars(error)}
    told[InterruptedByPersonError.exit_code] = "Ctrl-C, where there is nothing to end in order."
    yield from table(
        ["code", "meaning"],
        [["0", "It is done."], *([str(code), text.splitlines()[0]] for code, text in sorted(told.items()))],
    )


def _commands_of(group: Any, path: str) -> Iterator[str]:
    for name in group.list_commands(typer.Context(group)):
        command = group.commands[name]
        whole = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands_of(command, whole)
            continue
        arguments = [
            parameter.name.upper() + ("…" if parameter.nargs == -1 else "")
            for parameter in command.params
            if parameter.param_type_name == "argument"
        ]
        yield from [f"## {whole}", "", f"`{' '.join([whole, *arguments, '[FLAGS]'])}`", ""]
        yield from [*(command.help or "").splitlines(), ""]
        yield from _parameters(command)


def _parameters(command: Any) -> Iterator[str]:
    rows = []
    for parameter in command.params:
        if parameter.hidden or "completion" in parameter.name:
            continue
        if parameter.param_type_name == "argument":
            names = f"`{parameter.name.upper()}`"
        else:
            value = "" if parameter.is_flag else " " + parameter.name.upper()
            options = (*parameter.opts, *parameter.secondary_opts)
            names = ", ".join(f"`{option}{value}`" for option in options)
        default = parameter.default
        shown = (
            "required"
            if parameter.required
            else f"`{default}`"
            if default is not None and default is not False
            else ""
        )
        rows.append([names, parameter.help or "", shown])
    if rows:
        yield from table(["", "meaning", "default"], rows)


def _below(kind: type[BemteviError]) -> Iterator[type[BemteviError]]:
    for error in kind.__subclasses__():
        if error.__module__ == BemteviError.__module__:
            yield error
            yield from _below(error)


def settings() -> Iterator[str]:
    """Every setting."""
    yield from ["# Settings", ""]
    yield SOURCES
    yield ""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(
            [f"`{name}`", f"`BEMTEVI_{name.upper()}`", default, field.description or "", _bounds(field)]
        )
    yield from table(["setting", "environment", "default", "meaning", "bounds"], rows)


def _bounds(field: FieldInfo) -> str:
    parts = ["secret"] if SecretStr in getattr(field.annotation, "__args__", ()) else []
    for bound in field.metadata:
        parts += [f"at least {bound.ge}"] if hasattr(bound, "ge") else []
        parts += [f"more than {bound.gt}"] if hasattr(bound, "gt") else []
    if getattr(field.annotation, "__origin__", None) is not None and not parts:
        choices = [value for value in getattr(field.annotation, "__args__", ()) if isinstance(value, str)]
        parts += [f"`{value}`" for value in choices]
    return ", ".join(parts)


def telemetry() -> Iterator[str]:
    """Every metric and every event of the logs."""
    yield from ["# Telemetry", "", "## Metrics", ""]
    yield METRICS
    yield ""
    yield from table(
        ["metric", "kind", "labels", "meaning"],
        [
            [f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), told]
            for name, kind, labels, told in sorted(metrics.described())
        ],
    )
    yield from ["## Logs", ""]
    yield EVENTS
    yield ""
    yield from table(["event", "level", "fields", "meaning"], _events())


def _events() -> Iterator[list[str]]:
    """The calls `log.<level>("part.happened", field=…)` of the program."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for path in sorted(Path(str(resources.files("bemtevi"))).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                    args=[ast.Constant(value=str(event))],
                    keywords=fields,
                ) if level in LEVELS:
                    levels, names = found.setdefault(event, (set(), set()))
                    levels.add(level)
                    names.update(field.arg for field in fields if field.arg)
    meanings = tomllib.loads((FOLDER / "events.toml").read_text(encoding="utf-8"))
    for event, (levels, names) in sorted(found.items()):
        shown = ", ".join(level for level in LEVELS if level in levels)
        told = ", ".join(f"`{name}`" for name in sorted(names))
        yield [f"`{event}`", shown, told, meanings.get(event, "")]


def data_dictionary() -> Iterator[str]:
    """Every table and view."""
    models = {model.name: model for model in load_models()}
    yield from ["# Data dictionary", ""]
    yield TABLES
    yield from ["", "## Layer 1: what was delivered", ""]
    for definition in LAYER_1:
        yield from _table(definition, _types(definition.schema))
    yield from ["## Layer 2: what we make of it", ""]
    yield DIAGRAM
    yield ""
    yield from diagram([model.definition for model in load_models()])
    for name in sorted(models):
        definition = models[name].definition
        yield from _table(definition, models[name].types | _types_of_derived(definition))
    for definition in RECORDS:
        yield from _table(definition, _types(definition.schema) | _types_of_derived(definition))
    yield from ["## Views", ""]
    yield VIEWS
    yield ""
    yield from _views({name: model.definition for name, model in models.items()})


def diagram(definitions: Sequence[TableDefinition]) -> Iterator[str]:
    """The tables with their keys and references, for Mermaid."""
    yield from ["```mermaid", "erDiagram"]
    lines: dict[tuple[str, str], list[str]] = {}
    referred_to = {
        (check.table, column)
        for definition in definitions
        for check in definition.checks
        for column in check.key or check.columns
        if check.table
    }
    for definition in sorted(definitions, key=lambda one: one.name):
        referring = {
            column
            for check in definition.checks
            if check.kind is CheckKind.REFERENCES
            for column in check.columns
        }
        yield f"    {definition.name} {{"
        for column in definition.columns:
            marks = [mark for mark, of in (("PK", definition.key), ("FK", referring)) if column.name in of]
            if not marks and (definition.name, column.name) in referred_to:
                marks = ["UK"]
            if marks:
                kind = re.sub(r"[^A-Za-z0-9_]+.*", "", MODEL_TYPES[definition.name][column.name])
                yield f"        {kind} {column.name} {', '.join(marks)}"
        yield "    }"
        for check in definition.checks:
            if check.kind is CheckKind.REFERENCES:
                lines.setdefault((check.table, definition.name), []).append(" ".join(check.columns))
    for (referred, name), names in sorted(lines.items()):
        yield f'    {referred} ||--o{{ {name} : "{", ".join(names)}"'
    yield from ["```", ""]


def _types_of_derived(definition: TableDefinition) -> dict[str, str]:
    derived = pa.schema([pa.field(one.name, one.type) for one in definition.derived])
    return _types(derived) if derived.names else {}


def _table(definition: TableDefinition, types: dict[str, str]) -> Iterator[str]:
    yield from [f"### {definition.name}", "", f"- Grain: {definition.grain}."]
    yield f"- Key: {', '.join(f'`{name}`' for name in definition.key)}."
    if definition.partition_by:
        yield f"- Partition: {', '.join(f'`{name}`' for name in definition.partition_by)}."
    yield ""
    yield from table(
        ["column", "type", "description"],
        [
            [
                f"`{column.name}`",
                types[column.name],
                column.description + (" *private*" if column.private else ""),
            ]
            for column in definition.columns
        ]
        + [
            [f"`{one.name}`", types[one.name], f"{one.description} *worked out when read*"]
            for one in definition.derived
        ],
    )
    checks = definition.all_checks if definition.name in MODEL_TYPES else definition.checks
    if checks:
        yield from table(
            ["check", "what must hold", "else"],
            [[check.kind.value, _must_hold(check), check.severity.value] for check in checks],
        )


def _must_hold(check: Check) -> str:
    columns = ", ".join(f"`{column}`" for column in check.columns)
    match check.kind:
        case CheckKind.NOT_NULL:
            return f"{columns} never null"
        case CheckKind.UNIQUE:
            return f"no two rows have the same {columns}"
        case CheckKind.ACCEPTED_VALUES:
            return f"{columns} is null or one of {', '.join(check.values)}"
        case CheckKind.REFERENCES:
            key = "".join(f" as `{name}`" for name in check.key)
            return f"`{check.table}` has the {columns}{key}, where there is one"
        case CheckKind.VOLUME:
            return (
                f"the last full hour has {check.lowest:g} to {check.highest:g} times the rows that the same "
                f"hour of the {PAST_DAYS} days before has by the median, if that is {check.least} or more"
            )
        case CheckKind.FRESHNESS:
            return f"the newest {columns} is at most {check.hours:g} hours old"
        case CheckKind.FIELDS:
            return (
                "messages of a network have the fields that they had: none is new, none that most had is "
                f"gone; it is told once {check.least:,} messages of a kind were looked at"
            )


def _types(schema: pa.Schema) -> dict[str, str]:
    """The names of a schema's types in SQL."""
    with duckdb.connect() as connection:
        connection.register("made", schema.empty_table())
        return _described(connection, "made")


def _described(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    return {column: kind for column, kind, *_ in connection.execute(f"describe {name}").fetchall()}


VIEW = re.compile(r"create or replace view (\w+) as\nselect\n(.*?)\nfrom (\w+)(.*?);", re.DOTALL)
VIEW_COLUMN = re.compile(r"  (?P<from>.+?)(?: as (?P<name>\w+))?,?(?:  -- (?P<told>.+))?")


def _views(models: dict[str, TableDefinition]) -> Iterator[str]:
    text = (resources.files("bemtevi.serve") / "views.sql").read_text(encoding="utf-8")
    with duckdb.connect() as connection:
        for name, definition in models.items():
            rows = definition.schema.empty_table()
            for one in definition.derived:
                rows = rows.append_column(one.name, pa.array([], one.type))
            connection.register(name, rows)
        for statement in duckdb.extract_statements(text):
            connection.execute(statement.query)
        for view, columns, source, rest in VIEW.findall(text):
            described = {column.name: column.description for column in models[source].columns}
            types = _described(connection, view)
            of_x = ", of X" if "network = 'x'" in rest else ""
            latest = ", the latest of each author" if "qualify" in rest else ""
            yield from [
                f"### {view}",
                "",
                f"- Grain: {models[source].grain}{latest}{of_x}; from `{source}`.",
                "",
            ]
            told_of = []
            for line in columns.splitlines():
                if line.strip() == f"{source}.*,":
                    told_of.append(["all of its columns", "", f"`{source}`", "See there."])
                    continue
                found = VIEW_COLUMN.fullmatch(line)
                told = found and (found["told"] or described.get(found["from"]))
                if found is None or told is None:
                    raise ValueError(f"views.sql: a column of {view} needs a description: {line.strip()}")
                column = found["name"] or found["from"]
                told_of.append([f"`{column}`", types[column], f"`{found['from']}`", told])
            yield from table(["column", "type", "is", "description"], told_of)


if __name__ == "__main__":
    sys.exit(main())
