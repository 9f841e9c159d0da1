"""Stored embeddings, by text and model: a model embeds no text twice."""

import logging
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType, StringType

from spark_sentiment.core import VECTOR, absent, find, refuse_stream, to_vector
from spark_sentiment.errors import SchemaError
from spark_sentiment.tables.delta import Tables

logger = logging.getLogger(__name__)

CHUNK = 250_000
"""Number of texts per commit: a killed job loses at most this many."""

# Largest number of texts of a task. A failed task starts again from its first text, and progress
# counts only finished tasks.
_TASK_TEXTS = 1_000
_FILE_TEXTS = 25_000  # about 40 MB of MiniLM's vectors; one file per task would be too small
_HASH = "text_hash"


class Embedded(NamedTuple):
    """Rows with embeddings, the version of table ``embeddings``, and the number of new vectors.

    The version is None if the table does not exist because no text was ever embedded.
    """

    rows: DataFrame
    version: int | None
    computed: int


def text_hash(text: Column) -> Column:
    """Return the key of the embedding of `text`: its SHA-256 in hexadecimal, null for null.

    Examples
    --------
    >>> spark.range(1).select(text_hash(F.lit("good"))).head()[0][:12]
    '770e607624d6'
    """
    return F.sha2(text, 256)


def embedded(
    tables: Tables,
    df: DataFrame,
    model: str,
    embed: Callable[[DataFrame], DataFrame],
    *,
    text: str = "text",
    output: str = "embedding",
    chunk: int = CHUNK,
) -> Embedded:
    """Add the embedding of each text to `df`; compute only embeddings that are not stored.

    Parameters
    ----------
    tables : Tables
        Tables with the table ``embeddings``, which stores the vectors.
    df : DataFrame
        Rows with a string column `text` and without a column `output`.
    model : str
        Fingerprint of the model and of all settings that change its vectors (pooling, length, …).
    embed : callable
        Takes a DataFrame with the columns ``text_hash`` and `text`, distinct and not null, and
        returns it with a column `output`, a vector or an array of numbers. An example is the
        ``transform`` of `BertEmbeddings`. It is called once per `chunk` of texts.
    text, output : str
        Column names.
    chunk : int, default 250,000
        Texts per commit.

    Returns
    -------
    Embedded
        The rows of `df`, in no defined order, with the vector `output`, null for a null text.

    Raises
    ------
    SchemaError
        If `text` is missing or not a string, or `output` exists; before any Spark job.
    TableError
        If a vector is null, empty or not finite.

    Notes
    -----
    The table stores vectors as 32-bit floats, one row per text and model. An anti join finds the
    missing texts. They are spread evenly over the cores, whatever the partitioning of `df`, and
    each chunk is appended in one commit: a killed job leaves complete chunks, and drivers neither
    wait for one another nor conflict. If two drivers embed the same text at once, both store its
    vector, and readers take one of them. If no text is missing, there is no commit and `embed` is
    not called.

    Examples
    --------
    >>> import tempfile
    >>> from spark_sentiment.tables import Tables
    >>> tables = Tables(spark, tempfile.mkdtemp())
    >>> lengths = lambda texts: texts.withColumn("embedding", F.array(F.length("text")))
    >>> rows = spark.createDataFrame([("good",), ("bad",), ("good",)], ["text"])
    >>> found = embedded(tables, rows, "length-1", lengths)
    >>> found.computed, sorted(row.embedding[0] for row in found.rows.collect())
    (2, [3.0, 4.0, 4.0])
    >>> embedded(tables, rows, "length-1", lengths).computed
    0
    """
    refuse_stream(df, "embedded")
    find(df.schema, "embedded", text, StringType)
    absent(df.schema, "embedded", output)
    column = F.col(f"`{text}`")
    wanted = df.select(text_hash(column).alias(_HASH), column.alias(text))
    missing = wanted.where(column.isNotNull()).dropDuplicates([_HASH])
    version = tables.last_version("embeddings")
    if version is not None:
        missing = missing.join(_kept(tables, version, model), _HASH, "left_anti")
    missing.persist()
    try:
        with tables.reading():
            count = missing.count()
        logger.info("embeddings: %d texts to embed", count)
        rounds = ceil(count / chunk)
        for turn in range(rounds):
            share = missing.where(F.pmod(F.xxhash64(_HASH), F.lit(rounds)) == turn)
            texts = ceil(count / rounds)
            vectors = embed(share.repartition(_partitions(tables, texts)))
            rows = vectors.select(
                _HASH, F.lit(model).alias("model"), _array(vectors, output).alias("vector")
            )
            files = rows.repartition(ceil(texts / _FILE_TEXTS))
            version = tables.append("embeddings", files).version
    finally:
        missing.unpersist()
    if version is None:
        return Embedded(df.withColumn(output, F.lit(None).cast(VECTOR)), None, 0)
    one = _kept(tables, version, model).groupBy(_HASH).agg(F.max("vector").alias("vector"))
    vector = to_vector(F.col("vector").cast("array<double>")).alias(output)
    stored = one.select(F.col(_HASH).alias("_key"), vector)
    joined = df.join(stored, text_hash(column) == F.col("_key"), "left").drop("_key")
    return Embedded(joined, version, count)


def _kept(tables: Tables, version: int, model: str) -> DataFrame:
    """Return the stored vectors of one model."""
    return tables.read("embeddings", version).where(F.col("model") == model)


def _partitions(tables: Tables, count: int) -> int:
    """Return the number of tasks for `count` texts: the same for each core, and none too large."""
    cores = tables.spark.sparkContext.defaultParallelism
    return min(count, cores * ceil(count / (cores * _TASK_TEXTS)))


def _array(vectors: DataFrame, output: str) -> Column:
    found = find(vectors.schema, "embedded", output).dataType
    column = F.col(f"`{output}`")
    if isinstance(found, VectorUDT):
        return column  # Tables turns vectors into arrays of 32-bit floats
    if isinstance(found, ArrayType) and isinstance(found.elementType, NumericType):
        return column.cast("array<float>")
    raise SchemaError(
        f"embedded: column '{output}' must be a vector or an array of numbers, "
        f"found {found.simpleString()}"
    )
