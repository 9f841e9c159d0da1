"""Bias of a table or of a model's predictions, before and after training.

`bias_metrics` is the function, `BiasReport` the stage of a Pipeline, `BiasEvaluator` the value that
CrossValidator selects by, and `Gate` a bound on a metric. `formulas` (Amazon SageMaker Clarify's
metrics) and `association` (SynapseML's) define the metrics.
"""

from collections.abc import Sequence
from typing import Any

from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params
from pyspark.ml.util import (
    DefaultParamsReadable,
    DefaultParamsReader,
    DefaultParamsWritable,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from spark_sentiment.bias.counts import Question
from spark_sentiment.bias.facets import as_facet, facet_dicts
from spark_sentiment.bias.fliptest import check_features
from spark_sentiment.bias.gates import BrokenGate, Gate, broken_gates
from spark_sentiment.bias.measures import (
    REPORT_SCHEMA,
    Fliptest,
    ReportRow,
    measure,
    metric_names,
    wanted,
)
from spark_sentiment.bias.params import FLIPTEST_ROWS, MAX_FACET_VALUES, SEED, HasQuestion, classes
from spark_sentiment.core import (
    Stage,
    integer,
    number,
    optional,
    params_setter,
    refuse_stream,
    takes_params,
)


def bias_metrics(
    df: DataFrame,
    label: str,
    facets: Sequence[Any],
    prediction: str | None = None,
    *,
    positive: Sequence[Any] | None = None,
    positive_threshold: float | None = None,
    group: str | None = None,
    label_classes: Sequence[Any] | None = None,
    metrics: Sequence[str] | None = None,
    max_facet_values: int = MAX_FACET_VALUES,
    features: str | None = None,
    fliptest_rows: int = FLIPTEST_ROWS,
    seed: int = SEED,
) -> DataFrame:
    """Measure bias and return one row per metric, facet, facet value and class.

    Parameters
    ----------
    df : DataFrame
        The rows to measure.
    label : str
        Column of observed labels: numbers, strings or booleans.
    facets : sequence of Facet, dict or str
        Facets that define the groups; a string is a column whose values are d in turn.
    prediction : str, optional
        Column of predicted labels, of the label's type; without it, only pre-training metrics.
    positive : sequence, optional
        Classes that together are positive; by default each class in turn.
    positive_threshold : float, optional
        For a continuous label: labels and predictions above it are positive.
    group : str, optional
        Column that CDDL and CDDPL are conditional on.
    label_classes : sequence, optional
        All possible classes; a label or prediction outside them is an error. By default, the
        classes that occur.
    metrics : sequence of str, optional
        Names of metrics, or of their groups ``pre``, ``post``, ``association``, ``distribution``
        and ``aggregate``; by default all groups. ``FT`` is measured only when named.
    max_facet_values : int, default 100
        Maximum number of values of a facet, the group or the label.
    features : str, optional
        Vector column in which FT searches for neighbours.
    fliptest_rows : int, default 5000
        Maximum number of rows that FT samples, 10 to 20000; its cost grows with their square.
    seed : int, default 17
        Seed of FT's sample.

    Returns
    -------
    DataFrame
        Of `REPORT_SCHEMA`: ``phase`` (pre, post; the exploratory measures are pre), ``facet``,
        ``facet_value`` (side d as text; ``d vs a`` if a is named), ``label_class`` (the positive
        class or classes as text; null for metrics of the whole distribution), ``metric``,
        ``value``, ``low`` and ``high`` (95 % interval, if it is defined), ``n_a``, ``n_d``
        (labelled rows; in phase post those with a prediction), ``note``. GE, which compares rows
        and not sides, and the indices over all facets' combinations have a null facet; measures of
        a facet's own distribution have null sizes.

    Raises
    ------
    SchemaError
        If a column is missing or of a wrong type, or a metric needs a column that is not named.
    DataError
        If the table is empty, has one class only or a class outside `label_classes`, or a facet has
        more than `max_facet_values` values.
    TypeError
        Where an argument is of a wrong type.
    ValueError
        Where an argument has a wrong value.

    Notes
    -----
    A row with a null (or NaN) facet is on neither side. A row with a null label is ignored; with a
    null prediction it is ignored by post-training metrics, with a null group by CDDL and CDDPL. The
    notes count such rows. An undefined value is null, and its note says why: every metric that
    compares two sides is undefined if a side has no labelled row.

    Cost: one aggregation for any number of facets and metrics, and one sort for the sample of FT.
    The driver receives only counts, at most `MAX_CELLS` of them.

    References
    ----------
    .. [1] Amazon SageMaker Developer Guide, "Measure Pretraining Bias" and "Measure Posttraining
       Data and Model Bias".

    Examples
    --------
    >>> rows = [(1.0, 30)] * 6 + [(0.0, 30)] * 2 + [(1.0, 60)] * 1 + [(0.0, 60)] * 3
    >>> df = spark.createDataFrame(rows, ["label", "Age"])
    >>> from spark_sentiment.bias import Facet
    >>> report = bias_metrics(df, "label", [Facet("Age", threshold=50)], positive=[1.0])
    >>> report.where("metric in ('CI', 'DPL')").select("facet_value", "metric", "value").show()
    +-----------+------+------------------+
    |facet_value|metric|             value|
    +-----------+------+------------------+
    |       > 50|    CI|0.3333333333333333|
    |       > 50|   DPL|               0.5|
    +-----------+------+------------------+
    <BLANKLINE>
    """
    refuse_stream(df, "bias_metrics")
    if positive is not None and positive_threshold is not None:
        raise ValueError("bias_metrics: give positive or positive_threshold, not both")
    question = Question(
        label=label,
        facets=tuple(as_facet(item) for item in facet_dicts(facets)),
        prediction=prediction,
        group=group,
        positive=None if positive is None else tuple(classes(positive)),
        positive_threshold=None if positive_threshold is None else number()(positive_threshold),
        classes=None if label_classes is None else tuple(classes(label_classes)),
        max_values=integer(2)(max_facet_values),
    )
    names = None if metrics is None else metric_names(metrics)
    fliptest = None
    if features is not None:
        fliptest = Fliptest(features, integer(10, 20_000)(fliptest_rows), integer(0)(seed))
    return _frame(df.sparkSession, measure(df, question, names, fliptest))


class _ReportParams(HasQuestion):
    """Params of BiasReport and of its model."""

    facets: Param[Sequence[dict[str, Any]]] = Param(
        Params._dummy(), "facets", "what to compare by: Facets or their dictionaries", facet_dicts
    )
    metrics: Param[list[str]] = Param(
        Params._dummy(), "metrics", "metrics or groups of them; unset: all groups", metric_names
    )


class BiasReport(
    Stage,
    Estimator["BiasReportModel"],
    _ReportParams,
    DefaultParamsReadable["BiasReport"],
    DefaultParamsWritable,
):
    """Measure bias at a place in a Pipeline, and pass every row through.

    Before the classifier it measures the data, without `predictionCol`; after it, the model.

    Parameters
    ----------
    facets : list of Facet, dict or str
        Facets that define the groups; stored as dictionaries, so the stage is saved as JSON.
    labelCol : str, default 'label'
        Observed labels.
    predictionCol : str, optional
        Column of predicted labels; if unset, only pre-training metrics are measured.
    groupCol : str, optional
        Column that CDDL and CDDPL are conditional on.
    positive : list, optional
        Classes that together are positive; by default each class in turn.
    positiveThreshold : float, optional
        For a continuous label: values above it are positive.
    labelClasses : list, optional
        All possible classes; by default those that occur.
    metrics : list of str, optional
        Names of metrics or groups, as in `bias_metrics`; by default all groups, FT by name only.
    maxFacetValues : int, default 100
        Maximum number of values of a facet, the group or the label.
    featuresCol : str, optional
        Vector column in which FT searches for neighbours.
    fliptestRows : int, default 5000
        Maximum number of rows that FT samples.
    seed : int, default 17
        Seed of FT's sample.

    Notes
    -----
    Nulls, errors and cost are those of `bias_metrics`; only ``fit`` measures.

    Examples
    --------
    >>> rows = [(1.0, "a"), (0.0, "a"), (1.0, "b"), (1.0, "b")]
    >>> df = spark.createDataFrame(rows, ["label", "c"])
    >>> from spark_sentiment.bias import Facet
    >>> stage = BiasReport(facets=[Facet("c", values=["a"])], positive=[1.0], metrics=["DPL"])
    >>> model = stage.fit(df)
    >>> [(row.facet_value, row.value) for row in model.report.collect()]
    [('a', 0.5)]
    >>> model.transform(df).count()
    4
    """

    @takes_params
    def __init__(
        self,
        *,
        facets: Sequence[Any] | None = None,
        labelCol: str = "label",
        predictionCol: str | None = None,
        groupCol: str | None = None,
        positive: Sequence[Any] | None = None,
        positiveThreshold: float | None = None,
        labelClasses: Sequence[Any] | None = None,
        metrics: Sequence[str] | None = None,
        maxFacetValues: int = MAX_FACET_VALUES,
        featuresCol: str | None = None,
        fliptestRows: int = FLIPTEST_ROWS,
        seed: int = SEED,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return `schema` unchanged; raise SchemaError if it cannot be measured."""
        question, fliptest = self._asked(), self._fliptest()
        names = wanted(
            optional(self, self.metrics), question, fliptest.features if fliptest else None
        )
        question.check(schema)
        if "FT" in names and fliptest is not None:
            check_features(schema, self.uid, fliptest.features)
        return schema

    def _asked(self) -> Question:
        if not self.isDefined(self.facets):
            raise ValueError(f"{self.uid}: facets is not set; name at least one")
        return self._question(self.getOrDefault(self.facets))

    def _fit(self, dataset: DataFrame) -> "BiasReportModel":
        self.transformSchema(dataset.schema)
        rows = measure(dataset, self._asked(), optional(self, self.metrics), self._fliptest())
        model: BiasReportModel = self._copyValues(BiasReportModel(rows))
        return model


class BiasReportModel(Stage, Model, _ReportParams, MLReadable["BiasReportModel"], MLWritable):
    """What BiasReport measured; passes rows through.

    Attributes
    ----------
    rows : tuple of ReportRow
        The report on the driver.
    report : DataFrame
        The same, of `REPORT_SCHEMA`.

    Notes
    -----
    Saved as its Params in JSON and the report in Parquet beside them.
    """

    def __init__(self, rows: Sequence[ReportRow] = ()) -> None:
        super().__init__()
        self.rows = tuple(rows)

    @property
    def report(self) -> DataFrame:
        """The report as a DataFrame of `REPORT_SCHEMA`, in the active session."""
        return _frame(SparkSession.builder.getOrCreate(), self.rows)

    def broken(self, gates: Sequence[Gate]) -> list[BrokenGate]:
        """Return what in the report lies outside the gates; see `broken_gates`."""
        return broken_gates(self.rows, gates)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return `schema` unchanged: rows to score need neither label nor facets."""
        return schema

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return dataset

    def write(self) -> MLWriter:
        """Return the writer of Params and report."""
        return _ModelWriter(self)

    @classmethod
    def read(cls) -> MLReader["BiasReportModel"]:
        """Return the reader of what `write` saved."""
        return _ModelReader()


class _ModelWriter(MLWriter):
    """Params as JSON, report as Parquet."""

    def __init__(self, instance: BiasReportModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc)
        report = _frame(self.sparkSession, self.instance.rows)
        report.coalesce(1).write.parquet(f"{path}/report")


class _ModelReader(MLReader[BiasReportModel]):
    """Reads what `_ModelWriter` wrote."""

    def load(self, path: str) -> BiasReportModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        rows = self.sparkSession.read.schema(REPORT_SCHEMA).parquet(f"{path}/report").collect()
        model = BiasReportModel([ReportRow(*row) for row in rows])
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model


def _frame(spark: SparkSession, rows: Sequence[ReportRow]) -> DataFrame:
    return spark.createDataFrame(list(rows), REPORT_SCHEMA)
