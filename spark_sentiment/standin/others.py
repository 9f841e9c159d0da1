"""Serve S3, STS and all other services except SageMaker by moto, in this process.

Importing moto takes two seconds, so it is imported when the first request for it arrives.
"""

import io
import sys
import threading
import traceback
from collections.abc import Iterable
from email.message import Message
from typing import Any
from urllib.parse import unquote, urlsplit

_lock = threading.Lock()


class Others:
    """Answers requests to services other than SageMaker.

    Parameters
    ----------
    port : int
        Port that receives the requests.
    bucket : str
        Bucket that exists from the start.
    is_first : bool
        Whether to clear the state of moto, which the whole process shares.
    """

    def __init__(self, port: int, bucket: str, *, is_first: bool) -> None:
        self._port, self._bucket = port, bucket
        self._application: Any = None
        if is_first and "moto.core" in sys.modules:
            from moto.core.base_backend import BackendDict
            from moto.core.model_instances import reset_model_data

            BackendDict.reset()
            reset_model_data()

    def answer(
        self, method: str, path: str, headers: Message, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return status, headers and body."""
        with _lock:
            if self._application is None:
                self._start()
        return self._ask(self._environ(method, path, headers, body))

    def _start(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._application = DomainDispatcherApplication(create_backend_app)
        self._ask(self._environ("PUT", f"/{self._bucket}", Message(), b""))

    def _ask(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        told: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *exception: object) -> Any:
            told[:] = [int(status.split()[0]), headers]
            return told.append

        try:
            parts: Iterable[bytes] = self._application(environ, start)
            content = b"".join(parts)
        except Exception:
            traceback.print_exc()
            return 500, [("Content-Type", "text/plain")], b"moto has failed"
        if close := getattr(parts, "close", None):
            close()
        status, headers = told
        return status, headers, content

    def _environ(self, method: str, path: str, headers: Message, body: bytes) -> dict[str, Any]:
        """Return the WSGI environment of a request."""
        from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY

        url = urlsplit(path)
        # A WSGI string holds one byte per character.
        plain = unquote(url.path, encoding="utf-8").encode().decode("latin-1")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": plain,
            "QUERY_STRING": url.query,
            "RAW_URI": path,
            "REQUEST_URI": path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self._port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": f"127.0.0.1:{self._port}",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        spelled = {}
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            if key == "CONTENT_TYPE":
                environ[key] = value
            elif key != "TRANSFER_ENCODING":
                environ[f"HTTP_{key}"] = value
            if "_" in name:  # WSGI replaces underscores, which metadata of S3 may contain
                spelled[f"HTTP_{key}"] = name
        environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = spelled
        return environ | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
