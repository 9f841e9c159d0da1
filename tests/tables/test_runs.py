"""Finished runs: which run stands for a model."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.errors import RunConflictError
from spark_sentiment.tables.delta import Tables
from spark_sentiment.tables.runs import Run, code_digest, finished_runs


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, str(tmp_path))


def finish(tables: Tables, run_id: str, made_of: str | None) -> None:
    with Run(tables, run_id, {}) as run:
        run.set_model(f"/models/{run_id}", made_of)


def test_no_run_has_finished_before_the_first(tables: Tables) -> None:
    assert finished_runs(tables, code_digest()) == {}


def test_the_newest_finished_run_stands_for_its_model(tables: Tables) -> None:
    for run_id, made_of in (("a", "1"), ("b", "2"), ("c", "1")):
        finish(tables, run_id, made_of)
    found = finished_runs(tables, code_digest())
    assert {key: (row.run_id, row.model_path) for key, row in found.items()} == {
        "1": ("c", "/models/c"),
        "2": ("b", "/models/b"),
    }


def test_a_run_that_failed_stands_for_no_model(tables: Tables) -> None:
    run = Run(tables, "a", {})
    run.set_model("/models/a", "1")
    with pytest.raises(KeyError), run:
        raise KeyError
    assert finished_runs(tables, code_digest()) == {}


def test_a_run_that_only_used_a_model_does_not_stand_for_it(tables: Tables) -> None:
    finish(tables, "score", None)
    assert finished_runs(tables, code_digest()) == {}


def test_a_run_of_other_code_stands_for_no_model(tables: Tables) -> None:
    finish(tables, "a", "1")
    assert finished_runs(tables, "0" * 64) == {}


def test_a_run_goes_on_where_its_tables_were_moved_to(spark: SparkSession, tmp_path: Path) -> None:
    settings = {"split": {"seed": 7}, "output": {"base": str(tmp_path / "old")}}
    with Run(Tables(spark, str(tmp_path / "old")), "a", settings) as run:
        run.set_model("/models/a", "1")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = settings | {"output": {"base": str(tmp_path / "new")}}
    finished = Run(Tables(spark, str(tmp_path / "new")), "a", moved).finished()
    assert finished is not None
    assert finished["model_path"] == "/models/a"


def test_a_run_that_is_refused_says_which_keys_differ(tables: Tables) -> None:
    with Run(tables, "a", {"split": {"seed": 7, "test": 0.2}, "features": None}, inputs="1"):
        pass
    changed = {"split": {"seed": 8, "test": 0.2}, "features": ["tfidf"]}
    with pytest.raises(RunConflictError, match=r"inputs \(features, split\.seed\); nothing"):
        Run(tables, "a", changed, inputs="1").finished()
    same = {"split": {"seed": 7, "test": 0.2}, "features": None}
    with pytest.raises(RunConflictError, match=r"other inputs \(the inputs\); nothing"):
        Run(tables, "a", same, inputs="2").finished()
