"""boto3 at the local AWS, and requests that it takes."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from spark_sentiment.standin import StandIn

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"


@cache
def client(aws: StandIn, service: str) -> Any:
    # Nothing is repeated by boto3, so that every answer is seen.
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.client(service, endpoint_url=aws.url, region_name=aws.region, config=config)


def job(name: str, aws: StandIn, **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/nothing/"}
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": aws.role,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": f"s3://{aws.bucket}/out"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as told:
        call(**request)
    error = told.value.response["Error"]
    return error["Code"], error["Message"]


def waited(read: Callable[[], Any], until: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 20
    while not until(found := read()):
        if time.monotonic() > end:
            raise TimeoutError(f"still {found}")
        time.sleep(0.01)
    return found


def ended(sagemaker: Any, name: str) -> Any:
    return waited(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda found: found["TrainingJobStatus"] not in ("InProgress", "Stopping"),
    )
