"""Parts of a table that no text straddles, chosen by a hash of the text."""

import math
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from spark_sentiment.core import find, quoted

_STEPS = 2**53  # as many as a double can tell apart in [0, 1)


def text_place(text: Column, seed: int = 0) -> Column:
    """Return a number in [0, 1) that depends on `seed` and the letters and digits of `text` alone.

    Texts that differ in case, punctuation or white space get the same number; null gets that of
    the empty text.

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
    """Cut `df` into parts so that equal texts, duplicates above all, end up in the same part.

    Parameters
    ----------
    df : DataFrame
        Any table; all its columns are kept.
    textCol : str
        String column that decides. Case, punctuation and white space do not count; all rows
        without text go to one part.
    seed : int, default 0
        Another seed, another split.
    fractions : sequence of float, default (0.8, 0.2)
        Share of the distinct texts that each part gets in expectation; positive, summing to 1.

    Returns
    -------
    list of DataFrame
        One a fraction, in that order; together they hold each row of `df` exactly once.

    Raises
    ------
    SchemaError
        Where `textCol` is missing or no string; before any job.
    ValueError
        Where a fraction is not positive or they do not sum to 1.

    Notes
    -----
    A filter on a hash (64-bit xxHash): no shuffle, no pass of its own, no Python worker. Where a
    text goes depends on nothing but text, seed and fractions, so a table that grows, or is
    partitioned otherwise, never moves a text from test to training. The price is that sizes, those
    of classes too, are right in expectation only: a class of n texts has n f of them in a part,
    give or take sqrt(n f (1 - f)).

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
