"""Write rows as bodies of requests, with the same bytes as SageMaker Spark's serializers.

Column expressions write text formats in the JVM, which formats numbers as SageMaker Spark does.
Only RecordIO is written in Python, from arrays.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StructType

from spark_sentiment.core import find, quoted, to_array
from spark_sentiment.errors import SchemaError
from spark_sentiment.sagemaker.formats import recordio

CONTENT_TYPES = {
    "csv": "text/csv",
    "libsvm": "text/x-libsvm",
    "jsonlines": "application/jsonlines",
    "recordio": recordio.CONTENT_TYPE,
}
"""Content type of requests in each format."""


def check(
    schema: StructType, uid: str, form: str, features: str, label: str | None, fields: list[str]
) -> None:
    """Raise SchemaError if requests cannot be written from these columns."""
    if form == "jsonlines":
        if not fields:
            raise SchemaError(
                f"{uid}: requestFormat 'jsonlines' needs requestFields: key -> column"
            )
        for name in fields:
            find(schema, uid, name)
        return
    find(schema, uid, features, VectorUDT)
    if label is not None:
        find(schema, uid, label, NumericType)


def record(
    schema: StructType, form: str, features: str, label: str | None, fields: Mapping[str, str]
) -> Column:
    r"""Return a column with the part of a request that a row becomes.

    Parameters
    ----------
    schema : StructType
        Schema of the DataFrame.
    form : {'csv', 'libsvm', 'jsonlines', 'recordio'}
        Format of the request.
    features : str
        Column with a vector; not used by 'jsonlines'.
    label : str or None
        Column with the target, used only by 'libsvm'; None writes 0.0.
    fields : mapping of str to str
        For 'jsonlines': the keys of a line's object, and the columns of their values.

    Returns
    -------
    Column
        A string without end of line; for 'recordio', a struct of values (float), indices and size.
        It is null if the features, or all fields, are null.

    Examples
    --------
    >>> from pyspark.ml.linalg import Vectors
    >>> df = spark.createDataFrame([(Vectors.sparse(4, [1, 3], [0.5, 2.0]),)], ["features"])
    >>> df.select(record(df.schema, "libsvm", "features", None, {})).head()[0]
    '0.0 2:0.5 4:2.0'
    >>> df.select(record(df.schema, "csv", "features", None, {})).head()[0]
    '0.0,0.5,0.0,2.0'
    """
    if form == "jsonlines":
        return _json(schema, fields)
    vector = F.unwrap_udt(quoted(features))
    values, indices = vector["values"], vector["indices"]
    if form == "recordio":
        parts = F.struct(
            values.cast("array<float>").alias("values"), indices, vector["size"].alias("size")
        )
        return F.when(vector.isNotNull(), parts)
    if form == "csv":
        return F.array_join(_dense(features).cast("array<string>"), ",")
    target = F.lit(0.0) if label is None else quoted(label).cast("double")
    return F.concat(target.cast("string"), entries(features))


def entries(features: str) -> Column:
    """Return a vector in LibSVM's format, such as ``" 2:0.5 4:2.0"``; indices start at 1."""
    vector = F.unwrap_udt(quoted(features))
    values, indices = vector["values"], vector["indices"]
    everywhere = F.sequence(F.lit(1), F.size(values))
    # A sequence from 1 to 0 would count down.
    places = F.when(F.size(values) == 0, F.array().cast("array<int>")).otherwise(
        F.coalesce(F.transform(indices, lambda place: place + 1), everywhere)
    )
    pairs = F.zip_with(
        places, values, lambda place, value: F.concat_ws(":", place, value.cast("string"))
    )
    return F.array_join(F.transform(pairs, lambda pair: F.concat(F.lit(" "), pair)), "")


def encoded(form: str, part: Any) -> bytes:
    """Return the bytes of a row that `record` returned."""
    if form == "recordio":
        return recordio.encode(part["values"], part["indices"], part["size"])
    return f"{part}\n".encode()


def parts(batch: Any) -> list[Any]:
    """Return the rows of a pandas batch of the column that `record` returns.

    Parameters
    ----------
    batch : pandas.Series or pandas.DataFrame
        Strings, or the fields of structs, as Spark passes them to a pandas function.
    """
    if batch.ndim == 1:
        return list(batch)
    rows = batch.to_dict("records")
    return [row if row["values"] is not None else None for row in rows]


def cut(form: str, batch: Sequence[Any], rows: int, size: int) -> Iterator[list[bytes | str]]:
    r"""Divide a batch into requests.

    Parameters
    ----------
    form : {'csv', 'libsvm', 'jsonlines', 'recordio'}
        Format of the requests.
    batch : sequence
        Rows as `record` returns them; None for a row that cannot be sent.
    rows, size : int
        Largest number of rows and bytes of a request.

    Yields
    ------
    list of (bytes or str)
        The rows of a request, in order. A row is its bytes, or the reason why it cannot be sent.

    Examples
    --------
    >>> list(cut("csv", ["0.5,1.0", None, "2.0,0.0"], rows=2, size=100))
    [[b'0.5,1.0\n', 'nothing to send: null'], [b'2.0,0.0\n']]
    """
    parts: list[bytes | str] = []
    total = 0
    for row in batch:
        part: bytes | str = "nothing to send: null"
        if row is not None:
            part = encoded(form, row)
            if len(part) > size:
                part = f"a row of {len(part):,} bytes is above maxBatchBytes, {size:,}"
        added = len(part) if isinstance(part, bytes) else 0
        if parts and (len(parts) == rows or total + added > size):
            yield parts
            parts, total = [], 0
        parts.append(part)
        total += added
    if parts:
        yield parts


def _json(schema: StructType, fields: Mapping[str, str]) -> Column:
    given = [F.when(quoted(name).isNotNull(), True) for name in fields.values()]
    values = [_plain(schema, name).alias(key) for key, name in fields.items()]
    line = F.to_json(F.struct(*values), {"ignoreNullFields": "false"})
    return F.when(F.coalesce(*given, F.lit(False)), line)


def _plain(schema: StructType, name: str) -> Column:
    """Return a column that can be written as JSON; a vector becomes an array of all its values."""
    vector = isinstance(schema[name].dataType, VectorUDT)
    return _dense(name) if vector else quoted(name)


def _dense(name: str) -> Column:
    """Return a vector column as an array of doubles; null stays null."""
    column = quoted(name)
    return F.when(column.isNotNull(), to_array(column))
