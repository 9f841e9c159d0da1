"""A look at other people's files prints the settings that read them.

tests/data has a small file of each kind, in the columns and forms that public data has. The
expected settings and classes were found by reading these files; long/test_kinds trains on each.
"""

import gzip
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.kinds import DATA, GOODS, KINDS
from pyspark.sql import SparkSession

from spark_sentiment.errors import ConfigError, DataError
from spark_sentiment.jobs import config, inspection
from spark_sentiment.jobs.runner import Steps
from spark_sentiment.reviews import Inspection, inspect_reviews


@pytest.mark.parametrize("name", KINDS)
def test_a_look_finds_the_settings_and_the_classes(spark: SparkSession, name: str) -> None:
    found = inspect_reviews(spark, str(DATA / name))
    assert (found.settings, found.classes, found.advice) == (*KINDS[name], ())


@pytest.mark.parametrize("form", ["parquet", "delta"])
def test_a_table_is_found_with_its_columns(spark: SparkSession, tmp_path: Path, form: str) -> None:
    goods = spark.read.json(str(DATA / "goods.jsonl.gz"))
    goods.write.format(form).save(f"{tmp_path}/goods")
    found = inspect_reviews(spark, f"{tmp_path}/goods")
    assert found.settings["reviews.format"] == form
    columns = found.settings["reviews.columns"]
    assert columns == {**GOODS, "positive_feedback_count": "vote"}
    assert found.classes == KINDS["goods.jsonl.gz"][1]


def looked(spark: SparkSession, folder: Path, content: str) -> Inspection:
    (folder / "x.csv").write_text(content)
    return inspect_reviews(spark, f"{folder}/x.csv")


def test_the_default_columns_need_no_setting(spark: SparkSession, tmp_path: Path) -> None:
    head = (
        "Clothing ID,Age,Title,Review Text,Rating,Recommended IND,Positive Feedback Count,"
        "Division Name,Department Name,Class Name"
    )
    rows = '1,33,Fine,"Soft and warm, wear it a lot",5,1,0,General,Tops,Knits\n' * 2
    found = looked(spark, tmp_path, f"{head}\n{rows}")
    assert found.settings == {}
    assert "leave out --inspect" in inspection.told(found)


def test_names_of_classes_that_tell_their_class_are_set(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = "".join(
        f"{name},I wore it for a day and a night\n"
        for name in ("Extremely Negative", "Mostly neutral", "positive", "Extremely Positive")
    )
    found = looked(spark, tmp_path, f"Sentiment,OriginalTweet\n{rows}")
    assert found.settings["labels.names"] == {
        "extremely negative": "negative",
        "extremely positive": "positive",
        "mostly neutral": "neutral",
    }
    assert found.classes == (1, 1, 2)


def test_names_that_do_not_tell_their_class_are_for_the_user_to_decide(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = "good,It keeps me warm all day\nbad,It tore within a single day\n"
    found = looked(spark, tmp_path, f"label,text\n{rows}")
    assert found.advice == (
        "column 'label' names other classes than negative, neutral and positive; set labels.names, "
        "such as {good: positive, bad: negative}",
    )


def test_without_a_rating_a_person_must_name_it(spark: SparkSession, tmp_path: Path) -> None:
    found = looked(spark, tmp_path, "id,text\n1,It keeps me warm all day\n2,It tore at once\n")
    assert found.advice == ("no column looks like a rating; training needs one",)
    assert "To do: no column looks like a rating" in inspection.told(found)


def test_without_a_text_a_person_must_name_it(spark: SparkSession, tmp_path: Path) -> None:
    found = looked(spark, tmp_path, "stars,price\n5,10\n4,12\n")
    assert found.counts is None
    assert "no column looks like a text" in found.advice[0]


@pytest.mark.parametrize(
    ("rating", "scale"),
    [("87 45 3", "1..100"), ("0 70", "0..100"), ("-1 0 1", "-1..1"), ("0.5 4.5", "0..5")],
)
def test_the_scale_is_the_smallest_usual_one(
    spark: SparkSession, tmp_path: Path, rating: str, scale: str
) -> None:
    rows = "".join(f"{number},It keeps me warm all day\n" for number in rating.split())
    assert looked(spark, tmp_path, f"score,text\n{rows}").settings["labels.scale"] == scale


def test_numbers_of_no_usual_scale_are_for_the_user_to_decide(
    spark: SparkSession, tmp_path: Path
) -> None:
    rows = "350,It keeps me warm all day\n-20,It tore within one day\n"
    found = looked(spark, tmp_path, f"score,text\n{rows}")
    assert found.settings["labels.scale"] == "-20..350"
    assert found.advice == (
        "column 'score' has numbers from -20 to 350; set labels.scale to its scale",
    )


def test_no_text_of_a_review_is_shown(spark: SparkSession, tmp_path: Path) -> None:
    rows = "5,SECRET of the warm and soft coat\n1,SECRET of the coat that tore\n"
    for content in (rows, f"stars,text\n{rows}", f"SECRET {'long ' * 30},5\n{rows}"):
        assert "SECRET" not in inspection.told(looked(spark, tmp_path, content))


def test_a_large_file_is_cut_after_a_megabyte(
    spark: SparkSession, tmp_path: Path, jobs_run: Callable[[Callable[[], object]], int]
) -> None:
    line = "5,It keeps me warm all day and all night long\n"
    with gzip.open(tmp_path / "x.csv.gz", "wt") as file:
        file.write("stars,text\n" + line * 100_000)
    found = inspect_reviews(spark, str(tmp_path))
    assert found.counts is not None
    assert (found.counts.read, found.counts.rejected) == (1_000, 0)
    assert jobs_run(lambda: inspect_reviews(spark, str(tmp_path))) <= 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.zip", b"PK", "an archive or a workbook is not read; unpack it"),
        ("x.json", b'[\n {\n "text": "a"\n }\n]', "write one object per line"),
        ("x.csv", b"", "holds only empty files"),
    ],
)
def test_what_is_not_read_is_refused(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        inspect_reviews(spark, f"{tmp_path}/{name}")


def test_a_look_at_generated_reviews_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match=r"reviews.path is not set"):
        inspection.main(config.load("conf/local.yaml"), spark, Steps(quiet=True))


@pytest.mark.parametrize("value", [";", "|", "\\", "1..10", "null", {"a b": ["c:d", "{e}"]}, False])
def test_a_printed_setting_is_read_as_it_was(value: Any) -> None:
    _, word = shlex.split(inspection.set_line({"text.steps": {"x": value}}))
    conf = config.load("conf/local.yaml", [word])
    assert conf.text.steps == {"x": value}
