"""Scoring by transform jobs and by asynchronous endpoints: the same as by real-time requests."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers.standin_clients import client
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_sentiment.errors import DataError, SageMakerError, SchemaError
from spark_sentiment.sagemaker import SageMakerEndpointModel, SageMakerStage
from spark_sentiment.sagemaker.aws.hosting import Deployment
from spark_sentiment.sagemaker.scoring import batch
from spark_sentiment.standin import StandIn

Model = SageMakerEndpointModel


@pytest.fixture(scope="module")
def fitted(aws: StandIn, spark: SparkSession) -> Callable[[str], Model]:
    """Fit one model of each algorithm, each for another way of scoring."""
    vectors = [(Vectors.dense(float(i // 8) * 10 + i % 3, i % 2), float(i // 8)) for i in range(16)]
    points = spark.createDataFrame(vectors, ["features", "label"])
    texts = spark.createDataFrame([("fine dress", 1.0), ("torn", 0.0)] * 6, ["features", "label"])
    given: dict[str, dict[str, Any]] = {
        "kmeans": {
            "inference": "async",
            "hyperParameters": {"k": "2"},
            "autoscaling": {"max": 2},
        },
        "xgboost": {"inference": "batch", "hyperParameters": {"num_round": "2"}},
        "blazingtext": {"inference": "realtime"},
    }

    @cache
    def fit(algorithm: str) -> Model:
        stage = SageMakerStage(
            algorithm=algorithm,
            stagingPath=f"s3://{aws.bucket}/staging",
            role=aws.role,
            region=aws.region,
            endpointUrl=aws.url,
            maxBatchRows=3,
            progress=False,
            **given[algorithm],
        )
        return stage.fit(texts if algorithm == "blazingtext" else points)

    return fit


def in_batch(model: Model) -> Model:
    return model.copy({model.inference: "batch"})


def in_real_time(model: Model) -> Model:
    """Return the model with a real-time endpoint beside what it was fitted with."""
    made = Deployment(**model.getOrDefault(model.deployment))
    variant = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    name = f"{made.name[:50]}-rt"
    beside = replace(made, name=name, variant=variant, asynchronous={}, scaling={})
    twin = model.copy(
        {
            model.inference: "realtime",
            model.endpointName: beside.name,
            model.deployment: beside,
        }
    )
    twin.createEndpoint()
    return twin


def left(s3: Any, bucket: str, model: Model, *parts: str) -> list[str]:
    """List the objects below the folder of a model's requests."""
    folder = "/".join((Deployment(**model.getOrDefault(model.deployment)).staging or "", *parts))
    prefix = folder.removeprefix(f"s3://{bucket}/") + "/"
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    return [item["Key"].removeprefix(prefix) for item in found]


def asked(aws: StandIn, operation: str) -> list[dict[str, Any]]:
    return [request for name, request in aws.calls if name == operation]


def rows(df: DataFrame) -> dict[int, Row]:
    """Return the rows by id; each id is there once."""
    found = df.collect()
    by_id = {row.id: row for row in found}
    assert len(by_id) == len(found)
    return by_id


@pytest.fixture(scope="module")
def vectors(spark: SparkSession) -> DataFrame:
    """Dense and sparse vectors, and a missing one, in two partitions."""
    given = [
        (i, Vectors.dense(i / 2, i % 2) if i % 3 else Vectors.sparse(2, [0], [float(i)]))
        for i in range(20)
    ]
    schema = T.StructType().add("id", T.IntegerType()).add("features", VectorUDT())
    return spark.createDataFrame([*given, (20, None)], schema).repartition(2).cache()


class TestSameAsInRealTime:
    @pytest.mark.long
    def test_dense_sparse_and_missing_vectors(
        self, aws: StandIn, s3: Any, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        model = fitted("kmeans")
        expected = in_real_time(model).transform(vectors)
        found = in_batch(model).transform(vectors)
        assert found.schema.simpleString() == expected.schema.simpleString()
        scored = rows(expected)
        assert rows(found) == scored
        assert rows(model.transform(vectors)) == scored
        assert scored[20].endpoint_error == "nothing to send: null"
        # What the result reads stays, until it is deleted.
        job = asked(aws, "CreateTransformJob")[-1]["TransformJobName"]
        parts = {key.split("/")[0] for key in left(s3, aws.bucket, model, "batch", job)}
        assert parts == {"rows", "answers"}
        in_batch(model).deleteResources()
        assert left(s3, aws.bucket, model) == []
        model.createEndpoint()

    def test_random_values_which_are_computed_once(
        self,
        aws: StandIn,
        sagemaker: Any,
        fitted: Callable[[str], Model],
        spark: SparkSession,
        tmp_path: Path,
    ) -> None:
        place = array_to_vector(F.array(F.rand() * 10, F.rand()))
        random = spark.range(0, 8, 1, 1).select("id", place.alias("features"))
        model = fitted("xgboost")
        assert sagemaker.list_endpoints(NameContains="xgboost")["Endpoints"] == []
        # The model is made again where it is gone.
        sagemaker.delete_model(ModelName=model.getOrDefault(model.endpointName))
        model.save(str(tmp_path / "model"))
        found = Model.load(str(tmp_path / "model")).transform(random)
        again = in_real_time(model).transform(found.select("id", "features"))
        assert rows(again) == rows(found)

    def test_texts(self, fitted: Callable[[str], Model], spark: SparkSession) -> None:
        said = ["fine dress", "torn \u00e9", None, "torn\nline", ""]
        texts = spark.createDataFrame(list(enumerate(said)), "id int, features string").coalesce(1)
        model = fitted("blazingtext")
        assert rows(in_batch(model).transform(texts)) == rows(model.transform(texts))


class TestBatch:
    def test_a_failed_job_tells_why_and_leaves_nothing(
        self, aws: StandIn, s3: Any, fitted: Callable[[str], Model], spark: SparkSession
    ) -> None:
        model = fitted("kmeans")
        before = left(s3, aws.bucket, model)
        wide = spark.createDataFrame([(0, Vectors.dense(1.0, 2.0, 3.0))], ["id", "features"])
        with pytest.raises(
            SageMakerError, match=f"{model.uid}.* failed: ClientError: See job logs"
        ):
            in_batch(model).transform(wide.coalesce(1))
        assert left(s3, aws.bucket, model) == before

    def test_an_interrupted_driver_stops_the_job_and_leaves_nothing(
        self,
        aws: StandIn,
        s3: Any,
        fitted: Callable[[str], Model],
        vectors: DataFrame,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def interrupt(timeout: float) -> Iterator[float]:
            raise KeyboardInterrupt

        monkeypatch.setattr(batch, "looks", interrupt)
        model = fitted("xgboost")
        before = left(s3, aws.bucket, model)
        with pytest.raises(KeyboardInterrupt):
            model.transform(vectors.coalesce(1))
        stopped, created = (asked(aws, f"{what}TransformJob")[-1] for what in ("Stop", "Create"))
        assert stopped["TransformJobName"] == created["TransformJobName"]
        assert left(s3, aws.bucket, model) == before

    def test_a_job_that_takes_too_long_is_told(
        self, aws: StandIn, fitted: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = fitted("xgboost")
        slow = model.copy({model.batchTimeout: 1e-6})
        job = batch.TransformJob(slow._batch(), "too-slow", "s3://nowhere/job", lambda line: None)
        job.create()
        with pytest.raises(SageMakerError, match=r"too-slow was not done after .* batchTimeout"):
            job.finished()
        job.stop()
        assert asked(aws, "StopTransformJob")[-1] == {"TransformJobName": "too-slow"}

    def test_too_many_rows_that_cannot_be_sent_are_an_error(
        self, aws: StandIn, s3: Any, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        model = fitted("xgboost")
        before = left(s3, aws.bucket, model), len(asked(aws, "CreateTransformJob"))
        small = model.copy({model.maxBatchBytes: 4})
        with pytest.raises(DataError, match=r"no prediction for 21 of 21 rows, 100\.00%"):
            small.transform(vectors.coalesce(1))
        # There was nothing to send, so no job.
        assert (left(s3, aws.bucket, model), len(asked(aws, "CreateTransformJob"))) == before

    def test_a_column_that_no_file_holds_is_named(
        self, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        model = fitted("xgboost")
        with pytest.raises(SchemaError, match=f"{model.uid}: .* column `nothing` of the type"):
            model.transform(vectors.withColumn("nothing", F.lit(None)))

    def test_an_empty_table_needs_no_job(
        self, aws: StandIn, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        before, model = len(asked(aws, "CreateTransformJob")), fitted("xgboost")
        found = model.transform(vectors.limit(0))
        assert found.schema.simpleString() == model.transformSchema(vectors.schema).simpleString()
        assert found.count() == 0
        assert len(asked(aws, "CreateTransformJob")) == before


class TestAsync:
    def test_requests_that_fail_in_passing_lose_no_row(
        self, aws: StandIn, s3: Any, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        model = fitted("kmeans")
        single = model.copy({model.maxBatchRows: 1})
        kinds = ["throttle", "424", "503", "drop", "cut"]
        aws.faults.set(operation="InvokeEndpointAsync", kinds=kinds, share=0.2)
        try:
            found = rows(single.transform(vectors.where("id < 20")))
        finally:
            aws.faults.clear()
        assert [row.endpoint_error for row in found.values()] == [None] * 20
        assert sum(aws.asked[kind] for kind in kinds) > 0
        assert left(s3, aws.bucket, model, "async", "requests") == []

    def test_the_neighbours_of_a_refused_row_are_scored(
        self, fitted: Callable[[str], Model], spark: SparkSession
    ) -> None:
        given = [(i, Vectors.dense([1.0] * (3 if i == 1 else 2))) for i in range(3)]
        odd = spark.createDataFrame(given, ["id", "features"]).coalesce(1)
        found = rows(fitted("kmeans").transform(odd))
        errors = {key: row.endpoint_error for key, row in found.items() if row.endpoint_error}
        assert errors == {1: "the endpoint wrote a failure"}

    def test_an_answer_that_does_not_come_is_told(
        self, aws: StandIn, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        model = fitted("kmeans")
        hasty = model.copy({model.timeout: 0.2})
        aws.latency = 0.5
        try:
            (row,) = hasty.transform(vectors.where("id = 1").coalesce(1)).collect()
        finally:
            aws.latency = 0.0
        assert row.endpoint_error == "no answer within 0.2 s"

    def test_an_endpoint_grows_by_the_requests_that_wait_for_it(
        self, aws: StandIn, fitted: Callable[[str], Model]
    ) -> None:
        name = fitted("kmeans").getOrDefault("endpointName")
        scaling = client(aws, "application-autoscaling")
        found = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=[name])
        (policy,) = found["ScalingPolicies"]
        wanted = policy["TargetTrackingScalingPolicyConfiguration"]
        metric = wanted["CustomizedMetricSpecification"]
        assert metric["MetricName"] == "ApproximateBacklogSizePerInstance"
        assert metric["Dimensions"] == [{"Name": "EndpointName", "Value": name}]


class TestDeployments:
    def test_one_of_before_there_was_staging_loads_and_says_what_is_missing(
        self, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        model = fitted("xgboost")
        old = dict(model.getOrDefault(model.deployment))
        del old["staging"]
        with pytest.raises(SageMakerError, match="set its staging"):
            model.copy({model.deployment: old}).transform(vectors)

    @pytest.mark.parametrize(
        ("algorithm", "why"),
        [
            ("kmeans", "is asynchronous, and Param inference is 'realtime'"),
            ("xgboost", "was fitted for batch transforms and has no endpoint"),
        ],
    )
    def test_an_endpoint_of_another_kind_is_told_before_any_request(
        self, algorithm: str, why: str, fitted: Callable[[str], Model], vectors: DataFrame
    ) -> None:
        model = fitted(algorithm)
        with pytest.raises(SageMakerError, match=f"{model.uid}.* {why}"):
            model.copy({model.inference: "realtime"}).transform(vectors)
