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
    ("settings", "small"),
    [
        ([f"reviews.generated.rows={runner.SMALL_ROWS}"], True),
        ([f"reviews.generated.rows={runner.SMALL_ROWS + 1}"], False),
        (["reviews.path=s3a://lake/reviews.csv"], False),
        (["reviews.path=no/such/file.csv"], False),
        (["reviews.path={folder}/small.csv"], True),
        (["reviews.path={folder}/small.csv", "reviews.format=parquet"], False),
        (["reviews.path={folder}"], False),
    ],
)
def test_reviews_are_few_where_that_is_known_before_spark_starts(
    settings: list[str], small: bool, tmp_path: Path
) -> None:
    (tmp_path / "small.csv").write_bytes(b"text")
    with (tmp_path / "large.csv").open("wb") as file:
        file.truncate(runner.SMALL_BYTES)
    conf = config.load(LOCAL, [setting.format(folder=tmp_path) for setting in settings])
    assert runner.is_small(conf.reviews) == small
