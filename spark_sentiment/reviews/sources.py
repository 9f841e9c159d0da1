"""Read reviews from JSON lines and from folders of text files, and tables from Parquet."""

import json
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.core import quoted
from spark_sentiment.errors import DataError
from spark_sentiment.reviews import files
from spark_sentiment.reviews.checks import positions, sorted_out
from spark_sentiment.reviews.decoding import Coding, coding_of, made_valid
from spark_sentiment.reviews.faults import FIELD_CHARACTERS, reading_errors
from spark_sentiment.reviews.ratings import RatingScale
from spark_sentiment.reviews.results import ReadResult
from spark_sentiment.reviews.schema import REVIEWS, ColumnMapping, Columns, joined

_RAW = "_spark_sentiment_raw"  # no key of other people's data has this name
_NEEDED = ("review_id", "review_text", "rating")


def read_json(
    spark: SparkSession,
    path: str | Sequence[str],
    columns: ColumnMapping | Columns | None = None,
    *,
    require_rating: bool = True,
    scale: RatingScale | None = None,
) -> ReadResult:
    r"""Read reviews from files with one JSON object per line, in UTF-8.

    Parameters
    ----------
    spark : SparkSession
        Session to read with.
    path : str or sequence of str
        File, folder or pattern, as for `read_reviews`.
    columns : ColumnMapping or dict, optional
        Our column names -> keys of the objects; by default those of `REVIEWS` that occur in the
        first lines.
    require_rating, scale
        As for `read_reviews`.

    Returns
    -------
    ReadResult
        A line that is not a JSON object is rejected, with the reason ``record: not a JSON object``.

    Raises
    ------
    DataError
        If there is no file, or a file cannot be opened.
    SchemaError
        If the key of the text, the rating or the id occurs in no line of the first files' starts.

    Notes
    -----
    The checks are those of `read_reviews`. A key that a line lacks is null. Only the mapped keys
    are read, so no pass over the data is needed to find its schema.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> file = Path(mkdtemp(), "reviews.jsonl")
    >>> _ = file.write_text('{"body": "Fits", "stars": 5.0}\n{"body": "So so"\n')
    >>> found = read_json(spark, str(file), {"review_text": "body", "rating": "stars"})
    >>> found.reviews.head().rating, found.rejected.head().reason
    (5, 'record: not a JSON object')
    """
    paths = files.listed(path)
    found, patterns = files.find_files(spark, paths, "JSON")
    keys = _keys(files.read_starts(spark, found[:8]).values())
    mapping = ColumnMapping.among(keys) if columns is None else ColumnMapping.of(columns)
    named = mapping.named()
    if keys:
        needed = ColumnMapping.of({name: getattr(mapping, name) for name in _NEEDED})
        positions(f"the first lines of {files.told(paths)}", keys, needed, require_rating)
    theirs = list(dict.fromkeys(name for names in named.values() for name in names))
    schema = T.StructType([T.StructField(name, T.StringType()) for name in [*theirs, _RAW]])
    with reading_errors(files.told(paths), rows=False):
        scan = (
            spark.read.schema(schema)
            .option("mode", "PERMISSIVE")
            .option("columnNameOfCorruptRecord", _RAW)
            .json(patterns)
        )
    broken = made_valid(F.col(_RAW).cast("binary"))
    rows = scan.select(
        *(
            joined([quoted(theirs) for theirs in named.get(name, ())]).alias(name)
            for name in REVIEWS.names
        ),
        F.when(F.col(_RAW).isNotNull(), "record: not a JSON object").alias("reason"),
        F.coalesce(broken, F.to_json(F.struct(*map(quoted, theirs)))).alias("raw"),
        F.col("_metadata.file_path").alias("source_file"),
        F.monotonically_increasing_id().alias("position"),
    )
    return sorted_out(rows, mapping, require_rating, files.told(paths), scale=scale)


def _keys(starts: Iterable[bytes]) -> list[str]:
    """List the keys of the JSON objects in the complete lines of the starts of files."""
    found: dict[str, None] = {}
    for start in starts:
        for line in start.removeprefix(b"\xef\xbb\xbf").splitlines():
            try:
                value = json.loads(line)
            except ValueError:  # broken, or cut where the start ends
                continue
            for each in value if isinstance(value, list) else [value]:
                found |= dict.fromkeys(each if isinstance(each, dict) else ())
    return list(found)


def read_folders(
    spark: SparkSession,
    path: str | Sequence[str],
    *,
    require_rating: bool = True,
    scale: RatingScale | None = None,
    encoding: str | None = None,
) -> ReadResult:
    """Read reviews from a folder per class that holds a text file per review.

    Parameters
    ----------
    spark : SparkSession
        Session to read with.
    path : str or sequence of str
        Folder that holds the folders, at any depth.
    require_rating, scale
        As for `read_reviews`.
    encoding : str, optional
        Encoding of the files; by default UTF-8, and windows-1252 for a file that is not in UTF-8.

    Returns
    -------
    ReadResult
        The name of the folder of a file is its rating: a number of the scale, or the name of a
        class (see `RatingScale`). Files in other folders are rejected.

    Raises
    ------
    DataError
        If there is no file, or no folder has the name of a class.
    ConfigError
        If the encoding is unknown.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> (folder / "pos").mkdir()
    >>> _ = (folder / "pos" / "1.txt").write_text("Soft and warm")
    >>> read_folders(spark, str(folder)).reviews.head().rating
    5
    """
    paths = files.listed(path)
    found, patterns = files.find_files(spark, paths, "text", nested=True)
    scale = scale or RatingScale()
    if require_rating and not any(scale.holds(folder_of(file)) for file in found):
        raise DataError(
            f"reviews: {files.told(paths)} has no folder with the name of a class; name the "
            f"folders as ratings ({scale.span}), or negative, neutral and positive, or say in "
            "labels.names what their names mean"
        )
    files.check_encoding(spark, encoding)
    with reading_errors(files.told(paths), rows=False):
        scan = spark.read.text(patterns, wholetext=True, recursiveFileLookup=True)
    data = F.col("value").cast("binary")
    first = coding_of(spark, encoding or "UTF-8")
    scanned = F.decode(data, first.scanned)
    text, damaged = first.text(scanned), first.damaged(scanned)
    if encoding is None:
        other: Coding = coding_of(spark, files.FALLBACK)
        text = F.when(damaged, other.text(scanned)).otherwise(text)
        damaged = damaged & other.damaged(scanned)
    file = F.col("_metadata.file_path")
    given = {
        "review_text": F.regexp_replace(text, "^\ufeff", ""),
        "rating": F.url_decode(
            F.replace(F.element_at(F.split(file, "/"), -2), F.lit("+"), F.lit("%2B"))
        ),
    }
    too_long = F.octet_length("value") > FIELD_CHARACTERS
    rows = scan.select(
        *(given.get(name, F.lit(None).cast("string")).alias(name) for name in REVIEWS.names),
        F.when(too_long, f"review_text: longer than {FIELD_CHARACTERS:,} bytes")
        .when(damaged, "record: not in the encoding")
        .alias("reason"),
        text.alias("raw"),
        file.alias("source_file"),
        F.lit(0).cast("long").alias("position"),
    )
    mapping = ColumnMapping(review_text="review_text", rating="rating")
    return sorted_out(rows, mapping, require_rating, files.told(paths), scale=scale)


def folder_of(file: str) -> str:
    """Return the name of the folder that holds the file of a URI."""
    return unquote(file.rpartition("/")[0].rpartition("/")[2])


def read_parquet(spark: SparkSession, path: str | Sequence[str]) -> DataFrame:
    """Read a table from Parquet files.

    Parameters
    ----------
    spark : SparkSession
        Session to read with.
    path : str or sequence of str
        File, folder or pattern; a path that exists as it is written is not a pattern.

    Raises
    ------
    DataError
        If there is no file, or a file is not in the format. A file may turn out to be damaged when
        its rows are read: wrap the action in `reading_errors`.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = mkdtemp() + "/table"
    >>> spark.range(3).write.parquet(folder)
    >>> read_parquet(spark, folder).count()
    3
    """
    paths = files.listed(path)
    patterns = files.as_patterns(spark, paths)
    with reading_errors(files.told(paths), rows=False):
        return spark.read.parquet(*patterns)
