"""Checks of reviews: usable rows get types and an id, unusable rows a reason.

Each row that is read is either a review, typed and with an id, or a rejected row, with the reason
and its raw content. No row is dropped silently: reviews + rejected = rows read.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.core import is_name, listed, quoted, refuse_stream
from spark_sentiment.errors import SchemaError
from spark_sentiment.reviews.ratings import RatingScale, is_number
from spark_sentiment.reviews.results import ReadResult
from spark_sentiment.reviews.schema import (
    REJECTED,
    REVIEWS,
    VISIBLE,
    ColumnMapping,
    Columns,
    joined,
)

_CONTENT = [name for name in REVIEWS.names if name != "review_id"]
_TRIMMED = {"review_id", "product_id", "division", "department", "class_name"}
RANGES = {"age": (0, 150), "positive_feedback_count": (0, 2**31 - 1)}
"""Lowest and highest value of columns that are whole numbers."""


def from_frame(
    df: DataFrame,
    columns: ColumnMapping | Columns | None = None,
    *,
    require_rating: bool = True,
    scale: RatingScale | None = None,
    source: str = "the table",
) -> ReadResult:
    """Read reviews from any table, with the checks of `read_reviews`.

    Parameters
    ----------
    df : DataFrame
        Table with one review per row; mapped columns are strings, numbers or booleans.
    columns : ColumnMapping or dict, optional
        Our column names -> those of `df`; by default those of `REVIEWS` that `df` has.
    require_rating, scale
        As for `read_reviews`.
    source : str, default 'the table'
        What the table was read from, for messages.

    Returns
    -------
    ReadResult
        Rejected rows hold the mapped fields as JSON in ``raw``, and no file or position.

    Raises
    ------
    SchemaError
        If `df` lacks a mapped column, or the column is not a string, a number or a boolean.

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
    refuse_stream(df, "from_frame")
    mapping = ColumnMapping.among(df.columns) if columns is None else ColumnMapping.of(columns)
    at = positions(source, df.columns, mapping, require_rating)
    strings = {}
    for ours in REVIEWS.names:
        fields = [df.schema.fields[i] for i in at.get(ours, ())]
        for field in fields:
            if not isinstance(field.dataType, T.StringType | T.NumericType | T.BooleanType):
                raise SchemaError(
                    f"reviews: column '{field.name}' (mapped to {ours}) must be a string, a number "
                    f"or a boolean, found {field.dataType.simpleString()}"
                )
        strings[ours] = joined([_as_string(quoted(each.name), each.dataType) for each in fields])
    used = dict.fromkeys(i for ours in mapping.named() if ours in at for i in at[ours])
    raw = F.struct(*(quoted(df.columns[i]) for i in used))
    table = df.select(
        *(column.alias(ours) for ours, column in strings.items()),
        F.lit(None).cast("string").alias("reason"),
        F.to_json(raw).alias("raw"),
        F.lit(None).cast("string").alias("source_file"),
        F.lit(None).cast("long").alias("position"),
    )
    return sorted_out(table, mapping, require_rating, source, scale=scale)


def positions(
    where: str,
    header: list[str],
    mapping: ColumnMapping,
    require_rating: bool,
    *,
    first_line: bool = False,
) -> dict[str, list[int]]:
    """Find each mapped column in the header; return our names -> indices.

    With `first_line`, the header is the first line of the file `where`, which may hold no names.
    """
    named = mapping.named()
    if require_rating and "rating" not in named:
        raise SchemaError(
            "reviews: no column is mapped to 'rating', and these rows need a rating; "
            "map the column that holds it"
        )
    found: dict[str, list[int]] = {}
    pairs = [(ours, theirs) for ours, names in named.items() for theirs in names]
    for ours, theirs in pairs:
        at = [i for i, name in enumerate(header) if name == theirs]
        if not at and ours == "rating" and not require_rating:
            continue
        if not at and first_line and not is_header(header):
            raise SchemaError(
                f"reviews: column '{theirs}' (mapped to {ours}) is missing in {where}; the first "
                f"line does not look like a header: {told_header(header)}; add a line that names "
                "the columns"
            )
        if len(at) != 1:
            problem = "is missing" if not at else f"occurs {len(at)} times"
            raise SchemaError(
                f"reviews: column '{theirs}' (mapped to {ours}) {problem} in {where}; "
                f"the columns are: {listed(header)}"
            )
        found.setdefault(ours, []).extend(at)
    return found


def is_header(cells: list[str]) -> bool:
    """Tell whether the cells of a line can be names of columns: short texts, none a number."""
    return not any(is_number(cell) or not is_name(cell) for cell in cells)


def told_header(cells: list[str]) -> str:
    """List the names of a header for a message; of a line of values only what it looks like."""
    if is_header(cells):
        return listed(cells)
    longest = max(map(len, cells))
    numbers = sum(map(is_number, cells))
    return (
        f"{len(cells):,} cells, {numbers:,} of them numbers, the longest of {longest:,} characters"
    )


def _as_string(column: Column, kind: T.DataType) -> Column:
    """Write a value as a CSV file does: 5.0 as 5, NaN as null."""
    if isinstance(kind, T.FractionalType):
        value = column.cast("double") if isinstance(kind, T.FloatType) else column
        if not isinstance(kind, T.DecimalType):
            value = F.when(~F.isnan(value), value)
        small = F.abs(value) < 1e15
        whole = F.when(small & (value == F.floor(value)), F.floor(value).cast("string"))
        return F.coalesce(whole, value.cast("string"))
    return column.cast("string")


def sorted_out(
    table: DataFrame,
    mapping: ColumnMapping,
    require_rating: bool,
    source: str = "the table",
    notes: tuple[str, ...] = (),
    *,
    scale: RatingScale | None = None,
) -> ReadResult:
    """Convert the strings of `table`, find the reason of each rejected row, and assign ids."""
    given = mapping.review_id is not None

    def clean(name: str) -> Column:
        column = F.btrim(name, F.lit(" \t\r\n")) if name in _TRIMMED else F.col(name)
        return F.when(F.col(name).rlike(VISIBLE), column).alias(name)

    cleaned = table.select(*(clean(name) for name in REVIEWS.names), *REJECTED.names)

    reasons = [F.col("reason")]
    needed = ["review_id"] * given + ["review_text"] + ["rating"] * require_rating
    reasons += [F.when(F.col(name).isNull(), f"{name}: missing") for name in needed]
    typed = {name: F.col(name) for name in REVIEWS.names}
    scale = scale or RatingScale()
    typed["rating"] = scale.stars(F.col("rating"))
    reasons.append(
        F.when(
            F.col("rating").isNotNull() & ~scale.is_rating(F.col("rating")),
            "rating: not a number or a class",
        ).when(
            F.col("rating").isNotNull() & typed["rating"].isNull(), f"rating: not in {scale.span}"
        )
    )
    for name, (low, high) in RANGES.items():
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
    # A rejected row gets a key of its own, so that a file full of rejected rows does not end up in
    # one partition.
    alone = F.concat(F.lit("rejected "), F.monotonically_increasing_id().cast("string"))
    hashed = checked.withColumn("_hash", F.when(usable, _content_hash())).withColumn(
        "_key", F.when(usable, F.col("review_id") if given else F.col("_hash")).otherwise(alone)
    )
    if not given:  # only the check for repeated ids, below, still needs the raw text
        hashed = hashed.withColumn("raw", F.when(~usable, F.col("raw")))
    # Content orders the rows of one key, so the result is the same for any partitioning. Rows with
    # equal values may be written differently (5 and 5.0): the raw text decides which one is kept.
    nth = F.row_number().over(Window.partitionBy("_key").orderBy("_hash", "raw"))
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
    return ReadResult(rows, source, notes)


def _whole(name: str) -> Column:
    """Read a string column as a whole number: 5, 5.0 and 5. but not 4.5; otherwise null."""
    short = rf"btrim({name}, ' \t\r\n')"
    before = f"regexp_extract({short}, '^([+-]?[0-9]+)[.]0*$', 1)"
    return F.expr(f"coalesce(try_cast({short} as bigint), try_cast({before} as bigint))")


def _yes(name: str) -> Column:
    """Read a string column as yes or no: 1, 0, true, false, 1.0; otherwise null."""
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
