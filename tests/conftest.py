"""One Spark session for all tests, with Delta, and small tables they share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.session import session

REAL_CSV = Path(__file__).parents[2] / "shared" / "data" / "womens_clothing_reviews.csv"


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    built = session(
        "tests",
        master="local[2,2]",
        conf={
            "spark.sql.shuffle.partitions": "2",
            "spark.default.parallelism": "2",
            "spark.databricks.delta.snapshotPartitions": "1",
            "spark.driver.memory": "3g",
            "spark.sql.warehouse.dir": "/tmp/spark_sentiment_tests_warehouse",
        },
    )
    built.sparkContext.setLogLevel("ERROR")
    yield built
    built.stop()


@pytest.fixture(scope="session")
def real_csv() -> Path:
    """The Women's E-Commerce Clothing Reviews, which are not part of this repository."""
    if not REAL_CSV.is_file():
        pytest.skip(f"needs the real reviews at {REAL_CSV.name} beside the project; not there")
    return REAL_CSV
