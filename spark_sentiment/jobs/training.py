"""The steps of a training run, in order; each step is a function that can be called alone.

A step reads its arguments and returns its result. A step that takes a `run` also writes to the
tables of the run, and the first line of its docstring names these tables. `steps` prints progress.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.bias import (
    REPORT_SCHEMA,
    BiasReportModel,
    Gate,
    ReportRow,
    bias_metrics,
)
from spark_sentiment.classification import Confusion, class_rows, confusion
from spark_sentiment.core import detach
from spark_sentiment.embedding import BertEmbeddings
from spark_sentiment.errors import DataError, SchemaError
from spark_sentiment.jobs import pipeline, workspace
from spark_sentiment.jobs.config import Bias, Config, Split
from spark_sentiment.jobs.pipeline import LABEL, TEXT
from spark_sentiment.jobs.runner import Steps
from spark_sentiment.reviews import REVIEWS, SENTIMENTS, ReadCounts, ReadResult, split_by_text
from spark_sentiment.tables import Run, Tables, digest, text_hash

_FIGURES = "split string, metric string, label_class string, value double"


@dataclass(frozen=True)
class Checked:
    """Result of the check of the configuration.

    Attributes
    ----------
    tables : Tables
        The tables that the run writes.
    gates : list of Gate
        The configured bounds on bias.
    weights : str
        Fingerprint of the BERT model, because the files at its path can change; '' without a model.
    """

    tables: Tables
    gates: list[Gate]
    weights: str


@dataclass(frozen=True)
class Ingested:
    """The reviews that were read.

    Attributes
    ----------
    found : ReadResult
        Usable and rejected rows, persisted.
    counts : ReadCounts
        Counts of rows read and rejected.
    digest : str
        Digest of the content of all rows; it changes if a row changes, and does not depend on
        file names, order or partitions.
    """

    found: ReadResult
    counts: ReadCounts
    digest: str


@dataclass(frozen=True)
class Prepared:
    """Reviews with a clean text and a label.

    Attributes
    ----------
    rows : DataFrame
        The columns of `REVIEWS`, the clean text and the label, persisted.
    classes : tuple of int
        Number of rows of each class.
    stages : list
        The transformers that made the rows.
    """

    rows: DataFrame
    classes: tuple[int, ...]
    stages: list[Any]


@dataclass(frozen=True)
class Parts:
    """The training part and the held-out part; equal texts are in the same part."""

    train: DataFrame
    held_out: DataFrame


@dataclass(frozen=True)
class Evaluated:
    """Predictions of the held-out reviews.

    Attributes
    ----------
    rows : DataFrame
        The reviews with the predicted class and the probabilities, persisted.
    confusion : Confusion
        Confusion matrix of labels and predicted classes.
    bias : list of ReportRow
        The configured post-training bias metrics.
    """

    rows: DataFrame
    confusion: Confusion
    bias: list[ReportRow]


def check(conf: Config, spark: SparkSession, steps: Steps) -> Checked:
    """Check the schemas of the stages, the BERT model, and that the output is writable.

    No Spark job runs.

    Raises
    ------
    SentimentError
        If the configuration, the model or the output cannot be used.
    """
    with steps("checking configuration and output"):
        gates = pipeline.gates(conf.bias)
        absent = [facet.column for facet in conf.bias.facets]
        for facet in pipeline.measured(conf).facets:
            absent.remove(facet.column)
        if absent:
            steps.say(f"bias.facets: left out, not in reviews.columns: {', '.join(absent)}")
        pipeline.check(pipeline.training(conf), REVIEWS)
        key = "output.base" if conf.output.model is None else "output.model"
        workspace.check_model_folder(spark, key, workspace.model_folder(conf, "RUN"))
        tables = workspace.tables(spark, conf)
        tables.check_writable()
        bert = pipeline.embedding(conf)
        weights = "" if bert is None else bert.fingerprint(spark)
    return Checked(tables, gates, weights)


def ingest(conf: Config, spark: SparkSession, steps: Steps) -> Ingested:
    """Read the reviews that `conf` names, or generate reviews if it names none; count them.

    Raises
    ------
    DataError, SchemaError, TableError
        If there is no file, a column is missing, or too many rows are rejected.
    """
    with steps("reading reviews") as step:
        try:
            found = workspace.reviews(spark, conf).persist()
        except SchemaError as error:
            error.add_note(
                "jobs/train.py --inspect looks at the file and prints the settings for it"
            )
            raise
        for note in found.notes:
            steps.say(note)
        counts = found.check(conf.reviews.max_rejected_share)
        rows_digest = digest(found.content)
        step.rows = counts.read
    return Ingested(found, counts, rows_digest)


def prepare(conf: Config, reviews: DataFrame, steps: Steps) -> Prepared:
    """Clean the texts of `reviews` and label them.

    Raises
    ------
    DataError
        If all reviews are in one class.
    """
    stages = pipeline.preparation(conf)
    with steps("cleaning and labelling") as step:
        rows = detach(PipelineModel(stages).transform(reviews)).persist()
        classes = class_rows(rows, len(SENTIMENTS), LABEL)
        _check_classes(classes)
        step.rows = sum(classes)
    return Prepared(rows, classes, stages)


def split(rows: DataFrame, by: Split) -> Parts:
    """Split `rows` by their text; the same texts and seed give the same split."""
    train_part, held_out = split_by_text(rows, TEXT, by.seed, (1 - by.test, by.test))
    return Parts(train_part, held_out)


def keep_features(run: Run, rows: DataFrame, by: Split, steps: Steps) -> None:
    """Write class and part of each review to ``features``."""
    with steps("writing features"):
        hashed = rows.select("review_id", TEXT, LABEL, text_hash(F.col(TEXT)).alias("text_hash"))
        parts = split(hashed, by)
        named = parts.train.withColumn("split", F.lit("train"))
        features = named.unionByName(parts.held_out.withColumn("split", F.lit("test")))
        run.append("features", features, fingerprint=run.fingerprint)


def measure_bias(conf: Config, train_part: DataFrame, steps: Steps) -> BiasReportModel | None:
    """Measure the bias of the labels; return None if `conf` names no facet."""
    report = pipeline.report(conf)
    if report is None:
        return None
    with steps("measuring bias before training"):
        return report.fit(train_part)


def embed(
    run: Run,
    rows: DataFrame,
    stage: BertEmbeddings,
    steps: Steps,
    check: Callable[[], None] = lambda: None,
) -> DataFrame:
    """Add embeddings; read known ones from table ``embeddings`` and write new ones to it.

    Calls `check` before each chunk of texts; an error that `check` raises stops the step.
    """
    return detach(workspace.kept_embeddings(run, steps, check)(stage, rows)).persist()


def fit(conf: Config, train_part: DataFrame, steps: Steps) -> PipelineModel:
    """Fit the balancing and the classifier that `conf` names.

    A text column without a word that is in enough reviews teaches nothing; a line names it.

    Raises
    ------
    DataError
        If the training part cannot be used, for example if it is empty, or if there is nothing to
        learn from.
    """
    with steps("training"):
        learner = pipeline.fit(pipeline.learning(conf), train_part)
        for column, needed in pipeline.rare_words(learner).items():
            steps.say(
                f"Words of column {column}: none is in at least {needed:g} reviews; left out."
            )
    return learner


def evaluate(conf: Config, learner: PipelineModel, held_out: DataFrame, steps: Steps) -> Evaluated:
    """Predict the held-out reviews; return predictions, confusion matrix and bias metrics."""
    with steps("evaluating") as step:
        rows = learner.transform(held_out).persist()
        matrix = confusion(rows, SENTIMENTS, LABEL)
        step.rows = matrix.rows
        bias = _bias_after(pipeline.measured(conf), rows, steps)
    return Evaluated(rows, matrix, bias)


def keep_results(
    run: Run, evaluated: Evaluated, bias: Sequence[ReportRow], model_path: str, steps: Steps
) -> None:
    """Write ``predictions`` and ``evaluations``, and ``bias_metrics`` if bias was measured."""
    with steps("writing results"):
        spark = run.tables.spark
        rows: list[Any] = [("test", *figure) for figure in evaluated.confusion.metrics()]
        results = {
            "predictions": workspace.predictions(evaluated.rows, model_path),
            "evaluations": spark.createDataFrame(rows, _FIGURES).coalesce(1),
        }
        if bias:
            results["bias_metrics"] = spark.createDataFrame(list(bias), REPORT_SCHEMA).coalesce(1)
        run.append_all(results, fingerprint=run.fingerprint)


def _check_classes(found: tuple[int, ...]) -> None:
    """Raise DataError if all rows are in one class."""
    if sum(n > 0 for n in found) < 2:
        there = ", ".join(f"{name} {n:,}" for name, n in zip(SENTIMENTS, found, strict=True))
        raise DataError(
            f"reviews: column '{LABEL}' has one class only ({there}); a classifier needs two: "
            "check the ratings, or labels.negative_max and labels.positive_min"
        )


def _bias_after(bias: Bias, predicted: DataFrame, steps: Steps) -> list[ReportRow]:
    """Measure the bias of the predictions; if they cannot be measured, say so and return nothing.

    An error would discard the model. A gate on a metric that is not measured is broken.
    """
    names = pipeline.metrics(bias, "post")
    if not names or not bias.facets:
        return []
    try:
        rows = bias_metrics(
            predicted,
            LABEL,
            pipeline.facets(bias),
            "prediction",
            positive=bias.positive,
            group=bias.group,
            metrics=names,
            max_facet_values=bias.max_facet_values,
            features=pipeline.EMBEDDING if "FT" in names else None,
        )
    except DataError as error:
        steps.say(f"bias after training is not measured: {error}")
        return []
    return [ReportRow(*row) for row in rows.collect()]
