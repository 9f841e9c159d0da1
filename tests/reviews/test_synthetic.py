"""Synthetic reviews: the same for a seed, and biased by just as much as asked."""

import math

import pytest
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.errors import ConfigError
from spark_sentiment.reviews.checks import from_frame
from spark_sentiment.reviews.phrases import PREDICATES, STATEMENTS, TITLES
from spark_sentiment.reviews.schema import REVIEWS
from spark_sentiment.reviews.synthetic import RATINGS, Bias, generate_reviews

ROWS = 200_000


def test_dials_know_the_truth() -> None:
    dial = Bias("department", value="Intimate", share=0.2, shift=0.1)
    assert dial.true_ci() == pytest.approx(0.6)
    assert dial.true_dpl() == pytest.approx(0.1)
    # 1 and 2 stars are 0.103 of the 0.225 below 4 stars, and take that part of what moves.
    assert dial.true_dpl((1, 2)) == pytest.approx(-0.1 * 0.103 / 0.225)
    overall = [
        0.2 * d + 0.8 * a for d, a in zip(dial.ratings(d=True), dial.ratings(d=False), strict=True)
    ]
    assert overall == pytest.approx(RATINGS)


@pytest.mark.parametrize(
    "dial",
    [
        Bias("department", value="Intimate", share=0.2, shift=0.1),
        Bias("age", threshold=50, shift=-0.15),
    ],
    ids=["department", "age"],
)
def test_measured_bias_is_the_true_one(spark: SparkSession, dial: Bias) -> None:
    column = F.col(dial.facet)
    in_d: Column = column.eqNullSafe(dial.value)
    if dial.threshold is not None:
        in_d = column > dial.threshold
    good = (F.col("rating") >= 4).cast("int")
    found = (
        generate_reviews(spark, ROWS, bias=dial)
        .groupBy(in_d.alias("d"))
        .agg(F.count("*").alias("n"), F.avg(good).alias("q"))
    )
    groups = {row.d: row for row in found.collect()}
    a, d, p = groups[False], groups[True], dial.probability
    error = 2 * math.sqrt(p * (1 - p) / ROWS)
    assert (a.n - d.n) / ROWS == pytest.approx(dial.true_ci(), abs=4 * error)
    error = math.sqrt(sum(g.q * (1 - g.q) / g.n for g in (a, d)))
    assert a.q - d.q == pytest.approx(dial.true_dpl(), abs=4 * error)


def test_rows_depend_on_seed_and_number_alone(spark: SparkSession) -> None:
    one = generate_reviews(spark, 300, partitions=1)
    more = generate_reviews(spark, 400, partitions=5)
    rows = {row.review_id: row for row in one.collect()}
    assert len(rows) == 300
    assert rows.items() <= {row.review_id: row for row in more.collect()}.items()
    other = {row.review_text for row in generate_reviews(spark, 300, seed=8).collect()}
    assert not other & {row.review_text for row in rows.values()}


def test_reviews_are_usable_and_varied(spark: SparkSession) -> None:
    df = generate_reviews(spark, 20_000)
    assert df.schema.simpleString() == REVIEWS.simpleString()
    words = F.size(F.split("review_text", r"\s+"))
    row = df.agg(
        F.avg(words),
        F.min(words),
        F.avg("age"),
        F.countDistinct("review_text"),
        F.avg("rating"),
        F.avg(F.col("title").isNull().cast("int")),
    ).head()
    assert row is not None
    mean, least, age, distinct, rating, untitled = row
    assert 45 < mean < 75
    assert least > 3
    assert 41 < age < 45
    assert 19_000 < distinct < 20_000
    assert rating == pytest.approx(sum(p * i for i, p in enumerate(RATINGS, 1)), abs=0.04)
    assert untitled == pytest.approx(0.16, abs=0.02)
    assert from_frame(df).counts().rejected == 0
    assert generate_reviews(spark, 0).count() == 0


def test_tables_of_phrases_are_of_one_size() -> None:
    for tables in (PREDICATES, STATEMENTS, TITLES):
        assert len({len(table) for table in tables}) == 1


def test_impossible_tables_are_refused(spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="rows must be 0 or more, got -1"):
        generate_reviews(spark, -1)
    with pytest.raises(ConfigError, match="seed must be a whole number of 64 bits"):
        generate_reviews(spark, 1, seed=2**63)
    assert generate_reviews(spark, 1, seed=-(2**63)).count() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"facet": "title", "value": "x"}, "facet must be one of"),
        ({"facet": "age", "value": "x"}, "needs a threshold"),
        ({"facet": "division"}, "needs a value"),
        ({"facet": "division", "value": "Toys"}, "no row, or every row"),
        ({"facet": "age", "threshold": 120}, "no row, or every row"),
        ({"facet": "age", "threshold": 50, "share": 1.0}, "share must lie between"),
        # In a, 4 or 5 stars would have probability 0.775 + 0.9 / 2; in d, 0.775 - 0.9 * 0.9.
        ({"facet": "age", "threshold": 50, "share": 0.5, "shift": 0.9}, "outside 0 to 1"),
        ({"facet": "age", "threshold": 50, "share": 0.1, "shift": 0.9}, "outside 0 to 1"),
    ],
)
def test_impossible_dials_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Bias(**arguments)  # type: ignore[arg-type]
