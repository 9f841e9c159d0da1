"""Clients of AWS services; in this package, only this module imports boto3."""

import ipaddress
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from spark_sentiment.errors import SageMakerError, SetupError

try:
    import boto3
except ImportError as error:
    raise SetupError(
        "SageMaker's stages need boto3; install it with: pip install 'spark-sentiment[sagemaker]'"
    ) from error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Seconds after which a new resource is visible to all of AWS's servers (eventual consistency).
_UNSEEN = 30.0
_SHORT = 4.0  # seconds to wait for an answer that the caller can do without
NO_ACCOUNT = {"aws_access_key_id": "of-no-account", "aws_secret_access_key": "of-no-account"}
"""Credentials for a service on this machine, so that real credentials are never sent to it."""


@dataclass(frozen=True)
class Site:
    """Region and address of AWS.

    Attributes
    ----------
    region : str or None
        AWS region; None for the region of the environment.
    url : str or None
        URL that serves every service; None for the URLs of AWS.
    """

    region: str | None = None
    url: str | None = None

    @property
    def local(self) -> bool:
        """Whether `url` is on this machine, as the stand-in is."""
        host = urlsplit(self.url or "").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def find_region(site: Site) -> str:
    """Return the region of `site`, or of the environment if `site` has none.

    Raises
    ------
    SetupError
        If no region is set, or AWS's settings in the environment cannot be read.

    Examples
    --------
    >>> find_region(Site("eu-west-1"))
    'eu-west-1'
    """
    try:
        found = site.region or os.environ.get("AWS_REGION") or boto3.session.Session().region_name
    except BotoCoreError as error:
        raise SetupError(f"AWS's settings in the environment cannot be used: {error}") from error
    if not found:
        if site.local:
            return "us-east-1"
        raise SetupError(
            "no AWS region is set: name one (a stage's Param region, a job's --region), or set "
            "AWS_REGION in the environment"
        )
    return str(found)


def client(service: str, site: Site) -> Any:
    """Return this process's client of a service; boto3 retries transient failures.

    Raises
    ------
    SetupError
        If no region is set.
    """
    return _client(service, find_region(site), site, None)


@lru_cache(maxsize=16)
def _client(service: str, where: str, site: Site, seconds: float | None) -> Any:
    """Create a client that retries, or, with `seconds`, sends once with that timeout."""
    if seconds is None:
        return made(service, where, site, retries={"mode": "standard", "total_max_attempts": 8})
    once = {"total_max_attempts": 1}
    return made(service, where, site, retries=once, connect_timeout=seconds, read_timeout=seconds)


def made(service: str, where: str | None, site: Site, **settings: Any) -> Any:
    """Create a client with botocore's `settings`."""
    credentials = NO_ACCOUNT if site.local else {}
    if site.local:
        settings["s3"] = {"addressing_style": "path"}
    return boto3.client(
        service,
        region_name=where,
        endpoint_url=site.url,
        config=Config(**settings),
        **credentials,
    )


def call(uid: str, site: Site, operation: str, service: str = "sagemaker", **request: Any) -> Any:
    """Send one request of the control plane.

    Raises
    ------
    SageMakerError
        If AWS refuses the request or cannot be reached. The message has `uid`, the operation and
        the answer of AWS.
    """
    return _sent(client(service, site), uid, operation, request)


def call_once(uid: str, site: Site, operation: str, **request: Any) -> Any:
    """Send a request whose answer the caller can do without: once, with a short timeout.

    Raises
    ------
    SageMakerError
        As `call`.
    """
    return _sent(_client("sagemaker", find_region(site), site, _SHORT), uid, operation, request)


def _sent(asked: Any, uid: str, operation: str, request: Mapping[str, Any]) -> Any:
    try:
        return getattr(asked, operation)(**request)
    except (BotoCoreError, ClientError) as error:
        raise SageMakerError(f"{uid}: {operation} failed: {error}") from error


def call_when_seen(uid: str, site: Site, operation: str, **request: Any) -> Any:
    """Send a request about a new resource; retry while AWS does not find the resource.

    Raises
    ------
    SageMakerError
        As `call`; for a missing resource, only if it is still missing after half a minute.
    """
    deadline = time.monotonic() + _UNSEEN
    while True:
        try:
            return call(uid, site, operation, **request)
        except SageMakerError as error:
            if not is_missing(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def is_missing(error: SageMakerError) -> bool:
    """Tell whether AWS answered that the resource does not exist."""
    code, message = _told(error)
    return code in ("ResourceNotFound", "ObjectNotFoundException", "404") or (
        code == "ValidationException"
        and any(w in message.lower() for w in ("could not find", "not found", "does not exist"))
    )


def is_denied(error: SageMakerError) -> bool:
    """Tell whether AWS answered that the caller lacks the permission."""
    return _told(error)[0] in ("AccessDenied", "AccessDeniedException")


def has_ended(error: SageMakerError) -> bool:
    """Tell whether AWS refused to stop a job because it has ended."""
    _, message = _told(error)
    return re.search(r"job is in status (Completed|Failed|Stopp(ed|ing))\b", message) is not None


def _told(error: SageMakerError) -> tuple[str, str]:
    """Return code and message of AWS's answer; both are empty if AWS did not answer."""
    cause = error.__cause__
    told = cause.response.get("Error", {}) if isinstance(cause, ClientError) else {}
    return str(told.get("Code") or ""), str(told.get("Message") or "")
