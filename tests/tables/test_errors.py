"""Damaged tables: which file is missing or damaged, in words of the library."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_sentiment.core import jvm
from spark_sentiment.errors import TableError
from spark_sentiment.reviews.schema import REVIEWS
from spark_sentiment.tables.delta import Tables
from spark_sentiment.tables.runs import Run, code_digest, finished_runs


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, str(tmp_path / "tables"))


@pytest.fixture(scope="module")
def two_reviews(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table ``reviews`` after two commits, each with one file."""
    folder = tmp_path_factory.mktemp("tables") / "my tables"
    for text in ("SECRET ONE", "SECRET TWO"):
        append_review(Tables(spark, str(folder)), text)
    return folder


def append_review(tables: Tables, text: str) -> None:
    """Append a review. The log keeps the smallest and the largest text of each file."""
    nulls = {f.name: F.lit(None).cast(f.dataType) for f in REVIEWS.fields}
    columns = nulls | {"review_id": F.lit(text), "review_text": F.lit(text)}
    tables.append(
        "reviews",
        tables.spark.range(1).coalesce(1).select(*(c.alias(n) for n, c in columns.items())),
    )


def halved(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def unchecked(file: Path) -> Path:
    """Return `file` without the checksums that Hadoop and Delta keep beside it."""
    file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    file.with_suffix(".crc").unlink(missing_ok=True)
    return file


def commit(folder: Path, version: int) -> Path:
    return folder / "_delta_log" / f"{version:020d}.json"


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a torn commit": (
        lambda folder: halved(unchecked(commit(folder, 1))),
        "the log is damaged, one of its files is torn;",
    ),
    "a commit that differs from its checksum": (
        lambda folder: halved(commit(folder, 1)),
        r"the log is damaged, one of its files is damaged \(0{19}1.json\)",
    ),
    "an empty first commit": (
        lambda folder: unchecked(commit(folder, 0)).write_bytes(b""),
        "the log is damaged, one of its files is missing;",
    ),
    "rows that are gone": (
        lambda folder: next(folder.glob("*.parquet")).unlink(),
        r"its file part-\S+\.parquet is missing; restore the file from a backup",
    ),
    "torn rows": (
        lambda folder: halved(unchecked(next(folder.glob("*.parquet")))),
        r"its file part-\S+\.parquet is damaged; restore the file from a backup",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_table_names_itself_and_the_file_and_quotes_nothing(
    spark: SparkSession, two_reviews: Path, tmp_path: Path, case: str
) -> None:
    tables = Tables(spark, str(shutil.copytree(two_reviews, tmp_path / "my tables")))
    damage, told = DAMAGES[case]
    damage(Path(tables.location("reviews")))
    wanted = rf"table 'reviews' \(.*my tables/reviews\): cannot read it: {told}"
    with pytest.raises(TableError, match=wanted) as caught, tables.reading():
        tables.read("reviews").collect()
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_damaged_table_of_the_catalog_names_itself(spark: SparkSession) -> None:
    spark.sql("CREATE DATABASE damaged_tables")
    try:
        tables = Tables(spark, database="damaged_tables")
        append_review(tables, "fine")
        place = spark.catalog.getDatabase("damaged_tables").locationUri.removeprefix("file:")
        next(Path(place, "reviews").glob("*.parquet")).unlink()
        wanted = r"table 'reviews' \(damaged_tables.reviews\): cannot read it: its file part-"
        with pytest.raises(TableError, match=wanted), tables.reading():
            tables.read("reviews").collect()
    finally:
        spark.sql("DROP DATABASE damaged_tables CASCADE")


def test_a_file_of_another_table_is_not_blamed_on_these(tables: Tables, tmp_path: Path) -> None:
    append_review(tables, "fine")
    other = str(tmp_path / "other")
    tables.spark.range(2).write.parquet(other)
    rows = tables.spark.read.parquet(other)
    for file in Path(other).glob("*.parquet"):
        file.unlink()
    with pytest.raises(jvm.JAVA_ERRORS), tables.reading():
        rows.collect()


def test_a_run_and_the_finished_runs_name_a_damaged_table_of_runs(tables: Tables) -> None:
    with Run(tables, "r1", {}) as run:
        run.set_model("/models/r1", "1")
    for file in Path(tables.location("runs")).glob("*.parquet"):
        file.unlink()
    for act in (Run(tables, "r1", {}).__enter__, lambda: finished_runs(tables, code_digest())):
        with pytest.raises(TableError, match=r"table 'runs'.*its file part-\S+ is missing"):
            act()


def test_runs_of_another_version_are_told_by_the_column_that_they_lack(tables: Tables) -> None:
    with Run(tables, "r1", {}):
        pass
    earlier = Tables(tables.spark, str(Path(tables.location("runs")).parent / "earlier"))
    rows = tables.read("runs").drop("fingerprint")
    rows.write.format("delta").save(earlier.location("runs"))
    wanted = "column 'fingerprint' must be string, found none; it may be of another version"
    for act in (Run(earlier, "r1", {}).finished, lambda: finished_runs(earlier, code_digest())):
        with pytest.raises(TableError, match=wanted):
            act()
