"""Reading reviews: every row ends among the reviews or among the rejected, with its reason."""

import csv
import gzip
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_sentiment.errors import ConfigError, DataError, SchemaError
from spark_sentiment.reviews.checks import from_frame
from spark_sentiment.reviews.csv_files import read_reviews, write_csv
from spark_sentiment.reviews.results import ReadCounts
from spark_sentiment.reviews.schema import OURS, REJECTED, REVIEWS, ColumnMapping

ABC = {"title": "a", "review_text": "b", "rating": "c"}

# A CSV's bytes -> what each record must become: (title, text, rating), or the reason.
FILES: dict[str, tuple[str | bytes, list[tuple[str | None, str, int] | str]]] = {
    "quoted line breaks and doubled quotes": (
        'a,b,c\n1,"x\ny",2\n4,"""wow"" he",5\n5,"a ""b"", c",1\n',
        [("1", "x\ny", 2), ("4", '"wow" he', 5), ("5", 'a "b", c', 1)],
    ),
    "every field quoted": (
        'a,b,c\n"1","a\n""b""","4"\n"","b","4"\n',
        [("1", 'a\n"b"', 4), (None, "b", 4)],
    ),
    "quote inside a bare field": ('a,b,c\n2,ab"c,4\n', [("2", 'ab"c', 4)]),
    "cut inside a quoted field": ('a,b,c\n1,x,2\n3,"abc def', [("1", "x", 2), "record: torn"]),
    "cut inside a quoted last field": ('a,b,c\n1,x,2\n3,x,"5', [("1", "x", 2), "record: torn"]),
    "cut between fields": ("a,b,c\n1,x,2\n3,x", [("1", "x", 2), "record: torn"]),
    "open quote that swallows the next line": (
        'a,b,c\n1,"abc,5\n2,"def",4\n3,"g,h",3\n',
        ["record: torn", ("3", "g,h", 3)],
    ),
    "quotes not doubled": ('a,b,c\n1,"abc "d" e",5\n3,"g"h,5\n', ["record: torn"] * 2),
    "text that looks like a swallowed line": (
        'a,b,c\n1,"""abc,5\n2,""def",4\n',
        [("1", '"abc,5\n2,"def', 4)],
    ),
    "fields too few and too many": (
        "a,b,c\n1,2\n1,2,3,4\n1,2,3,\n1,2,3,,\n1,2,3,4,5\n\n   \n5,6,4\n",
        ["record: torn"] * 6 + [("5", "6", 4)],
    ),
    "ratings": (
        "a,b,c\n,x,4.\n,x,5.00\n,x, 3 \n,x,4.2\n,x,x\n,x,\n,x,0\n,x,6\n,x,-1\n,x,NaN\n,x,1e0\n",
        [(None, "x", 4), (None, "x", 5), (None, "x", 3), (None, "x", 5)]
        + ["rating: not a number or a class"]
        + ["rating: missing"]
        + ["rating: not in 1..5"] * 3
        + ["rating: not a number or a class"] * 2,
    ),
    "blank texts": (
        'a,b,c\n1,,5\n1,"",5\n1,"  \n ",5\n1,\u00a0\u200b,5\n1,.,5\n',
        ["review_text: missing"] * 4 + [("1", ".", 5)],
    ),
    "CR LF": ('a,b,c\r\n1,"x\r\ny",2\r\n3,4,5\r\n', [("1", "x\ny", 2), ("3", "4", 5)]),
    "CR LF under a header with LF": (
        'a,b,c\n1,"x\r\ny",2\r\n3,x,5\n',
        [("1", "x\r\ny", 2), ("3", "x", 5)],
    ),
    "byte order mark": ("\ufeffa,b,c\n1,x,5\n", [("1", "x", 5)]),
    "another encoding": (
        "a,b,c\n1,caf\u00e9 \u201cbar\u201d,2\n".encode("cp1252"),
        [("1", "caf\u00e9 \u201cbar\u201d", 2)],
    ),
    "another encoding with a byte that it does not define": (
        b"a,b,c\n1,caf\xe9 \x81,2\n3,x,5\n",
        ["record: not in the encoding", ("3", "x", 5)],
    ),
    "U+FFFD as a character, and bytes that are not in UTF-8": (
        "a,b,c\n1,caf\u00e9 \ufffd \U0001f60d,2\n2,caf".encode() + b"\xe9,2\n3,x,5\n",
        [
            ("1", "caf\u00e9 \ufffd \U0001f60d", 2),
            "record: not in the encoding",
            ("3", "x", 5),
        ],
    ),
    "UTF-16 without a mark": (
        "a,b,c\n1,caf\u00e9,2\n".encode("utf-16-le"),
        [("1", "caf\u00e9", 2)],
    ),
    "CR": ('a,b,c\r1,"x\ry",2\r3,4,"5"\r', [("1", "x\ny", 2), ("3", "4", 5)]),
    "LF under a header with CR LF": (
        'a,b,c\r\n1,"x\ny",2\n3,4,5\n7,8,"4"\n',
        [("1", "x\ny", 2), ("3", "4", 5), ("7", "8", 4)],
    ),
    "LF under a header with CR": ("a,b,c\r1,x,2\n3,4,5\n", ["record: torn"]),
    "CR under a header with LF": ("a,b,c\n1,x,2\r3,4,5\r", ["record: torn"]),
    "CR inside a bare field": ("a,b,c\n1,x\ry,2\n", ["record: torn"]),
    "empty lines with CR LF": (
        "\r\na,b,c\r\n\r\n1,x,2\r\n\r\n3,4,5\r\n\r\n",
        [("1", "x", 2), ("3", "4", 5)],
    ),
    "a header alone": ("a,b,c\n", []),
    "columns in another order, more of them, some alike": (
        'z,c,"b",z,a\n0,4,"x, y",0,t\n',
        [("t", "x, y", 4)],
    ),
}


def put(folder: Path, name: str, content: str | bytes) -> str:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / name).write_bytes(data)
    return str(folder / name)


def test_each_record_of_hard_files_ends_where_it_must(spark: SparkSession, tmp_path: Path) -> None:
    found: dict[str, list[object]] = {}
    expected: dict[str, object] = {}
    results = []
    for i, (name, (content, records)) in enumerate(FILES.items()):
        results.append(read_reviews(spark, put(tmp_path, f"{i}.csv", content), ABC).rows)
        expected[name] = records
        found[name] = []
    while len(results) > 1:  # in pairs: Spark analyses the whole of a union again for each part
        pairs = itertools.zip_longest(results[::2], results[1::2])
        results = [one if two is None else one.unionByName(two) for one, two in pairs]
    names = list(FILES)
    for row in sorted(results[0].collect(), key=lambda row: row.position):
        name = names[int(Path(row.source_file).stem)]
        found[name].append(row.reason or (row.title, row.review_text, row.rating))
        assert (row.raw is None) == (row.reason is None)
    assert found == expected


def test_raw_is_the_record_as_it_stands(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", 'a,b,c\n1,"abc,5\n2,"def",4\n1,ok,5\n1,"b ""c""",9\n1,2,3,4\n')
    rejected = read_reviews(spark, path, ABC).rejected
    assert rejected.schema.simpleString() == REJECTED.simpleString()
    rows = sorted(rejected.collect(), key=lambda row: row.position)
    assert [(row.position, row.raw) for row in rows] == [
        (0, '1,"abc,5\n2,"def",4'),
        (2, '1,"b ""c""",9'),
        (3, '["1","2","3","4"]'),
    ]


def test_records_longer_than_the_parser_s_buffer_are_whole(
    spark: SparkSession, tmp_path: Path
) -> None:
    texts = ['long "text", ' * 70_000, "short", "line\n" * 190_000]
    with (tmp_path / "x.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["a", "b", "c"], *([i, text, 5] for i, text in enumerate(texts))])
    rows = read_reviews(spark, str(tmp_path / "x.csv"), ABC).rows.collect()
    assert [row.reason for row in rows] == [None] * 3
    assert {row.title: row.review_text for row in rows} == {
        str(i): text for i, text in enumerate(texts)
    }


def test_the_real_reviews_are_23486_rows(spark: SparkSession, real_csv: Path) -> None:
    result = read_reviews(spark, str(real_csv)).persist()
    counts = result.check()
    assert counts == ReadCounts(23486, {"review_text: missing": 845})
    assert counts.reviews + counts.rejected == counts.read
    rows = result.rows.select(*REVIEWS.names, "reason").collect()
    result.unpersist()
    assert Counter(row.rating for row in rows) == {1: 842, 2: 1565, 3: 2871, 4: 5077, 5: 13131}
    nulls = {name: sum(row[name] is None for row in rows) for name in REVIEWS.names}
    assert {name: count for name, count in nulls.items() if count} == {
        "review_id": 845,
        "title": 3810,
        "review_text": 845,
        "division": 14,
        "department": 14,
        "class_name": 14,
    }
    ids = [row.review_id for row in rows if row.reason is None]
    assert len(set(ids)) == len(ids) == 22641
    assert sum(row.recommended for row in rows) == 19314


def test_folder_of_files_some_compressed_some_empty(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path, "1.csv", "a,b,c\n1,x,5\n")
    put(tmp_path, "2.csv.gz", gzip.compress(b'a,b,c\n2,"y\nz",4\n2,"cut'))
    put(tmp_path, "3.csv", "")
    result = read_reviews(spark, str(tmp_path), ABC)
    assert {tuple(row) for row in result.reviews.select(*ABC).collect()} == {
        ("1", "x", 5),
        ("2", "y\nz", 4),
    }
    (torn,) = result.rejected.collect()
    assert torn.source_file.endswith("2.csv.gz")


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("a,b,x\n", ABC, r"'c' \(mapped to rating\) is missing in .*x\.csv.*: a, b, x"),
        ("a,b,c,c\n", ABC, "'c'.* occurs 2 times in"),
        (",b,c\n", {**ABC, "title": "_c1"}, "'_c1'.* missing .*: _c0, b, c"),
        ("a,b,c\n", {"review_text": "b"}, "no column is mapped to 'rating'"),
    ],
)
def test_header_that_lacks_a_column_is_refused_before_any_job(
    spark: SparkSession,
    tmp_path: Path,
    content: str,
    columns: dict[str, str],
    message: str,
    jobs_run: Callable[[Callable[[], object]], int],
) -> None:
    path = put(tmp_path, "x.csv", content)

    def read() -> None:
        with pytest.raises(SchemaError, match=message):
            read_reviews(spark, path, columns)

    assert jobs_run(read) == 0


def test_a_file_without_a_header_is_recognised_and_no_text_of_it_shown(
    spark: SparkSession, tmp_path: Path
) -> None:
    row = f"7,SECRET{' so soft' * 9},5\n"
    with pytest.raises(SchemaError, match="does not look like a header: 3 cells, 2 of") as error:
        read_reviews(spark, put(tmp_path, "1.csv", row * 2), ABC)
    assert "SECRET" not in str(error.value)
    put(tmp_path, "2.csv", row.replace("soft", "warm"))
    with pytest.raises(SchemaError, match=r"2\.csv differs from that of .*1\.csv") as error:
        read_reviews(spark, str(tmp_path), ABC)
    assert "SECRET" not in str(error.value)


def test_a_long_header_is_listed_in_part(spark: SparkSession, tmp_path: Path) -> None:
    names = ["x" * 60, *(f"name{i}" for i in range(99))]
    path = put(tmp_path, "x.csv", ",".join(names) + "\n")
    with pytest.raises(SchemaError, match=r"name18 and 80 more$") as error:
        read_reviews(spark, path, ABC)
    assert f": {'x' * 40}..., name0," in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv.gz", b"a,b,c\n1,SECRET,5\n", r"x\.csv\.gz: the compressed file is damaged"),
        (
            "x.csv.gz",
            gzip.compress(b"a,b,c\n1,SECRET,5\n" * 99)[:40],
            r"x\.csv\.gz: the compressed file is damaged",
        ),
        ("x.csv.bz2", b"a,b,c\n1,SECRET,5\n", r"x\.csv\.bz2: the compressed file is damaged"),
        ("x.csv.zst", b"a,b,c\n1,SECRET,5\n", r"x\.csv\.zst: this Hadoop has no native library"),
        ("a:b.csv", b"a,b,c\n1,SECRET,5\n", r"a:b\.csv: Hadoop cannot open a name .* colon"),
        ("_x.csv", b"a,b,c\n1,SECRET,5\n", r"_x\.csv holds no CSV file; .* begin with _"),
        ("x.csv", b'a,"b,c\n' + b"1,SECRET,5\n" * 20_000, r"does not end within 1,000 lines"),
        ("x.csv", b'a,"b,c\n' + b"SECRET" * 400_000, r"does not end within 1,000 lines"),
        ("x.csv", b",".join(b"c%d" % i for i in range(20_000)), r"has 20,000 columns, .* 1,000"),
    ],
)
def test_a_file_that_cannot_be_opened_is_named(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises((DataError, SchemaError), match=message) as error:
        read_reviews(spark, path, ABC)
    assert "SECRET" not in str(error.value)
    assert error.value.__cause__ is None or "SECRET" not in str(error.value.__cause__)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "x.csv.gz",
            gzip.compress(b"".join(b"1,SECRET %x,5\n" % 3 ** (i % 999) for i in range(9_000)))[
                :-99
            ],
            r"x\.csv\.gz, record [\d,]+: the compressed file is damaged",
        ),
        ("x.csv", b"1,SECRET,5\n1," + b"SECRET" * 200_000, r"x\.csv, record 2: a field has more"),
        ("x.csv", b'1,SECRET,5\n1,"' + b"SECRET" * 200_000, r"record 2: a field has more than 1,0"),
        ("x.csv", b"1,SECRET,5\n" * 9 + b"1," * 30_000, r"x\.csv, record 10: a record has more"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_named(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    head = b"a,b,c\n"
    data = gzip.compress(head) + content if name.endswith("gz") else head + content
    result = read_reviews(spark, put(tmp_path, name, data), ABC)
    with pytest.raises(DataError, match=message) as error:
        result.check()
    assert "SECRET" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("https://127.0.0.1:9/x.csv", "no file system for this address"),
        ("none://x/y.csv", "no file system for this address"),
        ("a:b.csv", "cannot open a name that has a colon"),
    ],
)
def test_an_address_that_spark_cannot_read_is_named(
    spark: SparkSession, path: str, message: str
) -> None:
    with pytest.raises(DataError, match=f"reviews: {path}: .*{message}"):
        read_reviews(spark, path, ABC)


def test_a_delta_table_with_a_torn_log_is_named(spark: SparkSession, tmp_path: Path) -> None:
    rows = spark.createDataFrame([("SECRET WORDS", 5)], "review_text string, rating int")
    rows.coalesce(1).write.format("delta").save(str(tmp_path / "t"))
    commit = tmp_path / "t" / "_delta_log" / f"{0:020d}.json"
    for beside in (f".{commit.name}.crc", f"{commit.stem}.crc", f".{commit.stem}.crc.crc"):
        (commit.parent / beside).unlink(missing_ok=True)
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    table = from_frame(spark.read.format("delta").load(str(tmp_path / "t")), source="t")
    commit.write_text(commit.read_text().rstrip()[:-9])
    with pytest.raises(DataError, match="reviews: t: the log of the Delta table is dam") as caught:
        table.counts()
    assert "SECRET" not in str(caught.value)


def test_a_path_that_exists_is_no_pattern(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path, "a [1].csv", "a,b,c\n1,x,5\n")
    put(tmp_path, "a 1.csv", "a,b,c\n2,x,5\n")
    assert [row.title for row in read_reviews(spark, path, ABC).reviews.collect()] == ["1"]
    put(tmp_path, "a 2.csv", "a,b,c\r3,x,5\r")  # another line end: a scan of its own
    every = read_reviews(spark, [path, str(tmp_path / "a [12].csv")], ABC).reviews.collect()
    assert sorted(row.title for row in every) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delimiter": "ab"}, "delimiter must be one character .*, got 'ab'"),
        ({"quote": ""}, "quote must be one character"),
        ({"delimiter": '"'}, "is also quote or escape"),
        ({"encoding": "utf-9"}, "encoding 'utf-9' is unknown"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    spark: SparkSession, tmp_path: Path, settings: dict[str, str], message: str
) -> None:
    path = put(tmp_path, "x.csv", "a,b,c\n1,x,5\n")
    with pytest.raises(ConfigError, match=message):
        read_reviews(spark, path, ABC, **settings)  # type: ignore[arg-type]


def test_files_with_different_headers_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path, "1.csv", "a,b,c\n1,x,5\n")
    put(tmp_path, "2.csv", "b,a,c\nx,1,5\n")
    with pytest.raises(SchemaError, match=r"2\.csv differs .*1\.csv: b, a, c against a, b, c"):
        read_reviews(spark, str(tmp_path), ABC)


def test_nothing_to_read_is_said(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file at .*gone\.csv; name a CSV file"):
        read_reviews(spark, str(tmp_path / "gone.csv"))
    with pytest.raises(DataError, match="holds only empty CSV files"):
        read_reviews(spark, put(tmp_path, "empty.csv", ""))
    header = read_reviews(spark, put(tmp_path, "header.csv", "a,b,c\n"), ABC)
    with pytest.raises(DataError, match="holds no rows"):
        header.check()


def test_encoding_and_delimiter_can_be_named(spark: SparkSession, tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", 'a;b;c\n1;"caf\u00e9; bar";2\n'.encode("latin-1"))
    (row,) = read_reviews(spark, path, ABC, delimiter=";", encoding="ISO-8859-1").rows.collect()
    assert (row.review_text, row.reason) == ("caf\u00e9; bar", None)


def test_columns_of_every_type_are_checked(spark: SparkSession) -> None:
    names = {name: name for name in ("age", "recommended", "positive_feedback_count", "department")}
    texts = [
        ("33", "1", "0", " Tops "),
        ("33.0", "false", "2.", None),
        (None, None, None, " "),
        ("old", "1", "0", "T"),
        ("151", "1", "0", "T"),
        ("30", "2", "0", "T"),
        ("30", "1", "-1", "T"),
        ("30", "1", "0.5", "T"),
    ]
    rows = [(i % 5 + 1, f"text {i}", *row) for i, row in enumerate(texts)]
    df = spark.createDataFrame(
        rows,
        "rating int, review_text string, age string, recommended "
        "string, positive_feedback_count string, department string",
    )
    found = {
        row.review_text or row.raw: row.reason or tuple(row[name] for name in names)
        for row in from_frame(df).rows.collect()
    }
    assert found == {
        "text 0": (33, True, 0, "Tops"),
        "text 1": (33, False, 2, None),
        "text 2": (None, None, None, None),
        "text 3": "age: not a whole number",
        "text 4": "age: not in 0..150",
        "text 5": "recommended: not 0 or 1",
        "text 6": "positive_feedback_count: not in 0..2147483647",
        "text 7": "positive_feedback_count: not a whole number",
    }


def test_table_with_numbers_passes_the_same_checks(spark: SparkSession) -> None:
    rows = [(5.0, "a", 1e7), (5.5, "b", 0.0), (float("nan"), "c", float("nan")), (None, "d", None)]
    df = spark.createDataFrame(rows, "`st.ars` double, body string, n double")
    columns = {"rating": "st.ars", "review_text": "body", "positive_feedback_count": "n"}
    strict = {row.review_text: row for row in from_frame(df, columns).rows.collect()}
    assert strict["a"].positive_feedback_count == 10_000_000
    assert {text: row.reason for text, row in strict.items()} == {
        "a": None,
        "b": "rating: not in 1..5",
        "c": "rating: missing",
        "d": "rating: missing",
    }
    lenient = from_frame(df, columns, require_rating=False)
    assert lenient.counts() == ReadCounts(4, {"rating: not in 1..5": 1})
    assert from_frame(df.drop("st.ars"), columns, require_rating=False).counts().rejected == 0
    arrays = spark.createDataFrame([([1], "a")], "rating array<int>, review_text string")
    with pytest.raises(SchemaError, match=r"'rating' .* found array<int>"):
        from_frame(arrays)


def test_ids_depend_on_content_alone(spark: SparkSession) -> None:
    rows = [("a", 1)] * 3 + [("b", 1), ("b", 2), ("1", 1)]
    df = spark.createDataFrame(rows, "review_text string, rating int")
    one = [row.review_id for row in from_frame(df.coalesce(1)).reviews.collect()]
    many = [row.review_id for row in from_frame(df.repartition(5)).reviews.collect()]
    assert sorted(one) == sorted(many)
    assert len(set(one)) == 6
    stems = Counter(name.partition("-")[0] for name in one)
    assert sorted(stems.values()) == [1, 1, 1, 3]
    assert {len(stem) for stem in stems} == {32}
    assert sorted(name.partition("-")[2] for name in one) == ["", "", "", "", "2", "3"]


def test_ids_of_the_data_are_kept_and_repeats_rejected(spark: SparkSession) -> None:
    rows = [("x", "a", 1), ("x", "b", 2), (" ", "c", 3), ("y", "", 4), ("y", "d", 5)]
    df = spark.createDataFrame(rows, "review_id string, review_text string, rating int")
    results = [from_frame(df.repartition(n)).rows.collect() for n in (1, 4)]
    kept = [{(r.review_id, r.review_text) for r in rows if r.reason is None} for rows in results]
    assert kept[0] == kept[1]
    assert {name for name, _ in kept[0]} == {"x", "y"}
    assert Counter(row.reason for row in results[0]) == {
        None: 2,
        "review_id: repeated": 1,
        "review_id: missing": 1,
        "review_text: missing": 1,
    }
    assert all(row.raw for row in results[0] if row.reason)


def test_share_of_rejected_rows_has_a_bound(spark: SparkSession) -> None:
    rows = [("SECRET", 9), ("SECRET", 8), ("", 5), ("fine", 5)]
    result = from_frame(spark.createDataFrame(rows, "review_text string, rating int"))
    assert result.check(max_rejected=0.75).reviews == 1
    with pytest.raises(DataError) as error:
        result.check(max_rejected=0.74)
    assert "3 of 4 rows rejected; rating: not in 1..5 (2); review_text: missing (1)" in str(
        error.value
    )
    assert "75.00%" in str(error.value)
    assert "SECRET" not in str(error.value)


def test_mapping_is_checked() -> None:
    with pytest.raises(ConfigError, match="'stars' is not a column of reviews"):
        ColumnMapping.of({"review_text": "b", "stars": "c"})
    with pytest.raises(ConfigError, match="'rating' must name a column, got 3"):
        ColumnMapping.of({"review_text": "b", "rating": 3})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="'review_text' must name"):
        ColumnMapping.of({"rating": "c"})
    assert ColumnMapping.of({"review_text": "b", "age": None}).named() == {"review_text": ("b",)}


NASTY = st.text(
    st.one_of(st.sampled_from("\",\n\r\\ \t;'#\u2019\U0001f60d"), st.characters(codec="utf-8")),
    max_size=30,
).filter(lambda text: not {"\ufffd", "\uffff"} & set(text))


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(NASTY, NASTY), min_size=60, max_size=120))
@example(rows=[('NUL before a quote: \x00"', '\x00""')])
def test_what_is_written_reads_back_the_same(
    spark: SparkSession, tmp_path: Path, rows: list[tuple[str, str]]
) -> None:
    visible = [(f"v{title}", f"v{text}v") for title, text in rows]
    table = [(f"r{i}", title, text, i % 5 + 1) for i, (title, text) in enumerate(visible)]
    df = spark.createDataFrame(
        table, "review_id string, title string, review_text string, rating int"
    )
    names = {name: name for name in df.columns}
    write_csv(df, str(tmp_path / "out"), names, overwrite=True)
    back = read_reviews(spark, str(tmp_path / "out"), names).rows.collect()
    assert {row.reason for row in back} == {None}
    assert {tuple(row[name] for name in df.columns) for row in back} == set(table)


def test_writer_says_what_is_wrong(spark: SparkSession, tmp_path: Path) -> None:
    df = spark.createDataFrame([("a", 1)], "review_text string, rating int")
    with pytest.raises(SchemaError, match="'review_id' is missing; the columns are: review_text"):
        write_csv(df, str(tmp_path / "x"), OURS)
    with pytest.raises(DataError, match="already exists"):
        write_csv(df, str(tmp_path), {"review_text": "review_text"})
