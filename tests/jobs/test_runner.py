"""How jobs begin and end: command line, progress, exit codes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.errors import DataError, GateError
from spark_sentiment.jobs import config, runner
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.runner import Steps

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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


def small_job(body: str, **pipes: int) -> "subprocess.Popen[str]":
    """Start `body` as the work of a job in a process of its own, without Spark."""
    script = f"""
import sys, time
from spark_sentiment.jobs import runner

def work():
    {body}
    return runner.OK

sys.exit(runner.exit_code("t", work, "nothing was changed"))
"""
    given = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, **pipes}
    return subprocess.Popen([sys.executable, "-c", script], text=True, **given)  # type: ignore[call-overload,no-any-return]


def test_a_second_signal_ends_a_job_that_does_not_answer_the_first() -> None:
    stubborn = """
    try:
        runner.show("ready")
        time.sleep(600)
    except KeyboardInterrupt:
        time.sleep(0.6)
        runner.show("cleaning up")
        time.sleep(600)
"""
    with small_job(stubborn) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        job.send_signal(signal.SIGINT)
        assert job.stdout.readline() == "cleaning up\n"
        job.send_signal(signal.SIGINT)
        assert job.wait(60) == runner.INTERRUPTED


def test_the_signals_of_a_process_are_handled_only_while_a_job_runs() -> None:
    before = [signal.getsignal(number) for number in STOPS]
    assert runner.exit_code("t", lambda: runner.OK, "") == runner.OK
    assert [signal.getsignal(number) for number in STOPS] == before


@pytest.mark.parametrize("number", STOPS)
def test_each_signal_stops_a_job_with_one_line(
    number: signal.Signals, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        signal.raise_signal(number)
        return runner.OK

    before = signal.getsignal(number)
    if before == signal.SIG_IGN:  # these tests themselves may run under nohup
        signal.signal(number, signal.SIG_DFL)
    try:
        code = runner.exit_code("t", work, "nothing was changed")
    finally:
        signal.signal(number, before)
    assert code == runner.INTERRUPTED
    assert capsys.readouterr().err == "t: stopped; nothing was changed\n"
    spark.sparkContext.setLogLevel("ERROR")  # a stop turns the log off
    assert spark.range(3).count() == 3


def test_a_stop_is_told_if_the_work_ends_in_another_error(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("a job was cancelled") from None
        return runner.OK

    assert runner.exit_code("t", work, "nothing was changed") == runner.INTERRUPTED
    assert capsys.readouterr().err == "t: stopped; nothing was changed\n"
    spark.sparkContext.setLogLevel("ERROR")


def test_a_hangup_under_nohup_does_not_stop_a_job() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        def work() -> int:
            signal.raise_signal(signal.SIGHUP)
            return runner.OK

        assert runner.exit_code("t", work, "") == runner.OK
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_job_whose_reader_has_gone_does_its_work_quietly(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = tmp_path / "done"
    body = f"runner.show('one'); runner.Steps().say('two'); open({str(done)!r}, 'w').close()"
    with small_job(body, stdout=writer) as job:
        os.close(writer)
        assert "two" in job.communicate(timeout=60)[1]
    assert job.returncode == runner.OK
    assert done.exists()


def test_an_output_that_cannot_be_written_is_a_fault() -> None:
    with open("/dev/full", "w") as full, small_job("runner.show('one')", stdout=full) as job:  # type: ignore[arg-type]
        assert "No space left on device" in job.communicate(timeout=60)[1]
    assert job.returncode == runner.CRASHED


def test_an_option_calls_another_function(spark: SparkSession) -> None:
    called: list[str] = []

    def train(conf: Config, spark: SparkSession, steps: Steps) -> None:
        """Train."""
        called.append("train")

    def look(conf: Config, spark: SparkSession, steps: Steps) -> None:
        """Look."""
        called.append("look")

    for arguments in ([LOCAL], [LOCAL, "--look"]):
        assert runner.run("x", train, arguments, options={"--look": look}) == 0
    assert called == ["train", "look"]
