"""Rows -> the bodies of requests, byte for byte as SageMaker Spark's serializers write them.

Text is made by Column expressions, in the JVM, whose spelling of numbers is that of upstream's
serializers; only RecordIO is put together in Python, from arrays.
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
"""What a request in each format calls itself."""


def check(
    schema: StructType, uid: str, form: str, features: str, label: str | None, fields: list[str]
) -> None:
    """Raise SchemaError where a request cannot be made of these columns."""
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
    r"""Return the column that holds a row's part of a request.

    Parameters
    ----------
    schema : StructType
        Of the DataFrame that the columns are of.
    form : {'csv', 'libsvm', 'jsonlines', 'recordio'}
        How rows are written.
    features : str
        Column with a vector; not for 'jsonlines'.
    label : str or None
        Column with the target, written by 'libsvm' alone; None writes 0.0.
    fields : mapping of str to str
        Of 'jsonlines': the key in a line's object, and the column that it takes its value from.

    Returns
    -------
    Column
        A string, without its line's end; for 'recordio' a struct of values (float), indices and
        size. Null where the features, or all the fields, are null.

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
    """Return what LibSVM writes of a vector: ``" 2:0.5 4:2.0"``, places counted from 1."""
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
    """Return the bytes of what `record` made of one row."""
    if form == "recordio":
        return recordio.encode(part["values"], part["indices"], part["size"])
    return f"{part}\n".encode()


def parts(batch: Any) -> list[Any]:
    """Return the rows of what Spark hands a pandas function of the column that `record` makes.

    Parameters
    ----------
    batch : pandas.Series or pandas.DataFrame
        Strings, or the fields of structs.
    """
    if batch.ndim == 1:
        return list(batch)
    rows = batch.to_dict("records")
    return [row if row["values"] is not None else None for row in rows]


def cut(form: str, batch: Sequence[Any], rows: int, size: int) -> Iterator[list[bytes | str]]:
    r"""Cut a batch into the parts of requests.

    Parameters
    ----------
    form : {'csv', 'libsvm', 'jsonlines', 'recordio'}
        How rows are written.
    batch : sequence
        What `record` made of each row; None for a row that cannot be sent.
    rows, size : int
        Rows and bytes of a request at most.

    Yields
    ------
    list of (bytes or str)
        The rows of a request, in their order: each one's bytes, or why it cannot be sent.

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
    """Return a column as JSON can spell it: a vector as the array of all its numbers."""
    vector = isinstance(schema[name].dataType, VectorUDT)
    return _dense(name) if vector else quoted(name)


def _dense(name: str) -> Column:
    """Return a vector column as an array of doubles, null where it is null."""
    column = quoted(name)
    return F.when(column.isNotNull(), to_array(column))
