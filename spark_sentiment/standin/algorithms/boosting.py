"""XGBoost with the given hyperparameters, and answers as from SageMaker's XGBoost container.

A model is XGBoost's JSON in a file ``xgboost-model``.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.algorithms import answers, tables
from spark_sentiment.standin.algorithms.base import Algorithm, Container, Trained, Training
from spark_sentiment.standin.algorithms.rules import BOOLEAN, TEXT, choice, integer, number
from spark_sentiment.standin.algorithms.tables import CSV, LIBSVM, Table
from spark_sentiment.standin.errors import ContainerError, JobError

_MODEL = "xgboost-model"
# Hyperparameters of the container; the others are passed to XGBoost.
_OURS = ("num_round", "csv_weights", "early_stopping_rounds", "save_model_on_termination")


def _train(training: Training) -> Trained:
    import xgboost

    values = dict(training.values)
    parameters = {name: value for name, value in values.items() if name not in _OURS}
    objective = parameters.get("objective", "reg:squarederror")
    # SageMaker's examples still use the name of the objective in XGBoost up to 0.90.
    parameters["objective"] = objective.replace("reg:linear", "reg:squarederror")
    if objective.startswith("multi:") and "num_class" not in parameters:
        raise JobError(f"ClientError: Require input for parameter 'num_class' for {objective}")
    if "eval_metric" in parameters:
        parameters["eval_metric"] = parameters["eval_metric"].replace(" ", "").split(",")
    table, watched = training.train, training.table("validation")
    width = max(one.features.shape[1] for one in (table, watched) if one is not None)
    data = {"train": _matrix(table, width, training)}
    if watched is not None:
        data["validation"] = _matrix(watched, width, training)
    history: dict[str, dict[str, list[float]]] = {}
    try:
        model = xgboost.train(
            {"nthread": 2, "verbosity": 0, **parameters},
            data["train"],
            values["num_round"],
            evals=[(one, name) for name, one in data.items()],
            early_stopping_rounds=values.get("early_stopping_rounds"),
            evals_result=history,
            verbose_eval=False,
        )
    except (xgboost.core.XGBoostError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise JobError(f"AlgorithmError: XGB train call failed with exception:\n{said}") from error
    metrics = {
        f"{channel}:{name}": figures[-1]
        for channel, found in history.items()
        for name, figures in found.items()
    }
    return Trained({_MODEL: bytes(model.save_raw("json"))}, metrics)


def _matrix(table: Table, width: int, training: Training) -> Any:
    import xgboost

    return xgboost.DMatrix(
        tables.fitted(table.features, width), label=training.labels(table), weight=table.weights
    )


def _load(files: Mapping[str, bytes], *, in_batch: bool = False) -> Container:
    """Return a container; in batch transform, it writes each number on its own line."""
    import xgboost

    model = xgboost.Booster()
    try:
        model.load_model(bytearray(files[_MODEL]))
    except xgboost.core.XGBoostError as error:
        raise ValueError("the model is not XGBoost's") from error
    model.set_param("nthread", "1")
    width = model.num_features()
    best = model.attr("best_iteration")
    rounds = (0, int(best) + 1) if best is not None else (0, 0)

    def container(body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        try:
            features = tables.request(body, content_type)
        except ContainerError as error:
            # XGBoost's container answers 415 for every body that it cannot read.
            raise ContainerError(415, error.message) from error
        try:
            data = xgboost.DMatrix(tables.fitted(features, width))
        except ValueError as error:
            raise ContainerError(
                400,
                f"Unable to evaluate payload provided: Feature size of inference data "
                f"{features.shape[1]} is not consistent with feature size of trained model "
                f"{width}.",
            ) from error
        found = model.predict(data, iteration_range=rounds, validate_features=False).tolist()
        kind, _ = tables.named(accept)
        if kind in ("", "*/*", CSV):
            text = "".join(f"{one}\n" for one in found) if in_batch else ",".join(map(str, found))
            return text.encode(), CSV
        return answers.write([{"score": one} for one in found], accept)

    return container


_NUMBER = number()
XGBOOST = Algorithm(
    {
        "num_round": integer(required=True),
        "num_class": integer(),
        "objective": TEXT,
        "eval_metric": TEXT,
        "booster": choice("gbtree", "gblinear", "dart"),
        "tree_method": choice("auto", "exact", "approx", "hist", "gpu_hist"),
        "grow_policy": choice("depthwise", "lossguide"),
        "csv_weights": integer(0, 1),
        "save_model_on_termination": BOOLEAN,
        **dict.fromkeys(
            ("early_stopping_rounds", "max_bin", "nthread", "num_parallel_tree"), integer()
        ),
        **dict.fromkeys(
            ("max_depth", "max_leaves", "seed", "verbosity", "silent", "refresh_leaf"), integer(0)
        ),
        **dict.fromkeys(("one_drop", "lambda_bias"), integer(0)),
        **dict.fromkeys(
            ("eta", "subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode"),
            number(0, 1),
        ),
        **dict.fromkeys(("rate_drop", "skip_drop", "sketch_eps"), number(0, 1)),
        **dict.fromkeys(
            ("gamma", "lambda", "alpha", "min_child_weight", "max_delta_step"), number(0)
        ),
        **dict.fromkeys(("base_score", "scale_pos_weight", "huber_slope"), _NUMBER),
        "tweedie_variance_power": number(1, 2),
        **dict.fromkeys(
            ("interaction_constraints", "monotone_constraints", "normalize_type", "process_type"),
            TEXT,
        ),
        **dict.fromkeys(("sample_type", "updater", "dsplit"), TEXT),
    },
    (*LIBSVM, CSV, recordio.CONTENT_TYPE),
    _train,
    _load,
    partial(_load, in_batch=True),
)
