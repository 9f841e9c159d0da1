"""The chain for Spark NLP: what it says where parts are missing, and that its vectors are ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.checkpoints import tiny_checkpoint
from pyspark.sql import SparkSession

from spark_sentiment.embedding import spark_nlp as chain
from spark_sentiment.embedding.convert import convert
from spark_sentiment.embedding.spark_nlp import spark_nlp_chain, spark_nlp_conf
from spark_sentiment.errors import CheckpointError, SetupError

# Runs in a JVM of its own: jars join the class path only when a session starts.
SCRIPT = """
import json, sys
from pyspark.ml import Pipeline, PipelineModel
from pyspark.sql import SparkSession
from spark_sentiment.embedding import embed_texts
from spark_sentiment.errors import SetupError
from spark_sentiment.embedding.spark_nlp import spark_nlp_chain, spark_nlp_conf

builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
builder = builder.config("spark.driver.memory", "3g").config("spark.driver.host", "127.0.0.1")
builder = builder.config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1")
for key, value in spark_nlp_conf().items():
    builder = builder.config(key, value)
try:
    spark = builder.getOrCreate()
except Exception as error:
    sys.exit(f"JARS {error}")
texts = [
    "I love this dress! It fits perfectly.", "too small", "Soft and warm, but it runs large.",
    "The zipper broke after two days; returned it.", "",
]
df = spark.createDataFrame([(text,) for text in [*texts, None]], ["text"]).coalesce(1)
try:
    stages = spark_nlp_chain("text", "vector")
except SetupError as error:
    sys.exit(f"JARS {error}")
model = Pipeline(stages=stages).fit(df)
model.write().overwrite().save(sys.argv[1])
rows = PipelineModel.load(sys.argv[1]).transform(df).select("vector").collect()
ours = embed_texts(texts, precision="f32")
cosines = [float(row.vector.toArray() @ mine) for row, mine in zip(rows, ours)]
print(json.dumps({"cosines": cosines, "null": rows[-1].vector is None}))
"""


@pytest.mark.jars
@pytest.mark.long
def test_vectors_of_spark_nlp_are_ours(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "saved")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYSPARK_GATE")},
    )
    if "JARS" in ran.stderr or "unresolved dependencies" in ran.stderr:
        pytest.skip("needs Spark NLP's jars, which could not be fetched from Maven Central")
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert len(found["cosines"]) == 5
    assert min(found["cosines"]) >= 0.9999
    assert found["null"]


def test_missing_jar_is_named(spark: SparkSession) -> None:
    with pytest.raises(SetupError, match=r"jar is not on the class path.*spark_nlp_conf"):
        spark_nlp_chain("text", "vector")


def test_settings_name_one_version_and_leave_out_what_cannot_be_had() -> None:
    conf = spark_nlp_conf()
    assert "com.johnsnowlabs.nlp:spark-nlp_2.12:5.5.3" in conf["spark.jars.packages"].split(",")
    assert "jsl-openvino-cpu_2.12" in conf["spark.jars.excludes"]


def test_folder_is_laid_out_as_spark_nlp_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_SENTIMENT_CACHE", str(tmp_path / "cache"))
    converted = convert(tiny_checkpoint(tmp_path / "m"))
    folder = chain._saved_model(converted)
    assert (folder / "model.onnx").read_bytes() == converted.model.read_bytes()
    words = (folder / "assets" / "vocab.txt").read_text("utf-8").splitlines()
    assert words[:5] == ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a"]  # as tiny_checkpoint orders them
    assert chain._saved_model(converted) == folder


def test_other_tokenizers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_SENTIMENT_CACHE", str(tmp_path / "cache"))
    path = Path(tiny_checkpoint(tmp_path / "m"))
    told = json.loads((path / "tokenizer.json").read_text("utf-8"))
    vocabulary = told["model"]["vocab"]
    told["model"] = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    (path / "tokenizer.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(CheckpointError, match="its tokenizer is a WordLevel"):
        chain._saved_model(convert(str(path)))
