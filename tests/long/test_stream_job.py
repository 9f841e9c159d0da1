"""The scoring job on a stream, as a process: killed, and followed."""

import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from helpers.processes import Job, running_job
from helpers.streams import COLUMNS, put, save_model
from pyspark.sql import SparkSession

from spark_sentiment.jobs import runner
from spark_sentiment.tables import Tables, last_rows

WRITTEN = "] writing predictions: "


def job(folder: Path, way: str) -> AbstractContextManager[Job]:
    given = [f"reviews.path={folder}/inbox", COLUMNS, f"output.base={folder}/out"]
    given += [f"score.model={folder}/model", f"score.stream={way}", "score.files_per_batch=1"]
    return running_job("score", *given)


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
        assert second.end() == runner.OK, second.seen
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
        code, told = running.send(signal.SIGINT)
    assert code == runner.INTERRUPTED
    assert all(line.startswith("[") for line in told[:-1])
    assert told[-1] == "score: stopped; tables are readable at their last version"
    assert predicted(spark, folder) == ["early-0", "late-0"]
    row = last_rows(Tables(spark, str(folder / "out"))).head()
    assert (row.status, row.error) == ("failed", "KeyboardInterrupt")
