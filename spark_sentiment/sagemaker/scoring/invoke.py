"""Call an endpoint, with retries and time-outs.

`Caller` sends a request and receives the answer on the same connection. `AsyncCaller` puts the
request on S3 and polls S3 for the answer. `Service` and `AsyncService` hold the settings.

Messages of this module never contain the content of requests or answers, because an error of a
container may quote a review.
"""

import random
import re
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from spark_sentiment.sagemaker.aws import clients as aws
from spark_sentiment.sagemaker.aws.resources import split_uri
from spark_sentiment.sagemaker.aws.waits import pauses

MAX_BYTES = 6_291_456
"""Largest size in bytes of a request to a real-time endpoint (4 MB for a serverless one)."""

_PASSING = frozenset({424, 429})  # retried, as all statuses from 500 on
_THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
_BROKEN_LINE = (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 20.0
_FREE_RETRIES = 20  # retries of a task that do not count against its budget
_SHORTEST_LIFE, _LONGEST_LIFE, _LONGEST_CALL = 60, 21_600, 3_600  # AWS's limits, in seconds


@dataclass(frozen=True)
class Service:
    """Settings of the calls of an endpoint, without credentials.

    Attributes
    ----------
    endpoint : str
        Name of the endpoint.
    site : Site
        AWS region, and address of the service.
    variant : str or None
        Production variant to call; None to choose by the weights.
    content_type, accept : str
        Content types of requests and of replies.
    timeout : float
        Seconds to wait for an answer.
    connections : int
        Number of concurrent requests of a process.
    attempts : int
        Largest number of times that a request is sent.
    budget : float
        Retries of a task per request, beyond its first twenty retries.
    """

    endpoint: str
    content_type: str
    accept: str
    site: aws.Site
    variant: str | None
    timeout: float
    connections: int
    attempts: int
    budget: float

    def caller(self) -> "Caller":
        """Return the caller for one task."""
        client(self)  # created in one thread: creating boto3 clients is not thread-safe
        return Caller(self)


@dataclass(frozen=True)
class AsyncService(Service):
    """Settings of the calls of an endpoint that reads requests from S3 and writes answers to it.

    Attributes
    ----------
    inputs : str
        Folder on S3 for requests until they are answered.
    """

    inputs: str

    def caller(self) -> "AsyncCaller":
        """Return the caller for one task."""
        client(self)
        _storage(self)
        return AsyncCaller(self)


@dataclass(frozen=True)
class Answer:
    """Answer of an endpoint: a body and the variant that answered, or an error.

    `refused` tells that the container of the model rejected the request. A part of the request may
    then succeed.
    """

    body: bytes = b""
    variant: str | None = None
    error: str | None = None
    refused: bool = False


@dataclass
class Caller:
    """Calls an endpoint for one task, from several threads.

    A transient failure (throttling, 424, 429, 5xx, a time-out, a broken connection) is retried
    after a random wait. The upper bound of the wait doubles with each attempt, up to 20 s.
    `Service.budget` also limits the retries of the whole task, so that a task does not overload an
    endpoint that is down.

    Attributes
    ----------
    service : Service
        Settings of the calls.
    """

    service: Service
    _requests: int = 0
    _retries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, body: bytes) -> Answer:
        """Send `body`; retry until it is answered or rejected, or no attempt is left."""
        with self._lock:
            self._requests += 1
        told = ""
        for attempt in range(1, self.service.attempts + 1):
            try:
                return self._sent(body)
            except (BotoCoreError, ClientError) as error:
                told = f"{says(error)} after {attempt} attempt{'s' if attempt > 1 else ''}"
                if not passes(error):
                    return Answer(error=told, refused=_container_refuses(error))
            if attempt == self.service.attempts:
                break
            if not self._may_retry():
                return Answer(error=f"{told}; the task's budget of retries is spent")
            time.sleep(random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**attempt)))
        return Answer(error=told)

    def _sent(self, body: bytes) -> Answer:
        service = self.service
        target = {"TargetVariant": service.variant} if service.variant else {}
        found = client(service).invoke_endpoint(
            EndpointName=service.endpoint,
            ContentType=service.content_type,
            Accept=service.accept,
            Body=body,
            **target,
        )
        return Answer(found["Body"].read(), found.get("InvokedProductionVariant"))

    def _may_retry(self) -> bool:
        with self._lock:
            if self._retries >= _FREE_RETRIES + self.service.budget * self._requests:
                return False
            self._retries += 1
            return True


@dataclass
class AsyncCaller(Caller):
    """Calls an asynchronous endpoint for one task, from several threads.

    Transient failures are retried as by `Caller`, also a failure of the container that AWS wrote to
    S3. If no answer arrives within `AsyncService.timeout`, the request is not retried: it may still
    be in the queue of the endpoint, and a retry would make the queue longer. Requests and answers
    are deleted from S3 when they have been read.

    Attributes
    ----------
    service : AsyncService
        Settings of the calls.
    """

    service: AsyncService

    def _sent(self, body: bytes) -> Answer:
        service = self.service
        bucket, folder = split_uri(service.inputs)
        place = {"Bucket": bucket, "Key": f"{folder}/{uuid.uuid4().hex}"}
        _storage(service).put_object(Body=body, **place)
        try:
            found = client(service).invoke_endpoint_async(
                EndpointName=service.endpoint,
                ContentType=service.content_type,
                Accept=service.accept,
                InputLocation=f"s3://{place['Bucket']}/{place['Key']}",
                RequestTTLSeconds=round(min(max(service.timeout, _SHORTEST_LIFE), _LONGEST_LIFE)),
                InvocationTimeoutSeconds=round(min(max(service.timeout, 1), _LONGEST_CALL)),
            )
            return self._awaited(found["OutputLocation"], found.get("FailureLocation"))
        finally:
            self._delete(place)

    def _awaited(self, output: str, failure: str | None) -> Answer:
        """Poll S3 for the answer or the failure until one of them exists, or time is up."""
        end = time.monotonic() + self.service.timeout
        for pause in pauses():
            time.sleep(min(pause, max(0.0, end - time.monotonic())))
            found = self._taken(output)
            if found is not None:
                return Answer(found)
            failed = self._taken(failure) if failure else None
            if failed is not None:
                return _failure(failed)
            if time.monotonic() >= end:
                break
        return Answer(error=f"no answer within {self.service.timeout:,g} s")

    def _taken(self, uri: str) -> bytes | None:
        """Read an object and delete it; return None if it does not exist yet."""
        bucket, key = split_uri(uri)
        place = {"Bucket": bucket, "Key": key}
        try:
            body: bytes = _storage(self.service).get_object(**place)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise
        self._delete(place)
        return body

    def _delete(self, place: dict[str, str]) -> None:
        # A failure is ignored: `deleteResources` deletes the whole folder.
        with suppress(BotoCoreError, ClientError):
            _storage(self.service).delete_object(**place)


def _failure(told: bytes) -> Answer:
    """Return the answer for a failure that AWS wrote to S3, or raise it if it is transient.

    The text of the failure is not used in messages. If it names a server error, as in "Received
    server error (503) from primary", the error is raised as a real-time endpoint would return it.
    Any other failure may be caused by a part of the request.
    """
    said = re.search(rb"server error \((5\d\d)\)", told)
    if said is None:
        return Answer(error="the endpoint wrote a failure", refused=True)
    raise ClientError(
        {
            "Error": {"Code": "ModelError", "Message": "written to S3"},
            "ResponseMetadata": {"HTTPStatusCode": 424},
            "OriginalStatusCode": int(said[1]),
        },
        "InvokeEndpointAsync",
    )


def passes(error: Exception) -> bool:
    """Tell whether an error is transient, so that the same request may succeed later.

    Examples
    --------
    >>> passes(ClientError({"Error": {"Code": "ValidationError", "Message": "no such endpoint"},
    ...                     "ResponseMetadata": {"HTTPStatusCode": 400}}, "InvokeEndpoint"))
    False
    >>> passes(ClientError({"Error": {"Code": "400", "Message": None},
    ...                     "ResponseMetadata": {"HTTPStatusCode": 400}}, "InvokeEndpoint"))
    True
    """
    if not isinstance(error, ClientError):
        return isinstance(error, _BROKEN_LINE)
    status, code = _status(error), error.response.get("Error", {}).get("Code")
    if status in _PASSING or status >= 500 or code in _THROTTLED:
        return not _container_refuses(error)
    # Throttling of SageMaker's runtime arrives as a 400 without a message.
    return status == 400 and not error.response.get("Error", {}).get("Message")


def says(error: Exception) -> str:
    """Return status and code of an error, or its class, but never its message."""
    if not isinstance(error, ClientError):
        return type(error).__name__
    original = error.response.get("OriginalStatusCode")
    container = f" (the container's {original})" if original else ""
    return f"HTTP {_status(error)} {error.response.get('Error', {}).get('Code')}{container}"


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _container_refuses(error: Exception) -> bool:
    """Tell whether the container of the model rejected the request."""
    response = error.response if isinstance(error, ClientError) else {}
    original = int(response.get("OriginalStatusCode") or 0)
    return 400 <= original < 500 and original not in (408, 429)


@lru_cache(maxsize=8)
def client(service: Service) -> Any:
    """Return this process's client of SageMaker's runtime; all threads may use it."""
    return aws.made(
        "sagemaker-runtime",
        aws.find_region(service.site),
        service.site,
        # `Caller` retries instead: boto3 does not retry 424 and 530, nor report its retries.
        retries={"total_max_attempts": 1},
        read_timeout=service.timeout,
        connect_timeout=min(10.0, service.timeout),
        max_pool_connections=service.connections,
    )


@lru_cache(maxsize=8)
def _storage(service: AsyncService) -> Any:
    """Return this process's client of S3 for the requests of an asynchronous endpoint."""
    return aws.made(
        "s3",
        aws.find_region(service.site),
        service.site,
        retries={"mode": "standard", "total_max_attempts": 8},
        max_pool_connections=service.connections,
    )
