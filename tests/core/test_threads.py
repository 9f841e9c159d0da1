"""Work in threads: results, errors, and the job group of the caller."""

from threading import Event

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.core import side_by_side


def fail(word: str) -> None:
    raise ValueError(word)


def test_work_returns_its_result(spark: SparkSession) -> None:
    with side_by_side(spark) as beside:
        rows = beside.start(spark.range(3).count)
    assert rows.result() == 3


def test_work_has_the_job_group_of_its_caller(spark: SparkSession) -> None:
    context = spark.sparkContext
    context.setLocalProperty("spark.jobGroup.id", "of the caller")
    try:
        with side_by_side(spark) as beside:
            group = beside.start(context.getLocalProperty, "spark.jobGroup.id")
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    assert group.result() == "of the caller"


def test_the_error_of_work_is_raised_at_the_end(spark: SparkSession) -> None:
    done: list[int] = []

    def body() -> None:
        with side_by_side(spark) as beside:
            beside.start(fail, "first")
            beside.start(done.append, 1)

    with pytest.raises(ValueError, match="first"):
        body()
    assert done == [1]


def test_the_error_of_the_body_is_raised_with_a_note_of_the_other(spark: SparkSession) -> None:
    def body() -> None:
        with side_by_side(spark) as beside:
            beside.start(fail, "of the work")
            raise KeyError("of the body")

    with pytest.raises(KeyError) as caught:
        body()
    assert caught.value.__notes__ == ["Parallel work failed too: of the work"]


def test_a_note_of_an_error_of_java_quotes_no_row(spark: SparkSession) -> None:
    def body() -> None:
        with side_by_side(spark) as beside:
            beside.start(spark.sql("SELECT raise_error('SECRET WORDS')").collect)
            raise KeyError("of the body")

    with pytest.raises(KeyError) as caught:
        body()
    (note,) = caught.value.__notes__
    assert note.startswith("Parallel work failed too: ")
    assert "org.apache.spark.SparkException" in note or "java.lang.RuntimeException" in note
    assert "SECRET" not in note


def test_an_error_that_the_body_was_told_of_is_not_noted_twice(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="told") as caught, side_by_side(spark) as beside:
        beside.start(fail, "told").result()
    assert not hasattr(caught.value, "__notes__")


def test_a_check_raises_what_has_failed_so_far(spark: SparkSession) -> None:
    reached = []

    def body() -> None:
        with side_by_side(spark) as beside:
            reached.append(beside.start(fail, "early").exception())
            beside.check()
            reached.append(None)

    with pytest.raises(ValueError, match="early"):
        body()
    assert [str(error) for error in reached] == ["early"]


def test_an_interrupt_does_not_wait_for_the_work(spark: SparkSession) -> None:
    told, works = Event(), []

    def body() -> None:
        with side_by_side(spark) as beside:
            works.append(beside.start(told.wait, 60))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        body()
    assert not works[0].done()
    told.set()
    assert works[0].result()
