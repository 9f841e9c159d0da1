"""Open what a job uses: reviews, tables, run id, models and kept embeddings."""

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.core import jvm, side_by_side
from spark_sentiment.embedding import BertEmbeddings
from spark_sentiment.errors import ConfigError, DataError
from spark_sentiment.jobs.config import Config, Reviews
from spark_sentiment.jobs.pipeline import EMBEDDING, LABEL, TEXT, Embed
from spark_sentiment.jobs.runner import Steps
from spark_sentiment.reviews import (
    OURS,
    WOMENS_CLOTHING,
    RatingScale,
    ReadCounts,
    ReadResult,
    from_frame,
    generate_reviews,
    read_csv,
    read_folders,
    read_json,
    read_parquet,
    read_reviews,
)
from spark_sentiment.tables import Run, Tables, table_errors

_FINGERPRINT = "model_fingerprint.txt"  # in the folder of a model
# Spark reads the parts of a model like text files: it takes such a path for a pattern or, with a
# comma, for several paths. When it saves a model, it does not.
_PATTERN = re.compile(r"[{}\[\]*?\\:,]")
_AUTHORITY = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?(?=/)")
_DELIMITERS = {"csv": ",", "tsv": "\t"}


def tables(spark: SparkSession, conf: Config) -> Tables:
    """Return the tables that `conf` names, without creating them."""
    if conf.output.database is not None:
        return Tables(spark, database=conf.output.database)
    return Tables(spark, conf.output.base)


def location(conf: Config) -> str:
    """Return the place of the tables from the configuration."""
    return conf.output.base if conf.output.database is None else f"database {conf.output.database}"


def frame(
    spark: SparkSession,
    path: str,
    form: str,
    version: int | None = None,
    delimiter: str | None = None,
) -> DataFrame:
    """Return the table at `path`: CSV (all columns are strings), Parquet or Delta.

    Raises
    ------
    DataError, SchemaError, TableError
        If there is no such table, or its files cannot be opened.
    """
    if form in _DELIMITERS:
        return read_csv(spark, path, delimiter=delimiter or _DELIMITERS[form])
    if form == "parquet":
        return read_parquet(spark, path)
    reader = spark.read if version is None else spark.read.option("versionAsOf", version)
    with table_errors(path, f"read it as {form}", rows=False):
        return reader.format(form).load(path)


def reviews(spark: SparkSession, conf: Config, *, require_rating: bool = True) -> ReadResult:
    """Read the reviews that `conf` names, or generate reviews if it names none.

    Raises
    ------
    DataError, SchemaError, TableError
        If there is no file at the path, or a column is missing.
    """
    source = conf.reviews
    scale = RatingScale.of(conf.labels.scale, conf.labels.names)
    if source.path is None:
        made = generate_reviews(spark, source.generated.rows, source.generated.seed)
        return from_frame(made, OURS, require_rating=require_rating)
    if source.format in _DELIMITERS:
        return read_reviews(
            spark,
            source.path,
            source.columns or WOMENS_CLOTHING,
            require_rating=require_rating,
            scale=scale,
            delimiter=source.delimiter or _DELIMITERS[source.format],
            quote=source.quote,
            escape=source.escape,
            encoding=source.encoding,
            header=source.header,
        )
    columns = source.columns or None
    if source.format == "json":
        return read_json(spark, source.path, columns, require_rating=require_rating, scale=scale)
    if source.format == "folders":
        return read_folders(
            spark,
            source.path,
            require_rating=require_rating,
            scale=scale,
            encoding=source.encoding,
        )
    if source.format == "parquet":
        table = read_parquet(spark, source.path)
    else:  # one folder: the configuration accepts no list
        table = frame(spark, str(source.path), source.format, source.version)
    return from_frame(
        table, columns, require_rating=require_rating, scale=scale, source=str(source.path)
    )


def has_own_ids(reviews: Reviews) -> bool:
    """Tell whether the ids of the reviews come from the data, so that a review can be corrected.

    An id that is computed from the content never has other content.
    """
    if reviews.path is None:
        return False
    if reviews.columns:
        return "review_id" in reviews.columns
    return reviews.format not in (*_DELIMITERS, "folders")


def keep_reviews(
    run: Run,
    found: ReadResult,
    intake: ReadCounts,
    steps: Steps,
    *,
    update: bool,
    fingerprint: str,
    batch: int | None = None,
) -> None:
    """Write what was read: usable rows to ``reviews``, the others to ``reviews_rejected``.

    With `update`, a review whose id is known replaces the review in the table if it differs. If no
    row was rejected, ``reviews_rejected`` is not written. `fingerprint` and `batch` are those of
    `Run.append`.
    """
    with steps("writing reviews"), side_by_side(run.tables.spark) as beside:
        if intake.rejected:
            append = partial(run.append, fingerprint=fingerprint, batch=batch)
            beside.start(append, "reviews_rejected", found.rejected)
        run.merge("reviews", found.reviews, ["review_id"], update=update)


def predictions(scored: DataFrame, model: str) -> DataFrame:
    """Return the rows of table ``predictions``, by the model saved at `model`."""
    columns = ["review_id", LABEL, "prediction", "probability"]
    return scored.select(*columns, F.lit(model).alias("model"))


def model_folder(conf: Config, name: str) -> str:
    """Return the folder of the model of run `name`."""
    base = conf.output.base.rstrip("/")
    return conf.output.model or f"{base}/models/{name}"


def check_model_folder(spark: SparkSession, key: str, path: str) -> None:
    """Raise ConfigError if Spark could save a model to the folder `path`, and not load it again.

    Parameters
    ----------
    spark : SparkSession
        Session, whose working directory is part of a relative path.
    key : str
        Key of the configuration that names the folder.
    path : str
        Folder of the model.

    Examples
    --------
    >>> check_model_folder(spark, "output.base", "s3a://bucket/output")
    >>> try:
    ...     check_model_folder(spark, "output.base", "/data/{a}")
    ... except ConfigError as error:
    ...     print(str(error)[:48])
    output.base: /data/{a} has the character '{', an
    """
    found = _PATTERN.search(_AUTHORITY.sub("", path))
    if found is None and not path.startswith("/") and not _AUTHORITY.match(path):
        with table_errors(path, "find the folder", rows=False):
            path = jvm.absolute_path(spark, path)
        # Spark splits at commas before it puts the working directory in front.
        found = _PATTERN.search(_AUTHORITY.sub("", path).replace(",", ""))
    if found is not None:
        raise ConfigError(
            f"{key}: {path} has the character '{found[0]}', and Spark does not load a model from "
            "such a folder; name a folder without any of { } [ ] * ? \\ : and comma"
        )


def stream_folder(conf: Config, name: str) -> str:
    """Return the folder of the progress of the stream of run `name`."""
    return f"{conf.output.base.rstrip('/')}/_streams/{name}"


def stream_id(spark: SparkSession, conf: Config) -> str:
    """Return the configured id of a run, or an id that is the same for the same input."""
    if conf.run.id:
        return conf.run.id
    places = [jvm.absolute_path(spark, path) for path in sorted(conf.reviews.paths)]
    return f"stream-{hashlib.sha256(json.dumps(places).encode()).hexdigest()[:12]}"


def checkpoint_folder(conf: Config, name: str) -> str:
    """Return the folder of the checkpoints of run `name`, which the run deletes."""
    return f"{conf.output.base.rstrip('/')}/_checkpoints/{name}"


def save_model(spark: SparkSession, model: PipelineModel, path: str, fingerprint: str) -> None:
    """Save `model` to the folder `path`, and beside it the fingerprint that `holds_model` reads.

    The fingerprint is written last, so a folder without it may be incomplete.
    """
    model.write().overwrite().save(path)
    jvm.write_text(spark, f"{path}/{_FINGERPRINT}", fingerprint)


def holds_model(spark: SparkSession, path: str, fingerprint: str) -> bool:
    """Tell whether `save_model` has saved the model of `fingerprint` to the folder `path`."""
    with table_errors(path, "look for the model", rows=False):
        return jvm.read_text(spark, f"{path}/{_FINGERPRINT}") == fingerprint


def model_version(spark: SparkSession, path: str) -> str:
    """Return the fingerprint of the model in the folder `path`; `path` if it has none.

    The fingerprint stays the same if the folder is moved.
    """
    with table_errors(path, "look for the model", rows=False):
        return jvm.read_text(spark, f"{path}/{_FINGERPRINT}") or path


def settings(conf: Config) -> dict[str, Any]:
    """Return the settings of a run, for table ``runs``."""
    return conf.model_dump(mode="json", exclude={"spark"})


def run_id(conf: Config, job: str) -> str:
    """Return the configured id, or a new one of job, time and a random part."""
    new = f"{job}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return conf.run.id or new


def kept_embeddings(run: Run, steps: Steps, check: Callable[[], None] = lambda: None) -> Embed:
    """Return a function that adds embeddings, kept in the run's table, and prints progress.

    It calls `check` before each chunk of texts; an error that `check` raises stops it.
    """

    def embed(stage: BertEmbeddings, df: DataFrame) -> DataFrame:
        with steps("embedding") as step, ExitStack() as reporting:

            def compute(texts: DataFrame) -> DataFrame:
                reporting.close()  # of the chunk before
                check()
                told = stage.progress.reporting(texts.count(), steps.say)
                reporting.enter_context(told)
                return stage.transform(texts)

            before, known = stage.progress.rows, stage.fingerprint(df.sparkSession)
            rows = run.embedded(df, known, compute, text=TEXT, output=EMBEDDING)
            reporting.close()
            step.rows = stage.progress.rows - before
        return rows

    return embed


def newest_model(conf: Config, tables: Tables) -> str:
    """Return the model of the newest finished training run.

    If the tables were moved since, with the models below them, it is the model at the new place.

    Raises
    ------
    DataError
        If no training run has finished.
    """
    # A scoring run has the path of the model that it used, and no fingerprint of a model.
    trained = tables.read("runs").where("status = 'finished' and model_fingerprint is not null")
    row = trained.orderBy("ended_at", ascending=False).head()
    if row is None:
        raise DataError(
            f"{tables.location('runs')}: no finished run has a model; run jobs/train.py first, "
            "or name a model with --set score.model=FOLDER"
        )
    saved, here = str(row["model_path"]), model_folder(conf, row["run_id"])
    made_of = row["model_fingerprint"]
    moved = (
        here != saved
        and not holds_model(tables.spark, saved, made_of)
        and holds_model(tables.spark, here, made_of)
    )
    return here if moved else saved
