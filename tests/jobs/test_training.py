"""The steps of a training run, each alone, and what each refuses before it works."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from helpers.readme import ROOT
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.errors import DataError, SchemaError, SentimentError, TableError
from spark_sentiment.jobs import config, train, training, workspace
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.runner import Steps
from spark_sentiment.reviews import from_frame
from spark_sentiment.tables import Run, Tables, last_rows

QUIET = Steps(quiet=True)


def settings(folder: Path, *wanted: str) -> Config:
    given = [f"output.base={folder / 'out'}", "reviews.generated.rows=40", *wanted]
    return config.load(str(ROOT / "conf" / "local.yaml"), given)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (
            ["features=[tfidf]", "balance.method=smote"],
            "balance.method: smote needs embeddings only",
        ),
        (["classifier.params={depth: 3}"], "classifier.params: .*depth"),
        (["bias.metrics=[DPX]"], "bias.metrics: 'DPX' is not a metric"),
        (["bias.facets=[{column: agee}]"], "column 'agee' is missing; the columns are"),
        (["embedding.model_path=/nowhere/model"], "/nowhere/model"),
        (["embedding.precision=f64"], "embedding: .*precision"),
    ],
)
def test_what_cannot_work_is_refused_before_any_job(
    wanted: Sequence[str],
    says: str,
    tmp_path: Path,
    spark: SparkSession,
    jobs_run: Callable[[Callable[[], object]], int],
) -> None:
    def check() -> None:
        with pytest.raises(SentimentError, match=says):
            training.check(settings(tmp_path, *wanted), spark, QUIET)

    assert jobs_run(check) == 0


def test_reviews_that_are_not_there_are_named(tmp_path: Path, spark: SparkSession) -> None:
    with pytest.raises(SentimentError, match=r"/nowhere/reviews\.csv"):
        training.ingest(settings(tmp_path, "reviews.path=/nowhere/reviews.csv"), spark, QUIET)


def test_reviews_of_one_class_are_refused(tmp_path: Path, spark: SparkSession) -> None:
    conf = settings(tmp_path, "labels.negative_max=5", "labels.positive_min=6")
    reviews = training.ingest(conf, spark, QUIET).found.reviews
    with pytest.raises(DataError, match=r"one class only \(negative \d+, neutral 0, positive 0\)"):
        training.prepare(conf, reviews, QUIET)


def test_the_digest_of_what_was_read_changes_with_the_rows(
    tmp_path: Path, spark: SparkSession
) -> None:
    first, again, other = (
        training.ingest(settings(tmp_path, f"reviews.generated.seed={seed}"), spark, QUIET).digest
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_digest_does_not_depend_on_files_and_partitions(
    tmp_path: Path, spark: SparkSession
) -> None:
    head, records = "review_id,text,stars\n", [f"r{i},soft {i},{i % 7}\n" for i in range(12)]
    for folder, order, size in (("one", records, 12), ("many", records[::-1], 4)):
        (tmp_path / folder).mkdir()
        for at in range(0, 12, size):
            part = head + "".join(order[at : at + size])
            (tmp_path / folder / f"{folder}-{at}.csv").write_text(part)
    columns = "reviews.columns={review_id: review_id, review_text: text, rating: stars}"
    limit = "reviews.max_rejected_share=0.5"
    one, many = (
        training.ingest(
            settings(tmp_path, f"reviews.path={tmp_path / folder}", columns, limit), spark, QUIET
        )
        for folder in ("one", "many")
    )
    assert one.counts == many.counts
    assert one.counts.rejected == 3
    assert one.digest == many.digest


@pytest.mark.long
def test_the_same_reviews_in_any_format_are_the_same_input(
    tmp_path: Path, spark: SparkSession
) -> None:
    rows = [("soft; \u201cwarm\u201d", 5), ("torn", 1), ("fine", 3)]
    table = spark.createDataFrame(rows, "body string, stars int").coalesce(1)
    (tmp_path / "csv").mkdir()
    lines = "".join(f'"{body}";{stars}\n' for body, stars in rows)
    (tmp_path / "csv" / "x.csv").write_bytes(lines.encode("cp1252"))
    table.write.option("header", True).option("sep", "\t").csv(str(tmp_path / "tsv"))
    table.write.json(str(tmp_path / "json"))
    table.write.parquet(str(tmp_path / "parquet"))
    table.write.format("delta").save(str(tmp_path / "delta"))
    for (body, _), name in zip(rows, ("positive", "negative", "neutral"), strict=True):
        (tmp_path / "folders" / name).mkdir(parents=True)
        (tmp_path / "folders" / name / "1.txt").write_text(body)
    columns = "reviews.columns={review_text: body, rating: stars}"
    digests = {}
    for form in ("csv", "tsv", "json", "parquet", "delta", "folders"):
        given = [f"reviews.format={form}", f"reviews.path={tmp_path / form}", columns]
        if form == "csv":
            given += ["reviews.delimiter=;", "reviews.header=false"]
            given += ["reviews.columns={review_text: _c0, rating: _c1}"]
        digests[form] = training.ingest(settings(tmp_path, *given), spark, QUIET).digest
    assert len(set(digests.values())) == 1, digests


def test_the_detected_encoding_is_told(
    tmp_path: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_bytes("body,stars\ncaf\u00e9,5\n".encode("cp1252"))
    columns = "reviews.columns={review_text: body, rating: stars}"
    conf = settings(tmp_path, f"reviews.path=[{tmp_path / 'x.csv'}]", columns)
    training.ingest(conf, spark, Steps())
    assert "] encoding detected: windows-1252 (x.csv)\n" in capsys.readouterr().err


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    texts = ["soft", "poor", "warm", "soft", "small", "large", "bad", "good", "well", "poor"]
    made = [(f"r{i}", text, float(i % 3)) for i, text in enumerate(texts * 4)]
    return spark.createDataFrame(made, "review_id string, text string, label double").cache()


def test_a_text_is_in_one_part_alone(rows: DataFrame, tmp_path: Path) -> None:
    parts = training.split(rows, settings(tmp_path, "split.test=0.4").split)
    held_out = {row.text for row in parts.held_out.collect()}
    assert held_out
    assert held_out.isdisjoint(row.text for row in parts.train.collect())
    assert parts.train.count() + parts.held_out.count() == rows.count()


def test_prepared_rows_are_reviews_with_text_and_label(tmp_path: Path, spark: SparkSession) -> None:
    conf = settings(tmp_path)
    ingested = training.ingest(conf, spark, QUIET)
    prepared = training.prepare(conf, ingested.found.reviews, QUIET)
    assert {"review_id", "text", "label"} <= set(prepared.rows.columns)
    assert sum(prepared.classes) == ingested.counts.reviews
    assert prepared.rows.where(F.col("label").isNull()).count() == 0


def test_a_failed_write_stops_the_run_before_training(tmp_path: Path, spark: SparkSession) -> None:
    conf, steps = settings(tmp_path, "features=[tfidf]"), Steps(quiet=True)
    (tmp_path / "out" / "reviews").mkdir(parents=True)
    (tmp_path / "out" / "reviews" / "of somebody else.csv").write_text("1,2")
    with pytest.raises(TableError, match="table 'reviews'"):
        train.train(conf, spark, steps)
    assert "cleaning and labelling" in steps.seconds
    assert "training" not in steps.seconds
    last = last_rows(Tables(spark, conf.output.base)).head()
    assert last is not None
    assert (last.status, last.error) == ("failed", "TableError")


class Lines(Steps):
    """Progress lines, kept."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_facets_that_the_data_does_not_have_are_left_out_and_named(
    tmp_path: Path, spark: SparkSession
) -> None:
    said = Lines()
    columns = "reviews.columns={review_text: body, rating: stars, age: years}"
    training.check(settings(tmp_path, "reviews.path=x.csv", columns), spark, said)
    assert "bias.facets: left out, not in reviews.columns: division, department" in said.lines


def test_a_facet_that_is_no_column_of_reviews_is_refused(
    tmp_path: Path, spark: SparkSession
) -> None:
    columns = "reviews.columns={review_text: body, rating: stars}"
    asked = settings(tmp_path, "reviews.path=x.csv", columns, "bias.facets=[{column: team}]")
    with pytest.raises(SchemaError, match="column 'team' is missing"):
        training.check(asked, spark, QUIET)


def test_predictions_whose_bias_is_undefined_are_kept(tmp_path: Path, spark: SparkSession) -> None:
    rows = [(f"r{i}", 2.0, 2.0, 30 + i, 1) for i in range(4)]
    df = spark.createDataFrame(
        rows, "review_id string, label double, prediction double, age int, class_name int"
    )
    said = Lines()
    asked = settings(tmp_path, "bias.facets=[{column: age, threshold: 31}]")
    found = training.evaluate(asked, PipelineModel([]), df, said)
    assert (found.confusion.accuracy, found.bias) == (1.0, [])
    assert any("bias after training is not measured: bias_metrics: column" in x for x in said.lines)


def test_a_corrected_review_replaces_the_one_with_its_id(
    tmp_path: Path, spark: SparkSession
) -> None:
    columns = {"review_id": "id", "review_text": "text", "rating": "stars", "age": "age"}
    tables = Tables(spark, str(tmp_path))
    for run_id, age in (("a", 20), ("b", 60)):
        df = spark.createDataFrame(
            [("1", "fits", 5, age)], "id string, text string, stars int, age int"
        )
        found = from_frame(df, columns).persist()
        with Run(tables, run_id, {}) as run:
            once = {"update": True, "fingerprint": run.fingerprint}
            workspace.keep_reviews(run, found, found.counts(), QUIET, **once)
    assert [row.age for row in tables.read("reviews").collect()] == [60]


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ([], False),
        (["reviews.path=x.csv"], False),
        (["reviews.path=x.csv", "reviews.columns={review_id: id, review_text: a}"], True),
        (["reviews.path=x.csv", "reviews.columns={review_text: a}"], False),
        (["reviews.path=x", "reviews.format=delta"], True),
    ],
)
def test_ids_of_the_data_are_told_from_ids_of_the_content(
    given: list[str], own: bool, tmp_path: Path
) -> None:
    assert workspace.has_own_ids(settings(tmp_path, *given).reviews) is own


def test_a_file_with_other_columns_is_told_of_the_look_at_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "reviews.csv").write_text("body,stars\nSoft,5\n")
    with pytest.raises(SchemaError) as raised:
        training.ingest(settings(tmp_path, f"reviews.path={tmp_path}/reviews.csv"), spark, QUIET)
    assert "--inspect" in raised.value.__notes__[0]
