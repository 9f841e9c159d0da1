"""One contract that every stage of the library keeps."""

import importlib
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chispa import assert_df_equality
from helpers.checkpoints import shared_tiny_checkpoint
from helpers.sums import sums
from pyspark import cloudpickle
from pyspark.ml import Estimator, Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import SQLTransformer
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.ml.param import Param
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

import spark_sentiment
import spark_sentiment.sagemaker
from spark_sentiment.balance.class_weights import ClassWeights
from spark_sentiment.balance.resampled import Resampled
from spark_sentiment.bias import BiasEvaluator, BiasReport, Facet, bias_metrics
from spark_sentiment.classification import class_rows, confusion
from spark_sentiment.classification.stacked import Stacked
from spark_sentiment.embedding.bert import BertEmbeddings
from spark_sentiment.errors import DataError, SchemaError
from spark_sentiment.reviews import from_frame, write_csv
from spark_sentiment.reviews.labels import RatingLabeler
from spark_sentiment.sagemaker import SageMakerEndpointModel, SageMakerStage
from spark_sentiment.tables import Tables, digest, embedded
from spark_sentiment.text.cleaner import TextCleaner
from spark_sentiment.text.ngrams import NGrams
from spark_sentiment.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Case:
    """A stage, ready to work on the `hard` table.

    `needs` is a column that it reads, `python` says that a Python worker is allowed in its plan,
    `returns_inner` that fit gives back a model of another library's class, `fits_theirs` that it
    fits an estimator of MLlib by the same columns. `name`, of the class,
    is needed where `make` needs a session: there is none yet when tests are collected.
    """

    make: Callable[[], Any]
    needs: str
    python: bool = False
    returns_inner: bool = False
    fits_theirs: bool = False
    name: str = ""

    def __str__(self) -> str:
        return self.name or type(self.make()).__name__


# Add a Case per stage, in the order of the package's listing.
CASES: list[Case] = [
    Case(
        lambda: TextCleaner(inputCols=["title", "review_text"], outputCol="text"),
        needs="review_text",
    ),
    Case(lambda: RatingLabeler(), needs="rating"),
    Case(lambda: NGrams(inputCol="review_text", outputCol="grams"), needs="review_text"),
    Case(
        lambda: Vocabulary(inputCol="words", outputCol="counts", minDF=2.0, binary=True),
        needs="words",
        returns_inner=True,
        fits_theirs=True,
    ),
    Case(
        lambda: Stacked(
            estimators=[LogisticRegression(featuresCol="vector", labelCol="rating", maxIter=3)],
            labelCol="sentiment",
            numFolds=2,
        ),
        needs="sentiment",
        fits_theirs=True,
        name="Stacked",
    ),
    Case(lambda: ClassWeights(labelCol="sentiment"), needs="sentiment"),
    Case(
        lambda: Resampled(
            estimator=LogisticRegression(labelCol="sentiment", featuresCol="vector", maxIter=2),
            labelCol="sentiment",
            featuresCol="vector",
        ),
        needs="sentiment",
        returns_inner=True,
        fits_theirs=True,
        name="Resampled",
    ),
    Case(
        lambda: BiasReport(
            facets=[Facet("age", threshold=40), "department"],
            labelCol="sentiment",
            predictionCol="guess",
        ),
        needs="age",
    ),
    Case(
        lambda: BertEmbeddings(
            inputCol="review_text", outputCol="embedding", modelPath=shared_tiny_checkpoint()
        ),
        needs="review_text",
        python=True,
        name="BertEmbeddings",
    ),
    Case(
        lambda: SageMakerEndpointModel(
            endpointName="sums",
            endpointUrl=sums(),
            algorithm="xgboost",
            requestFormat="csv",
            featuresCol="vector",
            outputCols={"prediction": "sum"},
        ),
        needs="vector",
        python=True,
        name="SageMakerEndpointModel",
    ),
    Case(
        lambda: SageMakerStage(
            algorithm="kmeans",
            hyperParameters={"k": "2"},
            featuresCol="vector",
            stagingPath="s3://stand-in/contract",
            role="arn:aws:iam::123456789012:role/stand-in",
            region="us-east-1",
            endpointUrl=sums(),
            progress=False,
        ),
        needs="vector",
        python=True,
        name="SageMakerStage",
    ),
]

FACES = {
    module.name
    for module in pkgutil.iter_modules(spark_sentiment.__path__, "spark_sentiment.")
    if module.ispkg
}
ODD = "{}'s.`odd` name"
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
        T.StructField("words", T.ArrayType(T.StringType())),
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
            (text or "").split(),
        )
        for i, (title, text) in enumerate(texts)
    ]
    return spark.createDataFrame(rows, SCHEMA).repartition(2).cache()


@pytest.fixture(scope="module")
def stream(hard: DataFrame, tmp_path_factory: pytest.TempPathFactory) -> DataFrame:
    """The rows of `hard` as a stream of files."""
    folder = str(tmp_path_factory.mktemp("stream") / "rows")
    hard.coalesce(1).write.parquet(folder)
    return hard.sparkSession.readStream.schema(hard.schema).parquet(folder)


def fitted(stage: Any, data: DataFrame) -> Any:
    return stage.fit(data) if isinstance(stage, Estimator) else stage


@pytest.fixture(scope="module")
def models(hard: DataFrame) -> Callable[[Case], Any]:
    """Fit each stage once for all tests that leave the model as it is."""
    return cache(lambda case: fitted(case.make(), hard))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("spark")
class TestContract:
    def test_schema_is_as_declared(
        self, case: Case, hard: DataFrame, models: Callable[[Case], Any]
    ) -> None:
        model = models(case)
        if case.returns_inner:
            pytest.skip("the inner model is another library's: its schema is that library's")
        out = model.transform(hard)
        assert out.schema.simpleString() == model.transformSchema(hard.schema).simpleString()
        assert out.count() == hard.count()

    def test_plan_has_no_python_worker(
        self, case: Case, hard: DataFrame, models: Callable[[Case], Any]
    ) -> None:
        plan = models(case).transform(hard)._jdf.queryExecution().toString()
        workers = [w for w in ("EvalPython", "InArrow", "InPandas") if w in plan]
        assert case.python or not workers

    def test_missing_column_is_named_before_any_job(
        self, case: Case, hard: DataFrame, jobs_run: Callable[[Callable[[], object]], int]
    ) -> None:
        stage = case.make()
        lacking = hard.drop(case.needs)

        def run() -> None:
            with pytest.raises(SchemaError, match=rf"{stage.uid}.*{case.needs}"):
                fitted(stage, lacking).transform(lacking)

        assert jobs_run(run) == 0

    def test_saved_stage_is_the_same_stage(
        self, case: Case, hard: DataFrame, tmp_path: Path
    ) -> None:
        stage = case.make()
        stage.save(str(tmp_path / "stage"))
        again = type(stage).load(str(tmp_path / "stage"))
        assert params(again) == params(stage)
        assert again.uid == stage.uid

    def test_saved_model_gives_the_same_rows(
        self, case: Case, hard: DataFrame, tmp_path: Path, models: Callable[[Case], Any]
    ) -> None:
        model = models(case)
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

    def test_empty_table_stays_empty(
        self, case: Case, hard: DataFrame, models: Callable[[Case], Any]
    ) -> None:
        # A filter of a cached table, not limit(0): Spark would run no expression of the stage for
        # a table that it knows to be empty. And collect, as count reads no column.
        empty = hard.where("age < 0")
        assert models(case).transform(empty).collect() == []

    def test_lives_in_a_mixed_saved_pipeline(
        self, case: Case, hard: DataFrame, tmp_path: Path
    ) -> None:
        theirs = SQLTransformer(statement="SELECT *, length(review_text) AS size FROM __THIS__")
        model = Pipeline(stages=[theirs, case.make()]).fit(hard)
        model.write().overwrite().save(str(tmp_path / "mixed"))
        again = PipelineModel.load(str(tmp_path / "mixed"))
        assert_df_equality(again.transform(hard), model.transform(hard), ignore_row_order=True)

    def test_value_of_a_wrong_type_is_refused_by_name(self, case: Case) -> None:
        stage = case.make()
        for param in stage.params:
            for give in (
                lambda param=param: stage.copy({param: object()}),
                lambda param=param: accessor(stage, "set", param)(object()),
                lambda param=param: stage.setParams(**{param.name: object()}),
                lambda param=param: type(stage)(**{param.name: object()}),
            ):
                with pytest.raises(TypeError, match=rf"{type(stage).__name__}.*{param.name}"):
                    give()

    def test_unknown_param_is_refused(self, case: Case) -> None:
        with pytest.raises(TypeError, match="colour"):
            case.make().setParams(colour=1)

    def test_every_param_has_a_getter_and_a_setter(self, case: Case) -> None:
        stage = case.make()
        for param in stage.params:
            if stage.isDefined(param):
                value = accessor(stage, "get", param)()
                assert accessor(stage, "set", param)(value) is stage
                assert accessor(stage, "get", param)() == value

    def test_none_means_not_set(self, case: Case) -> None:
        stage = case.make()
        before = params(stage)
        stage.setParams(**dict.fromkeys(before))
        for param in stage.params:
            accessor(stage, "set", param)(None)
        assert params(stage) == before
        bare = type(stage)(**dict.fromkeys(before))
        fresh = type(stage)()
        # MLlib's default of an output column has the stage's uid in it.
        assert str(params(bare)).replace(bare.uid, fresh.uid) == str(params(fresh))

    def test_numbers_of_numpy_are_taken_as_python_numbers(self, case: Case) -> None:
        stage = case.make()
        for param in stage.params:
            value = stage.getOrDefault(param) if stage.isDefined(param) else None
            made = {bool: np.bool_, int: np.int64, float: np.float64}.get(type(value))
            if made is not None:
                accessor(stage, "set", param)(made(value))
                kept = stage.getOrDefault(param)
                assert (type(kept), kept) == (type(value), value)

    def test_class_has_the_address_of_its_face(
        self, case: Case, models: Callable[[Case], Any], tmp_path: Path
    ) -> None:
        stages = [case.make()] if case.returns_inner else [case.make(), models(case)]
        for number, stage in enumerate(stages):
            address = type(stage).__module__
            assert address in FACES
            assert getattr(importlib.import_module(address), type(stage).__name__) is type(stage)
            stage.save(str(tmp_path / str(number)))
            (metadata,) = (tmp_path / str(number) / "metadata").glob("part-*")
            saved = json.loads(metadata.read_text())["class"]
            assert saved == f"{address}.{type(stage).__name__}"

    def test_class_is_pickled_by_its_address(self, case: Case) -> None:
        cls = type(case.make())
        pickled = cloudpickle.dumps(cls)
        assert cls.__module__.encode() in pickled
        assert cloudpickle.loads(pickled) is cls

    def test_fit_refuses_a_stream_and_transform_scores_it(
        self, case: Case, hard: DataFrame, stream: DataFrame, models: Callable[[Case], Any]
    ) -> None:
        stage, model = case.make(), models(case)
        if isinstance(stage, Estimator):
            with pytest.raises(DataError, match=f"{stage.uid}: the rows are a stream"):
                stage.fit(stream)
        name = f"scored_{stage.uid}"
        sink = model.transform(stream).writeStream.format("memory").queryName(name)
        sink.trigger(availableNow=True).start().awaitTermination()
        found, wanted = hard.sparkSession.table(name), model.transform(hard)
        if not case.python:  # Python's batches differ, and with them the last digits of a vector
            assert_df_equality(found, wanted, ignore_row_order=True, ignore_nullable=True)
        assert found.count() == wanted.count()

    def test_column_names_may_be_odd(
        self, case: Case, hard: DataFrame, models: Callable[[Case], Any]
    ) -> None:
        if case.fits_theirs:
            pytest.skip("fits an estimator of MLlib, which takes a dot in a name for a field")
        stage = case.make()
        for param, value in stage.extractParamMap().items():
            if stage.isSet(param) or value in hard.columns:
                stage.set(param, renamed(param.name, value))
        odd = hard.select([F.col(name).alias(ODD.format(name)) for name in hard.columns])
        found = fitted(stage, odd).transform(odd).collect()
        assert list(map(tuple, found)) == list(map(tuple, models(case).transform(hard).collect()))


def renamed(param: str, value: Any) -> Any:
    """Give the columns that a Param names an odd name."""
    if isinstance(value, list):
        return [renamed(param, item) for item in value]
    if isinstance(value, dict) and "column" in value:  # a facet
        return {**value, "column": ODD.format(value["column"])}
    names_column = isinstance(value, str) and (param.endswith("Col") or value in SCHEMA.names)
    return ODD.format(value) if names_column else value


def accessor(stage: Any, verb: str, param: Param[Any]) -> Callable[..., Any]:
    """Return ``getX`` or ``setX`` of Param ``x``."""
    method: Callable[..., Any] = getattr(stage, f"{verb}{param.name[0].upper()}{param.name[1:]}")
    return method


def params(stage: Any) -> dict[str, Any]:
    """Params by name; stages inside Params, and inside lists of them, compare by uid."""

    def plain(value: Any) -> Any:
        return list(map(plain, value)) if isinstance(value, list) else getattr(value, "uid", value)

    return {param.name: plain(value) for param, value in stage.extractParamMap().items()}


def test_what_needs_all_rows_refuses_a_stream(stream: DataFrame, tmp_path: Path) -> None:
    tables = Tables(stream.sparkSession, str(tmp_path))
    reviews = stream.select("review_id", "review_text", "rating")
    evaluator = BiasEvaluator(facet="department", labelCol="sentiment", predictionCol="guess")
    transform_job = SageMakerEndpointModel(
        endpointName="sums",
        algorithm="xgboost",
        requestFormat="csv",
        featuresCol="vector",
        inference="batch",
    )
    refusals: dict[str, Callable[[], object]] = {
        "bias_metrics": lambda: bias_metrics(stream, "sentiment", ["department"]),
        evaluator.uid: lambda: evaluator.evaluate(stream),
        transform_job.uid: lambda: transform_job.transform(stream),
        "confusion": lambda: confusion(stream, ["a", "b", "c"], "sentiment", "guess"),
        "class_rows": lambda: class_rows(stream, 3, "sentiment"),
        "from_frame": lambda: from_frame(reviews),
        "write_csv": lambda: write_csv(reviews, str(tmp_path / "csv"), {"review_text": "t"}),
        "digest": lambda: digest(stream),
        "embedded": lambda: embedded(tables, reviews, "m", lambda df: df, text="review_text"),
        "table 'reviews'": lambda: tables.merge("reviews", reviews, ["review_id"]),
    }
    for name, act in refusals.items():
        with pytest.raises(DataError, match=f"^{name}: the rows are a stream"):
            act()


def test_every_public_stage_is_under_contract() -> None:
    packages = (spark_sentiment, spark_sentiment.sagemaker)
    public = [getattr(package, name) for package in packages for name in package.__all__]
    stages = {cls.__name__ for cls in public if hasattr(cls, "transformSchema")}
    fitted_by_a_case = {f"{name}Model" for name in stages}
    assert stages - fitted_by_a_case == {str(case) for case in CASES}
