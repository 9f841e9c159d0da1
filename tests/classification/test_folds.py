"""Fits of all folds at once, against MLlib's own fit of each."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pyspark.ml.classification import (
    DecisionTreeClassifier,
    LogisticRegression,
    LogisticRegressionModel,
    NaiveBayes,
)
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.classification import folds as module
from spark_sentiment.classification.folds import fit_folds

FOLDS = 2
ROWS = 240


@pytest.fixture(scope="module")
def points(spark: SparkSession) -> DataFrame:
    """Rows of classes 1, 2 and 4, in which feature 0 has a large mean and feature 4 is constant."""
    random = np.random.default_rng(5)
    rows = []
    for i in range(ROWS):
        label = [1, 2, 4, 4][i % 4]
        x = [
            1e4 + label + random.normal(),
            random.normal() * 3 - label,
            random.poisson(1.0) * (i % 3 > 0),
            random.poisson(label / 2),
            7.0,
        ]
        terms = {j: float(v) for j, v in enumerate([*np.abs(x[1:4]).tolist(), 0.5 + i % 2]) if v}
        mixed = Vectors.dense(x) if i % 5 else Vectors.sparse(5, range(5), x)
        weight = float(i % 3) / 2  # some are 0
        rows.append((label, i % FOLDS, weight, Vectors.dense(x), Vectors.sparse(9, terms), mixed))
    columns = ["label", "fold", "weight", "dense", "sparse", "mixed"]
    return spark.createDataFrame(rows, columns).repartition(2).localCheckpoint()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Let no fit fall back to MLlib: that would compare MLlib with itself."""

    def fit(learner: Any, data: DataFrame) -> list[Any]:
        with monkeypatch.context() as patched:
            for cls in (LogisticRegression, NaiveBayes):
                patched.setattr(cls, "fit", None)
            return [models[0] for models in fit_folds([learner], data, ROWS, "fold", FOLDS)]

    return fit


def kept(data: DataFrame, problem: int) -> DataFrame:
    return data.where(F.col("fold") != problem)


def probabilities(model: Any, data: DataFrame) -> Any:
    rows = model.transform(data).select("probability").collect()
    return np.array([row[0].toArray() for row in rows])


REGRESSIONS = [
    {"featuresCol": "dense", "regParam": 0.01},
    {"featuresCol": "dense", "regParam": 0.01, "standardization": False},
    {"featuresCol": "dense", "regParam": 0.02, "weightCol": "weight"},
    {"featuresCol": "sparse", "regParam": 0.003, "standardization": False},
    {"featuresCol": "mixed", "regParam": 0.01},
    {"featuresCol": "sparse", "regParam": 0.0, "maxIter": 6},
    {"featuresCol": "dense", "regParam": 0.01, "maxIter": 1},
    {"featuresCol": "sparse", "regParam": 0.003, "tol": 1e-2, "maxIter": 50},
]


@pytest.mark.parametrize("params", REGRESSIONS, ids=str)
def test_regressions_are_mllibs(
    points: DataFrame, alone: Callable[..., Any], params: dict[str, Any]
) -> None:
    """After as many iterations both stand at the same place, long before the minimum."""
    learner = LogisticRegression(**{"maxIter": 10, "tol": 1e-9, **params})
    models = alone(learner, points)
    assert len(models) == FOLDS + 1
    for problem, model in enumerate(models):
        theirs = learner.fit(kept(points, problem))
        assert type(model) is LogisticRegressionModel
        assert model.uid == learner.uid
        assert model.numClasses == theirs.numClasses == 5
        coefficients = theirs.coefficientMatrix.toArray()
        assert model.coefficientMatrix.toArray() == pytest.approx(coefficients, rel=1e-6, abs=1e-8)
        assert probabilities(model, points) == pytest.approx(
            probabilities(theirs, points), abs=1e-6
        )


def test_a_feature_that_is_constant_without_a_fold_has_no_coefficient_there(
    points: DataFrame, alone: Callable[..., Any]
) -> None:
    """Such a feature is a log-probability that depends only on the fold."""
    stepped = points.withColumn("step", F.log(F.col("fold") * 0.37 + 0.1))
    wider = VectorAssembler(inputCols=["dense", "step"], outputCol="wider").transform(stepped)
    learner = LogisticRegression(featuresCol="wider", regParam=1e-4, maxIter=10)
    first, second, whole = (model.coefficientMatrix.toArray() for model in alone(learner, wider))
    assert not first[:, 5].any()
    assert not second[:, 5].any()
    assert whole[:, 5].any()


def test_a_regression_ends_where_its_objective_is_least(
    points: DataFrame, alone: Callable[..., Any]
) -> None:
    """At the minimum, computed here by scipy from the objective as it is written in the book."""
    from scipy.optimize import minimize

    rows = points.select("label", "weight", "sparse").collect()
    x = np.array([row.sparse.toArray() for row in rows])
    y = np.array([row.label for row in rows])
    w = np.array([row.weight for row in rows])
    penalty = 0.05

    def objective(flat: Any) -> float:
        b = flat.reshape(10, 5)
        scores = x @ b[:9] + b[9]
        logs = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(y)), y]
        return float((w * logs).sum() / w.sum() + penalty / 2 * (b[:9] ** 2).sum())

    learner = LogisticRegression(
        featuresCol="sparse",
        weightCol="weight",
        regParam=penalty,
        standardization=False,
        tol=1e-12,
        maxIter=500,
    )
    model = alone(learner, points)[-1]
    mine = np.vstack([model.coefficientMatrix.toArray().T, model.interceptVector.toArray()])
    best = minimize(objective, np.zeros(50), options={"gtol": 1e-9, "maxiter": 2000}).fun
    # Classes 0 and 3 have no rows: their intercepts go down for ever, ever more slowly.
    assert objective(mine.ravel()) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("kind", ["multinomial", "complement"])
@pytest.mark.parametrize("weight", [None, "weight"])
def test_naive_bayes_is_mllibs(
    points: DataFrame, alone: Callable[..., Any], kind: str, weight: str | None
) -> None:
    learner = NaiveBayes(featuresCol="sparse", modelType=kind, smoothing=0.5)
    if weight:
        learner.setWeightCol(weight)
    for problem, model in enumerate(alone(learner, points)):
        theirs = learner.fit(kept(points, problem))
        assert model.theta.toArray() == pytest.approx(theirs.theta.toArray(), rel=1e-9)
        assert model.pi.toArray() == pytest.approx(theirs.pi.toArray(), rel=1e-9)
        # Classes that occur alone count: without fold 0 there is no class 1, without fold 1 no 2.
        assert model.numClasses == theirs.numClasses == (3 if problem == FOLDS else 2)
        assert probabilities(model, points) == pytest.approx(probabilities(theirs, points))


OTHERS: list[tuple[type[Any], dict[str, Any]]] = [
    (LogisticRegression, {"elasticNetParam": 0.5, "regParam": 0.1, "maxIter": 3}),
    (LogisticRegression, {"fitIntercept": False, "maxIter": 3}),
    (LogisticRegression, {"thresholds": [0.1, 0.2, 0.3, 0.2, 0.2], "maxIter": 3}),
    (LogisticRegression, {"labelCol": "half", "maxIter": 3}),  # two classes
    (NaiveBayes, {"modelType": "gaussian"}),
    (DecisionTreeClassifier, {"maxDepth": 2}),
]


@pytest.mark.parametrize(("kind", "params"), OTHERS, ids=str)
def test_other_learners_have_their_own_fit(
    points: DataFrame, kind: type[Any], params: dict[str, Any]
) -> None:
    data = points.withColumn("half", F.when(F.col("weight") > 0.3, 1.0).otherwise(0.0))
    learner = kind(featuresCol="dense", **params)
    found = fit_folds([learner], data, ROWS, "fold", FOLDS)
    assert len(found) == FOLDS + 1
    for problem, (model,) in enumerate(found):
        theirs = learner.fit(kept(data, problem))
        assert probabilities(model, data) == pytest.approx(probabilities(theirs, data), abs=1e-9)


def test_more_rows_than_one_task_takes_have_mllibs_own_fit(
    points: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = LogisticRegression(featuresCol="dense", regParam=0.01, maxIter=3)
    few = fit_folds([learner], points, ROWS, "fold", FOLDS)
    monkeypatch.setattr(module, "_solve", None)
    many = fit_folds([learner], points, module.MAX_ROWS + 1, "fold", FOLDS, threads=2)
    for (one,), (other,) in zip(few, many, strict=True):
        assert one.coefficientMatrix.toArray() == pytest.approx(
            other.coefficientMatrix.toArray(), rel=1e-6, abs=1e-9
        )


def test_what_mllib_refuses_is_refused_by_mllib(points: DataFrame) -> None:
    negative = points.withColumn("weight", F.lit(-1.0))
    learner = LogisticRegression(featuresCol="dense", weightCol="weight", maxIter=2)
    with pytest.raises(Exception, match=r"[Ww]eight"):
        fit_folds([learner], negative, ROWS, "fold", FOLDS)
    with pytest.raises(Exception, match=r"MUST NOT be Negative"):
        fit_folds([NaiveBayes(featuresCol="dense")], points, ROWS, "fold", FOLDS)


def test_learners_of_the_same_columns_share_a_job(
    points: DataFrame, jobs_run: Callable[[Callable[[], object]], int]
) -> None:
    learners = [
        LogisticRegression(featuresCol="sparse", regParam=0.01, maxIter=20),
        NaiveBayes(featuresCol="sparse", modelType="complement"),
    ]
    assert jobs_run(lambda: fit_folds(learners, points, ROWS, "fold", FOLDS)) == 1
