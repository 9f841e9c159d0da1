"""The bias job: measure the bias of any table, without training."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.bias import (
    REPORT_SCHEMA,
    BrokenGate,
    Gate,
    ReportRow,
    bias_metrics,
    broken_gates,
    require_gates,
)
from spark_sentiment.core import quoted
from spark_sentiment.errors import ConfigError, DataError
from spark_sentiment.jobs import pipeline, summary, workspace
from spark_sentiment.jobs.config import Bias, Config, Table
from spark_sentiment.jobs.runner import Steps, show
from spark_sentiment.reviews import SENTIMENTS, reading_errors
from spark_sentiment.tables import Run, Tables

_NUMBER = r"^\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?\s*$"


@dataclass(frozen=True)
class Measured:
    """Result of a bias run; its ``str`` is the summary that the job prints.

    Attributes
    ----------
    run_id, source : str
        Id of the run in the tables, and the table that was measured.
    bias : list of ReportRow
        Every metric.
    broken : list of BrokenGate
        Broken gates.
    location : str
        Folder or database of the tables.
    names : sequence of str
        Names of the classes 0, 1, 2 if the table holds reviews; otherwise empty.
    """

    run_id: str
    source: str
    bias: list[ReportRow]
    broken: list[BrokenGate]
    location: str
    names: Sequence[str] = ()

    def __str__(self) -> str:
        parts = [
            f"Run {self.run_id}",
            f"{len(self.bias):,} metrics of {self.source}",
            summary.bias(self.bias, self.names),
            summary.tables(self.location),
        ]
        return "\n\n".join(parts)


def main(conf: Config, spark: SparkSession, steps: Steps) -> None:
    """Measure the bias of a table, or of the newest run's predictions, without training."""
    measured = measure(conf, spark, steps)
    show(str(measured))
    require_gates(measured.broken)


def measure(conf: Config, spark: SparkSession, steps: Steps | None = None) -> Measured:
    """Measure bias with the settings of `conf`, append it to ``bias_metrics``, and return it.

    Parameters
    ----------
    conf : Config
        ``table`` names the table, ``bias`` the facets and metrics. Without ``table.path``, the job
        measures the newest predictions with labels, joined to their reviews for the facets.
    spark : SparkSession
        Session with Delta.
    steps : Steps, optional
        Prints progress; silent by default.

    Returns
    -------
    Measured

    Raises
    ------
    SentimentError
        If configuration, table or output cannot be used.
    """
    steps = steps or Steps(quiet=True)
    if not conf.bias.facets:
        raise ConfigError("bias.facets: empty; name at least one column to measure by")
    gates = pipeline.gates(conf.bias)
    tables = workspace.tables(spark, conf)
    with tables.reading():
        return _measure(conf, tables, gates, steps)


def _measure(conf: Config, tables: Tables, gates: Sequence[Gate], steps: Steps) -> Measured:
    spark = tables.spark
    tables.check_writable()
    name = workspace.run_id(conf, "bias")
    with Run(tables, name, workspace.settings(conf)) as run:
        table = conf.table
        if table.path is None:
            df, source = _newest(run)
            table = table.model_copy(update={"label": "label", "prediction": "prediction"})
        else:
            source = table.path
            df = workspace.frame(spark, source, table.format, table.version, table.delimiter)
        with steps("measuring bias"), reading_errors(source), tables.reading():
            if table.path is not None and table.format in ("csv", "tsv"):
                df = _with_numbers(df, conf.bias, table, source)
            rows = _rows(conf.bias, df, table.label, table.prediction)
        with steps("writing results"):
            report = spark.createDataFrame(rows, REPORT_SCHEMA).coalesce(1)
            run.append("bias_metrics", report)
    names = SENTIMENTS if conf.table.path is None else ()
    broken = broken_gates(rows, gates)
    return Measured(name, source, rows, broken, workspace.location(conf), names)


def _with_numbers(df: DataFrame, bias: Bias, table: Table, source: str) -> DataFrame:
    """Convert the columns of a CSV table to numbers that label, prediction or facets need so.

    Label and prediction become numbers if all their values are; both or neither, because they are
    compared. A facet with a threshold must be of numbers; one with numbers as values may be.
    """
    outcomes = [name for name in (table.label, table.prediction) if name is not None]
    above = [spec.column for spec in bias.facets if spec.threshold is not None]
    among = [
        spec.column
        for spec in bias.facets
        if any(
            not isinstance(value, str) for value in [*(spec.values or ()), *(spec.against or ())]
        )
    ]
    names = [n for n in dict.fromkeys([*outcomes, *above, *among]) if n in df.columns]
    if not names:
        return df
    odd = df.agg(
        *(F.count_if(~quoted(name).rlike(_NUMBER)).alias(str(i)) for i, name in enumerate(names))
    ).head()
    counts = dict(zip(names, odd or (), strict=True))
    for name in above:
        if counts.get(name):
            raise DataError(
                f"{source}: column '{name}' has {counts[name]:,} values that are not numbers, and "
                "its facet has a threshold; name values instead, or correct the column"
            )
    if any(counts.get(name) for name in outcomes):
        counts |= dict.fromkeys(outcomes, 1)
    numbers = {n: quoted(n).cast("double") for n in names if not counts[n]}
    return df.select(*(numbers.get(n, quoted(n)).alias(n) for n in df.columns))


def _rows(bias: Bias, df: DataFrame, label: str, prediction: str | None) -> list[ReportRow]:
    names = pipeline.metrics(bias, "pre")
    if prediction is not None:
        names += pipeline.metrics(bias, "post")
    report = bias_metrics(
        df,
        label,
        pipeline.facets(bias),
        prediction,
        positive=bias.positive,
        group=bias.group,
        metrics=names,
        max_facet_values=bias.max_facet_values,
    )
    return [ReportRow(*row) for row in report.collect()]


def _newest(run: Run) -> tuple[DataFrame, str]:
    """Return the newest labelled predictions, with the columns of their reviews."""
    tables = run.tables
    missing = [name for name in ("predictions", "reviews") if not tables.exists(name)]
    if missing:
        raise DataError(
            f"{tables.location(missing[0])}: no such table yet; run jobs/train.py first, or name "
            "a table with --set table.path=FOLDER"
        )
    labelled = run.read("predictions").where(F.col("label").isNotNull())
    newest = labelled.agg(F.max_by("run_id", "written_at")).head()
    if newest is None or newest[0] is None:
        raise DataError(
            f"{tables.location('predictions')}: no prediction has a label; name a table with "
            "--set table.path=FOLDER"
        )
    of_run = labelled.where(F.col("run_id") == newest[0])
    scored = of_run.select("review_id", "label", "prediction")
    joined = run.read("reviews").join(scored, "review_id")
    return joined, f"predictions of run {newest[0]}"
