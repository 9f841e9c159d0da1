"""Reviews in the formats of other people: dialects of CSV, JSON lines, folders, Parquet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.errors import DataError, SchemaError
from spark_sentiment.reviews import (
    ReadResult,
    from_frame,
    read_csv,
    read_folders,
    read_json,
    read_parquet,
    read_reviews,
    reading_errors,
)

BODY = {"review_text": "body", "rating": "stars"}


def found(result: ReadResult) -> set[tuple[Any, ...]]:
    rows = result.rows.select("review_text", "rating", "reason", "raw").collect()
    return {(row.reason, row.raw) if row.reason else (row.review_text, row.rating) for row in rows}


@pytest.mark.parametrize(
    ("content", "settings", "expected"),
    [
        ('body\tstars\n"a\tb"\t5\n', {"delimiter": "\\t"}, {("a\tb", 5)}),
        ("body;stars\n'it''s; so';5\n", {"delimiter": ";", "quote": "'"}, {("it's; so", 5)}),
        (
            # As Python's csv writes it without doubling, as MySQL and Spark do.
            'body,stars\n"say \\"hi\\", \\\\ then",5\n"ends \\\\",4\nbare \\n,3\n"C:\\dir",2\n',
            {"escape": "\\"},
            {('say "hi", \\ then', 5), ("ends \\", 4), ("bare \\n", 3), ("C:\\dir", 2)},
        ),
        ('body,stars\n"open \\",5\nlost,4\n', {"escape": "\\"}, {("record: torn", None)}),
        ("body\u00a6stars\ncaf\u00e9\u00a65\n", {"delimiter": "\u00a6"}, {("caf\u00e9", 5)}),
    ],
)
def test_a_dialect_is_read_by_its_settings(
    spark: SparkSession,
    tmp_path: Path,
    content: str,
    settings: dict[str, str],
    expected: set[tuple[Any, ...]],
) -> None:
    (tmp_path / "x.csv").write_bytes(content.encode())
    rows = found(read_reviews(spark, str(tmp_path), BODY, **settings))  # type: ignore[arg-type]
    assert {(row[0], None if row[0] == "record: torn" else row[1]) for row in rows} == expected


def test_without_a_header_columns_have_numbers(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("soft,5\n")
    (tmp_path / "2.csv").write_text("warm,4\n")
    columns = {"review_text": "_c0", "rating": "_c1"}
    result = read_reviews(spark, str(tmp_path), columns, header=False)
    assert found(result) == {("soft", 5), ("warm", 4)}
    (tmp_path / "3.csv").write_text("warm,4,SECRET\n")
    with pytest.raises(SchemaError, match=r"3\.csv has 3 columns, and .*1\.csv has 2") as error:
        read_reviews(spark, str(tmp_path), columns, header=False)
    assert "SECRET" not in str(error.value)


def test_each_file_has_its_encoding_and_what_was_detected_is_told(
    spark: SparkSession, tmp_path: Path
) -> None:
    texts = {"a": "utf-8", "b": "cp1252", "c": "utf-8-sig", "d": "utf-16"}
    for name, encoding in texts.items():
        text = f"body,stars\ncaf\u00e9 \u201c{name}\u201d,5\n"
        (tmp_path / f"{name}.csv").write_bytes(text.encode(encoding))
    result = read_reviews(spark, str(tmp_path), BODY)
    assert found(result) == {(f"caf\u00e9 \u201c{name}\u201d", 5) for name in texts}
    assert result.notes == (
        "encoding detected: UTF-8 (2 files), UTF-16LE (d.csv), windows-1252 (b.csv)",
    )


def test_u_fffd_is_a_character_in_a_file_with_a_mark_that_is_not_damaged(
    spark: SparkSession, tmp_path: Path
) -> None:
    text = "\ufeffbody,stars\ncaf\u00e9 \ufffd,5\n".encode()
    (tmp_path / "whole.csv").write_bytes(text)
    (tmp_path / "damaged.csv").write_bytes(text.replace(b"caf\xc3", b"caf"))
    (tmp_path / "other.csv").write_bytes(b"\xef\xbb\xbfbody,stars\nfine,4\n")
    rows = read_reviews(spark, str(tmp_path), BODY).rows.collect()
    assert {(Path(row.source_file).stem, row.reason) for row in rows} == {
        ("whole", None),
        ("damaged", "record: not in the encoding"),
        ("other", None),
    }


def test_an_encoding_with_several_bytes_per_character(spark: SparkSession, tmp_path: Path) -> None:
    text = "body,stars\n\u30bd\u30d5\u30c8,5\n"
    (tmp_path / "x.csv").write_bytes(text.encode("shift_jis"))
    result = read_reviews(spark, str(tmp_path), BODY, encoding="Shift_JIS")
    assert found(result) == {("\u30bd\u30d5\u30c8", 5)}
    assert result.notes == ()


def test_json_lines_pass_the_checks_of_csv(spark: SparkSession, tmp_path: Path) -> None:
    lines = [
        {"body": 'so "soft"\n\u00e9', "stars": 5, "more": {"a": 1}},
        {"stars": "4.0", "body": "warm"},
        {"body": "no stars"},
        {"body": "half", "stars": 4.5},
        {"body": "half", "stars": "half"},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\n{"body": "cut", "sta\n\n'
    (tmp_path / "x.jsonl").write_text(text)
    rows = found(read_json(spark, str(tmp_path), BODY))
    assert rows == {
        ('so "soft"\n\u00e9', 5),
        ("warm", 4),
        ("rating: missing", '{"body":"no stars"}'),
        ("half", 5),
        ("rating: not a number or a class", '{"body":"half","stars":"half"}'),
        ("record: not a JSON object", '{"body": "cut", "sta'),
    }


def test_json_without_the_key_of_the_text_is_refused_before_any_job(
    spark: SparkSession, tmp_path: Path, jobs_run: Callable[[Callable[[], object]], int]
) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "SECRET", "stars": 5}\n')

    def read() -> None:
        with pytest.raises(SchemaError, match=r"'body'.* missing .* are: text, stars$"):
            read_json(spark, str(tmp_path), BODY)

    assert jobs_run(read) == 0


def test_a_folder_per_class_gives_ratings(spark: SparkSession, tmp_path: Path) -> None:
    texts = {
        "train/Pos/1.txt": "soft,\n\u201cwarm\u201d".encode(),
        "train/neg/1.txt": b"\xef\xbb\xbftorn",
        "train/neutral/1.txt": "caf\u00e9".encode("cp1252"),
        "train/4/1.txt": b"fine",
        "train/other/1.txt": b"lost",
        "train/5/blank.txt": b" \n",
        "train/5/huge.txt": b"x" * 1_000_001,
    }
    for name, data in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    result = read_folders(spark, str(tmp_path))
    rows = {row[0] if row[0].startswith("re") else row for row in found(result)}
    assert rows == {
        ("soft,\n\u201cwarm\u201d", 5),
        ("torn", 1),
        ("caf\u00e9", 3),
        ("fine", 4),
        ("rating: not a number or a class", "lost"),
        "review_text: missing",
        "review_text: longer than 1,000,000 bytes",
    }


def test_folders_without_a_class_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "1.txt").write_text("soft")
    with pytest.raises(DataError, match="has no folder with the name of a class"):
        read_folders(spark, str(tmp_path))


def test_parquet_that_is_none_is_named(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("body,stars\nSECRET,5\n")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("x.csv", r"x\.csv: this is not a Parquet file"),
        ("gone", "gone: there is no such file"),
        ("empty", "empty: there is no data file"),
    ):
        with pytest.raises(DataError, match=message):
            read_parquet(spark, str(tmp_path / name))


def test_parquet_that_is_damaged_inside_is_named(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "t [1]"
    rows = [(f"{i} so soft", 5) for i in range(99)]
    spark.createDataFrame(rows, "review_text string, rating int").coalesce(1).write.parquet(
        str(folder), compression="none"
    )
    (file,) = folder.glob("*.parquet")
    data = bytearray(file.read_bytes())
    data[4:400] = bytes(396)
    file.write_bytes(data)
    for checksum in folder.glob(".*.crc"):
        checksum.unlink()
    result = from_frame(read_parquet(spark, str(folder)), source="t [1]")
    with pytest.raises(DataError, match=r"part-.*parquet: cannot be read|t \[1\]: cannot be read"):
        result.check()


def test_an_error_that_no_file_caused_passes_unchanged(spark: SparkSession) -> None:
    table = spark.range(1).selectExpr(
        "string(raise_error('not about files')) AS review_text", "5 AS rating"
    )
    result = from_frame(table)
    with pytest.raises(Exception, match="not about files") as error:
        result.check()
    assert not isinstance(error.value, DataError)


def test_any_csv_is_read_with_the_names_of_its_header(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('name,a.b,\n"x\ny",1,\n" ","2",z\n')
    table = read_csv(spark, str(path))
    assert table.dtypes == [("name", "string"), ("a.b", "string"), ("_c2", "string")]
    assert [tuple(row) for row in table.collect()] == [("x\ny", "1", None), (None, "2", "z")]
    path.write_text("name,name\n1,2\n")
    with pytest.raises(SchemaError, match="'name' occurs 2 times"):
        read_csv(spark, str(path))


def test_a_torn_record_of_any_csv_fails_the_action(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('a,b\n1,2\n1,"SECRET\n')
    table = read_csv(spark, str(tmp_path))
    with (
        pytest.raises(DataError, match=r"record 2 of .*x\.csv is torn") as error,
        reading_errors("x"),
    ):
        table.select("a").collect()
    assert "SECRET" not in str(error.value)
