"""Read and write reviews as CSV files; torn records are rejected.

Spark's reader silently joins two records if a quote is left open. This module therefore compares
the raw text of each record with the text that its fields would be written as.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.core import jvm, listed
from spark_sentiment.errors import DataError, SchemaError
from spark_sentiment.reviews.checks import positions, sorted_out, told_header
from spark_sentiment.reviews.results import ReadResult
from spark_sentiment.reviews.schema import OURS, REVIEWS, WOMENS_CLOTHING, ColumnMapping

# By default, Spark's character that escapes an escape is NUL, which it removes before a quote. This
# noncharacter replaces NUL; before a quote, it makes a record look torn.
_NEVER = "\uffff"


def read_reviews(
    spark: SparkSession,
    path: str | Sequence[str],
    columns: ColumnMapping | Mapping[str, str | None] = WOMENS_CLOTHING,
    *,
    require_rating: bool = True,
    delimiter: str = ",",
    encoding: str = "UTF-8",
) -> ReadResult:
    r"""Read reviews from CSV files with a header.

    Parameters
    ----------
    spark : SparkSession
        Session to read with.
    path : str or sequence of str
        File, folder or pattern, on any file system that Spark knows; files may be compressed
        (``.gz``, ``.bz2``). All files must have the same header; empty files are ignored.
    columns : ColumnMapping or dict, default `WOMENS_CLOTHING`
        Our column names -> those of the header. The header must have the named columns.
    require_rating : bool, default True
        Whether a row needs a rating. If False, for data to be scored, the rating may be null and
        its column may be missing; a rating that is not null must still be 1 to 5.
    delimiter : str, default ','
        Character between fields.
    encoding : str, default 'UTF-8'
        Encoding of the files.

    Returns
    -------
    ReadResult
        Reviews with the columns of `REVIEWS`, rejected rows with those of `REJECTED`.

    Raises
    ------
    DataError
        If there is no file at `path`, or all files are empty.
    SchemaError
        If a header lacks a mapped column or has it twice, or differs from the header of the first
        file; before any Spark job.
    ConfigError
        If `columns` is not a mapping (see `ColumnMapping.of`).

    Notes
    -----
    Fields may be quoted with ``"``. A quoted field may hold line breaks, and doubles a quote.

    A row is rejected with the first reason that applies: ``record: torn`` (it has more or fewer
    fields than the header, or a quote that is not closed or not doubled); ``record: not in the
    encoding``; ``review_id: missing`` or ``repeated`` (only if the column is mapped; one of the
    repeated rows is kept); ``review_text: missing``; ``rating: missing``; for rating, age and
    positive_feedback_count ``not a whole number`` or ``not in`` their range; ``recommended: not 0
    or 1``. The raw text of a record is compared with the text that its fields would be written as,
    so a quote that is left open does not swallow the next line unnoticed. The last record shows
    that a file is cut off, unless the cut is inside an unquoted last field.

    A blank field is null, because CSV does not distinguish the two. ``33.0`` counts as 33. Ids and
    categories are trimmed. Title and text do not change; only in a file whose records end in CR LF,
    line breaks inside fields become LF.

    If ``review_id`` is not mapped, the id is the first 128 bits of SHA-256 over all other columns,
    as 32 hexadecimal digits. Of n rows that are equal in every column, the first has this id, and
    the others get ``-2`` to ``-n`` appended. The id depends only on the content: not on order,
    partitions, files, or whether the rows come from CSV or a table.

    Cost: one pass, and one shuffle of all rows by id, which finds equal rows. Because of quoted
    line breaks, a file is one task: one large file is parsed on one core (the shuffle then spreads
    its rows), many files in parallel. The check of the raw text takes about as long as the parsing
    itself.

    ``position`` counts the records of a single file from 0. With several files, it rises by one
    within each file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> file = Path(mkdtemp(), "reviews.csv")
    >>> _ = file.write_text('body,stars\n"Fits.\nLove it",5\nSo so,nine\n')
    >>> found = read_reviews(spark, str(file), {"review_text": "body", "rating": "stars"})
    >>> found.reviews.head().review_text
    'Fits.\nLove it'
    >>> found.rejected.head().reason
    'rating: not a whole number'
    """
    mapping = ColumnMapping.of(columns)
    paths = [path] if isinstance(path, str) else list(path)
    file, header = _header(spark, paths, delimiter, encoding)
    at = positions(file, header, mapping, require_rating, first_line=True)

    # With one column more than the header, Spark takes every record for corrupt and returns its
    # raw text: the only way to find a broken quote.
    cells = [f"_{i}" for i in range(len(header) + 1)]
    schema = T.StructType([T.StructField(name, T.StringType()) for name in [*cells, "_raw"]])
    scan = (
        spark.read.schema(schema)
        .option("header", True)
        .option("multiLine", True)
        .option("quote", '"')
        .option("escape", '"')
        .option("charToEscapeQuoteEscaping", _NEVER)
        .option("sep", delimiter)
        .option("encoding", encoding)
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", "_raw")
        .csv(paths)
    )
    # Spark guesses the line end from the header: if the header ends in LF, a record that ends in
    # CR LF keeps its CR in the last field.
    last, stray = F.col(cells[-2]), F.col(cells[-2]).endswith("\r") & ~F.col("_raw").endswith('"')
    scan = scan.withColumn(
        cells[-2], F.when(stray, F.regexp_replace(last, "\r$", "")).otherwise(last)
    )
    strings = {
        ours: F.col(cells[at[ours]]) if ours in at else F.lit(None).cast("string")
        for ours in REVIEWS.names
    }
    reason = F.when(~_whole_record(cells[:-1], delimiter), "record: torn").when(
        F.col("_raw").contains("\ufffd"), "record: not in the encoding"
    )
    # A record with exactly one field too many fits the widened schema and comes without raw text.
    raw = F.coalesce("_raw", F.to_json(F.array(*cells)))
    table = scan.select(
        *(column.alias(ours) for ours, column in strings.items()),
        reason.alias("reason"),
        raw.alias("raw"),
        F.col("_metadata.file_path").alias("source_file"),
        F.monotonically_increasing_id().alias("position"),
    )
    return sorted_out(table, mapping, require_rating)


def write_csv(
    reviews: DataFrame,
    path: str,
    columns: ColumnMapping | Mapping[str, str | None] = OURS,
    *,
    overwrite: bool = False,
) -> None:
    r"""Write reviews as a folder of CSV files, from which `read_reviews` reads the same rows.

    Parameters
    ----------
    reviews : DataFrame
        Table with the columns of `REVIEWS` that `columns` names.
    path : str
        Folder to write; one file per partition.
    columns : ColumnMapping or dict, default `OURS`
        Our column names -> the names to write. Other columns are not written.
    overwrite : bool, default False
        Whether to replace an existing folder.

    Raises
    ------
    SchemaError
        If `reviews` lacks a column.
    DataError
        If `path` exists and `overwrite` is False.

    Notes
    -----
    The files are in UTF-8. Each has a header, and every field but null is quoted.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> df = spark.createDataFrame([('5\'8" tall,\nfits', 5)], ["review_text", "rating"])
    >>> names = {"review_text": "review_text", "rating": "rating"}
    >>> folder = mkdtemp() + "/out"
    >>> write_csv(df, folder, names)
    >>> read_reviews(spark, folder, names).reviews.head().review_text
    '5\'8" tall,\nfits'
    """
    named = ColumnMapping.of(columns).named()
    missing = [name for name in named if name not in reviews.columns]
    if missing:
        raise SchemaError(
            f"reviews: column '{missing[0]}' is missing; the columns are: {listed(reviews.columns)}"
        )
    table = reviews.select(*(F.col(ours).cast("string").alias(to) for ours, to in named.items()))
    writer = (
        table.write.mode("overwrite" if overwrite else "errorifexists")
        .option("header", True)
        .option("quote", '"')
        .option("escape", '"')
        .option("charToEscapeQuoteEscaping", _NEVER)
        .option("quoteAll", True)
        .option("encoding", "UTF-8")
        .option("ignoreLeadingWhiteSpace", False)
        .option("ignoreTrailingWhiteSpace", False)
    )
    try:
        writer.csv(path)
    except AnalysisException as error:
        if error.getErrorClass() != "PATH_ALREADY_EXISTS":
            raise
        raise DataError(
            f"reviews: {path} already exists; name another folder or set overwrite"
        ) from error


def _header(
    spark: SparkSession, paths: list[str], delimiter: str, encoding: str
) -> tuple[str, list[str]]:
    """Return the first file that is not empty, and its columns, which all files must have."""
    try:
        files = spark.read.schema("line string").csv(paths).inputFiles()
    except AnalysisException as error:
        if error.getErrorClass() != "PATH_NOT_FOUND":
            raise
        raise DataError(
            f"reviews: there is no file at {', '.join(paths)}; name a CSV file or a folder of "
            "them, relative to where the job runs, or with its scheme (s3a://...)"
        ) from error
    with ThreadPoolExecutor(16) as pool:  # each read is a round trip if the files are remote
        lines = pool.map(lambda file: _first_record(spark, file, encoding), sorted(files))
        headers = [
            (file, next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter)))
            for file, line in zip(sorted(files), lines, strict=True)
            if line
        ]
    if not headers:
        raise DataError(
            f"reviews: {', '.join(paths)} holds only empty CSV files, or none; "
            "the first line must name the columns"
        )
    first, wanted = headers[0]
    for file, names in headers[1:]:
        if names != wanted:
            raise SchemaError(
                f"reviews: the header of {file} differs from that of {first}: "
                f"{told_header(names)} against {told_header(wanted)}; read the files separately"
            )
    return first, [name or f"_c{i}" for i, name in enumerate(wanted)]


def _first_record(spark: SparkSession, file: str, encoding: str) -> str:
    """Read the first line that is not empty, and further lines while a quote is open; or ''."""
    record = ""
    with closing(jvm.read_lines(spark, file, encoding)) as lines:
        for line in lines:
            record += line.removeprefix("\ufeff") if not record else "\n" + line
            if record and record.count('"') % 2 == 0:
                break
    return record


def _whole_record(cells: list[str], delimiter: str) -> Column:
    """Tell whether ``_raw`` is the text that a CSV writer would write for these cells.

    Writers differ in which fields they quote. The usual form, with quotes only where they are
    needed, is compared at once; other forms are compared field by field.
    """
    raw, end = F.col("_raw"), F.lit(delimiter)

    def quoted(cell: Column) -> Column:
        return F.concat(F.lit('"'), F.replace(cell, F.lit('"'), F.lit('""')), F.lit('"'))

    special = '["\\r\\n' + ("\\" + delimiter if not delimiter.isalnum() else delimiter) + "]"

    def as_needed(cell: Column) -> Column:
        return F.when(cell.rlike(special), quoted(cell)).otherwise(cell)

    # Lambdas over an array: Spark would plan and compile an expression per cell for each cell.
    values = F.transform(F.array(*cells), lambda cell: F.coalesce(cell, F.lit("")))
    usual = F.array_join(F.transform(values, as_needed), delimiter)

    # In a file that ends its records in CR LF, Spark has turned CR LF inside fields into LF.
    def unified(text: Column) -> Column:
        return F.replace(text, F.lit("\r\n"), F.lit("\n"))

    def eat(rest: Column, cell: Column) -> Column:
        """Remove one field and its delimiter from the front of `rest`; null if it is missing."""
        inside, bare = F.concat(quoted(cell), end), F.concat(cell, end)
        return F.when(rest.startswith(inside), F.substr(rest, F.length(inside) + 1)).when(
            ~cell.startswith('"') & rest.startswith(bare), F.substr(rest, F.length(bare) + 1)
        )

    rest = F.aggregate(F.transform(values, unified), F.concat(unified(raw), end), eat)
    return (
        F.when(raw.isNull(), False)
        .when(raw == usual, True)
        .otherwise(F.coalesce(rest == "", F.lit(False)))
    )
