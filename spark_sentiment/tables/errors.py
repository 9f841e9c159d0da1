"""Turn errors of Spark, Delta and the file system into TableError, without values of rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from spark_sentiment.core import jvm
from spark_sentiment.errors import TableError

_CONSTRAINT = re.compile(r"CHECK constraint (\w+)")
_NOT_NULL = re.compile(r"NOT NULL constraint violated for column: (\w+(?:\.\w+)*)")
_OURS = ("io.delta.", "org.apache.spark.sql.delta.", "org.apache.hadoop.", "java.nio.file.")
_MISSING = re.compile(r"TABLE_NOT_FOUND|TABLE_OR_VIEW_NOT_FOUND|MISSING_DELTA_TABLE|PATH_NOT_FOUND")
_RETRY = re.compile(r"Concurrent\w+Exception|(Metadata|Protocol)ChangedException")

KEY_TWICE = "SPARK_SENTIMENT_KEY_TWICE"
"""Text that a merge raises inside Spark if its source has a key twice."""


@contextmanager
def table_errors(where: str, doing: str, *, rows: bool = True) -> Iterator[None]:
    """Raise TableError for errors of a table, its log or its folder.

    An error in the plan of the rows (in a Python worker, a failed cast) passes unchanged.

    Parameters
    ----------
    where : str
        Table and place, which begin the message.
    doing : str
        Operation, such as ``"append"``.
    rows : bool, default True
        Whether the block computes rows. If not, every error is an error of the table.
    """
    try:
        yield
    except jvm.JAVA_ERRORS as error:
        told = _told(error, doing, rows)
        if told is None:
            raise
        # Spark's own message contains the values of the row: it must not be the cause.
        raise TableError(f"{where}: {told}") from None


def is_conflict(error: Exception) -> bool:
    """Tell whether Delta refused a commit because of a concurrent commit of another writer."""
    return any(_RETRY.search(kind) for kind, _ in jvm.java_causes(error))


def _told(error: Exception, doing: str, rows: bool) -> str | None:
    """Return the message for `error`, or None if the table did not cause it."""
    chain = list(jvm.java_causes(error))
    for kind, message in chain:
        if KEY_TWICE in message:
            return f"cannot {doing}: two rows have the same key; nothing was written"
        if kind.endswith("InvariantViolationException"):
            return _broken(message)
        if _RETRY.search(kind):
            return (
                f"cannot {doing}: another writer changed the table at the same time; run it again"
            )
        if "VERSIONS_NOT_CONTIGUOUS" in message or "LOG_FILE_NOT_FOUND" in message:
            return (
                f"cannot {doing}: the log is damaged, one of its files is missing "
                f"({_line(message)}); restore _delta_log from a backup"
            )
        if _MISSING.search(message):
            return f"cannot {doing}: there is no Delta table"
    for kind, message in chain:
        if not rows or kind.startswith(_OURS):
            return f"cannot {doing}: {_line(message)} ({kind.rpartition('.')[2]})"
    return None


def _broken(message: str) -> str:
    check, column = _CONSTRAINT.search(message), _NOT_NULL.search(message)
    if column:
        return f"column '{column[1]}' is NOT NULL, but null in a row; nothing was written"
    name = check[1] if check else "unknown"
    return f"a row breaks the constraint '{name}'; nothing was written"


def _line(message: str) -> str:
    return message.strip().partition("\n")[0].rstrip(".")
