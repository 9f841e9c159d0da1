"""What SageMaker still keeps of this library's runs, for whoever is on call: list it, end it.

What a stage makes is marked by tags: the run that made it, and when it is no longer wanted. This
job lists what is marked: endpoints, their configurations, models, and the training and transform
jobs that still run. With ``--delete`` it ends what has expired; without, it changes nothing.

What has no expiry that can be read is ended by ``--run-id ID --all`` alone. Configurations and
models cost nothing, and endpoints stand on them: they are kept while an endpoint or a transform job
of their run stays. Objects that a job which died has left on S3 are in no list of SageMaker's and
are not touched: a lifecycle rule on the prefix of the staging area ends those.

What the caller has to be allowed to do; a deletion, of nothing but what has the tag::

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

import argparse
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from spark_sentiment import job
from spark_sentiment.errors import SageMakerError
from spark_sentiment.sagemaker.aws import Site, region
from spark_sentiment.sagemaker.resources import (
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
from spark_sentiment.summary import table

_PROGRAM = "jobs/endpoints.py"
_STANDS_ON_OTHERS = (ENDPOINT, TRANSFORM_JOB)
_STOOD_ON = (ENDPOINT_CONFIG, MODEL)
_PLANS = ("to delete", "to stop", "to leave alone")
_RESULTS = ("deleted", "stopped", "gone already", "left alone", "could not be deleted")


@dataclass(frozen=True)
class Verdict:
    """What is to become of a resource.

    Attributes
    ----------
    resource : Resource
        What SageMaker has.
    ends : bool
        Whether it is to be deleted; a job, stopped.
    says : str
        The same in words, with the reason where it is kept.
    """

    resource: Resource
    ends: bool
    says: str


def verdicts(found: Sequence[Resource], now: datetime, everything: bool = False) -> list[Verdict]:
    """Say of each resource whether it is to be ended.

    Parameters
    ----------
    found : sequence of Resource
        All that there is of the runs in question: what one run has is judged together.
    now : datetime
        The time, with its zone.
    everything : bool, default False
        Whether what has not expired, or has no expiry, is to end too.

    Examples
    --------
    >>> now = datetime(2026, 3, 1, tzinfo=UTC)
    >>> past, future = now - timedelta(hours=1), now + timedelta(hours=1)
    >>> found = [
    ...     Resource(ENDPOINT, "a", "run-1", past, past, "InService"),
    ...     Resource(ENDPOINT, "b", "run-2", future, past, "InService"),
    ...     Resource(MODEL, "c", "run-2", past, past, ""),
    ... ]
    >>> [verdict.says for verdict in verdicts(found, now)]
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
        # AWS decides, when it is asked: it may have left this status by then.
        return Verdict(one, True, f"delete; AWS may refuse while {one.status}")
    return Verdict(one, True, "stop" if one.kind in JOBS else "delete")


def shown(judged: Sequence[Verdict], now: datetime) -> str:
    """Lay out resources and verdicts as a table."""
    rows = [
        [
            verdict.resource.kind.name,
            verdict.resource.name,
            verdict.resource.status or "-",
            verdict.resource.run_id,
            span(now - verdict.resource.created),
            _expiry(verdict.resource, now),
            verdict.says,
        ]
        for verdict in judged
    ]
    return table(["kind", "name", "status", "run id", "age", "expires", "to do"], rows)


def _expiry(one: Resource, now: datetime) -> str:
    if one.expires is None:
        return "no expiry"
    if one.expired(now):
        return f"{span(now - one.expires)} ago"
    return f"in {span(one.expires - now)}"


def span(time: timedelta) -> str:
    """Spell a span of time by its two largest units.

    Examples
    --------
    >>> span(timedelta(minutes=7)), span(timedelta(hours=3, minutes=5)), span(timedelta(hours=50))
    ('7 min', '3 h 5 min', '2 d 2 h')
    """
    minutes = max(0, int(time.total_seconds() // 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def carried_out(site: Site, judged: Sequence[Verdict]) -> Iterator[tuple[str, str]]:
    """End what is to be ended, whatever becomes of the others; yield the result and a line of each.

    The results are 'deleted', 'stopped', 'gone already', 'could not be deleted' and 'left alone',
    which has no line where it was the verdict.
    """
    where = region(site)
    stays = set()  # runs of which something could not be ended that may stand on the rest
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
            done = "stopped" if one.kind in JOBS else "deleted"
            result = done if was_there else "gone already"
            yield result, f"{result}: {named}"


def counted(what: Sequence[str], order: Sequence[str]) -> str:
    """Say how often each of `order` comes in `what`, where it comes at all.

    Examples
    --------
    >>> counted(["left alone", "deleted", "left alone"], ["deleted", "stopped", "left alone"])
    '3 found: 1 deleted, 2 left alone'
    """
    parts = ", ".join(f"{what.count(one):,} {one}" for one in order if one in what)
    return f"{len(what):,} found: {parts}"


def main(arguments: Sequence[str] | None = None) -> int:
    """List what this library's tags mark in SageMaker, and delete what has expired.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, without the program; by default the process's own.

    Returns
    -------
    int
        Exit code: 0 done, also where nothing was there; 1 a fault, with its traceback; 2 the
        command line or a listing refused, and nothing deleted; 4 something could not be deleted,
        the rest was; 130 stopped.
    """
    given = _parsed(arguments)
    return job.exit_code(
        "endpoints", lambda: _work(given), "what is not named above as deleted is still there"
    )


def _work(given: argparse.Namespace) -> int:
    site = Site(given.region, given.endpoint_url)
    where = region(site)
    with job.Steps()("listing what SageMaker keeps"):
        found = [
            one
            for one in made_here(where, site)
            if given.run_id is None or one.run_id == given.run_id
        ]
    if not found:
        whose = "this library" if given.run_id is None else f"run {given.run_id}"
        job.show(f"Nothing of {whose} was found in {where}.")
        return job.OK
    now = datetime.now(UTC)
    judged = verdicts(found, now, given.all)
    job.show(shown(judged, now) + "\n")
    if given.delete:
        return _ended(site, judged)
    job.show(counted([_planned(verdict) for verdict in judged], _PLANS))
    if any(verdict.ends for verdict in judged):
        job.show(f"Nothing was changed. To delete: {_command(given, where)}")
    return job.OK


def _planned(verdict: Verdict) -> str:
    if not verdict.ends:
        return "to leave alone"
    return "to stop" if verdict.resource.kind in JOBS else "to delete"


def _ended(site: Site, judged: Sequence[Verdict]) -> int:
    results = []
    for result, line in carried_out(site, judged):
        results.append(result)
        if line:
            job.show(line)
    job.show(counted(results, _RESULTS))
    return job.LEFT_OVER if "could not be deleted" in results else job.OK


def _command(given: argparse.Namespace, where: str) -> str:
    """Return the command that deletes what was shown; it names the region, for any other shell."""
    words = ["python", _PROGRAM, "--region", where]
    if given.endpoint_url:
        words += ["--endpoint-url", given.endpoint_url]
    if given.run_id:
        words += ["--run-id", given.run_id]
    return shlex.join([*words, *(["--all"] if given.all else []), "--delete"])


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="List what this library's tags mark in a SageMaker account: endpoints, "
        "endpoint configs, models, and training and transform jobs that still run. Nothing is "
        "changed unless --delete is given, which deletes what has expired and stops expired jobs.",
        epilog="Exit codes: 0 done, 1 a fault, 2 refused, 4 something could not be deleted (the "
        "rest was), 130 stopped. The permissions needed are written at the top of "
        "spark_sentiment/endpoints.py, as a policy to copy.",
        allow_abbrev=False,  # --del must not be enough to delete
    )
    parser.add_argument("--region", help="AWS region; by default that of the environment")
    parser.add_argument(
        "--endpoint-url",
        type=_url,
        metavar="URL",
        help="address that serves SageMaker in place of AWS's own, such as the stand-in's",
    )
    parser.add_argument(
        "--run-id", type=_run_id, metavar="ID", help="look at what this run made, and nothing else"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="with --run-id: also what has not expired, or has no expiry, in use or not",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run", action="store_true", help="say what --delete would do; this is the default"
    )
    what.add_argument(
        "--delete", action="store_true", help="delete what has expired, stop its jobs"
    )
    given = parser.parse_args(arguments)
    if given.all and given.run_id is None:
        parser.error("--all needs --run-id: without it, live endpoints of others would be deleted")
    return given


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"'{text}' is no address such as http://127.0.0.1:8080")
    return text


def _run_id(text: str) -> str:
    # Such as from a variable of the shell that was never set: it must not mean every run.
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text
