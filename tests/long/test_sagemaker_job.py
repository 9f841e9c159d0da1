"""SageMaker on the real reviews where they are: the main job, and a Pipeline in two sessions."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REAL_CSV
from helpers import IMPORT_PATH
from helpers.checkpoints import shared_tiny_checkpoint
from helpers.standin_clients import client
from pyspark.ml import Pipeline
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment import (
    BertEmbeddings,
    BiasReport,
    ClassWeights,
    Facet,
    RatingLabeler,
    TextCleaner,
)
from spark_sentiment.jobs import runner, score, train
from spark_sentiment.reviews.csv_files import read_reviews
from spark_sentiment.reviews.schema import WOMENS_CLOTHING
from spark_sentiment.reviews.synthetic import generate_reviews
from spark_sentiment.sagemaker import SageMakerStage, delete_resources
from spark_sentiment.standin import StandIn
from spark_sentiment.tables.delta import Tables

LOCAL = str(Path(__file__).parents[2] / "conf" / "local.yaml")


@pytest.mark.long
def test_reviews_are_trained_on_by_sagemaker_and_scored_by_another_run(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "out"
    source = f"reviews.path={REAL_CSV}" if REAL_CSV.is_file() else "reviews.generated.rows=300"
    with StandIn(seconds=0.05) as aws:
        shared = [
            f"output.base={base}",
            f"embedding.model_path={shared_tiny_checkpoint()}",
            f"sagemaker.endpoint_url={aws.url}",
            f"sagemaker.staging=s3://{aws.bucket}/job",
            "sagemaker.params={hyperParameters: {num_round: '5'}}",
            "trainer=sagemaker",
        ]

        def words(*settings: str) -> list[str]:
            return [LOCAL, *(w for s in [*shared, *settings] for w in ("--set", s))]

        assert runner.run("train", train.main, words(source, "run.id=first")) == runner.OK
        assert re.search(r"Accuracy 0\.\d+, macro-F1 0\.\d+", capsys.readouterr().out)
        again = words("reviews.generated.rows=40", "run.id=second")
        assert runner.run("score", score.main, again) == runner.OK
        made = [name for name, _ in aws.calls if name in ("CreateEndpoint", "DeleteEndpoint")]
    assert made == ["CreateEndpoint", "DeleteEndpoint"] * 2
    tables = Tables(spark, str(base))
    predicted = tables.read("predictions").groupBy("run_id").count().collect()
    rows = dict(predicted)
    held_out = tables.read("features").where("split = 'test'").count()
    assert rows == {"first": held_out, "second": 40}


def reviews(spark: SparkSession) -> DataFrame:
    if REAL_CSV.is_file():
        return read_reviews(spark, str(REAL_CSV), WOMENS_CLOTHING).reviews
    return generate_reviews(spark, 300)


def predicted(model: Any, spark: SparkSession) -> str:
    """Tell how many reviews have which prediction, and a digest of which has which."""
    rows = (
        model.transform(reviews(spark))
        .groupBy("prediction")
        .agg(F.count("*"), F.sum(F.xxhash64("text", "prediction").cast("decimal(38)")))
        .orderBy("prediction")
    )
    return str([tuple(row) for row in rows.collect()])


ELSEWHERE = """
import sys
sys.path[:0] = {tests!r}
from pyspark.ml import PipelineModel
from spark_sentiment.session import get_session
from test_sagemaker_job import predicted
spark = get_session("elsewhere", "local[2]")
print("PREDICTED", predicted(PipelineModel.load({model!r}), spark))
"""


@pytest.mark.long
def test_a_pipeline_scores_in_another_session_and_goes_in_one_call(
    spark: SparkSession, tmp_path: Path
) -> None:
    with StandIn(seconds=0.05) as aws:
        stages = [
            TextCleaner(inputCols=["title", "review_text"], outputCol="text"),
            RatingLabeler(ratingCol="rating", labelCol="label"),
            BiasReport(facets=[Facet("age", threshold=50)], positive=[2.0]),
            BertEmbeddings(
                inputCol="text", outputCol="features", modelPath=shared_tiny_checkpoint()
            ),
            ClassWeights(labelCol="label", weightCol="weight", formula="sqrt"),
            SageMakerStage(
                algorithm="xgboost-multiclass",
                hyperParameters={"num_round": "10"},
                weightCol="weight",
                stagingPath=f"s3://{aws.bucket}/pipeline",
                role=aws.role,
                endpointUrl=aws.url,
            ),
        ]
        model = Pipeline(stages=stages).fit(reviews(spark))
        here = predicted(model, spark)
        model.save(str(tmp_path / "model"))
        script = ELSEWHERE.format(tests=IMPORT_PATH, model=str(tmp_path / "model"))
        elsewhere = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert f"PREDICTED {here}" in elsewhere.stdout, elsewhere.stderr[-3000:]
        assert "), (" in here  # more than one class
        delete_resources(model)
        sagemaker = client(aws, "sagemaker")
        assert sagemaker.list_models()["Models"] == []
        assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
