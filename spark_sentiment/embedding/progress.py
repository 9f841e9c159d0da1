"""Progress of an embedding: tasks count rows, the driver reports."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark import Accumulator, SparkContext


class EmbeddingProgress:
    """Counts the rows that a `BertEmbeddings` stage has embedded, while a job runs.

    Each task adds its rows when it ends, so the count grows by a partition at a time; with several
    partitions per core it grows smoothly. A task that runs again is counted again.

    Examples
    --------
    >>> from spark_sentiment.embedding import BertEmbeddings
    >>> stage = BertEmbeddings(inputCol="text", outputCol="embedding")
    >>> df = spark.createDataFrame([("good",), (None,)], ["text"])
    >>> said = []
    >>> with stage.progress.reporting(total=2, say=said.append):
    ...     stage.transform(df).write.format("noop").mode("overwrite").save()
    >>> said[-1].split(",")[0]
    '2 of 2 rows'
    """

    def __init__(self) -> None:
        self._counters: dict[str, Accumulator[int]] = {}

    def counter(self, context: SparkContext) -> Accumulator[int]:
        """Return the accumulator to which the tasks of this session add."""
        session = str(context.applicationId)
        if session not in self._counters:
            self._counters[session] = context.accumulator(0)
        return self._counters[session]

    @property
    def rows(self) -> int:
        """Number of rows embedded so far by all jobs of this stage, including nulls."""
        return sum(counter.value for counter in self._counters.values())

    @contextmanager
    def reporting(
        self, total: int, say: Callable[[str], None], every: float = 5.0
    ) -> Iterator[None]:
        """Call `say` with a line of progress every few seconds, and once at the end.

        Parameters
        ----------
        total : int
            Number of rows that the body embeds.
        say : callable
            Function that prints a line such as ``12000 of 23486 rows, 402 rows/s, 29 s left``.
        every : float, default 5.0
            Seconds between lines.
        """
        done, began, before = threading.Event(), time.monotonic(), self.rows
        ended: list[float] = []  # time of the last embedded row; writing the rows may take longer

        def line() -> str:
            rows = self.rows - before
            if rows >= total and not ended:
                ended.append(time.monotonic())
            seconds = (ended[0] if ended else time.monotonic()) - began
            speed = rows / seconds if seconds > 0 else 0.0
            left = f"{(total - rows) / speed:.0f} s left" if speed and rows < total else ""
            parts = [f"{rows} of {total} rows", f"{speed:.0f} rows/s" if rows else "", left]
            return ", ".join(filter(None, parts))

        def watch() -> None:
            while not done.wait(every):
                say(line())

        thread = threading.Thread(target=watch, name="embedding-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        say(line())
