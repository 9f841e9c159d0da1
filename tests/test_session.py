"""Java is checked in one line that says what to do, and asked for no class twice."""

import subprocess
import sys
from pathlib import Path

import pytest
from py4j import protocol
from py4j.clientserver import JavaClient
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_sentiment.errors import SetupError
from spark_sentiment.session import _with_retries, check_java, get_session


def fake_java(home: Path, line: str, code: int = 0) -> None:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{line}' >&2\nexit {code}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("line", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "11.0.2" 2019-01-15', 11),
        ('java version "1.8.0_392"', 8),
    ],
)
def test_every_java_that_spark_runs_on_is_taken(
    line: str, major: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path, line)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert check_java() == major


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ('openjdk version "21.0.1"', 0, "is Java 21; Spark 3.5 runs on Java 8, 11 or 17"),
        ("something else", 0, "of an unknown version"),
        ("broken", 1, "-version' failed"),
    ],
)
def test_a_wrong_java_is_one_line_that_says_what_to_do(
    line: str, code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path, line, code)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match=says) as caught:
        check_java()
    assert "install OpenJDK 17" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    with pytest.raises(SetupError, match=r"JAVA_HOME is .*none"):
        check_java()


def test_no_java_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="no 'java' on PATH"):
        check_java()


def test_an_active_session_is_used_as_it_is(spark: SparkSession) -> None:
    assert get_session("other", master="local[7]").sparkContext is spark.sparkContext
    assert spark.sparkContext.master != "local[7]"


def test_columns_are_made_without_looking_for_classes(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get_session("tests") is spark
    asked: list[str] = []
    send = JavaClient.send_command

    def listen(client: JavaClient, command: str, *args: object, **kwargs: object) -> object:
        asked.append(command)
        return send(client, command, *args, **kwargs)

    monkeypatch.setattr(JavaClient, "send_command", listen)
    F.transform("texts", lambda text: F.concat(F.lit("a"), text))
    lookup = protocol.REFLECTION_COMMAND_NAME + protocol.REFL_GET_UNKNOWN_SUB_COMMAND_NAME
    looked_for = [command.removeprefix(lookup) for command in asked if command.startswith(lookup)]
    assert asked
    assert all(name.startswith("org.apache.spark.sql.catalyst.") for name in looked_for)


START = """
from spark_sentiment.session import get_session
spark = get_session("rows", "local[1]", {conf}, expected_rows={rows})
print(spark.conf.get("spark.sql.codegen.wholeStage"), "TieredStopAtLevel=1" in
      spark.conf.get("spark.driver.extraJavaOptions"), spark.range(3).count())
"""


@pytest.mark.long
@pytest.mark.jars
@pytest.mark.parametrize(
    ("rows", "conf", "found"),
    [
        (300, {}, "false True 3"),
        (20_000, {}, "true True 3"),
        (1_000_000, {}, "true False 3"),
        (300, {"spark.sql.codegen.wholeStage": "true"}, "true True 3"),
    ],
)
def test_a_session_compiles_as_much_as_its_rows_are_worth(
    rows: int, conf: dict[str, str], found: str
) -> None:
    command = [sys.executable, "-c", START.format(rows=rows, conf=conf)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.split("\n")[-2] == found


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("local", "local[1,4]"),
        ("local[3]", "local[3,4]"),
        ("local[*]", "local[*,4]"),
        ("local[2,1]", "local[2,1]"),
        ("local-cluster[2,1,1024]", "local-cluster[2,1,1024]"),
        ("yarn", "yarn"),
    ],
)
def test_a_local_master_tries_a_task_as_often_as_a_cluster(given: str, used: str) -> None:
    # Spark's default of spark.task.maxFailures is 4; a local master tries a task once.
    assert _with_retries(given) == used
