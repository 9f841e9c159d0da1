"""Facets: the columns that bias is measured by, and the two sides that they define."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DateType,
    DoubleType,
    FloatType,
    NumericType,
    StringType,
    StructType,
    TimestampType,
)

from spark_sentiment.core import boolean, find, number, plain, quoted, sequence
from spark_sentiment.errors import SchemaError

FACET_TYPES = (NumericType, StringType, BooleanType, DateType, TimestampType)
"""Column types that a facet may have."""

D, A, NEITHER = 1, 0, 2
"""Codes of the two sides, and of rows that a facet with `against` ignores."""


def spell(value: Any) -> str:
    """Write a value as in the report: ``2.0``, ``true``, ``Tops``.

    Examples
    --------
    >>> spell(2.0), spell(True), spell("Tops")
    ('2.0', 'true', 'Tops')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are equal, or are written alike (a date and its ISO text)."""
    return bool(left == right) or spell(left) == spell(right)


def same_text(left: str, right: str) -> bool:
    """Tell whether two written values are the same text or the same number.

    Examples
    --------
    >>> same_text("50", "50.0"), same_text("Tops", "tops")
    (True, False)
    """
    if left == right:
        return True
    try:
        return float(left) == float(right)
    except ValueError:
        return False


def check_scalars(values: Sequence[Any]) -> None:
    """Raise TypeError or ValueError unless all values are texts, booleans or finite numbers."""
    if not all(isinstance(value, str | int | float) for value in values):
        raise TypeError(f"expected strings, numbers or booleans, got {values!r}")
    if not all(math.isfinite(value) for value in values if isinstance(value, float)):
        raise ValueError(f"expected finite numbers, got {values!r}")


@dataclass(frozen=True)
class Facet:
    """A column whose groups are compared: group d, in question, with group a, all others.

    Parameters
    ----------
    column : str
        A column of numbers, strings, booleans, dates or timestamps.
    values : sequence, optional
        Values that together are d. By default, each value of the column is d in turn.
    against : sequence, optional
        Values that together are a; rows with other values are ignored. By default, a is all rows
        that are not in d.
    threshold : float, optional
        Rows above it are d, other rows are a; the column must be numeric.
    pairs : bool, default False
        Whether to compare each value with each other value, instead of with all others.
    reference : mapping of value to probability, optional
        Distribution to compare the facet with; uniform by default. Its keys are the values of the
        column. With `values` or `threshold`, they are the two sides as the report writes them
        (``"> 50"`` and ``"<= 50"``; ``"Tops"`` and ``"rest"``).

    Raises
    ------
    TypeError
        Where an argument is of a wrong type.
    ValueError
        Where arguments contradict one another, or one is empty or not finite.

    Notes
    -----
    A row whose facet is null or NaN is on neither side. The notes of the report count such rows.

    Examples
    --------
    >>> Facet("Age", threshold=50).spelled(D), Facet("Age", threshold=50).spelled(A)
    ('> 50', '<= 50')
    >>> Facet("Division", values=["General"], against=["General Petite"]).to_dict()
    {'column': 'Division', 'values': ['General'], 'against': ['General Petite']}
    """

    column: str
    values: Sequence[Any] | None = None
    against: Sequence[Any] | None = None
    threshold: float | None = None
    pairs: bool = False
    reference: Mapping[Any, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.column, str):
            raise TypeError(f"a facet's column must be a name, got {self.column!r}")
        if not self.column:
            raise ValueError("a facet's column must be a name, got an empty one")
        # The class is frozen, so converted values are set by object.__setattr__.
        for name, converted in self._converted():
            object.__setattr__(self, name, converted)
        both = [v for v in self.values or () if any(same(v, w) for w in self.against or ())]
        if both:
            raise ValueError(f"facet '{self.column}': {both[0]!r} is in values and in against")
        if self.threshold is not None and (self.values is not None or self.against is not None):
            raise ValueError(
                f"facet '{self.column}': threshold cannot be combined with values or against"
            )
        if self.pairs and (not self.each or self.against is not None):
            raise ValueError(
                f"facet '{self.column}': pairs cannot be combined with values, against or threshold"
            )

    def _converted(self) -> Iterator[tuple[str, Any]]:
        """Check each argument, and give what JSON can hold of it by its name."""
        checks: dict[str, Callable[[Any], Any]] = {
            "values": _scalars,
            "against": _scalars,
            "threshold": _threshold,
            "pairs": boolean,
            "reference": _reference,
        }
        for name, check in checks.items():
            given = getattr(self, name)
            if given is None and name != "pairs":
                continue
            try:
                yield name, check(given)
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError
                raise kind(f"facet '{self.column}': {name}: {error}") from error

    @property
    def each(self) -> bool:
        """Whether each value is d in turn."""
        return self.values is None and self.threshold is None

    def spelled(self, code: int) -> str:
        """Name a side of a facet with `values` or `threshold`."""
        if self.threshold is not None:
            return f"{'>' if code == D else '<='} {self.threshold}"
        if code == D:
            return ", ".join(spell(value) for value in self.values or ())
        if self.against is None:
            return "rest"
        return ", ".join(spell(value) for value in self.against)

    def bucket(self, schema: StructType) -> Column:
        """Return the Column with the bucket of a row: its value, or the code of its side.

        It is null if the facet is null or NaN.
        """
        source = known(schema, self.column)
        if self.each:
            return source
        if self.threshold is not None:
            return (source > F.lit(self.threshold)).cast("int")
        inside = F.when(source.isin(*self.values or ()), F.lit(D))
        if self.against is not None:
            inside = inside.when(source.isin(*self.against), F.lit(A)).otherwise(F.lit(NEITHER))
        else:
            inside = inside.otherwise(F.lit(A))
        return F.when(source.isNotNull(), inside)

    def check(self, schema: StructType, uid: str) -> None:
        """Raise SchemaError if the column is missing, or its type cannot define groups."""
        kinds = (NumericType,) if self.threshold is not None else FACET_TYPES
        find(schema, uid, self.column, *kinds)

    def to_dict(self) -> dict[str, Any]:
        """Return the facet as JSON values; ``Facet(**facet.to_dict())`` is the same facet."""
        full: dict[str, Any] = {
            "column": self.column,
            "values": None if self.values is None else list(self.values),
            "against": None if self.against is None else list(self.against),
            "threshold": self.threshold,
            "pairs": self.pairs or None,
            "reference": None if self.reference is None else dict(self.reference),
        }
        return {name: value for name, value in full.items() if value is not None}


def as_facet(value: Any) -> Facet:
    """Return a Facet from a Facet, from its dictionary, or from a column's name."""
    if isinstance(value, Facet):
        return value
    if isinstance(value, str):
        return Facet(value)
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in Facet.__dataclass_fields__]
        if unknown or "column" not in value:
            found = f"unknown key {unknown[0]!r}" if unknown else "no key 'column'"
            raise ValueError(
                f"expected a facet with some of {tuple(Facet.__dataclass_fields__)}, found {found}"
            )
        return Facet(**value)
    raise TypeError(f"expected a Facet, its dictionary or a column name, got {value!r}")


def facet_dict(value: Any) -> dict[str, Any]:
    """Param converter: one facet, stored as a dictionary of JSON values."""
    return as_facet(value).to_dict()


def facet_dicts(value: Any) -> list[dict[str, Any]]:
    """Param converter: a list of at least one facet, kept as dictionaries."""
    facets = [facet_dict(item) for item in sequence(value, "facets")]
    if not facets:
        raise ValueError("expected a list of at least one facet, got none")
    if any(facet in facets[:place] for place, facet in enumerate(facets)):
        raise ValueError(f"expected distinct facets, got {value!r}")
    return facets


def known(schema: StructType, name: str) -> Column:
    """Column `name` with NaN made null: neither says which group or class a row is of."""
    source = quoted(name)
    if isinstance(schema[name].dataType, FloatType | DoubleType):
        return F.when(~F.isnan(source), source)
    return source


def check_atomic(schema: StructType, uid: str, name: str) -> None:
    """Raise SchemaError if column `name` cannot hold classes or groups."""
    field = find(schema, uid, name)
    if not isinstance(field.dataType, FACET_TYPES):
        raise SchemaError(
            f"{uid}: column '{name}' must be a number, string, boolean or date, "
            f"found {field.dataType.simpleString()}"
        )


def _scalars(value: Any) -> tuple[Any, ...]:
    """Return values of a column that stand together on one side."""
    values = sequence(value, "values")
    check_scalars(values)
    if not values:
        raise ValueError("expected a list of at least one value, got none")
    return tuple(values)


def _threshold(value: Any) -> float:
    """Return a finite number; a whole number stays an integer, as in the text of the report."""
    number()(value)
    threshold: float = plain(value)
    return threshold


def _reference(value: Any) -> dict[str, float]:
    """Return a reference distribution by the text of each value."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping from values to probabilities, got {value!r}")
    shares = {spell(plain(key)): number(0)(share) for key, share in value.items()}
    if not math.isclose(sum(shares.values()), 1.0, rel_tol=0, abs_tol=1e-6):
        raise ValueError(f"expected probabilities that sum to 1, got {value!r}")
    return shares
