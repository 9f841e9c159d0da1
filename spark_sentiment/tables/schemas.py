"""Schemas of the Delta tables: columns, comments, constraints, and conversion of rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from spark_sentiment import reviews
from spark_sentiment.core import listed, refuse_stream, to_array
from spark_sentiment.errors import SchemaError, TableError

_WIDER: tuple[type[DataType], ...] = (
    ByteType,
    ShortType,
    IntegerType,
    LongType,
    FloatType,
    DoubleType,
)
_LOSSY = {(IntegerType, FloatType), (LongType, FloatType)}  # a float is exact only up to 2**24


@dataclass(frozen=True)
class TableSpec:
    """One declared table.

    Parameters
    ----------
    name : str
        Name of its folder in the base folder, or of the table in the database.
    comment : str
        Meaning of a row.
    schema : StructType
        Columns; ``nullable=False`` becomes NOT NULL, and ``comment`` of the metadata the comment.
    checks : dict of str to str
        Names of constraints, with the SQL condition that every row must meet. Delta treats null as
        a broken condition, so a condition on a nullable column begins with ``is null or``. If a
        condition is broken, Spark logs the values of its columns, so no condition may read the text
        of a review.
    partition_by : tuple of str
        Partition columns, by default none: each append has its own files, so Delta skips files by
        their minimum and maximum of ``run_id``.
    """

    name: str
    comment: str
    schema: StructType
    checks: Mapping[str, str] = field(default_factory=dict)
    partition_by: tuple[str, ...] = ()

    def stamped(self) -> tuple[str, ...]:
        """Return the columns that `Tables.append_once` adds."""
        return tuple(name for name in ("run_id", "written_at") if name in self.schema.names)


def _column(name: str, kind: DataType, comment: str, *, null: bool = False) -> StructField:
    return StructField(name, kind, null, {"comment": comment})


_STRING, _DOUBLE, _LONG, _TIME = StringType(), DoubleType(), LongType(), TimestampType()
_RUN_ID = _column("run_id", _STRING, "The run that wrote this row, as in runs")
_WRITTEN_AT = _column("written_at", _TIME, "When the row was written")
_REVIEW_ID = _column("review_id", _STRING, "The review, as in reviews")
_TABLE_VERSIONS = ArrayType(  # Delta allows no NOT NULL inside an array
    StructType().add("table", _STRING).add("location", _STRING).add("version", _LONG)
)

_CLASS = "in (0.0, 1.0, 2.0)"
_SPLIT = "split in ('train', 'validation', 'test', 'score')"

REVIEWS = TableSpec(
    "reviews",
    "One usable product review",
    reviews.REVIEWS,
    {
        "review_id_given": "review_id is null or review_id != ''",
        "rating_range": "rating is null or rating between 1 and 5",
        "age_range": "age is null or age between 0 and 150",
        "feedback_range": "positive_feedback_count is null or positive_feedback_count >= 0",
    },
)

REVIEWS_REJECTED = TableSpec(
    "reviews_rejected",
    "One row of the input that could not be used",
    StructType([_RUN_ID, *reviews.REJECTED.fields, _WRITTEN_AT]),
    {"reason_given": "reason != ''"},
)

FEATURES = TableSpec(
    "features",
    "One review prepared for training: clean text, label, split",
    StructType(
        [
            _RUN_ID,
            _REVIEW_ID,
            _column("text", _STRING, "Clean text"),
            _column("text_hash", _STRING, "SHA-256 of the clean text, the key of embeddings"),
            _column("label", _DOUBLE, "0 negative, 1 neutral, 2 positive", null=True),
            _column("split", _STRING, "train, validation, test or score"),
            _WRITTEN_AT,
        ]
    ),
    {
        "text_hash_form": "length(text_hash) = 64",
        "label_class": f"label is null or label {_CLASS}",
        "split_name": _SPLIT,
    },
)

EMBEDDINGS = TableSpec(
    "embeddings",
    "One vector of one text by one model",
    StructType(
        [
            _column("text_hash", _STRING, "SHA-256 of the clean text"),
            _column("model", _STRING, "Fingerprint of the model that made the vector"),
            _column("vector", ArrayType(FloatType()), "The embedding, of the model's width"),
        ]
    ),
    {
        "text_hash_form": "length(text_hash) = 64",
        "model_given": "model != ''",
        # A literal: Delta does not fold constants in a check and would parse float('infinity') for
        # each number. NaN is greater than any number.
        "vector_finite": "size(vector) > 0 and forall(vector, x -> abs(x) <= 3.4028234E38F)",
    },
    partition_by=("model",),
)

PREDICTIONS = TableSpec(
    "predictions",
    "Prediction of one model for one review in one run",
    StructType(
        [
            _RUN_ID,
            _column("model", _STRING, "Path or fingerprint of the model"),
            _REVIEW_ID,
            _column("label", _DOUBLE, "Class by rating, null if it is unknown", null=True),
            _column("prediction", _DOUBLE, "0 negative, 1 neutral, 2 positive"),
            _column(
                "probability",
                ArrayType(_DOUBLE),
                "Probabilities of classes 0, 1, 2; null if the model returns none",
                null=True,
            ),
            _WRITTEN_AT,
        ]
    ),
    {
        "label_class": f"label is null or label {_CLASS}",
        "prediction_class": f"prediction {_CLASS}",
        "probability_range": (
            "probability is null or (size(probability) = 3 and "
            "forall(probability, p -> p between 0 and 1))"
        ),
    },
)

EVALUATIONS = TableSpec(
    "evaluations",
    "One figure of a model's quality in one run",
    StructType(
        [
            _RUN_ID,
            _column("split", _STRING, "The part of the data that was measured"),
            _column("metric", _STRING, "Name of the metric"),
            _column("label_class", _STRING, "The class, null for all of them", null=True),
            _column("value", _DOUBLE, "The figure, null if it is undefined", null=True),
            _WRITTEN_AT,
        ]
    ),
    {"split_name": _SPLIT, "metric_given": "metric != ''"},
)

BIAS_METRICS = TableSpec(
    "bias_metrics",
    "One bias metric of one facet in one run",
    StructType(
        [
            _RUN_ID,
            _column("phase", _STRING, "pre or post training"),
            _column("facet", _STRING, "The column compared, null for the whole table", null=True),
            _column("facet_value", _STRING, "The disadvantaged side d", null=True),
            _column("label_class", _STRING, "The positive class, null for all", null=True),
            _column("metric", _STRING, "Name of the metric"),
            _column("value", _DOUBLE, "The figure, null if it is undefined", null=True),
            _column("low", _DOUBLE, "Lower end of the 95 % interval", null=True),
            _column("high", _DOUBLE, "Upper end of the 95 % interval", null=True),
            _column("n_a", _LONG, "Rows of side a", null=True),
            _column("n_d", _LONG, "Rows of side d", null=True),
            _column("note", _STRING, "Why a value is null, or how it was found", null=True),
            _WRITTEN_AT,
        ]
    ),
    {
        "phase_name": "phase in ('pre', 'post')",
        "metric_given": "metric != ''",
        "interval_order": "low is null or high is null or low <= high",
        "counts_range": "coalesce(n_a, 0) >= 0 and coalesce(n_d, 0) >= 0",
    },
)

RUNS = TableSpec(
    "runs",
    "One row when a run starts, and one when it ends: settings, code, tables and model",
    StructType(
        [
            _column("run_id", _STRING, "The run; its attempts differ in started_at"),
            _column("status", _STRING, "started, finished or failed"),
            _column("started_at", _TIME, "When this attempt started"),
            _column("ended_at", _TIME, "When it ended, null in its first row", null=True),
            _column("error", _STRING, "Type of the error that ended it", null=True),
            _column("fingerprint", _STRING, "SHA-256 of configuration and inputs"),
            _column("config", _STRING, "The configuration, JSON"),
            _column("package_version", _STRING, "Version of spark_sentiment"),
            _column("code_digest", _STRING, "SHA-256 of the package's source files"),
            _column("spark_version", _STRING, "Version of Spark"),
            _column("delta_version", _STRING, "Version of Delta Lake"),
            _column("model_path", _STRING, "Where the model is saved", null=True),
            _column("model_fingerprint", _STRING, "Fingerprint of the model", null=True),
            _column("reads", _TABLE_VERSIONS, "The tables read, with their versions"),
            _column("writes", _TABLE_VERSIONS, "The tables written, with their versions"),
        ]
    ),
    {
        "run_id_given": "run_id != ''",
        "status_name": "status in ('started', 'finished', 'failed')",
        "end_known": "(status = 'started') = (ended_at is null)",
        "error_known": "(status = 'failed') = (error is not null)",
    },
)

TABLES: dict[str, TableSpec] = {
    spec.name: spec
    for spec in (
        REVIEWS,
        REVIEWS_REJECTED,
        FEATURES,
        EMBEDDINGS,
        PREDICTIONS,
        EVALUATIONS,
        BIAS_METRICS,
        RUNS,
    )
}
"""Every table of the data flow, by name."""


def declared(name: str) -> TableSpec:
    """Return the declaration of table `name`; raise TableError if there is none.

    Examples
    --------
    >>> declared("reviews").schema["review_id"].nullable
    False
    """
    if name not in TABLES:
        raise TableError(f"table '{name}' is not declared; the tables are: {', '.join(TABLES)}")
    return TABLES[name]


def aligned(
    df: DataFrame, spec: TableSpec, stamps: Mapping[str, Column] | None = None
) -> DataFrame:
    """Return `df` with exactly the columns of `spec`, in its order and types.

    Numbers are widened, never narrowed, and ML vectors become arrays. A missing nullable column is
    written as null.

    Parameters
    ----------
    df : DataFrame
        Rows to write.
    spec : TableSpec
        The table to write them to.
    stamps : dict of str to Column, optional
        Columns that the writer adds; `df` must not have them.

    Raises
    ------
    SchemaError
        If a column is missing, has a wrong type, or is not declared; before any Spark job.
    DataError
        If `df` is a stream.

    Examples
    --------
    >>> schema = "split string, metric string, value int"
    >>> rows = spark.createDataFrame([("test", "accuracy", 1)], schema)
    >>> stamps = {"run_id": F.lit("r1"), "written_at": F.current_timestamp()}
    >>> row = aligned(rows, declared("evaluations"), stamps).head()
    >>> row.run_id, row.metric, row.label_class, row.value
    ('r1', 'accuracy', None, 1.0)
    """
    stamps = stamps or {}
    where = f"table '{spec.name}'"
    refuse_stream(df, where)
    wanted = [column for column in spec.schema.fields if column.name not in stamps]
    given = {column.name: column.dataType for column in df.schema.fields}
    for name in given:
        if name in stamps:
            raise SchemaError(f"{where}: column '{name}' is added when rows are written; drop it")
    extra = [name for name in given if name not in {column.name for column in wanted}]
    if extra:
        raise SchemaError(
            f"{where}: column '{extra[0]}' is not declared; drop it, or use one of: "
            f"{', '.join(column.name for column in wanted)}"
        )
    chosen: dict[str, Column] = dict(stamps)
    for column in wanted:
        found = given.get(column.name)
        if found is None and not column.nullable:
            raise SchemaError(
                f"{where}: column '{column.name}' is missing; "
                f"the columns are: {listed(list(given))}"
            )
        if found is not None and not _fits(found, column):
            raise SchemaError(
                f"{where}: column '{column.name}' must be {column.dataType.simpleString()}, "
                f"found {found.simpleString()}"
            )
        chosen[column.name] = _cast(column, found)
    return df.select(*(chosen[name].alias(name) for name in spec.schema.names))


def mismatch(found: StructType, spec: TableSpec) -> str | None:
    """Return the difference between the schema `found` and `spec`, as text, or None."""
    types = {column.name: column.dataType.simpleString() for column in found.fields}
    for column in spec.schema.fields:
        wanted = column.dataType.simpleString()
        if types.get(column.name) != wanted:
            return (
                f"column '{column.name}' must be {wanted}, found {types.get(column.name, 'none')}"
            )
    extra = [name for name in types if name not in spec.schema.names]
    return f"column '{extra[0]}' is not declared" if extra else None


def _fits(found: DataType, column: StructField) -> bool:
    if isinstance(found, NullType):
        return column.nullable
    if isinstance(column.dataType, ArrayType):
        if isinstance(found, VectorUDT):
            return isinstance(column.dataType.elementType, FloatType | DoubleType)
        if isinstance(found, ArrayType):
            return _widens(found.elementType, column.dataType.elementType)
    return _widens(found, column.dataType)


def _widens(found: DataType, wanted: DataType) -> bool:
    if found.simpleString() == wanted.simpleString():
        return True
    pair = (type(found), type(wanted))
    if pair[0] not in _WIDER or pair[1] not in _WIDER or pair in _LOSSY:
        return False
    return _WIDER.index(pair[0]) < _WIDER.index(pair[1])


def _cast(column: StructField, found: DataType | None) -> Column:
    if found is None:
        return F.lit(None).cast(column.dataType)
    value = F.col(f"`{column.name}`")
    if isinstance(found, VectorUDT) and isinstance(column.dataType, ArrayType):
        narrow = isinstance(column.dataType.elementType, FloatType)
        return to_array(value, "float32" if narrow else "float64")
    return value.cast(column.dataType)
