"""Reviews: their schema, and readers that set unusable rows aside with the reason.

A row is read once and ends in exactly one of two places: among the reviews, typed and with an id,
or among the rejected, with the reason and its raw content. Nothing is dropped in silence, so
reviews + rejected = rows read, always.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.errors import ConfigError, DataError, SchemaError

_LOG = logging.getLogger(__name__)


def _field(name: str, kind: T.DataType, comment: str, nullable: bool = True) -> T.StructField:
    return T.StructField(name, kind, nullable, {"comment": comment})


REVIEWS = T.StructType(
    [
        _field(
            "review_id", T.StringType(), "Unique id: the data's own, or hash and position", False
        ),
        _field("product_id", T.StringType(), "Product reviewed"),
        _field("age", T.IntegerType(), "Age of the reviewer in years, 0 to 150"),
        _field("title", T.StringType(), "Title as written"),
        _field("review_text", T.StringType(), "Text as written; never blank", False),
        _field("rating", T.IntegerType(), "Stars, 1 to 5; null only in data to be scored"),
        _field("recommended", T.BooleanType(), "Whether the reviewer recommends the product"),
        _field("positive_feedback_count", T.IntegerType(), "Readers who found the review helpful"),
        _field("division", T.StringType(), "Division of the shop"),
        _field("department", T.StringType(), "Department of the product"),
        _field("class_name", T.StringType(), "Class of the product"),
    ]
)
"""Schema of reviews. All columns but ``review_id`` and ``review_text`` may be null."""

REJECTED = T.StructType(
    [
        _field("reason", T.StringType(), "What is wrong, as 'column: problem'", False),
        _field("raw", T.StringType(), "The record as it stands in the file, or its fields as JSON"),
        _field("source_file", T.StringType(), "File that holds the row; null for a table's row"),
        _field("position", T.LongType(), "Rises by one from record to record of a file"),
    ]
)
"""Schema of rejected rows."""

_CONTENT = [name for name in REVIEWS.names if name != "review_id"]
_TRIMMED = {"review_id", "product_id", "division", "department", "class_name"}
_RANGES = {"rating": (1, 5), "age": (0, 150), "positive_feedback_count": (0, 2**31 - 1)}

# One character that can be seen: neither space nor control nor format character (NBSP, ZWSP, BOM).
_VISIBLE = r"[^\p{Z}\p{C}]"


@dataclass(frozen=True)
class ColumnMapping:
    """Which column of the data stands for which column of `REVIEWS`.

    Parameters
    ----------
    review_text : str
        Column with the text.
    rating : str, optional
        Column with the stars, 1 to 5. Only data to be scored does without.
    review_id, product_id, age, title, recommended, positive_feedback_count, division, \
department, class_name : str, optional
        Columns for the rest. What is left out is null in the reviews; a ``review_id`` left out is
        made from the content (see `read_reviews`).

    Notes
    -----
    Names are matched exactly. A column without a name in the header is called ``_c`` and its
    index, as Spark does: ``_c0`` is an unnamed first one.

    Examples
    --------
    >>> ColumnMapping.of({"review_text": "body", "rating": "stars"}).rating
    'stars'
    """

    review_text: str
    rating: str | None = None
    review_id: str | None = None
    product_id: str | None = None
    age: str | None = None
    title: str | None = None
    recommended: str | None = None
    positive_feedback_count: str | None = None
    division: str | None = None
    department: str | None = None
    class_name: str | None = None

    @classmethod
    def of(cls, columns: "ColumnMapping | Mapping[str, str | None]") -> "ColumnMapping":
        """Make a mapping of a dictionary, our name -> their name; a mapping is returned as it is.

        Raises
        ------
        ConfigError
            Where a name on the left is none of ours, or one on the right is not a name.
        """
        if isinstance(columns, ColumnMapping):
            return columns
        given: dict[str, Any] = dict(columns)
        unknown = sorted(set(given) - set(REVIEWS.names))
        if unknown:
            raise ConfigError(
                f"columns: '{unknown[0]}' is no column of reviews; "
                f"the columns are: {', '.join(REVIEWS.names)}"
            )
        for ours, theirs in given.items():
            if theirs is not None and (not isinstance(theirs, str) or not theirs):
                raise ConfigError(f"columns: '{ours}' must name a column, got {theirs!r}")
        if not given.get("review_text"):
            raise ConfigError("columns: 'review_text' must name the column that holds the text")
        return cls(**given)

    def named(self) -> dict[str, str]:
        """Our names -> theirs, without those left out, in the order of `REVIEWS`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: values[name] for name in REVIEWS.names if values[name] is not None}


WOMENS_CLOTHING = ColumnMapping(
    review_text="Review Text",
    rating="Rating",
    product_id="Clothing ID",
    age="Age",
    title="Title",
    recommended="Recommended IND",
    positive_feedback_count="Positive Feedback Count",
    division="Division Name",
    department="Department Name",
    class_name="Class Name",
)
"""Columns of the Women's E-Commerce Clothing Reviews (Kaggle, CC0)."""

OURS = ColumnMapping(**{name: name for name in REVIEWS.names})
"""Columns under the names of `REVIEWS` itself."""


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
                f"reviews: {counts}; that is {share:.2%} where at most {max_rejected:.2%} is "
                "allowed: mend the data, or the mapping of its columns, or allow more"
            )
        return counts


def from_frame(
    df: DataFrame,
    columns: ColumnMapping | Mapping[str, str | None] | None = None,
    *,
    require_rating: bool = True,
) -> ReadResult:
    """Take reviews from any table, with the checks of `read_reviews`.

    Parameters
    ----------
    df : DataFrame
        Table with one review a row; mapped columns are strings, numbers or booleans.
    columns : ColumnMapping or dict, optional
        Our column names -> those of `df`; by default those of `REVIEWS` that `df` has.
    require_rating : bool, default True
        As for `read_reviews`.

    Returns
    -------
    ReadResult
        Rejected rows hold the mapped fields as JSON in ``raw``, and no file or position.

    Raises
    ------
    SchemaError
        Where `df` lacks a mapped column, or its type cannot be a field of a review.

    Notes
    -----
    As for `read_reviews`; not a number (NaN) counts as null. One pass and one shuffle.

    Examples
    --------
    >>> df = spark.createDataFrame([("Lovely", 5.0), (" ", 4.0)], ["body", "stars"])
    >>> found = from_frame(df, {"review_text": "body", "rating": "stars"})
    >>> found.reviews.head().rating, found.rejected.head().reason
    (5, 'review_text: missing')
    """
    if columns is None:
        found = {name: name for name in REVIEWS.names if name in df.columns}
        columns = {"review_text": "review_text", **found}
    mapping = ColumnMapping.of(columns)
    at = positions("the table", df.columns, mapping, require_rating)
    strings = {}
    for ours in REVIEWS.names:
        if ours not in at:
            strings[ours] = F.lit(None).cast("string")
            continue
        field = df.schema.fields[at[ours]]
        if not isinstance(field.dataType, T.StringType | T.NumericType | T.BooleanType):
            raise SchemaError(
                f"reviews: column '{field.name}' (mapped to {ours}) must be a string, a number or "
                f"a boolean, found {field.dataType.simpleString()}"
            )
        strings[ours] = _as_string(F.col(_quoted(field.name)), field.dataType)
    raw = F.struct(
        *(
            F.col(_quoted(name))
            for name in dict.fromkeys(mapping.named().values())
            if name in df.columns
        )
    )
    table = df.select(
        *(column.alias(ours) for ours, column in strings.items()),
        F.lit(None).cast("string").alias("reason"),
        F.to_json(raw).alias("raw"),
        F.lit(None).cast("string").alias("source_file"),
        F.lit(None).cast("long").alias("position"),
    )
    return sorted_out(table, mapping, require_rating)


def positions(
    where: str, header: list[str], mapping: ColumnMapping, require_rating: bool
) -> dict[str, int]:
    """Find each mapped column in the header; our names -> indices."""
    named = mapping.named()
    if require_rating and "rating" not in named:
        raise SchemaError(
            "reviews: no column is mapped to 'rating', which these rows must have; "
            "name the column that holds the stars"
        )
    found = {}
    for ours, theirs in named.items():
        at = [i for i, name in enumerate(header) if name == theirs]
        if not at and ours == "rating" and not require_rating:
            continue
        if len(at) != 1:
            problem = "is missing" if not at else f"is there {len(at)} times"
            raise SchemaError(
                f"reviews: column '{theirs}' (mapped to {ours}) {problem} in {where}; "
                f"the columns are: {', '.join(header)}"
            )
        found[ours] = at[0]
    return found


def _as_string(column: Column, kind: T.DataType) -> Column:
    """Spell a value as a CSV would: 5.0 as 5, NaN as null."""
    if isinstance(kind, T.FractionalType):
        value = column.cast("double") if isinstance(kind, T.FloatType) else column
        if not isinstance(kind, T.DecimalType):
            value = F.when(~F.isnan(value), value)
        small = F.abs(value) < 1e15
        whole = F.when(small & (value == F.floor(value)), F.floor(value).cast("string"))
        return F.coalesce(whole, value.cast("string"))
    return column.cast("string")


def sorted_out(table: DataFrame, mapping: ColumnMapping, require_rating: bool) -> ReadResult:
    """Type the strings of `table`, find each row's reason if any, and give ids."""
    given = mapping.review_id is not None

    def clean(name: str) -> Column:
        column = F.btrim(name, F.lit(" \t\r\n")) if name in _TRIMMED else F.col(name)
        return F.when(F.col(name).rlike(_VISIBLE), column).alias(name)

    cleaned = table.select(*(clean(name) for name in REVIEWS.names), *REJECTED.names)

    reasons = [F.col("reason")]
    needed = ["review_id"] * given + ["review_text"] + ["rating"] * require_rating
    reasons += [F.when(F.col(name).isNull(), f"{name}: missing") for name in needed]
    typed = {name: F.col(name) for name in REVIEWS.names}
    for name, (low, high) in _RANGES.items():
        whole = _whole(name)
        inside = whole.between(low, high)
        span = f"{low}..{high}"
        reasons.append(
            F.when(F.col(name).isNotNull() & whole.isNull(), f"{name}: not a whole number").when(
                ~inside, f"{name}: not in {span}"
            )
        )
        typed[name] = F.when(inside, whole).cast("int")
    yes = _yes("recommended")
    reasons.append(
        F.when(F.col("recommended").isNotNull() & yes.isNull(), "recommended: not 0 or 1")
    )
    typed["recommended"] = yes
    checked = cleaned.select(
        *(typed[name].alias(name) for name in REVIEWS.names),
        F.coalesce(*reasons).alias("reason"),
        *REJECTED.names[1:],
    )

    usable = F.col("reason").isNull()
    # What cannot be used has no part in the ids: each such row stands alone, so that a file full
    # of them does not pile up in one partition.
    alone = F.concat(F.lit("rejected "), F.monotonically_increasing_id().cast("string"))
    hashed = checked.withColumn("_hash", F.when(usable, _content_hash())).withColumn(
        "_key", F.when(usable, F.col("review_id") if given else F.col("_hash")).otherwise(alone)
    )
    if not given:  # only a repeated id is found out this late, and needs the raw text until then
        hashed = hashed.withColumn("raw", F.when(~usable, F.col("raw")))
    # Rows of one key that differ in content are ordered by it: the outcome is the same however
    # the rows are partitioned.
    nth = F.row_number().over(Window.partitionBy("_key").orderBy("_hash"))
    numbered = hashed.withColumn("_nth", nth)
    again = F.col("_nth") > 1
    if given:
        review_id = F.col("review_id")
        reason = F.coalesce("reason", F.when(again, "review_id: repeated"))
        raw = F.when(reason.isNotNull(), F.col("raw"))
    else:
        suffixed = F.concat(F.col("_hash"), F.lit("-"), F.col("_nth").cast("string"))
        review_id = F.when(again, suffixed).otherwise(F.col("_hash"))
        reason, raw = F.col("reason"), F.col("raw")
    rows = numbered.select(
        review_id.alias("review_id"),
        *_CONTENT,
        reason.alias("reason"),
        raw.alias("raw"),
        "source_file",
        "position",
    )
    return ReadResult(rows)


def _whole(name: str) -> Column:
    """Read a string column as a whole number: 5, 5.0 and 5. but not 4.5; null where it is none."""
    short = rf"btrim({name}, ' \t\r\n')"
    before = f"regexp_extract({short}, '^([+-]?[0-9]+)[.]0*$', 1)"
    return F.expr(f"coalesce(try_cast({short} as bigint), try_cast({before} as bigint))")


def _yes(name: str) -> Column:
    """Read a string column as yes or no: 1, 0, true, false, 1.0; null where it is neither."""
    number = _whole(name)
    word = F.expr(rf"try_cast(btrim({name}, ' \t\r\n') as boolean)")
    return F.coalesce(word, F.when(number == 1, True).when(number == 0, False))


def _content_hash() -> Column:
    """Hash all columns but the id: each as its length, a colon and its value; null as '-'."""
    parts: list[Column] = []
    for name in _CONTENT:
        value = F.col(name).cast("string")
        size = F.length(value).cast("string")
        parts.append(F.coalesce(F.concat(size, F.lit(":"), value), F.lit("-")))
    return F.substring(F.sha2(F.concat(*parts), 256), 1, 32)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
