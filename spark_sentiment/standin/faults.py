"""Faults on purpose: which requests fail, and what AWS sends when one does."""

import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# status, code and body of an answer that tells of a fault; of the runtime, and of all else
_RUNTIME: dict[str, tuple[int, str | None, dict[str, Any]]] = {
    # throttling of the runtime arrives without a code, and with a null message
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
"""All kinds: answers with an error; late by 2 s; none, the request undone; half, the rest done."""

SLOW_SECONDS = 2.0


@dataclass
class Faults:
    """Lets a share of requests fail; the same each time for the same order of requests.

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
        """Let requests fail from now on.

        Parameters
        ----------
        kinds : sequence of str
            Some of `FAULTS`; each fault is one of them by chance.
        operation : str, optional
            Of SageMaker or its runtime, such as 'InvokeEndpoint'; all where none is named. What
            is set for one by name counts before what is set for all.
        share : float, default 1.0
            Of its requests that fail.
        seed : int, default 7
            Of the chance.
        """
        unknown = set(kinds) - set(FAULTS)
        if unknown or not kinds:
            raise ValueError(f"kinds are some of {FAULTS}, not {sorted(unknown)}")
        with self._lock:
            self._rules[operation] = (tuple(kinds), share, random.Random(seed))

    def clear(self) -> None:
        """Let all requests through again."""
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
    """Return status, code and body that tell of `fault`; None where it is another kind."""
    told = (_RUNTIME if runtime else _CONTROL).get(fault)
    if told is None:
        return None
    status, code, content = told
    if not runtime:  # whose protocol has the code in the body
        content = {"__type": code, **content}
    return status, code, json.dumps(content).encode()
