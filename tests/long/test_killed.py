"""A job that is killed in the middle of a write leaves every table as it was."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from helpers import IMPORT_PATH
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.tables.delta import Tables
from spark_sentiment.tables.kept_embeddings import text_hash
from spark_sentiment.tables.runs import Run, last_rows
from spark_sentiment.tables.schemas import TABLES

ROWS = 400
DEADLINE = 240  # seconds for a JVM to start on a busy machine

JOB = """
import sys
sys.path[:0] = {tests!r}
from spark_sentiment.session import get_session
from test_killed import job
conf = {{"spark.driver.memory": "1g", "spark.databricks.delta.snapshotPartitions": "1",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}}
job(get_session("killed", "local[1]", conf), {base!r}, files={files})
"""


def features(spark: SparkSession, files: int) -> DataFrame:
    text = F.concat(F.lit("review "), "id")
    return spark.range(0, ROWS, numPartitions=files).select(
        F.col("id").cast("string").alias("review_id"),
        text.alias("text"),
        text_hash(text).alias("text_hash"),
        (F.col("id") % 3).cast("double").alias("label"),
        F.lit("train").alias("split"),
    )


def job(spark: SparkSession, base: str, files: int) -> None:
    with Run(Tables(spark, base), "r2", {"seed": 1}) as run:
        run.append("features", features(spark, files), fingerprint=run.fingerprint)


def data_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.parquet")}


def kill_at_first_file(folder: Path, base: str, log: Path) -> None:
    """Start the job in a process group of its own, and kill it as its first data file appears."""
    before = data_files(folder)
    # A file takes the child some milliseconds: 400 of them leave ample time to be in the middle.
    script = JOB.format(tests=IMPORT_PATH, base=base, files=ROWS)
    with log.open("w") as out:
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdout=out, stderr=out, start_new_session=True
        )
        try:
            end = time.monotonic() + DEADLINE
            while data_files(folder) == before:
                try:
                    code = child.wait(timeout=0.01)
                except subprocess.TimeoutExpired:
                    assert time.monotonic() < end, log.read_text()[-2000:]
                else:
                    raise AssertionError(f"ended with {code}: {log.read_text()[-2000:]}")
        finally:
            with suppress(ProcessLookupError):  # gone already: it failed by itself
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@pytest.mark.long
def test_a_killed_write_leaves_the_tables_and_the_next_run_completes(
    spark: SparkSession, tmp_path: Path
) -> None:
    base = str(tmp_path / "tables")
    tables = Tables(spark, base)
    tables.create()
    tables.append_once("features", features(spark, 1), "r1")
    versions = {name: tables.version(name) for name in TABLES}
    folder = Path(tables.location("features"))
    before = data_files(folder)

    kill_at_first_file(folder, base, tmp_path / "log.txt")

    left = data_files(folder) - before
    assert 0 < len(left) < ROWS
    assert {name: tables.version(name) for name in TABLES} == versions | {"runs": 1}
    rows = {name: tables.read(name).count() for name in TABLES}
    assert rows == dict.fromkeys(TABLES, 0) | {"features": ROWS, "runs": 1}
    assert last_rows(tables).head().status == "started"

    job(spark, base, files=1)

    written = tables.read("features").where("run_id = 'r2'").drop("run_id", "written_at")
    wanted = features(spark, 1).select(*written.columns)
    assert written.count() == ROWS
    assert written.exceptAll(wanted).isEmpty()
    assert tables.read("features").count() == 2 * ROWS
    assert [(row.run_id, row.status) for row in last_rows(tables).collect()] == [("r2", "finished")]


@pytest.mark.long
def test_a_killed_first_write_leaves_no_table_and_the_next_run_makes_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    base = str(tmp_path / "tables")
    tables = Tables(spark, base)
    folder = Path(tables.location("features"))

    kill_at_first_file(folder, base, tmp_path / "log.txt")

    left = data_files(folder)
    assert 0 < len(left) < ROWS
    assert not tables.exists("features")
    assert tables.read("features").isEmpty()
    assert last_rows(tables).head().status == "started"

    job(spark, base, files=1)

    assert tables.version("features") == 0
    assert tables.read("features").count() == ROWS
    assert left < data_files(folder)
    assert last_rows(tables).head().status == "finished"
