"""The scoring job: predict class and probabilities of new reviews with a saved model."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from spark_sentiment.classification import class_rows
from spark_sentiment.core import side_by_side
from spark_sentiment.jobs import pipeline, summary, workspace
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.runner import Steps, show
from spark_sentiment.reviews import SENTIMENTS, ReadCounts
from spark_sentiment.tables import Run, Tables, digest, table_errors


@dataclass(frozen=True)
class Scored:
    """Result of a scoring run; its ``str`` is the summary that the job prints.

    Attributes
    ----------
    run_id, model_path : str
        Id of the run in the tables, and the model.
    intake : ReadCounts
        Counts of rows read and rejected.
    classes : tuple of int
        Rows by predicted class.
    location : str
        Folder or database of the tables.
    """

    run_id: str
    model_path: str
    intake: ReadCounts
    classes: tuple[int, ...]
    location: str

    def __str__(self) -> str:
        parts = [
            f"Run {self.run_id}",
            summary.intake(self.intake.read, self.intake.reasons),
            "Predicted\n" + summary.balance(SENTIMENTS, self.classes),
            f"Model: {self.model_path}\n{summary.tables(self.location)}",
        ]
        return "\n\n".join(parts)


def main(conf: Config, spark: SparkSession, steps: Steps) -> None:
    """Score reviews with a saved model, into the table of predictions."""
    show(str(score(conf, spark, steps)))


def score(conf: Config, spark: SparkSession, steps: Steps | None = None) -> Scored:
    """Score the reviews that `conf` names, and return the result.

    Parameters
    ----------
    conf : Config
        ``reviews`` names the reviews (no rating is needed), ``score.model`` the model; by default
        the newest model of a training run in the same tables.
    spark : SparkSession
        Session with Delta.
    steps : Steps, optional
        Prints progress; silent by default.

    Returns
    -------
    Scored

    Raises
    ------
    SentimentError
        If configuration, input, model or output cannot be used.
    """
    tables = workspace.tables(spark, conf)
    with tables.reading():
        return _score(conf, tables, steps or Steps(quiet=True))


def _score(conf: Config, tables: Tables, steps: Steps) -> Scored:
    spark = tables.spark
    tables.check_writable()
    with side_by_side(spark) as beside:
        looked = beside.start(_find_model, conf, tables, steps)
        found = workspace.reviews(spark, conf, require_rating=False).persist()
        path = looked.result()  # before the reviews are read, which may take long
        loaded = beside.start(_load, path, steps)
        with steps("reading reviews") as step:
            for note in found.notes:
                steps.say(note)
            intake = found.check(conf.reviews.max_rejected_share)
            rows_digest = digest(found.content)
            step.rows = intake.read
    model = loaded.result()
    inputs = f"{workspace.model_version(spark, path)} {rows_digest}"
    name = workspace.run_id(conf, "score")
    with Run(tables, name, workspace.settings(conf), inputs=inputs) as run, ExitStack() as hosted:
        for endpoint in pipeline.endpoints(model):
            with steps("creating the endpoint if it is missing"):
                if endpoint.createEndpoint():
                    hosted.callback(endpoint.deleteResources)
        run.set_model(path, None)
        with side_by_side(spark) as beside:
            keep = partial(workspace.keep_reviews, update=workspace.has_own_ids(conf.reviews))
            beside.start(keep, run, found, intake, steps)
            embed = workspace.kept_embeddings(run, steps, beside.check)
            scored = pipeline.transform(model, found.reviews, embed).persist()
            with steps("scoring") as step:
                classes = class_rows(scored, len(SENTIMENTS), "prediction")
                step.rows = sum(classes)
            with steps("writing predictions"):
                rows = workspace.predictions(scored, path)
                run.append("predictions", rows, fingerprint=run.fingerprint)
        scored.unpersist()
    found.unpersist()
    return Scored(name, path, intake, classes, workspace.location(conf))


def _find_model(conf: Config, tables: Tables, steps: Steps) -> str:
    """Return the path of the configured model, or of that of the newest finished training run."""
    with steps("looking for the model"):
        path = conf.score.model or workspace.newest_model(conf, tables)
        workspace.check_model_folder(tables.spark, "score.model", path)
        return path


def _load(path: str, steps: Steps) -> PipelineModel:
    with steps("loading the model"), table_errors(path, "load the model", rows=False):
        return PipelineModel.load(path)
