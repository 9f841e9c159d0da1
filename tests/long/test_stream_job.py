"""The scoring job on a stream, as a process: killed, and followed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from helpers.readme import ROOT
from helpers.streams import COLUMNS, put, save_model
from pyspark.sql import SparkSession

from spark_sentiment.jobs import runner
from spark_sentiment.tables import Tables, last_rows

DEADLINE = 240  # seconds for a job to reach a step on a busy machine
WRITTEN = "] writing predictions: "


class Job:
    """The scoring job as a process of its own."""

    def __init__(self, folder: Path, way: str) -> None:
        given = [f"reviews.path={folder}/inbox", COLUMNS, f"output.base={folder}/out"]
        given += [f"score.model={folder}/model", f"score.stream={way}", "score.files_per_batch=1"]
        command = [sys.executable, "jobs/score.py", "conf/local.yaml"]
        command += [word for setting in given for word in ("--set", setting)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.seen: list[str] = []

    def wait_for(self, part: str) -> None:
        """Read what the job says until a line has `part`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.seen.append(line)
            if part in line:
                return
        raise AssertionError("".join(self.seen))

    def send(self, number: int) -> int:
        """Send a signal to the job and all its processes; return the exit code."""
        os.killpg(self.process.pid, number)
        assert self.process.stderr is not None
        self.seen += self.process.stderr.readlines()
        return self.process.wait()


@contextmanager
def job(folder: Path, way: str) -> Iterator[Job]:
    started = Job(folder, way)
    limit = threading.Timer(DEADLINE, os.killpg, (started.process.pid, signal.SIGKILL))
    limit.start()
    try:
        yield started
    finally:
        limit.cancel()
        with suppress(ProcessLookupError):
            os.killpg(started.process.pid, signal.SIGKILL)
        started.process.wait()


@pytest.fixture
def folder(spark: SparkSession, tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    save_model(tmp_path)
    return tmp_path


def predicted(spark: SparkSession, folder: Path) -> list[str]:
    rows = Tables(spark, str(folder / "out")).read("predictions").select("review_id").collect()
    return sorted(row.review_id for row in rows)


@pytest.mark.long
@pytest.mark.parametrize("step", ["reading reviews ...", "writing predictions ...", WRITTEN])
def test_a_killed_job_goes_on_and_writes_nothing_twice(
    step: str, spark: SparkSession, folder: Path
) -> None:
    names = "abc"
    for name in names:
        put(folder / "inbox", name, "love", "hate")
    with job(folder, "available") as first:
        first.wait_for("batch 1: ")
        first.wait_for(step)
        first.send(signal.SIGKILL)
    with job(folder, "available") as second:
        assert second.process.communicate()[0] is None
        assert second.process.returncode == runner.OK
    assert predicted(spark, folder) == [f"{name}-{row}" for name in names for row in (0, 1)]
    assert Tables(spark, str(folder / "out")).read("reviews").count() == 6


@pytest.mark.long
def test_a_continuous_job_scores_a_file_that_comes_later_and_stops_at_ctrl_c(
    spark: SparkSession, folder: Path
) -> None:
    with job(folder, "continuous") as running:
        put(folder / "inbox", "early", "love")
        running.wait_for(WRITTEN)
        put(folder / "inbox", "late", "love")
        running.wait_for(WRITTEN)
        seen = len(running.seen)
        assert running.send(signal.SIGINT) == runner.INTERRUPTED
    assert all(line.startswith("[") for line in running.seen[seen:-1])
    assert running.seen[-1] == "score: stopped; tables are readable at their last version\n"
    assert predicted(spark, folder) == ["early-0", "late-0"]
    row = last_rows(Tables(spark, str(folder / "out"))).head()
    assert (row.status, row.error) == ("failed", "KeyboardInterrupt")
