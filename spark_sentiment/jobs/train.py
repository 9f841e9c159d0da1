"""The main job: clean, label, measure bias, balance, embed, train, evaluate, into Delta."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.bias import BrokenGate, ReportRow, broken_gates, require_gates
from spark_sentiment.classification import Confusion, class_rows
from spark_sentiment.core import class_archive
from spark_sentiment.jobs import pipeline, summary, training, workspace
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.pipeline import LABEL
from spark_sentiment.jobs.runner import Steps, show, side_by_side
from spark_sentiment.jobs.training import Ingested
from spark_sentiment.reviews import SENTIMENTS, ReadCounts
from spark_sentiment.tables import Run, Tables, code_digest, fingerprint, finished_with


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
    class_archive.make(spark)  # a training run has loaded most of the classes that any job does
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
    checked = training.check(conf, spark, steps)
    ingested = training.ingest(conf, spark, steps)
    with steps("looking for what has been done before"):
        inputs = f"{ingested.digest} {checked.weights}".rstrip()
        run, made_of, earlier = _run_of(conf, checked.tables, inputs)
    name = run.run_id
    path = workspace.model_folder(conf, name)
    if earlier and earlier["model_path"] == path and workspace.is_there(spark, path):
        again = "" if conf.run.id else " (--set run.id=NAME runs it again)"
        with steps(f"run {name} has finished before{again}: reading what it found"):
            learned = _recorded(run)
    else:
        with ExitStack() as attempt:
            with steps("opening tables"):
                attempt.enter_context(run)
            model, learned = _learn(conf, ingested, run, path, steps, attempt)
            with steps("saving the model"):
                model.write().overwrite().save(path)
                run.set_model(path, made_of)
    ingested.found.unpersist()
    broken = broken_gates(learned.bias, checked.gates)
    return Trained(name, path, ingested.counts, learned, broken, workspace.location(conf))


def _learn(
    conf: Config, ingested: Ingested, run: Run, path: str, steps: Steps, attempt: ExitStack
) -> tuple[PipelineModel, Learned]:
    """Make a model, to be saved at `path`, of the reviews; return it with its figures."""
    with side_by_side(run.tables.spark) as start:
        start(workspace.keep_reviews, run, ingested.found, ingested.counts, steps)
        prepared = training.prepare(conf, ingested.found.reviews, steps)
        rows, stages = prepared.rows, list(prepared.stages)
        start(training.keep_features, run, rows, conf.split, steps)
        before = training.measure_bias(conf, training.split(rows, conf.split).train, steps)
        if before is not None:
            stages.append(before)
        embedding = pipeline.embedding(conf)
        if embedding is not None:
            rows = training.embed(run, rows, embedding, steps)
            stages.append(embedding)
        parts = training.split(rows, conf.split)
        learner = training.fit(conf, parts.train, steps)
        if conf.trainer == "sagemaker" and not conf.sagemaker.keep_endpoint:
            attempt.callback(_tear_down, learner, steps)
        stages.append(learner)
    evaluated = training.evaluate(conf, learner, parts.held_out, steps)
    bias = [*(before.rows if before is not None else ()), *evaluated.bias]
    training.keep_results(run, evaluated, bias, path, steps)
    for kept in {id(frame): frame for frame in (prepared.rows, rows, evaluated.rows)}.values():
        kept.unpersist()
    return PipelineModel(stages), Learned(prepared.classes, evaluated.confusion, bias)


def _run_of(conf: Config, tables: Tables, inputs: str) -> tuple[Run, str, Row | None]:
    """Return the run to do, the fingerprint of its model, and its row if it has finished before."""
    settings = workspace.settings(conf)
    made_of = f"{fingerprint(settings, inputs)} {code_digest()}"
    model_fingerprint = hashlib.sha256(made_of.encode()).hexdigest()
    earlier = None if conf.run.id else finished_with(tables, model_fingerprint)
    name = earlier["run_id"] if earlier else workspace.run_id(conf, "train")
    run = Run(tables, name, settings, inputs=inputs)
    return run, model_fingerprint, run.finished() if conf.run.id else earlier


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


def _tear_down(learner: PipelineModel, steps: Steps) -> None:
    """Delete the endpoint that a run made for itself; the saved model can make it again."""
    from spark_sentiment.sagemaker import delete_resources  # as in pipeline: boto3 is an extra

    with steps("deleting the endpoint"):
        delete_resources(learner)
