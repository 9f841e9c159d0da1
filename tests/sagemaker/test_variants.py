"""Several models behind one endpoint, against the stand-in."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.standin_clients import client
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from spark_sentiment.errors import SageMakerError, SchemaError
from spark_sentiment.sagemaker import (
    SageMakerEndpointModel,
    SageMakerStage,
    delete_resources,
    deploy_variants,
    shift_traffic,
)
from spark_sentiment.sagemaker.aws.clients import Site
from spark_sentiment.sagemaker.aws.resources import made_here
from spark_sentiment.standin import StandIn

Model = SageMakerEndpointModel
ROWS = 200


@pytest.fixture(scope="module")
def points(spark: SparkSession) -> DataFrame:
    """Four clouds of points on a line, at 0, 100, 200 and 300."""
    rows = [(Vectors.dense(i % 4 * 100 + i % 3 * 1.0),) for i in range(ROWS)]
    schema = T.StructType().add("features", VectorUDT())
    return spark.createDataFrame(rows, schema).coalesce(1).cache()


@pytest.fixture(scope="module")
def stage(aws: StandIn) -> SageMakerStage:
    return SageMakerStage(
        algorithm="kmeans",
        hyperParameters={"k": "2"},
        stagingPath=f"s3://{aws.bucket}/staging",
        role=aws.role,
        region=aws.region,
        endpointUrl=aws.url,
        inference="none",
        endpointInstanceCount=2,
        autoscaling={"max": 4},
        maxBatchRows=1,  # so that each row's variant is drawn
        progress=False,
    )


@pytest.fixture(scope="module")
def models(stage: SageMakerStage, points: DataFrame) -> dict[str, Model]:
    """Two models that can be told apart: one finds two clusters, the other four."""
    return {
        "two": stage.fit(points),
        "four": stage.fit(points, {stage.hyperParameters: {"k": "4"}}),
    }


@pytest.fixture
def both(models: dict[str, Model]) -> Iterator[Model]:
    made = deploy_variants(models, {"two": 3, "four": 1}, run_id="ab-1")
    yield made
    delete_resources(made)


def answered(model: Model, points: DataFrame) -> tuple[Counter[str], dict[str, int]]:
    """Count the rows that each variant answered, and the clusters it told."""
    rows = model.transform(points).select("variant", "closest_cluster").collect()
    clusters = {
        name: len({r.closest_cluster for r in rows if r.variant == name})
        for name in {row.variant for row in rows}
    }
    return Counter(row.variant for row in rows), clusters


def test_requests_are_shared_by_weight_and_each_variant_is_its_model(
    both: Model, points: DataFrame
) -> None:
    rows, clusters = answered(both, points)
    assert clusters == {"two": 2, "four": 4}
    assert sum(rows.values()) == ROWS
    # 200 draws of 3/4: 150 on average, with a standard deviation of 6.1; this is five of them.
    assert 120 < rows["two"] < 180


def test_one_variant_alone_is_asked_where_it_is_named(both: Model, points: DataFrame) -> None:
    rows, _ = answered(both.copy({both.targetVariant: "four"}), points)
    assert rows == {"four": ROWS}


def test_traffic_is_shifted_and_stays_so_when_the_endpoint_is_made_again(
    both: Model, points: DataFrame, tmp_path: Path
) -> None:
    shift_traffic(both, {"two": 0})
    assert answered(both, points)[0] == {"four": ROWS}
    both.deleteResources()
    both.save(str(tmp_path / "model"))
    again = Model.load(str(tmp_path / "model"))
    assert again.createEndpoint()
    assert answered(again, points)[0] == {"four": ROWS}


def test_each_variant_has_its_machines_grows_and_goes(
    aws: StandIn, sagemaker: Any, models: dict[str, Model]
) -> None:
    scaling = client(aws, "application-autoscaling")

    def left() -> list[int]:
        targets = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")
        return [
            len(sagemaker.list_endpoint_configs()["EndpointConfigs"]),
            len(sagemaker.list_models()["Models"]),
            len(targets["ScalableTargets"]),
        ]

    before = left()
    both = deploy_variants(models, run_id="ab-2")
    name = both.getOrDefault("endpointName")
    described = sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]
    counts = {one["VariantName"]: one["CurrentInstanceCount"] for one in described}
    assert counts == {"two": 2, "four": 2}
    assert left() == [before[0] + 1, before[1] + 2, before[2] + 2]
    found = made_here("test", Site(aws.region, aws.url))
    kinds = Counter(one.kind.name for one in found if one.run_id == "ab-2")
    assert kinds == {"endpoint": 1, "endpoint config": 1, "model": 2}
    both.deleteResources()
    assert left() == before


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"maxErrorShare": 0.5}, "'four' has maxErrorShare 0.5, the first model 0.05"),
        ({"algorithm": "xgboost"}, "'four' has algorithm 'xgboost', the first"),
    ],
)
def test_models_that_are_asked_otherwise_do_not_go_together(
    models: dict[str, Model], change: dict[str, Any], wrong: str
) -> None:
    other = models["four"].copy({models["four"].getParam(k): v for k, v in change.items()})
    with pytest.raises(SchemaError, match=wrong):
        deploy_variants({"two": models["two"], "four": other})


def test_a_serverless_model_is_no_variant(models: dict[str, Model]) -> None:
    made = models["four"].getOrDefault("deployment")
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    other = models["four"].copy({models["four"].deployment: {**made, "variant": serverless}})
    with pytest.raises(SageMakerError, match="'four' was not fitted for a real-time endpoint"):
        deploy_variants({"two": models["two"], "four": other})


def test_a_name_that_aws_refuses_leaves_nothing(sagemaker: Any, models: dict[str, Model]) -> None:
    before = len(sagemaker.list_models()["Models"])
    with pytest.raises(SageMakerError, match="create_endpoint_config failed"):
        deploy_variants({"no name": models["two"], "four": models["four"]})
    assert len(sagemaker.list_models()["Models"]) == before


def test_a_batch_transform_is_of_one_model(both: Model, points: DataFrame) -> None:
    with pytest.raises(SageMakerError, match=r"several models, a batch"):
        both.copy({both.inference: "batch"}).transform(points)
