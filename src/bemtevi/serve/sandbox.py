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
        # lists and texts are made outside of the memory limit: one of these could take all of the machine's
        *("range", "generate_series", "repeat", "list_resize", "array_resize"),
        *("lpad", "rpad", "printf", "format", "bitstring"),
        *("parse_duckdb_log_message", "json_execute_serialized_sql", "pragma_version", "sql_auto_complete"),
    }
)
MOST_LETTERS = 20_000
MOST_DEPTH = 200
JOINING = frozenset({"||", "concat", "concat_ws", "list_concat", "list_cat", "array_concat", "array_cat"})
REPLACING = frozenset({"replace", "regexp_replace"})
UNKNOWN_GROWTH = 1_000
MOST_GROWTH = 100_000
"""How many times as long as it was a text or list may be made, at the most: the engine does not bound them
while it makes them, and twenty doublings in a row are a million."""


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
    growth = 1
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
        growth *= _growth(name, node)
        if growth > MOST_GROWTH:
            raise UsageError("The SQL joins or replaces texts too often: they could grow without bound.")
        if kind == "BASE_TABLE" and (node.get("schema_name") or node.get("catalog_name")):
            schema = str(node["schema_name"] or node["catalog_name"])
            raise UsageError(f"The schema {schema} is not allowed here; tables are asked by their names.")
        if kind == "BASE_TABLE" and str(node.get("table_name", "")).startswith(
            ("duckdb_", "pragma_", "pg_", "sqlite_")
        ):
            raise UsageError(f"The table {node['table_name']} is not one of the lake's.")


def _growth(name: str, node: dict[str, Any]) -> int:
    """How many times as long as its longest argument the answer of a function may be."""
    arguments: list[dict[str, Any]] = node.get("children") or []
    if name in JOINING:
        return max(len(arguments), 1)
    if name in REPLACING and len(arguments) > 2:
        value = (arguments[2].get("value") or {}).get("value")
        return max(len(value), 1) if isinstance(value, str) else UNKNOWN_GROWTH
    return 1


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
