"""From configuration to stages, and the check of all of them before any work."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.checkpoints import shared_tiny_checkpoint
from pyspark.ml import Pipeline
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_sentiment.errors import ConfigError, DataError, SchemaError
from spark_sentiment.jobs import config, pipeline
from spark_sentiment.reviews.schema import REVIEWS

LOCAL = Path(__file__).parents[2] / "conf" / "local.yaml"
SMALL = "classifier.params={maxIter: 3, numFolds: 2}"


def conf(*settings: str) -> config.Config:
    wanted = [f"embedding.model_path={shared_tiny_checkpoint()}", *settings]
    return config.load(LOCAL, wanted)


@pytest.fixture(scope="module")
def ready(spark: SparkSession) -> DataFrame:
    """Rows as they reach the classifier: text, title, label, rating and embedding."""
    words = ("awful seam", "plain cut", "lovely fit")
    rows = [
        (
            f"{words[i % 3]} {i % 7}",
            None if i % 4 == 0 else words[i % 3],
            float(i % 3),
            1 + 2 * (i % 3),
            Vectors.dense([float(i % 3), float(i % 7), 1.0]),
        )
        for i in range(60)
        if i % 3 == 2 or i % 2  # fewer negatives and neutrals
    ]
    names = ["text", "title", "label", "rating", "embedding"]
    return spark.createDataFrame(rows, names).cache()


@pytest.mark.parametrize(
    ("method", "features"),
    [
        ("none", "[tfidf, embedding]"),
        ("weights", "[tfidf]"),
        ("over", "[tfidf]"),
        ("under", "[embedding]"),
        ("smote", "[embedding]"),
    ],
)
def test_every_way_of_balancing_trains_a_model_that_scores(
    method: str, features: str, ready: DataFrame
) -> None:
    stages = pipeline.learning(conf(f"balance.method={method}", f"features={features}", SMALL))
    scored = Pipeline(stages=stages).fit(ready).transform(ready)
    assert scored.where("prediction in (0.0, 1.0, 2.0)").count() == ready.count()


def test_a_whole_pipeline_is_checked_without_a_job(
    spark: SparkSession, jobs_run: Callable[[Callable[[], object]], int]
) -> None:
    whole = pipeline.training(conf())

    def run() -> None:
        out = pipeline.check(whole, REVIEWS)
        assert {"text", "label", "embedding", "prediction", "probability"} <= set(out.names)

    assert jobs_run(run) == 0


@pytest.mark.parametrize("column", ["review_text", "rating", "age"])
def test_the_first_stage_that_cannot_work_names_the_column(
    column: str, spark: SparkSession
) -> None:
    lacking = StructType([field for field in REVIEWS.fields if field.name != column])
    with pytest.raises(SchemaError, match=f"column '{column}' is missing"):
        pipeline.check(pipeline.training(conf()), lacking)


UNTITLED = ("reviews.path=r.csv", "reviews.columns={review_text: body, rating: stars}")


def test_a_text_column_that_is_not_mapped_is_left_out(ready: DataFrame) -> None:
    cleaner, _ = pipeline.preparation(conf(*UNTITLED))
    assert cleaner.getInputCols() == ["review_text"]
    stages = pipeline.learning(conf(*UNTITLED, "features=[tfidf]", SMALL))
    empty = ready.withColumn("title", F.lit(None).cast("string"))
    scored = pipeline.fit(stages, empty).transform(empty)
    assert scored.where("prediction in (0.0, 1.0, 2.0)").count() == ready.count()


def test_folders_of_texts_have_a_text_and_nothing_else() -> None:
    films = conf("reviews.path=films", "reviews.format=folders")
    assert pipeline.text_columns(films) == ["review_text"]
    assert (pipeline.measured(films).facets, pipeline.measured(films).group) == ([], None)


def test_without_any_text_column_the_mapping_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"text.columns: reviews.columns maps none of title"):
        pipeline.preparation(conf(*UNTITLED, "text.columns=[title]"))


@pytest.mark.parametrize("method", ["none", "over"])
def test_a_column_whose_words_are_all_rare_is_left_out_and_named(
    method: str, ready: DataFrame
) -> None:
    # "lovely fit", "plain cut" and "awful seam" are in 10 texts or more.
    empty = ready.withColumn("title", F.lit(None).cast("string"))
    wanted = conf("features=[tfidf]", f"balance.method={method}", SMALL)
    model = pipeline.fit(pipeline.learning(wanted), empty)
    assert pipeline.rare_words(model) == {"title": 2.0}
    assert model.transform(empty).where("prediction = label").count() == ready.count()


WORDLESS = ("\U0001f60d", "\U0001f44d")


def test_texts_without_words_leave_the_embedding(ready: DataFrame) -> None:
    mute = ready.withColumn("text", F.lit(WORDLESS[0])).withColumn("title", F.lit(WORDLESS[1]))
    model = pipeline.fit(pipeline.learning(conf("features=[tfidf, embedding]", SMALL)), mute)
    assert pipeline.rare_words(model) == {"text": 3.0, "title": 2.0}
    # The first number of the embedding is the class.
    assert model.transform(mute).where("prediction = label").count() == ready.count()


@pytest.mark.parametrize("method", ["none", "over"])
def test_texts_without_words_are_refused_without_embeddings(method: str, ready: DataFrame) -> None:
    mute = ready.withColumn("text", F.lit(WORDLESS[0])).withColumn("title", F.lit(WORDLESS[1]))
    stages = pipeline.learning(conf("features=[tfidf]", f"balance.method={method}", SMALL))
    with pytest.raises(DataError, match=r"needed in column 'text' in 3, 'title' in 2: give more"):
        pipeline.fit(stages, mute)


def test_without_facets_there_is_no_bias_stage() -> None:
    assert pipeline.report(conf("bias.facets=[]")) is None


def test_without_embedding_no_model_is_named() -> None:
    assert pipeline.embedding(conf("features=[tfidf]")) is None


def test_metrics_are_told_apart_by_phase() -> None:
    bias = conf("bias.metrics=[CI, DPPL, DPL, FT]").bias
    assert pipeline.metrics(bias, "pre") == ["CI", "DPL"]
    assert pipeline.metrics(bias, "post") == ["DPPL", "FT"]


def test_a_gate_on_no_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"bias.gates: gate on unknown metric 'DPX'"):
        pipeline.gates(conf("bias.gates=[{metric: DPX, high: 1}]").bias)
