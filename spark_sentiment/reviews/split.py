"""Split a table by a hash of the text, so that equal texts are in one part."""

import math
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from spark_sentiment.core import find, quoted

_STEPS = 2**53  # the number of doubles of equal distance in [0, 1)


def text_place(text: Column, seed: int = 0) -> Column:
    """Return a number in [0, 1) that depends only on `seed` and the letters and digits of `text`.

    Texts that differ only in case, punctuation or whitespace get the same number. Null gets the
    number of the empty text.

    Examples
    --------
    >>> from pyspark.sql import functions as F
    >>> df = spark.createDataFrame([("Nice dress!",), ("nice  DRESS",)], ["text"])
    >>> len({row[0] for row in df.select(text_place(F.col("text"))).collect()})
    1
    """
    plain = F.regexp_replace(F.lower(F.coalesce(text, F.lit(""))), r"[^\p{L}\p{N}]+", "")
    return F.shiftrightunsigned(F.xxhash64(F.lit(seed), plain), 11) / F.lit(float(_STEPS))


def split_by_text(
    df: DataFrame, textCol: str, seed: int = 0, fractions: Sequence[float] = (0.8, 0.2)
) -> list[DataFrame]:
    """Split `df` into parts so that equal texts, such as duplicates, are in the same part.

    Parameters
    ----------
    df : DataFrame
        Any table; all its columns are kept.
    textCol : str
        String column that determines the part. Case, punctuation and whitespace do not matter; all
        rows without text are in one part.
    seed : int, default 0
        Seed of the split.
    fractions : sequence of float, default (0.8, 0.2)
        Expected share of the distinct texts in each part; positive, with a sum of 1.

    Returns
    -------
    list of DataFrame
        One per fraction, in this order; together they hold each row of `df` exactly once.

    Raises
    ------
    SchemaError
        If `textCol` is missing or not a string; before any job.
    ValueError
        If a fraction is not positive, or their sum is not 1.

    Notes
    -----
    A filter on a hash (64-bit xxHash): no shuffle, no separate pass, no Python worker. The part of
    a text depends only on text, seed and fractions: a text never moves from test to training when
    the table grows or its partitioning changes. The sizes, also those of classes, are therefore
    not exact: a part of fraction f has n f of the n texts of a class, with a standard deviation of
    sqrt(n f (1 - f)).

    Examples
    --------
    >>> df = spark.createDataFrame([(f"text {i // 2}",) for i in range(2000)], ["text"])
    >>> train, test = split_by_text(df, "text", seed=1)
    >>> train.count() + test.count(), train.join(test, "text").count()
    (2000, 0)
    """
    find(df.schema, "split_by_text", textCol, StringType)
    if not fractions or min(fractions) <= 0 or not math.isclose(sum(fractions), 1):
        raise ValueError(
            f"split_by_text: fractions must be positive and sum to 1, got {list(fractions)}"
        )
    place = text_place(quoted(textCol), seed)
    edges = [math.fsum(fractions[:i]) for i in range(len(fractions))] + [1.0]
    return [
        df.where((place >= low) & (place < high))
        for low, high in zip(edges, [*edges[1:-1], 1.0], strict=False)
    ]
