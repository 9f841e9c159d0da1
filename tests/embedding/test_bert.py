"""BertEmbeddings in Spark: the same vectors as outside, rows and columns kept, and good manners."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.checkpoints import tiny_checkpoint
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import NaiveBayes
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.linalg import DenseVector, Vectors, VectorUDT
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T
from safetensors.numpy import load_file, save_file

from spark_sentiment.embedding.bert import BertEmbeddings, embed_texts
from spark_sentiment.embedding.engines import has_bf16, on_this_machine
from spark_sentiment.embedding.progress import EmbeddingProgress
from spark_sentiment.errors import CheckpointError, SchemaError, SetupError

HARD = [
    "I love this dress, it fits well!",
    None,
    "",
    "   \n",
    "too small",
    "too small",
    "\u0000\u0007 control \u200b zero",
    "Didn\u2019t fit \U0001f60d\U0001f44d\U0001f3fd caf\u00e9 \u4e2d\u6587",
    "soft " * 2000,
    "  bad ",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_SENTIMENT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tiny_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Texts beside columns of types that do not all travel through Arrow."""
    schema = T.StructType(
        [
            T.StructField("text", T.StringType()),
            T.StructField("place", T.IntegerType()),
            T.StructField("vector", VectorUDT()),
            T.StructField("tags", T.MapType(T.StringType(), T.ArrayType(T.DecimalType(9, 2)))),
            T.StructField("span", T.DayTimeIntervalType()),
            T.StructField("months", T.StructType([T.StructField("v", VectorUDT())])),
        ]
    )
    made = [
        (text, place, Vectors.sparse(3, {1: 2.0}), {"a": []}, None, (Vectors.dense([place]),))
        for place, text in enumerate(HARD)
    ]
    return spark.createDataFrame(made, schema).repartition(2).cache()


def stage(path: str, **params: object) -> BertEmbeddings:
    return BertEmbeddings(inputCol="text", outputCol="embedding", modelPath=path, **params)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_rows_keep_their_columns_and_get_the_vectors_of_plain_python(
    engine: str, rows: DataFrame, model: str
) -> None:
    out = stage(model, engine=engine, precision="f32", batchSize=2).transform(rows)
    assert out.columns == [*rows.columns, "embedding"]
    found = {row.place: row for row in out.collect()}
    assert {p: row.asDict() | {"embedding": 0} for p, row in found.items()} == {
        row.place: row.asDict() | {"embedding": 0} for row in rows.collect()
    }
    expected = embed_texts(HARD, model, precision="f32")
    for place, text in enumerate(HARD):
        vector = found[place].embedding
        if text is None:
            assert vector is None
            assert np.isnan(expected[place]).all()
        else:
            assert isinstance(vector, DenseVector)
            np.testing.assert_allclose(vector.toArray(), expected[place], atol=1e-5)
    assert np.allclose(expected[2], expected[3])  # blank is as empty
    assert np.allclose(expected[4], embed_texts(["too small"], model)[0], atol=1e-2)


def test_order_and_company_do_not_matter(model: str) -> None:
    texts = [f"{'soft ' * (i * 7 % 13)}dress {i % 10}" for i in range(100)]
    together = embed_texts(texts, model, precision="f32", batch_size=7)
    alone = np.concatenate([embed_texts([text], model, precision="f32") for text in texts[:20]])
    np.testing.assert_allclose(together[:20], alone, atol=1e-5)
    np.testing.assert_array_equal(
        together, embed_texts(texts, model, precision="f32", batch_size=7)
    )


def test_first_layers_alone_are_the_model_that_has_no_others(
    model: str, rows: DataFrame, tmp_path: Path
) -> None:
    """A checkpoint of which config.json names one layer is a model of one layer, to any library."""
    short = Path(shutil.copytree(model, tmp_path / "short"))
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    expected = embed_texts(HARD[4:8], str(short), precision="f32")
    found = embed_texts(HARD[4:8], model, num_layers=1, precision="f32")
    np.testing.assert_array_equal(found, expected)
    assert not np.allclose(found, embed_texts(HARD[4:8], model, precision="f32"), atol=1e-2)
    there = stage(model, numLayers=1, precision="f32").transform(rows.where("place = 4")).head()
    assert there is not None
    np.testing.assert_allclose(there.embedding.toArray(), expected[0], atol=1e-5)


def test_no_texts_give_no_vectors(model: str) -> None:
    assert embed_texts([], model).shape == (0, 16)
    assert np.isnan(embed_texts([None], model)).all()


def test_plan_runs_the_model_once_and_carries_the_text_alone(rows: DataFrame, model: str) -> None:
    out = stage(model).transform(rows).where("embedding IS NOT NULL").where("place > 3")
    plan = out._jdf.queryExecution().executedPlan().toString()
    assert plan.count("ArrowEvalPython") == 1
    assert re.search(r"ArrowEvalPython \[embed\(text#\d+\)", plan)


def test_schema_errors_name_stage_and_column(rows: DataFrame, model: str) -> None:
    embed = stage(model)
    with pytest.raises(SchemaError, match=rf"{embed.uid}: column 'text' must be string, found int"):
        embed.transform(rows.withColumn("text", rows.place))
    with pytest.raises(SchemaError, match=rf"{embed.uid}: output column 'embedding' already"):
        embed.transform(rows.withColumn("embedding", rows.place))


def test_bad_checkpoint_fails_before_any_row(rows: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        stage(str(tmp_path / "none")).transform(rows)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("engine", "torch", ValueError), ("precision", "int4", ValueError),
        ("pooling", "last", ValueError), ("maxLength", 2, ValueError), ("batchSize", 0, ValueError),
        ("normalize", 1, TypeError), ("modelPath", "", ValueError), ("modelPath", 3, TypeError),
    ],
)  # fmt: skip
def test_wrong_param_is_refused_by_name(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        BertEmbeddings(inputCol="text", outputCol="embedding", **{name: value})


def test_precision_that_is_not_there_is_refused(model: str) -> None:
    with pytest.raises(SetupError, match="onnxruntime computes in f32"):
        embed_texts(["a"], model, engine="onnxruntime", precision="bf16")
    if not has_bf16():
        with pytest.raises(SetupError, match="no bf16 instructions"):
            embed_texts(["a"], model, precision="bf16")


def test_hadoop_address_is_fetched_once_per_state(
    spark: SparkSession, rows: DataFrame, model: str, tmp_path: Path
) -> None:
    folder = Path(tiny_checkpoint(tmp_path / "remote"))
    there = stage(folder.as_uri())  # Hadoop's FileSystem reads file: as it reads s3a:
    assert there.fingerprint(spark) == stage(model).fingerprint()
    assert there.convert(spark) == there.convert(spark)
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] += 1
    save_file(weights, folder / "model.safetensors")
    assert there.fingerprint(spark) != stage(model).fingerprint()
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        there.transform(rows)
    with pytest.raises(CheckpointError, match=r"nosuch://.*cannot be read"):
        stage("nosuch://bucket/model").transform(rows)


def test_files_are_found_where_spark_brings_them(spark: SparkSession, model: str) -> None:
    tokenizer = stage(model).convert(spark).tokenizer
    spark.sparkContext.addFile(str(tokenizer))
    elsewhere = Path("/on/another/machine", tokenizer.name)
    assert on_this_machine(tokenizer) == tokenizer
    assert on_this_machine(elsewhere).read_bytes() == tokenizer.read_bytes()
    with pytest.raises(CheckpointError, match=r"/gone/x\.onnx is not on this machine"):
        on_this_machine(Path("/gone/x.onnx"))


def test_saved_stage_finds_its_model_or_says_which_is_missing(
    rows: DataFrame, tmp_path: Path
) -> None:
    folder = Path(tiny_checkpoint(tmp_path / "model"))
    Pipeline(stages=[stage(str(folder))]).fit(rows).save(str(tmp_path / "saved"))
    again = PipelineModel.load(str(tmp_path / "saved"))
    assert again.transform(rows).where("embedding IS NOT NULL").count() == len(HARD) - 1
    folder.rename(tmp_path / "moved")
    with pytest.raises(CheckpointError, match=re.escape(str(folder))):
        again.transform(rows)


def test_fingerprint_follows_length_and_precision(model: str) -> None:
    plain = stage(model)
    assert plain.fingerprint() == stage(model, maxLength=32).fingerprint()  # the checkpoint's own
    others = [
        stage(model, maxLength=16),
        stage(model, precision="f32"),
        stage(model, pooling="max"),
    ]
    assert len({item.fingerprint() for item in [plain, *others]}) == 4


def test_works_under_cross_validation(spark: SparkSession, model: str) -> None:
    data = [("love soft warm", 1.0), ("poor bad small", 0.0)] * 6
    train = spark.createDataFrame(data, ["text", "label"]).coalesce(1)
    embed = stage(model)
    learner = NaiveBayes(featuresCol="embedding", modelType="gaussian")
    grid = ParamGridBuilder().addGrid(embed.pooling, ["mean", "max"]).build()
    search = CrossValidator(
        estimator=Pipeline(stages=[embed, learner]),
        estimatorParamMaps=grid,
        evaluator=MulticlassClassificationEvaluator(),
        numFolds=2,
        seed=1,
    )
    assert search.fit(train).avgMetrics == [1.0, 1.0]


class TestProgress:
    def test_counts_the_rows_of_a_running_stage(self, rows: DataFrame, model: str) -> None:
        embed = stage(model)
        said: list[str] = []
        with embed.progress.reporting(total=len(HARD), say=said.append, every=60):
            Pipeline(stages=[embed]).fit(rows).transform(rows).write.format("noop").mode(
                "overwrite"
            ).save()
        assert re.fullmatch(r"10 of 10 rows, \d+ rows/s", said[-1])
        assert embed.progress.rows == len(HARD)
        assert embed.copy().progress is embed.progress

    def test_nothing_done_is_said_plainly(self) -> None:
        said: list[str] = []
        with EmbeddingProgress().reporting(total=5, say=said.append):
            pass
        assert said == ["0 of 5 rows"]


def test_one_vector_for_all_would_be_seen(model: str) -> None:
    vectors = embed_texts(["love", "bad", "too large"], model)
    assert all(math.dist(vectors[0], other) > 0.05 for other in vectors[1:])
