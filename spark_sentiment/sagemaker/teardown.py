"""The end of a fitted Pipeline's endpoints: in one call, or at the end of a ``with`` block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from spark_sentiment.sagemaker import resources
from spark_sentiment.sagemaker.endpoint import SageMakerEndpointModel

M = TypeVar("M")


def delete_resources(model: Any) -> None:
    """Delete what SageMaker keeps for `model`, however deep its stages are nested.

    Parameters
    ----------
    model : Model
        A `SageMakerEndpointModel`, a PipelineModel that holds some, or any other: of that, nothing
        is deleted. Endpoints that no `SageMakerStage` made are left alone.

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
    resources.all_deleted(
        getattr(model, "uid", "model"), {part.uid: part.deleteResources for part in own}
    )


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


def _endpoints(model: Any) -> Iterator[SageMakerEndpointModel]:
    if isinstance(model, SageMakerEndpointModel):
        yield model
    for part in getattr(model, "stages", ()):
        yield from _endpoints(part)
    if hasattr(model, "bestModel"):  # of CrossValidator and TrainValidationSplit
        yield from _endpoints(model.bestModel)
