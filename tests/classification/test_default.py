"""The default classifier and its parts: tf-idf and stacking."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression, NaiveBayes
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession

from spark_sentiment.classification.default import classifier, tfidf
from spark_sentiment.classification.stacked import Stacked, StackedModel
from spark_sentiment.classification.thresholds import macro_f1
from spark_sentiment.errors import DataError, SchemaError


def test_tfidf_counts_a_phrase_once_and_leaves_out_the_rare(spark: SparkSession) -> None:
    df = spark.createDataFrame([("good good fit",), ("good",), ("bad",)], ["text"])
    model = Pipeline(stages=tfidf("text", "v", maxN=1, minDF=2)).fit(df)
    # "good" alone is in two texts: one dimension, of length 1 where it occurs.
    assert [row.v.toArray().tolist() for row in model.transform(df).collect()] == [[1], [1], [0]]


@pytest.fixture(scope="module")
def points(spark: SparkSession) -> DataFrame:
    """600 rows of five ratings around 1 to 5, in classes of 10, 15 and 75 %; `far` says nothing.

    With noise of 1.6, the best offsets of the true log-probabilities gain 0.07 to 0.13 of macro-F1
    (twenty draws); with little noise there would be nothing to gain.
    """
    random = np.random.default_rng(7)
    ratings = random.choice([1, 2, 3, 4, 5], 600, p=[0.04, 0.06, 0.15, 0.25, 0.5])
    rows = [
        (
            int(r),
            float((r >= 3) + (r >= 4)),
            Vectors.dense([r + random.normal(0, 1.6), abs(random.normal())]),
            Vectors.dense([abs(random.normal())]),
        )
        for r in ratings.tolist()
    ]
    return spark.createDataFrame(rows, ["rating", "label", "near", "far"]).repartition(2).cache()


def learners() -> list[Any]:
    return [
        LogisticRegression(featuresCol="near", labelCol="rating", maxIter=15),
        NaiveBayes(featuresCol="far", labelCol="label"),
    ]


@pytest.fixture(scope="module")
def stacked(points: DataFrame) -> StackedModel:
    return Stacked(estimators=learners(), numFolds=2, seed=1, parallelism=2).fit(points)


def macro(model: Any, data: DataFrame) -> float:
    rows = model.transform(data).select("label", "prediction").collect()
    counts = np.zeros((3, 3))
    for label, prediction in rows:
        counts[int(label), int(prediction)] += 1
    return macro_f1(counts)


def probabilities(model: Any, data: DataFrame) -> Any:
    rows = model.transform(data).select("near", "probability").collect()
    return np.array([row[1].toArray() for row in sorted(rows, key=lambda row: tuple(row[0]))])


def test_a_finer_label_and_thresholds_serve_macro_f1(
    points: DataFrame, stacked: StackedModel
) -> None:
    plain = Stacked(estimators=learners(), numFolds=2, seed=1, metric="accuracy").fit(points)
    assert plain.thresholds is None
    assert stacked.numClasses == 3
    assert stacked.thresholds is not None
    # The most frequent class keeps the threshold 1; the rare ones are guessed sooner.
    assert stacked.thresholds[2] == 1
    assert max(stacked.thresholds[:2]) < 1
    assert macro(stacked, points) > macro(plain, points)


def test_predictions_follow_probabilities_and_thresholds(
    points: DataFrame, stacked: StackedModel
) -> None:
    for row in stacked.transform(points).limit(50).collect():
        assert sum(row.probability) == pytest.approx(1)
        shifted = row.probability.toArray() / np.array(stacked.thresholds)
        assert row.prediction == shifted.argmax()


def test_scoring_needs_no_label_and_leaves_no_column_behind(
    points: DataFrame, stacked: StackedModel
) -> None:
    out = stacked.transform(points.select("near", "far"))
    assert out.columns == ["near", "far", "rawPrediction", "probability", "prediction"]
    assert "Python" not in out._jdf.queryExecution().toString()


def test_the_same_rows_give_the_same_model_however_partitioned(
    points: DataFrame, stacked: StackedModel
) -> None:
    again = Stacked(estimators=learners(), numFolds=2, seed=1).fit(points.repartition(5))
    assert probabilities(again, points) == pytest.approx(probabilities(stacked, points), abs=0.02)


def test_a_fold_that_lacks_a_class_is_no_obstacle(spark: SparkSession) -> None:
    # The one row of class 2 is in one fold, so the models of the other have never seen it.
    rows = [(float(i % 2), Vectors.dense([i % 2 + 0.1 * (i % 5)])) for i in range(30)]
    rows.append((2.0, Vectors.dense([5.0])))
    df = spark.createDataFrame(rows, ["label", "x"]).repartition(1)
    learner = LogisticRegression(featuresCol="x", maxIter=5)
    model = Stacked(estimators=[learner], numFolds=2).fit(df)
    assert model.numClasses == 3
    assert model.transform(df).where("prediction = label").count() >= 30


def test_rows_without_a_label_take_no_part(points: DataFrame, stacked: StackedModel) -> None:
    unlabelled = points.limit(20).selectExpr("rating", "null + 0D AS label", "near", "far")
    model = Stacked(estimators=learners(), numFolds=2, seed=1).fit(points.union(unlabelled))
    assert probabilities(model, points) == pytest.approx(probabilities(stacked, points), abs=0.02)


def test_cross_validator_reaches_inner_params(points: DataFrame) -> None:
    # A strong L1 penalty leaves no coefficient; an L2 one would, and the second level amplify it.
    inner = LogisticRegression(featuresCol="near", maxIter=5, elasticNetParam=1.0)
    stage = Stacked(estimators=[inner], numFolds=2)
    grid = ParamGridBuilder().addGrid(inner.regParam, [0.01, 100.0]).build()
    judge = MulticlassClassificationEvaluator(metricName="logLoss")
    found = CrossValidator(estimator=stage, estimatorParamMaps=grid, evaluator=judge, numFolds=2)
    model = found.fit(points)
    assert model.avgMetrics[0] < model.avgMetrics[1]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ("SELECT * FROM points LIMIT 0", "no row has a label"),
        ("SELECT rating, 1D AS label, near, far FROM points", "one class only"),
        ("SELECT rating, label + 0.5 AS label, near, far FROM points", "whole numbers from 0"),
        (
            "SELECT * FROM points WHERE pmod(xxhash64(0, rating, label, near, far), 3) = 1",
            "rows are in one of 3 folds",
        ),
    ],
)
def test_rows_that_cannot_be_learned_from(points: DataFrame, rows: str, found: str) -> None:
    points.createOrReplaceTempView("points")
    data = points.sparkSession.sql(rows)
    stage = Stacked(estimators=learners())
    with pytest.raises(DataError, match=rf"{stage.uid}.*{found}"):
        stage.fit(data)


def test_wrong_schemas_are_refused(points: DataFrame) -> None:
    stage = Stacked(estimators=learners())
    with pytest.raises(SchemaError, match="'prediction' already exists"):
        stage.fit(points.withColumnRenamed("rating", "prediction"))
    with pytest.raises(SchemaError, match="near"):
        stage.fit(points.drop("near"))
    with pytest.raises(ValueError, match="estimators"):
        Stacked(estimators=[])


@pytest.mark.parametrize("features", [[], ["tfidf", "words"]])
def test_unknown_features_are_refused(features: list[str]) -> None:
    with pytest.raises(ValueError, match="features must be some of"):
        classifier(features)


def test_default_classifier_learns_saves_and_scores(spark: SparkSession, tmp_path: Path) -> None:
    said = {1: "awful cheap", 2: "poor fit", 3: "average", 4: "nice fit", 5: "love it"}
    rows = [
        (
            f"i say {said[r]} number {i}" if i % 7 else "i say",
            said[r] if i % 7 == 0 else None,
            Vectors.dense([r + i % 2, 1.0 + i % 3]),
            float((r >= 3) + (r >= 4)),
            r,
        )
        for i, r in ((i, 1 + i % 5) for i in range(150))
    ]
    df = spark.createDataFrame(rows, ["text", "title", "embedding", "label", "rating"])
    model = Pipeline(stages=classifier(ratingCol="rating", maxIter=15, numFolds=2)).fit(df)
    model.save(str(tmp_path / "m"))
    again = PipelineModel.load(str(tmp_path / "m"))
    new = df.drop("label", "rating")
    got = [(row.prediction, row.probability) for row in again.transform(new).collect()]
    assert got == [(row.prediction, row.probability) for row in model.transform(new).collect()]
    # Text or title gives each row away.
    assert [prediction for prediction, _ in got] == [row[3] for row in rows]
