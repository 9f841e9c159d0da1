"""Fault injection: the requests that fail, and the answers of AWS to them."""

import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# Status, code and body of an error answer, of the runtime and of all other services.
_RUNTIME: dict[str, tuple[int, str | None, dict[str, Any]]] = {
    # The runtime throttles with an answer that has no code, and a null message.
    "throttle": (400, None, {"message": None}),
    "424": (424, "ModelError", {"Message": "down", "OriginalStatusCode": 500}),
    "429": (429, "ModelNotReadyException", {"Message": "loading"}),
    "500": (500, "InternalFailure", {"Message": "internal"}),
    "503": (503, "ServiceUnavailable", {"Message": "unavailable"}),
    "530": (530, "InternalDependencyException", {"Message": "dependency"}),
}
_CONTROL = {
    **_RUNTIME,
    "throttle": (400, "ThrottlingException", {"message": "Rate exceeded"}),
    "429": (429, "TooManyRequestsException", {"message": "Rate exceeded"}),
}
FAULTS = (*_RUNTIME, "slow", "drop", "cut")
"""All kinds of faults: error answers by status; 'slow' delays the answer by 2 s; 'drop' closes the
connection without executing the request; 'cut' executes it, and sends half of the answer."""

SLOW_SECONDS = 2.0


@dataclass
class Faults:
    """Makes a share of requests fail, reproducibly for the same order of requests.

    Examples
    --------
    >>> faults = Faults()
    >>> faults.set(operation="CreateEndpoint", kinds=["throttle"], share=0.5)
    >>> [faults.choose("CreateEndpoint") for _ in range(5)]
    ['throttle', 'throttle', 'throttle', 'throttle', None]
    >>> faults.choose("DescribeEndpoint") is None
    True
    """

    _rules: dict[str | None, tuple[tuple[str, ...], float, random.Random]] = field(
        default_factory=dict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(
        self,
        *,
        kinds: Sequence[str],
        operation: str | None = None,
        share: float = 1.0,
        seed: int = 7,
    ) -> None:
        """Make requests fail from now on.

        Parameters
        ----------
        kinds : sequence of str
            Some of `FAULTS`; each fault is drawn from them.
        operation : str, optional
            Operation of SageMaker or its runtime, such as 'InvokeEndpoint'; by default all
            operations. Settings for one operation override those for all.
        share : float, default 1.0
            Share of the requests that fail.
        seed : int, default 7
            Seed of the random numbers.
        """
        unknown = set(kinds) - set(FAULTS)
        if unknown or not kinds:
            raise ValueError(f"kinds must be some of {FAULTS}, got {sorted(unknown)}")
        with self._lock:
            self._rules[operation] = (tuple(kinds), share, random.Random(seed))

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._rules.clear()

    def choose(self, operation: str) -> str | None:
        """Return the fault of the next request of `operation`, or None."""
        with self._lock:
            rule = self._rules.get(operation) or self._rules.get(None)
            if rule is None or rule[2].random() >= rule[1]:
                return None
            return rule[2].choice(rule[0])


def answer(fault: str, *, runtime: bool) -> tuple[int, str | None, bytes] | None:
    """Return status, code and body of the answer for `fault`; None if it is not an error answer."""
    told = (_RUNTIME if runtime else _CONTROL).get(fault)
    if told is None:
        return None
    status, code, content = told
    if not runtime:  # the protocol of the control plane has the code in the body
        content = {"__type": code, **content}
    return status, code, json.dumps(content).encode()
