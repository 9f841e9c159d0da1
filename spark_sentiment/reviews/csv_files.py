"""Read and write reviews as CSV files; torn records are rejected.

Spark's reader silently joins two records if a quote is left open. This module therefore compares
the raw text of each record with the text that its fields would be written as.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.core import jvm, listed, refuse_stream
from spark_sentiment.errors import ConfigError, DataError, SchemaError
from spark_sentiment.reviews import files
from spark_sentiment.reviews.checks import positions, sorted_out, told_header
from spark_sentiment.reviews.decoding import Coding, coding_of, made_valid
from spark_sentiment.reviews.faults import FIELD_CHARACTERS, RECORD_FIELDS, TORN, reading_errors
from spark_sentiment.reviews.ratings import RatingScale
from spark_sentiment.reviews.results import ReadResult
from spark_sentiment.reviews.schema import (
    OURS,
    REVIEWS,
    WOMENS_CLOTHING,
    ColumnMapping,
    Columns,
    joined,
)

# By default, Spark's character that escapes an escape is NUL, which it removes before a quote. This
# noncharacter replaces NUL; before a quote, it makes a record look torn.
_NEVER = "\uffff"
_UNDECODABLE = "record: not in the encoding"
_COLUMNS, _HEADER_LINES = 1_000, 1_000


@dataclass(frozen=True)
class Dialect:
    r"""How a CSV file is written.

    Parameters
    ----------
    delimiter, quote : str, default ',' and '"'
        Character between fields, and character around a field. ``\\t`` is a tab.
    escape : str, optional
        Character that stands before a quote inside a quoted field; by default the quote itself,
        which is then doubled.
    header : bool, default True
        Whether the first line names the columns. Otherwise they are ``_c0``, ``_c1`` and so on.

    Raises
    ------
    ConfigError
        If one of the three is not one character, or two that must differ are the same.

    Examples
    --------
    >>> Dialect(delimiter="\\t").escape
    '"'
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    header: bool = True

    def __post_init__(self) -> None:
        # The class is frozen, so converted values are set by object.__setattr__.
        object.__setattr__(self, "delimiter", self.delimiter.replace("\\t", "\t"))
        object.__setattr__(self, "escape", self.escape or self.quote)
        for name in ("delimiter", "quote", "escape"):
            value = getattr(self, name)
            if len(value) != 1 or value in "\r\n\0":
                raise ConfigError(
                    f"reviews: {name} must be one character and no line break, got {value!r}"
                )
        if self.delimiter in (self.quote, self.escape):
            raise ConfigError(
                f"reviews: delimiter {self.delimiter!r} is also quote or escape; name another one"
            )

    def records(self, lines: Iterable[str]) -> Iterator[list[str]]:
        r"""Parse lines as Python does; a record of several lines takes them all.

        Raises
        ------
        csv.Error
            If a field is above the limit of Python's parser.

        Examples
        --------
        >>> list(Dialect(delimiter=";").records(['a;"b\n', 'c"\n']))
        [['a', 'b\nc']]
        """
        doubled = self.escape == self.quote
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=None if doubled else self.escape,
            doublequote=doubled,
        )


def read_reviews(
    spark: SparkSession,
    path: str | Sequence[str],
    columns: ColumnMapping | Columns = WOMENS_CLOTHING,
    *,
    require_rating: bool = True,
    scale: RatingScale | None = None,
    delimiter: str = ",",
    quote: str = '"',
    escape: str | None = None,
    encoding: str | None = None,
    header: bool = True,
) -> ReadResult:
    r"""Read reviews from CSV files.

    Parameters
    ----------
    spark : SparkSession
        Session to read with.
    path : str or sequence of str
        File, folder or pattern, on any file system that Spark knows; files may be compressed
        (``.gz``, ``.bz2``; ``.zst`` if Hadoop has its native library). All files must have the same
        header; empty files are ignored. A path that exists as it is written is not a pattern.
    columns : ColumnMapping or dict, default `WOMENS_CLOTHING`
        Our column names -> those of the header. The header must have the named columns.
    require_rating : bool, default True
        Whether a row needs a rating. If False, for data to be scored, the rating may be null and
        its column may be missing; a rating that is not null must still be on the scale.
    scale : RatingScale, optional
        The scale of the ratings, and names of classes; by default 1 to 5. A rating is read as
        whole stars, 1 to 5.
    delimiter, quote : str, default ',' and '"'
        Character between fields, and character around a field.
    escape : str, optional
        Character that stands before a quote inside a quoted field; by default a quote is doubled.
    encoding : str, optional
        Encoding of files without a byte order mark. By default it is detected for each file from
        its first bytes: UTF-8, or windows-1252 if they are not in UTF-8.
    header : bool, default True
        Whether the first line names the columns. Otherwise they are ``_c0``, ``_c1`` and so on.

    Returns
    -------
    ReadResult
        Reviews with the columns of `REVIEWS`, rejected rows with those of `REJECTED`. ``notes``
        tells the detected encodings.

    Raises
    ------
    DataError
        If there is no file at `path`, all files are empty, a file cannot be opened or decompressed,
        or its first record does not end within 1,000 lines and 1 MiB.
    SchemaError
        If a header lacks a mapped column or has it twice, has more than 1,000 columns, or differs
        from the header of the first file; before any Spark job.
    ConfigError
        If `columns` is not a mapping (see `ColumnMapping.of`), a character is none (see `Dialect`),
        or the encoding is unknown.

    Notes
    -----
    Fields may be quoted with ``"``. A quoted field may hold line breaks, and doubles a quote.

    A row is rejected with the first reason that applies: ``record: torn`` (it has more or fewer
    fields than the header, or a quote that is not closed or not doubled); ``record: not in the
    encoding``; ``review_id: missing`` or ``repeated`` (only if the column is mapped; one of the
    repeated rows is kept); ``review_text: missing``; ``rating: missing``; ``rating: not a
    number or a class`` or ``not in`` its scale; for age and positive_feedback_count ``not a whole
    number`` or ``not in`` their range; ``recommended: not 0
    or 1``. The raw text of a record is compared with the text that its fields would be written as,
    so a quote that is left open does not swallow the next line unnoticed. The last record shows
    that a file is cut off, unless the cut is inside an unquoted last field.

    Lines end in LF or CR LF, or all in CR if the first line does. A line break in a field without
    quotes makes a record torn. Empty lines are ignored. A field may have 1,000,000 characters
    (bytes, in UTF-8) and a record 20,480 fields: a longer one ends the action with DataError
    (`ReadResult.check`, `ReadResult.counts`).

    U+FFFD is a character like others, and bytes that are not in the encoding are a reason of their
    own. In files with a byte order mark or a delimiter outside ASCII, the two are told apart for a
    whole file, in a second pass; in UTF-16 and other encodings with several bytes per character
    both are rejected.

    A blank field is null, because CSV does not distinguish the two. ``33.0`` counts as 33. Ids and
    categories are trimmed. Title and text do not change; only in a file whose first line ends in
    CR LF or CR, such line breaks inside fields become LF.

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
    'rating: not a number or a class'
    """
    mapping = ColumnMapping.of(columns)
    table = open_csv(spark, path, Dialect(delimiter, quote, escape or "", header), encoding)
    at = positions(table.first, table.names, mapping, require_rating, first_line=header)
    strings = {ours: joined([F.col(f"_{i}") for i in at.get(ours, ())]) for ours in REVIEWS.names}
    rows = table.rows.select(
        *(column.alias(ours) for ours, column in strings.items()),
        "reason",
        "raw",
        "source_file",
        "position",
    )
    return sorted_out(rows, mapping, require_rating, table.source, table.notes, scale=scale)


def read_csv(
    spark: SparkSession,
    path: str | Sequence[str],
    *,
    delimiter: str = ",",
    quote: str = '"',
    escape: str | None = None,
    encoding: str | None = None,
    header: bool = True,
) -> DataFrame:
    r"""Read any CSV files as `read_reviews` reads them: strings, with the names of the header.

    Parameters
    ----------
    spark, path, delimiter, quote, escape, encoding, header
        As for `read_reviews`.

    Returns
    -------
    DataFrame
        All columns are strings; a blank field is null.

    Raises
    ------
    DataError, ConfigError
        As `read_reviews`. If a record is torn or not in the encoding, the action fails: wrap it in
        `reading_errors`, which raises DataError with the file and the number of the record.
    SchemaError
        If files have different headers, or a name occurs twice.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> file = Path(mkdtemp(), "scored.csv")
    >>> _ = file.write_text('age;label\n"33";2\n;0\n')
    >>> [tuple(row) for row in read_csv(spark, str(file), delimiter=";").collect()]
    [('33', '2'), (None, '0')]
    """
    table = open_csv(spark, path, Dialect(delimiter, quote, escape or "", header), encoding)
    twice = next((name for name in table.names if table.names.count(name) > 1), None)
    if twice is not None:
        raise SchemaError(
            f"reviews: column {told_header([twice])!r} occurs {table.names.count(twice)} times in "
            f"{table.first}; give each column a name of its own"
        )
    place = F.concat_ws(" ", F.lit(TORN), "source_file", F.col("position").cast("string"))
    # The first column carries the check: Spark computes only the columns that a query uses, and
    # `when` keeps the check in each of them.
    whole = F.col("reason").isNull()
    return table.rows.select(
        *(
            F.when(whole, F.when(F.btrim(f"_{i}") != "", F.col(f"_{i}")))
            .otherwise(F.raise_error(place).cast("string"))
            .alias(name)
            for i, name in enumerate(table.names)
        )
    )


def write_csv(
    reviews: DataFrame,
    path: str,
    columns: ColumnMapping | Columns = OURS,
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
        Our column names -> the names to write; of several names the first. Other columns are not
        written.
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
    refuse_stream(reviews, "write_csv")
    named = ColumnMapping.of(columns).named()
    missing = [name for name in named if name not in reviews.columns]
    if missing:
        raise SchemaError(
            f"reviews: column '{missing[0]}' is missing; the columns are: {listed(reviews.columns)}"
        )
    table = reviews.select(*(F.col(ours).cast("string").alias(to[0]) for ours, to in named.items()))
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


@dataclass(frozen=True)
class CsvTable:
    """The records of CSV files, checked and decoded, but without types.

    Attributes
    ----------
    first : str
        The first file that is not empty.
    names : list of str
        Names of its columns.
    rows : DataFrame
        Fields ``_0``, ``_1`` and so on; ``reason`` (null in a usable record), ``raw``,
        ``source_file`` and ``position`` as in `REJECTED`.
    source : str
        What was read, for messages.
    notes : tuple of str
        The detected encodings.
    """

    first: str
    names: list[str]
    rows: DataFrame
    source: str
    notes: tuple[str, ...]


def open_csv(
    spark: SparkSession, path: str | Sequence[str], dialect: Dialect, encoding: str | None
) -> CsvTable:
    """Find CSV files, read their headers and return their records, which no job has read yet."""
    paths = files.listed(path)
    found, patterns = files.find_files(spark, paths, "CSV")
    starts = files.read_starts(spark, found)
    if not starts:
        raise DataError(
            f"reviews: {files.told(paths)} holds only empty CSV files, or none; "
            "the first line must name the columns"
        )
    encodings = files.encodings(spark, starts, encoding)
    heads = {file: _head(spark, file, starts[file], encodings[file], dialect) for file in starts}
    first = next(iter(heads))
    names = _common(heads, dialect)

    # Line ends and encoding are settings of a scan: files that differ in them have scans of their
    # own. In the usual case that is one.
    groups: dict[tuple[str, bool, str, str], list[str]] = {}
    for file, head in heads.items():
        marked = files.mark_of(starts[file]) is not None
        groups.setdefault((encodings[file], marked, head.end, head.late), []).append(file)
    scans = []
    for (name, marked, end, late), members in groups.items():
        given = patterns if len(groups) == 1 else [files.as_path(file) for file in members]
        # Spark reads a file with a byte order mark in the encoding of the mark; so its bytes cannot
        # be had, nor those of a file with a delimiter or quote that has several.
        plain = (dialect.delimiter + dialect.quote + dialect.escape).isascii()
        coding = coding_of(spark, name) if plain and not marked else Coding(name)
        skipped = late if dialect.header else ""
        scan = _scan(spark, given, len(names), dialect, coding, end, skipped)
        if name == "UTF-8" and not coding.utf8:
            scan = _rejected_if_damaged(spark, scan, given)
        scans.append(scan)
    rows = reduce(DataFrame.unionByName, scans)
    source = first if len(heads) == 1 else f"one of the {len(heads):,} files at {files.told(paths)}"
    notes = (files.told_encodings(encodings),) if encoding is None else ()
    return CsvTable(first, names, rows, source, notes)


# Headers


@dataclass(frozen=True)
class _Head:
    """The cells of the first record of a file, how its line ends, and its text if it is late.

    Late means that empty lines with CR LF stand above it, which are not empty for Spark.
    """

    cells: list[str]
    end: str
    late: str = ""


def _head(spark: SparkSession, file: str, start: bytes, encoding: str, dialect: Dialect) -> _Head:
    """Parse the first record of a file."""
    for size in (len(start), files.LONG_START):
        if size > len(start):
            start = files.read_start(spark, file, size)
        text = jvm.decode(spark, start, encoding).removeprefix("\ufeff")
        head = _first_record(text, dialect)
        if head is not None:
            return head
        if len(start) < files.START:  # the whole file
            break
    raise DataError(
        f"reviews: the first line of {file} does not end within {_HEADER_LINES:,} lines and 1 MiB; "
        "close the quote in it, correct the delimiter, or name the format that the file has"
    )


def _first_record(text: str, dialect: Dialect) -> _Head | None:
    """Return the first record that is not empty; None if it does not end in `text`."""
    end, late, record = "", False, ""
    exhausted = False

    def lines() -> Iterator[str]:
        nonlocal end, exhausted, late, record
        for line in islice(io.StringIO(text, newline=""), _HEADER_LINES):
            end = line[len(line.rstrip("\r\n")) :]
            late |= line == "\r\n"
            record += "" if line == end and not record else line
            yield line
        exhausted = True

    try:
        cells = next(filter(None, dialect.records(lines())), None)
    except csv.Error:  # a cell above the limit of Python's parser
        return None
    # The parser asks for more lines only while a quote is open.
    if cells is None or exhausted:
        return None
    return _Head(cells, end, record.removesuffix(end) if late else "")


def _common(heads: Mapping[str, _Head], dialect: Dialect) -> list[str]:
    """Return the names of the columns, which all files must have."""
    first, wanted = next(iter(heads.items()))
    if len(wanted.cells) > _COLUMNS:
        raise SchemaError(
            f"reviews: the first line of {first} has {len(wanted.cells):,} columns, and at most "
            f"{_COLUMNS:,} are read; check the delimiter, or leave columns out"
        )
    for file, head in heads.items():
        if dialect.header and head.cells != wanted.cells:
            raise SchemaError(
                f"reviews: the header of {file} differs from that of {first}: "
                f"{told_header(head.cells)} against {told_header(wanted.cells)}; read the files "
                "separately"
            )
        if len(head.cells) != len(wanted.cells):
            raise SchemaError(
                f"reviews: {file} has {len(head.cells):,} columns, and {first} has "
                f"{len(wanted.cells):,}; read the files separately"
            )
    named = wanted.cells if dialect.header else [""] * len(wanted.cells)
    return [name or f"_c{i}" for i, name in enumerate(named)]


# Records


def _scan(
    spark: SparkSession,
    paths: list[str],
    columns: int,
    dialect: Dialect,
    coding: Coding,
    end: str,
    skipped: str,
) -> DataFrame:
    """Return the records of files of one encoding and one kind of line end, checked and decoded.

    A record whose text is `skipped` is a header that Spark has not recognised.
    """
    # With one column more than the header, Spark takes every record for corrupt and returns its
    # raw text: the only way to find a broken quote.
    cells = [f"_{i}" for i in range(columns + 1)]
    schema = T.StructType([T.StructField(name, T.StringType()) for name in [*cells, "_raw"]])
    doubled = dialect.escape == dialect.quote
    reader = (
        spark.read.schema(schema)
        .option("header", dialect.header)
        .option("multiLine", True)
        # Spark's guess from the first line fails if other lines end differently.
        .option("lineSep", "\r" if end == "\r" else "\n")
        .option("quote", dialect.quote)
        .option("escape", dialect.escape)
        .option("charToEscapeQuoteEscaping", _NEVER if doubled else dialect.escape)
        .option("sep", dialect.delimiter)
        .option("encoding", coding.scanned)
        .option("maxCharsPerColumn", FIELD_CHARACTERS)
        .option("maxColumns", RECORD_FIELDS)
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", "_raw")
    )
    with reading_errors(files.told(paths), rows=False):
        scan = reader.csv(paths)
    scan = scan.withColumn("_raw", F.regexp_replace("_raw", "\r$", ""))
    # Spark ends records at LF alone: of CR LF, the CR is left in the last field.
    last = F.col(cells[-2])
    stray = last.endswith("\r") & ~F.col("_raw").endswith(dialect.quote)
    last = F.when(stray, F.regexp_replace(last, "\r$", "")).otherwise(last)
    # An empty line that ends in CR LF is not empty for Spark.
    scan = scan.where(F.coalesce(F.col("_raw") != "", F.lit(True))).withColumn(cells[-2], last)
    if skipped:
        scan = scan.where(F.coalesce(coding.text(F.col("_raw")) != skipped, F.lit(True)))
    reason = F.when(~_whole_record(cells[:-1], dialect), "record: torn").when(
        coding.damaged(F.col("_raw")), _UNDECODABLE
    )

    def text(cell: str) -> Column:
        decoded = coding.text(F.col(cell))
        if end in ("\r\n", "\r"):  # the line breaks of the file; the reviews have LF
            return F.replace(decoded, F.lit(end), F.lit("\n"))
        return decoded

    # A record with exactly one field too many fits the widened schema and comes without raw text.
    raw = F.coalesce(coding.text(F.col("_raw")), F.to_json(F.array(*map(text, cells))))
    return scan.select(
        *(text(cell).alias(cell) for cell in cells[:-1]),
        reason.alias("reason"),
        raw.alias("raw"),
        F.col("_metadata.file_path").alias("source_file"),
        F.monotonically_increasing_id().alias("position"),
    )


def _rejected_if_damaged(spark: SparkSession, scan: DataFrame, paths: list[str]) -> DataFrame:
    """Accept U+FFFD in the files whose bytes are all in UTF-8.

    For files whose records do not come as bytes. It takes a second pass over their lines, which
    Spark does not decode.
    """
    lines = spark.read.text(paths)
    data = F.col("value").cast("binary")
    damaged = (
        lines.where(made_valid(data).cast("binary") != data)
        .select(F.col("_metadata.file_path").alias("source_file"))
        .distinct()
        .withColumn("_damaged", F.lit(True))
    )
    accepted = (F.col("reason") == _UNDECODABLE) & F.col("_damaged").isNull()
    joined = scan.join(F.broadcast(damaged), "source_file", "left")
    reason = F.when(~F.coalesce(accepted, F.lit(False)), F.col("reason"))
    return joined.withColumn("reason", reason).select(*scan.columns)


def _whole_record(cells: list[str], dialect: Dialect) -> Column:
    """Tell whether ``_raw`` is the text that a CSV writer would write for these cells.

    Writers differ in which fields they quote. The usual form, with quotes only where they are
    needed, is compared at once; other forms are compared field by field.
    """
    raw, end, quote = F.col("_raw"), F.lit(dialect.delimiter), F.lit(dialect.quote)
    escaped_quote = F.lit(dialect.escape + dialect.quote)
    doubled = dialect.escape == dialect.quote

    def within(cell: Column) -> Column:
        return F.concat(quote, F.replace(cell, quote, escaped_quote), quote)

    def fully(cell: Column) -> Column:
        """Write the escape character twice, as writers do that escape it too."""
        return within(F.replace(cell, F.lit(dialect.escape), F.lit(dialect.escape * 2)))

    forms = [within] if doubled else [within, fully]
    special = (
        "[" + "".join(f"\\x{{{ord(c):x}}}" for c in f"\r\n{dialect.quote}{dialect.delimiter}") + "]"
    )

    def as_needed(cell: Column) -> Column:
        return F.when(cell.rlike(special), within(cell)).otherwise(cell)

    # Lambdas over an array: Spark would plan and compile an expression per cell for each cell.
    values = F.transform(F.array(*cells), lambda cell: F.coalesce(cell, F.lit("")))
    usual = F.array_join(F.transform(values, as_needed), dialect.delimiter)

    def eat(rest: Column, cell: Column) -> Column:
        """Remove one field and its delimiter from the front of `rest`; null if it is missing."""
        found = F.lit(None).cast("string")
        bare = F.concat(cell, end)
        # A field without quotes holds no line break: it would be the end of a record.
        may_be_bare = ~cell.startswith(quote) & ~cell.rlike("[\r\n]")
        found = F.when(may_be_bare & rest.startswith(bare), F.substr(rest, F.length(bare) + 1))
        for form in reversed(forms):
            inside = F.concat(form(cell), end)
            found = F.when(rest.startswith(inside), F.substr(rest, F.length(inside) + 1)).otherwise(
                found
            )
        return found

    rest = F.aggregate(values, F.concat(raw, end), eat)
    return (
        F.when(raw.isNull(), False)
        .when(raw == usual, True)
        .otherwise(F.coalesce(rest == "", F.lit(False)))
    )
