"""SageMaker's runtime: requests to endpoints, and statistics about them."""

import json
import random
import re
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import unquote

from spark_sentiment.standin import shapes
from spark_sentiment.standin.algorithms.base import Container
from spark_sentiment.standin.errors import ContainerError, JobError, ServiceError
from spark_sentiment.standin.hosting import Hosting, Serving
from spark_sentiment.standin.resources import ACCOUNT, Resources

SERVERLESS_BYTES = 4 * 2**20
MOST_BYTES = 6_291_456
"""Largest size of a request to an endpoint; `SERVERLESS_BYTES` for a serverless one."""


@dataclass(frozen=True)
class Reply:
    """An answer: the variant that answered, body, headers and status."""

    variant: str
    body: bytes
    headers: Mapping[str, str]
    status: int = 200


class Runtime:
    """Answers requests to endpoints.

    Parameters
    ----------
    resources : Resources
        Resources with threads and S3.
    hosting : Hosting
        Endpoints in service.

    Attributes
    ----------
    latency : float
        Seconds that each answer takes.
    asked : Counter
        Number of requests by outcome: the variant that answered, the kind of the fault, 'refused'
        (by the service) or 'container' (refused by the container).
    most_at_once : int
        Largest number of concurrent requests.
    bodies : list of int
        Size in bytes of each request.
    """

    def __init__(self, resources: Resources, hosting: Hosting) -> None:
        self._resources, self._hosting = resources, hosting
        self.latency = 0.0
        self.asked: Counter[str] = Counter()
        self.most_at_once = 0
        self.bodies: list[int] = []
        self._under_way = 0
        self._lock = threading.Lock()
        self._chance = random.Random(7)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a request as concurrent while the block runs."""
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def count(self, outcome: str) -> None:
        """Count the outcome of a request."""
        with self._lock:
            self.asked[outcome] += 1

    def checked(self, operation: str, request: Mapping[str, Any]) -> Serving:
        """Return what serves a request; raise ServiceError if AWS would refuse the request."""
        name, size = request["EndpointName"], len(request["Body"])
        with self._lock:
            self.bodies.append(size)
        if size > MOST_BYTES:
            raise _too_large(size)
        shape = shapes.operation("sagemaker-runtime", operation).input_shape
        shapes.check(request, shape, "ValidationError")
        serving = self._hosting.serving(name)
        if serving is None:
            raise _refused(f"Endpoint {name} of account {ACCOUNT} not found.")
        if (serving.asynchronous is None) == (operation == "InvokeEndpointAsync"):
            way = "asynchronous" if serving.asynchronous is not None else "real-time"
            raise _refused(f"Endpoint {name} accepts only {way} requests.")
        target = request.get("TargetVariant")
        if target is not None and target not in serving.variants:
            raise _refused(f"Variant {target} not found for endpoint {name}.")
        serverless = any("ServerlessConfig" in one.config for one in serving.variants.values())
        if serverless and size > SERVERLESS_BYTES:
            raise _too_large(size)
        return serving

    def invoke(self, request: Mapping[str, Any], serving: Serving, late: float) -> Reply:
        """Return the answer of one of the variants.

        Parameters
        ----------
        request : mapping
            Members of InvokeEndpoint.
        serving : Serving
            Result of `checked`.
        late : float
            Additional seconds of a fault.
        """
        time.sleep(self.latency + late)
        name = request.get("TargetVariant") or self._choose(serving)
        body = request["Body"]
        try:
            found, kind = serving.variants[name].container(
                body, request.get("ContentType", ""), request.get("Accept", "")
            )
        except ContainerError as error:
            raise model_error(error, body) from error
        except Exception as error:
            traceback.print_exc()
            crashed = ContainerError(500, f"the container has failed: {type(error).__name__}")
            raise model_error(crashed, body) from error
        return Reply(name, found, {"Content-Type": kind, "x-Amzn-Invoked-Production-Variant": name})

    def invoke_later(self, request: Mapping[str, Any], serving: Serving, late: float) -> Reply:
        """Return the URI of the answer, and write the answer to it in a thread."""
        name, told = self._choose(serving), str(uuid.uuid4())
        config = (serving.asynchronous or {}).get("OutputConfig", {})
        folder = request.get("S3OutputPathExtension", "").strip("/")
        file = "/".join(part for part in (folder, request.get("Filename", f"{told}.out")) if part)
        places = {"Output": f"{config.get('S3OutputPath', '').rstrip('/')}/{file}"}
        if "S3FailurePath" in config:
            places["Failure"] = f"{config['S3FailurePath'].rstrip('/')}/{told}-error.out"
        container = serving.variants[name].container
        self._resources.start(lambda: self._answer_later(request, container, places, late))
        headers = {f"X-Amzn-SageMaker-{kind}Location": uri for kind, uri in places.items()}
        body = json.dumps({"InferenceId": request.get("InferenceId", told)}).encode()
        return Reply(name, body, {"Content-Type": "application/json", **headers}, 202)

    def _answer_later(
        self,
        request: Mapping[str, Any],
        container: Container,
        places: Mapping[str, str],
        late: float,
    ) -> None:
        time.sleep(self.latency + late)
        storage = self._resources.storage
        try:
            location = request.get("InputLocation")
            body = storage.get(location) if location else request["Body"]
            kind, accept = request.get("ContentType", ""), request.get("Accept", "")
            storage.put(places["Output"], container(body, kind, accept)[0])
        except (ContainerError, JobError) as error:
            if "Failure" in places:
                storage.put(places["Failure"], str(error).encode())

    def _choose(self, serving: Serving) -> str:
        names = list(serving.variants)
        weights = [one.weight for one in serving.variants.values()]
        with self._lock:
            return self._chance.choices(names, weights if any(weights) else None)[0]


def request_of(path: str, headers: Message, body: bytes) -> tuple[str, dict[str, Any]]:
    """Return the operation of a path and its headers, with its members; "" if there is none.

    Examples
    --------
    >>> request_of("/endpoints/a/invocations", Message(), b"1,2")
    ('InvokeEndpoint', {'EndpointName': 'a', 'Body': b'1,2'})
    """
    match = re.fullmatch(r"/endpoints/([^/]+)/(async-)?invocations", path)
    if match is None:
        return "", {}
    operation = "InvokeEndpointAsync" if match[2] else "InvokeEndpoint"
    request: dict[str, Any] = {"EndpointName": unquote(match[1]), "Body": body}
    shape = shapes.operation("sagemaker-runtime", operation).input_shape
    for member, kind in shape.members.items():
        header = kind.serialization.get("name", "")
        if kind.serialization.get("location") == "header" and header in headers:
            value = headers[header]
            is_number = kind.type_name == "integer" and value.isdigit()
            request[member] = int(value) if is_number else value
    return operation, request


def model_error(error: ContainerError, body: bytes) -> ServiceError:
    """Return the answer of the service for an error of a container."""
    # Containers quote the request in their errors.
    said = error.message or body[:100].decode(errors="replace")
    return ServiceError(
        "ModelError", said, 424, OriginalMessage=said, OriginalStatusCode=error.status
    )


def _refused(message: str) -> ServiceError:
    return ServiceError("ValidationError", message)


def _too_large(size: int) -> ServiceError:
    return ServiceError("RequestEntityTooLarge", f"{size} bytes are too many", 413)
