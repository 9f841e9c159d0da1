"""Linear learner by scikit-learn's linear models, and a stand-in for factorization machines.

AWS's algorithms train several models at once; these train one. The hyperparameters of the optimiser
are accepted and have no effect. A binary classifier decides at 0.5. The stand-in for factorization
machines has only the linear part, without factors.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.algorithms.arrays import loaded, saved
from spark_sentiment.standin.algorithms.base import Algorithm, Container, Trained, Training, numeric
from spark_sentiment.standin.algorithms.rules import BOOLEAN, Rule, choice, integer, number
from spark_sentiment.standin.algorithms.tables import CSV, Matrix, Table
from spark_sentiment.standin.errors import JobError

_LOSSES = {
    "regressor": "squared_loss",
    "binary_classifier": "logistic",
    "multiclass_classifier": "softmax_loss",
}
Array = Any


def _train(name: str, training: Training) -> Trained:
    values = training.values
    kind = values["predictor_type"]
    if values.get("loss", "auto") not in ("auto", _LOSSES[kind]):
        raise JobError(f"ClientError: for {kind} the stand-in supports only loss {_LOSSES[kind]}")
    table = training.train
    labels = training.labels(table)
    classes = _classes(kind, values, labels)
    if kind == "regressor":
        coef, intercept = _regress(table.features, labels, values)
    else:
        coef, intercept = _classify(table.features, labels, classes, values)
    files = saved(name, {"predictor_type": kind}, coef=coef, intercept=intercept)
    metrics: dict[str, float] = {}
    for channel in ("train", "validation", "test"):
        judged = training.table(channel)
        if judged is not None:
            found = _metrics(kind, _scores(judged.features, coef, intercept), training, judged)
            metrics |= {f"{channel}:{metric}": value for metric, value in found.items()}
    return Trained(files, metrics)


def _classes(kind: str, values: Mapping[str, Any], labels: Array) -> int:
    """Return the number of classes; raise JobError if a label is not one of them."""
    if kind == "regressor":
        return 0
    if kind == "multiclass_classifier" and "num_classes" not in values:
        raise JobError(
            "ClientError: num_classes must be specified when predictor_type is "
            "'multiclass_classifier' (caused by ValidationError)"
        )
    classes = 2 if kind == "binary_classifier" else int(values["num_classes"])
    if not set(np.unique(labels)) <= set(range(classes)):
        raise JobError(
            f"ClientError: labels of {kind} must be whole numbers from 0 to {classes - 1}"
        )
    return classes


def _regress(features: Matrix, labels: Array, values: Mapping[str, Any]) -> tuple[Array, Array]:
    from sklearn.linear_model import LinearRegression, Ridge

    decay = values.get("wd", "auto")
    model = (
        LinearRegression()
        if decay in ("auto", 0.0)
        else Ridge(alpha=decay * features.shape[0], random_state=0)
    )
    model.fit(features, labels)
    return np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)


def _classify(
    features: Matrix, labels: Array, classes: int, values: Mapping[str, Any]
) -> tuple[Array, Array]:
    """Return a row of weights for each class; a class without rows is never predicted."""
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels).astype(int)
    if len(present) < 2:
        raise JobError("ClientError: all labels of the train channel are in one class")
    decay = values.get("wd", "auto")
    strength = 1.0 if decay in ("auto", 0.0) else 1.0 / (decay * features.shape[0])
    positive = values.get("positive_example_weight_mult", 1.0)
    weights: Any = "balanced" if positive == "balanced" else {0: 1.0, 1: positive}
    if classes > 2:
        weights = "balanced" if values.get("balance_multiclass_weights") else None
    model = LogisticRegression(C=strength, max_iter=1000, class_weight=weights, random_state=0)
    model.fit(features, labels)
    coef, intercept = model.coef_, model.intercept_
    if classes == 2:
        return coef, intercept
    if len(present) == 2:  # scikit-learn fits one row of weights for two classes
        coef, intercept = np.vstack([-coef, coef]) / 2, np.hstack([-intercept, intercept]) / 2
    all_coef, all_intercept = np.zeros((classes, coef.shape[1])), np.full(classes, -1e9)
    all_coef[present], all_intercept[present] = coef, intercept
    return all_coef, all_intercept


def _scores(features: Matrix, coef: Array, intercept: Array) -> Array:
    return np.asarray(features @ coef.T) + intercept


def _probabilities(scores: Array) -> Array:
    if scores.shape[1] == 1:
        return 1.0 / (1.0 + np.exp(-scores[:, 0]))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _metrics(kind: str, scores: Array, training: Training, table: Table) -> dict[str, float]:
    labels = training.labels(table)
    if kind == "regressor":
        errors = scores[:, 0] - labels
        square = float(np.mean(errors**2))
        return {
            "objective_loss": square,
            "mse": square,
            "absolute_loss": float(np.abs(errors).mean()),
        }
    found = _probabilities(scores)
    if kind == "binary_classifier":
        right = np.where(labels == 1, found, 1.0 - found)
        accuracy = float(np.mean((found > 0.5) == (labels == 1)))
        name = "binary_classification_accuracy"
    else:
        right = found[np.arange(len(labels)), labels.astype(int)]
        accuracy = float(np.mean(found.argmax(axis=1) == labels))
        name = "multiclass_accuracy"
    loss = float(-np.log(np.maximum(right, 1e-15)).mean())
    return {"objective_loss": loss, name: accuracy}


def _load(name: str, files: Mapping[str, bytes]) -> Container:
    settings, arrays = loaded(name, files)
    kind, coef, intercept = settings["predictor_type"], arrays["coef"], arrays["intercept"]

    def score(features: Matrix) -> list[dict[str, Any]]:
        scores = _scores(features, coef, intercept)
        if kind == "regressor":
            return [{"score": float(one)} for one in scores[:, 0]]
        found = _probabilities(scores)
        if kind == "binary_classifier":
            return [{"score": float(p), "predicted_label": float(p > 0.5)} for p in found]
        return [{"score": row.tolist(), "predicted_label": float(row.argmax())} for row in found]

    return numeric(score, coef.shape[1])


_AUTO_NUMBER = number(0, float("inf"), "auto")
_LINEAR_RULES = {
    "predictor_type": choice(*_LOSSES, required=True),
    "feature_dim": integer(1, float("inf"), "auto"),
    "num_classes": integer(3, 1_000_000),
    "accuracy_top_k": integer(),
    "binary_classifier_model_selection_criteria": choice(
        "accuracy",
        "f_beta",
        "f1",
        "precision_at_target_recall",
        "recall_at_target_precision",
        "loss_function",
    ),
    "epochs": integer(),
    "init_method": choice("uniform", "normal"),
    "loss": choice(
        "auto",
        *_LOSSES.values(),
        "absolute_loss",
        "hinge_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ),
    "mini_batch_size": integer(),
    "num_models": integer(1, float("inf"), "auto"),
    "num_calibration_samples": integer(),
    "num_point_for_scaler": integer(),
    "optimizer": choice("auto", "sgd", "adam", "rmsprop"),
    "early_stopping_patience": integer(),
    "positive_example_weight_mult": number(0, float("inf"), "balanced"),
    **dict.fromkeys(("balance_multiclass_weights", "use_bias"), BOOLEAN),
    **dict.fromkeys(
        ("normalize_data", "normalize_label", "unbias_data", "unbias_label", "use_lr_scheduler"),
        Rule("boolean", choices=("auto",)),
    ),
    **dict.fromkeys(
        ("wd", "l1", "learning_rate", "beta_1", "beta_2", "bias_lr_mult", "bias_wd_mult"),
        _AUTO_NUMBER,
    ),
    **dict.fromkeys(
        ("lr_scheduler_factor", "lr_scheduler_minimum_lr", "lr_scheduler_step", "momentum"),
        _AUTO_NUMBER,
    ),
    **dict.fromkeys(
        ("early_stopping_tolerance", "f_beta", "huber_delta", "init_scale", "init_sigma"),
        number(0),
    ),
    **dict.fromkeys(
        ("loss_insensitivity", "margin", "quantile", "target_precision", "target_recall"),
        number(0),
    ),
    "init_bias": number(),
}
_FACTORS = ("factors", "linear", "bias")
_FACTORIZATION_RULES = {
    "feature_dim": integer(required=True),
    "num_factors": integer(2, 1000, required=True),
    "predictor_type": choice("binary_classifier", "regressor", required=True),
    "clip_gradient": number(),
    "epochs": integer(),
    "eps": number(),
    "mini_batch_size": integer(),
    "rescale_grad": number(),
    **{f"{part}_init_method": choice("uniform", "normal", "constant") for part in _FACTORS},
    **{f"{part}_{name}": number(0) for part in _FACTORS for name in ("lr", "wd")},
    **{
        f"{part}_init_{name}": number() for part in _FACTORS for name in ("scale", "sigma", "value")
    },
}


def _algorithm(name: str, rules: Mapping[str, Rule], formats: tuple[str, ...]) -> Algorithm:
    train: Callable[[Training], Trained] = partial(_train, name)
    return Algorithm(rules, formats, train, partial(_load, name))


LINEAR_LEARNER = _algorithm("linear-learner", _LINEAR_RULES, (recordio.CONTENT_TYPE, CSV))
FACTORIZATION_MACHINES = _algorithm(
    "factorization-machines", _FACTORIZATION_RULES, (recordio.CONTENT_TYPE,)
)
