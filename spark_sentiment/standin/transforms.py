"""Batch transform: write the answer of a model to each object of a prefix to an output folder."""

import math
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.algorithms.base import Container
from spark_sentiment.standin.errors import ContainerError, JobError, ServiceError
from spark_sentiment.standin.hosting import Hosting
from spark_sentiment.standin.resources import MODEL, TRANSFORM_JOB, Resource, Resources, now

_MB = 2**20
_MOST_MB = 100  # limit of MaxConcurrentTransforms times MaxPayloadInMB


class _StoppedError(Exception):
    """StopTransformJob was called."""


class TransformJobs:
    """The operations of transform jobs.

    Parameters
    ----------
    resources : Resources
        Resources that hold the jobs.
    hosting : Hosting
        Hosting, which loads models.
    """

    def __init__(self, resources: Resources, hosting: Hosting) -> None:
        self._resources, self._hosting = resources, hosting
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateTransformJob": self.create,
            "StopTransformJob": self.stop,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a job."""
        self._resources.find(MODEL, request["ModelName"])
        payload, at_once = request.get("MaxPayloadInMB", 6), request.get("MaxConcurrentTransforms")
        if payload * (at_once or 1) > _MOST_MB:
            raise ServiceError(
                "ValidationException",
                f"MaxConcurrentTransforms * MaxPayloadInMB must not exceed {_MOST_MB} MB",
            )
        split = request["TransformInput"].get("SplitType", "None")
        if request.get("BatchStrategy") == "MultiRecord" and split == "None":
            raise ServiceError("ValidationException", "BatchStrategy MultiRecord needs a SplitType")
        job = self._resources.add(TRANSFORM_JOB, request, TransformJobStatus="InProgress")
        self._resources.start(lambda: self._run(job))
        return {"TransformJobArn": job.arn}

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Stop a job; the outputs that it has written stay."""
        job = self._resources.find(TRANSFORM_JOB, request["TransformJobName"])
        with self._resources.lock:
            if job.status != "InProgress":
                text = f"the transform job is in status {job.status}."
                raise ServiceError(
                    "ValidationException", f"The request was rejected because {text}"
                )
            job.set(TransformJobStatus="Stopping")
        job.stop.set()
        return {}

    def _run(self, job: Resource) -> None:
        try:
            self._pass(job)
            job.set(TransformStartTime=now())
            self._transform(job)
            self._pass(job)
            job.set(TransformJobStatus="Completed", TransformEndTime=now())
        except _StoppedError:
            self._resources.wait()
            job.set(TransformJobStatus="Stopped", TransformEndTime=now())
        except (JobError, ServiceError) as error:
            reason = str(error)[:1024]
            job.set(TransformJobStatus="Failed", FailureReason=reason, TransformEndTime=now())
        except Exception as error:
            traceback.print_exc()
            reason = f"InternalServerError: {type(error).__name__}"
            job.set(TransformJobStatus="Failed", FailureReason=reason, TransformEndTime=now())

    def _transform(self, job: Resource) -> None:
        facts, storage = job.facts, self._resources.storage
        given, wanted = facts["TransformInput"], facts["TransformOutput"]
        _refuse_processing(facts.get("DataProcessing", {}))
        if given.get("CompressionType", "None") != "None":
            raise JobError("ClientError: the stand-in does not read compressed inputs")
        container = self._hosting.load(facts["ModelName"], storage, in_batch=True)
        for uri, below in storage.below(given["DataSource"]["S3DataSource"]):
            batches = _batches(storage.get(uri), facts)
            answers = [_answer(container, batch, facts, uri) for batch in batches]
            if wanted.get("AssembleWith") == "Line":
                answers = [answer.rstrip(b"\n") + b"\n" for answer in answers]
            output = f"{wanted['S3OutputPath'].rstrip('/')}/{below}.out"
            storage.put(output, b"".join(answers))
            if job.stop.is_set():
                raise _StoppedError

    def _pass(self, job: Resource) -> None:
        if job.stop.wait(self._resources.seconds):
            raise _StoppedError


def _refuse_processing(given: Mapping[str, Any]) -> None:
    """Raise JobError if inputs must be filtered, or joined with the answers."""
    filters = {given.get("InputFilter", "$"), given.get("OutputFilter", "$")}
    if filters != {"$"} or given.get("JoinSource", "None") != "None":
        raise JobError("ClientError: the stand-in does not support DataProcessing")


def _batches(body: bytes, facts: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the bodies of the requests for an object."""
    split = facts["TransformInput"].get("SplitType", "None")
    most = facts.get("MaxPayloadInMB", 6) * _MB or math.inf
    records = list(_records(body, split))
    if any(len(record) > most for record in records):
        raise JobError(f"ClientError: a record is larger than MaxPayloadInMB, {most // _MB}")
    if split == "None" or facts.get("BatchStrategy") == "SingleRecord":
        yield from records
        return
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and size + len(record) > most:
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    yield b"".join(batch)


def _records(body: bytes, split: str) -> Sequence[bytes] | Iterator[bytes]:
    if split == "None":
        return [body]
    if split == "Line":
        return [line + b"\n" for line in body.split(b"\n") if line.strip()]
    if split == "RecordIO":
        try:
            return [recordio.frame(message) for message in recordio.frames(body)]
        except ValueError as error:
            raise JobError(f"ClientError: {error}") from error
    raise JobError(f"ClientError: the stand-in does not support SplitType {split}")


def _answer(container: Container, body: bytes, facts: Mapping[str, Any], uri: str) -> bytes:
    kind = facts["TransformInput"].get("ContentType", "")
    try:
        return container(body, kind, facts["TransformOutput"].get("Accept", ""))[0]
    except ContainerError as error:
        raise JobError(
            "ClientError: See job logs for more information. "
            f"{uri}: Bad HTTP status received from algorithm: {error.status}"
        ) from error
