"""From a table to report rows: counts in one pass, then arithmetic."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

from spark_sentiment.bias import formulas as formulas
from spark_sentiment.bias.association import (
    AGGREGATE,
    ASSOCIATION,
    DISTRIBUTION,
    Cooccurrence,
    Sizes,
    aggregate_indices,
    association_gap,
    distribution_distances,
)
from spark_sentiment.bias.counts import (
    Counts,
    FacetCounts,
    Question,
    Split,
    confusion_strata,
    count,
)
from spark_sentiment.bias.facets import D, same_text, spell
from spark_sentiment.bias.fliptest import FlipTester, Sample, check_features, draw
from spark_sentiment.bias.formulas import Measure
from spark_sentiment.core import sequence, string
from spark_sentiment.errors import SchemaError

REPORT_SCHEMA = StructType(
    [
        StructField("phase", StringType(), False),
        StructField("facet", StringType()),
        StructField("facet_value", StringType()),
        StructField("label_class", StringType()),
        StructField("metric", StringType(), False),
        StructField("value", DoubleType()),
        StructField("low", DoubleType()),
        StructField("high", DoubleType()),
        StructField("n_a", LongType()),
        StructField("n_d", LongType()),
        StructField("note", StringType()),
    ]
)
"""Columns of a bias report."""

GROUPS: dict[str, tuple[str, ...]] = {
    "pre": formulas.PRE,
    "post": formulas.POST,
    "association": ASSOCIATION,
    "distribution": DISTRIBUTION,
    "aggregate": AGGREGATE,
}
"""Names of the metrics of each group."""

METRICS = (*(name for names in GROUPS.values() for name in names), "FT")
"""Every metric's name."""


class ReportRow(NamedTuple):
    """One row of a bias report, in the order of `REPORT_SCHEMA`."""

    phase: str
    facet: str | None
    facet_value: str | None
    label_class: str | None
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n_a: int | None
    n_d: int | None
    note: str | None


@dataclass(frozen=True)
class Fliptest:
    """Sample of FT: vector column, number of rows, seed."""

    features: str
    rows: int
    seed: int


class Positive(NamedTuple):
    """Classes that are positive together, and their name in the report."""

    name: str
    classes: frozenset[Any]


def metric_names(value: Any) -> list[str]:
    """Param converter: names of metrics, or of groups of them."""
    names = [string(name) for name in sequence(value, "metric names")]
    if not names:
        raise ValueError("expected a list of at least one metric name, got none")
    unknown = [name for name in names if name not in METRICS and name not in GROUPS]
    if unknown:
        raise ValueError(
            f"unknown metric {unknown[0]!r}; the groups are {', '.join(GROUPS)}, "
            f"the metrics {', '.join(METRICS)}"
        )
    return names


def wanted(metrics: Sequence[str] | None, question: Question, features: str | None) -> set[str]:
    """Return the metrics to compute; raise SchemaError if a column that they need is not named.

    By default, and for the name of a group, these are the metrics that the named columns allow. A
    metric that is named itself must be possible.
    """
    impossible: dict[str, str] = {}
    if question.group is None:
        impossible |= dict.fromkeys(("CDDL", "CDDPL"), "group")
    if question.prediction is None:
        impossible |= dict.fromkeys((*formulas.POST, "FT"), "prediction")
    if features is None:
        impossible.setdefault("FT", "features")
    out: set[str] = set()
    for name in metrics if metrics is not None else GROUPS:
        if name in GROUPS:
            out |= set(GROUPS[name]) - set(impossible)
        elif name in impossible:
            raise SchemaError(f"{question.uid}: {name} needs a {impossible[name]} column; name one")
        else:
            out.add(name)
    if not out:
        raise SchemaError(f"{question.uid}: post-training metrics need a prediction column")
    return out


def measure(
    df: DataFrame,
    question: Question,
    metrics: Sequence[str] | None = None,
    fliptest: Fliptest | None = None,
) -> list[ReportRow]:
    """Measure `df` and return the report's rows.

    Parameters
    ----------
    df : DataFrame
        The rows to measure.
    question : Question
        What to measure them by.
    metrics : sequence of str, optional
        Names of metrics or groups; see `wanted`.
    fliptest : Fliptest, optional
        Needed for FT.
    """
    names = wanted(metrics, question, fliptest.features if fliptest else None)
    question.check(df.schema)
    flip = fliptest if "FT" in names else None
    if flip is not None:
        check_features(df.schema, question.uid, flip.features)
    joint = len(question.facets) > 1 and not names.isdisjoint(AGGREGATE)
    counts = count(df, question, joint)
    sample = draw(df, question, flip.features, flip.rows, flip.seed) if flip else None
    return list(_rows(counts, question, names, sample))


def positives(question: Question, classes: Sequence[Any]) -> list[Positive]:
    """Return the positive classes: those named, those above the threshold, or each in turn."""
    if question.positive_threshold is not None:
        return [Positive(f"> {question.positive_threshold}", frozenset([True]))]
    if question.positive is not None:
        return [
            Positive(", ".join(spell(v) for v in question.positive), frozenset(question.positive))
        ]
    return [Positive(spell(value), frozenset([value])) for value in classes]


Found = tuple[str | None, str, Measure]
"""Label class, name of the metric, and its value."""


def _rows(
    counts: Counts, question: Question, names: set[str], sample: Sample | None
) -> Iterator[ReportRow]:
    ways = positives(question, counts.classes)
    lost = _counted(counts.null_labels, question.label)
    unpredicted = _counted(counts.null_predictions, question.prediction)

    def rows(
        phase: str, split: Split, found: Iterable[Found], *notes: str | None
    ) -> Iterator[ReportRow]:
        sizes = (split.a.n, split.d.n)
        for label_class, name, what in found:
            if name in names:
                note = _joined(what.note, split.note, lost, *notes)
                place = (split.facet, split.value, label_class, name)
                yield ReportRow(phase, *place, *what[:3], *sizes, note)

    for place, facet in enumerate(counts.facets):
        tester = FlipTester(sample, place) if sample is not None else None
        for split in facet.splits():
            if split.undefined is not None:
                for phase, nulls in _undefined(split.undefined, ways, question.prediction):
                    yield from rows(phase, split, nulls)
                continue
            yield from rows("pre", split, _pre(split, counts.classes, ways))
            yield from rows("pre", split, _association(split, facet, ways))
            if question.prediction is not None:
                later = split.predicted_only()
                continuous = question.positive_threshold is not None
                yield from rows("post", later, _post(later, ways, continuous), unpredicted)
                if tester is not None:
                    flips = tester.measure(split, [way.classes for way in ways])
                    named = [(way.name, "FT", it) for way, it in zip(ways, flips, strict=True)]
                    yield from rows("post", later, named, unpredicted)
        yield from (row for row in _whole_facet(facet, lost) if row.metric in names)
    if "GE" in names:
        predicted = counts.whole.predicted_only()
        for way in ways:
            found = formulas.generalized_entropy(predicted.confusion(way.classes))
            yield _unsplit("post", None, None, way.name, "GE", found, lost, unpredicted)
    if counts.joint is not None:
        columns = ", ".join(dict.fromkeys(facet.column for facet in question.facets))
        note = f"combinations of {columns} without null"
        for name, found in aggregate_indices(counts.joint).items():
            if name in names:
                yield _unsplit("pre", None, None, None, name, found, note, lost)


def _undefined(
    note: str, ways: Sequence[Positive], prediction: str | None
) -> Iterator[tuple[str, list[Found]]]:
    """Return all metrics of a split as undefined, by phase."""
    nothing = Measure(None, note=note)

    def of_ways(*names: str) -> list[Found]:
        return [(way.name, name, nothing) for way in ways for name in names]

    whole: list[Found] = [(None, name, nothing) for name in ("CI", *formulas.PRE_SHARES)]
    yield "pre", [*whole, *of_ways("DPL", "CDDL", *ASSOCIATION)]
    if prediction is not None:
        yield "post", of_ways(*formulas.POST_CONFUSION, "CDDPL", "FT")


def _pre(split: Split, classes: Sequence[Any], ways: Sequence[Positive]) -> Iterator[Found]:
    n_a, n_d = split.a.n, split.d.n
    labels_a, labels_d = split.a.labels(), split.d.labels()
    yield None, "CI", formulas.class_imbalance(n_a, n_d)
    shares_a = [labels_a[value] / n_a for value in classes]
    shares_d = [labels_d[value] / n_d for value in classes]
    for name, formula in formulas.PRE_SHARES.items():
        yield None, name, formula(shares_a, shares_d)
    for way in ways:
        positive_a = sum(labels_a[value] for value in way.classes)
        positive_d = sum(labels_d[value] for value in way.classes)
        yield way.name, "DPL", formulas.label_gap(positive_a, n_a, positive_d, n_d)
        yield way.name, "CDDL", _disparity(split, way, at=1)


def _post(split: Split, ways: Sequence[Positive], continuous: bool) -> Iterator[Found]:
    undefined = Measure(None, note="not defined for a continuous label")
    for way in ways:
        a, d = split.a.confusion(way.classes), split.d.confusion(way.classes)
        for name, formula in formulas.POST_CONFUSION.items():
            left_out = continuous and name in formulas.NOT_CONTINUOUS
            yield way.name, name, undefined if left_out else formula(a, d)
        yield way.name, "CDDPL", _disparity(split, way, at=2)


def _association(split: Split, facet: FacetCounts, ways: Sequence[Positive]) -> Iterator[Found]:
    labels_a, labels_d = split.a.labels(), split.d.labels()
    everyone = facet.labels()
    n = everyone.total()
    for way in ways:
        positive, both_a, both_d = (
            sum(labels[value] for value in way.classes) for labels in (everyone, labels_a, labels_d)
        )
        a = Cooccurrence(split.a.n, positive, both_a, n)
        d = Cooccurrence(split.d.n, positive, both_d, n)
        for name in ASSOCIATION:
            yield way.name, name, association_gap(name, a, d)


def _whole_facet(counts: FacetCounts, lost: str | None) -> Iterator[ReportRow]:
    """Return the rows on the distribution of the facet, which do not depend on the label."""
    facet = counts.facet
    # The value distinguishes a facet with two sides from the same column value by value.
    value = None if facet.each else facet.spelled(D)
    sizes = counts.sizes()
    if sizes:
        observed, reference = _against_reference(sizes, facet.reference)
        found = distribution_distances(observed, reference)
        found |= aggregate_indices(Sizes.of([n for n in sizes.values() if n]))
    else:
        nothing = Measure(None, note=f"no labelled row with a known {facet.column}")
        found = dict.fromkeys((*DISTRIBUTION, *AGGREGATE), nothing)
    against = "the reference given" if facet.reference is not None else "uniform"
    for name, what in found.items():
        note = f"against {against}" if name in DISTRIBUTION else None
        yield _unsplit("pre", facet.column, value, None, name, what, note, counts.null_note, lost)


def _against_reference(
    sizes: Mapping[str, int], reference: Mapping[Any, float] | None
) -> tuple[list[int], list[float]]:
    """Align observed rows and reference shares; a value that one of them lacks is 0 there."""
    if reference is None:
        return list(sizes.values()), [1 / len(sizes)] * len(sizes)
    left = dict(reference)
    observed, shares = [], []
    for value, n in sizes.items():
        key = next((key for key in left if same_text(key, value)), None)
        observed.append(n)
        shares.append(0.0 if key is None else left.pop(key))
    return observed + [0] * len(left), shares + list(left.values())


def _disparity(split: Split, way: Positive, at: int) -> Measure:
    """Return CDDL (`at` 1) or CDDPL (`at` 2); the note counts rows with a null group."""
    found = formulas.conditional_disparity(confusion_strata(split.a, split.d, way.classes, at))
    ungrouped = split.a.ungrouped + split.d.ungrouped
    return found._replace(note=_joined(found.note, _counted(ungrouped, "the group")))


def _unsplit(
    phase: str,
    facet: str | None,
    value: str | None,
    label_class: str | None,
    name: str,
    found: Measure,
    *notes: str | None,
) -> ReportRow:
    note = _joined(found.note, *notes)
    return ReportRow(phase, facet, value, label_class, name, *found[:3], None, None, note)


def _counted(n: int, column: str | None) -> str | None:
    return f"{n} rows with null {column} left out" if n else None


def _joined(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None
