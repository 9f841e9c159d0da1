"""What SageMaker keeps for this library: names, tags, how it is deleted, and what is left over."""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from spark_sentiment.errors import SageMakerError
from spark_sentiment.sagemaker.aws.clients import Site, call, client, has_ended, is_missing

PREFIX = "spark-sentiment"
"""How the name of every resource begins, so that few tags have to be read to find them."""

RUN_ID, EXPIRES = f"{PREFIX}:run-id", f"{PREFIX}:expires"
"""Tags of every resource: the run that made it, and when it is no longer wanted (ISO 8601, UTC)."""

MAX_NAME = 63  # of every resource that is made here
_READS = 5  # of an object, before it is given up
_SPELLED = "%Y-%m-%dT%H:%M:%SZ"


def unique_name(what: str) -> str:
    """Return a name that no other resource has, within SageMaker's limits.

    Parameters
    ----------
    what : str
        What it is for; what SageMaker does not take in a name becomes a hyphen.

    Examples
    --------
    >>> name = unique_name("xgboost multiclass!")
    >>> name.startswith("spark-sentiment-xgboost-multiclass-"), len(name) <= MAX_NAME
    (True, True)
    """
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    ending = f"{now}-{secrets.token_hex(4)}"
    room = MAX_NAME - len(PREFIX) - len(ending) - 2
    middle = re.sub(r"[^a-zA-Z0-9]+", "-", what)[:room].strip("-")
    return f"{PREFIX}-{middle}-{ending}"


def tags(run_id: str, hours: float, more: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the tags of what a run makes, to be wanted for so many hours from now.

    Examples
    --------
    >>> [tag["Key"] for tag in tags("run-1", 24, {"team": "reviews"})]
    ['spark-sentiment:run-id', 'spark-sentiment:expires', 'team']
    """
    until = datetime.now(UTC) + timedelta(hours=hours)
    own = {RUN_ID: run_id, EXPIRES: until.strftime(_SPELLED)}
    return [{"Key": key, "Value": value} for key, value in {**own, **more}.items()]


@dataclass(frozen=True)
class Kind:
    """A kind of resource: how SageMaker's operations on it are called.

    `listed` is the key of a listing and `named` the one of a name; `delete` is the operation that
    ends it, which for a job means to stop it.
    """

    name: str
    list: str
    listed: str
    named: str
    arn: str
    delete: str
    status: str | None = None


ENDPOINT = Kind(
    "endpoint",
    "list_endpoints",
    "Endpoints",
    "EndpointName",
    "EndpointArn",
    "delete_endpoint",
    "EndpointStatus",
)
ENDPOINT_CONFIG = Kind(
    "endpoint config",
    "list_endpoint_configs",
    "EndpointConfigs",
    "EndpointConfigName",
    "EndpointConfigArn",
    "delete_endpoint_config",
)
MODEL = Kind("model", "list_models", "Models", "ModelName", "ModelArn", "delete_model")
TRAINING_JOB = Kind(
    "training job",
    "list_training_jobs",
    "TrainingJobSummaries",
    "TrainingJobName",
    "TrainingJobArn",
    "stop_training_job",
    "TrainingJobStatus",
)
TRANSFORM_JOB = Kind(
    "transform job",
    "list_transform_jobs",
    "TransformJobSummaries",
    "TransformJobName",
    "TransformJobArn",
    "stop_transform_job",
    "TransformJobStatus",
)

CHANGING = ("Creating", "Updating", "SystemUpdating", "RollingBack")
"""States of an endpoint in which it is not deleted."""

JOBS = (TRAINING_JOB, TRANSFORM_JOB)
"""Kinds that are stopped, not deleted."""

KINDS = (ENDPOINT, *JOBS, ENDPOINT_CONFIG, MODEL)
"""In the order in which they are deleted: what costs by the hour, then what it is made of."""


@dataclass(frozen=True)
class Resource:
    """Something that this library made and SageMaker still has.

    Attributes
    ----------
    kind : Kind
        What it is.
    name : str
        Its name.
    run_id : str or None
        The run that made it.
    expires : datetime or None
        When it is no longer wanted; None where its tag is missing or says no time.
    created : datetime
        When it was made.
    status : str
        As SageMaker calls it, such as 'InService'; empty where the kind has none.
    """

    kind: Kind
    name: str
    run_id: str | None
    expires: datetime | None
    created: datetime
    status: str

    def expired(self, now: datetime) -> bool:
        """Whether it is no longer wanted at `now`; without an expiry it never is."""
        return self.expires is not None and self.expires <= now


def made_here(uid: str, site: Site) -> Iterator[Resource]:
    """List what this library's tags mark, of all kinds; of jobs, those that still run.

    Cost: a request for each hundred resources whose name begins as ours do, and one for the tags of
    each.

    Raises
    ------
    SageMakerError
        Where AWS refuses a request.
    """
    for kind in KINDS:
        asked: dict[str, Any] = {"NameContains": PREFIX, "MaxResults": 100}
        if kind in JOBS:
            asked["StatusEquals"] = "InProgress"
        while True:
            page = call(uid, site, kind.list, **asked)
            for found in page[kind.listed]:
                resource = _marked(uid, site, kind, found)
                if resource is not None:
                    yield resource
            if not page.get("NextToken"):
                break
            asked["NextToken"] = page["NextToken"]


def _marked(uid: str, site: Site, kind: Kind, found: Mapping[str, Any]) -> Resource | None:
    """Return a listed resource with its tags; None where it has none of ours, or is gone."""
    try:
        told = call(uid, site, "list_tags", ResourceArn=found[kind.arn])["Tags"]
    except SageMakerError as error:
        if is_missing(error):
            return None
        raise
    tagged = {tag["Key"]: tag["Value"] for tag in told}
    if RUN_ID not in tagged:
        return None
    return Resource(
        kind,
        found[kind.named],
        tagged[RUN_ID],
        _time(tagged.get(EXPIRES, "")),
        found["CreationTime"],
        found.get(kind.status or "", ""),
    )


def _time(spelled: str) -> datetime | None:
    try:
        return datetime.strptime(spelled, _SPELLED).replace(tzinfo=UTC)
    except ValueError:
        return None


def delete(uid: str, site: Site, kind: Kind, name: str) -> bool:
    """Delete a resource, or stop a job; return False where it is gone, or has ended, already.

    Raises
    ------
    SageMakerError
        Where AWS refuses.
    """
    try:
        call(uid, site, kind.delete, **{kind.named: name})
    except SageMakerError as error:
        if is_missing(error) or has_ended(error):
            return False
        raise
    return True


def all_deleted(uid: str, steps: Mapping[str, Callable[[], object]]) -> None:
    """Take every step, whatever the others do; then say which of them failed.

    Raises
    ------
    SageMakerError
        Where a step failed, with what each of those said.
    """
    failed = []
    for what, step in steps.items():
        try:
            step()
        except SageMakerError as error:
            failed.append(f"{what}: {error}")
    if failed:
        raise SageMakerError(f"{uid}: not everything could be deleted: {'; '.join(failed)}")


def clean_up(failure: BaseException, *steps: Callable[[], object]) -> None:
    """Take every step after a `failure`, whatever the others do; note on it what they fail with.

    Examples
    --------
    >>> failure = ValueError("first")
    >>> clean_up(failure, lambda: split_uri("nowhere"))
    >>> failure.__notes__
    ["'nowhere' is no address of S3, such as s3://bucket/folder"]
    """
    for step in steps:
        try:
            step()
        except SageMakerError as left:
            failure.add_note(str(left))


def delete_objects(uid: str, site: Site, uri: str) -> None:
    """Delete what lies below the folder `uri` of S3, and nothing else.

    A folder is a prefix that ends in a slash: ``run1`` is not taken for a part of ``run10``.

    Raises
    ------
    SageMakerError
        Where AWS refuses, for the folder or for any object of it.
    """
    bucket, key = split_uri(uri)
    folder = f"{key.strip('/')}/"
    if folder == "/":
        raise SageMakerError(f"{uid}: '{uri}' names a whole bucket; nothing of it was deleted")
    pages = client("s3", site).get_paginator("list_objects_v2")
    try:
        found = [
            {"Key": item["Key"]}
            for page in pages.paginate(Bucket=bucket, Prefix=folder)
            for item in page.get("Contents", ())
        ]
    except (BotoCoreError, ClientError) as error:
        raise SageMakerError(f"{uid}: '{uri}' cannot be listed: {error}") from error
    for start in range(0, len(found), 1000):
        some = found[start : start + 1000]
        told = call(uid, site, "delete_objects", "s3", Bucket=bucket, Delete={"Objects": some})
        if told.get("Errors"):
            first = told["Errors"][0]
            raise SageMakerError(
                f"{uid}: {len(told['Errors'])} objects below '{uri}' could not be deleted, "
                f"the first with {first.get('Code')}"
            )


def put_object(uid: str, site: Site, uri: str, body: bytes) -> None:
    """Write an object of S3; SageMakerError where AWS refuses."""
    bucket, key = split_uri(uri)
    call(uid, site, "put_object", "s3", Bucket=bucket, Key=key, Body=body)


def get_object(uid: str, site: Site, uri: str) -> bytes | None:
    """Return an object of S3; None where there is none.

    Raises
    ------
    SageMakerError
        Where AWS refuses, or the line breaks again and again.
    """
    bucket, key = split_uri(uri)
    left = _READS
    while True:
        left -= 1
        try:
            found: bytes = client("s3", site).get_object(Bucket=bucket, Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError):
                if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                    return None
                left = 0
            # boto3 repeats what fails before the first byte, not after it.
            if not left:
                raise SageMakerError(f"{uid}: '{uri}' cannot be read: {error}") from error
        else:
            return found


def split_uri(uri: str) -> tuple[str, str]:
    """Take ``s3://bucket/key`` apart; s3a:// and s3n:// mean the same.

    Raises
    ------
    SageMakerError
        Where `uri` is none of S3.

    Examples
    --------
    >>> split_uri("s3a://reviews/staging/")
    ('reviews', 'staging')
    """
    match = re.fullmatch(r"s3[an]?://([^/]+)/?(.*)", uri)
    if match is None:
        raise SageMakerError(f"'{uri}' is no address of S3, such as s3://bucket/folder")
    return match[1], match[2].strip("/")
