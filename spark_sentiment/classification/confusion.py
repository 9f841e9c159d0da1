"""Evaluation of predictions: a confusion matrix, and the figures that follow from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from spark_sentiment.core import find, quoted, refuse_stream
from spark_sentiment.errors import DataError


@dataclass(frozen=True)
class Confusion:
    """Counts of rows by true and predicted class.

    Parameters
    ----------
    names : tuple of str
        Name of each class; class i is the label i.0.
    counts : tuple of tuple of int
        ``counts[i][j]`` rows are of class i and were predicted as j.

    Examples
    --------
    >>> c = Confusion(("bad", "good"), ((3, 1), (2, 4)))
    >>> c.accuracy, c.precision(1), c.recall(1)
    (0.7, 0.8, 0.6666666666666666)
    >>> round(c.f1(0), 4), round(c.f1(1), 4), round(c.macro_f1, 4)
    (0.6667, 0.7273, 0.697)
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def from_metrics(
        cls, names: Sequence[str], figures: Mapping[tuple[str, str | None], float | None]
    ) -> "Confusion":
        """Return the matrix for values of `metrics`, by (metric, class).

        Examples
        --------
        >>> matrix = Confusion(("bad", "good"), ((3, 1), (2, 4)))
        >>> figures = {(metric, name): value for metric, name, value in matrix.metrics()}
        >>> Confusion.from_metrics(matrix.names, figures) == matrix
        True
        """
        counts = [[int(figures[f"predicted_{j}", i] or 0) for j in names] for i in names]
        return cls(tuple(names), tuple(map(tuple, counts)))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float | None:
        """Share of rows with a correct prediction; None if there are no rows."""
        return _ratio(sum(self.counts[i][i] for i in range(len(self.names))), self.rows)

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the classes that occur as a label or a prediction; None if there are none."""
        defined = [f1 for f1 in map(self.f1, range(len(self.names))) if f1 is not None]
        return sum(defined) / len(defined) if defined else None

    def support(self, label: int) -> int:
        """Return the number of rows whose true class is `label`."""
        return sum(self.counts[label])

    def predicted(self, label: int) -> int:
        """Return the number of rows that were predicted as `label`."""
        return sum(row[label] for row in self.counts)

    def precision(self, label: int) -> float | None:
        """Return the share of correct rows among those predicted as `label`; None without any."""
        return _ratio(self.counts[label][label], self.predicted(label))

    def recall(self, label: int) -> float | None:
        """Return the share of correct rows among those of class `label`; None without any."""
        return _ratio(self.counts[label][label], self.support(label))

    def f1(self, label: int) -> float | None:
        """Return the harmonic mean of precision and recall; None if `label` does not occur."""
        return _ratio(2 * self.counts[label][label], self.support(label) + self.predicted(label))

    def metrics(self) -> list[tuple[str, str | None, float | None]]:
        """Return all figures and counts as (metric, class or None, value or None)."""
        whole: list[tuple[str, str | None, float | None]] = [
            ("rows", None, float(self.rows)),
            ("accuracy", None, self.accuracy),
            ("macro_f1", None, self.macro_f1),
        ]
        for i, name in enumerate(self.names):
            whole += [
                ("precision", name, self.precision(i)),
                ("recall", name, self.recall(i)),
                ("f1", name, self.f1(i)),
                ("support", name, float(self.support(i))),
            ]
            whole += [
                (f"predicted_{other}", name, float(self.counts[i][j]))
                for j, other in enumerate(self.names)
            ]
        return whole


def confusion(
    df: DataFrame, names: Sequence[str], label: str = "label", prediction: str = "prediction"
) -> Confusion:
    """Count the rows of `df` by true and predicted class, in one pass.

    Parameters
    ----------
    df : DataFrame
        Rows with a label and a prediction.
    names : sequence of str
        The classes' names; class i is the label i.0.
    label, prediction : str
        Numeric columns. A row in which one of them is null is ignored.

    Returns
    -------
    Confusion

    Raises
    ------
    SchemaError
        If a column is missing or not a number.
    DataError
        If a value is not one of the classes.

    Examples
    --------
    >>> df = spark.createDataFrame([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)], ["label", "prediction"])
    >>> confusion(df, ["bad", "good"]).counts
    ((1, 0), (1, 1))
    """
    refuse_stream(df, "confusion")
    find(df.schema, "confusion", label, NumericType)
    find(df.schema, "confusion", prediction, NumericType)
    both = df.select(quoted(label).cast("double"), quoted(prediction).cast("double")).dropna()
    # A wrong column may hold any number of values: limit the rows that are collected.
    cells = both.toDF("y", "z").groupBy("y", "z").count().limit(len(names) ** 2 + 1).collect()
    counts = [[0] * len(names) for _ in names]
    classes = {float(i): i for i in range(len(names))}
    for y, z, n in cells:
        for column, value in ((label, y), (prediction, z)):
            if value not in classes:
                raise DataError(
                    f"confusion: column '{column}' holds {value}, which is not one of the classes "
                    f"0.0 to {len(names) - 1}.0 ({', '.join(names)})"
                )
        counts[classes[y]][classes[z]] = n
    return Confusion(tuple(names), tuple(map(tuple, counts)))


def class_rows(df: DataFrame, classes: int, column: str = "label") -> tuple[int, ...]:
    """Count the rows of each class, in one pass; rows of other values are ignored.

    Examples
    --------
    >>> df = spark.createDataFrame([(0.0,), (2.0,), (2.0,), (None,)], "label double")
    >>> class_rows(df, 3)
    (1, 0, 2)
    """
    refuse_stream(df, "class_rows")
    find(df.schema, "class_rows", column, NumericType)
    row = df.agg(*(F.count_if(quoted(column) == i) for i in range(classes))).head()
    return tuple(row or ())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
