"""One call of an endpoint: what is repeated, how long is waited, and what is never said.

`Caller` sends a request and has its answer by the same connection; `AsyncCaller` puts the request
to S3 and looks there for the answer. A `Service` says which of them is meant.

No message here holds what was sent or answered: a container's error may quote a review.
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
"""Most bytes of a request to a real-time endpoint (4 MB to a serverless one)."""

_PASSING = frozenset({424, 429})  # and all from 500 on
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
_FREE_RETRIES = 20  # of a task, before its budget counts
_SHORTEST_LIFE, _LONGEST_LIFE, _LONGEST_CALL = 60, 21_600, 3_600  # s, of an asynchronous request


@dataclass(frozen=True)
class Service:
    """Where an endpoint is and how to speak to it; holds no credentials.

    Attributes
    ----------
    endpoint : str
        The endpoint's name.
    site : Site
        AWS region, and address of the service.
    variant : str or None
        Production variant to ask; None leaves it to the weights.
    content_type, accept : str
        Of requests, and of replies.
    timeout : float
        Seconds to wait for an answer.
    connections : int
        Requests of a process under way at once.
    attempts : int
        Times that a request is sent at most.
    budget : float
        Retries of a task for each request that it sends, beyond its first twenty.
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
        """Return what calls it for one task."""
        client(self)  # boto3 makes clients in one thread only
        return Caller(self)


@dataclass(frozen=True)
class AsyncService(Service):
    """An endpoint that takes requests from S3 and writes its answers there.

    Attributes
    ----------
    inputs : str
        Folder on S3 for requests while they are under way.
    """

    inputs: str

    def caller(self) -> "AsyncCaller":
        """Return what calls it for one task."""
        client(self)
        _storage(self)
        return AsyncCaller(self)


@dataclass(frozen=True)
class Answer:
    """What came back: a body and the variant that gave it, or why there is none.

    `refused` says that the model's container called the request wrong: a part of it may do.
    """

    body: bytes = b""
    variant: str | None = None
    error: str | None = None
    refused: bool = False


@dataclass
class Caller:
    """Calls one endpoint for one task, from several threads.

    A request that fails in passing (throttled, 424, 429, 5xx, a time-out, a broken connection) is
    sent again after a random wait that may double each time, up to 20 s. The task's retries
    together are bounded too, by `Service.budget`: an endpoint that is down is not hammered by
    every request in turn.

    Attributes
    ----------
    service : Service
        What to call.
    """

    service: Service
    _requests: int = 0
    _retries: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, body: bytes) -> Answer:
        """Send `body` until it is answered, refused, or given up."""
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
    """Calls one asynchronous endpoint for one task, from several threads.

    What fails in passing is repeated as by `Caller`, with a container's failure that AWS wrote to
    S3 among it. That no answer came within `AsyncService.timeout` is final: the request may still
    be in the endpoint's queue, which one more would make longer. Requests and answers are deleted
    from S3 when they have been read.

    Attributes
    ----------
    service : AsyncService
        What to call.
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
        """Look for the answer, or for the failure, until one of them is there."""
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
        """Read an object and delete it; None where there is none yet."""
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
        # What is left has a folder of its own, which goes with the endpoint.
        with suppress(BotoCoreError, ClientError):
            _storage(self.service).delete_object(**place)


def _failure(told: bytes) -> Answer:
    """Return what a failure that was written to S3 means.

    Its text is AWS's or the container's, and is not said. Where it speaks of a server error, as in
    "Received server error (503) from primary", it is raised as an endpoint answers it; any other
    may be the fault of a part of the request.
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
    """Tell whether the same request may succeed when it is sent again.

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
    """Name an error by its status and code, or its class; never by its message."""
    if not isinstance(error, ClientError):
        return type(error).__name__
    original = error.response.get("OriginalStatusCode")
    container = f" (the container's {original})" if original else ""
    return f"HTTP {_status(error)} {error.response.get('Error', {}).get('Code')}{container}"


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _container_refuses(error: Exception) -> bool:
    """Tell whether the model's container called the request itself wrong."""
    response = error.response if isinstance(error, ClientError) else {}
    original = int(response.get("OriginalStatusCode") or 0)
    return 400 <= original < 500 and original not in (408, 429)


@lru_cache(maxsize=8)
def client(service: Service) -> Any:
    """Return this process's client of SageMaker's runtime; boto3's may be used by all threads."""
    return aws.made(
        "sagemaker-runtime",
        aws.find_region(service.site),
        service.site,
        # boto3 never repeats 424 and 530, and would not say how often it repeated the rest.
        retries={"total_max_attempts": 1},
        read_timeout=service.timeout,
        connect_timeout=min(10.0, service.timeout),
        max_pool_connections=service.connections,
    )


@lru_cache(maxsize=8)
def _storage(service: AsyncService) -> Any:
    """Return this process's client of S3 for an asynchronous endpoint's requests."""
    return aws.made(
        "s3",
        aws.find_region(service.site),
        service.site,
        retries={"mode": "standard", "total_max_attempts": 8},
        max_pool_connections=service.connections,
    )
