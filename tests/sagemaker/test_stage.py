"""SageMakerStage: training by SageMaker in a Pipeline, against the stand-in."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.standin_clients import client
from pyspark.errors import IllegalArgumentException
from pyspark.ml import Estimator, Pipeline, PipelineModel
from pyspark.ml.evaluation import RegressionEvaluator
from pyspark.ml.feature import PCA
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.ml.tuning import ParamGridBuilder, TrainValidationSplit
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from sagemaker_pyspark import EndpointCreationPolicy, IAMRole, S3DataPath, SageMakerClients
from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

from spark_sentiment.errors import DataError, SageMakerError, SchemaError, SetupError
from spark_sentiment.sagemaker import (
    SageMakerEndpointModel,
    SageMakerStage,
    delete_resources,
    deployed,
    fit_and_clean_up,
)
from spark_sentiment.sagemaker.aws.clients import Site
from spark_sentiment.sagemaker.aws.resources import MAX_NAME
from spark_sentiment.sagemaker.training import upstream
from spark_sentiment.standin import StandIn


@pytest.fixture
def stage(aws: StandIn) -> Callable[..., SageMakerStage]:
    """Make a stage that trains on the stand-in; kmeans of two clusters unless said otherwise."""

    def make(**given: Any) -> SageMakerStage:
        if "algorithm" not in given:
            given |= {"algorithm": "kmeans"}
            given.setdefault("hyperParameters", {"k": "2"})
        settings = {
            "stagingPath": f"s3://{aws.bucket}/staging",
            "role": aws.role,
            "region": aws.region,
            "endpointUrl": aws.url,
            "progress": False,
        }
        return SageMakerStage(**{**settings, **given})

    return make


@pytest.fixture(scope="module")
def points(spark: SparkSession) -> DataFrame:
    """Two clouds of eight points; label and weight tell them apart, every fourth is to judge by."""
    rows = [
        (Vectors.dense(float(i // 8) * 10 + i % 3, float(i % 2)), float(i // 8), 1.0, i % 4 == 0)
        for i in range(16)
    ]
    kinds = (VectorUDT(), T.DoubleType(), T.DoubleType(), T.BooleanType())
    names = ("features", "label", "weight", "judged")
    schema = T.StructType([T.StructField(n, k) for n, k in zip(names, kinds, strict=True)])
    return spark.createDataFrame(rows, schema).cache()


@pytest.fixture(scope="module")
def digits(spark: SparkSession) -> DataFrame:
    """The first 400 of scikit-learn's handwritten digits, 8 x 8 pixels."""
    data = load_digits()
    rows = [(Vectors.dense(x), int(y)) for x, y in zip(data.data[:400], data.target, strict=False)]
    schema = T.StructType().add("pixels", VectorUDT()).add("digit", T.IntegerType())
    return spark.createDataFrame(rows, schema).cache()


def left(sagemaker: Any) -> list[str]:
    """Name the endpoints, configurations and models that there are, and will be in a moment."""
    endpoints = sagemaker.list_endpoints()["Endpoints"]
    return [
        *(e["EndpointName"] for e in endpoints if e["EndpointStatus"] != "Deleting"),
        *(c["EndpointConfigName"] for c in sagemaker.list_endpoint_configs()["EndpointConfigs"]),
        *(m["ModelName"] for m in sagemaker.list_models()["Models"]),
    ]


def keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    return [item["Key"] for item in found]


def asked(aws: StandIn, operation: str) -> dict[str, Any]:
    """Return the newest request of an operation."""
    return next(request for name, request in reversed(aws.calls) if name == operation)


class TestStories:  # the third, with reviews, is an example of the README
    def test_mllibs_pca_feeds_sagemakers_kmeans(
        self, digits: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        pca = PCA(k=16, inputCol="pixels", outputCol="features")
        with deployed(
            Pipeline(stages=[pca, stage(hyperParameters={"k": "10"})]).fit(digits)
        ) as model:
            found = model.transform(digits).select("digit", "closest_cluster").collect()
        # scikit-learn's own example, "A demo of K-Means clustering on the handwritten digits data",
        # finds 0.465 to 0.54 for all 1,797 digits.
        assert adjusted_rand_score(*zip(*found, strict=True)) > 0.45

    def test_two_endpoints_of_one_pipeline_are_saved_and_go_together(
        self,
        digits: DataFrame,
        sagemaker: Any,
        stage: Callable[..., SageMakerStage],
        tmp_path: Path,
    ) -> None:
        pca = stage(
            algorithm="pca",
            hyperParameters={"num_components": "16"},
            featuresCol="pixels",
            errorCol="pca_error",
        )
        kmeans = stage(hyperParameters={"k": "10"}, featuresCol="projection")
        Pipeline(stages=[pca, kmeans]).fit(digits).save(str(tmp_path / "model"))
        assert len(left(sagemaker)) == 2 * 3
        with deployed(PipelineModel.load(str(tmp_path / "model"))) as model:
            found = model.transform(digits).select("digit", "closest_cluster").collect()
        assert adjusted_rand_score(*zip(*found, strict=True)) > 0.45
        assert left(sagemaker) == []


class TestRequest:
    def test_what_upstream_has_no_argument_for_reaches_the_training_job(
        self, aws: StandIn, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        stage(
            subnets=["subnet-1"],
            securityGroups=["sg-1"],
            kmsKey="key-1",
            encryptTraffic=True,
            maxRuntime=600,
            maxWait=900,
            checkpointPath=f"s3://{aws.bucket}/checkpoints",
            experiment={"ExperimentName": "reviews"},
            instanceCount=2,
            runId="run-1",
            tags={"team": "reviews"},
            inference="none",
        ).fit(points)
        request = asked(aws, "CreateTrainingJob")
        assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
        assert request["EnableManagedSpotTraining"] is True
        assert request["StoppingCondition"] == {
            "MaxRuntimeInSeconds": 600,
            "MaxWaitTimeInSeconds": 900,
        }
        assert request["CheckpointConfig"] == {"S3Uri": f"s3://{aws.bucket}/checkpoints"}
        assert request["OutputDataConfig"]["KmsKeyId"] == "key-1"
        assert request["ResourceConfig"]["VolumeKmsKeyId"] == "key-1"
        assert request["ResourceConfig"]["InstanceCount"] == 2
        assert request["EnableInterContainerTrafficEncryption"] is True
        assert request["ExperimentConfig"] == {"ExperimentName": "reviews"}
        tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        assert tags["spark-sentiment:run-id"] == "run-1"
        assert tags["team"] == "reviews"

    def test_validation_rows_and_weights_are_files_of_their_own_form(
        self, aws: StandIn, s3: Any, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        stage(
            algorithm="xgboost",
            hyperParameters={"num_round": "2"},
            weightCol="weight",
            validationIndicatorCol="judged",
            keepStaging=True,
            inference="none",
        ).fit(points)
        request = asked(aws, "CreateTrainingJob")
        channels = {c["ChannelName"]: c["DataSource"] for c in request["InputDataConfig"]}
        lines = {}
        for name, source in channels.items():
            prefix = source["S3DataSource"]["S3Uri"].removeprefix(f"s3://{aws.bucket}/")
            bodies = [
                s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read().decode()
                for key in keys(s3, aws.bucket, prefix)
            ]
            lines[name] = "".join(bodies).splitlines()
        assert len(lines["train"]) == 12
        assert sorted(lines["validation"])[0] == "0.0,1.0,0.0,0.0"  # label, weight, features
        assert len(lines["validation"]) == 4
        assert request["HyperParameters"]["csv_weights"] == "1"

    def test_text_and_its_label_make_a_line_of_blazingtext(
        self, aws: StandIn, s3: Any, spark: SparkSession, stage: Callable[..., SageMakerStage]
    ) -> None:
        texts = spark.createDataFrame(
            [("a  fine\ndress", 2.0), ("fell apart", 0.0)] * 6, ["text", "label"]
        )
        with deployed(
            stage(algorithm="blazingtext", featuresCol="text", keepStaging=True).fit(texts)
        ) as model:
            rows = model.transform(texts).select("text", "labels").collect()
        job = asked(aws, "CreateTrainingJob")["InputDataConfig"][0]["DataSource"]
        prefix = job["S3DataSource"]["S3Uri"].removeprefix(f"s3://{aws.bucket}/")
        (key,) = keys(s3, aws.bucket, prefix)
        body = s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read().decode()
        assert sorted(set(body.splitlines())) == [
            "__label__0 fell apart",
            "__label__2 a fine dress",
        ]
        assert {(row.text, row.labels[0]) for row in rows} == {
            ("a  fine\ndress", "__label__2"),
            ("fell apart", "__label__0"),
        }

    def test_the_endpoint_grows_where_it_may(
        self, aws: StandIn, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        scaling = client(aws, "application-autoscaling")
        with deployed(stage(autoscaling={"max": 4, "target": 70}).fit(points)):
            (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")[
                "ScalableTargets"
            ]
            (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")[
                "ScalingPolicies"
            ]
            assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
            wanted = policy["TargetTrackingScalingPolicyConfiguration"]
            assert wanted["TargetValue"] == 70.0
        left = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
        assert left == []

    def test_a_serverless_endpoint_has_memory_and_no_machines(
        self, aws: StandIn, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        with deployed(stage(inference="serverless", serverless={"memory": 4096}).fit(points)):
            (variant,) = asked(aws, "CreateEndpointConfig")["ProductionVariants"]
        assert variant["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 20}
        assert "InstanceType" not in variant


@pytest.mark.parametrize(
    ("algorithm", "given", "answered"),
    [
        ("knn", {"k": "1", "sample_size": "16"}, "predicted_label"),
        ("randomcutforest", {"num_trees": "50"}, "score"),
        ("ntm", {"num_topics": "2"}, "topic_weights"),
        ("linear-learner-multiclass", {}, "predicted_label"),
        ("factorization-machines-binary", {"num_factors": "2"}, "predicted_label"),
        *(
            pytest.param(*case, marks=pytest.mark.long)
            for case in (
                ("lda", {"num_topics": "2", "mini_batch_size": "16"}, "topic_mixture"),
                ("linear-learner-binary", {}, "predicted_label"),
                ("linear-learner-regressor", {}, "score"),
                ("factorization-machines-regressor", {"num_factors": "2"}, "score"),
                ("xgboost", {"num_round": "20"}, "prediction"),
                ("xgboost-multiclass", {"num_round": "20"}, "prediction"),
            )
        ),
    ],
)
def test_algorithms_train_and_answer_in_their_columns(
    algorithm: str,
    given: dict[str, str],
    answered: str,
    points: DataFrame,
    stage: Callable[..., SageMakerStage],
) -> None:
    with deployed(stage(algorithm=algorithm, hyperParameters=given).fit(points)) as model:
        rows = model.transform(points).select("label", answered).collect()
    found = [row[1] for row in rows]
    assert None not in found
    labels = [row.label for row in rows]
    if answered == "predicted_label":
        assert found == labels  # two clouds far apart
    elif "regressor" in algorithm or "xgboost" in algorithm:
        assert [round(value) for value in found] == labels


class TestUpstream:
    def test_sagemaker_pyspark_alone_asks_the_stand_in_for_the_same_job(
        self, spark: SparkSession, aws: StandIn, points: DataFrame
    ) -> None:
        jvm: Any = spark._jvm
        builder = jvm.com.amazonaws.services.sagemaker.AmazonSageMakerClientBuilder.standard()
        place = jvm.com.amazonaws.client.builder.AwsClientBuilder.EndpointConfiguration(
            aws.url, aws.region
        )
        theirs = builder.withEndpointConfiguration(place).build()
        upstream.reach_bucket(spark, Site(aws.region, aws.url), f"s3://{aws.bucket}/theirs")
        theirs = KMeansSageMakerEstimator(
            sagemakerRole=IAMRole(aws.role),
            trainingInstanceType="ml.m5.xlarge",
            trainingInstanceCount=1,
            endpointInstanceType="ml.m5.large",
            endpointInitialInstanceCount=1,
            trainingInputS3DataPath=S3DataPath(aws.bucket, "theirs"),
            trainingOutputS3DataPath=S3DataPath(aws.bucket, "theirs/models"),
            trainingInstanceVolumeSizeInGB=30,
            endpointCreationPolicy=EndpointCreationPolicy.DO_NOT_CREATE,
            sagemakerClient=SageMakerClients._AmazonSageMaker(theirs),
            deleteStagingDataAfterTraining=False,
        )
        theirs.setK(2)
        theirs._set(feature_dim=2)
        rows = points.select("features")
        theirs.fit(rows)
        job = asked(aws, "CreateTrainingJob")
        stage = SageMakerStage.from_estimator(
            theirs, region=aws.region, endpointUrl=aws.url, inference="none", progress=False
        )
        stage.fit(rows)
        ours = asked(aws, "CreateTrainingJob")
        assert without_names(ours) == without_names(job)


def without_names(request: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is of one fit alone, and RecordIO's type, which upstream leaves unsaid."""
    plain: dict[str, Any] = json.loads(json.dumps(request))
    for channel in plain["InputDataConfig"]:
        channel["DataSource"]["S3DataSource"].pop("S3Uri")
        channel.pop("ContentType", None)
    own = ("TrainingJobName", "OutputDataConfig", "Tags")
    return {key: value for key, value in plain.items() if key not in own}


def test_a_fit_says_how_far_it_is(
    points: DataFrame, stage: Callable[..., SageMakerStage], capsys: pytest.CaptureFixture[str]
) -> None:
    told = stage(inference="none", progress=True)
    told.fit(points)
    said = capsys.readouterr().err
    for words in ("16 training rows", r"\[ +0 s\] Completed", r"train:\w+ = \d"):
        assert re.search(f"^{told.uid}: .*{words}", said, re.MULTILINE), said


class TestFaults:
    def test_a_failed_job_is_told_with_its_reason_and_leaves_nothing(
        self,
        aws: StandIn,
        s3: Any,
        sagemaker: Any,
        points: DataFrame,
        stage: Callable[..., SageMakerStage],
    ) -> None:
        s3.put_object(Bucket=aws.bucket, Key="faults-and-more/mine", Body=b"1")
        aws.fail_training("AlgorithmError: out of luck")
        with pytest.raises(SageMakerError, match="failed: AlgorithmError: out of luck"):
            stage(stagingPath=f"s3://{aws.bucket}/faults").fit(points)
        assert left(sagemaker) == []
        assert keys(s3, aws.bucket, "faults") == ["faults-and-more/mine"]

    def test_a_job_that_takes_too_long_is_stopped(
        self, points: DataFrame, spark: SparkSession, stage: Callable[..., SageMakerStage]
    ) -> None:
        with StandIn(seconds=30) as slow:
            late = stage(endpointUrl=slow.url, fitTimeout=0.3)
            with pytest.raises(SageMakerError, match=r"not done after 0 s .* Param fitTimeout"):
                late.fit(points)
            jobs = client(slow, "sagemaker")
            (job,) = jobs.list_training_jobs()["TrainingJobSummaries"]
            assert job["TrainingJobStatus"] in ("Stopping", "Stopped")

    def test_a_driver_that_is_stopped_stops_its_job(
        self, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        with StandIn(seconds=30) as slow:
            told = stage(endpointUrl=slow.url)

            def interrupted(line: str) -> None:
                if "Starting" in line:
                    raise KeyboardInterrupt

            told._say = interrupted  # type: ignore[method-assign]
            with pytest.raises(KeyboardInterrupt):
                told.fit(points)
            assert [name for name, _ in slow.calls].count("StopTrainingJob") == 1

    def test_an_endpoint_that_cannot_be_made_leaves_neither_model_nor_configuration(
        self, aws: StandIn, sagemaker: Any, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        aws.faults.set(operation="CreateEndpoint", kinds=["500"], share=1.0)
        try:
            with pytest.raises(SageMakerError, match="create_endpoint failed") as told:
                stage().fit(points)
        finally:
            aws.faults.clear()
        assert left(sagemaker) == []
        assert "the trained model is s3://" in "".join(told.value.__notes__)

    def test_what_aws_does_not_see_at_once_is_waited_for(
        self, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        with StandIn(seconds=0.02) as behind:
            behind.lag(0.3)
            model = stage(endpointUrl=behind.url).fit(points)
            assert model.transform(points).where("closest_cluster is null").count() == 0

    def test_null_rows_are_counted_before_anything_is_sent(
        self, aws: StandIn, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        before = len(aws.calls)
        holed = points.withColumn("features", F.when(~F.col("judged"), F.col("features")))
        with pytest.raises(DataError, match="hold 4 null features"):
            stage().fit(holed)
        assert len(aws.calls) == before

    @pytest.mark.parametrize(
        ("given", "wrong"),
        [
            ({"algorithm": "kmeans"}, "requires k"),
            ({"weightCol": "weight"}, "'kmeans' does not support weights"),
            ({"subnets": ["subnet-1"]}, "subnets and securityGroups, or neither"),
            ({"maxRuntime": 600, "maxWait": 60}, "maxWait .* at least maxRuntime"),
            ({"autoscaling": {"min": 1}}, "autoscaling needs max"),
            ({"featuresCol": "feature"}, "column 'feature' is missing"),
            ({"outputCols": {"closest_cluster": "d", "distance_to_cluster": "d"}}, "two fields"),
        ],
    )
    def test_what_does_not_go_together_is_refused_before_any_job(
        self,
        points: DataFrame,
        stage: Callable[..., SageMakerStage],
        jobs_run: Callable[[Callable[[], object]], int],
        given: dict[str, Any],
        wrong: str,
    ) -> None:
        def fit() -> None:
            with pytest.raises(SchemaError, match=wrong):
                stage(**given).fit(points)

        assert jobs_run(fit) == 0

    def test_a_missing_jar_is_named_with_the_line_that_adds_it(
        self, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(upstream._NEEDED, "org.example.Lacking", "org.example:lacking:1.0")
        with pytest.raises(SetupError, match=r"without org.example:lacking:1.0; .*sagemaker=True"):
            upstream.check_jars(spark, "stage_1")


class TestModel:
    def test_an_endpoint_that_is_gone_is_told_of_and_made_again(
        self,
        sagemaker: Any,
        points: DataFrame,
        stage: Callable[..., SageMakerStage],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        model = stage().fit(points)
        clusters = model.transform(points).select("closest_cluster").collect()
        model.save(str(tmp_path / "model"))
        SageMakerEndpointModel.load(str(tmp_path / "model"))
        assert caplog.text == ""
        model.deleteResources()
        model.deleteResources()  # what is gone is no error
        again = SageMakerEndpointModel.load(str(tmp_path / "model"))
        gone = r"endpoint .* is missing: createEndpoint\(\)"
        assert re.search(gone, caplog.text)
        with pytest.raises(SageMakerError, match=gone):
            again.transform(points)
        assert again.createEndpoint()
        assert not again.createEndpoint()
        with deployed(again):
            assert again.transform(points).select("closest_cluster").collect() == clusters
        assert left(sagemaker) == []

    def test_a_saved_model_holds_no_credentials(
        self, points: DataFrame, stage: Callable[..., SageMakerStage], tmp_path: Path
    ) -> None:
        stage(inference="none").fit(points).save(str(tmp_path / "model"))
        saved = "".join(p.read_text() for p in (tmp_path / "model" / "metadata").glob("part-*"))
        assert "endpointName" in saved
        assert "access_key" not in saved.lower()
        assert "of-the-tests" not in saved
        assert "of-no-account" not in saved

    def test_it_never_deletes_what_it_did_not_make(self, aws: StandIn) -> None:
        aws.deploy("someone-else-s", lambda body, content_type, accept: b"1")
        model = SageMakerEndpointModel(
            endpointName="someone-else-s", endpointUrl=aws.url, algorithm="xgboost"
        )
        delete_resources(PipelineModel([model]))
        with pytest.raises(SageMakerError, match="was not created by a SageMakerStage"):
            model.deleteResources()
        deleted = [
            request["EndpointName"] for name, request in aws.calls if name == "DeleteEndpoint"
        ]
        assert "someone-else-s" not in deleted


class TestFitAndCleanUp:
    @pytest.mark.parametrize("collected", [False, True])
    def test_of_a_searchs_models_those_given_back_keep_their_endpoints(
        self,
        sagemaker: Any,
        points: DataFrame,
        stage: Callable[..., SageMakerStage],
        collected: bool,
    ) -> None:
        before = len(left(sagemaker))
        kmeans = stage()
        grid = ParamGridBuilder().addGrid(kmeans.hyperParameters, [{"k": "2"}, {"k": "3"}])
        search = TrainValidationSplit(
            estimator=Pipeline(stages=[kmeans]),
            estimatorParamMaps=grid.build(),
            evaluator=RegressionEvaluator(predictionCol="distance_to_cluster"),
            parallelism=2,
            collectSubModels=collected,
        )
        found = fit_and_clean_up(search, points)
        models = 3 if collected else 1  # of two that were tried, and the best that was fitted again
        assert len(left(sagemaker)) == before + models * 3
        with deployed(found):
            bestof = found.bestModel.transform(points)
            assert bestof.where("closest_cluster is null").count() == 0
        assert len(left(sagemaker)) == before

    def test_a_later_stage_that_fails_leaves_no_endpoint(
        self, sagemaker: Any, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        before = left(sagemaker)
        pipeline = Pipeline(stages=[stage(), PCA(k=1, inputCol="nowhere", outputCol="less")])
        with pytest.raises(IllegalArgumentException, match="nowhere"):
            fit_and_clean_up(pipeline, points)
        assert left(sagemaker) == before

    def test_a_fit_that_ends_after_another_failed_deletes_what_it_made(
        self, sagemaker: Any, points: DataFrame, stage: Callable[..., SageMakerStage]
    ) -> None:
        class Fails(Estimator[Any]):
            """Copies the stage, as a search's thread does, and fails before it is fitted."""

            def _fit(self, dataset: DataFrame) -> Any:
                late.append(kmeans.copy())
                raise ValueError("first")

        before, late, kmeans = left(sagemaker), [], stage()
        with pytest.raises(ValueError, match="first"):
            fit_and_clean_up(Pipeline(stages=[Fails(), kmeans]), points)
        late[0].fit(points)
        assert left(sagemaker) == before


def test_a_grid_of_params_trains_a_job_for_each(
    aws: StandIn, points: DataFrame, stage: Callable[..., SageMakerStage]
) -> None:
    estimator = stage(inference="none")
    grid = [{estimator.hyperParameters: {"k": k}} for k in ("2", "3")]
    list(estimator.fit(points, grid))  # type: ignore[call-overload]
    jobs = [request for name, request in aws.calls if name == "CreateTrainingJob"][-2:]
    assert [job["HyperParameters"]["k"] for job in jobs] == ["2", "3"]
    names = [job["TrainingJobName"] for job in jobs]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= MAX_NAME
