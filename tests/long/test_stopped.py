"""A job that is stopped ends within seconds, and its run is recorded as failed."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.jobs import runner
from spark_sentiment.tables import Tables, last_rows

ROOT = Path(__file__).parents[2]
DEADLINE = 240  # seconds for a job to reach a step on a busy machine
SECONDS = 20  # for a job to end after a signal; writing the row of the run takes most of it


def stopped(step: str, number: int, *settings: str) -> tuple[int, list[str]]:
    """Send a signal to the whole process group of a training job, as a terminal does.

    Return the exit code, and the lines on stderr after the one that says that `step` begins.
    """
    command = [sys.executable, "jobs/train.py", "conf/local.yaml"]
    for setting in ("reviews.generated.rows=3000", *settings):
        command += ["--set", setting]
    child = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stderr is not None
    limit = threading.Timer(DEADLINE, os.killpg, (child.pid, signal.SIGKILL))
    limit.start()
    try:
        seen = []
        for line in child.stderr:
            seen.append(line)
            if f"] {step} ..." in line:
                break
        else:
            raise AssertionError("".join(seen))
        began = time.monotonic()
        os.killpg(child.pid, number)
        told = child.stderr.read().splitlines()
        code = child.wait()
        assert time.monotonic() - began < SECONDS, told
        return code, told
    finally:
        limit.cancel()
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


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
