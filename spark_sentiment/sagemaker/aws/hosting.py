"""Create and delete an endpoint with its models, configuration and autoscaling.

A `Deployment` holds all settings that are needed to create these resources. A saved model contains
it, so that they can be created again. It holds names and settings, never credentials.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from spark_sentiment.errors import SageMakerError
from spark_sentiment.sagemaker.aws import resources
from spark_sentiment.sagemaker.aws.clients import Site, call, call_when_seen, is_missing
from spark_sentiment.sagemaker.aws.waits import looks

VARIANT = "AllTraffic"
"""Default name of a variant; `SageMakerStage` creates its endpoint with this variant."""

# Seconds to wait until an endpoint that is being created or updated can be deleted.
_LONGEST_CHANGE = 1800.0
_SCALED = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


@dataclass(frozen=True)
class Deployment:
    """Settings of a model, its endpoint configuration and its endpoint, which share one name.

    Attributes
    ----------
    name : str
        Name of model, endpoint configuration and endpoint.
    image, artifact, role : str
        Container image, S3 URI of the trained model, and ARN of the IAM role of the container.
    variant : mapping
        Machines or serverless settings, as in a ProductionVariant; empty for a model that only
        batch transforms use.
    run_id : str
        Id of the run that creates the resources.
    hours : float
        Hours after which the resources may be deleted, counted from their creation.
    tags : mapping of str to str
        Tags beside those of the library.
    environment : mapping of str to str
        Environment of the container.
    vpc : mapping
        VpcConfig; empty for none.
    key : str or None
        KMS key of the endpoint's disks.
    asynchronous : mapping
        AsyncInferenceConfig; empty for a real-time endpoint.
    scaling : mapping of str to float
        ``max`` instances, and optionally ``min`` (1) and ``target`` (1,000 requests per minute and
        instance; for an asynchronous endpoint, 5 waiting requests per instance); empty for no
        autoscaling.
    staging : str or None
        Folder on S3 that only this deployment uses. Its ``batch`` and ``async`` hold the requests
        and results of transform jobs and of an asynchronous endpoint.
    others : sequence of Deployment or of dict
        Further models behind the same endpoint, also as dicts of `as_dict`. Only their model,
        `variant` and `scaling` are used.
    """

    name: str
    image: str
    artifact: str
    role: str
    variant: Mapping[str, Any]
    run_id: str
    hours: float
    tags: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    vpc: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    asynchronous: Mapping[str, Any] = field(default_factory=dict)
    scaling: dict[str, float] = field(default_factory=dict)
    staging: str | None = None
    others: Sequence["Deployment"] = ()

    def __post_init__(self) -> None:
        others = [o if isinstance(o, Deployment) else Deployment(**o) for o in self.others]
        object.__setattr__(self, "others", others)  # from JSON, they are dicts

    @property
    def parts(self) -> list["Deployment"]:
        """All models behind the endpoint, each with its variant; the first is this deployment."""
        return [self, *self.others]

    @property
    def variant_name(self) -> str:
        """Name of the variant of this deployment's model."""
        return str(self.variant.get("VariantName", VARIANT))

    def as_dict(self) -> dict[str, Any]:
        """Return a dict that can be written as JSON, and read by ``Deployment(**...)``."""
        return asdict(self)


def create(
    uid: str,
    site: Site,
    wanted: Deployment,
    timeout: float,
    say: Callable[[str], None],
) -> None:
    """Create the resources of `wanted` that do not exist, and wait until the endpoint answers.

    Raises
    ------
    SageMakerError
        If AWS refuses or fails, or the endpoint is not in service in time. The resources are then
        deleted.
    """
    _await_gone(uid, site, wanted.name)
    try:
        _create(uid, site, wanted)
        if wanted.variant:
            say(f"creating endpoint {wanted.name}")
            await_service(uid, site, wanted.name, timeout, say)
            for part in wanted.parts:
                if part.scaling:
                    _scale(uid, site, wanted, part)
    except BaseException as failure:
        resources.clean_up(failure, partial(delete, uid, site, wanted))
        raise


def create_model(uid: str, site: Site, wanted: Deployment) -> None:
    """Create only the model, if it does not exist; raise SageMakerError if AWS refuses."""
    container = {
        "Image": wanted.image,
        "ModelDataUrl": wanted.artifact,
        "Environment": dict(wanted.environment),
    }
    model: dict[str, Any] = {
        "ModelName": wanted.name,
        "PrimaryContainer": container,
        "ExecutionRoleArn": wanted.role,
        "Tags": _marks(wanted),
    }
    if wanted.vpc:
        model["VpcConfig"] = wanted.vpc
    _unless_there(uid, site, "create_model", model)


def _create(uid: str, site: Site, wanted: Deployment) -> None:
    for part in wanted.parts:
        create_model(uid, site, part)
    name, marks = wanted.name, _marks(wanted)
    if not wanted.variant:
        return
    config: dict[str, Any] = {
        "EndpointConfigName": name,
        "ProductionVariants": [
            {**part.variant, "VariantName": part.variant_name, "ModelName": part.name}
            for part in wanted.parts
        ],
        "Tags": marks,
    }
    if wanted.key:
        config["KmsKeyId"] = wanted.key
    if wanted.asynchronous:
        config["AsyncInferenceConfig"] = wanted.asynchronous
    _unless_there(uid, site, "create_endpoint_config", config)
    endpoint = {"EndpointName": name, "EndpointConfigName": name, "Tags": marks}
    _unless_there(uid, site, "create_endpoint", endpoint)


def _marks(wanted: Deployment) -> list[dict[str, str]]:
    return resources.tags(wanted.run_id, wanted.hours, wanted.tags)


def _unless_there(uid: str, site: Site, operation: str, request: Mapping[str, Any]) -> None:
    """Create a resource unless its name exists; names are unique, so it is then the same one."""
    try:
        call_when_seen(uid, site, operation, **request)
    except SageMakerError as error:
        if "already exist" not in str(error):
            raise


def await_service(
    uid: str, site: Site, name: str, timeout: float, say: Callable[[str], None]
) -> None:
    """Wait until an endpoint is in service; raise SageMakerError if it fails or is too slow."""
    for seconds in looks(timeout):
        found = _described(uid, site, name)
        state = found["EndpointStatus"] if found else "Creating"
        if state == "InService":
            say(f"[{seconds:5.0f} s] endpoint {name} is in service")
            return
        if found and state not in ("Creating", "Updating", "SystemUpdating"):
            why = found.get("FailureReason", "AWS gives no reason")
            raise SageMakerError(f"{uid}: endpoint {name} is {state}: {why}")
    raise SageMakerError(
        f"{uid}: endpoint {name} was not in service after {timeout:,.0f} s ({state}); "
        "raise the timeout"
    )


def _described(
    uid: str, site: Site, name: str, ask: Callable[..., Any] = call
) -> dict[str, Any] | None:
    """Describe an endpoint; return None if it does not exist, or is not yet visible."""
    try:
        found: dict[str, Any] = ask(uid, site, "describe_endpoint", EndpointName=name)
    except SageMakerError as error:
        if is_missing(error):
            return None
        raise
    return found


def is_gone(uid: str, site: Site, name: str, ask: Callable[..., Any] = call) -> bool:
    """Tell whether an endpoint does not exist or is being deleted."""
    found = _described(uid, site, name, ask)
    return found is None or found["EndpointStatus"] == "Deleting"


def _await_gone(uid: str, site: Site, name: str) -> None:
    """Wait while an endpoint is being deleted; its name cannot be used again before that."""
    for _ in looks():
        found = _described(uid, site, name)
        if found is None or found["EndpointStatus"] != "Deleting":
            return


def _scale(uid: str, site: Site, wanted: Deployment, part: Deployment) -> None:
    """Register autoscaling for a variant of the endpoint."""
    target = _scaled(wanted, part)
    bounds = {
        "MinCapacity": int(part.scaling.get("min", 1)),
        "MaxCapacity": int(part.scaling["max"]),
    }
    service = "application-autoscaling"
    call(uid, site, "register_scalable_target", service, **target, **bounds)
    if wanted.asynchronous:
        usual = 5
        metric: dict[str, Any] = {
            "CustomizedMetricSpecification": {
                "Namespace": "AWS/SageMaker",
                "MetricName": "ApproximateBacklogSizePerInstance",
                "Dimensions": [{"Name": "EndpointName", "Value": wanted.name}],
                "Statistic": "Average",
            }
        }
    else:
        usual = 1000
        metric = {
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            }
        }
    policy = {"TargetValue": float(part.scaling.get("target", usual)), **metric}
    call(
        uid,
        site,
        "put_scaling_policy",
        service,
        **target,
        PolicyName=part.name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=policy,
    )


def _scaled(endpoint: Deployment, part: Deployment) -> dict[str, str]:
    return {**_SCALED, "ResourceId": f"endpoint/{endpoint.name}/variant/{part.variant_name}"}


def delete(uid: str, site: Site, made: Deployment) -> None:
    """Delete endpoint, configuration, models, and the files of scoring on S3.

    A resource that no longer exists is not an error.

    Raises
    ------
    SageMakerError
        If a resource could not be deleted; the others are deleted.
    """
    steps: dict[str, Callable[[], object]] = {}
    for part in made.parts:
        if part.scaling:
            steps[f"scaling of {part.variant_name}"] = partial(_unscale, uid, site, made, part)
    if made.variant:
        steps[resources.ENDPOINT.name] = partial(_delete_endpoint, uid, site, made.name)
        config = resources.ENDPOINT_CONFIG
        steps[config.name] = partial(resources.delete, uid, site, config, made.name)
    for part in made.parts:
        steps[f"model {part.name}"] = partial(
            resources.delete, uid, site, resources.MODEL, part.name
        )
    if made.staging is not None:
        for use in ("batch", "async"):
            folder = f"{made.staging}/{use}"
            steps[folder] = partial(resources.delete_objects, uid, site, folder)
    resources.all_deleted(uid, steps)


def _delete_endpoint(uid: str, site: Site, name: str) -> None:
    """Delete an endpoint; if it is being created or updated, wait for the end of that first."""
    for _ in looks(_LONGEST_CHANGE):
        found = _described(uid, site, name)
        if found is None or found["EndpointStatus"] == "Deleting":
            return
        if found["EndpointStatus"] not in resources.CHANGING:
            break
    resources.delete(uid, site, resources.ENDPOINT, name)


def _unscale(uid: str, site: Site, made: Deployment, part: Deployment) -> None:
    target, service = _scaled(made, part), "application-autoscaling"
    try:
        call(uid, site, "deregister_scalable_target", service, **target)
    except SageMakerError as error:
        if not is_missing(error):
            raise
