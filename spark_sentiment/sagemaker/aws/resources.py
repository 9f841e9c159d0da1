"""Resources of this library in SageMaker and S3: names, tags, listing, deletion."""

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
"""Prefix of the name of every resource, so that a search reads the tags of few resources."""

RUN_ID, EXPIRES = f"{PREFIX}:run-id", f"{PREFIX}:expires"
"""Tags of every resource: the run that created it, and its time of expiry (ISO 8601, UTC)."""

MAX_NAME = 63  # SageMaker's limit for names of resources
_READS = 5  # attempts to read an object
_SPELLED = "%Y-%m-%dT%H:%M:%SZ"


def unique_name(what: str) -> str:
    """Return a unique name of a resource, within SageMaker's limits.

    Parameters
    ----------
    what : str
        Purpose of the resource; characters that SageMaker does not allow in a name become hyphens.

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
    """Return the tags of resources of a run that expire `hours` from now.

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
    """A kind of resource, with the names of SageMaker's operations and keys for it.

    `list` and `delete` are operations; for a job, `delete` stops it. `listed` is the key of the
    list in an answer, and `named`, `arn` and `status` are keys of a resource.
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
"""States of an endpoint in which AWS does not delete it."""

JOBS = (TRAINING_JOB, TRANSFORM_JOB)
"""Kinds that are stopped, not deleted."""

KINDS = (ENDPOINT, *JOBS, ENDPOINT_CONFIG, MODEL)
"""All kinds, in the order of deletion: first those that cost by the hour, then their parts."""


@dataclass(frozen=True)
class Resource:
    """A resource in SageMaker that this library created.

    Attributes
    ----------
    kind : Kind
        Kind of the resource.
    name : str
        Name of the resource.
    run_id : str or None
        Id of the run that created it.
    expires : datetime or None
        Time of expiry; None if the tag is missing or is not a time.
    created : datetime
        Time of creation.
    status : str
        Status in SageMaker, such as 'InService'; empty if the kind has none.
    """

    kind: Kind
    name: str
    run_id: str | None
    expires: datetime | None
    created: datetime
    status: str

    def expired(self, now: datetime) -> bool:
        """Tell whether it has expired at `now`; without an expiry, it never expires."""
        return self.expires is not None and self.expires <= now


def made_here(uid: str, site: Site) -> Iterator[Resource]:
    """List the resources with this library's tags, of all kinds; of jobs, only running ones.

    It costs one request per hundred resources whose name contains `PREFIX`, and one request per
    resource for its tags.

    Raises
    ------
    SageMakerError
        If AWS refuses a request.
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
    """Return a listed resource with its tags; None if it lacks our tags or no longer exists."""
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
    """Delete a resource, or stop a job; return False if it no longer exists or has ended.

    Raises
    ------
    SageMakerError
        If AWS refuses.
    """
    try:
        call(uid, site, kind.delete, **{kind.named: name})
    except SageMakerError as error:
        if is_missing(error) or has_ended(error):
            return False
        raise
    return True


def all_deleted(uid: str, steps: Mapping[str, Callable[[], object]]) -> None:
    """Call every step, also after a failure; then raise one error for all failed steps.

    Raises
    ------
    SageMakerError
        If a step failed. The message has the errors of all failed steps.
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
    """Call every step after a `failure`, also if one fails; add their errors to it as notes.

    Examples
    --------
    >>> failure = ValueError("first")
    >>> clean_up(failure, lambda: split_uri("nowhere"))
    >>> failure.__notes__
    ["'nowhere' is not an S3 URI, such as s3://bucket/folder"]
    """
    for step in steps:
        try:
            step()
        except SageMakerError as left:
            failure.add_note(str(left))


def delete_objects(uid: str, site: Site, uri: str) -> None:
    """Delete all objects in the S3 folder `uri`, and nothing else.

    The prefix of the folder ends in a slash, so that ``run1`` does not match ``run10``.

    Raises
    ------
    SageMakerError
        If AWS refuses, for the folder or for any of its objects.
    """
    bucket, key = split_uri(uri)
    folder = f"{key.strip('/')}/"
    if folder == "/":
        raise SageMakerError(f"{uid}: '{uri}' is a bucket, not a folder in it; nothing was deleted")
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
    """Write an object to S3; raise SageMakerError if AWS refuses."""
    bucket, key = split_uri(uri)
    call(uid, site, "put_object", "s3", Bucket=bucket, Key=key, Body=body)


def get_object(uid: str, site: Site, uri: str) -> bytes | None:
    """Return the content of an object on S3; None if it does not exist.

    Raises
    ------
    SageMakerError
        If AWS refuses, or the connection breaks at each attempt.
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
            # boto3 retries failures before the first byte of the body, not after it.
            if not left:
                raise SageMakerError(f"{uid}: '{uri}' cannot be read: {error}") from error
        else:
            return found


def split_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/key`` into bucket and key; s3a:// and s3n:// mean the same.

    Raises
    ------
    SageMakerError
        If `uri` is not an S3 URI.

    Examples
    --------
    >>> split_uri("s3a://reviews/staging/")
    ('reviews', 'staging')
    """
    match = re.fullmatch(r"s3[an]?://([^/]+)/?(.*)", uri)
    if match is None:
        raise SageMakerError(f"'{uri}' is not an S3 URI, such as s3://bucket/folder")
    return match[1], match[2].strip("/")
