"""Ratings of other scales and names of classes become stars; several texts become one."""

from fractions import Fraction
from math import floor

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_sentiment.errors import ConfigError
from spark_sentiment.reviews import RatingScale, from_frame

BODY = {"review_text": "body", "rating": "stars"}


def stars(spark: SparkSession, scale: RatingScale, *written: str) -> list[int | None]:
    df = spark.createDataFrame([(text,) for text in written], ["written"])
    return [row[0] for row in df.coalesce(1).select(scale.stars(F.col("written"))).collect()]


# IMDb's large set of reviews takes up to 4 of 10 for negative and 7 or more for positive (Maas et
# al., "Learning Word Vectors for Sentiment Analysis", ACL 2011); one and two stars are negative.
def test_ten_points_are_divided_as_in_the_set_of_imdb(spark: SparkSession) -> None:
    points = [str(n) for n in range(1, 11)]
    assert stars(spark, RatingScale(1, 10), *points) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_whole_stars_do_not_change_and_halves_go_away_from_the_middle(spark: SparkSession) -> None:
    assert stars(spark, RatingScale(), *"12345") == [1, 2, 3, 4, 5]
    assert stars(spark, RatingScale(), "1.5", "2,5", "3.5", "4.50") == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0, 100, 1), (-1, 1, Fraction(1, 10)), (1, 5, Fraction(1, 5))]
)
def test_each_fifth_of_the_scale_is_one_star(
    spark: SparkSession, low: int, high: int, step: Fraction
) -> None:
    points = [low + step * n for n in range(int((high - low) / step) + 1)]
    exact = [min(5, floor((point - low) * 5 / Fraction(high - low)) + 1) for point in points]
    written = [f"{float(point):.4g}" for point in points]
    assert stars(spark, RatingScale(low, high), *written) == exact


def test_two_values_are_the_ends(spark: SparkSession) -> None:
    assert stars(spark, RatingScale(0, 1), "0", "1", "1.0", "2", "-1") == [1, 5, 5, None, None]


def test_names_of_classes_are_known_in_any_case(spark: SparkSession) -> None:
    written = ("positive", "Neg", " NEUTRAL ", "pos", "neu", "negative", "good")
    assert stars(spark, RatingScale(), *written) == [5, 1, 3, 5, 3, 1, None]


def test_blanks_around_a_rating_do_not_count(spark: SparkSession) -> None:
    assert stars(spark, RatingScale(), "\t4", "4 \r\n", "\tpos ") == [4, 4, 5]


def test_other_names_come_before_numbers(spark: SparkSession) -> None:
    scale = RatingScale(names={"0": "negative", "4": "positive", "Dobra": "positive"})
    assert stars(spark, scale, "0", "4", "dobra", "3") == [1, 5, 5, 3]


def test_a_rating_outside_the_scale_is_rejected_with_the_scale(spark: SparkSession) -> None:
    df = spark.createDataFrame([("a", "10"), ("b", "11"), ("c", "ten")], ["body", "stars"])
    rows = from_frame(df, BODY, scale=RatingScale(1, 10)).rows.collect()
    assert {row.review_text: row.reason for row in rows} == {
        "a": None,
        "b": "rating: not in 1..10",
        "c": "rating: not a number or a class",
    }


def test_several_texts_become_one_without_blank_ones(spark: SparkSession) -> None:
    rows = [("Soft", " ", 5), (None, "Thin", 2), ("Warm", "Itchy", 3), (" ", None, 1)]
    df = spark.createDataFrame(rows, "`the pros` string, `con.s` string, stars int")
    columns = {"review_text": ["the pros", "con.s"], "rating": "stars"}
    found = from_frame(df, columns).rows.collect()
    assert {(row.review_text, row.reason or row.rating) for row in found} == {
        ("Soft", 5),
        ("Thin", 2),
        ("Warm\nItchy", 3),
        (None, "review_text: missing"),
    }


def test_only_texts_can_have_several_columns(spark: SparkSession) -> None:
    df = spark.createDataFrame([("a", 1)], ["body", "stars"])
    with pytest.raises(ConfigError, match="'rating' must name a column"):
        from_frame(df, {"review_text": "body", "rating": ["stars"]})


@pytest.mark.parametrize("scale", ["5..1", "1..", "1-5", "", "a..b"])
def test_a_scale_that_is_none_is_refused(scale: str) -> None:
    with pytest.raises(ConfigError, match="scale"):
        RatingScale.of(scale)


def test_a_class_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'good' must be one of .*, found 'great'"):
        RatingScale(names={"good": "great"})
