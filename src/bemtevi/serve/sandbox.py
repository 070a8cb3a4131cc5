"""SQL of strangers: what may be asked at all.

Owns the list of what a statement may be made of. A closed catalog lets no statement reach a file, but some
table functions of the engine change its state or end the process (`enable_logging` with a folder that is
forbidden does), so functions that give tables are allowed by name, and those that tell about the engine are
not. Leaves time, rows and memory to who runs the statement.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from bemtevi.errors import UsageError

TABLE_FUNCTIONS = frozenset(
    {"unnest", "range", "generate_series", "json_each", "json_tree", "repeat", "repeat_row"}
)
FORBIDDEN_FUNCTIONS = frozenset(
    {
        *("current_setting", "getenv", "getvariable", "write_log", "set_config", "nextval", "currval"),
        *("current_query", "txid_current", "pg_sleep", "sleep", "sleep_ms", "which_secret", "error"),
        # lists are made outside of the memory limit: one of these could take all of the machine's
        *("range", "generate_series", "repeat", "list_resize", "array_resize"),
        *("parse_duckdb_log_message", "json_execute_serialized_sql", "pragma_version", "sql_auto_complete"),
    }
)
MOST_LETTERS = 20_000
MOST_DEPTH = 200


def check(sql: str) -> None:
    """Raise UsageError, with one sentence, unless this is one SELECT made of what is allowed."""
    if len(sql) > MOST_LETTERS:
        raise UsageError(f"The SQL is longer than {MOST_LETTERS:,} letters.")
    with duckdb.connect() as connection:
        connection.execute("set enable_external_access = false")
        row = connection.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
    told = json.loads(row[0]) if row else {}
    if told.get("error"):
        if told.get("error_type") == "parser":
            place = int(told.get("position") or 0)
            line = sql.count("\n", 0, place) + 1
            raise UsageError(f"The SQL is wrong in line {line}: {told['error_message']}.")
        raise UsageError("Only one SELECT is answered here: nothing that writes, sets, pivots or describes.")
    if len(told.get("statements", ())) != 1:
        raise UsageError("One statement at a time is answered here.")
    tables: set[int] = set()
    for node in _nodes(told):
        kind, name = node.get("type"), str(node.get("function_name", "")).lower()
        if kind == "TABLE_FUNCTION":
            inner = node.get("function") or {}
            tables.add(id(inner))  # comes later, as a node of its own
            name = str(inner.get("function_name", "")).lower()
            if name not in TABLE_FUNCTIONS:
                raise UsageError(f"The function {name} is not allowed here; tables are asked by their names.")
        elif id(node) in tables:
            continue
        elif name in FORBIDDEN_FUNCTIONS or name.startswith(("duckdb_", "pragma_")):
            raise UsageError(f"The function {name} is not allowed here.")
        if kind == "BASE_TABLE" and (node.get("schema_name") or node.get("catalog_name")):
            schema = str(node["schema_name"] or node["catalog_name"])
            raise UsageError(f"The schema {schema} is not allowed here; tables are asked by their names.")
        if kind == "BASE_TABLE" and str(node.get("table_name", "")).startswith(
            ("duckdb_", "pragma_", "pg_", "sqlite_")
        ):
            raise UsageError(f"The table {node['table_name']} is not one of the lake's.")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the statement's tree."""
    waiting = [(tree, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise UsageError("The SQL is nested too deeply.")
        if isinstance(part, dict):
            yield part
            waiting += [(child, depth + 1) for child in part.values()]
        elif isinstance(part, list):
            waiting += [(child, depth + 1) for child in part]
