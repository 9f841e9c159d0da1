"""Embeddings kept by text and model, so that no text is embedded twice by one model."""

import logging
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType, StringType

from spark_sentiment.core import absent, find, to_vector
from spark_sentiment.errors import SchemaError
from spark_sentiment.tables.delta import Tables

logger = logging.getLogger(__name__)

CHUNK = 250_000
"""Texts embedded between two commits: what a killed job loses at most."""

# At most: a task that fails starts again from its first text, and progress moves as tasks end.
_TASK_TEXTS = 1_000
_HASH = "text_hash"


class Embedded(NamedTuple):
    """Rows with their embeddings, the version of the table they came from, and what was new."""

    rows: DataFrame
    version: int
    computed: int


def text_hash(text: Column) -> Column:
    """Return the key under which the embedding of `text` is kept: its SHA-256, in hexadecimal.

    Null stays null.

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
    """Add to `df` the embedding of each text, computing those alone that are not kept yet.

    Parameters
    ----------
    tables : Tables
        Whose table ``embeddings`` keeps the vectors.
    df : DataFrame
        Rows with a string column `text`, and without `output`.
    model : str
        Fingerprint of the model, with everything that changes its vectors (pooling, length, …).
    embed : callable
        Given a DataFrame of the columns ``text_hash`` and `text`, distinct and never null, returns
        it with a column `output`, a vector or an array of numbers: the ``transform`` of
        `BertEmbeddings`, for one. It is called once for each `chunk` of texts.
    text, output : str
        Column names.
    chunk : int, default 250,000
        Texts per commit.

    Returns
    -------
    Embedded
        The rows of `df` with `output`, a vector, null where the text is null; in no set order.

    Raises
    ------
    SchemaError
        Where `text` is missing or no string, or `output` is there already; before any Spark job.
    TableError
        Where a vector is null, empty or not finite, or another driver wrote meanwhile.

    Notes
    -----
    Vectors are kept as 32-bit floats, one row per text and model. The missing texts are found by an
    anti join, spread evenly over the cores whatever the partitioning of `df`, and merged by key: a
    killed job leaves whole chunks, and two drivers never leave a vector twice. With nothing missing
    no commit is made and `embed` is not called.

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
    find(df.schema, "embedded", text, StringType)
    absent(df.schema, "embedded", output)
    tables.create("embeddings")
    column = F.col(f"`{text}`")
    kept = tables.read("embeddings").where(F.col("model") == model)
    missing = (
        df.select(text_hash(column).alias(_HASH), column.alias(text))
        .where(column.isNotNull())
        .dropDuplicates([_HASH])
        .join(kept, _HASH, "left_anti")
        .persist()
    )
    try:
        count = missing.count()
        logger.info("embeddings: %d texts to embed", count)
        rounds = ceil(count / chunk)
        for turn in range(rounds):
            share = missing.where(F.pmod(F.xxhash64(_HASH), F.lit(rounds)) == turn)
            even = share.repartition(_partitions(tables, ceil(count / rounds)))
            vectors = embed(even)
            rows = vectors.select(
                _HASH, F.lit(model).alias("model"), _array(vectors, output).alias("vector")
            )
            tables.merge("embeddings", rows, ["model", _HASH])
    finally:
        missing.unpersist()
    version = tables.version("embeddings")
    vector = to_vector(F.col("vector").cast("array<double>")).alias(output)
    stored = tables.read("embeddings", version).where(F.col("model") == model)
    stored = stored.select(F.col(_HASH).alias("_key"), vector)
    joined = df.join(stored, text_hash(column) == F.col("_key"), "left").drop("_key")
    return Embedded(joined, version, count)


def _partitions(tables: Tables, count: int) -> int:
    """Return how many tasks share `count` texts: as many on each core, none too long."""
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
