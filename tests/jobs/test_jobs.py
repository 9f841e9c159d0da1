"""The three jobs, end to end, on generated reviews."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from helpers.checkpoints import shared_tiny_checkpoint
from helpers.readme import ROOT
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.core import jvm
from spark_sentiment.jobs import bias as measure
from spark_sentiment.jobs import config, runner, score, train, workspace
from spark_sentiment.tables.delta import Tables
from spark_sentiment.tables.runs import Run
from spark_sentiment.tables.schemas import TABLES

LOCAL = str(ROOT / "conf" / "local.yaml")
ROWS = 300  # that conf/base.yaml generates


def arguments(base: Path, *settings: str) -> list[str]:
    """Return the command line of a job with a tiny BERT model; test_readme_command has the real."""
    tiny = f"embedding.model_path={shared_tiny_checkpoint()}"
    wanted = [f"output.base={base}", tiny, *settings]
    return [LOCAL, *(word for setting in wanted for word in ("--set", setting))]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> tuple[Path, str]:
    """A folder of tables in which one training run has finished, and what the run printed."""
    folder, said = tmp_path_factory.mktemp("jobs") / "out", io.StringIO()
    with contextlib.redirect_stdout(said):
        code = runner.run("train", train.main, arguments(folder, "run.id=first"))
    assert code == runner.OK
    return folder, said.getvalue()


@pytest.fixture(scope="module")
def base(first: tuple[Path, str]) -> Path:
    return first[0]


@pytest.fixture
def tables(spark: SparkSession, base: Path) -> Tables:
    return Tables(spark, str(base))


def of_run(tables: Tables, name: str, run: str) -> DataFrame:
    return tables.read(name).where(F.col("run_id") == run)


def test_a_summary_is_printed_at_the_end(first: tuple[Path, str]) -> None:
    assert re.search(r"Accuracy 0\.\d+, macro-F1 0\.\d+ on \d+ held-out rows", first[1])


def test_every_row_read_is_a_review_or_rejected(tables: Tables) -> None:
    row = tables.read("runs").where("run_id = 'first' and status = 'finished'").head()
    assert row is not None
    # Later runs of this file add reviews: those of the version that this run wrote are its own.
    (version,) = {entry.version for entry in row.writes if entry.table == "reviews"}
    kept = tables.read("reviews", version).count()
    assert kept > 0
    assert kept + of_run(tables, "reviews_rejected", "first").count() == ROWS


def test_where_no_row_is_rejected_no_table_of_them_is_made(tables: Tables) -> None:
    assert not tables.exists("reviews_rejected")
    assert {name for name in TABLES if tables.last_version(name) is not None} == set(TABLES) - {
        "reviews_rejected"
    }


def test_held_out_reviews_alone_are_predicted(tables: Tables) -> None:
    held_out = of_run(tables, "features", "first").where("split = 'test'").select("review_id")
    predicted = of_run(tables, "predictions", "first").select("review_id")
    assert predicted.count() > 0
    assert sorted(held_out.collect()) == sorted(predicted.collect())


def test_no_text_is_in_both_parts(tables: Tables) -> None:
    splits = of_run(tables, "features", "first").groupBy("text_hash")
    assert splits.agg(F.countDistinct("split").alias("n")).where("n > 1").count() == 0


def test_accuracy_follows_from_the_predictions(tables: Tables) -> None:
    predicted = of_run(tables, "predictions", "first")
    right = predicted.where("prediction = label").count() / predicted.count()
    written = of_run(tables, "evaluations", "first").where("metric = 'accuracy'").head()
    assert written is not None
    assert written["value"] == pytest.approx(right)


def test_bias_is_measured_before_and_after_training(tables: Tables) -> None:
    metrics = of_run(tables, "bias_metrics", "first")
    phases = {(row.phase, row.metric) for row in metrics.select("phase", "metric").collect()}
    assert {("pre", "CI"), ("pre", "DPL"), ("post", "DPPL")} <= phases


def test_a_run_names_versions_that_give_back_what_it_saw(tables: Tables) -> None:
    row = tables.read("runs").where("run_id = 'first' and status = 'finished'").head()
    assert row is not None
    assert json.loads(row.config)["run"]["id"] == "first"
    assert len(row.code_digest) == 64
    written = {entry.table: entry.version for entry in row.writes}
    assert {"reviews", "features", "embeddings", "predictions", "evaluations"} <= set(written)
    then = tables.read("predictions", written["predictions"]).where("run_id = 'first'")
    assert then.count() == of_run(tables, "predictions", "first").count()


def test_a_run_that_has_finished_is_not_run_again(
    tables: Tables, first: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: tables.last_version(name) for name in TABLES}
    assert runner.run("train", train.main, arguments(first[0], "run.id=first")) == runner.OK
    again = capsys.readouterr()
    assert again.out == first[1]
    assert "training" not in again.err
    assert {name: tables.last_version(name) for name in TABLES} == before


def test_the_same_without_a_run_id_is_the_run_that_has_finished(
    first: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.run("train", train.main, arguments(first[0])) == runner.OK
    again = capsys.readouterr()
    assert again.out == first[1]
    assert "run first has finished before (--set run.id=NAME runs it again)" in again.err


@pytest.mark.long
def test_a_lost_model_is_made_again_and_nothing_else(tables: Tables, base: Path) -> None:
    names = set(TABLES) - {"runs"}
    before = {name: tables.last_version(name) for name in names}
    shutil.rmtree(base / "models" / "first")
    assert runner.run("train", train.main, arguments(base, "run.id=first")) == runner.OK
    assert (base / "models" / "first" / "metadata").is_dir()
    assert {name: tables.last_version(name) for name in names} == before


@pytest.mark.long
def test_a_folder_that_holds_the_model_of_a_later_run_is_written_again(base: Path) -> None:
    said = base / "models" / "first" / "model_fingerprint.txt"
    own = said.read_text()
    said.write_text("0" * 64)
    (said.parent / f".{said.name}.crc").unlink(missing_ok=True)
    assert runner.run("train", train.main, arguments(base, "run.id=first")) == runner.OK
    assert said.read_text() == own


def test_the_newest_model_is_of_a_training_run(tmp_path: Path, spark: SparkSession) -> None:
    tables = Tables(spark, str(tmp_path))
    for run_id, path, made_of in (("a", "/a", "1"), ("b", "/b", "2"), ("score", "/a", None)):
        with Run(tables, run_id, {}) as run:
            run.set_model(path, made_of)
    conf = config.load(LOCAL, [f"output.base={tmp_path}"])
    assert workspace.newest_model(conf, tables) == "/b"
    jvm.write_text(spark, f"{tmp_path}/models/b/model_fingerprint.txt", "2")
    assert workspace.newest_model(conf, tables) == f"{tmp_path}/models/b"


def test_tables_and_model_that_were_moved_are_known_again(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(base, tmp_path / "moved")
    assert runner.run("train", train.main, arguments(moved, "run.id=first")) == runner.OK
    said = capsys.readouterr()
    assert f"Model: {moved}/models/first" in said.out
    assert "training" not in said.err


def test_a_damaged_table_ends_a_job_with_one_line(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(base, tmp_path / "damaged")
    for file in (moved / "reviews").glob("*.parquet"):
        file.unlink()
    assert runner.run("bias", measure.main, arguments(moved)) == runner.REFUSED
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"bias: TableError: table 'reviews' ({moved}/reviews): cannot read it")


def test_a_run_id_with_another_input_is_refused(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = arguments(base, "run.id=first", "reviews.generated.seed=8")
    assert runner.run("train", train.main, changed) == runner.REFUSED
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("train: RunConflictError: run 'first' was started before")


def test_the_saved_model_scores_new_reviews(
    base: Path, tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    new = arguments(base, "run.id=scored", "reviews.generated.rows=60", "reviews.generated.seed=9")
    assert runner.run("score", score.main, new) == runner.OK
    assert "Predicted" in capsys.readouterr().out
    predicted = of_run(tables, "predictions", "scored")
    assert predicted.count() == 60 - of_run(tables, "reviews_rejected", "scored").count()
    assert {row.model for row in predicted.select("model").distinct().collect()} == {
        f"{base}/models/first"
    }


@pytest.mark.long
def test_the_saved_model_works_without_the_jobs(base: Path, spark: SparkSession) -> None:
    model = PipelineModel.load(f"{base}/models/first")
    new = spark.createDataFrame(
        [("r1", "Lovely", "so soft and it fits", None, 30, "General")],
        "review_id string, title string, review_text string, rating int, age int, division string",
    )
    row = model.transform(new).head()
    assert row is not None
    assert sum(row.probability) == pytest.approx(1.0)


def test_bias_of_the_newest_predictions(
    base: Path, tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.run("bias", measure.main, arguments(base, "run.id=audit")) == runner.OK
    assert "metrics of predictions of run" in capsys.readouterr().out
    phases = of_run(tables, "bias_metrics", "audit").select("phase").distinct().collect()
    assert {row.phase for row in phases} == {"pre", "post"}


def test_bias_of_any_table(base: Path, tables: Tables, spark: SparkSession, tmp_path: Path) -> None:
    rows = [(1.0, "a")] * 6 + [(0.0, "a")] * 2 + [(1.0, "b")] * 1 + [(0.0, "b")] * 3
    spark.createDataFrame(rows, "hired double, team string").write.parquet(str(tmp_path / "t"))
    wanted = [
        f"table.path={tmp_path / 't'}",
        "table.format=parquet",
        "table.label=hired",
        "bias.facets=[{column: team, values: [b]}]",
        "bias.group=null",
        "bias.positive=[1.0]",
        "run.id=any",
    ]
    assert runner.run("bias", measure.main, arguments(base, *wanted)) == runner.OK
    row = of_run(tables, "bias_metrics", "any").where("metric = 'DPL'").head()
    assert row is not None
    assert row.value == pytest.approx(6 / 8 - 1 / 4)  # q_a - q_d by hand


def test_bias_of_a_csv_file(
    base: Path, tables: Tables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Group d are the rows above 40: 1 of 4 is hired, of the others 6 of 8."""
    old = [(1, 50), (0, "41.5"), (0, 60), (0, 44)]
    young = [(1, 20)] * 6 + [(0, 30), (0, 40)]
    lines = [
        f'{hired};{age};"said: ""fine"";\nthen {i}"' for i, (hired, age) in enumerate(old + young)
    ]
    path = tmp_path / "t [1].csv"
    path.write_text("hired;age;said\n" + "\n".join(lines) + "\n")
    wanted = [
        f"table.path={path}",
        "table.format=csv",
        "table.delimiter=;",
        "table.label=hired",
        "bias.facets=[{column: age, threshold: 40}]",
        "bias.group=null",
        "bias.positive=[1.0]",
    ]
    assert runner.run("bias", measure.main, arguments(base, *wanted, "run.id=csv")) == runner.OK
    row = of_run(tables, "bias_metrics", "csv").where("metric = 'DPL'").head()
    assert row is not None
    assert row.value == pytest.approx(6 / 8 - 1 / 4)  # q_a - q_d by hand
    path.write_text("hired;age;said\n" + "\n".join(lines) + '\n1;30;"SECRET\n')
    assert runner.run("bias", measure.main, arguments(base, *wanted)) == runner.REFUSED
    path.write_text("hired;age;said\n" + "\n".join(lines) + "\n1;SECRET;x\n")
    assert runner.run("bias", measure.main, arguments(base, *wanted)) == runner.REFUSED
    refusals = [line for line in capsys.readouterr().err.splitlines() if "DataError" in line]
    assert "record 13 of " in refusals[0]
    assert "column 'age' has 1 values that are not numbers" in refusals[1]
    assert "SECRET" not in "".join(refusals)


def test_a_broken_gate_has_its_own_exit_code_after_the_tables_are_written(
    base: Path, tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = "bias.gates=[{metric: CI, facet: age, high: -0.99}]"
    code = runner.run("bias", measure.main, arguments(base, "run.id=gated", gate))
    assert code == runner.GATE_BROKEN
    assert "CI of age in (-inf, -0.99]: found" in capsys.readouterr().err
    assert of_run(tables, "bias_metrics", "gated").count() > 0
    assert tables.read("runs").where("run_id = 'gated' and status = 'finished'").count() == 1


def test_what_cannot_work_is_said_in_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = arguments(tmp_path / "out", "bias.metrics=[DPX]")
    assert runner.run("train", train.main, wanted) == runner.REFUSED
    said = capfd.readouterr().err
    assert "bias.metrics: 'DPX' is not a metric" in said.splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["{a}", "[a]", "a:b", "a\\b", "a,b", "a*", "a?"])
def test_an_output_from_which_no_model_can_be_loaded_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / name / "out"
    assert runner.run("train", train.main, arguments(folder)) == runner.REFUSED
    said = capsys.readouterr().err
    (character,) = set(name) & set("{[:\\,*?")
    assert f"ConfigError: output.base: {folder}/models/RUN has the character '{character}'" in said
    assert "reading reviews" not in said
    assert not folder.parent.exists()


def test_a_model_in_a_folder_that_is_a_pattern_is_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"score.model={tmp_path}/[1]/m"
    assert runner.run("score", score.main, arguments(base, model)) == runner.REFUSED
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        f"score: ConfigError: score.model: {tmp_path}/[1]/m has the character '['"
    )


def test_an_output_that_cannot_be_written_is_found_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    code = runner.run("train", train.main, arguments(tmp_path / "file" / "out"))
    assert code == runner.REFUSED
    assert "reading reviews" not in capsys.readouterr().err
