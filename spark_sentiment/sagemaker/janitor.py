"""Find and delete resources that this library's runs have left in SageMaker.

Each resource that a stage creates has tags: its run, and its time of expiry. The janitor lists the
resources with these tags: endpoints, their configurations, models, and running training and
transform jobs. With ``--delete`` it deletes expired resources and stops expired jobs. Without it,
it changes nothing.

Only ``--run-id ID --all`` deletes a resource without a readable expiry. Configurations and models
cost nothing, and endpoints need them: the janitor keeps them while an endpoint or a transform job
of their run exists. It does not delete objects on S3 that a killed job has left, because SageMaker
does not list them: a lifecycle rule on the prefix of the staging folder deletes those.

The caller needs these permissions; it may delete only resources with the tag::

    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Action": [
            "sagemaker:ListEndpoints",
            "sagemaker:ListEndpointConfigs",
            "sagemaker:ListModels",
            "sagemaker:ListTrainingJobs",
            "sagemaker:ListTransformJobs",
            "sagemaker:ListTags"
          ],
          "Resource": "*"
        },
        {
          "Effect": "Allow",
          "Action": [
            "sagemaker:DeleteEndpoint",
            "sagemaker:DeleteEndpointConfig",
            "sagemaker:DeleteModel",
            "sagemaker:StopTrainingJob",
            "sagemaker:StopTransformJob"
          ],
          "Resource": "*",
          "Condition": {"Null": {"aws:ResourceTag/spark-sentiment:run-id": "false"}}
        }
      ]
    }

For a dry run the first statement is enough.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from spark_sentiment.errors import SageMakerError
from spark_sentiment.sagemaker.aws.clients import Site, find_region
from spark_sentiment.sagemaker.aws.resources import (
    CHANGING,
    ENDPOINT,
    ENDPOINT_CONFIG,
    JOBS,
    MODEL,
    TRANSFORM_JOB,
    Resource,
    delete,
    made_here,
)

_STANDS_ON_OTHERS = (ENDPOINT, TRANSFORM_JOB)
_STOOD_ON = (ENDPOINT_CONFIG, MODEL)


@dataclass(frozen=True)
class Verdict:
    """Decision about a resource.

    Attributes
    ----------
    resource : Resource
        The resource in SageMaker.
    ends : bool
        Whether to delete it, or to stop it if it is a job.
    says : str
        The decision in words, with the reason if the resource is kept.
    """

    resource: Resource
    ends: bool
    says: str

    @property
    def stops(self) -> bool:
        """Whether the resource is a job, which is stopped instead of deleted."""
        return self.resource.kind in JOBS


def find_leftovers(site: Site, run_id: str | None = None) -> list[Resource]:
    """Return the resources with this library's tags at `site`; with `run_id`, only of this run."""
    found = made_here(find_region(site), site)
    return [one for one in found if run_id is None or one.run_id == run_id]


def judge(found: Sequence[Resource], now: datetime, everything: bool = False) -> list[Verdict]:
    """Decide for each resource whether to delete it.

    Parameters
    ----------
    found : sequence of Resource
        All resources of the runs, because the resources of one run depend on one another.
    now : datetime
        The time, with its zone.
    everything : bool, default False
        Whether to delete resources that have not expired, or have no expiry, too.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2026, 3, 1, tzinfo=UTC)
    >>> past, future = now - timedelta(hours=1), now + timedelta(hours=1)
    >>> found = [
    ...     Resource(ENDPOINT, "a", "run-1", past, past, "InService"),
    ...     Resource(ENDPOINT, "b", "run-2", future, past, "InService"),
    ...     Resource(MODEL, "c", "run-2", past, past, ""),
    ... ]
    >>> [verdict.says for verdict in judge(found, now)]
    ['delete', 'keep: not expired', 'keep: its run still uses it']
    """
    stays = {
        one.run_id
        for one in found
        if one.kind in _STANDS_ON_OTHERS and one.status != "Deleting"
        if not (everything or one.expired(now))
    }
    return [_verdict(one, now, everything, one.run_id in stays) for one in found]


def _verdict(one: Resource, now: datetime, everything: bool, used: bool) -> Verdict:
    if one.status == "Deleting":
        return Verdict(one, False, "nothing: already being deleted")
    if not everything and one.expires is None:
        return Verdict(one, False, "keep: no expiry")
    if not everything and not one.expired(now):
        return Verdict(one, False, "keep: not expired")
    if used and one.kind in _STOOD_ON:
        return Verdict(one, False, "keep: its run still uses it")
    if one.kind is ENDPOINT and one.status in CHANGING:
        # AWS decides at the call: the status may have changed by then.
        return Verdict(one, True, f"delete; AWS may refuse while {one.status}")
    return Verdict(one, True, "stop" if one.kind in JOBS else "delete")


def format_span(time: timedelta) -> str:
    """Write a duration in its two largest units.

    Examples
    --------
    >>> spans = timedelta(minutes=7), timedelta(hours=3, minutes=5), timedelta(hours=50)
    >>> [format_span(span) for span in spans]
    ['7 min', '3 h 5 min', '2 d 2 h']
    """
    minutes = max(0, int(time.total_seconds() // 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def carry_out(site: Site, judged: Sequence[Verdict]) -> Iterator[tuple[str, str]]:
    """Delete or stop resources, each independently; yield the result and a line for each.

    The results are 'deleted', 'stopped', 'gone already', 'could not be deleted' and 'left alone'.
    The line is empty if the decision was to leave the resource alone.
    """
    where = find_region(site)
    stays = set()  # runs with a resource that could not be deleted and may need the others
    for verdict in judged:
        one = verdict.resource
        named = f"{one.kind.name} {one.name}"
        if not verdict.ends:
            yield "left alone", ""
        elif one.run_id in stays and one.kind in _STOOD_ON:
            yield "left alone", f"left alone: {named}: its run still uses it"
        else:
            try:
                was_there = delete(where, site, one.kind, one.name)
            except SageMakerError as error:
                if one.kind in _STANDS_ON_OTHERS:
                    stays.add(one.run_id)
                yield "could not be deleted", f"could not be deleted: {named}: {error}"
                continue
            done = "stopped" if verdict.stops else "deleted"
            result = done if was_there else "gone already"
            yield result, f"{result}: {named}"
