"""New files of a folder: in batches, each file in one of them."""

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.reviews import new_files


def touch(folder: Path, *names: str) -> None:
    """Make files, each younger than the one before."""
    folder.mkdir(exist_ok=True)
    for age, name in enumerate(names):
        (folder / name).write_text("text")
        os.utime(folder / name, (1_600_000_000 + 1000 * age,) * 2)


def names(files: list[str]) -> list[str]:
    return [file.rpartition("/")[2] for file in files]


def test_the_oldest_files_come_first(spark: SparkSession, tmp_path: Path) -> None:
    touch(tmp_path / "in", "c", "a", "b")
    with new_files(spark, str(tmp_path / "in"), str(tmp_path / "p"), most=2) as batches:
        assert [names(batch.files) for batch in batches] == [["a", "c"], ["b"]]


def test_a_batch_whose_work_fails_comes_again(spark: SparkSession, tmp_path: Path) -> None:
    where = str(tmp_path / "in"), str(tmp_path / "p")
    touch(tmp_path / "in", "a", "b")

    def work() -> list[float]:
        with new_files(spark, *where, most=1) as batches:
            return [1 / (1 - batch.number) for batch in batches]

    with pytest.raises(ZeroDivisionError):
        work()
    touch(tmp_path / "in", "c")
    with new_files(spark, *where, most=1) as batches:
        assert [(batch.number, names(batch.files)) for batch in batches] == [(1, ["b"]), (2, ["c"])]


def test_a_file_that_is_older_than_those_known_is_new_too(
    spark: SparkSession, tmp_path: Path
) -> None:
    where = str(tmp_path / "in"), str(tmp_path / "p")
    for name, year in (("new", 2026), ("old", 1990)):
        touch(tmp_path / "in", name)
        seconds = (year - 1970) * 31_557_600
        os.utime(tmp_path / "in" / name, (seconds, seconds))
        with new_files(spark, *where) as batches:
            assert [names(batch.files) for batch in batches] == [[name]]


def test_several_paths_patterns_and_odd_names(spark: SparkSession, tmp_path: Path) -> None:
    touch(tmp_path / "in [1]", "a b,c.csv", "ü%20.csv", "_ignored.csv")
    touch(tmp_path / "two", "x.csv", "x.txt")
    paths = [str(tmp_path / "in [1]"), str(tmp_path / "two" / "*.csv")]
    with new_files(spark, paths, str(tmp_path / "p")) as batches:
        found = [name for batch in batches for name in names(batch.files)]
    assert sorted(found) == ["a b,c.csv", "x.csv", "ü%20.csv"]
