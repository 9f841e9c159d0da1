"""K nearest neighbours by scikit-learn, and a stand-in for random cut forest.

A model of k-nn is its training sample. scikit-learn's isolation forest replaces random cut forest:
both measure how easily random cuts separate a row from the others, and give unusual rows a higher
score, but on different scales. The model is the training sample, from which the container grows the
same trees again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.algorithms.arrays import loaded, saved
from spark_sentiment.standin.algorithms.base import Algorithm, Container, Trained, Training, numeric
from spark_sentiment.standin.algorithms.rules import TEXT, choice, integer
from spark_sentiment.standin.algorithms.tables import CSV, Matrix
from spark_sentiment.standin.errors import JobError

_FORMATS = (recordio.CONTENT_TYPE, CSV)


def _dense(features: Matrix) -> Any:
    return features if isinstance(features, np.ndarray) else features.toarray()


def _sample(features: Matrix, most: int) -> Any:
    """Return the positions of at most `most` rows, in order, the same at each call."""
    places = np.random.default_rng(0).permutation(features.shape[0])[:most]
    return np.sort(places)


def _train_knn(training: Training) -> Trained:
    values, table = training.values, training.train
    if "dimension_reduction_type" in values:
        raise JobError("ClientError: the stand-in does not reduce dimensions before k-nn")
    places = _sample(table.features, values["sample_size"])
    if values["k"] > len(places):
        raise JobError(f"ClientError: k is {values['k']}, the sample has {len(places)} records")
    settings = {"predictor_type": values["predictor_type"], "k": values["k"]}
    files = saved(
        "knn",
        settings,
        features=_dense(table.features)[places],
        labels=training.labels(table)[places],
    )
    metrics: dict[str, float] = {}
    test = training.table("test")
    if test is not None:
        found, labels = _neighbours(files)(test.features), training.labels(test)
        if values["predictor_type"] == "classifier":
            metrics = {"test:accuracy": float(np.mean(found == labels))}
        else:
            metrics = {"test:mse": float(np.mean((found - labels) ** 2))}
    return Trained(files, metrics)


def _neighbours(files: Mapping[str, bytes]) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    settings, arrays = loaded("knn", files)
    is_classifier = settings["predictor_type"] == "classifier"
    model = (KNeighborsClassifier if is_classifier else KNeighborsRegressor)(settings["k"])
    model.fit(arrays["features"], arrays["labels"])
    return lambda features: model.predict(_dense(features))


def _load_knn(files: Mapping[str, bytes]) -> Container:
    predict, width = _neighbours(files), loaded("knn", files)[1]["features"].shape[1]
    return numeric(
        lambda features: [{"predicted_label": float(one)} for one in predict(features)], width
    )


def _train_forest(training: Training) -> Trained:
    values, features = training.values, training.train.features
    trees, rows = values.get("num_trees", 100), values.get("num_samples_per_tree", 256)
    places = _sample(features, trees * rows)
    settings = {"trees": trees, "rows": min(rows, len(places))}
    files = saved("randomcutforest", settings, sample=_dense(features)[places])
    return Trained(files, {})


def _load_forest(files: Mapping[str, bytes]) -> Container:
    from sklearn.ensemble import IsolationForest

    settings, arrays = loaded("randomcutforest", files)
    model = IsolationForest(
        n_estimators=settings["trees"], max_samples=settings["rows"], random_state=0
    ).fit(arrays["sample"])

    def score(features: Matrix) -> list[dict[str, Any]]:
        return [{"score": float(-one)} for one in model.score_samples(_dense(features))]

    return numeric(score, arrays["sample"].shape[1])


KNN = Algorithm(
    {
        "feature_dim": integer(required=True),
        "k": integer(required=True),
        "predictor_type": choice("classifier", "regressor", required=True),
        "sample_size": integer(required=True),
        "dimension_reduction_target": integer(),
        "dimension_reduction_type": choice("sign", "fjlt"),
        "index_metric": choice("COSINE", "INNER_PRODUCT", "L2"),
        "index_type": choice("faiss.Flat", "faiss.IVFFlat", "faiss.IVFPQ"),
        "mini_batch_size": integer(),
        "faiss_index_ivf_nlists": TEXT,
        "faiss_index_pq_m": integer(),
    },
    _FORMATS,
    _train_knn,
    _load_knn,
)

RANDOM_CUT_FOREST = Algorithm(
    {
        "feature_dim": integer(required=True),
        "eval_metrics": TEXT,
        "num_samples_per_tree": integer(1, 2048),
        "num_trees": integer(50, 1000),
    },
    _FORMATS,
    _train_forest,
    _load_forest,
)
