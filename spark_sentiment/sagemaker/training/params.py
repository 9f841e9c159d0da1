"""Params of a training job and of its model, their checks, and the requests that follow."""

import re
from collections.abc import Mapping
from typing import Any

from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasValidationIndicatorCol, HasWeightCol

from spark_sentiment.core import (
    boolean,
    integer,
    names_by_key,
    number,
    numbers_by_key,
    one_of,
    optional,
    string,
    strings,
)
from spark_sentiment.errors import SchemaError
from spark_sentiment.sagemaker.algorithms import ALGORITHMS
from spark_sentiment.sagemaker.aws import resources
from spark_sentiment.sagemaker.aws.hosting import Deployment
from spark_sentiment.sagemaker.scoring.params import HasEndpointParams
from spark_sentiment.sagemaker.training.data import CONTENT_TYPES, Columns, Facts


def s3_folder(value: Any) -> str:
    """Return `value` without a trailing slash if it is the URI of a folder in an S3 bucket."""
    expected = "expected a folder on S3, s3://bucket/folder"
    if not isinstance(value, str):
        raise TypeError(f"{expected}, got {value!r}")
    if not re.fullmatch(r"s3://[^/]+/[^/].*", value):
        raise ValueError(f"{expected}, got {value!r}")
    return value.rstrip("/")


class HasTrainingParams(HasEndpointParams, HasWeightCol, HasValidationIndicatorCol):
    """Params of training: algorithm, machines, permissions, and endpoint of the model."""

    stagingPath: Param[str] = Param(
        Params._dummy(), "stagingPath", "folder on S3 for training files", s3_folder
    )
    role: Param[str] = Param(Params._dummy(), "role", "ARN of the IAM role to run as", string)
    hyperParameters: Param[dict[str, str]] = Param(
        Params._dummy(), "hyperParameters", "hyperparameters of the algorithm", names_by_key
    )
    image: Param[str] = Param(Params._dummy(), "image", "container to train and serve", string)
    trainingFormat: Param[str] = Param(
        Params._dummy(), "trainingFormat", "format of the training files", one_of(*CONTENT_TYPES)
    )
    outputPath: Param[str] = Param(
        Params._dummy(), "outputPath", "folder on S3 for models", s3_folder
    )
    instanceType: Param[str] = Param(
        Params._dummy(), "instanceType", "machine of the training job", string
    )
    instanceCount: Param[int] = Param(
        Params._dummy(), "instanceCount", "machines of the training job", integer(1)
    )
    volumeSize: Param[int] = Param(
        Params._dummy(), "volumeSize", "GB of disk of a training machine", integer(1)
    )
    maxRuntime: Param[int] = Param(
        Params._dummy(), "maxRuntime", "seconds after which training is stopped", integer(1)
    )
    fitTimeout: Param[float] = Param(
        Params._dummy(), "fitTimeout", "seconds to wait for the job", number(0, open_low=True)
    )
    maxWait: Param[int] = Param(
        Params._dummy(), "maxWait", "seconds to wait for spot machines and train", integer(1)
    )
    checkpointPath: Param[str] = Param(
        Params._dummy(), "checkpointPath", "folder on S3 for checkpoints", s3_folder
    )
    subnets: Param[list[str]] = Param(Params._dummy(), "subnets", "subnets to run in", strings)
    securityGroups: Param[list[str]] = Param(
        Params._dummy(), "securityGroups", "security groups to run in", strings
    )
    kmsKey: Param[str] = Param(Params._dummy(), "kmsKey", "key for disks and models", string)
    encryptTraffic: Param[bool] = Param(
        Params._dummy(), "encryptTraffic", "encrypt traffic between training machines", boolean
    )
    experiment: Param[dict[str, str]] = Param(
        Params._dummy(), "experiment", "names of experiment, trial and run", names_by_key
    )
    environment: Param[dict[str, str]] = Param(
        Params._dummy(), "environment", "environment of the endpoint's container", names_by_key
    )
    serverless: Param[dict[str, float]] = Param(
        Params._dummy(),
        "serverless",
        "memory and concurrency of a serverless endpoint",
        numbers_by_key("memory", "concurrency"),
    )
    autoscaling: Param[dict[str, float]] = Param(
        Params._dummy(),
        "autoscaling",
        "max, min and target of autoscaling",
        numbers_by_key("max", "min", "target"),
    )
    runId: Param[str] = Param(Params._dummy(), "runId", "tag of all resources", string)
    expiresAfter: Param[float] = Param(
        Params._dummy(), "expiresAfter", "hours until resources may be deleted", number(0)
    )
    tags: Param[dict[str, str]] = Param(Params._dummy(), "tags", "more tags", names_by_key)
    keepStaging: Param[bool] = Param(
        Params._dummy(), "keepStaging", "keep training files on S3", boolean
    )

    def _check_settings(self) -> None:
        """Raise SchemaError if Params contradict one another or are missing."""
        algorithm = self.getOrDefault(self.algorithm)
        given = self.getOrDefault(self.hyperParameters)
        lacking = [name for name in ALGORITHMS[algorithm].required if name not in given]
        if lacking:
            raise SchemaError(
                f"{self.uid}: '{algorithm}' requires {', '.join(lacking)}: "
                "set Param hyperParameters"
            )
        if self.isDefined(self.subnets) != self.isDefined(self.securityGroups):
            raise SchemaError(f"{self.uid}: set subnets and securityGroups, or neither")
        wait = optional(self, self.maxWait)
        if wait is not None and wait < self.getOrDefault(self.maxRuntime):
            raise SchemaError(
                f"{self.uid}: maxWait ({wait:,} s) includes the training: set it to at least "
                f"maxRuntime ({self.getOrDefault(self.maxRuntime):,} s)"
            )
        scaling = self.getOrDefault(self.autoscaling)
        if scaling and "max" not in scaling:
            raise SchemaError(f"{self.uid}: autoscaling needs max, the largest number of instances")

    def _form(self) -> str:
        given = optional(self, self.trainingFormat)
        return str(given or ALGORITHMS[self.getOrDefault(self.algorithm)].training)

    def _columns(self) -> Columns:
        known = ALGORITHMS[self.getOrDefault(self.algorithm)]
        # Your own image may not need a label, so the label is written only if labelCol is set.
        labelled = known.labelled if known.repository else self.isSet(self.labelCol)
        weight = optional(self, self.weightCol)
        if weight is not None and not known.weighted:
            raise SchemaError(
                f"{self.uid}: '{self.getOrDefault(self.algorithm)}' does not support weights: "
                "unset weightCol, or use xgboost"
            )
        return Columns(
            self.getFeaturesCol(),
            self.getLabelCol() if labelled else None,
            weight,
            optional(self, self.validationIndicatorCol),
        )

    def _hyperparameters(self, facts: Facts) -> dict[str, str]:
        """Return the user's hyperparameters and those from the data and the algorithm's name."""
        known = ALGORITHMS[self.getOrDefault(self.algorithm)]
        told = dict(known.defaults)
        given = self.getOrDefault(self.hyperParameters)
        if known.needs_width and facts.width is not None:
            told["feature_dim"] = str(facts.width)
        if known.classes and known.classes not in given:
            if facts.classes is None:
                raise SchemaError(
                    f"{self.uid}: column '{self.getLabelCol()}' holds values that are not whole "
                    f"numbers from 0: {known.classes} is unknown; set Param hyperParameters"
                )
            told[known.classes] = str(max(facts.classes, known.fewest_classes))
        if self._form() == "csv" and self.isSet(self.weightCol):
            told["csv_weights"] = "1"
        return {**told, **given}

    def _beside(self, name: str, facts: Facts) -> dict[str, Any]:
        """Return the parts of CreateTrainingJob for which sagemaker_pyspark has no argument."""
        more: dict[str, Any] = {"Tags": self._tags(name)}
        key, wait = optional(self, self.kmsKey), optional(self, self.maxWait)
        if key is not None:
            more |= {
                "OutputDataConfig": {"KmsKeyId": key},
                "ResourceConfig": {"VolumeKmsKeyId": key},
            }
        if wait is not None:
            more |= {
                "EnableManagedSpotTraining": True,
                "StoppingCondition": {"MaxWaitTimeInSeconds": wait},
            }
        if self.isDefined(self.checkpointPath):
            more["CheckpointConfig"] = {"S3Uri": self.getOrDefault(self.checkpointPath)}
        if self._vpc():
            more["VpcConfig"] = self._vpc()
        if self.getOrDefault(self.encryptTraffic):
            more["EnableInterContainerTrafficEncryption"] = True
        if self.getOrDefault(self.experiment):
            more["ExperimentConfig"] = self.getOrDefault(self.experiment)
        if facts.judged:
            source = {
                "S3DataType": "S3Prefix",
                "S3Uri": f"{self._staging(name)}/validation/",
                "S3DataDistributionType": "FullyReplicated",
            }
            more["InputDataConfig"] = [
                {
                    "ChannelName": "validation",
                    "ContentType": CONTENT_TYPES[self._form()],
                    "DataSource": {"S3DataSource": source},
                }
            ]
        return more

    def _vpc(self) -> dict[str, Any]:
        if not self.isDefined(self.subnets):
            return {}
        return {
            "Subnets": self.getOrDefault(self.subnets),
            "SecurityGroupIds": self.getOrDefault(self.securityGroups),
        }

    def _tags(self, name: str) -> list[dict[str, str]]:
        run, more = optional(self, self.runId) or name, self.getOrDefault(self.tags)
        return resources.tags(run, self.getOrDefault(self.expiresAfter), more)

    def _staging(self, name: str) -> str:
        """Return the folder on S3 of one fit and of the requests of its model."""
        return f"{self.getOrDefault(self.stagingPath)}/{name}"

    def _deployment(self, name: str, image: str, artifact: str) -> Deployment:
        has_endpoint = self.getOrDefault(self.inference) != "batch"
        return Deployment(
            name=name,
            image=image,
            artifact=artifact,
            role=self.getOrDefault(self.role),
            variant=self._variant() if has_endpoint else {},
            run_id=optional(self, self.runId) or name,
            hours=self.getOrDefault(self.expiresAfter),
            tags=self.getOrDefault(self.tags),
            environment=self.getOrDefault(self.environment),
            vpc=self._vpc(),
            key=optional(self, self.kmsKey),
            asynchronous=self._asynchronous(name),
            scaling=self.getOrDefault(self.autoscaling) if has_endpoint else {},
            staging=self._staging(name),
        )

    def _asynchronous(self, name: str) -> Mapping[str, Any]:
        """Return the AsyncInferenceConfig; empty if the endpoint is not asynchronous."""
        if self.getOrDefault(self.inference) != "async":
            return {}
        folder, key = f"{self._staging(name)}/async", optional(self, self.kmsKey)
        output = {"S3OutputPath": f"{folder}/replies", "S3FailurePath": f"{folder}/failures"}
        return {"OutputConfig": output | ({"KmsKeyId": key} if key is not None else {})}

    def _variant(self) -> Mapping[str, Any]:
        """Return the machines or serverless settings of the ProductionVariant."""
        if self.getOrDefault(self.inference) != "serverless":
            return {
                "InstanceType": self.getOrDefault(self.endpointInstanceType),
                "InitialInstanceCount": self.getOrDefault(self.endpointInstanceCount),
                "InitialVariantWeight": 1.0,
            }
        settings = self.getOrDefault(self.serverless)
        return {
            "ServerlessConfig": {
                "MemorySizeInMB": int(settings.get("memory", 2048)),
                "MaxConcurrency": int(settings.get("concurrency", 20)),
            }
        }
