"""Headers of models: every table states what it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from bemtevi.warehouse.model import Scope, load_models, parse_model, staging_files, table_of

HEADER = """/*
grain = "one thing"
key = ["a"]
scope = "whole"
inputs = []
[columns]
a = { type = "BIGINT", description = "A." }
*/
"""


def test_every_table_states_grain_key_partition_and_columns() -> None:
    for model in load_models():
        definition = model.definition
        names = set(definition.schema.names)
        assert definition.grain
        assert definition.key
        assert {*definition.key, *definition.partition_by} <= names, model.name
        assert all(column.description.endswith(".") for column in definition.columns), model.name
        if model.scope in (Scope.HOURS, Scope.SINCE):
            assert {model.hour, model.day} <= names, "what is replaced together can be told"


def test_models_run_after_what_they_read() -> None:
    seen: set[str] = set()
    names = {model.name for model in load_models()}
    for model in load_models():
        reads = {table_of(source) for source in model.inputs} & names
        assert reads <= seen, f"{model.name} runs before {reads - seen}"
        seen.add(model.name)


def test_threads_may_load_them_at_once() -> None:
    """A server and a consolidation begin together."""
    load_models.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(load_models) for _ in range(4)]
        names = [[model.name for model in one.result()] for one in found]
    assert names[0] == names[1] == names[2] == names[3]


def test_no_text_of_a_person_gets_statistics() -> None:
    held = {model.name: model.definition for model in load_models()}
    for table, written in {
        "fact_post": {"text", "place_name", "hashtags"},
        "dim_user": {"username", "name", "description", "location", "url"},
        "user_observation": {"username", "name", "description", "location", "url"},
    }.items():
        private = {column.name for column in held[table].columns if column.private}
        assert written <= private
        assert not private & set(held[table].statistics_columns)


def test_a_staging_file_is_one_or_more_statements_of_which_the_last_is_a_select() -> None:
    for name, sql in staging_files().items():
        if name != "functions":
            assert duckdb.extract_statements(sql)[-1].type.name == "SELECT", name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("select 1", "must begin with a header"),
        (HEADER.replace('grain = "one thing"\n', ""), "grain"),
        (HEADER.replace("BIGINT", "NUMBERISH"), "NUMBERISH"),
        (HEADER.replace('scope = "whole"', 'scope = "some"'), "some"),
        (HEADER.replace("key = [", "key = [["), "Unclosed array|Invalid"),
    ],
)
def test_a_wrong_header_is_told_with_its_file(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as error:
        parse_model("wrong", text)
    assert "models/wrong.sql" in str(error.value)
