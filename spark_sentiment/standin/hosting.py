"""Models, endpoint configurations and endpoints, and the variants that an endpoint serves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spark_sentiment.standin import algorithms
from spark_sentiment.standin.algorithms.base import Container
from spark_sentiment.standin.errors import JobError, ServiceError
from spark_sentiment.standin.resources import ENDPOINT, ENDPOINT_CONFIG, MODEL, Resource, Resources
from spark_sentiment.standin.storage import Storage, unpacked


@dataclass(frozen=True)
class Variant:
    """A production variant in service.

    Attributes
    ----------
    container : Container
        Function that answers requests.
    weight : float
        Share of the requests, relative to the sum of all variants.
    config : mapping
        Configuration of the variant, as in ProductionVariants.
    """

    container: Container
    weight: float
    config: Mapping[str, Any]


@dataclass(frozen=True)
class Serving:
    """Variants of an endpoint by name, and its AsyncInferenceConfig if it is asynchronous."""

    variants: Mapping[str, Variant]
    asynchronous: Mapping[str, Any] | None = None


class Hosting:
    """The operations of models, endpoint configurations and endpoints.

    Parameters
    ----------
    resources : Resources
        Resources that hold them.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._serving: dict[str, Serving] = {}
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateModel": self.create_model,
            "DeleteModel": lambda request: self._delete(MODEL, request),
            "CreateEndpointConfig": self.create_config,
            "DeleteEndpointConfig": lambda request: self._delete(ENDPOINT_CONFIG, request),
            "CreateEndpoint": self.create_endpoint,
            "UpdateEndpoint": self.update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self.update_weights,
            "DeleteEndpoint": self.delete_endpoint,
        }

    def serving(self, name: str) -> Serving | None:
        """Return the variants of an endpoint; None if no endpoint with this name is in service."""
        with self._resources.lock:
            return self._serving.get(name)

    def serve(self, name: str, variants: Mapping[str, Variant]) -> None:
        """Put an endpoint in service at once; replace an endpoint with this name."""
        request = {"EndpointName": name, "EndpointConfigName": name}
        with self._resources.lock:
            if name in self._serving:
                self._resources.remove(ENDPOINT, name)
            made = self._resources.add(ENDPOINT, request, EndpointStatus="InService")
            self._put(made, Serving(variants))

    # --- models and configurations

    def create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create a model; its artifact is read when an endpoint or a job loads it."""
        given = [name for name in ("PrimaryContainer", "Containers") if name in request]
        if len(given) != 1:
            raise _invalid("A model has either a PrimaryContainer or Containers.")
        for one in _containers(request):
            if not one.get("Image"):
                raise _invalid("the stand-in hosts only models with an Image")
        return {"ModelArn": self._resources.add(MODEL, request).arn}

    def create_config(self, request: dict[str, Any]) -> dict[str, Any]:
        """Create an endpoint configuration of existing models."""
        variants = request["ProductionVariants"]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) < len(names):
            raise _invalid("Variant names must be unique.")
        for variant in variants:
            if "ModelName" not in variant:
                raise _invalid(f"Variant {variant['VariantName']} has no ModelName.")
            self._resources.find(MODEL, variant["ModelName"])
            if ("ServerlessConfig" in variant) == ("InstanceType" in variant):
                raise _invalid("A variant has either a ServerlessConfig or an InstanceType.")
            if "ServerlessConfig" in variant and "AsyncInferenceConfig" in request:
                raise _invalid("A serverless variant cannot serve asynchronously.")
        return {"EndpointConfigArn": self._resources.add(ENDPOINT_CONFIG, request).arn}

    def load(self, model: str, storage: Storage, *, in_batch: bool = False) -> Container:
        """Return the chain of a model's containers; raise JobError if one does not load."""
        facts = self._resources.find(MODEL, model).facts
        steps = [_loaded(one, storage, in_batch) for one in _containers(facts)]

        def container(body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
            for step in steps[:-1]:
                body, content_type = step(body, content_type, "")
            return steps[-1](body, content_type, accept)

        return container

    def _delete(self, kind: Any, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a model or a configuration; endpoints that use it continue to serve."""
        self._resources.remove(kind, request[f"{kind.stem}Name"])
        return {}

    # --- endpoints

    def create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start to create an endpoint."""
        config = self._config(request)
        made = self._resources.add(ENDPOINT, request, EndpointStatus="Creating")
        self._resources.start(lambda: self._deploy(made, config, "Failed"))
        return {"EndpointArn": made.arn}

    def update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start to change the configuration; the old one serves until the change is done."""
        config = self._config(request)
        found = self._changing(request, "Updating")
        retained: dict[str, Variant] = {}
        serving = self.serving(found.name)
        if request.get("RetainAllVariantProperties") and serving is not None:
            retained = dict(serving.variants)
        excluded = {
            one["VariantPropertyType"]
            for one in request.get("ExcludeRetainedVariantProperties", [])
        }
        variants = [_retaining(one, retained, excluded) for one in config["ProductionVariants"]]
        config = {**config, "ProductionVariants": variants}
        self._resources.start(lambda: self._deploy(found, config, "InService"))
        return {"EndpointArn": found.arn}

    def update_weights(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start to change weights and instances of variants."""
        wanted = {one["VariantName"]: one for one in request["DesiredWeightsAndCapacities"]}
        serving = self.serving(request["EndpointName"])
        for name in wanted:
            if serving is not None and name not in serving.variants:
                raise _invalid(f"Variant {name} does not exist.")
        found = self._changing(request, "Updating")

        def work() -> None:
            self._resources.wait()
            with self._resources.lock:
                before = self._serving[found.name]
                after = {
                    name: _desired(variant, wanted.get(name, {}))
                    for name, variant in before.variants.items()
                }
                self._put(found, replace(before, variants=after))

        self._resources.start(work)
        return {"EndpointArn": found.arn}

    def delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start to delete an endpoint; it does not answer any more."""
        found = self._changing(request, "Deleting", "InService", "Failed")
        with self._resources.lock:
            self._serving.pop(found.name, None)

        def work() -> None:
            self._resources.wait()
            self._resources.remove(ENDPOINT, found.name)

        self._resources.start(work)
        return {}

    def _config(self, request: Mapping[str, Any]) -> dict[str, Any]:
        config = self._resources.find(ENDPOINT_CONFIG, request["EndpointConfigName"]).facts
        for variant in config["ProductionVariants"]:
            self._resources.find(MODEL, variant["ModelName"])
        return config

    def _changing(self, request: Mapping[str, Any], status: str, *allowed: str) -> Resource:
        """Set the status of an endpoint; raise ServiceError if its old status is not allowed."""
        with self._resources.lock:
            found = self._resources.find(ENDPOINT, request["EndpointName"])
            if found.status not in (allowed or ("InService",)):
                verb = "delete" if status == "Deleting" else "update"
                why = "in-progress" if found.status.endswith("ing") else found.status.lower()
                raise _invalid(f'Cannot {verb} {why} endpoint "{found.arn}".')
            found.set(EndpointStatus=status)
        return found

    def _deploy(self, endpoint: Resource, config: dict[str, Any], otherwise: str) -> None:
        """Load all variants, then serve them; set the status `otherwise` if one fails."""
        self._resources.wait()
        try:
            variants = {
                one["VariantName"]: Variant(
                    self.load(one["ModelName"], self._resources.storage),
                    one.get("InitialVariantWeight", 1.0),
                    one,
                )
                for one in config["ProductionVariants"]
            }
        except (JobError, ServiceError) as error:
            endpoint.set(EndpointStatus=otherwise, FailureReason=str(error)[:1024])
            return
        with self._resources.lock:
            self._put(
                endpoint,
                Serving(variants, config.get("AsyncInferenceConfig")),
                EndpointConfigName=config["EndpointConfigName"],
                DataCaptureConfig=_capture(config.get("DataCaptureConfig")),
                AsyncInferenceConfig=config.get("AsyncInferenceConfig"),
                FailureReason=None,
            )

    def _put(self, endpoint: Resource, serving: Serving, **facts: Any) -> None:
        summaries = [_summary(name, variant) for name, variant in serving.variants.items()]
        endpoint.set(EndpointStatus="InService", ProductionVariants=summaries, **facts)
        self._serving[endpoint.name] = serving


def _containers(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(model.get("Containers") or [model["PrimaryContainer"]])


def _loaded(config: Mapping[str, Any], storage: Storage, in_batch: bool) -> Container:
    """Return the container of a model's definition; raise JobError if it does not load."""
    algorithm = algorithms.of_image(config["Image"])
    if "ModelDataUrl" not in config:
        raise JobError("the stand-in loads models only from a ModelDataUrl")
    files = unpacked(storage.get(config["ModelDataUrl"]))
    try:
        return ((in_batch and algorithm.load_in_batch) or algorithm.load)(files)
    except Exception as error:  # any error means that the archive is not a valid model
        raise JobError(
            "The container for the model did not pass the ping health check: the artifact at "
            f"{config['ModelDataUrl']} is not a model of {config['Image']}"
        ) from error


def _retaining(
    config: Mapping[str, Any], retained: Mapping[str, Variant], excluded: set[str]
) -> Mapping[str, Any]:
    """Return a variant's configuration with the properties that an update retains."""
    before = retained.get(config["VariantName"])
    if before is None:
        return config
    kept = {"InitialVariantWeight": before.weight} if "DesiredWeight" not in excluded else {}
    if "DesiredInstanceCount" not in excluded and "InitialInstanceCount" in before.config:
        kept["InitialInstanceCount"] = before.config["InitialInstanceCount"]
    return {**config, **kept}


def _desired(variant: Variant, wanted: Mapping[str, Any]) -> Variant:
    count = wanted.get("DesiredInstanceCount", variant.config.get("InitialInstanceCount"))
    config = variant.config if count is None else {**variant.config, "InitialInstanceCount": count}
    return replace(variant, weight=wanted.get("DesiredWeight", variant.weight), config=config)


def _summary(name: str, variant: Variant) -> dict[str, Any]:
    found = {
        "VariantName": name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.weight,
    }
    count, serverless = (
        variant.config.get(key) for key in ("InitialInstanceCount", "ServerlessConfig")
    )
    if count is not None:
        found |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
    if serverless is not None:
        found |= {"CurrentServerlessConfig": serverless, "DesiredServerlessConfig": serverless}
    return found


def _capture(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if config is None:
        return None
    return {
        "EnableCapture": config.get("EnableCapture", False),
        "CaptureStatus": "Started" if config.get("EnableCapture") else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId"),
    }


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
