"""HTTP server for all services: control plane and runtime of SageMaker, and moto for the others."""

import json
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from spark_sentiment.standin import faults, shapes
from spark_sentiment.standin.errors import ServiceError
from spark_sentiment.standin.faults import SLOW_SECONDS, Faults
from spark_sentiment.standin.others import Others
from spark_sentiment.standin.runtime import Runtime, request_of

Operation = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Service:
    """Services behind the server.

    Attributes
    ----------
    operations : mapping of str to callable
        Operations of the control plane, by name.
    runtime : Runtime
        Runtime of endpoints.
    faults : Faults
        The requests that fail.
    calls : list
        List to which name and members of each request are appended.
    others : Others
        Services other than SageMaker.
    """

    operations: Mapping[str, Operation]
    runtime: Runtime
    faults: Faults
    calls: list[tuple[str, dict[str, Any]]]
    others: Others


class Server(ThreadingHTTPServer):
    """HTTP server on the loopback interface, with a thread for each connection.

    Parameters
    ----------
    port : int
        Port to listen on; 0 for any free port.

    Attributes
    ----------
    service : Service
        Services that answer; set it before `serve_forever`.
    """

    service: Service
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.closed = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error, except for a connection that the client has closed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing; `calls` has all requests."""

    def answer(self) -> None:
        """Answer a request of any HTTP method."""
        if self.server.closed:
            self.close_connection = True
            return
        body = self._body()
        target = self.headers.get("X-Amz-Target", "")
        operation, request = request_of(self.path, self.headers, body)
        try:
            if target.startswith("SageMaker."):
                self._control(target.removeprefix("SageMaker."), body)
            elif operation:
                self._runtime(operation, request)
            elif self._signed():
                raise _unknown(f"{self.command} {self.path}")
            else:
                self._say(
                    *self.server.service.others.answer(self.command, self.path, self.headers, body)
                )
        except ServiceError as error:
            self._refuse(error, runtime=bool(operation))
        except ConnectionError:
            raise
        except Exception:
            traceback.print_exc()
            failed = ServiceError("InternalFailure", "the stand-in has failed", 500)
            self._refuse(failed, runtime=bool(operation))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        """Yield the chunks of a body with chunked transfer encoding."""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass

    def _signed(self) -> bool:
        """Tell whether the request is signed for SageMaker."""
        return "/sagemaker/aws4_request" in self.headers.get("Authorization", "")

    # --- SageMaker

    def _control(self, name: str, body: bytes) -> None:
        service = self.server.service
        if not self._signed():
            raise ServiceError("MissingAuthenticationTokenException", "unsigned", 403)
        if name not in service.operations:
            raise _unknown(name)
        try:
            given = json.loads(body)
            request = {key: value for key, value in given.items() if value is not None}
        except (ValueError, AttributeError) as error:
            raise ServiceError("SerializationException", "the body is not a JSON object") from error
        service.calls.append((name, request))
        fault = service.faults.choose(name)
        if self._failed(fault, runtime=False):
            return
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        model = shapes.operation("sagemaker", name)
        shapes.check(request, model.input_shape)
        found = service.operations[name](request)
        told = shapes.members(found, model.output_shape) if model.output_shape else {}
        content = json.dumps(told, default=lambda time: time.timestamp()).encode()
        headers = {"Content-Type": "application/x-amz-json-1.1"}
        self._say(200, headers, content, cut=fault == "cut")

    def _runtime(self, name: str, request: dict[str, Any]) -> None:
        service = self.server.service
        runtime = service.runtime
        told = {key: value for key, value in request.items() if key != "Body"}
        service.calls.append((name, told))
        with runtime.under_way():
            try:
                if not self._signed():
                    raise ServiceError("MissingAuthenticationTokenException", "unsigned", 403)
                serving = runtime.checked(name, request)
            except ServiceError:
                runtime.count("refused")
                raise
            fault = service.faults.choose(name)
            if fault is not None:
                runtime.count(fault)
            if self._failed(fault, runtime=True):
                return
            late = SLOW_SECONDS if fault == "slow" else 0.0
            try:
                later = name == "InvokeEndpointAsync"
                invoke = runtime.invoke_later if later else runtime.invoke
                reply = invoke(request, serving, late)
            except ServiceError:
                runtime.count("container")
                raise
            if fault is None:
                runtime.count(reply.variant)
            self._say(reply.status, reply.headers, reply.body, cut=fault == "cut")

    def _failed(self, fault: str | None, *, runtime: bool) -> bool:
        """Answer with a fault that prevents the request; return False for other faults."""
        if fault == "drop":
            self.close_connection = True
            return True
        told = faults.answer(fault, runtime=runtime) if fault else None
        if told is None:
            return False
        status, code, content = told
        self._say(status, _error_headers(code, runtime=runtime), content)
        return True

    def _refuse(self, error: ServiceError, *, runtime: bool) -> None:
        # botocore reads "message"; the shapes of the runtime have "Message".
        told = {"message": error.message, "Message": error.message, **error.more}
        if not runtime:
            told = {"__type": error.code, "message": error.message}
        headers = _error_headers(error.code, runtime=runtime)
        self._say(error.status, headers, json.dumps(told).encode())

    def _say(
        self,
        status: int,
        headers: Mapping[str, str] | list[tuple[str, str]],
        content: bytes,
        *,
        cut: bool = False,
    ) -> None:
        """Send an answer, or half of it if `cut` is True."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        names = {name.lower() for name, _ in pairs}
        self.send_response(status)
        if "x-amzn-requestid" not in names:
            self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        for name, value in pairs:
            # In an answer to HEAD, the length is that of the object, which is not sent.
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" and status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        elif "content-length" not in names and status not in (204, 304):
            self.send_header("Content-Length", "0")
        self.end_headers()
        if cut:
            self.close_connection = True
            content = content[: len(content) // 2]
        if self.command != "HEAD":
            with suppress(ConnectionError):  # the client has closed the connection
                self.wfile.write(content)


def _error_headers(code: str | None, *, runtime: bool) -> dict[str, str]:
    kind = "application/json" if runtime else "application/x-amz-json-1.1"
    return {"Content-Type": kind, **({"x-amzn-ErrorType": code} if code else {})}


def _unknown(name: str) -> ServiceError:
    text = f"the stand-in does not offer {name} of SageMaker"
    return ServiceError("UnknownOperationException", text)
