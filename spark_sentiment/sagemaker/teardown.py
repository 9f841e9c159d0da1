"""Delete the endpoints of fitted models: in one call, after a ``with`` block, after a search."""

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
    """Delete the resources of `model` in SageMaker, at any depth of nested stages.

    Parameters
    ----------
    model : Model
        A `SageMakerEndpointModel`, or a PipelineModel or CrossValidatorModel with some. Other
        models, and endpoints that no `SageMakerStage` created, are left alone.

    Raises
    ------
    SageMakerError
        If something cannot be deleted; the rest is deleted.

    Examples
    --------
    >>> from pyspark.ml import PipelineModel
    >>> delete_resources(PipelineModel([SageMakerEndpointModel(endpointName="someone-else-s")]))
    """
    own = [part for part in _endpoints(model) if part.isSet(part.deployment)]
    # By name: models of one stage, fitted with different Params, have the same uid.
    steps = {part.getOrDefault(part.endpointName): part.deleteResources for part in own}
    resources.all_deleted(getattr(model, "uid", "model"), steps)


@contextmanager
def deployed(model: M) -> Iterator[M]:
    """Yield `model`, and delete its resources in SageMaker when the block ends.

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
    """Fit, and delete the resources of models that are not part of the result.

    CrossValidator and TrainValidationSplit fit many models and return the best one. A Pipeline
    whose later stage fails returns no model. Without this function, the endpoints of the other
    models stay.

    Parameters
    ----------
    estimator : Estimator
        For example, a CrossValidator or Pipeline with a `SageMakerStage` at any depth.
    dataset : DataFrame
        Rows to fit on.

    Returns
    -------
    Model
        Result of ``estimator.fit(dataset)``. Its endpoints, and those of its ``subModels`` if they
        are collected, are in service.

    Raises
    ------
    SageMakerError
        If something cannot be deleted; the rest is deleted. If the fit fails, the error of the fit
        is raised, with a note of resources that are left.

    Notes
    -----
    The trained artifacts on S3 stay. If a fit in another thread continues after a failure, its
    resources are deleted as soon as it ends.

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
    """The models that the fits of one search create, in all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: list[SageMakerEndpointModel] = []
        self._ended = False

    def note(self, model: SageMakerEndpointModel) -> None:
        """Record a fitted model; delete its endpoint at once if the others are already deleted."""
        with self._lock:
            if not self._ended:
                self._models.append(model)
                return
        model.deleteResources()

    def delete(self, keep: Collection[str] = ()) -> None:
        """Delete all resources except those of the endpoints named."""
        with self._lock:
            self._ended = True
        names = {model.getOrDefault(model.endpointName): model for model in self._models}
        resources.all_deleted(
            "fit_and_clean_up",
            {name: m.deleteResources for name, m in names.items() if name not in keep},
        )


def _stages(estimator: Any) -> Iterator[SageMakerStage]:
    """Yield the stages that train on SageMaker, also inside Params of other stages."""
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
