"""Reviews in CSV files: read with every torn record set aside, and written.

Spark's reader alone joins two records into one where a quote is left open, and says nothing. Here
each record's raw text is compared with what its fields would be written as.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.errors import DataError, SchemaError
from spark_sentiment.reviews.checks import positions, sorted_out
from spark_sentiment.reviews.results import ReadResult
from spark_sentiment.reviews.schema import OURS, REVIEWS, WOMENS_CLOTHING, ColumnMapping

# Spark takes NUL for the sign that escapes an escape, and so eats it before a quote. This
# noncharacter takes its place: before a quote, it is what makes a record look torn.
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
        File, folder or pattern, on any file system that Spark knows; compressed files too
        (``.gz``, ``.bz2``). All files must have the same header; empty files are passed over.
    columns : ColumnMapping or dict, default `WOMENS_CLOTHING`
        Our column names -> those of the header. The named columns must be there.
    require_rating : bool, default True
        Whether a row needs a rating. Where False, for data to be scored, the rating may be null
        and its column may be missing; a rating that is there must still be 1 to 5.
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
        Where nothing is at `path`, or all files are empty.
    SchemaError
        Where a header lacks a mapped column or has it twice, or differs from the first file's.
        Found before a Spark job runs.
    ConfigError
        Where `columns` is no mapping (see `ColumnMapping.of`).

    Notes
    -----
    Fields may be quoted with ``"``, may then hold line breaks, and double a quote inside.

    A row is rejected with the first reason that holds, of these: ``record: torn`` (not as many
    fields as the header, a quote that never closes or is not doubled: the record is compared with
    what its fields would be written as, so a quote left open cannot swallow the next line
    unseen); ``record: not in the encoding``; ``review_id: missing`` or ``repeated`` (only where
    the column is mapped; of several rows one stays); ``review_text: missing``; ``rating:
    missing``; and for rating, age and positive_feedback_count ``not a whole number`` or ``not in``
    their range; ``recommended: not 0 or 1``. A file cut short is seen by its last record, unless
    the cut is inside an unquoted last field, where nothing can tell.

    A blank field is null: CSV cannot tell the two apart. ``33.0`` counts as 33. Ids and
    categories are trimmed; title and text stay exactly as they are, though a file whose records
    end in CR LF reads those line breaks inside fields as LF.

    Where no ``review_id`` is mapped, it is the first 128 bits of SHA-256 over all other columns,
    as 32 hexadecimal digits; of n rows alike in every column the first has that id, the others
    get ``-2`` to ``-n`` appended. It depends on nothing but content: not on order, partitions,
    files, nor on whether CSV or a table held the rows.

    Cost: one pass and one shuffle of all rows by id, which finds the rows that are alike. A
    quoted line break makes a file one task: one large file is parsed on one core (the shuffle
    then spreads its rows), many files in parallel. Looking at every record's raw text takes about
    as long again as the parsing itself.

    ``position`` counts records from 0 in a single file; with several files it still rises by one
    within each.

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
    at = positions(file, header, mapping, require_rating)

    # One column more than the header has makes Spark call every record corrupt and hand over its
    # raw text, the only way to see that a quote is broken.
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
    # The line end is guessed from the header: a record that ends in CR LF under one that ends in LF
    # keeps its CR in the last field.
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
    r"""Write reviews as a folder of CSV files that `read_reviews` reads back the same.

    Parameters
    ----------
    reviews : DataFrame
        Table with the columns of `REVIEWS` that `columns` names.
    path : str
        Folder to write; one file per partition.
    columns : ColumnMapping or dict, default `OURS`
        Our column names -> the names to write; what is left out is not written.
    overwrite : bool, default False
        Whether a folder that is there gives way.

    Raises
    ------
    SchemaError
        Where `reviews` lacks a column.
    DataError
        Where `path` is there and `overwrite` is False.

    Notes
    -----
    Written in UTF-8, a header in each file, every field but null in quotes.

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
            f"reviews: column '{missing[0]}' is missing; "
            f"the columns are: {', '.join(reviews.columns)}"
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
    """Name the first file that is not empty and its columns; all files must have the same."""
    try:
        files = spark.read.schema("line string").csv(paths).inputFiles()
    except AnalysisException as error:
        if error.getErrorClass() != "PATH_NOT_FOUND":
            raise
        raise DataError(
            f"reviews: there is no file at {', '.join(paths)}; name a CSV file or a folder of "
            "them, relative to where the job runs, or with its scheme (s3a://...)"
        ) from error
    with ThreadPoolExecutor(16) as pool:  # each look costs a round trip where files are remote
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
                f"{', '.join(names)} against {', '.join(wanted)}; read the files separately"
            )
    return first, [name or f"_c{i}" for i, name in enumerate(wanted)]


def _first_record(spark: SparkSession, file: str, encoding: str) -> str:
    """Read a file's first line that is not empty, and on while a quote is open; '' if none is."""
    jvm: Any = spark._jvm
    conf = spark._jsc.hadoopConfiguration()
    path = jvm.org.apache.hadoop.fs.Path(jvm.java.net.URI(file))
    stream = path.getFileSystem(conf).open(path)
    try:
        codec = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(conf).getCodec(path)
        plain = codec.createInputStream(stream) if codec else stream
        reader = jvm.java.io.BufferedReader(jvm.java.io.InputStreamReader(plain, encoding))
        record = ""
        for line in iter(reader.readLine, None):
            record += line.removeprefix("\ufeff") if not record else "\n" + line
            if record and record.count('"') % 2 == 0:
                break
        return record
    finally:
        stream.close()


def _whole_record(cells: list[str], delimiter: str) -> Column:
    """Say whether ``_raw`` is just what a CSV writer would make of these cells.

    Two spellings of a record can differ in which fields are quoted. The usual one, quotes only
    where needed, is compared at once; others are eaten field by field from the front.
    """
    raw, end = F.col("_raw"), F.lit(delimiter)

    def quoted(cell: Column) -> Column:
        return F.concat(F.lit('"'), F.replace(cell, F.lit('"'), F.lit('""')), F.lit('"'))

    special = '["\\r\\n' + ("\\" + delimiter if not delimiter.isalnum() else delimiter) + "]"

    def as_needed(cell: Column) -> Column:
        return F.when(cell.rlike(special), quoted(cell)).otherwise(cell)

    # Lambdas over an array: an expression per cell would be planned and compiled as often.
    values = F.transform(F.array(*cells), lambda cell: F.coalesce(cell, F.lit("")))
    usual = F.array_join(F.transform(values, as_needed), delimiter)

    # A file that ends its records in CR LF has had those turned into LF inside fields.
    def unified(text: Column) -> Column:
        return F.replace(text, F.lit("\r\n"), F.lit("\n"))

    def eat(rest: Column, cell: Column) -> Column:
        """Take one field and its delimiter off the front of `rest`; null where it is not there."""
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
