"""The local AWS: what it takes and refuses, by boto3; nothing here trains."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from botocore.exceptions import ClientError
from helpers.standin_clients import IMAGE, client, ended, job, refused, waited

from spark_sentiment.errors import SetupError
from spark_sentiment.standin import ContainerError, StandIn, StandInError, service

ACCOUNT = "123456789012"


@pytest.fixture
def sagemaker(aws: StandIn) -> Iterator[Any]:
    yield client(aws, "sagemaker")
    aws.faults.clear()
    aws.lag(0.0)


class TestOnePort:
    def test_s3_gives_back_binary_bodies(self, aws: StandIn, s3: Any) -> None:
        body = bytes(range(256)) * 100
        s3.put_object(Bucket=aws.bucket, Key="a b/ü.bin", Body=body)
        assert s3.get_object(Bucket=aws.bucket, Key="a b/ü.bin")["Body"].read() == body

    def test_s3_gives_a_range(self, aws: StandIn, s3: Any) -> None:
        s3.put_object(Bucket=aws.bucket, Key="range", Body=b"0123456789")
        found = s3.get_object(Bucket=aws.bucket, Key="range", Range="bytes=2-4")
        assert found["Body"].read() == b"234"

    def test_head_tells_the_length_of_an_object(self, aws: StandIn, s3: Any) -> None:
        s3.put_object(Bucket=aws.bucket, Key="head", Body=b"12345")
        assert s3.head_object(Bucket=aws.bucket, Key="head")["ContentLength"] == 5

    def test_several_objects_are_deleted_at_once(self, aws: StandIn, s3: Any) -> None:
        for key in ("gone/1", "gone/2"):
            s3.put_object(Bucket=aws.bucket, Key=key, Body=b"x")
        s3.delete_objects(
            Bucket=aws.bucket, Delete={"Objects": [{"Key": "gone/1"}, {"Key": "gone/2"}]}
        )
        assert s3.list_objects_v2(Bucket=aws.bucket, Prefix="gone/")["KeyCount"] == 0

    def test_sts_knows_the_account(self, aws: StandIn) -> None:
        assert client(aws, "sts").get_caller_identity()["Account"] == ACCOUNT

    def test_instances_of_an_endpoint_can_be_scaled(self, aws: StandIn) -> None:
        scaling = client(aws, "application-autoscaling")
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": "endpoint/scaled/variant/AllTraffic",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=4)
        (found,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")[
            "ScalableTargets"
        ]
        assert found["MaxCapacity"] == 4

    def test_what_is_not_offered_never_reaches_moto(self, sagemaker: Any) -> None:
        code, message = refused(sagemaker.list_actions)
        assert (code, "ListActions" in message) == ("UnknownOperationException", True)

    def test_connections_are_kept(self, aws: StandIn) -> None:
        line = http.client.HTTPConnection(aws.url.removeprefix("http://"))
        ports = set()
        for _ in range(2):
            line.request("GET", "/stand-in?list-type=2")
            ports.add(line.sock.getsockname()[1])
            line.getresponse().read()
        assert len(ports) == 1
        line.close()

    def test_a_port_that_is_taken_is_named(self, aws: StandIn) -> None:
        port = int(aws.url.rsplit(":", 1)[1])
        with pytest.raises(StandInError, match=f"port {port} is in use"):
            StandIn(port=port).start()


def test_a_library_that_lacks_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "_LIBRARIES", ("json", "no_such_library"))
    with pytest.raises(SetupError, match=r"needs no_such_library; .*spark-sentiment\[standin\]"):
        StandIn().start()


class TestRefusals:
    """Messages are those that AWS's users report."""

    def test_a_pattern_is_kept(self, sagemaker: Any, aws: StandIn) -> None:
        code, message = refused(sagemaker.create_training_job, **job("a_b", aws))
        assert code == "ValidationException"
        assert message == (
            "1 validation error detected: Value 'a_b' at 'trainingJobName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
        )

    def test_an_enum_is_kept(self, sagemaker: Any, aws: StandIn) -> None:
        resources = {"InstanceCount": 1, "InstanceType": "ml.none", "VolumeSizeInGB": 5}
        _, message = refused(
            sagemaker.create_training_job, **job("enum", aws, ResourceConfig=resources)
        )
        assert "Value 'ml.none' at 'resourceConfig.instanceType'" in message
        assert "Member must satisfy enum value set: [ml.m4.xlarge, " in message

    def test_a_length_is_kept(self, sagemaker: Any, aws: StandIn) -> None:
        _, message = refused(sagemaker.create_training_job, **job("a" * 64, aws))
        assert "Member must have length less than or equal to 63" in message

    def test_what_is_required_is_named(self, sagemaker: Any, aws: StandIn) -> None:
        request = job("required", aws)
        del request["StoppingCondition"]
        _, message = refused(sagemaker.create_training_job, **request)
        assert "Value null at 'stoppingCondition'" in message

    def test_spot_needs_time_to_wait(self, sagemaker: Any, aws: StandIn) -> None:
        limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59}
        request = job("spot", aws, EnableManagedSpotTraining=True, StoppingCondition=limits)
        _, message = refused(sagemaker.create_training_job, **request)
        assert message.startswith("Invalid MaxWaitTimeInSeconds. It must be present and be greater")

    def test_time_to_wait_needs_spot(self, sagemaker: Any, aws: StandIn) -> None:
        limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
        _, message = refused(
            sagemaker.create_training_job, **job("no-spot", aws, StoppingCondition=limits)
        )
        assert message == (
            "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is "
            "set to true"
        )

    def test_a_job_s_name_is_used_once(self, sagemaker: Any, aws: StandIn) -> None:
        arn = sagemaker.create_training_job(**job("Once", aws))["TrainingJobArn"]
        assert arn == f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/once"
        code, message = refused(sagemaker.create_training_job, **job("Once", aws))
        assert code == "ResourceInUse"
        assert message == (
            "Training job names must be unique within an AWS account and region, and a training "
            f"job with this name already exists ({arn})"
        )

    def test_a_model_is_created_once(self, sagemaker: Any) -> None:
        request = {"ModelName": "twice", "PrimaryContainer": {"Image": IMAGE}}
        arn = sagemaker.create_model(**request)["ModelArn"]
        assert refused(sagemaker.create_model, **request) == (
            "ValidationException",
            f'Cannot create already existing model "{arn}".',
        )

    def test_an_unknown_job_is_not_found(self, sagemaker: Any) -> None:
        told = refused(sagemaker.describe_training_job, TrainingJobName="no-one")
        assert told == ("ValidationException", "Requested resource not found.")

    def test_an_unknown_endpoint_is_named_by_its_arn(self, sagemaker: Any) -> None:
        arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/no-one"
        told = refused(sagemaker.describe_endpoint, EndpointName="no-one")
        assert told == ("ValidationException", f'Could not find endpoint "{arn}".')

    def test_a_configuration_needs_its_model(self, sagemaker: Any) -> None:
        variant = {
            "VariantName": "A",
            "ModelName": "no-one",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        code, message = refused(
            sagemaker.create_endpoint_config, EndpointConfigName="c", ProductionVariants=[variant]
        )
        assert (code, message[:21]) == ("ValidationException", "Could not find model ")


class TestJobs:
    def test_a_missing_prefix_fails_the_job(self, sagemaker: Any, aws: StandIn) -> None:
        sagemaker.create_training_job(**job("nothing", aws))
        found = ended(sagemaker, "nothing")
        assert found["TrainingJobStatus"] == "Failed"
        assert found["FailureReason"].startswith(
            f'ClientError: No S3 objects found under S3 URL "s3://{aws.bucket}/nothing/" given in '
            "input data source."
        )

    def test_an_unknown_image_fails_the_job(self, sagemaker: Any, aws: StandIn) -> None:
        image = {"TrainingImage": "mine/other:1", "TrainingInputMode": "File"}
        sagemaker.create_training_job(**job("other", aws, AlgorithmSpecification=image))
        assert (
            "does not know the image 'mine/other:1'" in ended(sagemaker, "other")["FailureReason"]
        )

    def test_what_was_asked_is_described(self, sagemaker: Any, aws: StandIn) -> None:
        asked = {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120},
            "CheckpointConfig": {"S3Uri": f"s3://{aws.bucket}/checkpoints"},
            "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
            "ExperimentConfig": {"ExperimentName": "e", "TrialName": "t"},
            "HyperParameters": {"k": "3"},
        }
        sagemaker.create_training_job(**job("asked", aws, **asked))
        found = sagemaker.describe_training_job(TrainingJobName="asked")
        assert {name: found[name] for name in asked} == asked

    def test_stop_leads_by_stopping_to_stopped(self) -> None:
        with StandIn(seconds=0.3) as aws:
            sagemaker = client(aws, "sagemaker")
            sagemaker.create_training_job(**job("stop", aws))
            sagemaker.stop_training_job(TrainingJobName="stop")
            found = sagemaker.describe_training_job(TrainingJobName="stop")
            assert found["TrainingJobStatus"] == "Stopping"
            found = ended(sagemaker, "stop")
            assert found["TrainingJobStatus"] == "Stopped"
            told = refused(sagemaker.stop_training_job, TrainingJobName="stop")
            assert told[1] == (
                "The request was rejected because the training job is in status Stopped."
            )


class TestLists:
    @pytest.fixture(scope="class")
    @classmethod
    def names(cls, aws: StandIn) -> list[str]:
        sagemaker = client(aws, "sagemaker")
        names = [f"listed-{number}" for number in range(5)]
        for name in names:
            tags = [{"Key": "number", "Value": name[-1]}]
            sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, Tags=tags)
        return names

    def test_pages_hold_all_once_and_the_newest_first(
        self, sagemaker: Any, names: list[str]
    ) -> None:
        pages = sagemaker.get_paginator("list_models").paginate(NameContains="Listed", MaxResults=2)
        found = [[one["ModelName"] for one in page["Models"]] for page in pages]
        assert [len(page) for page in found] == [2, 2, 1]
        assert list(chain(*found)) == names[::-1]

    def test_order_can_be_asked_for(self, sagemaker: Any, names: list[str]) -> None:
        found = sagemaker.list_models(NameContains="listed", SortBy="Name", SortOrder="Ascending")
        assert [one["ModelName"] for one in found["Models"]] == names

    def test_times_bound_a_list(self, sagemaker: Any, names: list[str]) -> None:
        last = sagemaker.describe_model(ModelName=names[-1])["CreationTime"]
        found = sagemaker.list_models(NameContains="listed", CreationTimeAfter=last)["Models"]
        assert names[-1] in [one["ModelName"] for one in found]
        assert not sagemaker.list_models(CreationTimeBefore=0)["Models"]

    def test_tags_are_added_listed_and_deleted(self, sagemaker: Any, names: list[str]) -> None:
        arn = sagemaker.describe_model(ModelName=names[0])["ModelArn"]
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "x"}])
        sagemaker.delete_tags(ResourceArn=arn, TagKeys=["number"])
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "more", "Value": "x"}]


class TestFaults:
    def test_throttling_of_the_control_plane_has_a_code(self, sagemaker: Any, aws: StandIn) -> None:
        aws.faults.set(operation="ListModels", kinds=["throttle"])
        assert refused(sagemaker.list_models) == ("ThrottlingException", "Rate exceeded")
        assert sagemaker.list_endpoints()["Endpoints"] is not None

    def test_throttling_of_the_runtime_has_neither_code_nor_message(self, aws: StandIn) -> None:
        aws.deploy("throttled", lambda body, content_type, accept: body)
        aws.faults.set(operation="InvokeEndpoint", kinds=["throttle"])
        with pytest.raises(ClientError) as told:
            client(aws, "sagemaker-runtime").invoke_endpoint(EndpointName="throttled", Body=b"")
        aws.faults.clear()
        assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert told.value.response["Error"] == {"Code": "400", "Message": None}

    def test_an_answer_that_is_cut_leaves_the_request_done(
        self, sagemaker: Any, aws: StandIn
    ) -> None:
        aws.faults.set(operation="CreateModel", kinds=["cut"])
        answer = sagemaker.create_model(ModelName="cut", PrimaryContainer={"Image": IMAGE})
        assert "ModelArn" not in answer  # boto3 takes half of an answer for a whole one
        assert sagemaker.describe_model(ModelName="cut")["ModelName"] == "cut"

    def test_an_answer_that_is_dropped_leaves_it_undone(self, sagemaker: Any, aws: StandIn) -> None:
        aws.faults.set(operation="CreateModel", kinds=["drop"])
        with pytest.raises(Exception, match="closed"):
            sagemaker.create_model(ModelName="drop", PrimaryContainer={"Image": IMAGE})
        assert "Could not find" in refused(sagemaker.describe_model, ModelName="drop")[1]

    def test_what_is_created_may_be_unknown_for_a_while(self, sagemaker: Any, aws: StandIn) -> None:
        aws.lag(0.2)
        sagemaker.create_model(ModelName="late", PrimaryContainer={"Image": IMAGE})
        assert "Could not find" in refused(sagemaker.describe_model, ModelName="late")[1]
        waited(
            lambda: sagemaker.list_models(NameContains="late")["Models"], lambda found: bool(found)
        )

    def test_unknown_kinds_are_refused(self, aws: StandIn) -> None:
        with pytest.raises(ValueError, match="'418'"):
            aws.faults.set(kinds=["418"])


class TestEndpointsOfCode:
    def test_calls_are_kept_in_order_without_bodies(self, aws: StandIn) -> None:
        aws.deploy("kept", lambda body, content_type, accept: body)
        before = len(aws.calls)
        client(aws, "sagemaker-runtime").invoke_endpoint(
            EndpointName="kept", Body=b"a,b", ContentType="text/csv", Accept="text/csv"
        )
        assert aws.calls[before:] == [
            (
                "InvokeEndpoint",
                {"EndpointName": "kept", "ContentType": "text/csv", "Accept": "text/csv"},
            )
        ]

    def test_a_container_s_refusal_is_a_model_error(self, aws: StandIn) -> None:
        def refuse(body: bytes, content_type: str, accept: str) -> bytes:
            raise ContainerError(415)

        aws.deploy("refuses", refuse)
        with pytest.raises(ClientError) as told:
            client(aws, "sagemaker-runtime").invoke_endpoint(EndpointName="refuses", Body=b"x")
        assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424
        assert told.value.response["OriginalStatusCode"] == 415

    def test_a_container_that_crashes_is_a_model_error_of_500(
        self, aws: StandIn, capsys: pytest.CaptureFixture[str]
    ) -> None:
        aws.deploy("crashes", lambda body, content_type, accept: str(1 / len(body)).encode())
        with pytest.raises(ClientError) as told:
            client(aws, "sagemaker-runtime").invoke_endpoint(EndpointName="crashes", Body=b"")
        assert told.value.response["OriginalStatusCode"] == 500
        assert "ZeroDivisionError" in capsys.readouterr().err

    def test_a_request_that_is_not_signed_is_refused(self, aws: StandIn) -> None:
        aws.deploy("signed", lambda body, content_type, accept: body)
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(f"{aws.url}/endpoints/signed/invocations", data=b"x")
        told.value.close()
        assert told.value.code == 403

    def test_a_variant_that_is_not_there_is_refused(self, aws: StandIn) -> None:
        aws.deploy("targets", lambda body, content_type, accept: body)
        code, _ = refused(
            client(aws, "sagemaker-runtime").invoke_endpoint,
            EndpointName="targets",
            Body=b"x",
            TargetVariant="other",
        )
        assert code == "ValidationError"

    def test_a_body_that_is_too_large_is_refused(self, aws: StandIn) -> None:
        aws.deploy("large", lambda body, content_type, accept: b"")
        runtime = client(aws, "sagemaker-runtime")
        runtime.invoke_endpoint(EndpointName="large", Body=bytes(6_291_456))
        with pytest.raises(ClientError) as told:
            runtime.invoke_endpoint(EndpointName="large", Body=bytes(6_291_457))
        assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
