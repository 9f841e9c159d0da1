"""The training job: clean, label, measure bias, balance, embed, train, evaluate, write tables."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.bias import BrokenGate, ReportRow, broken_gates, require_gates
from spark_sentiment.classification import Confusion, class_rows
from spark_sentiment.core import class_archive, jvm, side_by_side
from spark_sentiment.jobs import pipeline, summary, training, workspace
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.pipeline import LABEL
from spark_sentiment.jobs.runner import Steps, show
from spark_sentiment.jobs.training import Checked, Ingested
from spark_sentiment.reviews import SENTIMENTS, ReadCounts
from spark_sentiment.tables import Run, Tables, code_digest, fingerprint, finished_runs


@dataclass(frozen=True)
class Learned:
    """Figures of a fitted model.

    Attributes
    ----------
    classes : tuple of int
        Number of reviews of each class, in the training part and the held-out part together.
    confusion : Confusion
        Confusion matrix of the held-out reviews.
    bias : list of ReportRow
        All bias metrics: pre-training metrics of the training part, post-training metrics of the
        held-out part.
    """

    classes: tuple[int, ...]
    confusion: Confusion
    bias: list[ReportRow]


@dataclass(frozen=True)
class Trained:
    """Result of a training run; its ``str`` is the summary that the job prints.

    Attributes
    ----------
    run_id, model_path : str
        Id of the run in the tables, and the folder of its model for ``PipelineModel.load``.
    intake : ReadCounts
        Counts of rows read and rejected.
    learned : Learned
        Figures of the model.
    broken : list of BrokenGate
        Broken gates.
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


class Model(NamedTuple):
    """Folder of a saved model, and the fingerprint of all that determines the model."""

    path: str
    fingerprint: str


def main(conf: Config, spark: SparkSession, steps: Steps) -> None:
    """Clean, label, measure bias, balance, embed, train and evaluate; write tables and a model."""
    trained = train(conf, spark, steps)
    show(str(trained))
    class_archive.make(spark)  # a training run loads most of the classes that any job loads
    require_gates(trained.broken)


def train(conf: Config, spark: SparkSession, steps: Steps | None = None) -> Trained:
    """Run the training job, and return its result.

    If a run with the same configuration, input and code has finished, the job does not train again:
    it reads that run's result from the tables. A new ``run.id`` makes it train again.

    Parameters
    ----------
    conf : Config
        The configuration; conf/base.yaml describes the keys.
    spark : SparkSession
        Session with Delta.
    steps : Steps, optional
        Prints progress; silent by default.

    Returns
    -------
    Trained

    Raises
    ------
    SentimentError
        If configuration, input or output cannot be used. The tables then keep what was written
        before the error, and the row of the run in ``runs`` has status failed.
    """
    steps = steps or Steps(quiet=True)
    checked = training.check(conf, spark, steps)
    with checked.tables.reading():
        return _train(conf, checked, steps)


def _train(conf: Config, checked: Checked, steps: Steps) -> Trained:
    spark = checked.tables.spark
    with side_by_side(spark) as beside:
        finished = beside.start(_finished_runs, conf, checked.tables)
        ingested = training.ingest(conf, spark, steps)
    with steps("looking for an equal run that has finished"):
        inputs = f"{ingested.digest} {checked.weights}".rstrip()
        run, made_of, earlier = _run_of(conf, checked.tables, inputs, finished.result())
    name = run.run_id
    path = workspace.model_folder(conf, name)
    if earlier and workspace.holds_model(spark, path, made_of):  # not that of a later run
        again = "" if conf.run.id else " (--set run.id=NAME runs it again)"
        with steps(f"run {name} has finished before{again}: reading its result"):
            learned = _recorded(run)
    else:
        with ExitStack() as attempt:
            learned = _learn(conf, ingested, run, Model(path, made_of), steps, attempt)
            run.set_model(path, made_of)
    ingested.found.unpersist()
    broken = broken_gates(learned.bias, checked.gates)
    return Trained(name, path, ingested.counts, learned, broken, workspace.location(conf))


def _learn(
    conf: Config, ingested: Ingested, run: Run, saved: Model, steps: Steps, attempt: ExitStack
) -> Learned:
    """Train and save a model; enter `run` in `attempt`; return the model's figures."""
    spark = run.tables.spark
    with side_by_side(spark) as beside:
        opened = beside.start(_open, run, attempt, steps)
        prepared = training.prepare(conf, ingested.found.reviews, steps)
        opened.result()
        keep = partial(
            workspace.keep_reviews,
            update=workspace.has_own_ids(conf.reviews),
            fingerprint=run.fingerprint,
        )
        beside.start(keep, run, ingested.found, ingested.counts, steps)
        rows = prepared.rows
        beside.start(training.keep_features, run, rows, conf.split, steps)
        train_part = training.split(rows, conf.split).train
        measured = beside.start(training.measure_bias, conf, train_part, steps)
        embedding = pipeline.embedding(conf)
        if embedding is not None:
            rows = training.embed(run, rows, embedding, steps, beside.check)
    before = measured.result()
    parts = training.split(rows, conf.split)
    with jvm.checkpoints_in(spark, workspace.checkpoint_folder(conf, run.run_id)):
        learner = training.fit(conf, parts.train, steps)
    if conf.trainer == "sagemaker" and not conf.sagemaker.keep_endpoint:
        attempt.callback(_tear_down, learner, steps)
    stages = [stage for stage in (*prepared.stages, before, embedding, learner) if stage]
    with side_by_side(spark) as beside:
        beside.start(_save, spark, PipelineModel(stages), saved, steps)
        evaluated = training.evaluate(conf, learner, parts.held_out, steps)
        bias = [*(before.rows if before is not None else ()), *evaluated.bias]
        training.keep_results(run, evaluated, bias, saved.path, steps)
    for kept in {id(frame): frame for frame in (prepared.rows, rows, evaluated.rows)}.values():
        kept.unpersist()
    return Learned(prepared.classes, evaluated.confusion, bias)


def _open(run: Run, attempt: ExitStack, steps: Steps) -> None:
    """Enter `run`, which ends when `attempt` is closed."""
    with steps("opening tables"):
        attempt.enter_context(run)


def _save(spark: SparkSession, model: PipelineModel, saved: Model, steps: Steps) -> None:
    with steps("saving the model"):
        workspace.save_model(spark, model, saved.path, saved.fingerprint)


def _finished_runs(conf: Config, tables: Tables) -> dict[str, Row]:
    """Return the finished runs that can replace this one, by fingerprint; none for a named run."""
    return {} if conf.run.id else finished_runs(tables, code_digest())


def _run_of(
    conf: Config, tables: Tables, inputs: str, finished: Mapping[str, Row]
) -> tuple[Run, str, Row | None]:
    """Return the run, the fingerprint of its model, and its row in ``runs`` if it has finished."""
    settings = workspace.settings(conf)
    made_of = f"{fingerprint(settings, inputs)} {code_digest()}"
    model_fingerprint = hashlib.sha256(made_of.encode()).hexdigest()
    earlier = finished.get(model_fingerprint)
    name = earlier["run_id"] if earlier else workspace.run_id(conf, "train")
    run = Run(tables, name, settings, inputs=inputs)
    return run, model_fingerprint, run.finished() if conf.run.id else earlier


def _recorded(run: Run) -> Learned:
    """Read the figures of a finished run from its tables."""

    def rows(name: str) -> DataFrame:
        return run.read(name).where(F.col("run_id") == run.run_id)

    with side_by_side(run.tables.spark) as beside:
        classes = beside.start(class_rows, rows("features"), len(SENTIMENTS), LABEL)
        bias = beside.start(rows("bias_metrics").select(*ReportRow._fields).collect)
        found = rows("evaluations").where("split = 'test'").collect()
    figures = {(row.metric, row.label_class): row.value for row in found}
    return Learned(
        classes.result(),
        Confusion.from_metrics(SENTIMENTS, figures),
        [ReportRow(*row) for row in bias.result()],
    )


def _tear_down(learner: PipelineModel, steps: Steps) -> None:
    """Delete the endpoint that the run created; the saved model can create it again."""
    # Imported here because boto3 is an extra, as in pipeline.
    from spark_sentiment.sagemaker import delete_resources

    with steps("deleting the endpoint"):
        delete_resources(learner)
