"""What a reader gives back: reviews, rejected rows, and how many of each."""

import logging
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_sentiment.errors import DataError
from spark_sentiment.reviews.schema import REJECTED, REVIEWS

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadCounts:
    """How many rows were read, and why some were rejected.

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
        """Rows that could not be used."""
        return sum(self.reasons.values())

    @property
    def reviews(self) -> int:
        """Rows that could be used."""
        return self.read - self.rejected

    def __str__(self) -> str:
        why = "".join(f"; {reason} ({count:,})" for reason, count in self.reasons.items())
        return f"{self.rejected:,} of {self.read:,} rows rejected{why}"


@dataclass(frozen=True)
class ReadResult:
    """What a reader found: reviews and rejected rows, two views of one DataFrame.

    Parameters
    ----------
    rows : DataFrame
        Each row read: the columns of `REVIEWS`, then those of `REJECTED`; ``reason`` is null in a
        row that can be used.

    Notes
    -----
    Nothing is read until an action asks. Each action on `reviews` or `rejected` reads the data
    anew; `persist` first where both, or the counts, are wanted: the first action then fills the
    cache, and the rest read from there.
    """

    rows: DataFrame

    @property
    def reviews(self) -> DataFrame:
        """Rows that can be used, with the columns of `REVIEWS`."""
        return self.rows.where(F.col("reason").isNull()).select(*REVIEWS.names)

    @property
    def rejected(self) -> DataFrame:
        """Rows that cannot, with the columns of `REJECTED`."""
        return self.rows.where(F.col("reason").isNotNull()).select(*REJECTED.names)

    def persist(self) -> "ReadResult":
        """Keep the rows, in memory and what does not fit on disk, from the first action on."""
        self.rows.persist()
        return self

    def unpersist(self) -> "ReadResult":
        """Let go of what `persist` keeps."""
        self.rows.unpersist()
        return self

    def counts(self) -> ReadCounts:
        """Count the rows by outcome: one aggregation, one row per reason to the driver."""
        found = {row.reason: row["count"] for row in self.rows.groupBy("reason").count().collect()}
        read = sum(found.values())
        found.pop(None, None)
        order = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return ReadCounts(read, dict(order))

    def check(self, max_rejected: float = 0.05) -> ReadCounts:
        """Count the rows, and refuse data of which too little can be used.

        Parameters
        ----------
        max_rejected : float, default 0.05
            The largest share of rejected rows that is accepted, 0 to 1.

        Returns
        -------
        ReadCounts

        Raises
        ------
        DataError
            Where there are no rows, none can be used, or the share is exceeded. The message gives
            counts by reason, never a text.

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
            raise DataError("reviews: the data holds no rows; name a path or table that has some")
        share = counts.rejected / counts.read
        if share > max_rejected or counts.reviews == 0:
            raise DataError(
                f"reviews: {counts}; that is {share:.2%}, and at most {max_rejected:.2%} is "
                "allowed: correct the data or the mapping of its columns, or raise the limit"
            )
        return counts
