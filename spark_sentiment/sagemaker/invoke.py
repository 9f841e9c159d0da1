"""One call of an endpoint: what is repeated, how long is waited, and what is never said.

No message here holds what was sent or answered: a container's error may quote a review.
"""

import random
import threading
import time
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

from spark_sentiment.sagemaker import aws

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
        aws.region(service.site),
        service.site,
        # boto3 never repeats 424 and 530, and would not say how often it repeated the rest.
        retries={"total_max_attempts": 1},
        read_timeout=service.timeout,
        connect_timeout=min(10.0, service.timeout),
        max_pool_connections=service.connections,
    )
