"""NGrams: words and phrases by hand."""

import pytest
from pyspark.ml import Pipeline
from pyspark.sql import SparkSession

from spark_sentiment.text.ngrams import NGrams


def test_ngrams_by_hand(spark: SparkSession) -> None:
    texts = ["Don\u2019t buy, don't!!", "one", "", None, "size 10 \u0442\u0435\u0441\u0442 <url>"]
    df = spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "i int, text string")
    stages = [NGrams(inputCol="text", outputCol=f"g{n}", minN=n, maxN=3) for n in (1, 2, 3)]
    got = Pipeline(stages=stages).fit(df).transform(df).orderBy("i").collect()
    words = ["don\u2019t", "buy", "don't", "!!"]
    pairs = ["don\u2019t buy", "buy don't", "don't !!"]
    triples = ["don\u2019t buy don't", "buy don't !!"]
    assert got[0].g1 == words + pairs + triples
    assert got[0].g2 == pairs + triples
    assert got[0].g3 == triples
    assert [(row.g1, row.g2, row.g3) for row in got[1:4]] == [(["one"], [], [])] + [
        ([], [], [])
    ] * 2
    assert got[4].g1[:4] == ["size", "10", "\u0442\u0435\u0441\u0442", "<url>"]


def test_ngrams_refuse_a_shortest_longer_than_the_longest(spark: SparkSession) -> None:
    df = spark.createDataFrame([("a",)], ["text"])
    with pytest.raises(ValueError, match="minN=3 is greater than maxN=2"):
        NGrams(inputCol="text", outputCol="g", minN=3).transform(df)
