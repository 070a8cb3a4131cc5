"""How the embedded engine reads files of a lake: from a folder as it is, from S3 by a packaged extension.

Owns the loading of DuckDB's packaged extensions (nothing is downloaded) and what they are told of the store.
Leaves to the callers which files are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import duckdb

from bemtevi.errors import UsageError
from bemtevi.lake.literal import text
from bemtevi.lake.s3_files import region_of, server_of, virtual_hosted

RETRIES = 6
"""With waits of 0.1, 0.2, 0.4 … seconds between: six seconds in all for each request."""


def let_read(connection: duckdb.DuckDBPyConnection, options: Mapping[str, str]) -> None:
    """Let a connection read the files of a lake with these options of its store; a folder has none.

    Raises UsageError if the extension is not installed.
    """
    if not options:
        return
    connection.execute(f"load {text(_extension('httpfs'))}")
    connection.execute(f"set http_retries = {RETRIES}")
    connection.execute("set http_retry_backoff = 2")
    connection.execute("set enable_http_metadata_cache = true")  # files of a snapshot do not change
    connection.execute(_secret(connection, options))


def _secret(connection: duckdb.DuckDBPyConnection, options: Mapping[str, str]) -> str:
    told = {"type": "s3", "region": text(region_of(options))}
    if "AWS_ACCESS_KEY_ID" in options:
        told["provider"] = "config"
        told["key_id"] = text(options["AWS_ACCESS_KEY_ID"])
        told["secret"] = text(options.get("AWS_SECRET_ACCESS_KEY", ""))
        if "AWS_SESSION_TOKEN" in options:
            told["session_token"] = text(options["AWS_SESSION_TOKEN"])
    else:  # a role of the machine, the container or the service account
        connection.execute(f"load {text(_extension('aws'))}")
        told["provider"] = "credential_chain"
        told["refresh"] = "auto"
    if server := server_of(options):
        told["endpoint"] = text(server.netloc)
        told["use_ssl"] = "false" if server.scheme == "http" else "true"
        told["url_style"] = text("vhost" if virtual_hosted(options) else "path")
    return f"create or replace secret lake ({', '.join(f'{name} {value}' for name, value in told.items())})"


@cache
def _extension(name: str) -> str:
    """The file of a packaged extension."""
    try:
        folder = files(f"duckdb_extension_{name}")
        return str(next(folder.rglob(f"{name}.duckdb_extension")))  # type: ignore[attr-defined]
    except (ModuleNotFoundError, StopIteration):
        raise UsageError(
            f"To read a lake on S3, the package duckdb-extension-{name} is needed: install bemtevi again."
        ) from None


def draw_no_bar(connection: duckdb.DuckDBPyConnection) -> None:
    """No bar of progress among what we say. In a notebook without widgets there is none, and DuckDB refuses
    even to be told so."""
    told = connection.execute("select current_setting('enable_progress_bar')").fetchone()
    if told is not None and told[0]:
        connection.execute("set enable_progress_bar = false")
