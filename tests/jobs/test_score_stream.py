"""The scoring job on files as they arrive: each file once, whatever happens in between."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.readme import ROOT
from helpers.streams import COLUMNS, put, save_model
from pyspark.sql import SparkSession

from spark_sentiment.errors import ConfigError, DataError, RunConflictError
from spark_sentiment.jobs import config
from spark_sentiment.jobs.score import Scored, score
from spark_sentiment.reviews import ReadCounts
from spark_sentiment.tables import Tables, last_rows


@pytest.fixture(scope="module")
def model(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_model(tmp_path_factory.mktemp("stream"))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, str(tmp_path / "out"))


@pytest.fixture
def stream(spark: SparkSession, model: str, inbox: Path, tmp_path: Path) -> Callable[..., Scored]:
    def run(*settings: str) -> Scored:
        given = [
            f"reviews.path={inbox}",
            COLUMNS,
            f"output.base={tmp_path}/out",
            f"score.model={model}",
            "score.stream=available",
            *settings,
        ]
        return score(config.load(ROOT / "conf" / "local.yaml", given), spark)

    return run


def predicted(tables: Tables) -> list[tuple[str, float]]:
    rows = tables.read("predictions").select("review_id", "prediction").collect()
    return sorted((row.review_id, row.prediction) for row in rows)


@pytest.mark.long
def test_each_file_is_scored_once(
    stream: Callable[..., Scored], inbox: Path, tables: Tables
) -> None:
    put(inbox, "monday", "I love it", "too small")
    first = stream()
    assert (first.files, first.intake.read, first.classes) == (1, 2, (1, 0, 1))
    assert (stream().files, stream().intake) == (0, ReadCounts(0, {}))
    put(inbox, "tuesday", "we love it")
    assert stream().files == 1
    assert predicted(tables) == [("monday-0", 2.0), ("monday-1", 0.0), ("tuesday-0", 2.0)]
    assert tables.read("reviews").count() == 3
    assert [row.status for row in last_rows(tables).collect()] == ["finished"]


@pytest.mark.long
def test_a_batch_has_at_most_so_many_files_and_the_log_one_number_for_all(
    stream: Callable[..., Scored], inbox: Path, tables: Tables
) -> None:
    for name in "abc":
        put(inbox, name, "love")
    assert stream("score.files_per_batch=2").files == 3
    assert tables.version("predictions") == 1  # two batches, two commits
    state = tables._open("predictions")
    assert state.snapshot.numOfSetTransactions() == 1


def undo_last_commit(tmp_path: Path) -> None:
    """Bring the progress into the state of a driver that was killed after it wrote the tables."""
    (folder,) = (tmp_path / "out" / "_streams").iterdir()
    last = max((folder / "commits").glob("[0-9]*"), key=lambda file: int(file.name))
    last.unlink()
    (last.parent / f".{last.name}.crc").unlink()


def test_a_driver_that_was_killed_after_the_write_writes_nothing_twice(
    stream: Callable[..., Scored], inbox: Path, tables: Tables, tmp_path: Path
) -> None:
    put(inbox, "monday", "love", "")
    stream("reviews.max_rejected_share=0.5")
    undo_last_commit(tmp_path)
    put(inbox, "tuesday", "love")
    assert stream("reviews.max_rejected_share=0.5").files == 2  # monday's batch again
    assert predicted(tables) == [("monday-0", 2.0), ("tuesday-0", 2.0)]
    assert tables.read("reviews").count() == 2
    assert tables.read("reviews_rejected").count() == 1


@pytest.mark.long
def test_other_content_under_the_number_of_a_batch_is_refused(
    stream: Callable[..., Scored], inbox: Path, tables: Tables, tmp_path: Path
) -> None:
    put(inbox, "monday", "love")
    stream()
    undo_last_commit(tmp_path)
    put(inbox, "monday", "hate")
    with pytest.raises(RunConflictError, match="has already appended other input"):
        stream()
    assert predicted(tables) == [("monday-0", 2.0)]


@pytest.mark.long
def test_a_lost_checkpoint_is_refused_where_batches_were_written(
    stream: Callable[..., Scored], inbox: Path, tables: Tables, tmp_path: Path
) -> None:
    for name in ("monday", "tuesday"):
        put(inbox, name, "love")
        stream()
    shutil.rmtree(tmp_path / "out" / "_streams")
    with pytest.raises(RunConflictError, match="appended batch 1, and this is batch 0; nothing"):
        stream()
    assert len(predicted(tables)) == 2


@pytest.mark.long
def test_a_bad_file_stops_the_stream_and_once_corrected_it_goes_on(
    stream: Callable[..., Scored], inbox: Path, tables: Tables
) -> None:
    put(inbox, "a", "love")
    stream()
    put(inbox, "b", "")
    with pytest.raises(DataError, match="1 of 1 rows rejected") as caught:
        stream()
    assert caught.value.__notes__[0].startswith("Batch 1 of the stream holds 1 files: ")
    assert "/inbox/b.csv\n" in caught.value.__notes__[0]
    put(inbox, "b", "love")
    put(inbox, "c", "love")
    assert stream().files == 2
    assert [name for name, _ in predicted(tables)] == ["a-0", "b-0", "c-0"]


@pytest.mark.long
def test_a_bad_file_that_is_deleted_is_passed_over(
    stream: Callable[..., Scored], inbox: Path, tables: Tables
) -> None:
    put(inbox, "a", "")
    with pytest.raises(DataError):
        stream()
    (inbox / "a.csv").unlink()
    put(inbox, "b", "love")
    assert stream().files == 1
    assert [name for name, _ in predicted(tables)] == ["b-0"]


def test_files_without_rows_are_no_fault(
    stream: Callable[..., Scored], inbox: Path, tables: Tables
) -> None:
    (inbox / "empty.csv").touch()
    (inbox / "header.csv").write_text("id,text\n")
    assert (stream().files, tables.exists("predictions")) == (1, False)


@pytest.mark.long
def test_another_folder_under_the_same_id_is_refused(
    stream: Callable[..., Scored], inbox: Path, tmp_path: Path
) -> None:
    put(inbox, "a", "love")
    stream("run.id=nightly")
    (tmp_path / "other").mkdir()
    with pytest.raises(RunConflictError, match=r"\(reviews\.path\)"):
        stream("run.id=nightly", f"reviews.path={tmp_path}/other")


@pytest.mark.long
def test_another_limit_is_no_conflict(stream: Callable[..., Scored], inbox: Path) -> None:
    put(inbox, "a", "love", "")
    with pytest.raises(DataError, match=r"50\.00%"):
        stream("run.id=nightly")
    assert stream("run.id=nightly", "reviews.max_rejected_share=0.5").files == 1


@pytest.mark.long
def test_two_folders_are_two_streams(
    stream: Callable[..., Scored], inbox: Path, tmp_path: Path, tables: Tables
) -> None:
    put(inbox, "a", "love")
    (tmp_path / "other").mkdir()
    put(tmp_path / "other", "b", "love")
    ids = {stream().run_id, stream(f"reviews.path={tmp_path}/other").run_id}
    assert len(ids) == 2
    assert len(predicted(tables)) == 2


def test_a_folder_that_does_not_exist_is_named(stream: Callable[..., Scored], inbox: Path) -> None:
    inbox.rmdir()
    with pytest.raises(DataError, match=r"inbox: there is no such file"):
        stream()


@pytest.mark.parametrize(
    ("settings", "found"),
    [(["reviews.path=null"], "no path"), (["reviews.format=delta"], "format delta")],
)
def test_a_stream_reads_files(
    stream: Callable[..., Scored], settings: list[str], found: str
) -> None:
    with pytest.raises(ConfigError, match=rf"score\.stream: .* reviews has {found}; name a"):
        stream(*settings)
