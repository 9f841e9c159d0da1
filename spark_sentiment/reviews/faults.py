"""Turn errors of Spark and Hadoop while files are read into errors with a file and advice.

Spark's own messages may hold the text of a review: the CSV parser adds the content that it was
parsing. These errors hold only the kind of the fault, the file, and the number of the record.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from spark_sentiment.core import jvm
from spark_sentiment.errors import DataError

FIELD_CHARACTERS = 1_000_000
"""The largest number of characters of a field; with UTF-8, of bytes."""

RECORD_FIELDS = 20_480
"""The largest number of fields of a record, which is Spark's own default."""

TORN = "SPARK_SENTIMENT_TORN"
"""Text that a scan raises inside Spark for a record that is torn; file and position follow it."""

_NAMED = (
    re.compile(r"reading file (\S+?)\.(?:\s|$)"),
    re.compile(r"footer for file: (\S+?)\.(?:\s|$)"),
    re.compile(r"(\S+) is not a Parquet file"),
)
_RECORD = re.compile(r"\brecord=(\d+)")
_TORN = re.compile(rf"{TORN} (\S+) (\d+)")
_OF_FILES = (
    "java.io.",
    "java.nio.",
    "java.util.zip.",
    "com.univocity.",
    "org.apache.parquet.",
    "org.apache.hadoop.",
    "com.amazonaws.",
    "software.amazon.",
)
# These packages write messages about files and services, never about the content of a row.
_PLAIN = ("org.apache.hadoop.", "java.nio.file.", "java.net.", "com.amazonaws.", "software.amazon.")
_KNOWN = re.compile(
    r"PATH_NOT_FOUND|UNABLE_TO_INFER_SCHEMA|native \w+ library"
    r"|MALFORMED_RECORD_IN_PARSING|DELTA_STATE_RECOVER|VERSIONS_NOT_CONTIGUOUS"
)
_DAMAGED = (
    "the compressed file is damaged, or is not compressed as its name says",
    "copy it again, or correct its name",
)
# What the parts of Java's messages mean: the fault, and what to do.
_FAULTS = (
    (
        r"MALFORMED_RECORD_IN_PARSING|DELTA_STATE_RECOVER|VERSIONS_NOT_CONTIGUOUS",
        "the log of the Delta table is damaged",
        "restore _delta_log from a backup",
    ),
    (
        r"exceeds the maximum number of characters",
        f"a field has more than {FIELD_CHARACTERS:,} characters",
        "close the quote that joins the lines to one field, or shorten the field",
    ),
    (
        r"TextParsingException.*ArrayIndexOutOfBounds",
        f"a record has more than {RECORD_FIELDS:,} fields",
        "check the delimiter, and whether this is a CSV file",
    ),
    (
        r"native (zStandard|snappy|lz4) library not available",
        "this Hadoop has no native library that decompresses it",
        "compress it as .gz or .bz2, or decompress it",
    ),
    (
        r"ZipException|EOFException|not a gzip file|not in gzip format|ZLIB|zlib"
        r"|BZip2|bad block header|crc error|invalid (?:block type|distance|stored block)",
        *_DAMAGED,
    ),
    (
        r"is not a Parquet file|CANNOT_READ_FILE_FOOTER|Could not read footer",
        "this is not a Parquet file, or it is damaged",
        "name the format that the file has, or copy it again",
    ),
    (
        r"UNABLE_TO_INFER_SCHEMA",
        "there is no data file",
        "name a folder that holds some, in the format that is set",
    ),
    (
        r"PATH_NOT_FOUND|Path does not exist|FileNotFoundException|NoSuchFileException",
        "there is no such file",
        "check the path; it is relative to where the job runs, or has its scheme (s3a://...)",
    ),
    (
        r"No FileSystem for scheme|UnsupportedOperationException|UnsupportedFileSystemException"
        r"|Class \S+FileSystem not found",
        "Spark has no file system for this address, or cannot list it",
        "download the file, or add the jar of the file system to Spark",
    ),
    (
        r"Relative path in absolute URI",
        "Hadoop cannot open a name that has a colon",
        "rename the file, or put ./ and its folder in front of the name",
    ),
    (
        r"AccessControlException|AccessDenied|Permission denied|Forbidden",
        "the job may not read it",
        "check the permissions",
    ),
    (
        r"UnsupportedEncodingException|UnsupportedCharsetException|CHARSET",
        "this Spark does not read the encoding",
        "name another encoding, or convert the file to UTF-8",
    ),
)


@contextmanager
def reading_errors(where: str, *, rows: bool = True) -> Iterator[None]:
    """Raise DataError for errors of the files that the block lists, opens or parses.

    Other errors (of a Python worker, of a failed cast) pass unchanged.

    Parameters
    ----------
    where : str
        File, path or table that is read. The message names it if Spark does not name a file.
    rows : bool, default True
        Whether the block computes rows. If not, every error is an error of the file.

    Examples
    --------
    >>> with reading_errors("reviews.csv"):
    ...     spark.range(3).count()
    3
    """
    try:
        yield
    except jvm.JAVA_ERRORS as error:
        told = _told(error, where, rows)
        if told is None:
            raise
        # Spark's own message may contain the text of the row: it must not be the cause.
        raise DataError(told) from None


def compressed_wrongly(file: str) -> DataError:
    """Return the error of a file whose content is not compressed as its name says.

    Examples
    --------
    >>> str(compressed_wrongly("a.csv.bz2"))[:47]
    'reviews: a.csv.bz2: the compressed file is dama'
    """
    fault, advice = _DAMAGED
    return DataError(f"reviews: {file}: {fault}; {advice}")


def _told(error: Exception, where: str, rows: bool) -> str | None:
    """Return the message for `error`, or None if no file caused it."""
    chain = list(jvm.java_causes(error))
    text = " ".join(f"{kind}: {message}" for kind, message in chain)
    torn = _TORN.search(text)
    if torn:
        return (
            f"reviews: record {int(torn[2]) + 1:,} of {torn[1]} is torn: it has more or fewer "
            "fields than the header, or a quote that is not closed; correct the file"
        )
    file = next((found[1] for pattern in _NAMED if (found := pattern.search(text))), None)
    deepest = next((link for link in reversed(chain) if link[0].startswith(_OF_FILES)), None)
    parsed = "com.univocity." in text or "org.apache.parquet." in text
    known = _KNOWN.search(text)
    if "PythonException" in text or (rows and not (file or parsed or known or deepest)):
        return None
    record = _RECORD.search(text)
    place = f"{file or where}{f', record {int(record[1]):,}' if record else ''}"
    for pattern, fault, advice in _FAULTS:
        if re.search(pattern, text, re.DOTALL):
            return f"reviews: {place}: {fault}; {advice}"
    kind, message = deepest or chain[-1]
    told = kind.rpartition(".")[2]
    if kind.startswith(_PLAIN) and message:
        told += f": {message.strip().splitlines()[0]}"
    return f"reviews: {place}: cannot be read ({told}); check the file, its format and its address"
