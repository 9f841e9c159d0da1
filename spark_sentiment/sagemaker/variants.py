"""Several models behind one endpoint: create it, and shift requests between the models."""

from collections.abc import Mapping
from dataclasses import replace

from spark_sentiment.core import optional
from spark_sentiment.errors import SageMakerError, SchemaError
from spark_sentiment.sagemaker.aws import hosting, resources
from spark_sentiment.sagemaker.aws.clients import call
from spark_sentiment.sagemaker.aws.hosting import Deployment
from spark_sentiment.sagemaker.scoring.model import SageMakerEndpointModel

# Params in which models behind one endpoint may differ: the endpoint sets or ignores them.
_OF_EACH = {
    "endpointName",
    "deployment",
    "inference",
    "variantCol",
    "targetVariant",
    "endpointInstanceType",
    "endpointInstanceCount",
    "batchTimeout",
    "progress",
}


def deploy_variants(
    models: Mapping[str, SageMakerEndpointModel],
    weights: Mapping[str, float] | None = None,
    *,
    variant_col: str = "variant",
    run_id: str | None = None,
    expires_after: float | None = None,
    timeout: float = 1800.0,
) -> SageMakerEndpointModel:
    """Create one endpoint for several trained models that share its requests, as in an A/B test.

    Parameters
    ----------
    models : mapping of str to SageMakerEndpointModel
        Models by the name of their production variant. `SageMakerStage` has fitted them for
        real-time inference or with ``inference="none"``, and their Params of scoring are equal.
        They and their own endpoints, if any, do not change.
    weights : mapping of str to float, optional
        Share of the requests of each model, relative to the sum; equal by default.
    variant_col : str
        Column of the new model for the name of the variant that answered.
    run_id, expires_after : optional
        Tags of the new resources: the run, by default the name of the endpoint, and the hours after
        which ``jobs/endpoints.py`` may delete them, by default those of the first model.
    timeout : float
        Seconds to wait until the endpoint answers.

    Returns
    -------
    SageMakerEndpointModel
        Model that scores by the new endpoint. Its `deleteResources` deletes endpoint, configuration
        and the models of the variants. Param `targetVariant` selects one variant.

    Raises
    ------
    SchemaError
        If names, weights or the Params of the models do not match; before anything is created.
    SageMakerError
        If a model was not fitted for real-time inference, or AWS refuses; the new resources are
        then deleted.

    Notes
    -----
    Each variant runs on, and costs, the machines of its model's Params (`endpointInstanceType`,
    `endpointInstanceCount`, `autoscaling`).

    SageMaker draws the variant for each request, not for each row: all rows of a request have the
    same variant, and a row that is scored twice may have two. For shares of rows, set
    `maxBatchRows` to 1.

    Source: ProductionVariant and UpdateEndpointWeightsAndCapacities in SageMaker's API reference.

    Examples
    --------
    >>> current = SageMakerEndpointModel(endpointName="current", algorithm="xgboost")
    >>> candidate = SageMakerEndpointModel(endpointName="candidate", algorithm="xgboost-multiclass")
    >>> try:
    ...     deploy_variants({"current": current, "candidate": candidate}, {"current": 9, "b": 1})
    ... except SchemaError as error:
    ...     print(error)
    deploy_variants: weights name ['b', 'current'], the variants are ['candidate', 'current']
    >>> try:
    ...     deploy_variants({"current": current, "candidate": candidate})
    ... except SchemaError as error:
    ...     print(error)
    deploy_variants: 'candidate' has algorithm 'xgboost-multiclass', the first model 'xgboost': fit
    all models of an endpoint with the same value
    """
    if not models:
        raise SchemaError("deploy_variants: models is empty: give at least one, by name")
    first = next(iter(models.values()))
    weights = weights or dict.fromkeys(models, 1.0)
    if set(weights) != set(models):
        raise SchemaError(
            f"deploy_variants: weights name {sorted(weights)}, the variants are {sorted(models)}"
        )
    shares = _shares("deploy_variants", weights)
    for variant, model in models.items():
        _check_alike(first, variant, model)
    name = resources.unique_name("variants")
    hours = first._deployment().hours if expires_after is None else expires_after
    parts = [
        replace(_part(variant, model, shares[variant]), run_id=run_id or name, hours=hours)
        for variant, model in models.items()
    ]
    if len({part.key for part in parts}) > 1:
        raise SchemaError(
            "deploy_variants: the models were fitted with different kmsKeys: fit them with one"
        )
    others = [replace(part, name=resources.unique_name("variant")) for part in parts[1:]]
    wanted = replace(parts[0], name=name, others=others)
    both = first._copyValues(SageMakerEndpointModel())
    both.clear(both.targetVariant)
    both._set(endpointName=name, inference="realtime", variantCol=variant_col, deployment=wanted)
    hosting.create(both.uid, both._site(), wanted, timeout, both._say)
    return both


def shift_traffic(
    model: SageMakerEndpointModel, weights: Mapping[str, float], timeout: float = 1800.0
) -> None:
    """Change the shares of the requests of an endpoint's variants, and wait for the change.

    Parameters
    ----------
    model : SageMakerEndpointModel
        Model of the endpoint, whoever created it. If `deploy_variants` created it, the model stores
        the shares, so that `createEndpoint` and saved copies use them.
    weights : mapping of str to float
        Share of each variant, relative to the sum; variants that are not in it do not change.
    timeout : float
        Seconds to wait; the endpoint continues to answer.

    Raises
    ------
    SchemaError
        If a weight is negative.
    SageMakerError
        If the endpoint or variant does not exist, or does not change in time.

    Examples
    --------
    >>> try:
    ...     shift_traffic(SageMakerEndpointModel(endpointName="reviews"), {"candidate": -1})
    ... except SchemaError as error:
    ...     print(error)
    shift_traffic: a weight must be a number from 0, got {'candidate': -1}
    """
    shares = _shares("shift_traffic", weights)
    name, site = model.getOrDefault(model.endpointName), model._site()
    desired = [{"VariantName": v, "DesiredWeight": share} for v, share in shares.items()]
    call(
        model.uid,
        site,
        "update_endpoint_weights_and_capacities",
        EndpointName=name,
        DesiredWeightsAndCapacities=desired,
    )
    model._say(f"changing the shares of the variants of endpoint {name}")
    hosting.await_service(model.uid, site, name, timeout, model._say)
    if model.isSet(model.deployment) and model._deployment().name == name:
        made = model._deployment()
        changed = {v: {"InitialVariantWeight": share} for v, share in shares.items()}
        parts = [
            replace(part, variant={**part.variant, **changed.get(part.variant_name, {})})
            for part in made.parts
        ]
        model._set(deployment=replace(parts[0], others=parts[1:]))


def _shares(asked: str, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights for AWS; raise SchemaError if one is not a number from 0."""
    if not all(isinstance(w, int | float) and w >= 0 for w in weights.values()):
        raise SchemaError(f"{asked}: a weight must be a number from 0, got {dict(weights)}")
    return {name: float(weight) for name, weight in weights.items()}


def _check_alike(first: SageMakerEndpointModel, name: str, model: SageMakerEndpointModel) -> None:
    """Raise SchemaError if the requests or replies of a model differ from those of the first."""
    for param in model.params:
        if param.name in _OF_EACH:
            continue
        wanted, found = (optional(one, one.getParam(param.name)) for one in (first, model))
        if found != wanted:
            raise SchemaError(
                f"deploy_variants: '{name}' has {param.name} {found!r}, the first model "
                f"{wanted!r}: fit all models of an endpoint with the same value"
            )


def _part(name: str, model: SageMakerEndpointModel, weight: float) -> Deployment:
    """Return the deployment of a model as one of several variants."""
    made = model._deployment()
    if "InstanceType" not in made.variant or made.asynchronous or made.others:
        raise SageMakerError(
            f"{model.uid}: '{name}' was not fitted for a real-time endpoint: fit it with inference "
            "'realtime' or 'none' (variants can be neither serverless nor asynchronous)"
        )
    variant = {**made.variant, "VariantName": name, "InitialVariantWeight": weight}
    return replace(made, variant=variant, staging=None)
