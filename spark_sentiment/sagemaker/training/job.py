"""Create a training job, wait for it, and stop it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_sentiment.errors import SageMakerError
from spark_sentiment.sagemaker.aws import resources
from spark_sentiment.sagemaker.aws.clients import Site, call, call_when_seen
from spark_sentiment.sagemaker.aws.waits import looks


@dataclass
class TrainingJob:
    """A training job.

    Attributes
    ----------
    uid : str
        Id of the stage, which begins messages.
    site : Site
        Region and address of AWS.
    more : mapping
        Additions to the request of sagemaker_pyspark, with the keys of CreateTrainingJob. Mappings
        in it are merged with those of the request, and lists are appended.
    timeout : float
        Seconds to wait for the end, including queues and the start of machines.
    say : callable
        Function that prints a line of progress.
    """

    uid: str
    site: Site
    more: Mapping[str, Any]
    timeout: float
    say: Callable[[str], None]
    name: str | None = None
    _said: set[str] = field(default_factory=set)

    def create(self, request: Mapping[str, Any]) -> None:
        """Create the job; raise SageMakerError if AWS refuses."""
        call(self.uid, self.site, "create_training_job", **joined(request, self.more))
        self.name = request["TrainingJobName"]
        self.say(f"training job {self.name} is created")

    def finished(self) -> str:
        """Wait for the end of the job; return the S3 URI of its model.

        Raises
        ------
        SageMakerError
            If the job failed, was stopped, or is not done in time; the caller then stops it.
        """
        for seconds in looks(self.timeout):
            found = call_when_seen(
                self.uid, self.site, "describe_training_job", TrainingJobName=self.name
            )
            self._tell(found, seconds)
            status = found["TrainingJobStatus"]
            if status == "Completed":
                return str(found["ModelArtifacts"]["S3ModelArtifacts"])
            if status in ("Failed", "Stopped"):
                name, self.name = self.name, None  # the job has ended: `stop` must not stop it
                why = found.get("FailureReason") or found.get("SecondaryStatus")
                raise SageMakerError(f"{self.uid}: training job {name} {status.lower()}: {why}")
        raise SageMakerError(
            f"{self.uid}: training job {self.name} was not done after {self.timeout:,.0f} "
            f"s ({found.get('SecondaryStatus')}) and is stopped; raise Param fitTimeout"
        )

    def stop(self) -> None:
        """Stop the job if it is running."""
        kind = resources.TRAINING_JOB
        if self.name is not None and resources.delete(self.uid, self.site, kind, self.name):
            self.say(f"training job {self.name} is stopped")

    def _tell(self, found: Mapping[str, Any], seconds: float) -> None:
        """Print each new state, and each new value of a metric."""
        metrics = found.get("FinalMetricDataList", ())
        lines = [
            str(found.get("SecondaryStatus", found["TrainingJobStatus"])),
            *(f"{metric['MetricName']} = {metric['Value']:.5g}" for metric in metrics),
        ]
        for line in lines:
            if line not in self._said:
                self._said.add(line)
                self.say(f"[{seconds:5.0f} s] {line}")


def joined(request: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return `request` merged with `more`.

    Examples
    --------
    >>> joined({"a": {"b": 1}, "c": [1]}, {"a": {"d": 2}, "c": [2]})
    {'a': {'b': 1, 'd': 2}, 'c': [1, 2]}
    """
    whole = dict(request)
    for key, value in more.items():
        there = whole.get(key)
        if isinstance(there, Mapping):
            value = joined(there, value)
        elif isinstance(there, list):
            value = [*there, *value]
        whole[key] = value
    return whole
