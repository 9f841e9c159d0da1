"""How jobs begin and end: command line, progress, exit codes."""

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.errors import DataError, GateError
from spark_sentiment.jobs import config, runner
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.runner import Steps

LOCAL = str(Path(__file__).parents[2] / "conf" / "local.yaml")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (DataError("uid: column 'x' is empty"), runner.REFUSED, "t: DataError: uid: column 'x'"),
        (GateError("DPL of age"), runner.GATE_BROKEN, "t: bias gate broken: DPL of age"),
        (KeyboardInterrupt(), runner.INTERRUPTED, "t: stopped"),
        (ZeroDivisionError("boom"), runner.CRASHED, "ZeroDivisionError: boom"),
    ],
)
def test_each_kind_of_end_has_its_exit_code(
    error: BaseException,
    code: int,
    says: str,
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def main(conf: Config, spark: SparkSession, steps: Steps) -> None:
        """Fail."""
        raise error

    assert runner.run("t", main, [LOCAL]) == code
    said = capsys.readouterr().err
    assert says in said
    assert ("Traceback" in said) == (code == runner.CRASHED)


def test_a_wrong_key_is_refused_before_spark_is_touched(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.run("t", lambda *_: None, [LOCAL, "--set", "splitt.test=1"]) == runner.REFUSED
    assert "splitt: unknown key" in capsys.readouterr().err


def test_steps_say_what_is_done_and_how_fast(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    with steps("reading") as step:
        step.rows = 1200
    begun, ended = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\[ +\d+\.\d s\] reading \.\.\.", begun)
    assert re.fullmatch(r"\[ +\d+\.\d s\] reading: \d+\.\d s, 1,200 rows \([\d,]+ rows/s\)", ended)


def test_a_step_that_fails_does_not_say_that_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    steps = Steps()
    with pytest.raises(ValueError, match="no"), steps("reading"):
        raise ValueError("no")
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert steps.seconds == {}


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        (["reviews.generated.rows=70000"], 70_000),
        (["reviews.path=s3a://lake/reviews.csv"], None),
        (["reviews.path=no/such/file.csv"], None),
        (["reviews.path={folder}/reviews.csv"], 1_000),
        (["reviews.path={folder}/reviews.csv", "reviews.format=parquet"], None),
        (["reviews.path={folder}"], 1_000),
    ],
)
def test_rows_are_counted_roughly_where_they_can_be_before_spark_starts(
    settings: list[str], rows: int | None, tmp_path: Path
) -> None:
    # The Women's E-Commerce Clothing Reviews have 23,486 rows in 8,483,448 bytes: 361 each.
    (tmp_path / "reviews.csv").write_bytes(b"x" * 361_000)
    conf = config.load(LOCAL, [setting.format(folder=tmp_path) for setting in settings])
    assert runner.expected_rows(conf.reviews) == (rows and pytest.approx(rows, rel=0.01))


def test_many_rows_are_not_counted(tmp_path: Path) -> None:
    with (tmp_path / "reviews.csv").open("wb") as file:
        file.truncate(100 * 2**20)
    conf = config.load(LOCAL, [f"reviews.path={tmp_path}"])
    assert runner.expected_rows(conf.reviews) is None
