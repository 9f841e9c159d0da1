"""The result of a reader: reviews, rejected rows, and their counts."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_sentiment.errors import DataError
from spark_sentiment.reviews.faults import reading_errors
from spark_sentiment.reviews.schema import REJECTED, REVIEWS

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadCounts:
    """Number of rows read, and of rejected rows by reason.

    Parameters
    ----------
    read : int
        Rows read; equals `reviews` + `rejected`.
    reasons : dict of str to int
        Rejected rows by reason, the most frequent first.
    """

    read: int
    reasons: dict[str, int]

    @property
    def rejected(self) -> int:
        """Number of rejected rows."""
        return sum(self.reasons.values())

    @property
    def reviews(self) -> int:
        """Number of usable rows."""
        return self.read - self.rejected

    def __add__(self, other: "ReadCounts") -> "ReadCounts":
        """Return the counts of two readings together."""
        reasons = Counter(self.reasons) + Counter(other.reasons)
        return ReadCounts(self.read + other.read, _by_count(reasons))

    def __str__(self) -> str:
        why = "".join(f"; {reason} ({count:,})" for reason, count in self.reasons.items())
        return f"{self.rejected:,} of {self.read:,} rows rejected{why}"


@dataclass(frozen=True)
class ReadResult:
    """Result of a reader: reviews and rejected rows, two views of one DataFrame.

    Parameters
    ----------
    rows : DataFrame
        One row per row read: the columns of `REVIEWS`, then those of `REJECTED`. ``reason`` is
        null in a usable row.
    source : str
        What is read, for messages.
    notes : tuple of str
        What the reader decided by itself, such as the encoding.

    Notes
    -----
    The data is read by actions. Each action on `reviews` or `rejected` reads it again. If you need
    both, or the counts, call `persist` first: the first action then fills the cache, and later
    actions read the cache.
    """

    rows: DataFrame
    source: str = "the table"
    notes: tuple[str, ...] = ()

    @property
    def reviews(self) -> DataFrame:
        """Usable rows, with the columns of `REVIEWS`."""
        return self.rows.where(F.col("reason").isNull()).select(*REVIEWS.names)

    @property
    def rejected(self) -> DataFrame:
        """Rejected rows, with the columns of `REJECTED`."""
        return self.rows.where(F.col("reason").isNotNull()).select(*REJECTED.names)

    @property
    def content(self) -> DataFrame:
        """All rows without their file and position, which depend on how Spark splits the input.

        Examples
        --------
        >>> from spark_sentiment.reviews import from_frame
        >>> df = spark.createDataFrame([("fits", 5)], ["review_text", "rating"])
        >>> "position" in from_frame(df).content.columns
        False
        """
        return self.rows.drop("source_file", "position")

    def persist(self) -> "ReadResult":
        """Persist the rows in memory, or on disk if they do not fit, from the first action on."""
        self.rows.persist()
        return self

    def unpersist(self) -> "ReadResult":
        """Remove the rows from the cache."""
        self.rows.unpersist()
        return self

    def counts(self) -> ReadCounts:
        """Count rows by reason, in one aggregation; the driver receives one row per reason.

        Raises
        ------
        DataError
            If a file cannot be read to its end.
        """
        with reading_errors(self.source):
            rows = self.rows.groupBy("reason").count().collect()
        found = {row.reason: row["count"] for row in rows}
        read = sum(found.values())
        found.pop(None, None)
        return ReadCounts(read, _by_count(found))

    def check(self, max_rejected: float = 0.05, *, allow_empty: bool = False) -> ReadCounts:
        """Count the rows; raise DataError if too many are rejected.

        Parameters
        ----------
        max_rejected : float, default 0.05
            The largest share of rejected rows that is accepted, 0 to 1.
        allow_empty : bool, default False
            Whether data without rows is accepted.

        Returns
        -------
        ReadCounts

        Raises
        ------
        DataError
            If there are no rows, all are rejected, or the share is exceeded. The message has counts
            by reason, never a text.

        Examples
        --------
        >>> from spark_sentiment.reviews import from_frame
        >>> df = spark.createDataFrame([("fits", 5), ("torn", 9)], ["review_text", "rating"])
        >>> str(from_frame(df).check(max_rejected=0.5))
        '1 of 2 rows rejected; rating: not in 1..5 (1)'
        """
        counts = self.counts()
        _LOG.info("%s", counts)
        if counts.read == 0:
            if allow_empty:
                return counts
            raise DataError("reviews: the data holds no rows; name a path or table that has some")
        share = counts.rejected / counts.read
        if share > max_rejected or counts.reviews == 0:
            raise DataError(
                f"reviews: {counts}; that is {share:.2%}, and at most {max_rejected:.2%} is "
                "allowed: correct the data or the mapping of its columns, or raise the limit"
            )
        return counts


def _by_count(reasons: Mapping[str, int]) -> dict[str, int]:
    """Return the reasons in order, the most frequent first."""
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
