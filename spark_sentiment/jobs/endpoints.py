"""The endpoints job: list and delete resources that this library's runs left in SageMaker."""

import argparse
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from spark_sentiment.jobs import runner
from spark_sentiment.jobs.summary import table
from spark_sentiment.sagemaker import (
    Resource,
    Site,
    Verdict,
    carry_out,
    find_leftovers,
    find_region,
    format_span,
    judge,
)

_PROGRAM = "jobs/endpoints.py"


_PLANS = ("to delete", "to stop", "to leave alone")


_RESULTS = ("deleted", "stopped", "gone already", "left alone", "could not be deleted")


def shown(judged: Sequence[Verdict], now: datetime) -> str:
    """Format resources and verdicts as a table."""
    rows = [
        [
            verdict.resource.kind.name,
            verdict.resource.name,
            verdict.resource.status or "-",
            verdict.resource.run_id,
            format_span(now - verdict.resource.created),
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
        return f"{format_span(now - one.expires)} ago"
    return f"in {format_span(one.expires - now)}"


def counted(what: Sequence[str], order: Sequence[str]) -> str:
    """Return the number of occurrences in `what` of each of `order` that occurs.

    Examples
    --------
    >>> counted(["left alone", "deleted", "left alone"], ["deleted", "stopped", "left alone"])
    '3 found: 1 deleted, 2 left alone'
    """
    parts = ", ".join(f"{what.count(one):,} {one}" for one in order if one in what)
    return f"{len(what):,} found: {parts}"


def main(arguments: Sequence[str] | None = None) -> int:
    """List the resources with this library's tags in SageMaker, and delete expired ones.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, without the program; by default the process's own.

    Returns
    -------
    int
        Exit code: 0 done, also if there was nothing; 1 a fault, with its traceback; 2 the command
        line or a listing is refused, and nothing was deleted; 4 something could not be deleted,
        the rest was deleted; 130 stopped.
    """
    given = _parsed(arguments)
    return runner.exit_code(
        "endpoints", lambda: _work(given), "only the resources listed above were deleted"
    )


def _work(given: argparse.Namespace) -> int:
    site = Site(given.region, given.endpoint_url)
    where = find_region(site)
    with runner.Steps()("listing resources in SageMaker"):
        found = find_leftovers(site, given.run_id)
    if not found:
        whose = "this library" if given.run_id is None else f"run {given.run_id}"
        runner.show(f"No resources of {whose} were found in {where}.")
        return runner.OK
    now = datetime.now(UTC)
    judged = judge(found, now, given.all)
    runner.show(shown(judged, now) + "\n")
    if given.delete:
        return _ended(site, judged)
    runner.show(counted([_planned(verdict) for verdict in judged], _PLANS))
    if any(verdict.ends for verdict in judged):
        runner.show(f"Nothing was changed. To delete: {_command(given, where)}")
    return runner.OK


def _planned(verdict: Verdict) -> str:
    if not verdict.ends:
        return "to leave alone"
    return "to stop" if verdict.stops else "to delete"


def _ended(site: Site, judged: Sequence[Verdict]) -> int:
    results = []
    for result, line in carry_out(site, judged):
        results.append(result)
        if line:
            runner.show(line)
    runner.show(counted(results, _RESULTS))
    return runner.LEFT_OVER if "could not be deleted" in results else runner.OK


def _command(given: argparse.Namespace, where: str) -> str:
    """Return the command that deletes the listed resources; it names the region."""
    words = ["python", _PROGRAM, "--region", where]
    if given.endpoint_url:
        words += ["--endpoint-url", given.endpoint_url]
    if given.run_id:
        words += ["--run-id", given.run_id]
    return shlex.join([*words, *(["--all"] if given.all else []), "--delete"])


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        description="List the resources in a SageMaker account that have this library's tags: "
        "endpoints, endpoint configs, models, and running training and transform jobs. With "
        "--delete, delete expired resources and stop expired jobs; without it, change nothing.",
        epilog="Exit codes: 0 done, 1 a fault, 2 refused, 4 something could not be deleted (the "
        "rest was deleted), 130 stopped. The docstring of spark_sentiment/sagemaker/janitor.py "
        "holds the permissions that the caller needs, as an IAM policy.",
        allow_abbrev=False,  # --del must not be enough to delete
    )
    parser.add_argument("--region", help="AWS region; by default the region of the environment")
    parser.add_argument(
        "--endpoint-url",
        type=_url,
        metavar="URL",
        help="URL of a server that replaces AWS, such as the stand-in",
    )
    parser.add_argument(
        "--run-id", type=_run_id, metavar="ID", help="list only the resources of this run"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="with --run-id: also resources that have not expired, have no expiry or are in use",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--dry-run", action="store_true", help="show what --delete would do; this is the default"
    )
    what.add_argument(
        "--delete", action="store_true", help="delete expired resources, stop expired jobs"
    )
    given = parser.parse_args(arguments)
    if given.all and given.run_id is None:
        parser.error("--all needs --run-id: without it, live endpoints of others would be deleted")
    return given


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"'{text}' is not a URL such as http://127.0.0.1:8080")
    return text


def _run_id(text: str) -> str:
    # An unset shell variable gives an empty id, which must not select every run.
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text
