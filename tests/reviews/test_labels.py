import math
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from spark_sentiment.errors import ConfigError, SchemaError
from spark_sentiment.reviews.labels import SENTIMENTS, RatingLabeler


def labels(spark: SparkSession, stage: RatingLabeler, ratings: list, kind: str) -> list:
    schema = T.StructType([T.StructField("rating", T._parse_datatype_string(kind))])
    table = spark.createDataFrame([(rating,) for rating in ratings], schema)
    return [row.label for row in stage.transform(table).collect()]


def test_stars_become_the_three_sentiments(spark: SparkSession) -> None:
    found = labels(spark, RatingLabeler(), [1, 2, 3, 4, 5], "int")
    assert [SENTIMENTS[int(label)] for label in found] == [
        "negative",
        "negative",
        "neutral",
        "positive",
        "positive",
    ]


@pytest.mark.parametrize(
    ("kind", "ratings"),
    [
        ("double", [1.0, 2.0, 2.1, 3.9, 4.0, 5.0, None]),
        ("decimal(3,1)", [*map(Decimal, ("1", "2", "2.1", "3.9", "4", "5")), None]),
    ],
)
def test_fractions_fall_between_the_thresholds(
    spark: SparkSession, kind: str, ratings: list
) -> None:
    assert labels(spark, RatingLabeler(), ratings, kind) == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, None]


def test_thresholds_and_scale_are_params(spark: SparkSession) -> None:
    stage = RatingLabeler(negativeMax=4, positiveMin=7, ratingMin=0, ratingMax=10)
    assert labels(spark, stage, [0, 4, 5, 7, 10], "bigint") == [0.0, 0.0, 1.0, 2.0, 2.0]


INVALID = [0.9, 5.1, math.nan, math.inf, -math.inf]


def test_keep_gives_invalid_ratings_a_null_label(spark: SparkSession) -> None:
    found = labels(spark, RatingLabeler(handleInvalid="keep"), [5.0, None, *INVALID], "double")
    assert found == [2.0, None, None, None, None, None, None]


def test_skip_drops_invalid_ratings_but_not_null(spark: SparkSession) -> None:
    found = labels(spark, RatingLabeler(handleInvalid="skip"), [5.0, None, *INVALID], "double")
    assert found == [2.0, None]


def test_error_names_stage_column_and_rating(spark: SparkSession) -> None:
    stage = RatingLabeler()
    with pytest.raises(Exception, match=rf"{stage.uid}: column 'rating' .* found 7.0"):
        labels(spark, stage, [5, None, 7], "int")


def test_thresholds_out_of_order_are_refused() -> None:
    schema = T.StructType([T.StructField("rating", T.IntegerType())])
    with pytest.raises(ConfigError, match=r"negativeMax must be below positiveMin, found 4.0"):
        RatingLabeler(negativeMax=4).transformSchema(schema)
    with pytest.raises(ConfigError, match="ratingMin must be below ratingMax"):
        RatingLabeler(ratingMin=5).transformSchema(schema)


def test_a_rating_in_words_is_refused() -> None:
    schema = T.StructType([T.StructField("rating", T.StringType())])
    with pytest.raises(SchemaError, match="'rating' must be a number, found string"):
        RatingLabeler().transformSchema(schema)
