"""The main job with trainer=sagemaker, on the real reviews where they are there."""

import re
from pathlib import Path

import pytest
from checkpoints import shared_tiny_checkpoint
from conftest import REAL_CSV
from pyspark.sql import SparkSession

from spark_sentiment import job, score, train
from spark_sentiment.standin import StandIn
from spark_sentiment.tables import Tables

LOCAL = str(Path(__file__).parents[1] / "conf" / "local.yaml")


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

        assert job.run("train", train.main, words(source, "run.id=first")) == job.OK
        assert re.search(r"Accuracy 0\.\d+, macro-F1 0\.\d+", capsys.readouterr().out)
        again = words("reviews.generated.rows=40", "run.id=second")
        assert job.run("score", score.main, again) == job.OK
        made = [name for name, _ in aws.calls if name in ("CreateEndpoint", "DeleteEndpoint")]
    assert made == ["CreateEndpoint", "DeleteEndpoint"] * 2
    tables = Tables(spark, str(base))
    predicted = tables.read("predictions").groupBy("run_id").count().collect()
    rows = dict(predicted)
    held_out = tables.read("features").where("split = 'test'").count()
    assert rows == {"first": held_out, "second": 40}
