"""`StandIn`: start and stop the stand-in, inspect it, and make requests fail."""

import errno
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any, Self

from spark_sentiment.errors import SetupError
from spark_sentiment.standin.algorithms.base import Container
from spark_sentiment.standin.errors import StandInError
from spark_sentiment.standin.faults import Faults
from spark_sentiment.standin.hosting import Hosting, Variant
from spark_sentiment.standin.jobs import TrainingJobs
from spark_sentiment.standin.others import Others
from spark_sentiment.standin.resources import ACCOUNT, KINDS, Resources
from spark_sentiment.standin.runtime import Runtime
from spark_sentiment.standin.server import Operation, Server, Service
from spark_sentiment.standin.storage import Storage
from spark_sentiment.standin.transforms import TransformJobs

Predict = Callable[[bytes, str, str], bytes]
"""Function of a body, its content type and the accepted type, which returns the answer's body."""

# Libraries that are imported on first use.
_LIBRARIES = ("moto", "flask", "flask_cors", "scipy", "sklearn", "xgboost")
_running: set[int] = set()  # stand-ins of this process, which share the state of moto


class StandIn:
    """The parts of AWS that this library needs, on a loopback port.

    The stand-in implements training, hosting and runtime of SageMaker: jobs train on the uploaded
    data, and endpoints predict by the trained models. moto serves S3, STS and all other services. A
    stand-in starts with an empty S3; several in one process share it.

    Parameters
    ----------
    seconds : float, default 0.05
        Seconds that each state of a job or an endpoint lasts.
    port : int, default 0
        Port to listen on; 0 for any free port.

    Attributes
    ----------
    url : str
        URL of all services.
    role, bucket, region : str
        A role, a bucket that exists from the start, and the region.
    calls : list of (str, dict)
        Operations of SageMaker and its runtime with their requests, in order, without the bodies
        of the runtime.
    faults : Faults
        The requests that fail.

    Examples
    --------
    >>> import boto3
    >>> with StandIn() as aws:
    ...     aws.deploy("shout", lambda body, content_type, accept: body.upper())
    ...     runtime = boto3.client(
    ...         "sagemaker-runtime", endpoint_url=aws.url, region_name=aws.region,
    ...         aws_access_key_id="any", aws_secret_access_key="any")
    ...     runtime.invoke_endpoint(EndpointName="shout", Body=b"hello")["Body"].read()
    b'HELLO'
    """

    region = "us-east-1"
    role = f"arn:aws:iam::{ACCOUNT}:role/stand-in"
    bucket = "stand-in"

    def __init__(self, seconds: float = 0.05, port: int = 0) -> None:
        self._seconds, self._port = seconds, port
        self.url = ""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults = Faults()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start serving.

        Raises
        ------
        StandInError
            If the port is in use.
        SetupError
            If a library is missing.
        """
        lacking = [name for name in _LIBRARIES if find_spec(name) is None]
        if lacking:
            raise SetupError(
                f"the local AWS needs {', '.join(lacking)}; install it with: "
                "pip install 'spark-sentiment[standin]'"
            )
        try:
            self._server = Server(self._port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise StandInError(f"port {self._port} is in use; choose another one") from error
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        storage = Storage(self.url, self.region, self.role)
        resources = self._resources = Resources(self.region, self._seconds, storage)
        self._hosting, self._jobs = Hosting(resources), TrainingJobs(resources)
        self._runtime = Runtime(resources, self._hosting)
        operations = (
            _common(resources)
            | self._jobs.operations
            | self._hosting.operations
            | TransformJobs(resources, self._hosting).operations
        )
        others = Others(self._server.server_port, self.bucket, is_first=not _running)
        self._server.service = Service(operations, self._runtime, self.faults, self.calls, others)
        _running.add(id(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop serving, and abandon running jobs."""
        _running.discard(id(self))
        self._resources.close()
        self._server.closed = True
        self._server.shutdown()
        self._server.server_close()

    # --- for tests: cause events

    def deploy(
        self,
        name: str,
        predict: Predict | None = None,
        *,
        variants: Mapping[str, tuple[Predict, float]] | None = None,
    ) -> None:
        """Put an endpoint in service at once, with Python code as its container.

        Parameters
        ----------
        name : str
            Name of the endpoint; an endpoint with this name is replaced.
        predict : callable, optional
            Function that answers all requests; it raises ContainerError to refuse one.
        variants : mapping of str to (callable, float), optional
            Functions of several variants with their weights, instead of `predict`.
        """
        given = variants or ({"AllTraffic": (predict, 1.0)} if predict else {})
        if not given:
            raise ValueError("deploy needs predict or variants")
        self._hosting.serve(
            name,
            {key: Variant(_container(code), weight, {}) for key, (code, weight) in given.items()},
        )

    def fail_training(self, reason: str) -> None:
        """Make the next training job that is created fail with this FailureReason."""
        self._jobs.fail_next(reason)

    def lag(self, seconds: float) -> None:
        """Hide new resources from Describe and List for this many seconds."""
        self._resources.lag = seconds

    # --- for tests: inspect

    @property
    def seconds(self) -> float:
        """Seconds that each state of a job or an endpoint lasts; can be set."""
        return self._resources.seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._resources.seconds = seconds

    @property
    def latency(self) -> float:
        """Seconds that each answer of an endpoint takes; can be set."""
        return self._runtime.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._runtime.latency = seconds

    @property
    def asked(self) -> Counter[str]:
        """Number of requests to endpoints by outcome.

        An outcome is the name of the variant that answered, the kind of the fault, 'refused' if the
        service refused the request, or 'container' if the container refused it.
        """
        return self._runtime.asked

    @property
    def most_at_once(self) -> int:
        """Largest number of concurrent requests to endpoints."""
        return self._runtime.most_at_once

    @property
    def bodies(self) -> list[int]:
        """Size in bytes of each request to an endpoint."""
        return self._runtime.bodies


def _common(resources: Resources) -> dict[str, Operation]:
    """Return the operations of all kinds of resources."""
    found: dict[str, Operation] = {
        "AddTags": resources.add_tags,
        "ListTags": resources.list_tags,
        "DeleteTags": resources.delete_tags,
    }
    for kind in KINDS:
        found[f"Describe{kind.stem}"] = partial(resources.describe, kind)
        found[f"List{kind.stem}s"] = partial(resources.list, kind)
    return found


def _container(predict: Predict) -> Container:
    def container(body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        return predict(body, content_type, accept), accept or "application/octet-stream"

    return container
