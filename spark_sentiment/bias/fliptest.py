"""The counterfactual fliptest, the only bias metric that needs rows and not only counts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_sentiment.bias.counts import Question, Split
from spark_sentiment.bias.facets import known
from spark_sentiment.bias.formulas import Measure
from spark_sentiment.core import VECTOR, find, quoted
from spark_sentiment.errors import DataError

NEIGHBOURS = 5
"""Number of members of side a to compare with a member of side d; 1 if a has fewer than 10."""

MAX_WIDTH = 4096
"""Largest width of a vector; it bounds the memory of the sample on the driver."""

_CHUNK = 1024  # rows of d for which the distances to all of a are in memory at once

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """Sampled rows: their vectors [n, width], predictions, and bucket in each facet."""

    vectors: Floats
    guesses: list[Any]
    buckets: list[list[str | None]]


def draw(df: DataFrame, question: Question, features: str, rows: int, seed: int) -> Sample:
    """Sample at most `rows` rows with a vector, a label and a prediction.

    Notes
    -----
    A hash of content and seed ranks the rows, so the sample does not depend on the partitioning
    of the table. Rows that are equal in all columns are drawn together.
    """
    schema = df.schema
    if question.prediction is None:  # its caller has asked for a prediction
        raise DataError(f"{question.uid}: FT needs a prediction column")
    guess = known(schema, question.prediction)
    label = known(schema, question.label)
    if question.positive_threshold is not None:
        guess = guess > F.lit(question.positive_threshold)
    places = range(len(question.facets))
    picked = (
        df.select(
            quoted(features).alias("x"),
            guess.alias("p"),
            label.alias("y"),
            *(
                facet.bucket(schema).cast("string").alias(f"f{i}")
                for i, facet in enumerate(question.facets)
            ),
        )
        .where("x is not null and p is not null and y is not null")
        .orderBy(F.xxhash64(F.lit(seed), "x", "p", "y", *(f"f{i}" for i in places)))
        .select("x", "p", *(f"f{i}" for i in places))
        .limit(rows)
        .collect()
    )
    width = max((row.x.size for row in picked), default=0)
    if width > MAX_WIDTH:
        raise DataError(
            f"{question.uid}: column '{features}' holds vectors of {width} numbers; FT compares "
            f"at most {MAX_WIDTH}: name a smaller vector"
        )
    vectors = np.array([row.x.toArray() for row in picked], dtype=np.float64)
    return Sample(
        vectors.reshape(len(picked), width),
        [row.p for row in picked],
        [[row[f"f{i}"] for row in picked] for i in places],
    )


def check_features(schema: StructType, uid: str, features: str) -> None:
    """Raise SchemaError if `features` is not a vector column."""
    find(schema, uid, features, type(VECTOR))


def nearest(of: Floats, among: Floats, k: int) -> npt.NDArray[np.intp]:
    """Return the k nearest rows of `among`, by Euclidean distance, for each row of `of`.

    Parameters
    ----------
    of, among : array of float
        Shapes [n, width] and [m, width].
    k : int
        At most m.

    Returns
    -------
    array of int
        Shape [n, k], in no order.
    """
    norms = np.einsum("ij,ij->i", among, among)
    out = [
        np.argpartition(norms - 2 * (of[at : at + _CHUNK] @ among.T), k - 1, axis=1)[:, :k]
        for at in range(0, len(of), _CHUNK)
    ]
    return np.concatenate(out) if out else np.empty((0, k), dtype=np.intp)


def flip_test(positive_d: Bools, votes: Bools) -> Measure:
    """FT = (F+ - F-) / n_d, in [-1, 1].

    Parameters
    ----------
    positive_d : array of bool, shape [n_d]
        Whether the prediction for each member of d is favourable.
    votes : array of bool, shape [n_d, k]
        Whether the predictions for the member's neighbours in a are favourable.

    Notes
    -----
    F+ counts members with an unfavourable outcome whose neighbours mostly have a favourable one; F-
    counts the reverse. A value above 0 means that members of a with similar features have better
    outcomes. Clarify's open code (smclarify 0.5) swaps the two sets and so has the opposite sign;
    this function follows the guide. If neighbours disagree, the majority decides, as in the code;
    the guide does not define this case.

    Examples
    --------
    >>> d = np.array([False, False, True, True])
    >>> a = np.array([[True], [False], [False], [True]])
    >>> flip_test(d, a).value
    0.0
    """
    would = votes.mean(axis=1) > 0.5
    plus, minus = int((~positive_d & would).sum()), int((positive_d & ~would).sum())
    return Measure((plus - minus) / len(positive_d))


class FlipTester:
    """Fliptests of the splits of one facet on one sample; each split searches neighbours once."""

    def __init__(self, sample: Sample, place: int) -> None:
        self._sample = sample
        self._buckets = sample.buckets[place]

    def measure(self, split: Split, positives: list[frozenset[Any]]) -> list[Measure]:
        """Return FT for each way of being positive."""
        buckets = self._buckets
        rows_a = [i for i, bucket in enumerate(buckets) if bucket in split.keys_a]
        rows_d = [i for i, bucket in enumerate(buckets) if bucket in split.keys_d]
        note = f"from a sample of {len(rows_a)} rows of a and {len(rows_d)} of d"
        if not rows_a or not rows_d:
            return [Measure(None, note=note)] * len(positives)
        k = NEIGHBOURS if len(rows_a) >= 2 * NEIGHBOURS else 1
        vectors, guesses = self._sample.vectors, self._sample.guesses
        close = nearest(vectors[rows_d], vectors[rows_a], k)
        out = []
        for positive in positives:
            favoured_a = np.array([guesses[i] in positive for i in rows_a])
            favoured_d = np.array([guesses[i] in positive for i in rows_d])
            value = flip_test(favoured_d, favoured_a[close]).value
            out.append(Measure(value, note=f"{note}, {k} nearest"))
        return out
