"""The number of rows of each class, and exact, repeatable shares of these rows.

A seeded hash of the content orders the rows, so a share holds the same rows for any partitioning
of the table. Rows with equal content are interchangeable: any of them may be taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, MapType, StructType, UserDefinedType

from spark_sentiment.core import lookup, quoted
from spark_sentiment.errors import DataError

MAX_CLASSES = 1000
"""A column with more distinct labels is taken for a continuous label."""

KEY = "__class_share_key"
COPIES = "__class_share_copies"
_BUCKET_BITS = 10
_BUCKETS = 1 << _BUCKET_BITS


@dataclass(frozen=True)
class ClassCount:
    """One class: its label, its rows, and how many of them fall into each bucket of the key."""

    label: float
    rows: int
    buckets: Mapping[int, int]


def class_counts(data: DataFrame, uid: str, label: str) -> dict[float, int]:
    """Count the rows of each class in one pass; rows without a label are ignored.

    Raises
    ------
    DataError
        If no row has a label, there is one class only, a label is NaN or infinite, or there are
        more than `MAX_CLASSES` classes.
    """
    value = quoted(label).cast("double").alias("label")
    rows = data.groupBy(value).count().limit(MAX_CLASSES + 2).collect()
    counts = {row[0]: int(row[1]) for row in rows if row[0] is not None}
    _check(counts, uid, label)
    return dict(sorted(counts.items()))


def keyed(data: DataFrame, seed: int) -> DataFrame:
    """Add `KEY`, a 64-bit hash of the seed and of every column that Spark can hash (no maps)."""
    hashed = [quoted(f.name) for f in data.schema.fields if not _holds_map(f.dataType)]
    return data.withColumn(KEY, F.xxhash64(F.lit(seed), *hashed))


def bucket_counts(
    data: DataFrame, uid: str, label: str, features: str | None = None
) -> list[ClassCount]:
    """Count the rows of each class, by bucket of `KEY`, in one pass.

    The driver receives at most 1,024 counts per class. Rows without a label raise DataError. Rows
    without features raise it too if `features` is given, and so do the cases of `class_counts`.
    """
    value = quoted(label).cast("double").alias("label")
    hollow = F.lit(0) if features is None else quoted(features).isNull().cast("long")
    rows = (
        data.groupBy(value, _bucket().alias("bucket"))
        .agg(F.count(F.lit(1)).alias("rows"), F.sum(hollow).alias("hollow"))
        .groupBy("label")
        .agg(
            F.sum("rows").alias("rows"),
            F.sum("hollow").alias("hollow"),
            F.map_from_entries(F.collect_list(F.struct("bucket", "rows"))).alias("buckets"),
        )
        .limit(MAX_CLASSES + 2)
        .collect()
    )
    for row in rows:
        if row["label"] is None:
            raise DataError(
                f"{uid}: column '{label}' is null in {row['rows']} rows; drop or label them first"
            )
    empty = sum(row["hollow"] for row in rows)
    if empty:
        raise DataError(
            f"{uid}: column '{features}' is null in {empty} rows; drop or fill them first"
        )
    _check({row["label"]: row["rows"] for row in rows}, uid, label)
    counts = [ClassCount(row["label"], row["rows"], row["buckets"]) for row in rows]
    return sorted(counts, key=lambda count: count.label)


def allot(
    data: DataFrame, label: str, counts: list[ClassCount], totals: Mapping[float, int]
) -> DataFrame:
    """Add `COPIES`, which sums to exactly ``totals[c]`` over each class c, as evenly as possible.

    Every row of a class gets ``totals[c] // rows`` copies; the first ``totals[c] % rows`` in the
    order of `KEY` get one more. The counts tell which rows these are, except in one bucket per
    class. Only the rows of this bucket, about one in 1,024, are shuffled and numbered.

    Parameters
    ----------
    data : DataFrame
        Rows with `KEY`. They are read twice: cache them first.
    counts : list of ClassCount
        Counts of the same rows.
    totals : mapping of float to int
        Rows wanted, by label; every class of `counts` must be in it.
    """
    each, cut, inside = {}, {}, {}
    for count in counts:
        each[count.label], extra = divmod(totals[count.label], count.rows)
        bucket = 0
        while bucket < _BUCKETS and extra >= count.buckets.get(bucket, 0):
            extra -= count.buckets.get(bucket, 0)
            bucket += 1
        cut[count.label], inside[count.label] = bucket, extra

    value = quoted(label).cast("double")
    more = (_bucket() < lookup(cut, value)).cast("int")
    if not any(inside.values()):
        return data.withColumn(COPIES, lookup(each, value) + more)
    on_cut = _bucket() == lookup(cut, value)
    place = F.row_number().over(Window.partitionBy(value).orderBy(KEY))
    first = (place <= lookup(inside, value)).cast("int")
    settled = data.where(~on_cut).withColumn(COPIES, lookup(each, value) + more)
    split = data.where(on_cut).withColumn(COPIES, lookup(each, value) + first)
    return settled.union(split)


def _bucket() -> Column:
    """Return the highest bits of `KEY`, so that buckets are in the order of the key."""
    return F.shiftrightunsigned(F.col(KEY), 64 - _BUCKET_BITS).cast("int")


def _check(counts: Mapping[float | None, int], uid: str, label: str) -> None:
    if not counts:
        raise DataError(f"{uid}: no row has a label in column '{label}'; there is nothing to count")
    if len(counts) > MAX_CLASSES:
        raise DataError(
            f"{uid}: column '{label}' holds more than {MAX_CLASSES} distinct values; "
            "use a label that has classes, not a continuous one"
        )
    odd = [value for value in counts if value is None or not isfinite(value)]
    if odd:
        raise DataError(f"{uid}: column '{label}' holds {odd[0]}, which is not a class")
    if len(counts) == 1:
        (only, rows), *_ = counts.items()
        raise DataError(
            f"{uid}: column '{label}' holds one class only ({only}, {rows} rows); "
            "at least two are needed"
        )


def _holds_map(kind: DataType) -> bool:
    if isinstance(kind, UserDefinedType):
        return _holds_map(kind.sqlType())
    if isinstance(kind, ArrayType):
        return _holds_map(kind.elementType)
    if isinstance(kind, StructType):
        return any(_holds_map(field.dataType) for field in kind.fields)
    return isinstance(kind, MapType)
