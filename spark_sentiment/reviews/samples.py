"""Samples of other people's files: their first rows, and how they are written."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.core import quoted
from spark_sentiment.errors import DataError
from spark_sentiment.reviews.checks import is_header
from spark_sentiment.reviews.csv_files import Dialect
from spark_sentiment.reviews.public_names import OUR_NAMES, simple
from spark_sentiment.reviews.ratings import RatingScale

_ROWS, _CHARACTERS = 1_000, 2_000
_DELIMITERS = ",\t;|"


@dataclass
class Sample:
    """The first rows of the data, as strings."""

    format: str
    about: str
    names: list[str]
    rows: list[tuple[str | None, ...]]
    settings: dict[str, object] = field(default_factory=dict)

    def values(self, at: int) -> list[str]:
        """Return the values of a column that are not blank."""
        cells = (row[at] for row in self.rows)
        return [cell.strip() for cell in cells if cell is not None and cell.strip()]


def of_table(table: DataFrame, form: str, about: str) -> Sample:
    """Take the first rows of a table."""
    kinds = (T.StringType, T.NumericType, T.BooleanType)
    names = [each.name for each in table.schema.fields if isinstance(each.dataType, kinds)]
    cells = [F.substring(quoted(name).cast("string"), 1, _CHARACTERS) for name in names]
    rows = [tuple(row) for row in table.select(*cells).limit(_ROWS).collect()]
    return Sample(form, about, names, rows, {"reviews.format": form})


def of_json(texts: Sequence[str], about: str, path: str) -> Sample:
    """Take the first objects of JSON lines."""
    objects: list[dict[str, object]] = []
    for text in texts:
        for line in text.splitlines():
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            objects += [each for each in _listed(value) if isinstance(each, dict)]
    if not objects:
        raise DataError(
            f"reviews: {path}: no line is a JSON object; write one object per line, for example "
            "with jq -c '.[]'"
        )
    names = list(dict.fromkeys(name for each in objects for name in each))
    rows = [tuple(_as_text(each.get(name)) for name in names) for each in objects[:_ROWS]]
    return Sample("json", about, names, rows, {"reviews.format": "json"})


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)[:_CHARACTERS]


def of_csv(texts: Sequence[str], about: str) -> Sample:
    """Take the first records of CSV files; find delimiter, escape and header."""
    dialects = [Dialect(mark, escape=escape) for mark in _DELIMITERS for escape in ('"', "\\")]
    parsed = {each: list(islice(_records(texts[0], each), _ROWS)) for each in dialects}
    # The dialect under which most records have the same number of fields; of these, the one with
    # the most fields. A dialect with an escape must be better than the one without.
    best = max(dialects, key=lambda each: (*_regular(parsed[each]), each.escape == each.quote))
    first = parsed[best][0] if parsed[best] else []
    header = _names_columns(first, parsed[best][1:])
    names = first if header else [f"_c{i}" for i in range(len(first))]
    names = [name or f"_c{i}" for i, name in enumerate(names)]
    rows: list[list[str]] = []
    for text in texts:
        rows += islice(_records(text, best), int(header), _ROWS - len(rows) + header)
    cells = [tuple(cell[:_CHARACTERS] for cell in row) for row in rows if len(row) == len(names)]
    form = "tsv" if best.delimiter == "\t" else "csv"
    settings: dict[str, object] = {} if form == "csv" else {"reviews.format": form}
    if best.delimiter not in ",\t":
        settings["reviews.delimiter"] = best.delimiter
    if best.escape != best.quote:
        settings["reviews.escape"] = best.escape
    if not header:
        settings["reviews.header"] = False
    shown = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}[best.delimiter]
    head = "with" if header else "without"
    return Sample(form, f"{about}, {shown}, {head} a header", names, list(cells), settings)


def _records(text: str, dialect: Dialect) -> Iterator[list[str]]:
    """Yield the records that are not empty, up to one that Python's parser cannot read."""
    with suppress(csv.Error):
        yield from filter(None, dialect.records(io.StringIO(text, newline="")))


def _regular(records: Sequence[Sequence[str]]) -> tuple[bool, float, int]:
    """Return whether there are several fields, the share of records with as many, and how many."""
    if not records:
        return False, 0.0, 0
    width, n = Counter(map(len, records)).most_common(1)[0]
    return width > 1, round(n / len(records), 2), width


def _names_columns(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first record names the columns."""
    if not first or not is_header(list(first)):
        return False
    if any(simple(name) in OUR_NAMES for name in first) and not any(
        RatingScale().holds(cell) for cell in first
    ):
        return True
    # A value that stands below is hardly the name of its column.
    return not any(
        cell and any(len(row) > i and row[i] == cell for row in below)
        for i, cell in enumerate(first)
    )
