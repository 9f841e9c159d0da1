"""Training jobs: create and stop them; a thread for each job runs it through its states.

One process trains on all data of a job, for any number of instances, also for data with
ShardedByS3Key. Checkpoints are not written, and spot jobs are not interrupted.
"""

import math
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from spark_sentiment.standin import algorithms
from spark_sentiment.standin.algorithms.base import Channel, Training
from spark_sentiment.standin.errors import JobError, ServiceError
from spark_sentiment.standin.resources import TRAINING_JOB, Resource, Resources, now
from spark_sentiment.standin.storage import packed, split

_SAYS = {
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading the training image and the input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}


class _EndedError(Exception):
    """The job was stopped or ran out of time; the text is its last SecondaryStatus."""


class TrainingJobs:
    """The operations of training jobs.

    Parameters
    ----------
    resources : Resources
        Resources that hold the jobs.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._failures: list[str] = []
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateTrainingJob": self.create,
            "StopTrainingJob": self.stop,
        }

    def fail_next(self, reason: str) -> None:
        """Make the next job that is created fail with this FailureReason."""
        self._failures.append(reason)

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a job."""
        _check(request)
        job = self._resources.add(
            TRAINING_JOB, request, TrainingJobStatus="InProgress", SecondaryStatusTransitions=[]
        )
        failure = self._failures.pop(0) if self._failures else None
        _enter(job, "Starting")
        self._resources.start(lambda: self._run(job, failure))
        return {"TrainingJobArn": job.arn}

    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """Stop a job; its status is Stopping until it has ended."""
        job = self._resources.find(TRAINING_JOB, request["TrainingJobName"])
        with self._resources.lock:
            if job.status != "InProgress":
                text = f"the training job is in status {job.status}."
                raise ServiceError(
                    "ValidationException", f"The request was rejected because {text}"
                )
            _enter(job, "Stopping", TrainingJobStatus="Stopping")
        job.stop.set()
        return {}

    def _run(self, job: Resource, failure: str | None) -> None:
        try:
            made = self._trained(job, failure)
            self._end(job, "Completed", "Completed", **made)
        except _EndedError as ended:
            self._stopped(job, str(ended))
        except JobError as error:
            if job.stop.is_set():
                self._stopped(job, "Stopped")
            else:
                self._end(job, "Failed", "Failed", FailureReason=str(error)[:1024])
        except Exception as error:
            traceback.print_exc()
            reason = f"AlgorithmError: {type(error).__name__}: {error}"
            self._end(job, "Failed", "Failed", FailureReason=reason[:1024])

    def _stopped(self, job: Resource, secondary: str) -> None:
        with self._resources.lock:
            if job.status == "InProgress":
                _enter(job, "Stopping", TrainingJobStatus="Stopping")
        self._resources.wait()
        self._end(job, "Stopped", secondary)

    def _trained(self, job: Resource, failure: str | None) -> dict[str, Any]:
        """Run a job; return the facts that Describe then adds."""
        facts, storage = job.facts, self._resources.storage
        self._pass(job)
        job.set(TrainingStartTime=now())
        self._step(job, "Downloading")
        algorithm = algorithms.of_image(facts["AlgorithmSpecification"]["TrainingImage"])
        channels = {channel["ChannelName"]: self._channel(channel) for channel in _channels(facts)}
        self._pass(job)
        self._step(job, "Training")
        algorithm.refuse_formats(channels)
        values = algorithm.checked(facts.get("HyperParameters", {}))
        trained = algorithm.train(Training(values, channels, algorithm.formats[0]))
        self._pass(job)
        if failure is not None:
            raise JobError(failure)
        self._step(job, "Uploading")
        output = facts["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        artifact = f"{output}/{job.name}/output/model.tar.gz"
        storage.put(artifact, packed(trained.files))
        self._pass(job)
        metrics = [
            {"MetricName": name, "Value": value, "Timestamp": now()}
            for name, value in trained.metrics.items()
        ]
        return {
            "ModelArtifacts": {"S3ModelArtifacts": artifact},
            "FinalMetricDataList": metrics,
        }

    def _channel(self, config: Mapping[str, Any]) -> Channel:
        storage = self._resources.storage
        source = config["DataSource"].get("S3DataSource")
        if source is None:
            raise JobError("ClientError: the stand-in reads only inputs on S3")
        if config.get("CompressionType") == "Gzip":
            raise JobError("ClientError: the stand-in does not read compressed inputs")
        bodies = [storage.get(uri) for uri, _ in storage.below(source)]
        return Channel(config["ChannelName"], config.get("ContentType"), bodies)

    def _pass(self, job: Resource) -> None:
        """Wait for the end of a state; raise _EndedError if the job is stopped or out of time."""
        limits = job.facts["StoppingCondition"]
        ends = [(math.inf, "")]
        if job.facts.get("EnableManagedSpotTraining"):
            begun = job.facts["CreationTime"]
            ends.append((_deadline(begun, limits["MaxWaitTimeInSeconds"]), "MaxWaitTimeExceeded"))
        if "TrainingStartTime" in job.facts:
            begun = job.facts["TrainingStartTime"]
            runtime = limits.get("MaxRuntimeInSeconds", 86_400)
            ends.append((_deadline(begun, runtime), "MaxRuntimeExceeded"))
        end, why = min(ends)
        job.stop.wait(max(0.0, min(self._resources.seconds, end - time.time())))
        if job.stop.is_set():
            raise _EndedError("Stopped")
        if time.time() >= end:
            raise _EndedError(why)

    def _step(self, job: Resource, secondary: str) -> None:
        """Enter the next state, unless the job is being stopped."""
        with self._resources.lock:
            if job.status == "InProgress":
                _enter(job, secondary)

    def _end(self, job: Resource, status: str, secondary: str, **facts: Any) -> None:
        with self._resources.lock:
            ended = now()
            if "TrainingStartTime" in job.facts:
                took = (ended - job.facts["TrainingStartTime"]).total_seconds()
                whole = max(1, math.ceil(took))
                facts |= {"TrainingEndTime": ended, "TrainingTimeInSeconds": whole}
                facts["BillableTimeInSeconds"] = whole
            _enter(job, secondary, TrainingJobStatus=status, **facts)


def _enter(job: Resource, secondary: str, **facts: Any) -> None:
    """Begin a state and set its facts; a final state also ends at once."""
    time, transitions = now(), list(job.facts["SecondaryStatusTransitions"])
    if transitions:
        transitions[-1] = {**transitions[-1], "EndTime": time}
    transitions.append({"Status": secondary, "StartTime": time, "StatusMessage": _SAYS[secondary]})
    if facts.get("TrainingJobStatus", "Stopping") != "Stopping":
        transitions[-1]["EndTime"] = time
    job.set(SecondaryStatus=secondary, SecondaryStatusTransitions=transitions, **facts)


def _deadline(begun: datetime, seconds: int) -> float:
    return begun.timestamp() + seconds


def _channels(request: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(request.get("InputDataConfig", []))


def _check(request: Mapping[str, Any]) -> None:
    """Raise ServiceError for requests that botocore's model allows and the service does not."""
    # They are optional in the model, for kinds of training without an image.
    for name in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if name not in request:
            where = name[0].lower() + name[1:]
            told = f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
            raise _invalid(f"1 validation error detected: {told}")
    specification = request["AlgorithmSpecification"]
    if "AlgorithmName" in specification or "TrainingImage" not in specification:
        raise _invalid("the stand-in needs TrainingImage; it does not support AlgorithmName")
    resources = request["ResourceConfig"]
    if "InstanceGroups" not in resources and not (
        resources.get("InstanceType") and resources.get("InstanceCount")
    ):
        raise _invalid("ResourceConfig needs InstanceType and InstanceCount")
    limits = request["StoppingCondition"]
    wait, run = limits.get("MaxWaitTimeInSeconds"), limits.get("MaxRuntimeInSeconds", 86_400)
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < run:
            raise _invalid(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds"
            )
    elif wait:
        raise _invalid(
            "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is "
            "set to true"
        )
    names = [channel["ChannelName"] for channel in _channels(request)]
    if len(set(names)) < len(names):
        raise _invalid("Channel names must be unique.")
    for uri in [request["OutputDataConfig"]["S3OutputPath"]]:
        try:
            split(uri)
        except JobError as error:
            raise _invalid(f"S3OutputPath {uri} is not an S3 URI") from error


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
