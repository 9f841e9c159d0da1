"""Resampled: what the inner estimator sees, and that nobody else sees it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chispa import assert_df_equality
from pyspark import keyword_only
from pyspark.ml import Estimator, Pipeline, PipelineModel, Transformer
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DoubleType, StructField, StructType

from spark_sentiment.balance.resampled import Resampled
from spark_sentiment.errors import DataError, SchemaError


class Same(Transformer):
    """Leaves rows as they are."""

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return dataset


class Recorder(Estimator[Same]):
    """Learns nothing, but keeps the rows that it is fitted on."""

    mark: Param[int] = Param(Params._dummy(), "mark", "says which fit", TypeConverters.toInt)
    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(self, *, mark: int = 0) -> None:
        super().__init__()
        self._setDefault(mark=0)
        self._set(**self._input_kwargs)
        self.seen: list[tuple[int, list[Any]]] = []

    def _fit(self, dataset: DataFrame) -> Same:
        self.seen.append((self.getOrDefault(self.mark), dataset.collect()))
        return Same()

    def counts(self) -> dict[float, int]:
        labels = [row["label"] for row in self.seen[-1][1]]
        return {label: labels.count(label) for label in sorted(set(labels))}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """60, 25 and 7 rows of three classes; some rows are equal."""
    classes = [0.0] * 60 + [1.0] * 25 + [2.0] * 7
    points = [
        (label, Vectors.dense([label * 3 + i % 5, float(i * i % 11)]), i // 2)
        for i, label in enumerate(classes)
    ]
    return spark.createDataFrame(points, ["label", "features", "id"]).repartition(3).cache()


@pytest.mark.parametrize(
    ("how", "wanted"),
    [
        ({"method": "smote"}, {0.0: 60, 1.0: 60, 2.0: 60}),
        ({"method": "over"}, {0.0: 60, 1.0: 60, 2.0: 60}),
        ({"method": "under"}, {0.0: 7, 1.0: 7, 2.0: 7}),
        # round(0.4 * 60) = 24: class 1 has more already
        ({"method": "smote", "targetRatio": 0.4}, {0.0: 60, 1.0: 25, 2.0: 24}),
        ({"method": "over", "targetRatio": 0.5}, {0.0: 60, 1.0: 30, 2.0: 30}),
        # floor(7 / 0.4) = 17
        ({"method": "under", "targetRatio": 0.4}, {0.0: 17, 1.0: 17, 2.0: 7}),
        ({"method": "smote", "targets": {2: 9}}, {0.0: 60, 1.0: 25, 2.0: 9}),
        ({"method": "over", "targets": {0: 61, 2: 20}}, {0.0: 61, 1.0: 25, 2.0: 20}),
        ({"method": "under", "targets": {0: 50}}, {0.0: 50, 1.0: 25, 2.0: 7}),
        ({"method": "smote", "targets": {0: 60}}, {0.0: 60, 1.0: 25, 2.0: 7}),
    ],
    ids=str,
)
def test_the_inner_fit_sees_exactly_the_counts_asked_for(
    rows: DataFrame, how: dict[str, Any], wanted: dict[float, int]
) -> None:
    recorder = Recorder()
    Resampled(estimator=recorder, **how).fit(rows)
    assert recorder.counts() == wanted
    before, seen = [tuple(r) for r in rows.collect()], [tuple(r) for r in recorder.seen[-1][1]]
    if how["method"] == "under":
        assert all(seen.count(row) <= before.count(row) for row in seen)
    else:
        assert all(seen.count(row) >= before.count(row) for row in before)
    if how["method"] == "over":
        assert set(seen) == set(before)


def test_over_sampling_repeats_all_rows_of_a_class_about_equally(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(0.0, i) for i in range(50)] + [(1.0, 0), (1.0, 1)], ["label", "id"]
    )
    recorder = Recorder()
    Resampled(estimator=recorder, method="over", targets={1: 7}).fit(rows)
    seen = [row["id"] for row in recorder.seen[-1][1] if row["label"] == 1.0]
    assert sorted([seen.count(0), seen.count(1)]) == [3, 4]


@pytest.mark.parametrize("method", ["over", "under"])
def test_the_same_rows_are_taken_in_any_order_and_by_seed(spark: SparkSession, method: str) -> None:
    rows = [(float(i % 3 == 0), i // 2, {"a": i}) for i in range(90)]
    schema = "label double, id int, extra map<string, int>"
    turned = spark.createDataFrame(rows[::-1], schema).repartition(4)

    def taken(data: DataFrame, seed: int) -> list[Any]:
        stage = Resampled(estimator=Recorder(), method=method, targetRatio=0.7, seed=seed)
        made = stage.resample(data)
        return sorted((row["label"], row["id"]) for row in made.collect())

    once = taken(spark.createDataFrame(rows, schema), 1)
    assert taken(turned, 1) == once
    assert taken(turned, 2) != once


def test_a_fitted_pipeline_never_resamples_what_it_scores(rows: DataFrame, tmp_path: Path) -> None:
    inner = Pipeline(
        stages=[
            StandardScaler(inputCol="features", outputCol="scaled"),
            LogisticRegression(featuresCol="scaled", maxIter=3),
        ]
    )
    made = VectorAssembler(inputCols=["features", "id"], outputCol="wide")
    stage = Resampled(estimator=inner, k=3)
    pipeline = Pipeline(stages=[made, stage])
    pipeline.save(str(tmp_path / "unfitted"))
    model = Pipeline.load(str(tmp_path / "unfitted")).fit(rows)
    assert isinstance(model.stages[1], PipelineModel)
    summary = model.stages[1].stages[1].summary
    assert summary.predictions.count() == 180  # 3 classes of 60
    scored = model.transform(rows)
    assert scored.count() == 92
    # MLlib's classifiers declare their outputs in another order than they add them.
    declared = stage.transformSchema(made.transform(rows).schema)
    assert sorted(f.simpleString() for f in declared) == sorted(
        f.simpleString() for f in scored.schema
    )
    model.save(str(tmp_path / "fitted"))
    again = PipelineModel.load(str(tmp_path / "fitted")).transform(rows)
    # By id: Spark sorts vectors in compiled code alone.
    assert_df_equality(again.orderBy("id"), scored.orderBy("id"))


def test_saving_keeps_every_param_and_the_inner_estimator(
    spark: SparkSession, tmp_path: Path
) -> None:
    inner = LogisticRegression(regParam=0.25, featuresCol="v")
    stage = Resampled(
        estimator=inner, method="over", targets={1: 9}, seed=2**40, k=2, blockSize=300
    )
    stage.save(str(tmp_path / "s"))
    again = Resampled.load(str(tmp_path / "s"))
    assert again.uid == stage.uid
    assert again.getOrDefault("targets") == {1.0: 9}
    assert again.getOrDefault("seed") == 2**40
    assert again.getEstimator().uid == inner.uid
    assert again.getEstimator().getRegParam() == 0.25
    assert again.getEstimator().getFeaturesCol() == "v"


def test_an_inner_estimator_that_cannot_be_saved_is_named(tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(TypeError, match=recorder.uid):
        Resampled(estimator=recorder).save(str(tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_extra_params_reach_the_inner_estimator(rows: DataFrame) -> None:
    recorder = Recorder()
    stage = Resampled(estimator=recorder, method="under")
    stage.fit(rows, {recorder.mark: 5, stage.targetRatio: 0.5})
    assert [mark for mark, _ in recorder.seen] == [5]
    assert recorder.counts() == {0.0: 14, 1.0: 14, 2.0: 7}
    assert recorder.getOrDefault("mark") == 0
    twin = stage.copy({recorder.mark: 6})
    assert twin.getEstimator() is not recorder
    assert twin.getEstimator().getOrDefault("mark") == 6
    other = Recorder()
    assert stage.copy({stage.estimator: other}).getEstimator().uid == other.uid


def test_cross_validation_balances_each_fold_once(
    rows: DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    lr = LogisticRegression(maxIter=2)
    grid = ParamGridBuilder().addGrid(lr.regParam, [0.01, 5.0]).build()
    search = CrossValidator(
        estimator=Resampled(estimator=lr, k=2),
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(metricName="f1"),
        numFolds=2,
        parallelism=2,
        seed=1,
    )
    with caplog.at_level(logging.INFO, logger="spark_sentiment.balance"):
        model = search.fit(rows)
    balanced = [record for record in caplog.records if "synthetic" in record.getMessage()]
    assert len(balanced) == 3  # two folds, and the best on all rows
    assert isinstance(model.bestModel, LogisticRegressionModel)
    assert model.bestModel.getRegParam() == 0.01
    assert len(set(model.avgMetrics)) == 2


def test_fit_with_own_params_in_the_grid_balances_for_each(rows: DataFrame) -> None:
    recorder = Recorder()
    stage = Resampled(estimator=recorder, method="under")
    stage.fit(rows, [{stage.targetRatio: 1.0}, {stage.targetRatio: 0.5, recorder.mark: 2}])
    sizes = {mark: len(seen) for mark, seen in recorder.seen}
    assert sizes == {0: 21, 2: 35}


def test_nothing_stays_in_memory(spark: SparkSession, rows: DataFrame) -> None:
    fresh = rows.select("label", "features")
    held = spark.sparkContext._jsc.getPersistentRDDs().size()
    Resampled(estimator=Recorder()).fit(fresh)
    lazily = Resampled(estimator=Recorder()).fitMultiple(fresh, [{}, {}])
    assert len(list(lazily)) == 2
    assert spark.sparkContext._jsc.getPersistentRDDs().size() == held
    assert rows.is_cached


def test_small_classes_are_said(spark: SparkSession, caplog: pytest.LogCaptureFixture) -> None:
    rows = spark.createDataFrame(
        [
            (label, Vectors.dense([float(i)]))
            for i, label in enumerate([0.0] * 6 + [1.0] + [2.0] * 3)
        ],
        ["label", "features"],
    )
    recorder = Recorder()
    with caplog.at_level(logging.WARNING, logger="spark_sentiment.balance"):
        Resampled(estimator=recorder).fit(rows)
    assert recorder.counts() == {0.0: 6, 1.0: 6, 2.0: 6}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "class 1 has one row" in said[0]
    assert "class 2 has 3 rows: using 2 neighbours instead of k=5" in said[1]


V = Vectors.dense([1.0])


@pytest.mark.parametrize(
    ("how", "data", "message"),
    [
        ({}, [], "no row has a label"),
        ({}, [(1.0, V)] * 3, r"one class only \(1.0, 3 rows\)"),
        ({}, [(1.0, V), (None, V), (0.0, V)], "'label' is null in 1 rows"),
        ({}, [(1.0, V), (0.0, None)], "'features' is null in 1 rows"),
        (
            {},
            [(1.0, V), (0.0, V), (0.0, Vectors.dense([1.0, 2.0])), (1.0, V), (1.0, V)],
            "'features' holds vectors of different sizes, from 1 to 2",
        ),
        ({"targets": {3: 5}}, [(1.0, V), (0.0, V)], "class 3, .*holds 0, 1"),
        (
            {"targets": {1: 1}},
            [(1.0, V), (1.0, V), (0.0, V)],
            "targets sets class 1 to 1 rows, fewer than its 2",
        ),
        (
            {"targets": {1: 3}, "method": "under"},
            [(1.0, V), (0.0, V)],
            "targets sets class 1 to 3 rows, more than its 1",
        ),
    ],
    ids=["empty", "one", "null label", "null vector", "sizes", "unknown", "less", "more"],
)
def test_rows_that_cannot_be_balanced_are_refused(
    spark: SparkSession, how: dict[str, Any], data: list[Any], message: str
) -> None:
    stage = Resampled(estimator=Recorder(), **how)
    schema = StructType([StructField("label", DoubleType()), StructField("features", VectorUDT())])
    with pytest.raises(DataError, match=f"^{stage.uid}: .*{message}"):
        stage.fit(spark.createDataFrame(data, schema))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resampled(estimator=LogisticRegression(), labelCol="y"), "'y' is missing"),
        (
            lambda: Resampled(estimator=LogisticRegression(), labelCol="text"),
            "'text' must be a number",
        ),
        (lambda: Resampled(estimator=LogisticRegression(), featuresCol="label"), "must be vector"),
        (
            lambda: Resampled(estimator=LogisticRegression(featuresCol="f")),
            "LogisticRegression_.*f does",
        ),
        (
            lambda: Resampled(
                estimator=Pipeline(
                    stages=[
                        VectorAssembler(inputCols=["features"], outputCol="wide"),
                        LogisticRegression(featuresCol="wider"),
                    ]
                )
            ),
            "wider does not exist",
        ),
    ],
    ids=["missing", "type", "features", "inner", "inner pipeline"],
)
def test_schemas_that_cannot_work_are_refused_before_any_job(
    spark: SparkSession, make: Callable[[], Resampled], message: str
) -> None:
    rows = spark.createDataFrame([(0.0, V, "a")], ["label", "features", "text"])
    with pytest.raises(SchemaError, match=message):
        make().fit(rows)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"estimator": Same()}, TypeError),
        ({"method": "both"}, ValueError),
        ({"targetRatio": 0.0}, ValueError),
        ({"targetRatio": 1.5}, ValueError),
        ({"targets": {1: 0}}, ValueError),
        ({"targets": {"x": 3}}, ValueError),
        ({"targets": [3]}, TypeError),
        ({"k": 0}, ValueError),
        ({"seed": -1}, ValueError),
        ({"blockSize": 100}, ValueError),
    ],
    # Not the value: a stage's uid differs between two test processes.
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else given.__name__,
)
def test_bad_params_are_refused_by_name(bad: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(bad))):
        Resampled(**bad)
