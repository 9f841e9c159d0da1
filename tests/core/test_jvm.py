"""What the library asks of Java: classes, files, detached plans."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import SparkSession
from pyspark.sql.types import StringType, StructType

from spark_sentiment.core import detach, jvm
from spark_sentiment.text import TextCleaner


def test_a_detached_table_has_the_same_rows_and_a_plan_of_its_own(spark: SparkSession) -> None:
    rows = [("It's <b>soft</b>", None), (None, Vectors.dense([1.0, 2.0]))]
    table = spark.createDataFrame(rows, StructType().add("t", StringType()).add("v", VectorUDT()))
    cleaned = TextCleaner(inputCols=["t"], outputCol="clean").transform(table)
    alone = detach(cleaned)
    assert_df_equality(alone, cleaned)
    assert "regexp" in cleaned._jdf.queryExecution().optimizedPlan().toString()
    assert "regexp" not in alone._jdf.queryExecution().optimizedPlan().toString()


def test_files_are_found_with_the_sessions_own_settings(spark: SparkSession) -> None:
    key = "fs.spark-sentiment-test.impl"
    assert jvm.hadoop_conf(spark).get(key) is None
    spark.conf.set(key, "org.apache.hadoop.fs.RawLocalFileSystem")
    try:
        found = jvm.hadoop_conf(spark)
        assert found.get(key) == "org.apache.hadoop.fs.RawLocalFileSystem"
        found.set(key, "changed")
        assert jvm.hadoop_conf(spark).get(key) != "changed"
    finally:
        spark.conf.unset(key)


def test_what_is_set_for_all_sessions_is_seen_by_each(spark: SparkSession) -> None:
    settings = {"fs.spark-sentiment-test.key": "1"}
    assert jvm.set_hadoop(spark, settings)
    assert not jvm.set_hadoop(spark, settings)
    assert jvm.hadoop_conf(spark.newSession()).get("fs.spark-sentiment-test.key") == "1"


def test_the_start_of_a_file_is_decompressed_and_bounded(
    spark: SparkSession, tmp_path: Path
) -> None:
    file = tmp_path / "with blank.txt.gz"
    file.write_bytes(gzip.compress(bytes(range(256)) * 40))
    assert jvm.read_start(spark, file.as_uri(), 300) == bytes(range(256)) + bytes(range(44))
    assert len(jvm.read_start(spark, file.as_uri(), 1 << 20)) == 256 * 40


def test_files_that_are_there_are_told_and_copied(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"12345")
    found = jvm.file_states(spark, str(tmp_path), ["a.bin", "b.bin"])
    assert {name: state.length for name, state in found.items()} == {"a.bin": 5}
    jvm.copy_to_local(spark, str(tmp_path / "a.bin"), tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == b"12345"
    assert {path.name for path in tmp_path.iterdir()} == {"a.bin", "copy.bin"}


def test_a_class_that_spark_lacks_is_told(spark: SparkSession) -> None:
    assert jvm.has_class(spark, "org.apache.spark.sql.delta.DeltaLog")  # of a jar added at start
    assert not jvm.has_class(spark, "com.example.Missing")


def test_the_causes_of_javas_errors_are_listed(spark: SparkSession) -> None:
    with pytest.raises(jvm.JAVA_ERRORS) as caught:
        jvm.java_view(spark).java.lang.Integer.parseInt("x")
    kind, message = next(jvm.java_causes(caught.value))
    assert kind == "java.lang.NumberFormatException"
    assert "x" in message


def test_a_thread_that_has_no_active_session_has_the_one_of_the_process(
    spark: SparkSession,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(SparkSession.getActiveSession).result() is None
        assert pool.submit(jvm.current_session).result() is spark
