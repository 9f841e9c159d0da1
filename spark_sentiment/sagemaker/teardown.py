"""The end of fitted models' endpoints: in one call, after a ``with`` block, or after a search."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pyspark.ml import Estimator
from pyspark.sql import DataFrame

from spark_sentiment.core import optional
from spark_sentiment.sagemaker.aws import resources
from spark_sentiment.sagemaker.scoring.model import SageMakerEndpointModel
from spark_sentiment.sagemaker.training.stage import SageMakerStage

M = TypeVar("M")


def delete_resources(model: Any) -> None:
    """Delete what SageMaker keeps for `model`, however deep its stages are nested.

    Parameters
    ----------
    model : Model
        A `SageMakerEndpointModel`, a PipelineModel or CrossValidatorModel that holds some, or any
        other: of that, nothing is deleted. Endpoints that no `SageMakerStage` made are left alone.

    Raises
    ------
    SageMakerError
        Where something cannot be deleted; the rest is.

    Examples
    --------
    >>> from pyspark.ml import PipelineModel
    >>> delete_resources(PipelineModel([SageMakerEndpointModel(endpointName="someone-else-s")]))
    """
    own = [part for part in _endpoints(model) if part.isSet(part.deployment)]
    # By name: models of one stage, fitted with other Params, have one uid.
    steps = {part.getOrDefault(part.endpointName): part.deleteResources for part in own}
    resources.all_deleted(getattr(model, "uid", "model"), steps)


@contextmanager
def deployed(model: M) -> Iterator[M]:
    """Give back `model`, and delete what SageMaker keeps for it when the block ends.

    Examples
    --------
    >>> with deployed(SageMakerEndpointModel(endpointName="someone-else-s")) as model:
    ...     model.getOrDefault(model.endpointName)
    'someone-else-s'
    """
    try:
        yield model
    finally:
        delete_resources(model)


def fit_and_clean_up(estimator: Any, dataset: DataFrame) -> Any:
    """Fit, and delete what SageMaker keeps for models that are not part of the result.

    CrossValidator and TrainValidationSplit fit many models and give back the best, a Pipeline whose
    later stage fails gives back none: nobody would delete the endpoints of the others.

    Parameters
    ----------
    estimator : Estimator
        Such as a CrossValidator or Pipeline, with `SageMakerStage` at any depth.
    dataset : DataFrame
        To fit on.

    Returns
    -------
    Model
        What ``estimator.fit(dataset)`` returns; its endpoints, those of its ``subModels`` too where
        they are collected, are in service.

    Raises
    ------
    SageMakerError
        Where something cannot be deleted; the rest is. Where the fit fails, that is what is raised,
        with a note of what is left.

    Notes
    -----
    The trained artifacts on S3 stay. A fit in a thread that goes on after another has failed
    deletes what it made as soon as it ends.

    Examples
    --------
    >>> from pyspark.ml.feature import StringIndexer
    >>> df = spark.createDataFrame([("a",), ("b",)], ["letter"])
    >>> indexer = StringIndexer(inputCol="letter", outputCol="index")  # or a CrossValidator
    >>> fit_and_clean_up(indexer, df).labels
    ['a', 'b']
    """
    stages, made = list(_stages(estimator)), _Made()
    for stage in stages:
        stage._note = made.note
    try:
        model = estimator.fit(dataset)
    except BaseException as failure:
        resources.clean_up(failure, made.delete)
        raise
    finally:
        for stage in stages:
            stage._note = None
    made.delete({part.getOrDefault(part.endpointName) for part in _endpoints(model)})
    return model


class _Made:
    """What the fits of one search made, in whatever threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: list[SageMakerEndpointModel] = []
        self._ended = False

    def note(self, model: SageMakerEndpointModel) -> None:
        """Note a model that was fitted; delete its endpoint at once where all others are gone."""
        with self._lock:
            if not self._ended:
                self._models.append(model)
                return
        model.deleteResources()

    def delete(self, keep: Collection[str] = ()) -> None:
        """Delete what was made, but for the endpoints named."""
        with self._lock:
            self._ended = True
        names = {model.getOrDefault(model.endpointName): model for model in self._models}
        resources.all_deleted(
            "fit_and_clean_up",
            {name: m.deleteResources for name, m in names.items() if name not in keep},
        )


def _stages(estimator: Any) -> Iterator[SageMakerStage]:
    """Yield the stages that train on SageMaker, wherever in a Param of another they are."""
    if isinstance(estimator, SageMakerStage):
        yield estimator
    for param in getattr(estimator, "params", ()):
        value = optional(estimator, param)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Estimator):
                yield from _stages(one)


def _endpoints(model: Any) -> Iterator[SageMakerEndpointModel]:
    if isinstance(model, SageMakerEndpointModel):
        yield model
    for part in getattr(model, "stages", ()):
        yield from _endpoints(part)
    if hasattr(model, "bestModel"):  # of CrossValidator and TrainValidationSplit
        yield from _endpoints(model.bestModel)
        for one in model.subModels or ():  # models, or a list of them for each fold
            for part in one if isinstance(one, list) else [one]:
                yield from _endpoints(part)
