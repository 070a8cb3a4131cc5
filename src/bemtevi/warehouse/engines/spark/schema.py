"""Types: from Arrow, in which the lake is defined, to Spark's."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyspark.sql import types as spark

_SCALARS = {
    pa.bool_(): spark.BooleanType(),
    pa.int32(): spark.IntegerType(),
    pa.int64(): spark.LongType(),
    pa.string(): spark.StringType(),
    pa.binary(): spark.BinaryType(),
    pa.date32(): spark.DateType(),
    pa.float64(): spark.DoubleType(),
}


def spark_schema(schema: pa.Schema) -> Any:
    """The Spark schema of an Arrow one."""
    return spark.StructType([spark.StructField(field.name, spark_type(field.type)) for field in schema])


def spark_type(type_: pa.DataType) -> Any:
    """The Spark type of an Arrow one; an instant and a time on a clock stay apart."""
    if pa.types.is_timestamp(type_):
        return spark.TimestampNTZType() if type_.tz is None else spark.TimestampType()
    if pa.types.is_list(type_):
        return spark.ArrayType(spark_type(type_.value_type))
    if pa.types.is_struct(type_):
        return spark.StructType([spark.StructField(field.name, spark_type(field.type)) for field in type_])
    if type_ not in _SCALARS:
        raise TypeError(f"No type of Spark is known for {type_}.")
    return _SCALARS[type_]
