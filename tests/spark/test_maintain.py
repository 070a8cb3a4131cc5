"""Maintenance on both engines: the same files become one, and no row changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.spark.conftest import Consolidate, differing, twin
from tests.spark.session import PLACE
from tests.support import contents, new_lake, post, put, rows

from bemtevi.errors import ConflictError
from bemtevi.lake.lake import Lake
from bemtevi.lake.layer1 import LAYER_1
from bemtevi.lake.maintenance import MaintainedTable
from bemtevi.lake.raw import RAW
from bemtevi.settings import load_settings
from bemtevi.warehouse.engines import open_elsewhere
from bemtevi.warehouse.maintain import Maintenance, Policy
from bemtevi.warehouse.model import FACT, load_models
from bemtevi.warehouse.verify import compare, examine_tables

BEGIN = datetime(2026, 11, 20, 14, tzinfo=UTC)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, on_duckdb: Consolidate) -> Lake:
    """Three closed days, in each of which three commits were consolidated one by one."""
    lake = new_lake(tmp_path_factory.mktemp("grown"))
    for number in range(9):
        day, hour = divmod(number, 3)
        at = BEGIN + timedelta(days=day, hours=hour)
        lines: list[Any] = [post(number * 5000 + second, f"#a #b{second}") for second in range(3)]
        put(lake, [*lines, b"{no json"], number=number, received_at=at, session=f"test {number}")
        on_duckdb(lake)
    return lake


def maintained(lake: Lake, engine: str) -> None:
    """Forty days later, when every old version may go."""
    elsewhere = open_elsewhere(load_settings(engine=engine, spark=PLACE))
    now = datetime.now(UTC) + timedelta(days=40)
    Maintenance(lake, Policy(versions_hours=0), lambda: now, patience=0, elsewhere=elsewhere).run()


def layer_1(lake: Lake) -> dict[str, list[str]]:
    return {
        one.name: sorted(map(str, lake.table(one).read().to_pylist()))
        for one in LAYER_1
        if lake.table(one).exists()
    }


def files(lake: Lake) -> dict[str, list[tuple[str, int]]]:
    """Of every table the partition and the rows of each file."""
    definitions = [*LAYER_1, *(model.definition for model in load_models())]
    return {
        one.name: sorted((str(file.day), file.rows) for file in MaintainedTable.of(lake, one).data_files())
        for one in definitions
    }


def test_the_same_files_become_one(grown: Lake, tmp_path: Path, on_spark: Consolidate) -> None:
    here, there = twin(grown, tmp_path / "here"), twin(grown, tmp_path / "there")
    before, held, messages = files(here), contents(here), layer_1(here)
    maintained(here, "duckdb")
    maintained(there, "spark")
    after = files(there)
    assert after == files(here)
    assert len(after[RAW.name]) == 3 < len(before[RAW.name])
    assert len(after[FACT]) < len(before[FACT])
    for lake in (here, there):
        assert differing(held, contents(lake)) == []
        assert layer_1(lake) == messages
    engines = [rows(lake, "select engine from run order by number desc limit 1") for lake in (here, there)]
    assert engines == [[{"engine": "deltalake"}], [{"engine": "spark"}]]
    # what nobody refers to is gone from both
    on_disk = [sum(1 for _ in Path(lake.layout.root).rglob("*.parquet")) for lake in (here, there)]
    assert on_disk[0] == on_disk[1]
    assert not any(told.damage for told in examine_tables(there))
    assert not any(told.wrong for told in compare(there, "500MB"))
    # and both go on
    put(there, [post(90_000, "#later")], number=90)
    on_spark(there)
    assert rows(there, "select count(*) as posts from fact_post") == [{"posts": 28}]


def test_a_file_that_went_meanwhile_is_not_doubled(grown: Lake, tmp_path: Path) -> None:
    lake = twin(grown, tmp_path)
    (fact,) = (model.definition for model in load_models() if model.name == FACT)
    held = contents(lake)
    elsewhere = open_elsewhere(load_settings(engine="spark", spark=PLACE))
    assert elsewhere is not None
    for definition in (fact, RAW):
        table = MaintainedTable.of(lake, definition)
        version, days = table.version(), sorted({file.day for file in table.data_files()}, key=str)
        # somebody else is first
        assert table.compact_elsewhere(days, version, elsewhere.put_together) > 0
        whole = files(lake)[definition.name]
        on_disk = set(Path(table.uri).rglob("*.parquet"))
        with pytest.raises(ConflictError):
            table.compact_elsewhere(days, version, elsewhere.put_together)
        assert files(lake)[definition.name] == whole
        assert set(Path(table.uri).rglob("*.parquet")) == on_disk, "what was written in vain is taken away"
    assert {name: len(held[name]) for name in held} == {
        name: len(rows) for name, rows in contents(lake).items()
    }
