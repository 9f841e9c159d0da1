"""Endpoints, batch transform and the command of the local AWS, with models written here."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from helpers.standin_clients import IMAGE, client, refused, waited

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin import StandIn
from spark_sentiment.standin.__main__ import main
from spark_sentiment.standin.algorithms.arrays import saved
from spark_sentiment.standin.storage import packed

CENTERS = np.array([[0.0, 0.0], [10.0, 0.0]])
NEAR, FAR = b"1,0", b"10,4"  # their clusters and distances are 0 and 1, 1 and 4


@pytest.fixture
def slowly(aws: StandIn) -> Iterator[None]:
    """Let states last long enough to be seen."""
    aws.seconds = 0.4
    yield
    aws.seconds = 0.02


@pytest.fixture(scope="module")
def runtime(aws: StandIn) -> Any:
    return client(aws, "sagemaker-runtime")


@pytest.fixture(scope="module")
def model(aws: StandIn, sagemaker: Any) -> str:
    """A model of k-means whose centers are `CENTERS`."""
    created(aws, "centers", packed(saved("kmeans", {}, centers=CENTERS)))
    return "centers"


def created(aws: StandIn, name: str, artifact: bytes | None) -> None:
    if artifact is not None:
        client(aws, "s3").put_object(Bucket=aws.bucket, Key=f"models/{name}", Body=artifact)
    url = f"s3://{aws.bucket}/models/{name}"
    client(aws, "sagemaker").create_model(
        ModelName=name,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url},
        ExecutionRoleArn=aws.role,
    )


def configured(sagemaker: Any, name: str, model: str, **more: Any) -> None:
    changes = more.pop("variant", {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1})
    variant = {"VariantName": "A", "ModelName": model, **changes}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)


def deployed(sagemaker: Any, name: str, model: str, **more: Any) -> Any:
    configured(sagemaker, name, model, **more)
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return settled(sagemaker, name)


def settled(sagemaker: Any, name: str) -> Any:
    return waited(
        lambda: sagemaker.describe_endpoint(EndpointName=name),
        lambda found: found["EndpointStatus"] not in ("Creating", "Updating"),
    )


class TestEndpoints:
    def test_one_is_created_serves_and_is_deleted(
        self, sagemaker: Any, runtime: Any, model: str, slowly: None
    ) -> None:
        configured(sagemaker, "life", model)
        sagemaker.create_endpoint(EndpointName="life", EndpointConfigName="life")
        assert sagemaker.describe_endpoint(EndpointName="life")["EndpointStatus"] == "Creating"
        asked = {"EndpointName": "life", "ContentType": "text/csv", "Body": NEAR}
        assert refused(runtime.invoke_endpoint, **asked)[0] == "ValidationError"
        assert settled(sagemaker, "life")["EndpointStatus"] == "InService"
        answer = runtime.invoke_endpoint(**asked)
        assert json.loads(answer["Body"].read()) == {
            "predictions": [{"closest_cluster": 0.0, "distance_to_cluster": 1.0}]
        }
        assert answer["InvokedProductionVariant"] == "A"
        sagemaker.delete_endpoint(EndpointName="life")
        assert sagemaker.describe_endpoint(EndpointName="life")["EndpointStatus"] == "Deleting"
        assert refused(runtime.invoke_endpoint, **asked)[0] == "ValidationError"
        waited(lambda: sagemaker.list_endpoints(NameContains="life")["Endpoints"], lambda f: not f)

    def test_answers_come_in_the_form_that_is_accepted(
        self, sagemaker: Any, runtime: Any, model: str
    ) -> None:
        deployed(sagemaker, "forms", model)
        asked = {"EndpointName": "forms", "ContentType": "text/csv", "Body": FAR}
        lines = runtime.invoke_endpoint(**asked, Accept="application/jsonlines")["Body"].read()
        assert lines == b'{"closest_cluster": 1.0, "distance_to_cluster": 4.0}\n'
        records = runtime.invoke_endpoint(**asked, Accept=recordio.CONTENT_TYPE)["Body"].read()
        (found,) = recordio.decode(records)
        assert {name: list(value) for name, value in found.items()} == {
            "closest_cluster": [1.0],
            "distance_to_cluster": [4.0],
        }

    def test_a_missing_artifact_fails_it(self, aws: StandIn, sagemaker: Any) -> None:
        created(aws, "missing", None)
        found = deployed(sagemaker, "missing", "missing")
        assert found["EndpointStatus"] == "Failed"
        assert "models/missing" in found["FailureReason"]

    @pytest.mark.parametrize("artifact", [b"no archive", packed({"model.json": b"{}"})])
    def test_an_artifact_that_does_not_load_fails_it(
        self, artifact: bytes, aws: StandIn, sagemaker: Any
    ) -> None:
        name = f"broken-{len(artifact)}"
        created(aws, name, artifact)
        assert deployed(sagemaker, name, name)["EndpointStatus"] == "Failed"

    def test_an_update_serves_by_the_old_until_the_new_is_there(
        self, aws: StandIn, sagemaker: Any, runtime: Any, model: str, slowly: None
    ) -> None:
        deployed(sagemaker, "update", model)
        created(aws, "moved", packed(saved("kmeans", {}, centers=CENTERS + 1.0)))
        configured(sagemaker, "update-2", "moved")
        sagemaker.update_endpoint(EndpointName="update", EndpointConfigName="update-2")
        asked = {"EndpointName": "update", "ContentType": "text/csv", "Body": b"1,1"}
        before = json.loads(runtime.invoke_endpoint(**asked)["Body"].read())
        found = settled(sagemaker, "update")
        after = json.loads(runtime.invoke_endpoint(**asked)["Body"].read())
        assert before["predictions"][0]["distance_to_cluster"] == pytest.approx(2**0.5)
        assert after["predictions"][0]["distance_to_cluster"] == 0.0
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "update-2")

    def test_one_that_is_in_progress_is_not_updated(
        self, sagemaker: Any, model: str, slowly: None
    ) -> None:
        configured(sagemaker, "busy", model)
        arn = sagemaker.create_endpoint(EndpointName="busy", EndpointConfigName="busy")[
            "EndpointArn"
        ]
        told = refused(sagemaker.update_endpoint, EndpointName="busy", EndpointConfigName="busy")
        assert told == ("ValidationException", f'Cannot update in-progress endpoint "{arn}".')
        settled(sagemaker, "busy")

    def test_it_serves_without_its_model_and_configuration(
        self, aws: StandIn, sagemaker: Any, runtime: Any
    ) -> None:
        created(aws, "gone", packed(saved("kmeans", {}, centers=CENTERS)))
        deployed(sagemaker, "gone", "gone")
        sagemaker.delete_model(ModelName="gone")
        sagemaker.delete_endpoint_config(EndpointConfigName="gone")
        asked = {"EndpointName": "gone", "ContentType": "text/csv", "Body": NEAR}
        assert runtime.invoke_endpoint(**asked)["InvokedProductionVariant"] == "A"

    def test_weights_shift_between_variants(self, sagemaker: Any, runtime: Any, model: str) -> None:
        on = {"ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(
            EndpointConfigName="two",
            ProductionVariants=[
                {"VariantName": "old", "InitialVariantWeight": 1.0, **on},
                {"VariantName": "new", "InitialVariantWeight": 0.0, **on},
            ],
        )
        sagemaker.create_endpoint(EndpointName="two", EndpointConfigName="two")
        settled(sagemaker, "two")
        asked = {"EndpointName": "two", "ContentType": "text/csv", "Body": NEAR}
        assert runtime.invoke_endpoint(**asked)["InvokedProductionVariant"] == "old"
        target = runtime.invoke_endpoint(**asked, TargetVariant="new")
        assert target["InvokedProductionVariant"] == "new"
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="two",
            DesiredWeightsAndCapacities=[
                {"VariantName": "old", "DesiredWeight": 0.0},
                {"VariantName": "new", "DesiredWeight": 1.0, "DesiredInstanceCount": 3},
            ],
        )
        _, new = settled(sagemaker, "two")["ProductionVariants"]
        assert (new["CurrentWeight"], new["CurrentInstanceCount"]) == (1.0, 3)
        assert runtime.invoke_endpoint(**asked)["InvokedProductionVariant"] == "new"

    def test_a_serverless_one_takes_four_megabytes(
        self, sagemaker: Any, runtime: Any, model: str
    ) -> None:
        serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
        found = deployed(sagemaker, "small", model, variant={"ServerlessConfig": serverless})
        assert found["ProductionVariants"][0]["CurrentServerlessConfig"] == serverless
        with pytest.raises(ClientError) as told:
            runtime.invoke_endpoint(EndpointName="small", Body=bytes(4 * 2**20 + 1))
        assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413

    def test_what_it_captures_is_told(self, sagemaker: Any, model: str) -> None:
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 20,
            "DestinationS3Uri": "s3://stand-in/captured",
            "CaptureOptions": [{"CaptureMode": "Input"}],
        }
        found = deployed(sagemaker, "captured", model, DataCaptureConfig=capture)
        assert found["DataCaptureConfig"]["CurrentSamplingPercentage"] == 20


class TestAsynchronous:
    @pytest.fixture(scope="class")
    @classmethod
    def name(cls, aws: StandIn, model: str) -> str:
        output = {
            "S3OutputPath": f"s3://{aws.bucket}/later",
            "S3FailurePath": f"s3://{aws.bucket}/failed",
        }
        deployed(
            client(aws, "sagemaker"), "later", model, AsyncInferenceConfig={"OutputConfig": output}
        )
        return "later"

    @pytest.mark.parametrize(
        ("body", "place", "expected"),
        [(NEAR, "OutputLocation", b'"closest_cluster": 0.0'), (b"a,b", "FailureLocation", b"400")],
    )
    def test_answers_and_failures_are_written(
        self, body: bytes, place: str, expected: bytes, aws: StandIn, name: str
    ) -> None:
        s3 = client(aws, "s3")
        s3.put_object(Bucket=aws.bucket, Key="input", Body=body)
        told = client(aws, "sagemaker-runtime").invoke_endpoint_async(
            EndpointName=name,
            InputLocation=f"s3://{aws.bucket}/input",
            ContentType="text/csv",
        )
        assert told["ResponseMetadata"]["HTTPStatusCode"] == 202
        key = told[place].removeprefix(f"s3://{aws.bucket}/")
        waited(lambda: s3.list_objects_v2(Bucket=aws.bucket, Prefix=key)["KeyCount"], bool)
        assert expected in s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read()

    def test_it_takes_no_other_requests(self, runtime: Any, name: str) -> None:
        assert refused(runtime.invoke_endpoint, EndpointName=name, Body=b"")[0] == "ValidationError"


class TestTransform:
    def run(self, aws: StandIn, name: str, model: str, **changes: Any) -> Any:
        sagemaker = client(aws, "sagemaker")
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{aws.bucket}/{name}/"}
        given = {
            "DataSource": {"S3DataSource": source},
            "ContentType": "text/csv",
            "SplitType": "Line",
        }
        output = {
            "S3OutputPath": f"s3://{aws.bucket}/{name}-out",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        }
        request = {
            "TransformJobName": name,
            "ModelName": model,
            "TransformInput": given,
            "TransformOutput": output,
            "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
        }
        sagemaker.create_transform_job(**{**request, **changes})
        return waited(
            lambda: sagemaker.describe_transform_job(TransformJobName=name),
            lambda found: found["TransformJobStatus"] != "InProgress",
        )

    @pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
    def test_every_object_has_its_answers(self, strategy: str, aws: StandIn, model: str) -> None:
        s3, name = client(aws, "s3"), f"rows-{strategy.lower()}"
        for key, body in (("a", NEAR + b"\n" + FAR), ("deep/b", FAR + b"\n")):
            s3.put_object(Bucket=aws.bucket, Key=f"{name}/{key}", Body=body)
        found = self.run(aws, name, model, BatchStrategy=strategy)
        assert found["TransformJobStatus"] == "Completed"
        answers = {
            item["Key"]: s3.get_object(Bucket=aws.bucket, Key=item["Key"])["Body"].read()
            for item in s3.list_objects_v2(Bucket=aws.bucket, Prefix=f"{name}-out/")["Contents"]
        }
        clusters = {
            key: [json.loads(line)["closest_cluster"] for line in body.splitlines()]
            for key, body in answers.items()
        }
        assert clusters == {f"{name}-out/a.out": [0.0, 1.0], f"{name}-out/deep/b.out": [1.0]}

    def test_what_the_container_refuses_fails_the_job(self, aws: StandIn, model: str) -> None:
        client(aws, "s3").put_object(Bucket=aws.bucket, Key="torn/a", Body=b"x,y")
        found = self.run(aws, "torn", model)
        assert found["TransformJobStatus"] == "Failed"
        assert found["FailureReason"].endswith("Bad HTTP status received from algorithm: 400")

    def test_requests_are_bounded_by_the_model_s_limit(self, aws: StandIn, model: str) -> None:
        code, message = refused(
            self.run,
            aws=aws,
            name="many",
            model=model,
            MaxPayloadInMB=50,
            MaxConcurrentTransforms=3,
        )
        assert (code, "must not exceed 100 MB" in message) == ("ValidationException", True)


class TestCommand:
    def test_a_command_finds_the_stand_in_and_gives_its_status(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_PROFILE", "of-an-account")
        script = (
            "import os, sys, urllib.request\n"
            "there = urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/stand-in').status\n"
            "names = {name for name in os.environ if name.startswith('AWS_')}\n"
            "given = {'AWS_ENDPOINT_URL', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY',"
            " 'AWS_REGION', 'AWS_DEFAULT_REGION'}\n"
            "sys.exit(7 if (there, names) == (200, given) else 1)"
        )
        assert main(["--port", "0", "--", sys.executable, "-c", script]) == 7

    def test_a_command_that_is_not_there_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--port", "0", "--", "no-such-command"]) == 127
        assert capsys.readouterr().err == "no-such-command: No such file or directory\n"

    def test_a_port_that_is_taken_is_named(
        self, aws: StandIn, capsys: pytest.CaptureFixture[str]
    ) -> None:
        port = aws.url.rsplit(":", 1)[1]
        assert main(["--port", port]) == 1
        assert capsys.readouterr().err == f"port {port} is in use; choose another one\n"

    def test_it_tells_where_it_serves_until_it_is_ended(self) -> None:
        command = [sys.executable, "-m", "spark_sentiment.standin", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            told = [running.stdout.readline() for _ in range(6)]  # type: ignore[union-attr]
            url = told[1].strip().removeprefix("export AWS_ENDPOINT_URL=")
            assert f"serves at {url}, with the bucket stand-in" in told[0]
            assert urllib.request.urlopen(f"{url}/stand-in").status == 200
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=20) == 0
