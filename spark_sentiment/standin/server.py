"""One port for all of AWS: SageMaker's control plane and runtime here, the rest by moto."""

import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import IO, Any, cast

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import DechunkedInput

from spark_sentiment.standin import faults, shapes
from spark_sentiment.standin.errors import ServiceError
from spark_sentiment.standin.faults import SLOW_SECONDS, Faults
from spark_sentiment.standin.runtime import Runtime, request_of

Operation = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Service:
    """What SageMaker is made of.

    Attributes
    ----------
    operations : mapping of str to callable
        Of the control plane, by name.
    runtime : Runtime
        Of endpoints.
    faults : Faults
        Which requests fail.
    calls : list
        Grows by the name and the members of each request.
    """

    operations: Mapping[str, Operation]
    runtime: Runtime
    faults: Faults
    calls: list[tuple[str, dict[str, Any]]]


class Server(ThreadingHTTPServer):
    """Listens on the loopback interface; a thread for each connection.

    Parameters
    ----------
    port : int
        To listen on; 0 for any that is free.

    Attributes
    ----------
    service : Service
        SageMaker; to be set before `serve_forever`.
    """

    service: Service
    daemon_threads = True
    request_queue_size = 128
    # What moto's handler asks a server of werkzeug's for.
    ssl_context, multithread, multiprocess, _server_version = None, True, False, "stand-in"

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.closed = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what goes wrong here, but not that a client no longer waits for its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(MotoRequestHandler):
    server: Server  # type: ignore[assignment]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: `calls` has what was asked."""

    def run_wsgi(self) -> None:
        """Answer a request, whatever its method."""
        if self.server.closed:
            self.close_connection = True
            return
        body = self._body()
        target = self.headers.get("X-Amz-Target", "")
        operation, request = request_of(self.path, self.headers, body)  # type: ignore[arg-type]
        try:
            if target.startswith("SageMaker."):
                self._control(target.removeprefix("SageMaker."), body)
            elif operation:
                self._runtime(operation, request)
            elif self._signed():
                raise _unknown(f"{self.command} {self.path}")
            else:
                self._moto(body)
        except ServiceError as error:
            self._refuse(error, runtime=bool(operation))

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return DechunkedInput(cast(IO[bytes], self.rfile)).read()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

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
            raise ServiceError("SerializationException", "the body is no JSON object") from error
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
        with runtime:
            try:
                if not self._signed():
                    raise ServiceError("MissingAuthenticationTokenException", "unsigned", 403)
                serving = runtime.checked(request)
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
                reply = runtime.invoke(request, serving, late)
            except ServiceError:
                runtime.count("container")
                raise
            if fault is None:
                runtime.count(reply.headers["x-Amzn-Invoked-Production-Variant"])
            self._say(reply.status, reply.headers, reply.body, cut=fault == "cut")

    def _failed(self, fault: str | None, *, runtime: bool) -> bool:
        """Answer by a fault, where it is one that leaves the request undone."""
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
        # botocore reads "message", the runtime's own shapes have "Message".
        told = {"message": error.message, "Message": error.message, **error.more}
        if not runtime:
            told = {"__type": error.code, "message": error.message}
        headers = _error_headers(error.code, runtime=runtime)
        self._say(error.status, headers, json.dumps(told).encode())

    # --- the rest

    def _moto(self, body: bytes) -> None:
        environ = self.make_environ()
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        told: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *exception: object) -> Any:
            told[:] = [int(status.split()[0]), headers]
            return told.append

        parts: Iterable[bytes] = self.server.moto(environ, start)
        content = b"".join(parts)
        if close := getattr(parts, "close", None):
            close()
        status, headers = told[:2]
        self._say(status, headers, content)

    def _say(
        self,
        status: int,
        headers: Mapping[str, str] | list[tuple[str, str]],
        content: bytes,
        *,
        cut: bool = False,
    ) -> None:
        """Send an answer, or where it is `cut` the half of it."""
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
        names = {name.lower() for name, _ in pairs}
        self.send_response(status)
        for name, value in pairs:
            # The length that an answer to HEAD has is that of the object, which is not sent.
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
            with suppress(ConnectionError):  # a client that no longer waits
                self.wfile.write(content)


def _error_headers(code: str | None, *, runtime: bool) -> dict[str, str]:
    kind = "application/json" if runtime else "application/x-amz-json-1.1"
    return {"Content-Type": kind, **({"x-amzn-ErrorType": code} if code else {})}


def _unknown(name: str) -> ServiceError:
    text = f"the stand-in does not offer {name} of SageMaker"
    return ServiceError("UnknownOperationException", text)
