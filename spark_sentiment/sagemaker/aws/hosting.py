"""What stands behind an endpoint: model, configuration, endpoint, how far it grows; made, deleted.

A `Deployment` says all that is needed to make them, and so to make them again: it is kept with a
saved model. It holds names and settings, never credentials.
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
"""Name of a variant that has been given none: of the one that a `SageMakerStage` makes."""

# Seconds to wait for an endpoint that is being made before it can be deleted.
_LONGEST_CHANGE = 1800.0
_SCALED = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


@dataclass(frozen=True)
class Deployment:
    """Model, endpoint configuration and endpoint, all of one name; perhaps more models beside it.

    Attributes
    ----------
    name : str
        Theirs.
    image, artifact, role : str
        The container, where its model is on S3, and what it runs as.
    variant : mapping
        Machines or serverless settings, as in a ProductionVariant; empty for a model that batch
        transforms alone will use.
    run_id : str
        The run that made it.
    hours : float
        After which it may be deleted, counted from when it is made.
    tags : mapping of str to str
        Beside the library's own.
    environment : mapping of str to str
        Of the container.
    vpc : mapping
        VpcConfig; empty for none.
    key : str or None
        KMS key of the endpoint's disks.
    asynchronous : mapping
        AsyncInferenceConfig; empty for an endpoint that answers at once.
    scaling : mapping of str to float
        ``max``, and perhaps ``min`` (1) and ``target`` (1,000 requests a minute and instance; of an
        asynchronous endpoint 5 requests that wait for each instance); empty for an endpoint that
        does not grow.
    staging : str or None
        Folder on S3 of this deployment alone: below its ``batch`` and ``async`` are the requests
        and results of transform jobs and of an asynchronous endpoint.
    others : sequence of Deployment, or of what `as_dict` makes of it
        More models behind the same endpoint; of each, its model, `variant` and `scaling` count.
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
        object.__setattr__(self, "others", others)  # what JSON kept is a dict

    @property
    def parts(self) -> list["Deployment"]:
        """All models behind the endpoint, each with its variant; the first is this one's."""
        return [self, *self.others]

    @property
    def variant_name(self) -> str:
        """What the variant of this one's model is called."""
        return str(self.variant.get("VariantName", VARIANT))

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold, and ``Deployment(**...)`` takes back."""
        return asdict(self)


def create(
    uid: str,
    site: Site,
    wanted: Deployment,
    timeout: float,
    say: Callable[[str], None],
) -> None:
    """Make what `wanted` says and wait until the endpoint answers; what is there already, stays.

    Raises
    ------
    SageMakerError
        Where AWS refuses or fails, or the endpoint is not in service in time. What was made is
        deleted then.
    """
    _await_gone(uid, site, wanted.name)
    try:
        _create(uid, site, wanted)
        if wanted.variant:
            say(f"endpoint {wanted.name} is being made")
            await_service(uid, site, wanted.name, timeout, say)
            for part in wanted.parts:
                if part.scaling:
                    _scale(uid, site, wanted, part)
    except BaseException as failure:
        resources.clean_up(failure, partial(delete, uid, site, wanted))
        raise


def create_model(uid: str, site: Site, wanted: Deployment) -> None:
    """Make the model alone, where it is not there; SageMakerError where AWS refuses."""
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
    """Create something; a resource of that name is ours, as names are unique."""
    try:
        call_when_seen(uid, site, operation, **request)
    except SageMakerError as error:
        if "already exist" not in str(error):
            raise


def await_service(
    uid: str, site: Site, name: str, timeout: float, say: Callable[[str], None]
) -> None:
    """Wait until an endpoint is in service; SageMakerError where it fails, or is not in time."""
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
        "allow it more time"
    )


def _described(
    uid: str, site: Site, name: str, ask: Callable[..., Any] = call
) -> dict[str, Any] | None:
    """Describe an endpoint; None where it is gone, or not yet seen everywhere."""
    try:
        found: dict[str, Any] = ask(uid, site, "describe_endpoint", EndpointName=name)
    except SageMakerError as error:
        if is_missing(error):
            return None
        raise
    return found


def is_gone(uid: str, site: Site, name: str, ask: Callable[..., Any] = call) -> bool:
    """Tell whether there is no such endpoint, or not for much longer."""
    found = _described(uid, site, name, ask)
    return found is None or found["EndpointStatus"] == "Deleting"


def _await_gone(uid: str, site: Site, name: str) -> None:
    """Wait while an endpoint of that name is being deleted: no other may be made till then."""
    for _ in looks():
        found = _described(uid, site, name)
        if found is None or found["EndpointStatus"] != "Deleting":
            return


def _scale(uid: str, site: Site, wanted: Deployment, part: Deployment) -> None:
    """Let a variant of the endpoint grow with its requests."""
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
    """Delete endpoint, configuration, models and what scoring left on S3.

    What is gone already is no error.

    Raises
    ------
    SageMakerError
        Where something could not be deleted; the rest is.
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
    """Delete an endpoint; one that is being made or changed can only be deleted after that."""
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
