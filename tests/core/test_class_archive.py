"""Spark's classes are archived by one session and used by the next; nothing depends on it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.core import class_archive
from spark_sentiment.core.class_archive import java_options, make

ARCHIVE = """
from spark_sentiment.core import class_archive
from spark_sentiment.session import get_session
spark = get_session("archive", "local[1]")
print("ROWS", spark.range(3).count())
made = class_archive.make(spark)
print("MADE", None if made is None else made.wait(120))
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the archives, which is empty."""
    monkeypatch.setenv("SPARK_SENTIMENT_CACHE", str(tmp_path))
    (tmp_path / "classes").mkdir()
    return tmp_path / "classes"


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    path = tmp_path / "some.jar"
    path.write_text("classes")
    return path


def start(cache: Path, seen: Path) -> str:
    """Start a session in a new process; Java notes in `seen` where it has each class from."""
    environment = {
        **os.environ,
        "SPARK_SENTIMENT_CACHE": str(cache),
        "JDK_JAVA_OPTIONS": f"-Xlog:class+load:file={seen}",
    }
    command = [sys.executable, "-c", ARCHIVE]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=True
    ).stdout


@pytest.mark.long
@pytest.mark.jars
def test_the_second_session_maps_sparks_classes_from_the_archive(tmp_path: Path) -> None:
    cache = tmp_path / "a folder"
    first = start(cache, tmp_path / "first.log")
    if "MADE None" in first:
        pytest.skip("Delta's jars were fetched by this session; only the next one lists classes")
    assert first.split() == ["ROWS", "3", "MADE", "0"]
    assert [file.suffix for file in (cache / "classes").iterdir()] == [".jsa"]
    second = start(cache, tmp_path / "second.log")
    assert second.split() == ["ROWS", "3", "MADE", "None"]
    loaded = (tmp_path / "second.log").read_text()
    assert "org.apache.spark.SparkContext source: shared objects file" in loaded
    assert "io.delta.sql.DeltaSparkSessionExtension source: shared objects file" in loaded


def test_without_an_archive_java_lists_its_classes(kept: Path, jar: Path) -> None:
    assert "-XX:DumpLoadedClassList=" in java_options("Java 17", [jar])


def test_an_archive_is_used_while_java_and_jars_are_the_same(kept: Path, jar: Path) -> None:
    listed = java_options("Java 17", [jar]).split('"')[1]
    Path(listed.rpartition("-")[0] + ".jsa").write_text("archive")
    assert "-XX:SharedArchiveFile=" in java_options("Java 17", [jar])
    assert "-XX:DumpLoadedClassList=" in java_options("Java 21", [jar])
    jar.write_text("other classes")
    assert "-XX:DumpLoadedClassList=" in java_options("Java 17", [jar])


def test_where_java_cannot_make_an_archive_no_later_session_tries(kept: Path, jar: Path) -> None:
    listed = Path(java_options("Java 17", [jar]).split('"')[1])
    listed.write_text("java/lang/Object")
    archive = listed.with_name(listed.name.rpartition("-")[0] + ".jsa")
    class_archive.start_making("/bin/false", listed, archive, str(jar)).wait(60)
    assert archive.read_bytes() == b""
    assert not listed.exists()
    assert java_options("Java 17", [jar]) == ""


def test_a_jar_that_is_missing_is_no_error(kept: Path, tmp_path: Path) -> None:
    assert java_options("Java 17", [tmp_path / "none.jar"]) == ""


def test_what_is_not_used_for_long_is_deleted(kept: Path, jar: Path) -> None:
    for name, days in {"a.jsa": 31, "b.jsa": 29, "c.list": 2, "d.list": 0, "e.jsa.123": 2}.items():
        (kept / name).write_text("classes")
        used = time.time() - days * 86_400
        os.utime(kept / name, (used, used))
    class_archive.delete_unused(kept)
    assert sorted(file.name for file in kept.iterdir()) == ["b.jsa", "d.list"]


def test_a_session_that_lists_no_classes_makes_no_archive(spark: SparkSession) -> None:
    assert make(spark) is None
