"""Models in Spark's SQL: what sqlglot does not do by itself."""

from __future__ import annotations

import pytest

RELATIONS = {"a": {"x": "INTEGER", "y": "VARCHAR", "z": "INTEGER[]"}, "b": {"y": "VARCHAR", "x": "INTEGER"}}


def translated(sql: str) -> str:
    from bemtevi.warehouse.engines.spark.translate import translate

    return translate(sql, RELATIONS, {"a": "a_1", "b": "b_1"}, "America/Sao_Paulo")


def test_a_union_by_name_is_put_in_order_and_filled() -> None:
    assert translated("select x, y, 1 as w from a union all by name select * from b") == (
        "SELECT a.x AS x, a.y AS y, 1 AS w FROM a_1 AS a "
        "UNION ALL SELECT b.x AS x, b.y AS y, NULL AS w FROM b_1 AS b"
    )


def test_a_union_by_name_never_drops_a_column() -> None:
    with pytest.raises(ValueError, match="lacks"):
        translated("select x from a union all by name select * from b")


def test_a_list_becomes_rows_with_the_place_of_each() -> None:
    assert translated("select x, unnest(z) as one, generate_subscripts(z, 1) as at from a") == (
        "SELECT a.x AS x, list_0.element AS one, (list_0.place + 1) AS at FROM a_1 AS a "
        "LATERAL VIEW POSEXPLODE(a.z) list_0 AS place, element"
    )


def test_two_lists_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="one list"):
        translated("select unnest(z) as one, unnest([1, 2]) as two from a")


@pytest.mark.parametrize(
    ("ours", "sparks"),
    [
        ("len(z)", "SIZE(a.z)"),
        ("len(y)", "LENGTH(a.y)"),
        ("z[2:4]", "SLICE(a.z, 2, 3)"),
        ("cast(concat('0x', y) as bigint)", "CAST(CONV(a.y, 16, 10) AS BIGINT)"),
        ("local_time(x)", "CONVERT_TIMEZONE('UTC', 'America/Sao_Paulo', CAST(a.x AS TIMESTAMP_NTZ))"),
        ("extract(isodow from x)", "EXTRACT(DAYOFWEEK_ISO FROM a.x)"),
    ],
)
def test_what_spark_says_otherwise(ours: str, sparks: str) -> None:
    assert translated(f"select {ours} as it from a") == f"SELECT {sparks} AS it FROM a_1 AS a"
