"""The main job: clean, label, measure bias, balance, embed, train, evaluate, into Delta."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.bias import (
    REPORT_SCHEMA,
    BrokenGate,
    ReportRow,
    bias_metrics,
    broken_gates,
    require_gates,
)
from spark_sentiment.classification import Confusion, class_rows, confusion
from spark_sentiment.core import detach
from spark_sentiment.errors import DataError
from spark_sentiment.jobs import pipeline, summary, workspace
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.pipeline import LABEL, TEXT
from spark_sentiment.jobs.runner import Steps, show
from spark_sentiment.reviews import REVIEWS, SENTIMENTS, ReadCounts, split_by_text
from spark_sentiment.tables import Run, code_digest, digest, fingerprint, finished_with, text_hash

_FIGURES = "split string, metric string, label_class string, value double"


@dataclass(frozen=True)
class Learned:
    """How a fitted model did.

    Attributes
    ----------
    classes : tuple of int
        Reviews of each class, held-out ones included.
    confusion : Confusion
        Of the held-out reviews.
    bias : list of ReportRow
        Every bias metric: of the training part before, of the held-out part after training.
    """

    classes: tuple[int, ...]
    confusion: Confusion
    bias: list[ReportRow]


@dataclass(frozen=True)
class Trained:
    """What a training run did; its ``str`` is the summary that the job prints.

    Attributes
    ----------
    run_id, model_path : str
        The run, as in the tables, and where its model is saved, for ``PipelineModel.load``.
    intake : ReadCounts
        Rows read and rejected.
    learned : Learned
        The model's figures.
    broken : list of BrokenGate
        Bounds on bias that were broken.
    location : str
        Folder or database of the tables.
    """

    run_id: str
    model_path: str
    intake: ReadCounts
    learned: Learned
    broken: list[BrokenGate]
    location: str

    def __str__(self) -> str:
        parts = [
            f"Run {self.run_id}",
            summary.intake(self.intake.read, self.intake.reasons),
            summary.balance(SENTIMENTS, self.learned.classes),
            summary.evaluation(self.learned.confusion),
            summary.bias(self.learned.bias, SENTIMENTS),
            f"Model: {self.model_path}\n{summary.tables(self.location)}",
        ]
        return "\n\n".join(parts)


def main(conf: Config, spark: SparkSession, steps: Steps) -> None:
    """Clean, label, measure bias, balance, embed, train and evaluate; write tables and a model."""
    trained = train(conf, spark, steps)
    show(str(trained))
    require_gates(trained.broken)


def train(conf: Config, spark: SparkSession, steps: Steps | None = None) -> Trained:
    """Run the main job, and return what it found.

    What has finished before, with the same configuration, input and code, is not run again: what it
    found is read from its tables. A run id of its own, ``run.id``, runs it again.

    Parameters
    ----------
    conf : Config
        What to do; see conf/base.yaml.
    spark : SparkSession
        With Delta.
    steps : Steps, optional
        Says what is being done; silent by default.

    Returns
    -------
    Trained

    Raises
    ------
    SentimentError
        Where configuration, input or output will not do; the tables then hold what was written
        before, and the run's row in ``runs`` says that it failed.
    """
    steps = steps or Steps(quiet=True)
    with steps("checking configuration and output"):
        gates = pipeline.gates(conf.bias)
        pipeline.check(pipeline.training(conf), REVIEWS)
        tables = workspace.tables(spark, conf)
        tables.check_writable()
        found = workspace.reviews(spark, conf).persist()
    with steps("reading reviews") as step:
        intake = found.check(conf.reviews.max_rejected_share)
        inputs = " ".join([digest(found.rows), *_weights(conf, spark)])
        step.rows = intake.read
    settings = workspace.settings(conf)
    made_of = f"{fingerprint(settings, inputs)} {code_digest()}"
    model_fingerprint = hashlib.sha256(made_of.encode()).hexdigest()
    with steps("looking for what has been done before"):
        earlier = None if conf.run.id else finished_with(tables, model_fingerprint)
        name = earlier["run_id"] if earlier else workspace.run_id(conf, "train")
        run = Run(tables, name, settings, inputs=inputs)
        earlier = run.finished() if conf.run.id else earlier
    path = workspace.model_folder(conf, name)
    if earlier and earlier["model_path"] == path and workspace.is_there(spark, path):
        again = "" if conf.run.id else " (--set run.id=NAME runs it again)"
        with steps(f"run {name} has finished before{again}: reading what it found"):
            learned = _recorded(run)
    else:
        with ExitStack() as attempt:
            with steps("opening tables"):
                attempt.enter_context(run)
            workspace.keep_reviews(run, found, steps)
            model, learned = _learn(conf, found.reviews, run, steps, attempt)
            with steps("saving the model"):
                model.write().overwrite().save(path)
                run.set_model(path, model_fingerprint)
            with steps("writing results"):
                _keep_results(run, learned)
    found.unpersist()
    broken = broken_gates(learned.bias, gates)
    return Trained(name, path, intake, learned, broken, workspace.location(conf))


def _weights(conf: Config, spark: SparkSession) -> list[str]:
    """Return the fingerprint of the BERT model, as what lies at its path may change; or nothing."""
    bert = pipeline.embedding(conf)
    return [] if bert is None else [bert.fingerprint(spark)]


def _recorded(run: Run) -> Learned:
    """Read what a run found when it finished."""

    def rows(name: str) -> DataFrame:
        return run.read(name).where(F.col("run_id") == run.run_id)

    with ThreadPoolExecutor() as side_by_side:
        classes = side_by_side.submit(class_rows, rows("features"), len(SENTIMENTS), LABEL)
        bias = side_by_side.submit(rows("bias_metrics").select(*ReportRow._fields).collect)
        found = rows("evaluations").where("split = 'test'").collect()
    figures = {(row.metric, row.label_class): row.value for row in found}
    return Learned(
        classes.result(),
        Confusion.from_metrics(SENTIMENTS, figures),
        [ReportRow(*row) for row in bias.result()],
    )


def _keep_results(run: Run, learned: Learned) -> None:
    """Append the figures of the evaluation, and those of bias."""
    spark = run.tables.spark
    rows: list[Any] = [("test", *figure) for figure in learned.confusion.metrics()]
    figures = spark.createDataFrame(rows, _FIGURES).coalesce(1)
    bias = spark.createDataFrame(learned.bias, REPORT_SCHEMA).coalesce(1)
    run.append("evaluations", figures, fingerprint=run.fingerprint)
    run.append("bias_metrics", bias, fingerprint=run.fingerprint)


def _learn(
    conf: Config, reviews: DataFrame, run: Run, steps: Steps, attempt: ExitStack
) -> tuple[PipelineModel, Learned]:
    """Prepare, measure, embed, fit and evaluate; append features and predictions."""
    stages: list[Any] = pipeline.preparation(conf)
    report, embedding = pipeline.report(conf), pipeline.embedding(conf)
    with steps("cleaning and labelling") as step:
        ready = detach(PipelineModel(stages).transform(reviews)).persist()
        classes = _classes(ready)
        step.rows = sum(classes)
    with steps("writing features"):
        run.append("features", _features(ready, conf), fingerprint=run.fingerprint)
    bias: list[ReportRow] = []
    if report is not None:
        with steps("measuring bias before training"):
            measured = report.fit(_parts(ready, conf)[0])
            bias += measured.rows
            stages.append(measured)
    if embedding is not None:
        ready = detach(workspace.kept_embeddings(run, steps)(embedding, ready)).persist()
        stages.append(embedding)
    train_part, test_part = _parts(ready, conf)
    with steps("training"):
        learner = pipeline.fit(pipeline.learning(conf), train_part)
        if conf.trainer == "sagemaker" and not conf.sagemaker.keep_endpoint:
            attempt.callback(_torn_down, learner, steps)
        stages.append(learner)
    with steps("evaluating") as step:
        predicted = learner.transform(test_part).persist()
        matrix = confusion(predicted, SENTIMENTS, LABEL)
        step.rows = matrix.rows
        if report is not None:
            bias += _bias_after(conf, predicted)
    with steps("writing predictions"):
        run.append(
            "predictions",
            workspace.predictions(predicted, workspace.model_folder(conf, run.run_id)),
            fingerprint=run.fingerprint,
        )
    return PipelineModel(stages), Learned(classes, matrix, bias)


def _torn_down(learner: PipelineModel, steps: Steps) -> None:
    """Delete the endpoint that a run made for itself; the saved model can make it again."""
    from spark_sentiment.sagemaker import delete_resources  # as in pipeline: boto3 is an extra

    with steps("deleting the endpoint"):
        delete_resources(learner)


def _classes(ready: DataFrame) -> tuple[int, ...]:
    """Count the reviews of each class; refuse a table with one class only."""
    found = class_rows(ready, len(SENTIMENTS), LABEL)
    if sum(n > 0 for n in found) < 2:
        there = ", ".join(f"{name} {n:,}" for name, n in zip(SENTIMENTS, found, strict=True))
        raise DataError(
            f"reviews: column '{LABEL}' has one class only ({there}); a classifier needs two: "
            "check the ratings, or labels.negative_max and labels.positive_min"
        )
    return found


def _parts(ready: DataFrame, conf: Config) -> tuple[DataFrame, DataFrame]:
    """Return the part to train on and the part held out."""
    fractions = (1 - conf.split.test, conf.split.test)
    train_part, test_part = split_by_text(ready, TEXT, conf.split.seed, fractions)
    return train_part, test_part


def _features(ready: DataFrame, conf: Config) -> DataFrame:
    """Return the rows of table ``features``."""
    hashed = ready.select("review_id", TEXT, LABEL, text_hash(F.col(TEXT)).alias("text_hash"))
    train_part, test_part = _parts(hashed, conf)
    named = train_part.withColumn("split", F.lit("train"))
    return named.unionByName(test_part.withColumn("split", F.lit("test")))


def _bias_after(conf: Config, predicted: DataFrame) -> list[ReportRow]:
    """Measure the bias of the predictions."""
    names = pipeline.metrics(conf.bias, "post")
    if not names:
        return []
    rows = bias_metrics(
        predicted,
        LABEL,
        pipeline.facets(conf.bias),
        "prediction",
        positive=conf.bias.positive,
        group=conf.bias.group,
        metrics=names,
        features=pipeline.EMBEDDING if "FT" in names else None,
    )
    return [ReportRow(*row) for row in rows.collect()]
