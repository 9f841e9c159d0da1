"""split_by_text: the same text, the same part; nothing lost."""

from math import sqrt

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.errors import SchemaError
from spark_sentiment.reviews.split import split_by_text, text_place

ROWS = 3000


@pytest.fixture(scope="module")
def texts(spark: SparkSession) -> DataFrame:
    """1,000 texts, each in three spellings that mean the same."""
    stem = F.concat(F.lit("Nice dress, no. "), (F.col("id") / 3).cast("int"))
    spelled = (
        F.when(F.col("id") % 3 == 0, stem)
        .when(F.col("id") % 3 == 1, F.upper(stem))
        .otherwise(F.concat(F.lit("\n "), F.regexp_replace(stem, " ", "  "), F.lit(" !!")))
    )
    return spark.range(ROWS).withColumn("text", spelled).cache()


def test_every_row_is_in_exactly_one_part_and_no_text_in_two(texts: DataFrame) -> None:
    parts = split_by_text(texts, "text", seed=3, fractions=(0.6, 0.3, 0.1))
    ids = [[row.id for row in part.collect()] for part in parts]
    assert sorted(i for part in ids for i in part) == list(range(ROWS))
    stems = [{i // 3 for i in part} for part in ids]
    assert sum(map(len, stems)) == ROWS / 3
    for stem, fraction in zip(stems, (0.6, 0.3, 0.1), strict=True):
        # Four standard deviations of a binomial of 1,000 texts.
        assert abs(len(stem) - 1000 * fraction) < 4 * sqrt(1000 * fraction * (1 - fraction))


def test_seed_and_nothing_else_decides(texts: DataFrame) -> None:
    def test_ids(df: DataFrame, seed: int) -> set[int]:
        return {row.id for row in split_by_text(df, "text", seed=seed)[1].select("id").collect()}

    once = test_ids(texts, 1)
    assert test_ids(texts.repartition(5), 1) == once
    # A table that shrinks or grows moves no text to the other side.
    assert test_ids(texts.where("id < 600"), 1) == {i for i in once if i < 600}
    assert test_ids(texts, 2) != once


def test_null_and_empty_texts_stay_together(spark: SparkSession) -> None:
    df = spark.createDataFrame([(None,), ("",), (" ?! ",)], "text string")
    places = {row[0] for row in df.select(text_place(F.col("text"))).collect()}
    assert len(places) == 1
    assert 0 <= places.pop() < 1


def test_other_alphabets_count(spark: SparkSession) -> None:
    df = spark.createDataFrame([("\u0445\u043e\u0440\u043e\u0448\u043e",), ("\u597d",)], ["text"])
    assert df.select(text_place(F.col("text"))).distinct().count() == 2


def test_no_shuffle_and_no_python_worker(texts: DataFrame) -> None:
    plan = split_by_text(texts, "text")[0]._jdf.queryExecution().executedPlan().toString()
    assert "Exchange" not in plan.split("InMemoryRelation")[0]
    assert "Python" not in plan


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.2, -0.2), (1.0, 0.0)])
def test_fractions_must_be_shares_of_a_whole(
    texts: DataFrame, fractions: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r"sum to 1, got \["):
        split_by_text(texts, "text", fractions=fractions)


def test_wrong_column_is_named(texts: DataFrame) -> None:
    with pytest.raises(SchemaError, match="split_by_text: column 'body' is missing"):
        split_by_text(texts, "body")
    with pytest.raises(SchemaError, match="'id' must be string, found bigint"):
        split_by_text(texts, "id")
