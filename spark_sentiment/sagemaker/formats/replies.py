"""Parse the bodies of replies into typed values, one row for each row of the request.

The developer guide of SageMaker describes the replies of each built-in algorithm ("Inference
response formats"). The names of columns are those of SageMaker Spark if it defines them.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.errors import ParseException
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructType,
    _parse_datatype_string,
)

from spark_sentiment.core import VECTOR
from spark_sentiment.errors import DataError, SchemaError
from spark_sentiment.sagemaker.formats import recordio, requests

_DOUBLE, _STRING = DoubleType(), StringType()

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Reply:
    """Format of the replies of an endpoint.

    Attributes
    ----------
    accept : str
        Content type to request.
    fields : tuple of (str, DataType)
        Name and type of each value of a row; the value of a vector is a list of numbers.
    read : callable
        Function that returns the rows of a body; it raises DataError if it cannot read the body.
    """

    accept: str
    fields: tuple[tuple[str, DataType], ...]
    read: Callable[[bytes], Rows]

    @property
    def schema(self) -> StructType:
        """Return the schema of the answer for a row: fields, then error, then variant.

        Examples
        --------
        >>> reply("pca").schema.simpleString()
        'struct<projection:array<double>,error:string,variant:string>'
        """
        told = StructType()
        for name, kind in [*self.fields, ("error", _STRING), ("variant", _STRING)]:
            told = told.add(name, ArrayType(_DOUBLE) if kind == VECTOR else kind)
        return told


def reply(algorithm: str, schema: str | None = None) -> Reply:
    """Return the format of the replies of `algorithm`.

    Parameters
    ----------
    algorithm : str
        One of `ALGORITHMS`; ``csv`` and ``jsonlines`` are for your own container.
    schema : str, optional
        For ``csv`` and ``jsonlines``: fields and their types, as a DDL string.

    Raises
    ------
    SchemaError
        If `schema` is missing or invalid, or has a type that is not supported.

    Examples
    --------
    >>> [name for name, _ in reply("kmeans").fields]
    ['distance_to_cluster', 'closest_cluster']
    >>> reply("jsonlines", "label string, score double").read(b'{"score": 1, "label": "good"}')
    [('good', 1.0)]
    """
    if algorithm in _BUILT_IN:
        return _BUILT_IN[algorithm]
    fields = _declared(schema)
    read = {"csv": _csv_reader, "jsonlines": _jsonlines_reader}[algorithm](fields)
    return Reply(requests.CONTENT_TYPES[algorithm], tuple((n, t) for n, t, _ in fields), read)


Field = tuple[str, DataType, Callable[[Any], Any]]


def _declared(schema: str | None) -> list[Field]:
    """Return name, type and converter of each field of a DDL string."""
    if not schema:
        raise SchemaError("a reply of 'csv' or 'jsonlines' needs replySchema: 'label string, ...'")
    try:
        parsed = _parse_datatype_string(schema)
    except ParseException as error:
        raise SchemaError(f"replySchema is not a list of fields and types: {schema!r}") from error
    if not isinstance(parsed, StructType):
        raise SchemaError(f"replySchema has no fields: {schema!r}")
    return [(f.name, f.dataType, _maker(f.name, f.dataType)) for f in parsed.fields]


def _maker(name: str, kind: DataType) -> Callable[[Any], Any]:
    """Return a converter of JSON values or cells to type `kind`; it leaves None unchanged."""
    if isinstance(kind, ArrayType):
        item = _maker(name, kind.elementType)
        return lambda value: None if value is None else [item(part) for part in value]
    simple: dict[type[DataType], Callable[[Any], Any]] = {
        DoubleType: float,
        FloatType: float,
        IntegerType: int,
        LongType: int,
        StringType: str,
        BooleanType: lambda value: value if isinstance(value, bool) else str(value) == "true",
    }
    if type(kind) not in simple:
        raise SchemaError(
            f"replySchema: field '{name}' is {kind.simpleString()}; supported are double, float, "
            "int, bigint, string, boolean, and arrays of them"
        )
    make = simple[type(kind)]
    return lambda value: None if value is None else make(value)


def _readable(read: Callable[[bytes], Rows]) -> Callable[[bytes], Rows]:
    """Wrap `read` so that its errors become DataError, without the text of the body."""

    def safely(body: bytes) -> Rows:
        try:
            return read(body)
        except DataError:
            raise
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            kind = type(error).__name__
            raise DataError(f"a reply of {len(body)} bytes could not be read ({kind})") from None

    return safely


def _recordio(*fields: tuple[str, DataType]) -> Reply:
    """Return the format of a RecordIO reply whose records have a label for each field."""

    def read(body: bytes) -> Rows:
        return [
            tuple(
                record[name].tolist() if kind is VECTOR else float(record[name][0])
                for name, kind in fields
            )
            for record in recordio.decode(body)
        ]

    return Reply(recordio.CONTENT_TYPE, fields, _readable(read))


def _numbers(body: bytes) -> Rows:
    """Read XGBoost's numbers, separated by commas (in some versions) or by ends of lines."""
    text = body.decode().strip()
    return [(float(cell),) for cell in text.replace("\n", ",").split(",")] if text else []


def _probabilities(body: bytes) -> Rows:
    """Read XGBoost's probabilities: lists in brackets, or a line of numbers for each row.

    An endpoint separates the lists by commas, a transform job by ends of lines.
    """
    text = body.decode().strip()
    if "[" in text:
        text = text.replace("]\n[", "],[")
        lists = json.loads(f"[{text}]" if not text.startswith("[[") else text)
    else:
        lists = [[float(cell) for cell in line.split(",")] for line in text.splitlines()]
    rows = [[float(number) for number in one] for one in lists]
    return [(row, float(max(range(len(row)), key=row.__getitem__))) for row in rows]


def _blazingtext(body: bytes) -> Rows:
    """Read BlazingText's labels and probabilities: a JSON array, or a line for each row."""
    text = body.decode().strip()
    found = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
    return [([str(x) for x in one["label"]], [float(p) for p in one["prob"]]) for one in found]


def _csv_reader(fields: Sequence[Field]) -> Callable[[bytes], Rows]:
    def read(body: bytes) -> Rows:
        rows = []
        for cells in csv.reader(io.StringIO(body.decode(), newline="")):
            if len(cells) != len(fields):
                raise DataError(f"a line of the reply has {len(cells)} cells, not {len(fields)}")
            rows.append(tuple(make(c) for c, (_, _, make) in zip(cells, fields, strict=True)))
        return rows

    return _readable(read)


def _jsonlines_reader(fields: Sequence[Field]) -> Callable[[bytes], Rows]:
    def read(body: bytes) -> Rows:
        lines = [json.loads(line) for line in body.decode().splitlines() if line.strip()]
        return [tuple(make(line[name]) for name, _, make in fields) for line in lines]

    return _readable(read)


_SCORE, _LABEL = ("score", _DOUBLE), ("predicted_label", _DOUBLE)
_BUILT_IN = {
    "kmeans": _recordio(("distance_to_cluster", _DOUBLE), ("closest_cluster", _DOUBLE)),
    "pca": _recordio(("projection", VECTOR)),
    "lda": _recordio(("topic_mixture", VECTOR)),
    "ntm": _recordio(("topic_weights", VECTOR)),
    "linear-learner-regressor": _recordio(_SCORE),
    "linear-learner-binary": _recordio(_SCORE, _LABEL),
    "linear-learner-multiclass": _recordio(("score", VECTOR), _LABEL),
    "factorization-machines-regressor": _recordio(_SCORE),
    "factorization-machines-binary": _recordio(_SCORE, _LABEL),
    "knn": _recordio(_LABEL),
    "randomcutforest": _recordio(_SCORE),
    "xgboost": Reply("text/csv", (("prediction", _DOUBLE),), _readable(_numbers)),
    "xgboost-multiclass": Reply(
        "text/csv", (("probability", VECTOR), ("prediction", _DOUBLE)), _readable(_probabilities)
    ),
    "blazingtext": Reply(
        "application/jsonlines",
        (("labels", ArrayType(_STRING)), ("probabilities", ArrayType(_DOUBLE))),
        _readable(_blazingtext),
    ),
}

ALGORITHMS = (*_BUILT_IN, "csv", "jsonlines")
"""Algorithms with a known format of replies, and two formats with a schema that you declare."""
