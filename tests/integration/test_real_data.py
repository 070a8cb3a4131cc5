"""Real files, end to end, against a count that shares no code with us."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import duckdb
import polars
import pytest
from deltalake import DeltaTable
from tests.integration.independent_count import count
from tests.support import consolidate, contents, new_lake, put_file, rows

from bemtevi.lake.lake import Lake


def files(real_data: Path) -> list[Path]:
    """The archives of X: v2 lines and pages, v1.1; without the flattened form, which is counted apart."""
    found = [
        *(real_data / "x_v2_stream").glob("*.gz"),
        *(real_data / "x_v2_pages").rglob("*.gz"),
        *(real_data / "x_v2_odd").iterdir(),
        *(real_data / "x_v1").rglob("*.zip"),
        *(real_data / "x_v1").rglob("*.json"),
    ]
    return sorted(path for path in found if path.name != "flat.jsonl.gz")


@pytest.fixture(scope="module")
def real_lake(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = new_lake(tmp_path_factory.mktemp("real"))
    for path in files(real_data):
        put_file(lake, path)
    consolidate(lake)
    return lake


def test_fact_post_has_exactly_the_distinct_posts_and_every_hashtag(real_lake: Lake, real_data: Path) -> None:
    counted = count(files(real_data))
    assert len(counted) > 14_000
    ours = {row["post_id"] for row in rows(real_lake, "select post_id from fact_post")}
    assert ours == set(counted)
    tags: dict[str, set[str]] = {}
    for row in rows(real_lake, "select post_id, hashtag from bridge_post_hashtag"):
        tags.setdefault(row["post_id"], set()).add(row["hashtag"])
    assert [post for post, found in counted.items() if not found <= tags.get(post, set())] == []
    more = [post for post, found in tags.items() if not found <= counted[post]]
    plain = "select distinct post_id from bridge_post_hashtag where matched_by = 'plain text'"
    assert set(more) <= {row["post_id"] for row in rows(real_lake, plain)}, (
        "more only where X sent no entities"
    )


def test_again_changes_no_table(real_lake: Lake, real_data: Path) -> None:
    before = contents(real_lake)
    runs = rows(real_lake, "select * from run")
    for path in files(real_data):
        put_file(real_lake, path)
    assert consolidate(real_lake) == []
    assert contents(real_lake) == before
    assert rows(real_lake, "select * from run") == runs


def test_every_table_opens_without_us(real_lake: Lake) -> None:
    root = Path(real_lake.layout.root)
    tables = sorted(path.parent for path in root.glob("layer*/*/_delta_log"))
    assert {path.name for path in tables} >= {"raw", "fact_post", "bridge_post_hashtag", "dim_user", "run"}
    for path in tables:
        rows_here = DeltaTable(path).count()
        assert polars.read_delta(str(path)).height == rows_here, path.name
        with duckdb.connect() as connection:
            connection.execute(
                f"load '{next(files_of('duckdb_extension_delta').rglob('*.duckdb_extension'))}'"
            )
            found = connection.execute(f"select count(*) from delta_scan('{path}')").fetchone()
        assert found == (rows_here,), path.name


def files_of(package: str) -> Path:
    """The folder of an installed package."""
    return Path(str(resources.files(package)))


def test_flattened_posts_are_read_like_any(real_data: Path, tmp_path: Path) -> None:
    """The same posts as pages and as `twarc flatten` wrote them."""
    tables = []
    for name in ("noflat.jsonl.gz", "flat.jsonl.gz"):
        lake = new_lake(tmp_path / name)
        put_file(lake, real_data / "x_v2_pages" / "twarc_csv" / name)
        consolidate(lake)
        tables.append(
            rows(
                lake,
                "select post_id, text, type, author_id, referenced_post_id, referenced_author_id, "
                "like_count, hashtags, created_at_local from fact_post order by post_id",
            )
        )
    assert len(tables[0]) == 100
    assert tables[0] == tables[1]
