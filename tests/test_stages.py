"""One contract that every stage of the library keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chispa import assert_df_equality
from pyspark.ml import Estimator, Pipeline, PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

import spark_sentiment
from spark_sentiment.errors import SchemaError


@dataclass(frozen=True)
class Case:
    """A stage, ready to work on the `hard` table.

    `needs` is a column that it reads, `python` says that a Python worker is allowed in its plan,
    `returns_inner` that fit gives back a model of another library's class.
    """

    make: Callable[[], Any]
    needs: str
    python: bool = False
    returns_inner: bool = False

    def __str__(self) -> str:
        return type(self.make()).__name__


# Add a Case per stage, in the order of the package's listing.
CASES: list[Case] = []

SCHEMA = T.StructType(
    [
        T.StructField("review_id", T.StringType()),
        T.StructField("title", T.StringType()),
        T.StructField("review_text", T.StringType()),
        T.StructField("rating", T.IntegerType()),
        T.StructField("age", T.IntegerType()),
        T.StructField("department", T.StringType()),
        T.StructField("sentiment", T.DoubleType()),
        T.StructField("guess", T.DoubleType()),
        T.StructField("vector", VectorUDT()),
    ]
)


@pytest.fixture(scope="module")
def hard(spark: SparkSession) -> DataFrame:
    """Rows that break careless stages: null, empty, emoji, upper case, markup, very long."""
    texts = [
        (None, None),
        ("", ""),
        ("LOVE IT!!!", "SOOO good \U0001f60d\U0001f44d\U0001f3fd"),
        ("Meh", "It's <b>ok</b> &amp; nothing more, see https://shop.example/a(b)."),
        (None, "Didn\u2019t fit; returned it.\r\n\r\nSad"),
        ("caf\u00e9", "\u0000\u0007 control \u200b zero"),
        ("long", "word " * 2000),
        ("Bad", "no"),
        ("Fine", "would buy again"),
        ("Great", "perfect dress"),
        ("Poor", "fell apart"),
        ("So so", "average cut"),
    ]
    rows = [
        (
            f"r{i}",
            title,
            text,
            1 + i % 5,
            20 + 5 * i,
            "Tops" if i % 2 else "Dresses",
            float(i % 3),
            float((i + i // 4) % 3),
            Vectors.dense([float(i), float(i % 3) * 2, 1.0]),
        )
        for i, (title, text) in enumerate(texts)
    ]
    return spark.createDataFrame(rows, SCHEMA).repartition(2).cache()


def fitted(stage: Any, data: DataFrame) -> Any:
    return stage.fit(data) if isinstance(stage, Estimator) else stage


def jobs_run(spark: SparkSession, action: Callable[[], object]) -> int:
    """Count the Spark jobs that `action` starts, whether or not it raises."""
    group = f"count-{id(action)}"
    spark.sparkContext.setJobGroup(group, "contract")
    try:
        action()
    finally:
        ids = spark.sparkContext.statusTracker().getJobIdsForGroup(group)
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
    return len(ids)


@pytest.mark.parametrize("case", CASES, ids=str)
class TestContract:
    def test_schema_is_as_declared(self, case: Case, hard: DataFrame) -> None:
        model = fitted(case.make(), hard)
        if case.returns_inner:
            pytest.skip("the inner model is another library's: its schema is that library's")
        out = model.transform(hard)
        assert out.schema.simpleString() == model.transformSchema(hard.schema).simpleString()
        assert out.count() == hard.count()

    def test_plan_has_no_python_worker(self, case: Case, hard: DataFrame) -> None:
        plan = fitted(case.make(), hard).transform(hard)._jdf.queryExecution().toString()
        workers = [w for w in ("EvalPython", "InArrow", "InPandas") if w in plan]
        assert case.python or not workers

    def test_missing_column_is_named_before_any_job(
        self, case: Case, hard: DataFrame, spark: SparkSession
    ) -> None:
        stage = case.make()
        lacking = hard.drop(case.needs)

        def run() -> None:
            with pytest.raises(SchemaError, match=rf"{stage.uid}.*{case.needs}"):
                fitted(stage, lacking).transform(lacking)

        assert jobs_run(spark, run) == 0

    def test_saved_stage_is_the_same_stage(
        self, case: Case, hard: DataFrame, tmp_path: Path
    ) -> None:
        stage = case.make()
        stage.save(str(tmp_path / "stage"))
        again = type(stage).load(str(tmp_path / "stage"))
        assert params(again) == params(stage)
        assert again.uid == stage.uid

    def test_saved_model_gives_the_same_rows(
        self, case: Case, hard: DataFrame, tmp_path: Path
    ) -> None:
        model = fitted(case.make(), hard)
        model.save(str(tmp_path / "model"))
        again = type(model).load(str(tmp_path / "model"))
        assert_df_equality(again.transform(hard), model.transform(hard), ignore_row_order=True)

    def test_copy_is_independent(self, case: Case) -> None:
        stage = case.make()
        before = params(stage)
        twin = stage.copy()
        assert params(twin) == before
        for param in list(twin.extractParamMap()):
            twin.clear(param)
        assert params(stage) == before

    def test_empty_table_stays_empty(self, case: Case, hard: DataFrame) -> None:
        model = fitted(case.make(), hard)
        assert model.transform(hard.limit(0)).count() == 0

    def test_lives_in_a_mixed_saved_pipeline(
        self, case: Case, hard: DataFrame, tmp_path: Path
    ) -> None:
        theirs = SQLTransformer(statement="SELECT *, length(review_text) AS size FROM __THIS__")
        model = Pipeline(stages=[theirs, case.make()]).fit(hard)
        model.write().overwrite().save(str(tmp_path / "mixed"))
        again = PipelineModel.load(str(tmp_path / "mixed"))
        assert_df_equality(again.transform(hard), model.transform(hard), ignore_row_order=True)

    def test_unknown_param_value_is_refused_by_name(self, case: Case) -> None:
        stage = case.make()
        param = stage.params[0]
        with pytest.raises(TypeError, match=param.name):
            stage.copy({param: object()})


def params(stage: Any) -> dict[str, Any]:
    """Params by name; stages inside Params compare by uid."""
    return {
        param.name: getattr(value, "uid", value) for param, value in stage.extractParamMap().items()
    }


def test_every_public_stage_is_under_contract() -> None:
    public = [getattr(spark_sentiment, name) for name in getattr(spark_sentiment, "__all__", [])]
    stages = {cls.__name__ for cls in public if hasattr(cls, "transformSchema")}
    models = {name for name in stages if name.endswith("Model")}
    assert stages - models == {str(case) for case in CASES}
