"""The schema of reviews, and the mapping of the columns of other data to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.errors import ConfigError


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


Columns = Mapping[str, str | Sequence[str] | None]
"""A mapping as a dictionary: our name -> their name, or several of them for a text."""

VISIBLE = r"[^\p{Z}\p{C}]"
"""A visible character: not a space, control or format character (NBSP, ZWSP, BOM)."""

_TEXTS = ("title", "review_text")


@dataclass(frozen=True)
class ColumnMapping:
    """Mapping from the columns of `REVIEWS` to the columns of the data.

    Parameters
    ----------
    review_text : str or sequence of str
        Column with the text, or several columns, such as pros and cons. Several texts become one
        text, with a line break between them; blank ones are left out.
    rating : str, optional
        Column with the rating. Only data to be scored may lack it.
    title : str or sequence of str, optional
        Column with the title, or several columns.
    review_id, product_id, age, recommended, positive_feedback_count, division, \
department, class_name : str, optional
        The other columns. A column that is left out is null in the reviews; a ``review_id`` that is
        left out is computed from the content (see `read_reviews`).

    Notes
    -----
    Names must match exactly. As in Spark, a column without a name in the header has the name
    ``_c`` and its index: ``_c0`` is an unnamed first column.

    Examples
    --------
    >>> ColumnMapping.of({"review_text": "body", "rating": "stars"}).rating
    'stars'
    """

    review_text: str | Sequence[str]
    rating: str | None = None
    review_id: str | None = None
    product_id: str | None = None
    age: str | None = None
    title: str | Sequence[str] | None = None
    recommended: str | None = None
    positive_feedback_count: str | None = None
    division: str | None = None
    department: str | None = None
    class_name: str | None = None

    @classmethod
    def of(cls, columns: "ColumnMapping | Columns") -> "ColumnMapping":
        """Return a mapping from a dictionary, our name -> their name, or from a mapping.

        Raises
        ------
        ConfigError
            If a key is not a column of `REVIEWS`, or a value is not a name, or names several
            columns of what is not a text.
        """
        if isinstance(columns, ColumnMapping):
            return columns
        given: dict[str, Any] = dict(columns)
        unknown = sorted(set(given) - set(REVIEWS.names))
        if unknown:
            raise ConfigError(
                f"columns: '{unknown[0]}' is not a column of reviews; "
                f"the columns are: {', '.join(REVIEWS.names)}"
            )
        for ours, theirs in given.items():
            several = ours in _TEXTS and isinstance(theirs, Sequence) and bool(theirs)
            names = theirs if several and not isinstance(theirs, str) else [theirs]
            if theirs is not None and not all(isinstance(name, str) and name for name in names):
                raise ConfigError(f"columns: '{ours}' must name a column, got {theirs!r}")
        if not given.get("review_text"):
            raise ConfigError("columns: 'review_text' must name the column that holds the text")
        return cls(**given)

    @classmethod
    def among(cls, names: Collection[str]) -> "ColumnMapping":
        """Return the mapping of data that has our names; it holds those of `names` that are ours.

        Examples
        --------
        >>> ColumnMapping.among(["rating", "price"]).named()
        {'review_text': ('review_text',), 'rating': ('rating',)}
        """
        ours = {name: name for name in REVIEWS.names if name in names}
        return cls.of({"review_text": "review_text", **ours})

    def named(self) -> dict[str, tuple[str, ...]]:
        """Return our names -> their names, without columns left out, in the order of `REVIEWS`.

        Examples
        --------
        >>> ColumnMapping(review_text=["pros", "cons"], rating="stars").named()
        {'review_text': ('pros', 'cons'), 'rating': ('stars',)}
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: (values[name],) if isinstance(values[name], str) else tuple(values[name])
            for name in REVIEWS.names
            if values[name] is not None
        }


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


def joined(columns: Sequence[Column]) -> Column:
    """Join the string columns of one text by line breaks; blank ones are left out.

    A single column does not change; without any column, the result is null.
    """
    if not columns:
        return F.lit(None).cast("string")
    if len(columns) == 1:
        return columns[0]
    return F.concat_ws("\n", *(F.when(column.rlike(VISIBLE), column) for column in columns))
