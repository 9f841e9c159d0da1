"""K-means and PCA, by scikit-learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.algorithms.arrays import loaded, saved
from spark_sentiment.standin.algorithms.base import Algorithm, Container, Trained, Training, numeric
from spark_sentiment.standin.algorithms.rules import BOOLEAN, TEXT, choice, integer, number
from spark_sentiment.standin.algorithms.tables import CSV, Matrix
from spark_sentiment.standin.errors import JobError


def _train_kmeans(training: Training) -> Trained:
    from sklearn.cluster import KMeans

    features, values = training.train.features, training.values
    if features.shape[0] < values["k"]:
        raise JobError(f"ClientError: there are {features.shape[0]} records for k={values['k']}")
    start = "random" if values.get("init_method") == "random" else "k-means++"
    model = KMeans(values["k"], init=start, n_init=3, random_state=0).fit(features)
    centers = model.cluster_centers_
    metrics = {"train:msd": float(model.inertia_) / features.shape[0]}
    test = training.table("test")
    if test is not None:
        nearest = _squared_distances(test.features, centers).min(axis=1)
        metrics |= {"test:msd": float(nearest.mean()), "test:ssd": float(nearest.sum())}
    return Trained(saved("kmeans", {}, centers=centers), metrics)


def _load_kmeans(files: Mapping[str, bytes]) -> Container:
    centers = loaded("kmeans", files)[1]["centers"]

    def score(features: Matrix) -> list[dict[str, Any]]:
        found = _squared_distances(features, centers)
        nearest, distances = found.argmin(axis=1), np.sqrt(found.min(axis=1))
        return [
            {"closest_cluster": float(place), "distance_to_cluster": float(distance)}
            for place, distance in zip(nearest, distances, strict=True)
        ]

    return numeric(score, centers.shape[1])


def _squared_distances(features: Matrix, centers: "np.ndarray[Any, Any]") -> Any:
    if isinstance(features, np.ndarray):
        parts = [((features - center) ** 2).sum(axis=1) for center in centers]
        return np.stack(parts, axis=1)
    squares = np.asarray(features.multiply(features).sum(axis=1))
    found = squares - 2.0 * (features @ centers.T) + (centers**2).sum(axis=1)
    return np.maximum(found, 0.0)


def _train_pca(training: Training) -> Trained:
    """Fit PCA; as in SageMaker, the component with the largest variance is the last one."""
    from sklearn.decomposition import PCA

    features, wanted = training.train.features, training.values["num_components"]
    dense = features if isinstance(features, np.ndarray) else features.toarray()
    if wanted > min(dense.shape):
        raise JobError(f"ClientError: num_components is {wanted}, of records of {dense.shape}")
    if training.values.get("subtract_mean", True):
        model = PCA(wanted, svd_solver="full").fit(dense)
        components, mean = model.components_, model.mean_
    else:
        _, _, components = np.linalg.svd(dense, full_matrices=False)
        components, mean = components[:wanted], np.zeros(dense.shape[1])
    return Trained(saved("pca", {}, components=components[::-1], mean=mean), {})


def _load_pca(files: Mapping[str, bytes]) -> Container:
    arrays = loaded("pca", files)[1]
    components, mean = arrays["components"], arrays["mean"]

    def score(features: Matrix) -> list[dict[str, Any]]:
        found = features @ components.T - mean @ components.T
        return [{"projection": row.tolist()} for row in found]

    return numeric(score, len(mean))


_FORMATS = (recordio.CONTENT_TYPE, CSV)

KMEANS = Algorithm(
    {
        "feature_dim": integer(required=True),
        "k": integer(required=True),
        "epochs": integer(),
        "eval_metrics": TEXT,
        "extra_center_factor": integer(1, float("inf"), "auto"),
        "half_life_time_size": integer(0),
        "init_method": choice("random", "kmeans++"),
        "local_lloyd_init_method": choice("random", "kmeans++"),
        "local_lloyd_max_iter": integer(),
        "local_lloyd_num_trials": integer(1, float("inf"), "auto"),
        "local_lloyd_tol": number(0, 1),
        "mini_batch_size": integer(),
        "force_dense": BOOLEAN,
    },
    _FORMATS,
    _train_kmeans,
    _load_kmeans,
)

PCA = Algorithm(
    {
        "feature_dim": integer(required=True),
        "mini_batch_size": integer(required=True),
        "num_components": integer(required=True),
        "algorithm_mode": choice("regular", "randomized", "stable"),
        "extra_components": integer(-1),
        "subtract_mean": BOOLEAN,
        "force_dense": BOOLEAN,
    },
    _FORMATS,
    _train_pca,
    _load_pca,
)
