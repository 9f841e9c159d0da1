"""Score the rows of a task by an endpoint: concurrent requests, rows in their original order."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from spark_sentiment.errors import DataError
from spark_sentiment.sagemaker.formats import requests
from spark_sentiment.sagemaker.formats.replies import Reply
from spark_sentiment.sagemaker.scoring.invoke import Service

Row = tuple[Any, ...]
A = TypeVar("A")
B = TypeVar("B")

# Limit per task: it finds some dozen faulty rows, and bounds the cost if every row is faulty.
_HALVINGS = 200
# Smallest number of rows for the share of failed rows: one faulty row in a partition of three does
# not mean that the endpoint is faulty.
_ROWS_TO_JUDGE = 100


@dataclass(frozen=True)
class Scoring:
    """Settings of a task that scores rows; see the Params of `SageMakerEndpointModel`."""

    uid: str
    form: str
    reply: Reply
    service: Service
    rows: int
    bytes: int
    max_error_share: float


def scored(scoring: Scoring, batches: Iterator[Sequence[Any]]) -> Iterator[list[Row]]:
    """Score the batches of a task, in order.

    The requests of a batch run while the next batch is read. The function waits for an answer only
    if it is the next one to yield.

    Parameters
    ----------
    scoring : Scoring
        Settings of the task.
    batches : iterator of sequence
        Parts of requests, as `requests.record` returns them; None for a row that cannot be sent.

    Yields
    ------
    list of tuple
        For each row of a batch: the values of the reply, then error and variant.

    Raises
    ------
    DataError
        If a larger share of the rows than allowed has no prediction.
    """
    asker = _Asker(scoring)
    seen, failed, last = 0, 0, ""
    pool = ThreadPoolExecutor(scoring.service.connections)
    try:
        # Enough requests to keep all threads busy, and few enough to fit into memory.
        free = threading.Semaphore(2 * scoring.service.connections)
        waiting: deque[list[Future[list[Row]]]] = deque()

        def submit(parts: list[bytes | str]) -> Future[list[Row]]:
            free.acquire()
            future = pool.submit(asker, parts)
            future.add_done_callback(lambda _: free.release())
            return future

        def taken() -> list[Row]:
            nonlocal seen, failed, last
            rows = [row for future in waiting.popleft() for row in future.result()]
            errors = [row[-2] for row in rows if row[-2] is not None]
            seen, failed = seen + len(rows), failed + len(errors)
            last = errors[-1] if errors else last
            return rows

        for batch in batches:
            cut = requests.cut(scoring.form, batch, scoring.rows, scoring.bytes)
            waiting.append([submit(parts) for parts in cut])
            while len(waiting) > 1 or (waiting and all(f.done() for f in waiting[0])):
                yield taken()
        while waiting:
            yield taken()
    finally:
        # If Spark needs no more rows, requests that were not sent are dropped.
        pool.shutdown(wait=False, cancel_futures=True)
    if too_many(failed, seen, scoring.max_error_share):
        raise DataError(
            f"{scoring.uid}: endpoint '{scoring.service.endpoint}' gave no prediction for "
            f"{failed:,} of a task's {seen:,} rows, {failed / seen:.2%}, and at most "
            f"{scoring.max_error_share:.2%} is allowed; the last error: {last}"
        )


class _Asker:
    """Sends requests and returns rows, for the threads of one task."""

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring
        self._caller = scoring.service.caller()
        self._halvings = _HALVINGS

    def __call__(self, parts: list[bytes | str]) -> list[Row]:
        """Return a row for each part; a string is the reason why a part cannot be sent."""
        sendable = [part for part in parts if isinstance(part, bytes)]
        answers = iter(self._asked(sendable) if sendable else ())
        return [next(answers) if isinstance(p, bytes) else self._missing(p) for p in parts]

    def _asked(self, parts: list[bytes]) -> list[Row]:
        answer = self._caller(b"".join(parts))
        why, may_be_one_row = answer.error, answer.refused
        if why is None:
            try:
                rows = self._scoring.reply.read(answer.body)
                if len(rows) == len(parts):
                    return [(*row, None, answer.variant) for row in rows]
                why = f"a reply held {len(rows)} rows for {len(parts)}"
            except DataError as error:
                why = str(error)
            may_be_one_row = True
        if len(parts) == 1 or not may_be_one_row or self._halvings <= 0:
            return [self._missing(why)] * len(parts)
        self._halvings -= 1
        middle = len(parts) // 2
        return self._asked(parts[:middle]) + self._asked(parts[middle:])

    def _missing(self, why: str) -> Row:
        return (*(None for _ in self._scoring.reply.fields), why, None)


def too_many(failed: int, rows: int, share: float) -> bool:
    """Tell whether a larger share of the rows than allowed has no prediction.

    Examples
    --------
    >>> too_many(3, 10, share=0.05), too_many(6, 10, share=0.05)
    (False, True)
    """
    return failed > share * max(rows, _ROWS_TO_JUDGE)


def in_order(work: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """Yield `work` of each item, in order, computed in `threads` threads.

    At most a few more items than threads are taken ahead, so that memory holds few of them.

    Examples
    --------
    >>> list(in_order(abs, [-2, 1, -3], threads=2))
    [2, 1, 3]
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            while len(waiting) > 2 * threads or (waiting and waiting[0].done()):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
