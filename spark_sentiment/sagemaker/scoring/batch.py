"""Batch transform: Spark writes requests to S3, SageMaker writes replies there, Spark joins them.

Each job has its own folder with four subfolders: ``rows`` has the rows to score, ``requests`` the
bodies of requests, ``replies`` the replies of SageMaker, and ``answers`` the answer for each row.
The result reads ``rows`` and ``answers``, which stay; the others are deleted.
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
# With version 2, tasks move their files to the final place. With version 1, the driver moves them
# one by one, and on S3 each move is a copy. If a job fails half way, the whole folder is deleted.
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
    """Settings of a batch transform; see the Params of `SageMakerEndpointModel`.

    Attributes
    ----------
    uid : str
        Id of the stage, which begins messages.
    site : Site
        Region and address of AWS.
    deployment : Deployment
        The model.
    folder : str
        Folder on S3 in which each job creates its own folder.
    form : str
        Format of requests.
    reply : Reply
        Format of replies.
    rows, bytes : int
        Largest number of rows and bytes of a request.
    threads : int
        Number of objects that a task writes or reads concurrently.
    max_error_share : float
        Allowed share of rows without a prediction.
    instance_type, instance_count
        Machines of the job.
    timeout : float
        Seconds to wait for the end of the job.
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
        Settings of the job.
    df : DataFrame
        Rows to score. They are computed once; requests and result are read from the staged rows.
    record : callable
        Function of a schema that returns the column with a row's part of a request.
    column : str
        Name of the new column with the answer for each row, a struct as `Reply.schema`.
    say : callable
        Function that prints a line of progress.

    Returns
    -------
    DataFrame
        Every row of `df` once, in no particular order, with `column`. It reads files in
        `Batch.folder`, and can be read until they are deleted.

    Raises
    ------
    SchemaError
        If a column has a type that Parquet cannot hold.
    SageMakerError
        If AWS refuses, or the job fails, is stopped, or is not done in time; it is then stopped.
    DataError
        If a larger share of the rows than allowed has no prediction.
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
    """Write the rows to Parquet with an id each, and return a DataFrame that reads them."""
    # Parquet does not accept some names of columns, nor the same name twice.
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
    """Return an index of the rows in each request; computing the index writes the requests to S3.

    The name of an object consists of the task and a number. If Spark repeats a task, or recomputes
    a lost part of the index, the task reads the same staged rows and writes the same objects.
    """
    import pandas as pd  # imported here: the import takes two seconds

    def write(frames: Iterable[Any]) -> Iterator[Any]:
        context = TaskContext.get()
        task = context.partitionId() if context else 0
        aws.client("s3", batch.site)  # created in one thread: creating it is not thread-safe

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
    """Return for each staged row its id, the values of the reply, and an error if it has none."""
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
    """Return the rows of the reply to one request, or an error."""
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
    """Return the schema of ``answers``; fields are numbered, because their names may be invalid."""
    kinds = [field.dataType for field in reply.schema.fields[: len(reply.fields)]]
    values = [StructField(_value(place), kind) for place, kind in enumerate(kinds)]
    return StructType([StructField(_ROW, LongType()), *values, StructField(_ERROR, StringType())])


def _value(place: int) -> str:
    return f"value{place}"


def _check(batch: Batch, job: str, staged: int, told: int, failed: int, why: str | None) -> None:
    """Raise DataError if a row is lost, or too many rows have no prediction."""
    if told != staged:
        raise DataError(f"{batch.uid}: {staged:,} rows were staged, and {told:,} were answered")
    if too_many(failed, staged, batch.max_error_share):
        raise DataError(
            f"{batch.uid}: transform job {job} gave no prediction for {failed:,} of {staged:,} "
            f"rows, {failed / staged:.2%}, and at most {batch.max_error_share:.2%} is allowed; "
            f"one of the errors: {why}"
        )


@dataclass
class TransformJob:
    """A transform job; each object on S3 is one request to the container of the model.

    Attributes
    ----------
    batch : Batch
        Settings of the job.
    name : str
        Name of the job.
    folder : str
        Folder on S3 with its requests and replies.
    say : callable
        Function that prints a line of progress.
    """

    batch: Batch
    name: str
    folder: str
    say: Callable[[str], None]
    _runs: bool = False

    def create(self) -> None:
        """Create the job; raise SageMakerError if AWS refuses."""
        self._runs = True
        try:
            self._create(call)
        except SageMakerError as error:
            if is_missing(error):
                # The model does not exist, or was deleted with its endpoint. A model is free.
                hosting.create_model(self.batch.uid, self.batch.site, self.batch.deployment)
                self._create(call_when_seen)
            elif "already exists" not in str(error):  # the answer to a retry of boto3
                raise
        self.say(f"transform job {self.name} is created")

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
        """Wait for the end of the job.

        Raises
        ------
        SageMakerError
            If the job failed, was stopped, or is not done in time.
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
        """Stop the job if it is running."""
        batch = self.batch
        if self._runs and resources.delete(
            batch.uid, batch.site, resources.TRANSFORM_JOB, self.name
        ):
            self.say(f"transform job {self.name} is stopped")
