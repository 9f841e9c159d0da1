"""Clients of AWS's services: the one place that imports boto3."""

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

# Seconds within which AWS's parts agree on what there is.
_UNSEEN = 30.0
_SHORT = 4.0  # seconds to wait for an answer that is not needed
NO_ACCOUNT = {"aws_access_key_id": "of-no-account", "aws_secret_access_key": "of-no-account"}
"""What a service on this machine is signed with: a stand-in has no use for real credentials."""


@dataclass(frozen=True)
class Site:
    """Where AWS is.

    Attributes
    ----------
    region : str or None
        AWS region; the environment's where None.
    url : str or None
        Address that serves every service; AWS's own where None.
    """

    region: str | None = None
    url: str | None = None

    @property
    def local(self) -> bool:
        """Whether `url` is a service on this machine, such as the stand-in."""
        host = urlsplit(self.url or "").hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def find_region(site: Site) -> str:
    """Return the region of `site`, or the environment's.

    Raises
    ------
    SetupError
        Where none is set, or AWS's own settings cannot be read.

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
    """Return this process's client of a service; AWS's own rules repeat what fails in passing.

    Raises
    ------
    SetupError
        Where no region is set.
    """
    return _client(service, find_region(site), site, None)


@lru_cache(maxsize=16)
def _client(service: str, where: str, site: Site, seconds: float | None) -> Any:
    """Make a client that repeats requests, or, given `seconds`, asks once and waits so long."""
    if seconds is None:
        return made(service, where, site, retries={"mode": "standard", "total_max_attempts": 8})
    once = {"total_max_attempts": 1}
    return made(service, where, site, retries=once, connect_timeout=seconds, read_timeout=seconds)


def made(service: str, where: str | None, site: Site, **settings: Any) -> Any:
    """Make a client with botocore's `settings`."""
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
        Where AWS refuses it, or cannot be reached: who asked, the operation, and AWS's answer.
    """
    return _sent(client(service, site), uid, operation, request)


def call_once(uid: str, site: Site, operation: str, **request: Any) -> Any:
    """Send a request whose answer is welcome but not needed: once, and for some seconds.

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
    """Send a request about what has just been made, and may not be seen everywhere yet.

    Raises
    ------
    SageMakerError
        As `call`; that something is missing, when it still is after half a minute.
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
    """Tell whether AWS said that what was asked about does not exist."""
    code, message = _told(error)
    return code in ("ResourceNotFound", "ObjectNotFoundException", "404") or (
        code == "ValidationException"
        and any(w in message.lower() for w in ("could not find", "not found", "does not exist"))
    )


def is_denied(error: SageMakerError) -> bool:
    """Tell whether AWS said that who asks may not."""
    return _told(error)[0] in ("AccessDenied", "AccessDeniedException")


def has_ended(error: SageMakerError) -> bool:
    """Tell whether AWS said that the job which was to be stopped does not run any more."""
    _, message = _told(error)
    return re.search(r"job is in status (Completed|Failed|Stopp(ed|ing))\b", message) is not None


def _told(error: SageMakerError) -> tuple[str, str]:
    """Return AWS's code and message; empty where the error is not an answer of AWS's."""
    cause = error.__cause__
    told = cause.response.get("Error", {}) if isinstance(cause, ClientError) else {}
    return str(told.get("Code") or ""), str(told.get("Message") or "")
