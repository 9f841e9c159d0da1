"""A job that is stopped ends within seconds, and its run is recorded as failed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.processes import DEADLINE, running_job
from pyspark.sql import SparkSession

from spark_sentiment.jobs import runner
from spark_sentiment.tables import Tables, last_rows

SECONDS = 20  # for a job to end after a signal; writing the row of the run takes most of it


def stopped(step: str, number: int, *settings: str) -> tuple[int, list[str]]:
    """Send a signal to a training job in `step`; return its exit code and its lines after that."""
    with running_job("train", "reviews.generated.rows=3000", *settings) as job:
        job.wait_for(f"] {step} ...")
        began = time.monotonic()
        code, told = job.send(number)
        assert time.monotonic() - began < SECONDS, told
        return code, told


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("embedding", signal.SIGINT),
        ("embedding", signal.SIGHUP),
        ("training", signal.SIGINT),
    ],
)
def test_a_stopped_job_ends_at_once_and_its_run_is_recorded(
    step: str, number: int, spark: SparkSession, tmp_path: Path
) -> None:
    code, told = stopped(step, number, f"output.base={tmp_path}")
    assert code == runner.INTERRUPTED
    assert told[-1] == "train: stopped; tables are readable at their last version"
    assert all(line.startswith("[") for line in told[:-1])  # progress, and nothing of Spark
    row = last_rows(Tables(spark, str(tmp_path))).head()
    assert (row.status, row.error) == ("failed", "KeyboardInterrupt")


@pytest.mark.long
def test_a_job_that_is_stopped_while_spark_starts_ends_at_once(tmp_path: Path) -> None:
    code, told = stopped("starting Spark", signal.SIGINT, f"output.base={tmp_path}")
    assert (code, told) == (
        runner.INTERRUPTED,
        ["train: stopped; tables are readable at their last version"],
    )


KILLED = """
import os, pathlib, signal
from spark_sentiment.session import get_session
from pyspark.sql import functions as F

spark = get_session("killed worker", "local[1]")
seen = pathlib.Path({seen!r})

@F.udf("long")
def once(number):
    if not seen.exists():
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number + 1

print(spark.range(3).select(F.sum(once("id"))).head()[0])
"""


@pytest.mark.long
def test_a_job_on_one_machine_goes_on_after_a_python_worker_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED.format(seen=str(tmp_path / "seen"))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert ended.stdout.split() == ["6"], ended.stderr
    assert (tmp_path / "seen").exists()
