"""How other data rates: its scale, and the names of its classes. Both become 1 to 5 stars."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_sentiment.errors import ConfigError
from spark_sentiment.reviews.labels import SENTIMENTS

CLASS_NAMES = {
    **dict.fromkeys(("neg", "negative"), "negative"),
    **dict.fromkeys(("neu", "neutral"), "neutral"),
    **dict.fromkeys(("pos", "positive"), "positive"),
}
"""Names of classes that need no explanation, in lower case -> the class."""

_STARS = dict(zip(SENTIMENTS, (1, 3, 5), strict=True))
_BLANK = " \t\r\n"
_NUMBER = r"^[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)$"


def is_number(text: str) -> bool:
    """Tell whether a text is a number; its fraction may follow a comma.

    Examples
    --------
    >>> is_number(" 4,5 "), is_number("4 of 5")
    (True, False)
    """
    return re.fullmatch(_NUMBER, text.strip()) is not None


def as_number(text: str) -> float:
    """Return the number that a text is; see `is_number`.

    Examples
    --------
    >>> as_number("4,5")
    4.5
    """
    return float(text.replace(",", "."))


@dataclass(frozen=True)
class RatingScale:
    """The ratings of other data, and how they become whole stars from 1 to 5.

    The scale is divided into five equal parts, one for each star. On a scale of 1 to 5, whole
    ratings do not change, 2.5 is two stars and 3.5 is four. On a scale of 1 to 10, 1 to 4 are one
    or two stars, 5 and 6 are three, and 7 to 10 are four or five.

    Parameters
    ----------
    low, high : float, default 1 and 5
        The scale, both ends included.
    names : dict of str to str
        Value of the rating -> ``negative``, ``neutral`` or ``positive``, which are 1, 3 and 5
        stars. A value may be a number. Case does not matter. Without being named here, these three
        classes and ``neg``, ``neu`` and ``pos`` are known.

    Raises
    ------
    ConfigError
        If the ends are not in order, or a class is unknown.

    Examples
    --------
    >>> df = spark.createDataFrame([("7",), ("7.5",), ("awful",), ("pos",), ("11",)], ["r"])
    >>> scale = RatingScale(1, 10, {"awful": "negative"})
    >>> [row[0] for row in df.select(scale.stars(F.col("r"))).collect()]
    [4, 4, 1, 5, None]
    """

    low: float = 1
    high: float = 5
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise ConfigError(
                f"labels: the scale must begin below its end, found {self.low:g}..{self.high:g}"
            )
        for name, sentiment in self.names.items():
            if sentiment not in SENTIMENTS:
                raise ConfigError(
                    f"labels: names: '{name}' must be one of {', '.join(SENTIMENTS)}, found "
                    f"'{sentiment}'"
                )

    @classmethod
    def of(cls, scale: str, names: Mapping[str, str] | None = None) -> "RatingScale":
        """Return the scale that a text such as ``1..10`` names.

        Raises
        ------
        ConfigError
            If the text is not two numbers with two points between them.

        Examples
        --------
        >>> RatingScale.of("1..10").high
        10.0
        """
        low, _, high = scale.partition("..")
        try:
            return cls(float(low), float(high), names or {})
        except ValueError as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f"labels: scale must be two numbers such as 1..10, found {scale!r}"
            ) from error

    @property
    def span(self) -> str:
        """The scale for messages, such as ``1..5``."""
        return f"{self.low:g}..{self.high:g}"

    def classes(self) -> dict[str, str]:
        """Return the known names of classes, in lower case -> the class."""
        return CLASS_NAMES | {name.strip().lower(): its for name, its in self.names.items()}

    def holds(self, value: str) -> bool:
        """Tell whether a text is a rating of this scale, or the name of a class.

        Examples
        --------
        >>> RatingScale().holds("Positive"), RatingScale().holds("4.5"), RatingScale().holds("6")
        (True, True, False)
        """
        if value.strip().lower() in self.classes():
            return True
        return is_number(value) and self.low <= as_number(value) <= self.high

    def is_rating(self, value: Column) -> Column:
        """Tell whether a string is a number or the name of a class."""
        return self._named(value).isNotNull() | F.btrim(value, F.lit(_BLANK)).rlike(_NUMBER)

    def stars(self, value: Column) -> Column:
        """Return the stars, 1 to 5, of a string; null if it has none or is outside the scale."""
        written = F.btrim(value, F.lit(_BLANK))
        number = F.when(written.rlike(_NUMBER), F.translate(written, ",", ".").cast("double"))
        # Rounding removes errors of the last digits, so that the ends of the parts are exact.
        part = F.round((number - self.low) * 5 / (self.high - self.low), 9)
        stars = F.least(F.floor(part) + 1, F.lit(5)).cast("int")
        return F.coalesce(self._named(value), F.when(number.between(self.low, self.high), stars))

    def _named(self, value: Column) -> Column:
        pairs = [(name, _STARS[its]) for name, its in self.classes().items()]
        known = F.create_map(*(F.lit(item) for pair in pairs for item in pair))
        return F.try_element_at(known, F.lower(F.btrim(value, F.lit(_BLANK))))
