"""The vocabulary of the words that are in enough rows, also when there is none."""

import logging
from pathlib import Path

import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import IDF, Normalizer
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.classification.default import tfidf
from spark_sentiment.errors import SchemaError
from spark_sentiment.text import Vocabulary, has_words


@pytest.fixture(scope="module")
def rare(spark: SparkSession) -> DataFrame:
    """Twenty rows of two classes, each with a word of its own."""
    rows = [(chr(97 + i), [f"word{i}"], float(i % 2), i % 2) for i in range(20)]
    columns = "text string, words array<string>, label double, fold int"
    return spark.createDataFrame(rows, columns).coalesce(1).cache()


def test_only_words_in_enough_rows_are_counted_once_per_row(spark: SparkSession) -> None:
    rows = [(["good", "good", "fit"],), (["good"],), (["bad"],)]
    df = spark.createDataFrame(rows, "words array<string>")
    model = Vocabulary(inputCol="words", outputCol="n", minDF=2, binary=True).fit(df)
    assert model.vocabulary == ["good"]
    assert [row.n.toArray().tolist() for row in model.transform(df).collect()] == [[1], [1], [0]]


def test_without_a_frequent_word_each_vector_is_one_0(
    rare: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "spark_sentiment.text.vocabulary"):
        model = Vocabulary(inputCol="words", outputCol="n", minDF=2, binary=True).fit(rare)
    assert not has_words(model)
    assert (model.getMinDF(), model.getBinary()) == (2, True)
    assert "column 'words' has no word that minDF=2 admits" in caplog.text
    assert "word1" not in caplog.text
    assert {row.n for row in model.transform(rare).collect()} == {Vectors.sparse(1, [])}


def test_tfidf_without_words_saves_and_loads(rare: DataFrame, tmp_path: Path) -> None:
    model = Pipeline(stages=tfidf("text", "v", minDF=2)).fit(rare)
    model.save(str(tmp_path / "m"))
    again = PipelineModel.load(str(tmp_path / "m"))
    assert not has_words(again.stages[1])
    assert {row.v for row in again.transform(rare).collect()} == {Vectors.sparse(1, [])}


def test_folds_of_a_cross_validator_may_lack_words(rare: DataFrame) -> None:
    # "both" is in two rows, one in each fold: frequent in the table, rare in the rest of a fold.
    named = rare.withColumn("words", F.when(F.col("text").isin("a", "b"), F.array(F.lit("both"))))
    named = named.withColumn("words", F.coalesce("words", F.array().cast("array<string>")))
    stages = [
        Vocabulary(inputCol="words", outputCol="n", minDF=2),
        IDF(inputCol="n", outputCol="w"),
        Normalizer(inputCol="w", outputCol="features"),
        LogisticRegression(maxIter=2),
    ]
    found = CrossValidator(
        estimator=Pipeline(stages=stages),
        estimatorParamMaps=[{}],
        evaluator=MulticlassClassificationEvaluator(metricName="accuracy"),
        numFolds=2,
        foldCol="fold",
    ).fit(named)
    assert has_words(found.bestModel.stages[0])
    assert found.avgMetrics == [0.0]


def test_a_column_that_is_no_array_of_strings_is_refused(spark: SparkSession) -> None:
    stage = Vocabulary(inputCol="words", outputCol="n")
    for kind in ("string", "array<int>"):
        df = spark.createDataFrame([], f"words {kind}")
        with pytest.raises(
            SchemaError, match=rf"{stage.uid}: column 'words' must be array.*{kind}"
        ):
            stage.fit(df)
