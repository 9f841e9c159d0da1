"""The scoring job: predict class and probabilities of new reviews with a saved model."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession

from spark_sentiment.classification import class_rows
from spark_sentiment.core import side_by_side
from spark_sentiment.errors import ConfigError, SentimentError
from spark_sentiment.jobs import pipeline, summary, workspace
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.runner import Steps, show
from spark_sentiment.reviews import SENTIMENTS, Batch, ReadCounts, ReadResult, new_files
from spark_sentiment.tables import Run, Tables, digest, table_errors

# A run that is a stream goes on with another model or other settings, but not with other files.
_OF_STREAM = ("reviews.path", "reviews.format", "score.stream")


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
    files : int, optional
        Number of new files of a stream; None if all reviews were scored at once.
    """

    run_id: str
    model_path: str
    intake: ReadCounts
    classes: tuple[int, ...]
    location: str
    files: int | None = None

    def __str__(self) -> str:
        new = [] if self.files is None else [f"New files: {self.files:,}"]
        parts = [
            "\n".join([f"Run {self.run_id}", *new]),
            summary.intake(self.intake.read, self.intake.reasons),
            "Predicted\n" + summary.balance(SENTIMENTS, self.classes),
            f"Model: {self.model_path}\n{summary.tables(self.location)}",
        ]
        return "\n\n".join(parts)


class _Rows(NamedTuple):
    """Reviews in the cache, their counts, and the key of their append; see `Run.append`."""

    found: ReadResult
    intake: ReadCounts
    fingerprint: str
    batch: int | None = None


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
        work = _score if conf.score.stream is None else _score_stream
        return work(conf, tables, steps or Steps(quiet=True))


def _score(conf: Config, tables: Tables, steps: Steps) -> Scored:
    spark = tables.spark
    tables.check_writable()
    with side_by_side(spark) as beside:
        looked = beside.start(_find_model, conf, tables, steps)
        found = workspace.reviews(spark, conf, require_rating=False).persist()
        path = looked.result()  # before the reviews are read, which may take long
        loaded = beside.start(_load, path, steps)
        intake, rows_digest = _read(found, conf, steps)
    model = loaded.result()
    inputs = f"{workspace.model_version(spark, path)} {rows_digest}"
    name = workspace.run_id(conf, "score")
    with Run(tables, name, workspace.settings(conf), inputs=inputs) as run, _hosted(model, steps):
        run.set_model(path, None)
        rows = _Rows(found, intake, run.fingerprint)
        classes = _predict(rows, run, model, path, conf, steps)
    found.unpersist()
    return Scored(name, path, intake, classes, workspace.location(conf))


def _score_stream(conf: Config, tables: Tables, steps: Steps) -> Scored:
    """Score the files that no run of this id has scored."""
    spark = tables.spark
    source = conf.reviews.path
    if source is None or conf.reviews.format == "delta":
        what = "no path" if source is None else "format delta"
        raise ConfigError(
            f"score.stream: a stream reads files, and reviews has {what}; name a folder of CSV, "
            "JSON or Parquet files, or set score.stream to null"
        )
    tables.check_writable()
    path = _find_model(conf, tables, steps)
    model = _load(path, steps)
    name = workspace.stream_id(spark, conf)
    intake, classes, files = ReadCounts(0, {}), [0] * len(SENTIMENTS), 0
    waiting = new_files(
        spark,
        source,
        workspace.stream_folder(conf, name),
        most=conf.score.files_per_batch,
        follow=conf.score.stream == "continuous",
        nested=conf.reviews.format == "folders",
    )
    run = Run(tables, name, workspace.settings(conf), compared=_OF_STREAM)
    with run, _hosted(model, steps), waiting as batches:
        run.set_model(path, None)
        for batch in batches:
            with _told(batch):
                read, predicted = _score_batch(batch, run, model, path, conf, steps)
            intake += read
            classes = [a + b for a, b in zip(classes, predicted, strict=True)]
            files += len(batch.files)
    return Scored(name, path, intake, tuple(classes), workspace.location(conf), files)


def _score_batch(
    batch: Batch, run: Run, model: PipelineModel, path: str, conf: Config, steps: Steps
) -> tuple[ReadCounts, tuple[int, ...]]:
    """Score the files of `batch`; return the counts of rows and of predicted classes."""
    steps.say(f"batch {batch.number}: {len(batch.files):,} new files")
    given = conf.reviews.model_copy(update={"path": batch.files})
    of_batch = conf.model_copy(update={"reviews": given})
    found = workspace.reviews(run.tables.spark, of_batch, require_rating=False).persist()
    try:
        intake, made_of = _read(found, conf, steps, allow_empty=True)
        if not intake.read:
            return intake, (0,) * len(SENTIMENTS)
        rows = _Rows(found, intake, made_of, batch.number)
        return intake, _predict(rows, run, model, path, conf, steps)
    finally:
        found.unpersist()


@contextmanager
def _told(batch: Batch) -> Iterator[None]:
    """Add to an error which files the batch holds and how the stream goes on."""
    try:
        yield
    except SentimentError as error:
        error.add_note(
            f"Batch {batch.number} of the stream holds {len(batch.files):,} files: {batch.told}\n"
            "The batches before it are in the tables. Correct or delete the file and run the job "
            "again: it begins with this batch."
        )
        raise


def _read(
    found: ReadResult, conf: Config, steps: Steps, *, allow_empty: bool = False
) -> tuple[ReadCounts, str]:
    """Read reviews into the cache; return their counts and a digest of their content."""
    with steps("reading reviews") as step:
        for note in found.notes:
            steps.say(note)
        intake = found.check(conf.reviews.max_rejected_share, allow_empty=allow_empty)
        content = digest(found.content)
        step.rows = intake.read
    return intake, content


@contextmanager
def _hosted(model: PipelineModel, steps: Steps) -> Iterator[None]:
    """Create the endpoints that the model lacks; delete them at the end of the block."""
    with ExitStack() as hosted:
        for endpoint in pipeline.endpoints(model):
            with steps("creating the endpoint if it is missing"):
                if endpoint.createEndpoint():
                    hosted.callback(endpoint.deleteResources)
        yield


def _predict(
    rows: _Rows, run: Run, model: PipelineModel, path: str, conf: Config, steps: Steps
) -> tuple[int, ...]:
    """Write reviews and predictions; return the number of reviews of each predicted class."""
    with side_by_side(run.tables.spark) as beside:
        keep = partial(
            workspace.keep_reviews,
            update=workspace.has_own_ids(conf.reviews),
            fingerprint=rows.fingerprint,
            batch=rows.batch,
        )
        beside.start(keep, run, rows.found, rows.intake, steps)
        embed = workspace.kept_embeddings(run, steps, beside.check)
        scored = pipeline.transform(model, rows.found.reviews, embed).persist()
        with steps("scoring") as step:
            classes = class_rows(scored, len(SENTIMENTS), "prediction")
            step.rows = sum(classes)
        with steps("writing predictions"):
            out = workspace.predictions(scored, path)
            run.append("predictions", out, fingerprint=rows.fingerprint, batch=rows.batch)
    scored.unpersist()
    return tuple(classes)


def _find_model(conf: Config, tables: Tables, steps: Steps) -> str:
    """Return the path of the configured model, or of that of the newest finished training run."""
    with steps("looking for the model"):
        path = conf.score.model or workspace.newest_model(conf, tables)
        workspace.check_model_folder(tables.spark, "score.model", path)
        return path


def _load(path: str, steps: Steps) -> PipelineModel:
    with steps("loading the model"), table_errors(path, "load the model", rows=False):
        return PipelineModel.load(path)
