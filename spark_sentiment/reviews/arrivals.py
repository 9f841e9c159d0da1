"""Read files as they arrive: a stream of the names of new files, in batches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from queue import Empty, Queue
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from spark_sentiment.reviews import files
from spark_sentiment.reviews.faults import reading_errors

_FILES = "path string, modificationTime timestamp, length long, content binary"
_INTERVAL = "10 seconds"  # between two looks at the folder
_WAIT = 0.5  # seconds between two looks at the query
# Spark ignores files that are older than the newest known file by more than this, without a word;
# its default is a week. Files may be copied with their dates.
_MAX_AGE = "36500d"


class Batch(NamedTuple):
    """New files of a stream.

    Attributes
    ----------
    number : int
        Number of the batch, from 0 in the order of arrival. A batch that was not completed comes
        again with the same number and the same files.
    files : list of str
        The files that are not empty, as paths.
    """

    number: int
    files: list[str]

    @property
    def told(self) -> str:
        """The files for a message; the first ones if they are many."""
        return files.told(self.files)


class _Exchange:
    """Hands the batches of Spark's thread to the thread that processes them."""

    def __init__(self) -> None:
        self.batches: Queue[Batch] = Queue()
        self.done: Queue[bool] = Queue()

    def offer(self, rows: DataFrame, number: int) -> None:
        """Hand over a batch and wait until it is processed; Spark then records it as done."""
        # Spark repeats the files of a batch if one of their names has a character of a pattern.
        found = rows.where("length > 0").select("path").distinct().collect()
        if not found:
            return
        self.batches.put(Batch(number, sorted(row.path for row in found)))
        if not self.done.get():
            raise InterruptedError("the batch was not completed")


@contextmanager
def new_files(
    spark: SparkSession,
    path: str | Sequence[str],
    checkpoint: str,
    *,
    most: int = 100,
    follow: bool = False,
    nested: bool = False,
) -> Iterator[Iterator[Batch]]:
    """Yield the files that no earlier call with the same `checkpoint` has completed, in batches.

    A batch is completed when the next one is asked for. The batch that is in work when the block
    ends with an error, or the process is killed, comes again in the next call.

    Parameters
    ----------
    spark : SparkSession
        Session that lists the files.
    path : str or sequence of str
        Folders or patterns. Names that begin with ``_`` or a point are ignored.
    checkpoint : str
        Folder of the stream's progress; one for each stream, and one process at a time.
    most : int, default 100
        Largest number of files of each path in a batch, the oldest first.
    follow : bool, default False
        Whether to wait for more files. By default, the batches end when no file is left.
    nested : bool, default False
        Whether to look into all folders below a folder.

    Raises
    ------
    DataError
        If there is no folder, or it cannot be listed.

    Notes
    -----
    It is a query of Spark Structured Streaming over names only, so that each batch can be read like
    any other files. Spark recognizes a file by its path: a file that is changed after it was read
    is not read again. A file must appear whole: write it elsewhere and move it into the folder.
    Spark lists all files of the folder for each batch, and remembers their names.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder, progress = Path(mkdtemp()), mkdtemp()
    >>> _ = (folder / "monday.csv").write_text("text,rating")
    >>> for _ in range(2):
    ...     with new_files(spark, str(folder), progress) as batches:
    ...         print([(batch.number, len(batch.files)) for batch in batches])
    [(0, 1)]
    []
    """
    paths = files.listed(path)
    exchange = _Exchange()
    with reading_errors(files.told(paths), rows=False):
        listing = (
            spark.readStream.format("binaryFile")
            .schema(_FILES)
            .option("maxFilesPerTrigger", most)
            .option("maxFileAge", _MAX_AGE)
            .option("recursiveFileLookup", nested)
            .option("ignoreMissingFiles", True)
        )
        sources = [listing.load(each) for each in files.as_patterns(spark, paths)]
        names = reduce(DataFrame.unionAll, sources).select("path", "length")
        writer = names.writeStream.foreachBatch(exchange.offer)
        writer = writer.option("checkpointLocation", checkpoint)
        every = {"processingTime": _INTERVAL} if follow else {"availableNow": True}
        query = writer.trigger(**every).start()
    try:
        yield _batches(query, exchange, files.told(paths))
    finally:
        exchange.done.put(False)  # for the batch in work, or the next one
        query.stop()


def _batches(query: StreamingQuery, exchange: _Exchange, where: str) -> Iterator[Batch]:
    """Yield batches until the query ends; raise its error."""
    while True:
        try:
            batch = exchange.batches.get(timeout=_WAIT)
        except Empty:
            if query.isActive or not exchange.batches.empty():
                continue
            break
        yield batch
        exchange.done.put(True)
    error = query.exception()
    if error is not None:
        with reading_errors(where, rows=False):
            raise error
