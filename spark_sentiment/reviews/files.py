"""Find the files of a path, read their starts, and detect encodings."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from spark_sentiment.core import jvm
from spark_sentiment.errors import ConfigError, DataError
from spark_sentiment.reviews.faults import compressed_wrongly, reading_errors

START, LONG_START = 1 << 16, 1 << 20
"""Bytes of a file that are read to find its header, at first and at most."""

_SAMPLE, _FEW_FILES = 1 << 18, 8  # of few files a longer start, which tells the encoding better
_GLOB = re.compile(r"([\\\[\]{}*?])")
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}
_MULTIBYTE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
FALLBACK = "windows-1252"
"""Encoding of a file that is not in UTF-8 and has no byte order mark."""


def listed(path: str | Sequence[str]) -> list[str]:
    """Return one path or several as a list.

    Examples
    --------
    >>> listed("a.csv"), listed(("a.csv", "b.csv"))
    (['a.csv'], ['a.csv', 'b.csv'])
    """
    return [path] if isinstance(path, str) else list(path)


def told(paths: Sequence[str]) -> str:
    """Name paths for a message: all of them if they are few.

    Examples
    --------
    >>> told(["a.csv", "b.csv"]), told([f"{i}.csv" for i in range(9)])
    ('a.csv, b.csv', '0.csv, 1.csv, 2.csv and 6 more')
    """
    more = len(paths) - 3
    return ", ".join(paths) if more <= 1 else f"{', '.join(paths[:3])} and {more:,} more"


def escaped(path: str) -> str:
    r"""Escape the characters that Hadoop takes for a pattern.

    Examples
    --------
    >>> escaped("reviews [1].csv")
    'reviews \\[1\\].csv'
    """
    return _GLOB.sub(r"\\\1", path)


def find_files(
    spark: SparkSession, paths: Sequence[str], kind: str, *, nested: bool = False
) -> tuple[list[str], list[str]]:
    """Find the files at `paths`: files, folders or patterns; a path that exists is no pattern.

    Parameters
    ----------
    spark : SparkSession
        Session to list them with.
    paths : sequence of str
        Paths as the user writes them.
    kind : str
        What the files hold, for messages, such as ``"CSV"``.
    nested : bool, default False
        Whether to list all folders below a folder.

    Returns
    -------
    tuple of list of str
        The files as URIs, in order; and `paths` as Hadoop reads them.

    Raises
    ------
    DataError
        If there is no file, or Spark cannot list or open it.
    """
    patterns = as_patterns(spark, paths)
    reader = spark.read.schema("line string").option("recursiveFileLookup", nested)
    with reading_errors(told(paths), rows=False):
        try:
            files = list(reader.text(patterns).inputFiles())
        except AnalysisException as error:
            if error.getErrorClass() != "PATH_NOT_FOUND":
                raise
            raise DataError(
                f"reviews: there is no file at {told(paths)}; name a {kind} file or a folder of "
                "them, relative to where the job runs, or with its scheme (s3a://...)"
            ) from error
    if not files:
        raise DataError(
            f"reviews: {told(paths)} holds no {kind} file; Spark ignores files whose names begin "
            "with _ or a point: rename such a file"
        )
    odd = next((file for file in files if ":" in unquote(file).rpartition("/")[2]), None)
    if odd:
        raise DataError(
            f"reviews: {unquote(odd)}: Hadoop cannot open a name that has a colon; rename the file"
        )
    return sorted(files), patterns


def as_patterns(spark: SparkSession, paths: Sequence[str]) -> list[str]:
    """Return paths as Hadoop reads them: a path that exists as it is written is no pattern."""
    found = []
    for path in paths:
        with reading_errors(path, rows=False):
            literal = _GLOB.search(path) and jvm.file_exists(spark, path)
        found.append(escaped(path) if literal else path)
    return found


def as_path(uri: str) -> str:
    r"""Return the path that Hadoop reads for a URI of `find_files`.

    Examples
    --------
    >>> as_path("file:///data/a%20%5B1%5D.csv")
    'file:///data/a \\[1\\].csv'
    """
    return escaped(unquote(uri))


def read_starts(spark: SparkSession, files: Sequence[str]) -> dict[str, bytes]:
    """Return the first bytes of each file that is not empty.

    Raises
    ------
    DataError
        If a file cannot be opened or decompressed.
    """
    size = _SAMPLE if len(files) <= _FEW_FILES else START
    with ThreadPoolExecutor(16) as pool:  # each read is a round trip if the files are remote
        starts = list(pool.map(lambda file: read_start(spark, file, size), files))
    return {file: start for file, start in zip(files, starts, strict=True) if start}


def read_start(spark: SparkSession, file: str, size: int) -> bytes:
    """Return the first `size` bytes of a file, decompressed."""
    with reading_errors(file, rows=False):
        start = jvm.read_start(spark, file, size)
        # Hadoop reads a file as empty if its name ends in .bz2 and its content is something else.
        if not start and file.endswith(".bz2"):
            magic = jvm.read_start(spark, file, 3, decompress=False)
            if magic not in (b"", b"BZh"):
                raise compressed_wrongly(file)
    return start


def mark_of(start: bytes) -> str | None:
    r"""Return the encoding that the byte order mark of a file names; None without a mark.

    Examples
    --------
    >>> mark_of(b"\xef\xbb\xbfa,b"), mark_of(b"a,b")
    ('UTF-8', None)
    """
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)


def detected(start: bytes) -> str:
    r"""Return the encoding of a file: by its mark, UTF-8 if its bytes are, else windows-1252.

    Bytes that are not in UTF-8 are taken for damage if they are in no more places than there are
    characters of UTF-8 outside ASCII: text in windows-1252 has almost no such sequence of bytes.

    Examples
    --------
    >>> detected(b"caf\xc3\xa9"), detected(b"caf\xe9"), detected(b"a\0,\0b\0")
    ('UTF-8', 'windows-1252', 'UTF-16LE')
    """
    mark = mark_of(start)
    if mark:
        return mark
    if start[1::2].count(0) > len(start) // 4:
        return "UTF-16LE"
    if start[::2].count(0) > len(start) // 4:
        return "UTF-16BE"
    valid = len(_MULTIBYTE.findall(start))
    whole = start if len(start) < START else start[:-3]  # the last character may be cut
    damaged = len(re.findall(rb"[\x80-\xff]+", _MULTIBYTE.sub(b" ", whole)))
    return "UTF-8" if damaged <= valid else FALLBACK


def encodings(
    spark: SparkSession, starts: Mapping[str, bytes], encoding: str | None
) -> dict[str, str]:
    """Return the encoding of each file: `encoding`, or the detected one if it is None.

    Raises
    ------
    ConfigError
        If Java does not know `encoding`.
    """
    if encoding is None:
        return {file: detected(start) for file, start in starts.items()}
    check_encoding(spark, encoding)
    return {file: mark_of(start) or encoding for file, start in starts.items()}


def check_encoding(spark: SparkSession, encoding: str | None) -> None:
    """Raise ConfigError if Java does not know `encoding`; None is detected."""
    if encoding is not None and not jvm.has_encoding(spark, encoding):
        raise ConfigError(
            f"reviews: encoding {encoding!r} is unknown; name one that Java knows, such as UTF-8 "
            "or windows-1252, or null to detect it"
        )


def told_encodings(found: Mapping[str, str]) -> str:
    """Say which encodings were detected.

    Examples
    --------
    >>> told_encodings({"a.csv": "UTF-8", "b.csv": "windows-1252", "c.csv": "UTF-8"})
    'encoding detected: UTF-8 (2 files), windows-1252 (b.csv)'
    """
    counts = Counter(found.values())
    parts = []
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        one = next(file for file, its in found.items() if its == name).rpartition("/")[2]
        parts.append(f"{name} ({unquote(one) if count == 1 else f'{count:,} files'})")
    return f"encoding detected: {', '.join(parts)}"
