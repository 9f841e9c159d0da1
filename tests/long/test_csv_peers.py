"""The CSV reader beside pandas, on 500 generated files of many writers, a third of them damaged."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from spark_sentiment.reviews import files, read_reviews

FILES, ROWS = 500, 12
COLUMNS = {"title": "a", "review_text": "b", "rating": "c"}
ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "cp1252", "utf-16")
PIECES = ['"', '""', ",", ";", "\t", "|", "\n", "\r\n", "\r", " ", "'", "\\", "soft", "warm", "5"]
LETTERS = {"cp1252": "\u00e9\u2019\u201c\u20ac", "utf-16": "\u00e9\u4e2d\U0001f60d"}
UTF8 = "\u00e9\u2019\u4e2d\U0001f60d\ufffd\u00c3\u00a9\u2028\x85"
REASONS = {"record: torn", "record: not in the encoding", "review_text: missing"}
RATING = "rating: "

Row = tuple[str, str, str]


@dataclass(frozen=True)
class Written:
    """A file: what was written to it, how its lines end, its encoding, and whether it is whole."""

    path: Path
    rows: list[Row]
    end: str
    encoding: str
    whole: bool


def field(draw: random.Random, letters: str) -> str:
    return "v" + "".join(draw.choices([*PIECES, *letters], k=draw.randrange(8)))


def generated(folder: Path, delimiter: str, count: int, draw: random.Random) -> Iterator[Written]:
    """Write files of random quoting, line ends and encodings; quotes are doubled."""
    for i in range(count):
        encoding = draw.choice(ENCODINGS)
        letters = LETTERS.get(encoding, UTF8)
        end = draw.choice(["\n", "\n", "\r\n", "\r"])
        share = draw.choice([0.0, 0.5, 1.0])  # of the fields that are quoted without need

        def put(text: str, share: float = share) -> str:
            needed = any(c in text for c in f'"\r\n{delimiter}')
            if needed or draw.random() < share:
                return '"' + text.replace('"', '""') + '"'
            return text

        rows = [
            (field(draw, letters), field(draw, letters), str(draw.randrange(1, 6)))
            for _ in range(draw.randrange(1, ROWS))
        ]
        lines = [delimiter.join(map(put, row)) for row in [("a", "b", "c"), *rows]]
        blank = end if draw.random() < 0.1 else ""
        # A header with CR LF may stand above lines with LF, and the other way round.
        ends = [draw.choice(["\n", "\r\n"]) if end != "\r" and draw.random() < 0.2 else end]
        text = lines[0] + ends[0] + blank + end.join(lines[1:]) + draw.choice([end, ""])
        data = text.encode(encoding)
        whole = draw.random() > 1 / 3
        if not whole:
            data = damaged(data, len((lines[0] + ends[0]).encode(encoding)), draw)
        path = folder / f"{i}.csv"
        path.write_bytes(data)
        yield Written(path, rows, ends[0], encoding, whole)


def damaged(data: bytes, header: int, draw: random.Random) -> bytes:
    """Cut the file, or add, drop or change a byte below its header."""
    at = draw.randrange(header, len(data))
    kind = draw.choice(["cut", "quote", "drop", "byte"])
    if kind == "cut":
        return data[:at]
    added = {"quote": b'"', "drop": b"", "byte": b"\xff"}[kind]
    return data[:at] + added + data[at + (kind != "quote") :]


def of_peer(file: Written, delimiter: str) -> list[Row]:
    """Return the rows as pandas reads them; it skips lines with too many fields.

    Damage to the only character outside ASCII makes UTF-8 look like windows-1252, also to pandas.
    """
    detected = files.detected(file.path.read_bytes())
    table = pd.read_csv(
        file.path,
        sep=delimiter,
        encoding=detected if detected == files.FALLBACK else file.encoding,
        encoding_errors="replace",
        dtype=str,
        keep_default_na=False,
        on_bad_lines="skip",
        index_col=False,
    )
    return [tuple(row) for row in table.itertuples(index=False)]


def unified(file: Written, rows: list[Row]) -> Counter[Row]:
    """Count rows as the reader returns them.

    A field without a visible character is null. Line breaks of the kind of the header become LF.
    """

    def told(text: str) -> str:
        seen = any(c.isprintable() and not c.isspace() for c in text)
        return text.replace(file.end, "\n") if seen else ""

    return Counter((told(a), told(b), c) for a, b, c in rows)


@pytest.mark.long
def test_rows_are_those_of_pandas_or_have_a_reason(spark: SparkSession, tmp_path: Path) -> None:
    draw = random.Random(21)
    delimiters = ",;\t|"
    compared: Counter[str] = Counter()
    for number, delimiter in enumerate(delimiters):
        folder = tmp_path / str(number)
        folder.mkdir()
        written = list(generated(folder, delimiter, FILES // len(delimiters), draw))
        found: dict[str, list[Row]] = defaultdict(list)
        reasons: dict[str, list[str]] = defaultdict(list)
        for row in read_reviews(spark, str(folder), COLUMNS, delimiter=delimiter).rows.collect():
            name = Path(row.source_file).name
            if row.reason is None:
                found[name].append((row.title or "", row.review_text, str(row.rating)))
            else:
                assert row.reason in REASONS or row.reason.startswith(RATING)
                reasons[name].append(row.reason)
        for file in written:
            ours = Counter(found[file.path.name])
            right = unified(file, file.rows)
            if file.whole:
                assert ours == right, file
                assert not reasons[file.path.name], file
                compared["whole"] += 1
                continue
            try:
                peer = unified(file, of_peer(file, delimiter))
            except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError):
                peer = Counter()
            # A row that neither was written nor is read by pandas must not be among the reviews.
            strange = ours - (right | peer)
            assert not strange, (file, strange)
            compared["damaged"] += 1
    assert compared.total() == FILES
    assert compared["damaged"] > FILES / 5
