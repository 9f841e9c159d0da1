"""Polling intervals for jobs and endpoints that take seconds or hours."""

import math
import time
from collections.abc import Iterator

_LONGEST_PAUSE = 10.0  # seconds between two polls of a job


def pauses() -> Iterator[float]:
    """Yield the seconds to wait before each poll, without end; they grow from 0.1 to 10."""
    pause = 0.1
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE, pause * 1.3)


def looks(timeout: float = math.inf) -> Iterator[float]:
    """Yield the elapsed seconds at each time to poll, until `timeout` has passed.

    The first poll is at once, and the last one when `timeout` has passed.

    Examples
    --------
    >>> [round(seconds, 1) for seconds in looks(0.05)][0]
    0.0
    """
    began = time.monotonic()
    for pause in pauses():
        seconds = time.monotonic() - began
        yield seconds
        if seconds >= timeout:
            return
        time.sleep(max(0.0, min(pause, began + timeout - time.monotonic())))
