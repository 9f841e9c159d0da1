"""Work in threads beside the caller's, each a Spark job of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from pyspark.sql import SparkSession

from spark_sentiment.core import jvm

T = TypeVar("T")


class Beside:
    """Threads that `side_by_side` waits for."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._started: list[Future[Any]] = []

    def start(self, work: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Start `work` in a new thread, with the Spark properties of this one.

        The properties include the job group, so that a job that is cancelled ends as a whole.
        """
        call = jvm.inherit_properties(self._spark, partial(work, *arguments))
        started: Future[T] = Future()
        self._started.append(started)
        # The interpreter does not wait for daemon threads when it ends. It would wait for those of
        # a ThreadPoolExecutor, also after Ctrl-C.
        Thread(target=_settle, args=(started, call), daemon=True).start()
        return started

    def check(self) -> None:
        """Raise the error of the first work that has failed so far. Do not wait for the others.

        Call it before a long step, so that a failed write does not wait for the end of the step.
        """
        for one in self._started:
            if one.done():
                one.result()

    def failures(self) -> list[BaseException]:
        """Wait for all work, and return its errors."""
        found: dict[int, BaseException] = {}
        for one in self._started:
            error = one.exception()
            if error is not None:
                found[id(error)] = error
        return list(found.values())


@contextmanager
def side_by_side(spark: SparkSession) -> Iterator[Beside]:
    """Run work in threads; wait for all threads at the end.

    Use it for work whose result is needed later or not at all, such as a write: a Delta commit
    mostly waits. If work in a thread fails, its error is raised at the end. If the body fails too,
    its error gets a note instead. On Ctrl-C it does not wait.

    Examples
    --------
    >>> with side_by_side(spark) as beside:
    ...     rows = beside.start(spark.range(3).count)
    >>> rows.result()
    3
    """
    beside = Beside(spark)
    try:
        yield beside
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        for failed in beside.failures():
            if failed is not error:
                error.add_note(f"Parallel work failed too: {_told(failed)}")
        raise
    for failed in beside.failures():
        raise failed


def _told(error: BaseException) -> str:
    """Return the message of `error`; for an error of Java, which may quote a review, its kinds."""
    if isinstance(error, jvm.JAVA_ERRORS):
        return ", ".join(dict.fromkeys(kind for kind, _ in jvm.java_causes(error)))
    return str(error)


def _settle(started: "Future[T]", call: Callable[[], T]) -> None:
    """Call `call`; put its result or its error into `started`."""
    try:
        result = call()
    except BaseException as error:
        started.set_exception(error)
    else:
        started.set_result(result)
