"""Turn errors of Spark, Delta and the file system into TableError, without values of rows."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from spark_sentiment.core import jvm
from spark_sentiment.errors import TableError

_CONSTRAINT = re.compile(r"CHECK constraint (\w+)")
_NOT_NULL = re.compile(r"NOT NULL constraint violated for column: (\w+(?:\.\w+)*)")
_OURS = ("io.delta.", "org.apache.spark.sql.delta.", "org.apache.hadoop.", "java.nio.file.")
_MISSING = re.compile(r"TABLE_NOT_FOUND|TABLE_OR_VIEW_NOT_FOUND|MISSING_DELTA_TABLE|PATH_NOT_FOUND")
_RETRY = re.compile(r"Concurrent\w+Exception|(Metadata|Protocol)ChangedException")
_GAP = re.compile(r"VERSIONS_NOT_CONTIGUOUS|LOG_FILE_NOT_FOUND|DELTA_STATE_RECOVER")
# Delta alone reads JSON so that a malformed record is an error. These messages quote the record.
_TORN = re.compile(r"MALFORMED_RECORD_IN_PARSING|com\.fasterxml\.jackson\.core\.")
_FILE = re.compile(r"/(_delta_log/)?([^\s/]+\.(?:json|parquet))\b")
_GONE = re.compile(r"FileNotFound|NoSuchFile|NoSuchKey|FILE_NOT_EXIST|does not exist")
_DAMAGED = re.compile(
    r"ChecksumException|is not a Parquet file|CANNOT_READ_FILE_FOOTER|Could not read footer"
    r"|EOFException|ParquetDecodingException|FAILED_READ_FILE|error while reading file"
)

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


class Damage(NamedTuple):
    """A file that is missing or damaged: its name, '' if unknown; and the text of Spark's error."""

    file: str
    in_log: bool
    fault: str
    text: str

    def told(self, doing: str) -> str:
        """Return the message about the file, for the operation `doing`."""
        if self.in_log:
            file = f" ({self.file})" if self.file else ""
            return (
                f"cannot {doing}: the log is damaged, one of its files is {self.fault}{file}; "
                "restore _delta_log from a backup"
            )
        return (
            f"cannot {doing}: its file {self.file} is {self.fault}; restore the file from a "
            "backup, or write to another place"
        )

    def is_below(self, folder: str) -> bool:
        """Tell whether the file is in `folder`.

        Examples
        --------
        >>> text = "File file:/my%20data/runs/a.parquet does not exist"
        >>> found = Damage("a.parquet", False, "missing", text)
        >>> found.is_below("/my data/runs"), found.is_below("/my data/run")
        (True, False)
        """
        path = urlsplit(folder).path or folder
        return any(f"{form}/" in self.text for form in (path, quote(path)))


def damage(error: Exception) -> Damage | None:
    """Return the file of a Delta table that caused `error`; None for an error of another kind.

    Spark reads the files of a table only when rows are computed. Its error names the file, but not
    the table; if a file of the log is torn, it names neither.
    """
    text = "\n".join(f"{kind}: {message}" for kind, message in jvm.java_causes(error))
    if "PythonException" in text:
        return None
    if _TORN.search(text):
        return Damage("", True, "torn", "")
    if _GAP.search(text):
        return Damage("", True, "missing", text)
    fault = "missing" if _GONE.search(text) else "damaged" if _DAMAGED.search(text) else None
    found = _FILE.search(text)
    return Damage(found[2], bool(found[1]), fault, text) if fault and found else None


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
        if _MISSING.search(message):
            return f"cannot {doing}: there is no Delta table"
    found = damage(error)
    if found is not None:
        return None if rows else found.told(doing)  # `Tables.reading` finds the table of a row
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
