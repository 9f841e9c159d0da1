"""Batch transform: Spark writes requests to S3, SageMaker answers them there, Spark joins them.

Each job has a folder of its own, and all that is written is below that: ``rows`` is what is scored,
``requests`` has the bodies, ``replies`` is what SageMaker answers, ``answers`` what that means for
each row. The result reads ``rows`` and ``answers``, which stay; the others are deleted.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

from pyspark import TaskContext
from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType

from spark_sentiment.errors import DataError, SageMakerError, SchemaError
from spark_sentiment.sagemaker.aws import clients as aws
from spark_sentiment.sagemaker.aws import hosting, resources
from spark_sentiment.sagemaker.aws.clients import Site, call, call_when_seen, is_missing
from spark_sentiment.sagemaker.aws.hosting import Deployment
from spark_sentiment.sagemaker.aws.waits import looks
from spark_sentiment.sagemaker.formats import requests
from spark_sentiment.sagemaker.formats.replies import Reply
from spark_sentiment.sagemaker.scoring.rows import in_order, too_many
from spark_sentiment.sagemaker.training import upstream

_MB = 2**20
_ROW, _RECORD, _ERROR = "row", "record", "error"
# A task moves its files to their place itself: on S3 that is a copy, which the driver would repeat
# one by one. Of a job that fails half way, the whole folder goes.
_COMMIT = {
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}
_COUNTED = ("told", "failed", "why")
_INDEX = StructType(
    [
        StructField("object", StringType()),
        StructField("rows", ArrayType(LongType())),
        StructField("errors", ArrayType(StringType())),
    ]
)


@dataclass(frozen=True)
class Batch:
    """What a batch transform needs; see `SageMakerEndpointModel`'s Params.

    Attributes
    ----------
    uid : str
        Who asks; it opens messages.
    site : Site
        Where AWS is.
    deployment : Deployment
        The model.
    folder : str
        On S3: each job has one of its own below it.
    form : str
        How rows are sent.
    reply : Reply
        How answers are read.
    rows, bytes : int
        Of a request at most.
    threads : int
        Objects of a task that are written or read at once.
    max_error_share : float
        Of all rows, that may lack a prediction.
    instance_type, instance_count
        Machines of the job.
    timeout : float
        Seconds to wait for its end.
    """

    uid: str
    site: Site
    deployment: Deployment
    folder: str
    form: str
    reply: Reply
    rows: int
    bytes: int
    threads: int
    max_error_share: float
    instance_type: str
    instance_count: int
    timeout: float


def answered(
    batch: Batch,
    df: DataFrame,
    record: Callable[[StructType], Column],
    column: str,
    say: Callable[[str], None],
) -> DataFrame:
    """Score all rows of `df` by one transform job, and wait for it.

    Parameters
    ----------
    batch : Batch
        What to ask, and how.
    df : DataFrame
        Computed once: what is sent and what is returned are read from the same staged rows.
    record : callable
        Takes a schema, returns the column with a row's part of a request.
    column : str
        To add: each row's answer, a struct as `Reply.schema`.
    say : callable
        Takes a line of progress.

    Returns
    -------
    DataFrame
        Every row of `df` once, in no particular order, with `column`. It reads files below
        `Batch.folder`, and can be read until they are deleted.

    Raises
    ------
    SchemaError
        Where a column is of a type that Parquet cannot hold.
    SageMakerError
        Where AWS refuses, or the job fails, is stopped, or is not done in time; it is then stopped.
    DataError
        Where more rows than the allowed share have no prediction.
    """
    name = resources.unique_name("batch")
    folder = f"{batch.folder}/{name}"
    spark = df.sparkSession
    upstream.check_s3(spark, batch.uid)
    upstream.reach_bucket(spark, batch.site, folder)
    job = TransformJob(batch, name, folder, say)
    row, index = f"{column}_row", None
    try:
        rows = _staged(batch.uid, df, upstream.path(spark, f"{folder}/rows"), row)
        sent = rows.select(F.col(row).alias(_ROW), record(df.schema).alias(_RECORD))
        index = _written(batch, sent, folder).persist()
        found = index.agg(F.count("object"), F.coalesce(F.sum(F.size("rows")), F.lit(0))).head()
        objects, number = found or (0, 0)
        say(f"{number:,} rows are staged, in {objects:,} requests")
        if objects:
            job.create()
            job.finished()
        path, seen = upstream.path(spark, f"{folder}/answers"), Observation()
        counted = [F.count(F.lit(1)), F.count(_ERROR), F.max(_ERROR)]
        named = [count.alias(name) for count, name in zip(counted, _COUNTED, strict=True)]
        _read(batch, index, folder).observe(seen, *named).write.options(**_COMMIT).parquet(path)
        _check(batch, name, number, *(seen.get[count] for count in _COUNTED))
        for part in ("requests", "replies"):
            resources.delete_objects(batch.uid, batch.site, f"{folder}/{part}")
    except BaseException as failure:
        clear = partial(resources.delete_objects, batch.uid, batch.site, folder)
        resources.clean_up(failure, job.stop, clear)
        raise
    finally:
        if index is not None:
            index.unpersist()
    answers = spark.read.schema(_answer(batch.reply)).parquet(path)
    values = [F.col(_value(i)).alias(name) for i, (name, _) in enumerate(batch.reply.fields)]
    variant = F.lit(None).cast("string").alias("variant")
    answer = F.struct(*values, F.col(_ERROR), variant).alias(column)
    return rows.join(answers.select(F.col(_ROW).alias(row), answer), row, "left").drop(row)


def _staged(uid: str, df: DataFrame, path: str, row: str) -> DataFrame:
    """Write the rows with an id each, and return them as they are read back."""
    # Their own names may be such as no file can have, or be there twice.
    plain = df.toDF(*(f"column{i}" for i in range(len(df.columns))))
    named = dict(zip(plain.columns, df.columns, strict=True))
    numbered = plain.withColumn(_ROW, F.monotonically_increasing_id())
    try:
        numbered.write.options(**_COMMIT).parquet(path)
    except AnalysisException as error:
        told = re.sub(r"\bcolumn\d+\b", lambda own: named.get(own[0], own[0]), str(error))
        raise SchemaError(f"{uid}: the rows cannot be staged as Parquet: {told}") from error
    read = df.sparkSession.read.schema(numbered.schema).parquet(path)
    own = [F.col(column).alias(name) for column, name in named.items()]
    return read.select(F.col(_ROW).alias(row), *own)


def _written(batch: Batch, sent: DataFrame, folder: str) -> DataFrame:
    """Return which rows each object of requests holds; the objects are written as it is computed.

    An object's name is that of a task and a number: a task that Spark runs again, or a part of the
    index that is lost and computed again, reads the same staged rows and writes the same objects.
    """
    import pandas as pd  # two seconds that who does not score need not wait

    def write(frames: Iterable[Any]) -> Iterator[Any]:
        context = TaskContext.get()
        task = context.partitionId() if context else 0
        aws.client("s3", batch.site)  # boto3 makes clients in one thread only

        def cut() -> Iterator[tuple[str, list[int], list[bytes | str]]]:
            names = (f"{task:06}-{number:06}" for number in itertools.count())
            for frame in frames:
                ids = iter(frame.pop(_ROW))
                told = requests.parts(frame.get(_RECORD, frame))
                for parts in requests.cut(batch.form, told, batch.rows, batch.bytes):
                    yield next(names), list(itertools.islice(ids, len(parts))), parts

        def put(
            request: tuple[str, list[int], list[bytes | str]],
        ) -> tuple[str | None, list[int], list[str | None]]:
            name, ids, parts = request
            sendable = [part for part in parts if isinstance(part, bytes)]
            if sendable:
                uri = f"{folder}/requests/{name}"
                resources.put_object(batch.uid, batch.site, uri, b"".join(sendable))
            errors = [part if isinstance(part, str) else None for part in parts]
            return (name if sendable else None), ids, errors

        for written in in_order(put, cut(), batch.threads):
            yield pd.DataFrame([written], columns=_INDEX.names)

    if batch.form == "recordio":
        sent = sent.select(_ROW, f"{_RECORD}.*")
    return sent.mapInPandas(write, _INDEX)


def _read(batch: Batch, index: DataFrame, folder: str) -> DataFrame:
    """Return a row for each that was staged: its id, the reply's values, and why there is none."""
    import pandas as pd

    nothing = (None,) * len(batch.reply.fields)
    columns = _answer(batch.reply)

    def read(frames: Iterable[Any]) -> Iterator[Any]:
        aws.client("s3", batch.site)

        def taken(listed: tuple[Any, ...]) -> list[tuple[Any, ...]]:
            name, ids, errors = listed
            answers, why = _answers(batch, folder, name, sum(error is None for error in errors))
            return [
                (row, *(nothing if error or why else next(answers)), error or why)
                for row, error in zip(ids, errors, strict=True)
            ]

        listed = (one for frame in frames for one in frame.itertuples(index=False, name=None))
        for rows in in_order(taken, listed, batch.threads):
            yield pd.DataFrame(rows, columns=columns.names, dtype=object)

    return index.mapInPandas(read, columns)


def _answers(
    batch: Batch, folder: str, name: str | None, asked: int
) -> tuple[Iterator[tuple[Any, ...]], str | None]:
    """Return the rows of one object's reply, or why there are none."""
    if name is None:
        return iter(()), None
    body = resources.get_object(batch.uid, batch.site, f"{folder}/replies/{name}.out")
    if body is None:
        return iter(()), "the transform job wrote no reply"
    try:
        rows = batch.reply.read(body)
    except DataError as error:
        return iter(()), str(error)
    if len(rows) != asked:
        return iter(()), f"a reply held {len(rows)} rows for {asked}"
    return iter(rows), None


def _answer(reply: Reply) -> StructType:
    """Return the columns of an answer; a reply's field may have any name, so they have none."""
    kinds = [field.dataType for field in reply.schema.fields[: len(reply.fields)]]
    values = [StructField(_value(place), kind) for place, kind in enumerate(kinds)]
    return StructType([StructField(_ROW, LongType()), *values, StructField(_ERROR, StringType())])


def _value(place: int) -> str:
    return f"value{place}"


def _check(batch: Batch, job: str, staged: int, told: int, failed: int, why: str | None) -> None:
    """Raise DataError where a row is lost, or too many have no prediction."""
    if told != staged:
        raise DataError(f"{batch.uid}: {staged:,} rows were staged, and {told:,} were answered")
    if too_many(failed, staged, batch.max_error_share):
        raise DataError(
            f"{batch.uid}: transform job {job} gave no prediction for {failed:,} of {staged:,} "
            f"rows, {failed / staged:.2%} where at most {batch.max_error_share:.2%} is allowed; "
            f"one of them: {why}"
        )


@dataclass
class TransformJob:
    """A transform job on its way; one object is one request to the model's container.

    Attributes
    ----------
    batch : Batch
        What is asked, and by whom.
    name : str
        Of the job.
    folder : str
        On S3: its requests and replies are below.
    say : callable
        Takes a line of progress.
    """

    batch: Batch
    name: str
    folder: str
    say: Callable[[str], None]
    _runs: bool = False

    def create(self) -> None:
        """Ask for the job; SageMakerError where AWS refuses."""
        self._runs = True
        try:
            self._create(call)
        except SageMakerError as error:
            if is_missing(error):
                # A model costs nothing. It may never have been made, or went with its endpoint.
                hosting.create_model(self.batch.uid, self.batch.site, self.batch.deployment)
                self._create(call_when_seen)
            elif "already exists" not in str(error):  # as the answer to what boto3 repeated
                raise
        self.say(f"transform job {self.name} is asked for")

    def _create(self, send: Callable[..., Any]) -> None:
        batch, made = self.batch, self.batch.deployment
        source = {"S3DataType": "S3Prefix", "S3Uri": f"{self.folder}/requests/"}
        output = {
            "S3OutputPath": f"{self.folder}/replies",
            "Accept": batch.reply.accept,
            "AssembleWith": "None",
        }
        machines = {"InstanceType": batch.instance_type, "InstanceCount": batch.instance_count}
        if made.key is not None:
            output["KmsKeyId"] = made.key
            machines["VolumeKmsKeyId"] = made.key
        send(
            batch.uid,
            batch.site,
            "create_transform_job",
            TransformJobName=self.name,
            ModelName=made.name,
            BatchStrategy="SingleRecord",
            MaxPayloadInMB=ceil(batch.bytes / _MB),
            TransformInput={
                "DataSource": {"S3DataSource": source},
                "ContentType": requests.CONTENT_TYPES[batch.form],
                "SplitType": "None",
            },
            TransformOutput=output,
            TransformResources=machines,
            Tags=resources.tags(made.run_id, made.hours, made.tags),
        )

    def finished(self) -> None:
        """Wait for the job's end.

        Raises
        ------
        SageMakerError
            Where it failed, was stopped, or is not done in time.
        """
        uid, timeout = self.batch.uid, self.batch.timeout
        said = ""
        for seconds in looks(timeout):
            found = call_when_seen(
                uid, self.batch.site, "describe_transform_job", TransformJobName=self.name
            )
            status = found["TransformJobStatus"]
            if status != said:
                self.say(f"[{seconds:5.0f} s] transform job is {status}")
                said = status
            self._runs = status == "InProgress"
            if status == "Completed":
                return
            if status in ("Failed", "Stopped"):
                why = found.get("FailureReason", "AWS gives no reason")
                raise SageMakerError(f"{uid}: transform job {self.name} {status.lower()}: {why}")
        raise SageMakerError(
            f"{uid}: transform job {self.name} was not done after {timeout:,.0f} s "
            f"({status}) and is stopped; raise Param batchTimeout"
        )

    def stop(self) -> None:
        """Stop the job where it runs; one that has ended is left as it is."""
        batch = self.batch
        if self._runs and resources.delete(
            batch.uid, batch.site, resources.TRANSFORM_JOB, self.name
        ):
            self.say(f"transform job {self.name} is stopped")
