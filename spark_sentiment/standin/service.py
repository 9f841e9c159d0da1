"""The stand-in as Python code starts it, looks at it and lets it fail."""

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
"""Takes a body, its content type and what is accepted; returns the answer's body."""

# Those that are imported when they are needed.
_LIBRARIES = ("moto", "flask", "flask_cors", "scipy", "sklearn", "xgboost")
_running: set[int] = set()  # stand-ins of this process; moto's state is one for all of them


class StandIn:
    """AWS on a loopback port, as far as this library needs it.

    SageMaker's training, hosting and runtime are the stand-in's own: jobs train on what was
    uploaded, endpoints predict by what was trained. S3, STS and all else is moto's. One stand-in
    begins with an empty S3; several in one process share it.

    Parameters
    ----------
    seconds : float, default 0.05
        How long each state of a job or an endpoint lasts.
    port : int, default 0
        To listen on; 0 for any that is free.

    Attributes
    ----------
    url : str
        Address of all services.
    role, bucket, region : str
        A role, a bucket that is there from the start, the region.
    calls : list of (str, dict)
        Operations of SageMaker and its runtime in the order they were asked for, and what was
        asked; without the bodies of the runtime.
    faults : Faults
        Which requests fail.

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
        """Begin to serve; StandInError where the port is taken, SetupError without a library."""
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
            raise StandInError(f"port {self._port} is taken; name another one") from error
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
        """Serve no more; jobs that still run are given up."""
        _running.discard(id(self))
        self._resources.close()
        self._server.closed = True
        self._server.shutdown()
        self._server.server_close()

    # --- what tests let happen

    def deploy(
        self,
        name: str,
        predict: Predict | None = None,
        *,
        variants: Mapping[str, tuple[Predict, float]] | None = None,
    ) -> None:
        """Put an endpoint in service at once, whose container is Python code.

        Parameters
        ----------
        name : str
            Of the endpoint; one of this name is replaced.
        predict : callable, optional
            Answers all requests; raises ContainerError to refuse one.
        variants : mapping of str to (callable, float), optional
            Several of them, with their weights, in its place.
        """
        given = variants or ({"AllTraffic": (predict, 1.0)} if predict else {})
        if not given:
            raise ValueError("deploy needs predict or variants")
        self._hosting.serve(
            name,
            {key: Variant(_container(code), weight, {}) for key, (code, weight) in given.items()},
        )

    def fail_training(self, reason: str) -> None:
        """Let the next training job that is created end Failed, with this FailureReason."""
        self._jobs.fail_next(reason)

    def lag(self, seconds: float) -> None:
        """Let what is created be unknown to Describe and List for so long."""
        self._resources.lag = seconds

    # --- what tests look at

    @property
    def seconds(self) -> float:
        """How long each state of a job or an endpoint lasts; may be set."""
        return self._resources.seconds

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._resources.seconds = seconds

    @property
    def latency(self) -> float:
        """Seconds that each answer of an endpoint takes; may be set."""
        return self._runtime.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._runtime.latency = seconds

    @property
    def asked(self) -> Counter[str]:
        """Requests to endpoints by what became of them.

        That is the name of the variant that answered, the kind of the fault, 'refused' by the
        service, or 'container' where that refused it.
        """
        return self._runtime.asked

    @property
    def most_at_once(self) -> int:
        """Most requests to endpoints that were under way at the same time."""
        return self._runtime.most_at_once

    @property
    def bodies(self) -> list[int]:
        """Bytes of each request to an endpoint."""
        return self._runtime.bodies


def _common(resources: Resources) -> dict[str, Operation]:
    """Return the operations that all kinds of resources have."""
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
