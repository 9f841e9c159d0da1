"""Count all rows in one aggregation; the counts are small and are kept on the driver.

The query groups the rows once, by the buckets of all facets, group, label and prediction together.
It then regroups the cells of this cube per facet. So it reads each row once for any number of
facets; the regrouping reads cells, not rows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StructType

from spark_sentiment.bias.association import Sizes
from spark_sentiment.bias.facets import A, D, Facet, check_atomic, known, same_text, spell
from spark_sentiment.bias.formulas import Confusion, Stratum
from spark_sentiment.core import find
from spark_sentiment.errors import DataError, SchemaError

MAX_CELLS = 250_000
"""Maximum number of counts on the driver, over all facets; about 100 MB."""

_JOINT = -1


@dataclass(frozen=True)
class Question:
    """What to measure, after checks; `bias_metrics` explains each field."""

    label: str
    facets: tuple[Facet, ...]
    prediction: str | None = None
    group: str | None = None
    positive: tuple[Any, ...] | None = None
    positive_threshold: float | None = None
    classes: tuple[Any, ...] | None = None
    max_values: int = 100
    uid: str = "bias_metrics"

    def check(self, schema: StructType) -> None:
        """Raise SchemaError if the table lacks a column, or a column has a wrong type."""
        for facet in self.facets:
            facet.check(schema, self.uid)
        outcomes = [self.label] if self.prediction is None else [self.label, self.prediction]
        for name in outcomes:
            if self.positive_threshold is None:
                check_atomic(schema, self.uid, name)
            else:
                find(schema, self.uid, name, NumericType)
        kinds = {
            NumericType
            if isinstance(schema[name].dataType, NumericType)
            else type(schema[name].dataType)
            for name in outcomes
        }
        if len(kinds) > 1:
            found = ", ".join(
                f"'{name}' is {schema[name].dataType.simpleString()}" for name in outcomes
            )
            raise SchemaError(f"{self.uid}: label and prediction must be of one type; {found}")
        if self.group is not None:
            check_atomic(schema, self.uid, self.group)


Cell = tuple[str | None, Any, Any]
"""Group, observed label, predicted label."""


@dataclass(frozen=True)
class Side:
    """Labelled rows of one side, by group, label and prediction."""

    cells: Mapping[Cell, int] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of labelled rows."""
        return sum(self.cells.values())

    def predicted_only(self) -> "Side":
        """Return the rows with a prediction."""
        return Side({cell: n for cell, n in self.cells.items() if cell[2] is not None})

    @property
    def ungrouped(self) -> int:
        """Number of rows whose group is null."""
        return sum(n for (group, _, _), n in self.cells.items() if group is None)

    def labels(self) -> Counter[Any]:
        """Rows by observed label."""
        out: Counter[Any] = Counter()
        for (_, label, _), n in self.cells.items():
            out[label] += n
        return out

    def confusion(self, positive: frozenset[Any]) -> Confusion:
        """Return the rows by observed and predicted outcome; a null prediction is not positive."""
        out = [0, 0, 0, 0]
        for (_, label, guess), n in self.cells.items():
            out[2 * (label in positive) + (guess in positive)] += n
        return Confusion(tp=out[3], fp=out[1], fn=out[2], tn=out[0])


@dataclass(frozen=True)
class Split:
    """Two sides of a facet: d, with its name in the report, and a."""

    facet: str
    value: str | None
    a: Side
    d: Side
    keys_a: frozenset[str]
    keys_d: frozenset[str]
    note: str | None

    @property
    def undefined(self) -> str | None:
        """Note for the report on a side without a labelled row; None if both sides have one."""
        empty = [letter for side, letter in ((self.a, "a"), (self.d, "d")) if side.n == 0]
        if not empty:
            return None
        return f"side {empty[0]} has no labelled row" if len(empty) == 1 else "no labelled row"

    def predicted_only(self) -> "Split":
        """Return the split of the rows that have a prediction."""
        return replace(self, a=self.a.predicted_only(), d=self.d.predicted_only())


@dataclass(frozen=True)
class FacetCounts:
    """Labelled rows of each bucket of a facet; bucket None holds the rows whose facet is null."""

    facet: Facet
    buckets: Mapping[str | None, Side]

    @property
    def known(self) -> dict[str, Side]:
        """Buckets of rows with a known group, in order."""
        keys = [key for key in self.buckets if key is not None]
        return {key: self.buckets[key] for key in sorted(keys, key=_by_number)}

    @property
    def null_note(self) -> str | None:
        """Note for the report on the rows without a known group; None if there are none."""
        nulls = self.buckets[None].n if None in self.buckets else 0
        return f"{nulls} rows with null {self.facet.column} on neither side" if nulls else None

    def labels(self) -> Counter[Any]:
        """Return the rows by observed label, over all known groups."""
        out: Counter[Any] = Counter()
        for side in self.known.values():
            out.update(side.labels())
        return out

    def sizes(self) -> dict[str, int]:
        """Return the rows by value, as the report writes it: the distribution of the facet."""
        if self.facet.each:
            return {value: side.n for value, side in self.known.items()}
        return {
            self.facet.spelled(code): self.buckets[str(code)].n
            for code in (A, D)
            if str(code) in self.buckets
        }

    def splits(self) -> list[Split]:
        """Return every comparison of the facet; a side may have no rows."""
        if not self.facet.each:
            return [self._split(self.facet.spelled(D), [str(D)], [str(A)])]
        values = list(self.known)
        if not values:
            return [self._split(None, [], [])]
        if self.facet.pairs and len(values) > 1:
            return [
                self._split(f"{d} vs {a}", [d], [a])
                for place, d in enumerate(values)
                for a in values[place + 1 :]
            ]
        against = [
            v for v in values if any(same_text(v, spell(w)) for w in self.facet.against or ())
        ]
        if self.facet.against is not None:
            name = self.facet.spelled(A)
            return [self._split(f"{d} vs {name}", [d], against) for d in values if d not in against]
        return [self._split(d, [d], [a for a in values if a != d]) for d in values]

    def _split(self, name: str | None, d: list[str], a: list[str]) -> Split:
        if self.facet.values is not None and self.facet.against is not None:
            name = f"{name} vs {self.facet.spelled(A)}"
        sides = self._merge(a), self._merge(d)
        return Split(self.facet.column, name, *sides, frozenset(a), frozenset(d), self.null_note)

    def _merge(self, keys: Iterable[str]) -> Side:
        out: Counter[Cell] = Counter()
        for key in keys:
            if key in self.buckets:
                out.update(self.buckets[key].cells)
        return Side(out)


@dataclass(frozen=True)
class Counts:
    """All counts of a table that the metrics need."""

    facets: tuple[FacetCounts, ...]
    whole: Side
    classes: tuple[Any, ...]
    null_labels: int
    null_predictions: int
    joint: Sizes | None


def count(df: DataFrame, question: Question, joint: bool = False) -> Counts:
    """Aggregate `df` once and return its counts.

    Parameters
    ----------
    df : DataFrame
        The rows; its schema has passed ``question.check``.
    question : Question
        What to count by.
    joint : bool
        Whether to sum the sizes of the combinations of all facets, in the same query.

    Raises
    ------
    DataError
        If no row has a label, there is one class only, a label is outside the classes, or a column
        has too many values.
    """
    kept = _collect(df, question, joint)
    sizes = None
    tables: list[dict[str | None, Counter[Cell]]] = [{} for _ in question.facets]
    null_labels = Counter[int]()
    for row in kept:
        if row.facet == _JOINT:
            sizes = Sizes(row.cells, row.n, row.logs, row.row_logs) if row.cells else None
        elif row.label is None:
            null_labels[row.facet] += row.n
        else:
            bucket = tables[row.facet].setdefault(row.value, Counter())
            bucket[row.group, row.label, row.prediction] += row.n
    facets = tuple(
        FacetCounts(facet, {key: Side(cells) for key, cells in table.items()})
        for facet, table in zip(question.facets, tables, strict=True)
    )
    every: Counter[Cell] = Counter()
    for cells in tables[0].values():
        every.update(cells)
    whole = Side(every)
    unpredicted = 0
    if question.prediction is not None:
        unpredicted = whole.n - whole.predicted_only().n
    classes = _classes(whole, question, null_labels[0], unpredicted)
    return Counts(facets, whole, classes, null_labels[0], unpredicted, sizes)


def confusion_strata(
    side_a: Side, side_d: Side, positive: frozenset[Any], at: int
) -> list[Stratum]:
    """Return rows by group, side and outcome: of the label (`at` 1) or the prediction (`at` 2)."""
    out: dict[str, list[int]] = {}
    for side, offset in ((side_a, 0), (side_d, 2)):
        for cell, n in side.cells.items():
            if cell[0] is not None:
                place = offset + (cell[at] in positive)
                out.setdefault(cell[0], [0, 0, 0, 0])[place] += n
    return [Stratum(*out[group]) for group in sorted(out)]


def _collect(df: DataFrame, question: Question, joint: bool) -> list[Any]:
    """Run the one query: group rows into a cube, then regroup its cells per facet."""
    schema = df.schema
    nothing = F.lit(None).cast("string")

    def outcome(name: str | None) -> Column:
        if name is None:
            return nothing
        if question.positive_threshold is not None:
            return known(schema, name) > F.lit(question.positive_threshold)
        return known(schema, name)

    group = nothing if question.group is None else known(schema, question.group).cast("string")
    places = range(len(question.facets))
    cube = (
        df.select(
            *(facet.bucket(schema).alias(f"f{i}") for i, facet in enumerate(question.facets)),
            group.alias("g"),
            outcome(question.label).alias("y"),
            outcome(question.prediction).alias("p"),
        )
        .groupBy(*(f"f{i}" for i in places), "g", "y", "p")
        .agg(F.count(F.lit(1)).alias("n"))
    )
    kinds = {name: cube.schema[name].dataType for name in ("g", "y", "p")}
    views = [
        F.struct(
            F.lit(i).alias("facet"),
            F.col(f"f{i}").cast("string").alias("value"),
            F.col("g").alias("group"),
            F.col("y").alias("label"),
            F.col("p").alias("prediction"),
        )
        for i in places
    ]
    if joint:
        key = F.when(
            ~F.greatest(*(F.col(f"f{i}").isNull() for i in places), F.col("y").isNull()),
            F.to_json(F.array(*(F.col(f"f{i}").cast("string") for i in places))),
        )
        views.append(
            F.struct(
                F.lit(_JOINT).alias("facet"),
                key.alias("value"),
                F.lit(None).cast(kinds["g"]).alias("group"),
                F.lit(None).cast(kinds["y"]).alias("label"),
                F.lit(None).cast(kinds["p"]).alias("prediction"),
            )
        )
    names = ["facet", "value", "group", "label", "prediction"]
    cells = (
        cube.select(F.explode(F.array(*views)).alias("view"), "n")
        .groupBy(*(F.col(f"view.{name}").alias(name) for name in names))
        .agg(F.sum("n").alias("n"))
    )
    if joint:
        # There may be many combinations of all facets: only their sums reach the driver.
        combined = F.col("facet") == _JOINT
        cells = (
            cells.where(~combined | F.col("value").isNotNull())
            .withColumn("value", F.when(~combined, F.col("value")))
            .groupBy(*names)
            .agg(
                F.sum("n").alias("n"),
                F.count(F.lit(1)).alias("cells"),
                F.sum(F.log("n")).alias("logs"),
                F.sum(F.col("n") * F.log("n")).alias("row_logs"),
            )
        )
    rows = cells.limit(MAX_CELLS + 1).collect()
    _check_width(rows, question)
    return rows


def _check_width(rows: Sequence[Any], question: Question) -> None:
    """Raise DataError if a column has too many values for a useful comparison."""
    columns: dict[str, set[Any]] = {}
    for row in rows:
        if row.facet == _JOINT:
            continue
        columns.setdefault(question.facets[row.facet].column, set()).add(row.value)
        for name, value in (
            (question.group, row.group),
            (question.label, row.label),
            (question.prediction, row.prediction),
        ):
            if name is not None:
                columns.setdefault(name, set()).add(value)
    widest = max(columns, key=lambda name: len(columns[name]), default="")
    width = len(columns.get(widest, set()) - {None})
    if width > question.max_values or len(rows) > MAX_CELLS:
        advice = (
            "set positive_threshold for a continuous label"
            if widest in (question.label, question.prediction)
            else "give the facet values or a threshold, or raise the limit"
        )
        raise DataError(
            f"{question.uid}: column '{widest}' has {width} or more different values "
            f"({question.max_values} are allowed): {advice}"
        )


def _classes(
    whole: Side, question: Question, null_labels: int, unpredicted: int
) -> tuple[Any, ...]:
    """Return the classes in order; raise DataError if the labels cannot be used."""
    uid, label = question.uid, question.label
    if whole.n == 0:
        found = f"{null_labels} rows, all with a null label" if null_labels else "no rows"
        raise DataError(f"{uid}: column '{label}': {found}; there is nothing to measure")
    if unpredicted == whole.n:
        raise DataError(f"{uid}: column '{question.prediction}' is null in all {whole.n} rows")
    observed = set(whole.labels())
    guessed = {guess for _, _, guess in whole.cells if guess is not None}
    if question.positive_threshold is not None:
        if len(observed) < 2:
            where = "above" if True in observed else "at or below"
            raise DataError(
                f"{uid}: column '{label}' is {where} {question.positive_threshold} in every row; "
                "choose a threshold inside its range"
            )
        return (False, True)
    if question.classes is not None:
        for name, found_values in ((label, observed), (question.prediction, guessed)):
            strange = sorted(found_values - set(question.classes))
            if strange:
                raise DataError(
                    f"{uid}: column '{name}' holds {_listed(strange)}, outside the classes "
                    f"{_listed(question.classes)}"
                )
    if len(observed) < 2:
        raise DataError(
            f"{uid}: column '{label}' holds one class only ({_listed(observed)}); "
            "bias needs at least two"
        )
    classes = tuple(question.classes or sorted(observed | guessed))
    if question.positive is not None:
        missing = [value for value in question.positive if value not in classes]
        if missing:
            raise DataError(
                f"{uid}: positive {_listed(missing)} is not among the classes of '{label}': "
                f"{_listed(classes)}"
            )
        if set(classes) <= set(question.positive):
            raise DataError(
                f"{uid}: every class of '{label}' is named positive ({_listed(classes)}); "
                "leave at least one out"
            )
    return classes


def _by_number(text: str) -> tuple[float, str]:
    """Sort 9 before 10, and words after numbers."""
    try:
        return float(text), text
    except ValueError:
        return math.inf, text


def _listed(values: Iterable[Any]) -> str:
    """Write up to ten values for a message."""
    spelled = [spell(value) for value in values]
    return ", ".join(spelled[:10]) + (" ..." if len(spelled) > 10 else "")
