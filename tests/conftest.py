"""One Spark session for all tests, with Delta, and a local AWS for each file that asks for it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.standin_clients import client
from pyspark.sql import SparkSession

from spark_sentiment.session import get_session
from spark_sentiment.standin import StandIn

REAL_CSV = Path(__file__).parents[2] / "shared" / "data" / "womens_clothing_reviews.csv"


# For the loopback services alone; Python workers have the environment that Java is started with.
os.environ |= {
    "AWS_ACCESS_KEY_ID": "of-the-tests",
    "AWS_SECRET_ACCESS_KEY": "of-the-tests",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",  # as the AWS SDK for Java calls it
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # where nothing answers: no test asks AWS itself
}


# Most queries of the tests run once, on a few rows: to compile them, or to plan them again in the
# middle, takes longer than to run them. The tests marked `long` run as production does.
QUICK = {
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "5",
}


@pytest.fixture(scope="session")
def spark(pytestconfig: pytest.Config) -> Iterator[SparkSession]:
    built = get_session(
        "tests",
        master="local[2,2]",
        sagemaker=True,
        conf={
            **({} if pytestconfig.getoption("markexpr") == "long" else QUICK),
            "spark.sql.shuffle.partitions": "2",
            "spark.default.parallelism": "2",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.driver.memory": "3g",
            "spark.sql.warehouse.dir": tempfile.mkdtemp(prefix="spark-sentiment-warehouse-"),
            # Many small queries, each run once: compiling them well costs more than it gives. With
            # the simple compiler alone Java keeps 48 MB of compiled code, which the tests overrun.
            "spark.driver.extraJavaOptions": (
                "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC "
                "-Xms1g -XX:NewSize=400m -XX:MetaspaceSize=512m -Ddelta.log.cacheSize=3"
            ),
        },
    )
    built.sparkContext.setLogLevel("ERROR")
    yield built
    built.stop()


@pytest.fixture
def jobs_run(spark: SparkSession) -> Callable[[Callable[[], object]], int]:
    """Count the Spark jobs that an action starts, whether or not it raises."""

    def count(action: Callable[[], object]) -> int:
        group = f"count-{id(action)}"
        spark.sparkContext.setJobGroup(group, "counted by a test")
        try:
            action()
        finally:
            spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
        return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))

    return count


@pytest.fixture(scope="module")
def aws() -> Iterator[StandIn]:
    """A local AWS of the module's own, whose jobs and endpoints pass each state in an instant."""
    with StandIn(seconds=0.02) as service:
        yield service


@pytest.fixture(scope="module")
def s3(aws: StandIn) -> Any:
    return client(aws, "s3")


@pytest.fixture(scope="module")
def sagemaker(aws: StandIn) -> Any:
    return client(aws, "sagemaker")


@pytest.fixture(scope="session")
def real_csv() -> Path:
    """The Women's E-Commerce Clothing Reviews, which are not part of this repository."""
    if not REAL_CSV.is_file():
        pytest.skip(f"needs the real reviews at {REAL_CSV.name} beside the project; not there")
    return REAL_CSV
