"""The DuckDB file: the same rows as the catalog shows, whole or not there, and opened without us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import duckdb
import pytest
from tests.integration.command import Person
from tests.support import consolidate, new_lake, post, put

from bemtevi.lake.lake import Lake
from bemtevi.serve.catalog import Catalog

USAGE, STORAGE = 2, 4
NAMES = (
    "fact_post",
    "bridge_post_hashtag",
    "dim_user",
    "agg_hashtag_hour",
    "fact_tweet",
    "dim_user_current",
    "raw",
    "run",
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = new_lake(tmp_path)
    put(lake, [post(number, f"um #covid19 {number}") for number in range(20)], number=0)
    consolidate(lake)
    return lake


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "home"
    home.mkdir()
    return Person(home, {"BEMTEVI_LAKE": "../lake", "BEMTEVI_JOURNAL": str(tmp_path / "journal")})


def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(path, read_only=True) as connection:
        folder = Path(str(resources.files("duckdb_extension_delta")))
        connection.execute(f"load '{next(folder.rglob('*.duckdb_extension'))}'")
        yield connection


def shown(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    columns = [column for column, *_ in connection.execute(f"describe {name}").fetchall()]
    listed = ", ".join(f'"{column}"' for column in sorted(columns))
    rows = connection.execute(f"set timezone = 'UTC'; select {listed} from {name}").to_arrow_table()
    return sorted(map(str, rows.to_pylist()))


@pytest.mark.parametrize("flags", [(), ("--copy",)], ids=["views", "copy"])
def test_it_shows_what_the_catalog_shows(person: Person, lake: Lake, flags: tuple[str, ...]) -> None:
    person.good("export", "--duckdb", "w.duckdb", *flags)
    assert [path.name for path in person.folder.iterdir()] == ["w.duckdb"]
    with Catalog(lake) as catalog, catalog.cursor() as ours:
        for connection in opened(person.folder / "w.duckdb"):
            for name in NAMES:
                assert shown(connection, name) == shown(ours, name), name
            comments = connection.execute(
                "select comment from duckdb_columns() "
                "where table_name = 'fact_post' and column_name = 'post_id'"
            ).fetchall()
    assert comments == [("The network's global id of the post.",)]


def test_views_follow_the_lake_and_a_copy_does_not(person: Person, lake: Lake) -> None:
    person.good("export", "--duckdb", "views.duckdb")
    person.good("export", "--duckdb", "copy.duckdb", "--copy")
    put(lake, [post(100, "mais um #covid19")], number=1)
    consolidate(lake)
    counts = []
    for name in ("views", "copy"):
        for connection in opened(person.folder / f"{name}.duckdb"):
            counts.append(connection.execute("select count(*) from fact_post").fetchone())  # noqa: PERF401
    assert counts == [(21,), (20,)]


def test_a_file_that_is_there_is_replaced_whole_or_not_at_all(person: Person, lake: Lake) -> None:
    target = person.folder / "w.duckdb"
    target.write_text("mine")
    told = person.run("export", "--duckdb", "w.duckdb", BEMTEVI_LAKE="../nowhere").sentence(USAGE)
    assert "Nothing is consolidated" in told
    assert target.read_text() == "mine"
    person.good("export", "--duckdb", "w.duckdb")
    assert target.read_bytes()[8:12] == b"DUCK"
    assert [path.name for path in person.folder.iterdir()] == ["w.duckdb"]


def test_where_no_file_can_be_is_told(person: Person, lake: Lake) -> None:
    assert "is a folder" in person.run("export", "--duckdb", ".").sentence(USAGE)
    os.mkfifo(person.folder / "pipe")
    assert "is a device or a pipe" in person.run("export", "--duckdb", "pipe").sentence(USAGE)
    assert (person.folder / "pipe").is_fifo()
    assert "There is no folder" in person.run("export", "--duckdb", "no/w.duckdb").sentence(USAGE)
