"""Run the same ONNX file in Spark NLP, for a Pipeline of annotators and stages of this library.

Spark NLP is an optional extra, and its jar must be on the class path before the session starts::

    pip install spark-sentiment[spark-nlp]
    get_session("app", conf=spark_nlp_conf())
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from pyspark.ml import Transformer
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import SparkSession
from tokenizers import Tokenizer

from spark_sentiment.core import cache_folder, draft_folder, jvm
from spark_sentiment.embedding.convert import Converted, convert
from spark_sentiment.errors import CheckpointError, SetupError

SPARK_NLP_PACKAGES = (
    "com.johnsnowlabs.nlp:spark-nlp_2.12:5.5.3",
    "org.tensorflow:tensorflow-core-api:0.4.2",
)
"""Maven coordinates for the start of a session."""

# Native parts that Maven Central does not have for this version, and that ONNX does not need.
_EXCLUDES = (
    "com.johnsnowlabs.nlp:tensorflow-cpu_2.12",
    "com.johnsnowlabs.nlp:jsl-llamacpp-cpu_2.12",
    "com.johnsnowlabs.nlp:jsl-openvino-cpu_2.12",
)


def spark_nlp_conf() -> dict[str, str]:
    """Return the Spark settings that a session needs for Spark NLP.

    Returns
    -------
    dict of str to str
        For ``spark-submit --conf`` lines or a session builder. `session` sets
        ``spark.jars.packages`` itself: give it ``packages=list(SPARK_NLP_PACKAGES)`` as well.

    Notes
    -----
    The first session downloads 95 jars, 290 MB.

    Examples
    --------
    >>> spark_nlp_conf()["spark.jars.packages"].split(",")[0]
    'com.johnsnowlabs.nlp:spark-nlp_2.12:5.5.3'
    """
    return {
        "spark.jars.packages": ",".join(SPARK_NLP_PACKAGES),
        "spark.jars.excludes": ",".join(_EXCLUDES),
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryoserializer.buffer.max": "1g",
    }


def spark_nlp_chain(
    inputCol: str,
    outputCol: str,
    modelPath: str | None = None,
    *,
    pooling: str = "auto",
    normalize: bool | None = None,
    numLayers: int | None = None,
    maxLength: int | None = None,
    batchSize: int = 8,
    checksum: str | None = None,
) -> list[Transformer]:
    """Return Spark NLP stages that embed `inputCol` with the same ONNX file as `BertEmbeddings`.

    Parameters
    ----------
    inputCol : str
        Column to read, of type string.
    outputCol : str
        Column to add, a dense vector. It is null for a null text. An empty or blank text gets the
        model's vector for no words.
    modelPath, pooling, normalize, numLayers, maxLength, checksum
        As the Params of `BertEmbeddings`.
    batchSize : int, default 8
        Number of texts per inference.

    Returns
    -------
    list of Transformer
        DocumentAssembler, BertSentenceEmbeddings, EmbeddingsFinisher and an SQLTransformer, for a
        Pipeline. They also add ``{outputCol}_document``, ``_sentence`` and ``_finished``: other
        annotators can read the first; you can drop all of them.

    Raises
    ------
    SetupError
        If Spark NLP's package or jar is missing, or no session is active.
    CheckpointError
        If the checkpoint cannot be converted, or its tokenizer is not WordPiece, the only kind that
        BertSentenceEmbeddings supports.

    Notes
    -----
    Spark NLP computes in f32 with its own WordPiece tokenizer, which returns the same tokens for
    plain text. Use this chain in a Pipeline whose other stages are Spark NLP's. `BertEmbeddings`
    gives the same vectors and is faster.
    """
    spark = jvm.current_session()
    if spark is None:
        raise SetupError("Spark NLP: no Spark session is active; start one with spark_nlp_conf()")
    base, annotator = _annotators(spark)
    converted = convert(
        modelPath,
        pooling=pooling,
        normalize=normalize,
        num_layers=numLayers,
        checksum=checksum,
        spark=spark,
    )
    document, sentence, finished = (
        f"{outputCol}_{part}" for part in ("document", "sentence", "finished")
    )
    # Spark NLP treats null as an empty text.
    vector = f"CASE WHEN `{inputCol}` IS NOT NULL THEN `{finished}`[0] END"
    embeddings = (
        annotator.BertSentenceEmbeddings.loadSavedModel(str(_saved_model(converted)), spark)
        .setInputCols([document])
        .setOutputCol(sentence)
        .setCaseSensitive(not _lowers(converted))
        .setDimension(converted.width)
        .setMaxSentenceLength(maxLength or converted.max_length)
        .setBatchSize(batchSize)
    )
    return [
        base.DocumentAssembler().setInputCol(inputCol).setOutputCol(document),
        embeddings,
        base.EmbeddingsFinisher()
        .setInputCols([sentence])
        .setOutputCols([finished])
        .setOutputAsVector(True)
        .setCleanAnnotations(False),
        SQLTransformer(statement=f"SELECT *, {vector} AS `{outputCol}` FROM __THIS__"),
    ]


def _annotators(spark: SparkSession) -> tuple[Any, Any]:
    """Return the two modules of Spark NLP; raise SetupError if one is missing."""
    try:
        from sparknlp import annotator, base
    except ImportError as error:
        raise SetupError(
            "Spark NLP's Python package is missing; install spark-sentiment[spark-nlp]"
        ) from error
    if not jvm.has_class(spark, "com.johnsnowlabs.nlp.DocumentAssembler"):
        raise SetupError(
            "Spark NLP's jar is not on the class path; start the session with spark_nlp_conf()"
        )
    return base, annotator


def _saved_model(converted: Converted) -> Path:
    """Write the files in the layout of ``loadSavedModel``: model.onnx and assets/vocab.txt."""
    final = cache_folder() / f"sparknlp-{converted.fingerprint}"
    if final.is_dir():
        return final
    tokenizer = Tokenizer.from_file(str(converted.tokenizer))
    kind = json.loads(tokenizer.to_str())["model"]["type"]
    if kind != "WordPiece":
        raise CheckpointError(
            f"model {converted.fingerprint}: its tokenizer is a {kind}; Spark NLP's "
            "BertSentenceEmbeddings supports only WordPiece: use BertEmbeddings"
        )
    words = {number: word for word, number in tokenizer.get_vocab(with_added_tokens=True).items()}
    lines = [words.get(number, f"[unused-{number}]") for number in range(max(words) + 1)]
    with draft_folder(final) as draft:
        try:
            os.link(converted.model, draft / "model.onnx")
        except OSError:  # the folder is on another disk, or the disk does not support links
            shutil.copyfile(converted.model, draft / "model.onnx")
        (draft / "assets").mkdir()
        (draft / "assets" / "vocab.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return final


def _lowers(converted: Converted) -> bool:
    """Tell whether the tokenizer converts text to lower case."""
    normalizer = Tokenizer.from_file(str(converted.tokenizer)).normalizer
    return normalizer is not None and normalizer.normalize_str("A") == "a"
