"""Both engines make the same tables: same rows, same types."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.integration.test_deletes import by, id_of, word
from tests.integration.test_real_data import files
from tests.properties.reference import Message
from tests.properties.streams import deliver, streams
from tests.spark.conftest import Consolidate, differing, twin
from tests.support import contents, new_lake, post, put, put_file, rows, user

from bemtevi.lake.lake import Lake
from bemtevi.lake.tombstone import Subject, Tombstones
from bemtevi.warehouse.model import load_models

CASES = Path(__file__).parents[1] / "cases"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def forms(lake: Lake) -> dict[str, tuple[list[tuple[str, str]], list[str], dict[str, str]]]:
    """The columns, partitions and properties of every table as the log has them."""
    found = {}
    for model in load_models():
        table = DeltaTable(lake.table(model.definition).uri)
        told = table.metadata()
        columns = [(field.name, str(field.type)) for field in table.schema().fields]
        found[model.name] = (columns, told.partition_columns, told.configuration)
    return found


def with_ids_of_its_own(path: Path, number: int, folder: Path) -> Path:
    """A case whose ids no other case has: they differ in bits that hold no time."""
    text = re.sub(r"\b\d{16,}\b", lambda found: str(int(found[0]) + number * 1000), path.read_text("utf-8"))
    moved = folder / f"{number}.jsonl"
    moved.write_text(text, "utf-8")
    return moved


def test_every_case_in_one_lake(tmp_path: Path, on_duckdb: Consolidate, on_spark: Consolidate) -> None:
    lake = new_lake(tmp_path / "duckdb")
    inputs = sorted(CASES.glob("*/*/input.jsonl"))
    assert len(inputs) > 20
    for number, path in enumerate(inputs):
        put_file(lake, with_ids_of_its_own(path, number, tmp_path))
    other = twin(lake, tmp_path / "spark")
    (here,) = on_duckdb(lake)
    (there,) = on_spark(other)
    assert (there.engine, here.engine) == ("spark", "duckdb")
    counted = ("messages", "observations", "posts_after", "quarantined", "hours")
    assert {name: getattr(there, name) for name in counted} == {name: getattr(here, name) for name in counted}
    held = contents(lake)
    assert all(held.values()), "a case for every table"
    assert differing(held, contents(other)) == []
    assert forms(lake) == forms(other)
    assert on_spark(other) == []


def test_real_files(real_data: Path, tmp_path: Path, on_duckdb: Consolidate, on_spark: Consolidate) -> None:
    lake = new_lake(tmp_path / "duckdb")
    for path in files(real_data):
        put_file(lake, path)
    other = twin(lake, tmp_path / "spark")
    on_duckdb(lake)
    on_spark(other)
    assert len(rows(other, "select post_id from fact_post")) > 14_000
    assert differing(contents(lake), contents(other)) == []


@given(stream=streams(), data=st.data())
@settings(
    max_examples=3,
    phases=[Phase.generate],  # to make a counterexample smaller would take hours
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)
def test_engines_by_turns_on_one_lake(
    stream: list[Message], data: st.DataObject, on_duckdb: Consolidate, on_spark: Consolidate
) -> None:
    """One part by one engine, the other by the other: as if one had made all."""
    cut = data.draw(st.integers(0, len(stream)))
    mixed = data.draw(st.permutations(stream))
    engines = data.draw(st.permutations([on_duckdb, on_spark]))
    with tempfile.TemporaryDirectory() as folder:
        whole, sliced = new_lake(Path(folder) / "whole"), new_lake(Path(folder) / "sliced")
        for run, part in zip(engines, (mixed[:cut], mixed[cut:]), strict=True):
            deliver(sliced, part)
            run(sliced)
        deliver(whole, stream)
        on_duckdb(whole)
        assert differing(contents(whole), contents(sliced)) == []


def test_a_period_again_a_rebuild_and_the_hashtags_of_rules(
    tmp_path: Path, on_duckdb: Consolidate, on_spark: Consolidate
) -> None:
    rules = {"bemtevi:1": ["Covid19"]}
    lake = new_lake(tmp_path / "duckdb")
    matched = {"matching_rules": [{"id": "1", "tag": "bemtevi:1"}]}
    unreadable = {"data": {"id": "not a number", "text": "no time either"}}
    posts = [post(number * 600, f"#a #b{number % 3} &amp;") | matched for number in range(20)]
    put(lake, [*posts, unreadable])
    other = twin(lake, tmp_path / "spark")
    on_duckdb(lake, rules=rules)
    period = (NOON - timedelta(hours=1), NOON)
    runs = on_spark(other, period, rules=rules, rebuild=True)
    assert [run.kind for run in runs] == ["incremental", "period", "rebuild"]
    assert runs[1].posts_before == runs[1].posts_after == 6
    assert (runs[2].posts_before, runs[2].posts_after) == (20, 20)
    assert differing(contents(lake), contents(other)) == []
    assert forms(other) == forms(lake)
    assert [run.quarantined for run in runs] == [1, 0, 1]
    # what was in quarantine is not put there again
    assert rows(other, "select count(*) as number from quarantine") == [{"number": 1}]


def test_what_is_deleted(tmp_path: Path, on_duckdb: Consolidate, on_spark: Consolidate) -> None:
    theirs = by("7", 1, "mine #vacina #segredo")
    quoted = by("8", 2, "look #vacina", referenced_tweets=[{"type": "quoted", "id": id_of(theirs)}])
    quoted["includes"]["tweets"] = [theirs["data"]]
    quoted["includes"]["users"].append(user("7"))
    reply = by(
        "8", 4, "@user7 no #vacina", in_reply_to_user_id="7", conversation_id=id_of(theirs),
        referenced_tweets=[{"type": "replied_to", "id": id_of(theirs)}],
    )  # fmt: skip
    reply["data"]["entities"]["mentions"] = [{"id": "7", "username": "user7"}]
    placed = by("9", 5, "here #vacina", geo={"place_id": "p"})
    placed["includes"]["places"] = [{"id": "p", "full_name": "Rio", "country_code": "BR"}]
    again = by("11", 7000, "once more #vacina")
    lake = new_lake(tmp_path / "duckdb")
    put(lake, [theirs, quoted, reply, placed, by("10", 6, "other #vacina")])
    on_duckdb(lake)
    tombstones = Tombstones(lake)
    erased = tombstones.suppression.digest("x", Subject.POST, id_of(again))
    tombstones.note([word(Subject.AUTHOR, "7"), word(Subject.POST, "", id=None, subject_hash=erased)])
    notices: list[bytes | dict[str, Any]] = [
        {"user_suspend": {"id": 10}},
        {"scrub_geo": {"user_id": 9, "user_id_str": "9", "up_to_status_id_str": id_of(placed)}},
    ]
    put(lake, [*notices, again, by("7", 7200, "still here"), by("8", 7300, "and I #b")], number=1)
    other = twin(lake, tmp_path / "spark")
    here, there = on_duckdb(lake), on_spark(other)
    assert [run.kind for run in there] == [run.kind for run in here]
    assert "deletion" in {run.kind for run in there}
    held = contents(lake)
    assert [row["author_id"] for row in rows(other, "select author_id from fact_post")].count("8") == 3
    assert (
        rows(other, "select * from fact_post where author_id in ('7', '10', '11') or place_id is not null")
        == []
    )
    assert differing(held, contents(other)) == []
    noted = [set(Tombstones(one).read()["subject_hash"].to_pylist()) for one in (lake, other)]
    assert noted[0] == noted[1]
