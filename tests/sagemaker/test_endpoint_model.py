"""Rows through an endpoint: each scored once, whatever fails in passing; what cannot be, told."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.sums import add_up
from pyspark.errors import PythonException
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.errors import SchemaError
from spark_sentiment.reviews.csv_files import read_reviews
from spark_sentiment.sagemaker import SageMakerEndpointModel
from spark_sentiment.sagemaker.scoring.invoke import MAX_BYTES
from spark_sentiment.standin import FAULTS, ContainerError, StandIn


def measure(body: bytes, content_type: str, accept: str) -> bytes:
    """Answer each text with its number of characters; refuse a request with a torn one."""
    texts = [json.loads(line)["source"] for line in body.decode().splitlines()]
    if any("TORN" in text for text in texts):
        raise ContainerError(400)
    return "\n".join(json.dumps({"length": len(text)}) for text in texts).encode()


@pytest.fixture
def aws() -> Iterator[StandIn]:
    with StandIn() as running:
        running.deploy("lengths", measure)
        running.deploy("sums", add_up)
        yield running


def lengths(aws: StandIn, **params: object) -> SageMakerEndpointModel:
    model = SageMakerEndpointModel(
        endpointName="lengths",
        algorithm="jsonlines",
        replySchema="length int",
        requestFormat="jsonlines",
        requestFields={"source": "text"},
        endpointUrl=aws.url,
        maxBatchRows=20,
        timeout=1.0,
    )
    return model.copy({model.getParam(name): value for name, value in params.items()})


def texts(spark: SparkSession, rows: int, partitions: int = 2) -> DataFrame:
    ids = spark.range(0, rows, 1, partitions)
    return ids.withColumn("text", F.expr("repeat('a', int(id) + 1)"))


def assert_scored_once(scored: DataFrame, rows: int) -> None:
    found = scored.select(
        F.count(F.lit(1)),
        F.countDistinct("id"),
        F.sum((F.length("text") == F.col("length")).cast("int")),
    ).head()
    assert found is not None
    assert tuple(found) == (rows, rows, rows)


class TestFaults:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_what_fails_in_passing_loses_no_row(
        self, fault: str, aws: StandIn, spark: SparkSession
    ) -> None:
        aws.faults.set(operation="InvokeEndpoint", kinds=[fault], share=0.2)
        scored = lengths(aws).transform(texts(spark, 400))
        assert_scored_once(scored, 400)
        assert aws.asked[fault] > 0

    def test_every_real_review_comes_back_scored(
        self, aws: StandIn, spark: SparkSession, real_csv: Path
    ) -> None:
        aws.faults.set(operation="InvokeEndpoint", kinds=FAULTS, share=0.2)
        rows = read_reviews(spark, str(real_csv)).rows.select(
            F.monotonically_increasing_id().alias("id"),
            F.coalesce("review_text", F.lit("")).alias("text"),
        )
        scored = lengths(aws, maxBatchRows=200).transform(rows.localCheckpoint())
        assert_scored_once(scored, 23_486)
        assert sum(aws.asked[fault] for fault in FAULTS) > 10

    def test_other_refusals_are_not_repeated(self, aws: StandIn, spark: SparkSession) -> None:
        model = lengths(aws, targetVariant="elsewhere", maxErrorShare=1.0)
        (row,) = model.transform(texts(spark, 1, 1)).collect()
        assert row.endpoint_error == "HTTP 400 ValidationError after 1 attempt"
        assert row.length is None
        assert aws.asked == {"refused": 1}

    def test_an_endpoint_that_is_down_is_not_hammered(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        aws.faults.set(operation="InvokeEndpoint", kinds=["503"])
        model = lengths(aws, maxErrorShare=1.0, retryBudget=0.5, maxBatchRows=1, concurrency=40)
        errors = model.transform(texts(spark, 40, 1)).select("endpoint_error").collect()
        # 40 requests, 20 free retries, and half a retry for each request
        assert aws.asked["503"] <= 40 + 20 + 20
        assert any("budget of retries is spent" in row.endpoint_error for row in errors)

    def test_too_many_failures_end_the_job_without_a_word_of_the_rows(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        rows = texts(spark, 6, 1).withColumn("text", F.lit("TORN secret"))
        with pytest.raises(PythonException) as told:
            lengths(aws).transform(rows).collect()  # 6 are more than 5 % of 100
        assert "gave no prediction for 6 of a task's 6 rows, 100.00%" in str(told.value)
        assert "secret" not in str(told.value)


class TestRowsAtFault:
    def test_the_neighbours_of_a_refused_row_are_scored(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        torn = F.when(F.col("id") == 7, "TORN secret").otherwise(F.col("text"))
        scored = lengths(aws).transform(texts(spark, 20, 1).withColumn("text", torn))
        errors = {row.id: row.endpoint_error for row in scored.where("length is null").collect()}
        assert errors == {7: "HTTP 424 ModelError (the container's 400) after 1 attempt"}

    def test_a_row_without_text_is_not_sent(self, aws: StandIn, spark: SparkSession) -> None:
        rows = spark.createDataFrame([(0, "a"), (1, None)], "id int, text string").coalesce(1)
        scored = lengths(aws, maxErrorShare=0.5).transform(rows).orderBy("id").collect()
        assert [(row.length, row.endpoint_error) for row in scored] == [
            (1, None),
            (None, "nothing to send: null"),
        ]

    def test_a_row_too_large_is_not_sent(self, aws: StandIn, spark: SparkSession) -> None:
        rows = texts(spark, 100, 1)  # {"source":"..."} and a line's end: 14 bytes and the text
        scored = lengths(aws, maxBatchBytes=100, maxErrorShare=0.2).transform(rows)
        errors = {row.id: row.endpoint_error for row in scored.where("length is null").collect()}
        assert sorted(errors) == list(range(86, 100))
        assert errors[99] == "a row of 114 bytes is above maxBatchBytes, 100"
        assert max(aws.bodies) == 100

    def test_a_reply_with_other_rows_than_were_sent_is_no_prediction(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        aws.deploy("lengths", lambda *sent: measure(*sent) + b'\n{"length": 1}')
        (row,) = lengths(aws, maxErrorShare=1.0).transform(texts(spark, 1, 1)).collect()
        assert row.endpoint_error == "a reply held 2 rows for 1"

    def test_a_reply_that_cannot_be_read_is_not_quoted(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        aws.deploy("lengths", lambda *sent: b"secret")
        (row,) = lengths(aws, maxErrorShare=1.0).transform(texts(spark, 1, 1)).collect()
        assert row.endpoint_error == "a reply of 6 bytes could not be read (JSONDecodeError)"


class TestRequests:
    def test_order_stays_and_other_columns_with_it(self, aws: StandIn, spark: SparkSession) -> None:
        scored = lengths(aws, maxBatchRows=7).transform(texts(spark, 100, 1)).collect()
        assert [row.length for row in scored] == list(range(1, 101))

    def test_several_requests_are_under_way_and_no_more_than_asked(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        aws.latency = 0.05
        scored = lengths(aws, concurrency=3).transform(texts(spark, 400, 1))
        assert_scored_once(scored, 400)
        assert aws.most_at_once == 3

    def test_a_filter_on_the_prediction_asks_for_no_row_twice(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        scored = lengths(aws, maxBatchRows=1).transform(texts(spark, 30))
        assert scored.where("length > 10").select("length", "endpoint_error").count() == 20
        assert aws.asked == {"AllTraffic": 30}

    def test_no_limit_of_the_service_can_be_asked_for(self) -> None:
        with pytest.raises(ValueError, match="maxBatchBytes"):
            SageMakerEndpointModel(maxBatchBytes=MAX_BYTES + 1)


class TestVariants:
    def test_the_one_that_answered_is_told(self, aws: StandIn, spark: SparkSession) -> None:
        aws.deploy("lengths", variants={"old": (measure, 1.0), "new": (measure, 3.0)})
        model = lengths(aws, variantCol="by", maxBatchRows=1)
        found = {
            r.by: r["count"]
            for r in model.transform(texts(spark, 200)).groupBy("by").count().collect()
        }
        assert found == dict(aws.asked)
        assert 110 < found["new"] < 190  # 150 in the mean, with a standard deviation of 6

    def test_one_can_be_named(self, aws: StandIn, spark: SparkSession) -> None:
        aws.deploy("lengths", variants={"old": (measure, 1.0), "new": (measure, 0.0)})
        lengths(aws, targetVariant="new").transform(texts(spark, 40)).collect()
        assert set(aws.asked) == {"new"}


class TestSchema:
    def test_a_missing_field_is_named_before_any_job(
        self, aws: StandIn, spark: SparkSession
    ) -> None:
        with pytest.raises(SchemaError, match="column 'text' is missing"):
            lengths(aws).transform(spark.range(1))

    @pytest.mark.parametrize("name", ["endpointName", "algorithm"])
    def test_what_must_be_set_is_named(self, name: str, aws: StandIn, spark: SparkSession) -> None:
        model = lengths(aws)
        model.clear(model.getParam(name))
        with pytest.raises(SchemaError, match=f"{name} is not set"):
            model.transform(texts(spark, 1))

    def test_json_lines_need_fields(self, aws: StandIn, spark: SparkSession) -> None:
        with pytest.raises(SchemaError, match="needs requestFields"):
            lengths(aws, requestFields={}).transform(texts(spark, 1))

    def test_features_must_be_a_vector(self, aws: StandIn, spark: SparkSession) -> None:
        model = SageMakerEndpointModel(
            endpointName="sums", algorithm="xgboost", requestFormat="csv"
        )
        with pytest.raises(SchemaError, match="column 'features' must be vector, found bigint"):
            model.transform(spark.range(1).withColumnRenamed("id", "features"))

    @pytest.mark.parametrize("schema", ["", "length", "x map<string,int>"])
    def test_a_reply_of_ones_own_needs_its_fields(
        self, schema: str, aws: StandIn, spark: SparkSession
    ) -> None:
        model = lengths(aws)
        model.clear(model.replySchema)
        if schema:
            model.setParams(replySchema=schema)
        with pytest.raises(SchemaError, match="replySchema"):
            model.transform(texts(spark, 1))

    def test_columns_of_the_reply_can_be_renamed(self, aws: StandIn, spark: SparkSession) -> None:
        rows = spark.createDataFrame([(Vectors.dense(1.0, 2.5),)], ["features"])
        model = SageMakerEndpointModel(
            endpointName="sums",
            endpointUrl=aws.url,
            algorithm="xgboost",
            requestFormat="csv",
            outputCols={"prediction": "total"},
            errorCol="why_not",
        )
        (row,) = model.transform(rows).collect()
        assert (row.total, row.why_not) == (3.5, None)


def test_no_credentials_are_saved(aws: StandIn, tmp_path: Path, spark: SparkSession) -> None:
    lengths(aws).write().save(str(tmp_path / "model"))
    saved = "".join(file.read_text() for file in (tmp_path / "model" / "metadata").glob("part-*"))
    assert "lengths" in saved
    assert "of-the-tests" not in saved


def test_without_boto3_the_import_says_what_to_install() -> None:
    script = "import sys; sys.modules['boto3'] = None; import spark_sentiment.sagemaker"
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "SetupError: SageMaker's stages need boto3" in ran.stderr
