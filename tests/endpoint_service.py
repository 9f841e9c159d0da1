"""SageMaker's runtime on a loopback port: endpoints that answer, and fail as AWS's do.

Each request is checked against botocore's own model of the service, down to patterns and lengths;
what AWS refuses is refused, with its status, code and headers.
"""

import json
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import botocore.session
from botocore.validate import ParamValidator

MAX_BYTES = 6_291_456
Predict = Callable[[bytes, str, str], bytes]
_INPUT = (
    botocore.session.get_session()
    .get_service_model("sagemaker-runtime")
    .operation_model("InvokeEndpoint")
    .input_shape
)


class ContainerError(Exception):
    """What a model's container answers with a status of its own."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Variant:
    predict: Predict
    weight: float = 1.0


@dataclass
class Runtime:
    """The service while it runs: its address, its endpoints, and what it was asked."""

    url: str = ""
    endpoints: dict[str, dict[str, Variant]] = field(default_factory=dict)
    seconds: float = 0.0  # that each answer takes
    faults: Sequence[str] = ()
    share: float = 0.0  # of requests that fail, each in one of the ways above
    asked: Counter[str] = field(default_factory=Counter)  # answers by kind of outcome
    most_at_once: int = 0
    bodies: list[int] = field(default_factory=list)  # bytes of each
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    lock: threading.Lock = field(default_factory=threading.Lock)
    under_way: int = 0

    def deploy(self, name: str, predict: Predict) -> None:
        self.endpoints[name] = {"AllTraffic": Variant(predict)}

    def fault(self) -> str | None:
        with self.lock:
            if not self.faults or self.dice.random() >= self.share:
                return None
            chosen = self.dice.choice(list(self.faults))
            self.asked[chosen] += 1
            return chosen

    def choose(self, name: str, target: str | None) -> str:
        variants = self.endpoints[name]
        if target is not None:
            return target
        with self.lock:
            weights = [variant.weight for variant in variants.values()]
            return self.dice.choices(list(variants), weights)[0]


@contextmanager
def running() -> Iterator[Runtime]:
    """Serve on a free port of the loopback interface."""
    runtime, server = _started()
    try:
        yield runtime
    finally:
        server.shutdown()
        server.server_close()


@cache
def sums() -> str:
    """Start, once a process, an endpoint 'sums' that adds up each line of CSV; its address."""
    runtime, _ = _started()
    runtime.deploy("sums", add_up)
    return runtime.url


def add_up(body: bytes, content_type: str, accept: str) -> bytes:
    lines = body.decode().splitlines()
    return "\n".join(str(sum(map(float, line.split(",")))) for line in lines).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what goes wrong here, but not that a client no longer waits for its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _started() -> tuple[Runtime, ThreadingHTTPServer]:
    runtime = Runtime()
    handler = type("Handler", (_Handler,), {"runtime": runtime})
    server = _Server(("127.0.0.1", 0), handler)
    runtime.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return runtime, server


# status, code, body: what AWS sends; a throttled runtime gives a 400 with a null message
_FAULTS: dict[str, tuple[int, str | None, dict[str, Any]]] = {
    "throttle": (400, None, {"message": None}),
    "424": (424, "ModelError", {"Message": "down", "OriginalStatusCode": 500}),
    "429": (429, "ModelNotReadyException", {"Message": "loading"}),
    "500": (500, "InternalFailure", {"Message": "internal"}),
    "503": (503, "ServiceUnavailable", {"Message": "unavailable"}),
    "530": (530, "InternalDependencyException", {"Message": "dependency"}),
}
FAULTS = (*_FAULTS, "slow", "drop", "cut")


class _Handler(BaseHTTPRequestHandler):
    runtime: Runtime
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests look at what was asked."""

    def do_POST(self) -> None:
        runtime = self.runtime
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with runtime.lock:
            runtime.under_way += 1
            runtime.most_at_once = max(runtime.most_at_once, runtime.under_way)
            runtime.bodies.append(len(body))
        try:
            self.answer(body)
        finally:
            with runtime.lock:
                runtime.under_way -= 1

    def answer(self, body: bytes) -> None:
        runtime = self.runtime
        refused = self.refusal(body)
        if refused is not None:
            runtime.asked["refused"] += 1
            self.say(*refused)
            return
        fault = runtime.fault()
        if fault in _FAULTS:
            self.say(*_FAULTS[fault])
            return
        if fault == "drop":
            self.close_connection = True
            return
        time.sleep(runtime.seconds)
        if fault == "slow":
            time.sleep(2)
        name = self.name()
        variant = runtime.choose(name, self.headers.get("X-Amzn-SageMaker-Target-Variant"))
        accept = self.headers.get("Accept", "")
        try:
            found = runtime.endpoints[name][variant].predict(
                body, self.headers["Content-Type"], accept
            )
        except ContainerError as error:
            said = body[:100].decode(errors="replace")  # as containers do: they quote their input
            told = {"Message": said, "OriginalMessage": said, "OriginalStatusCode": error.status}
            runtime.asked["container"] += 1
            self.say(424, "ModelError", told)
            return
        if fault is None:
            runtime.asked[variant] += 1
        self.send_response(200)
        self.send_header("Content-Type", accept)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("x-Amzn-Invoked-Production-Variant", variant)
        self.end_headers()
        if fault == "cut":
            self.close_connection = True
            found = found[: len(found) // 2]
        self.wfile.write(found)

    def name(self) -> str:
        match = re.fullmatch(r"/endpoints/([^/]+)/invocations", self.path)
        return unquote(match[1]) if match else ""

    def refusal(self, body: bytes) -> tuple[int, str, dict[str, Any]] | None:
        """Return what AWS answers to a request that it does not take."""
        if "/sagemaker/aws4_request" not in self.headers.get("Authorization", ""):
            return 403, "MissingAuthenticationTokenException", {"message": "unsigned"}
        if len(body) > MAX_BYTES:
            return 413, "RequestEntityTooLarge", {"message": f"{len(body)} bytes"}
        given: dict[str, Any] = {"EndpointName": self.name(), "Body": body}
        for member, shape in _INPUT.members.items():
            header = shape.serialization.get("name", "")
            if shape.serialization.get("location") == "header" and header in self.headers:
                given[member] = self.headers[header]
        wrong = ParamValidator().validate(given, _INPUT).generate_report()
        for member, value in given.items():
            pattern = _INPUT.members[member].metadata.get("pattern", "")
            pattern = pattern.replace(r"\p{ASCII}", r"[\x00-\x7f]")
            if pattern and not re.fullmatch(pattern, value):
                wrong += f"{member} does not match {pattern}"
        if wrong:
            return 400, "ValidationError", {"message": wrong}
        if given["EndpointName"] not in self.runtime.endpoints:
            return 400, "ValidationError", {"message": f"Endpoint {self.name()} not found."}
        target = given.get("TargetVariant")
        if target and target not in self.runtime.endpoints[self.name()]:
            return 400, "ValidationError", {"message": f"Variant {target} not found."}
        return None

    def say(self, status: int, code: str | None, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        if code:
            self.send_header("x-amzn-ErrorType", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
