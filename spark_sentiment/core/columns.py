"""Helpers for columns and schemas: names, checks, vectors and arrays."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.errors import IllegalArgumentException
from pyspark.ml import Pipeline
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.wrapper import JavaParams
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, NumericType, StringType, StructField, StructType

from spark_sentiment.core import jvm
from spark_sentiment.errors import DataError, SchemaError

VECTOR = VectorUDT()

# A message lists at most so many names, and so many characters of each. Longer than the last
# number is no name: a file without a header has its first review there.
_NAMES_LISTED, _NAME_LISTED, _NAME_LONGEST = 20, 40, 64


def find(schema: StructType, uid: str, name: str, *types: type[DataType]) -> StructField:
    """Return the field `name`; raise SchemaError if it is missing or has a wrong type.

    Parameters
    ----------
    schema : StructType
        The schema to look in.
    uid : str
        Id of the stage, which begins the message.
    name : str
        Name of the column, matched exactly.
    *types : type of DataType
        Accepted types (``NumericType`` accepts every number); without types, any type is accepted.
    """
    if name not in schema.names:
        raise SchemaError(
            f"{uid}: column '{name}' is missing; the columns are: {listed(schema.names)}"
        )
    field: StructField = schema[name]
    if types and not isinstance(field.dataType, types):
        wanted = " or ".join(_spelled(kind) for kind in types)
        raise SchemaError(
            f"{uid}: column '{name}' must be {wanted}, found {field.dataType.simpleString()}"
        )
    return field


def refuse_stream(df: DataFrame, uid: str) -> None:
    """Raise DataError if `df` is a stream: `uid` counts, joins or collects all rows.

    Stages call it before `fit` and `evaluate`; see `Stage`.

    Examples
    --------
    >>> refuse_stream(spark.range(3), "count")
    >>> stream = spark.readStream.format("rate").load()
    >>> try:
    ...     refuse_stream(stream, "count")
    ... except DataError as error:
    ...     print(str(error)[:31])
    count: the rows are a stream, w
    """
    if df.isStreaming:
        raise DataError(
            f"{uid}: the rows are a stream, which has no end, and all rows are needed at once; use "
            "a table, or the rows of one batch in foreachBatch"
        )


def listed(names: Sequence[str]) -> str:
    """List the names of columns for a message, without text that stands where names should.

    Parameters
    ----------
    names : sequence of str
        Names of columns of any data.

    Returns
    -------
    str
        At most 20 names, each cut to 40 characters, and the number of the others. If a name is
        longer than 64 characters or has a line break, only the number of columns.

    Examples
    --------
    >>> listed(["title", "body"])
    'title, body'
    >>> listed(["n" * 50, "b"]), listed("abcdefghijklmnopqrstuvwxyz")[-13:]
    ('nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn..., b', ' t and 6 more')
    >>> listed(["id", "Soft and warm. " * 9])
    '2, not shown because the longest has 135 characters and is hardly a name'
    """
    longest = max(names, key=len, default="")
    if not all(map(is_name, names)):
        return (
            f"{len(names):,}, not shown because the longest has {len(longest):,} characters and is "
            "hardly a name"
        )
    shown = [
        name if len(name) <= _NAME_LISTED else f"{name[:_NAME_LISTED]}..."
        for name in names[:_NAMES_LISTED]
    ]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of a column: one line of at most 64 characters.

    Examples
    --------
    >>> is_name("Review Text"), is_name("Soft and warm. " * 9)
    (True, False)
    """
    return len(text) <= _NAME_LONGEST and len(text.splitlines()) <= 1


def absent(schema: StructType, uid: str, name: str) -> None:
    """Raise SchemaError if `schema` already has a column that Spark resolves by `name`."""
    taken = [column for column in schema.names if column.lower() == name.lower()]
    if taken:
        raise SchemaError(
            f"{uid}: output column '{name}' already exists; drop '{taken[0]}' or set another name"
        )


def appended(
    schema: StructType, uid: str, inputs: Sequence[str], kind: type[DataType], out: StructField
) -> StructType:
    """Check that `inputs` exist with type `kind` and `out` does not; return schema with `out`."""
    for name in inputs:
        find(schema, uid, name, kind)
    absent(schema, uid, out.name)
    return StructType([*schema.fields, out])


def schema_after(stage: Any, schema: StructType) -> StructType:
    """Return the output schema of `stage`, or of its fitted model, for `schema`; no job runs.

    It works for stages of this library, of MLlib, and for a Pipeline of both. For a stage of
    another library without a declared schema, the schema is unchanged and the check of its Pipeline
    ends.

    Raises
    ------
    SchemaError
        If a stage cannot work on its input schema.
    """
    if isinstance(stage, Pipeline):
        for part in stage.getStages():
            if not _declares(part):
                break
            schema = schema_after(part, schema)
        return schema
    if not _declares(stage):
        return schema
    if hasattr(stage, "transformSchema"):
        declared: StructType = stage.transformSchema(schema)
        return declared
    session = jvm.current_session()
    if session is None or stage._java_obj is None:
        return schema
    stage._transfer_params_to_java()
    try:
        out = stage._java_obj.transformSchema(jvm.java_type(session, schema))
    except IllegalArgumentException as error:
        raise SchemaError(
            f"{stage.uid}: {str(error).removeprefix('requirement failed: ')}"
        ) from error
    return StructType.fromJson(json.loads(out.json()))


def _declares(stage: Any) -> bool:
    return isinstance(stage, Pipeline | JavaParams) or hasattr(stage, "transformSchema")


def _spelled(kind: type[DataType]) -> str:
    """Return the Spark SQL name of a type, for a message."""
    names = {NumericType: "a number", StringType: "string", VectorUDT: "vector"}
    return names.get(kind, kind.__name__.removesuffix("Type").lower())


def quoted(name: str) -> Column:
    """Return the column with exactly this name, even if it has dots."""
    return F.col("`" + name.replace("`", "``") + "`")


def lookup(values: Mapping[float, Any], key: Column) -> Column:
    """Return the value of `values` for `key`; null for an unknown key."""
    pairs = [F.lit(item) for pair in values.items() for item in pair]
    return F.try_element_at(F.create_map(*pairs), key)


def to_array(vector: Column, dtype: str = "float64") -> Column:
    """Return a vector column as an array of 'float64' or 'float32'; the task fails on null.

    Examples
    --------
    >>> from pyspark.ml.linalg import Vectors
    >>> df = spark.createDataFrame([(Vectors.sparse(3, [1], [2.0]),)], ["v"])
    >>> df.select(to_array(df.v)).head()[0]
    [0.0, 2.0, 0.0]
    """
    # Imported when called: the module imports pandas, which takes a second.
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(vector, dtype)


def to_vector(array: Column) -> Column:
    """Return a column of number arrays as dense vectors; the task fails on null.

    Examples
    --------
    >>> df = spark.createDataFrame([([0.0, 2.0],)], ["a"])
    >>> df.select(to_vector(df.a)).head()[0]
    DenseVector([0.0, 2.0])
    """
    # Imported when called, as in `to_array`.
    from pyspark.ml.functions import array_to_vector

    return array_to_vector(array)
