"""When to look again at what takes seconds or hours."""

import math
import time
from collections.abc import Iterator

_LONGEST_PAUSE = 10.0  # seconds between two looks at a job


def pauses() -> Iterator[float]:
    """Yield how long to wait before each look: a little at first, then longer, without an end."""
    pause = 0.1
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE, pause * 1.3)


def looks(timeout: float = math.inf) -> Iterator[float]:
    """Yield the seconds so far, at each time to look at what is waited for, till time is up.

    There is a first look at once, and a last one when `timeout` has passed.

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
