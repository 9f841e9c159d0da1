"""Embed texts as sentence vectors by a BERT-family checkpoint, in Spark or in one process."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pyspark import SparkContext
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

from spark_sentiment.core import (
    VECTOR,
    Stage,
    appended,
    boolean,
    integer,
    one_of,
    optional,
    params_setter,
    quoted,
    string,
    takes_params,
    to_vector,
)
from spark_sentiment.embedding.checkpoint import POOLINGS
from spark_sentiment.embedding.convert import Converted, convert
from spark_sentiment.embedding.engines import ENGINES, PRECISIONS, Plan, cores, encoder
from spark_sentiment.embedding.progress import EmbeddingProgress
from spark_sentiment.errors import CheckpointError


def embed_texts(
    texts: Sequence[str | None],
    path: str | None = None,
    *,
    engine: str = "openvino",
    precision: str = "auto",
    pooling: str = "auto",
    normalize: bool | None = None,
    num_layers: int | None = None,
    max_length: int | None = None,
    batch_size: int = 32,
    checksum: str | None = None,
) -> NDArray[np.float32]:
    """Embed a list of texts in this process, on all its cores.

    Parameters
    ----------
    texts : sequence of str or None
        Texts to embed. An empty or blank text gets the model's vector for no words.
    path : str, optional
        Checkpoint folder or address; the installed all-MiniLM-L6-v2 by default.
    engine, precision, pooling, normalize, num_layers, max_length, batch_size, checksum
        As the Params of `BertEmbeddings`.

    Returns
    -------
    numpy.ndarray
        float32, [texts, width]; a row of NaN for each None.

    Raises
    ------
    CheckpointError
        If the checkpoint is incomplete or damaged, or does not support an argument.
    SetupError
        If the processor or engine does not support the precision.

    Examples
    --------
    >>> vectors = embed_texts(["soft and warm", "warm and soft", "arrived late"])
    >>> vectors.shape
    (3, 384)
    >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    True
    """
    converted = convert(
        path, pooling=pooling, normalize=normalize, num_layers=num_layers, checksum=checksum
    )
    plan = Plan(
        converted=converted,
        engine=one_of(*ENGINES)(engine),
        precision=one_of(*PRECISIONS)(precision),
        max_length=_length(converted, max_length),
        batch_size=batch_size,
        threads=cores(),
    )
    return _embedded(plan, texts)


class BertEmbeddings(
    Stage,
    Transformer,
    HasInputCol,
    HasOutputCol,
    DefaultParamsReadable["BertEmbeddings"],
    DefaultParamsWritable,
):
    """Turn a text column into vectors by a BERT-family sentence model.

    Parameters
    ----------
    inputCol : str
        Column to read, of type string.
    outputCol : str
        Column to add, a dense vector of the checkpoint's width (384 for the default); null if
        `inputCol` is null. An empty or blank text gets the model's vector for no words, as in
        sentence-transformers.
    modelPath : str, optional
        Checkpoint folder in the Hugging Face layout: a local path, or an address that Hadoop reads
        (``s3a://bucket/folder``). By default the installed all-MiniLM-L6-v2.
    engine : {'openvino', 'onnxruntime'}, default 'openvino'
        Engine that runs the model.
    precision : {'auto', 'f32', 'bf16'}, default 'auto'
        Precision of the computation. 'auto' is bf16 with OpenVINO on processors that have bf16,
        otherwise f32.
    pooling : {'auto', 'mean', 'cls', 'max'}, default 'auto'
        How to combine token vectors: 'auto' follows the checkpoint's ``1_Pooling`` (mean if it has
        none).
    normalize : bool, optional
        Whether vectors get length 1; by default as in the checkpoint's ``modules.json``.
    numLayers : int, optional
        Number of layers of the encoder to run, from the first; by default all. The last layers are
        specific to the task that the checkpoint was trained for. For another task, a middle layer
        may be better and is faster: for sentiment, all-MiniLM-L6-v2 is an example; see
        docs/limits.md.
    maxLength : int, optional
        Maximum number of tokens of a text, with special tokens, 3 or more. Longer texts are cut. By
        default the checkpoint's ``max_seq_length``, or 256.
    batchSize : int, default 32
        Number of texts per inference. A larger number is rarely faster on a processor.
    checksum : str, optional
        Required SHA-256 of ``model.safetensors``, in hexadecimal. For the installed package it is
        always checked.

    Raises
    ------
    SchemaError
        If `inputCol` is missing or not a string, or `outputCol` exists.
    CheckpointError
        From `transform`, before any Spark job: a part is missing, damaged, or of an unknown kind.
    SetupError
        From the tasks, if `precision` is 'bf16' and the processor does not have it.

    Notes
    -----
    `transform` converts the checkpoint on the driver, once per machine (see
    `spark_sentiment.embedding.convert`). It sends the file to executors on other machines; this
    package must be installed there. Each Python worker loads the model once, and then reads and
    writes Arrow batches; other columns stay in the JVM. Texts are sorted by length
    within an Arrow batch (``spark.sql.execution.arrow.maxRecordsPerBatch``, 10,000 rows by
    default), so a partition should hold some hundred rows or more. Equal texts of a batch are
    computed once. One partition keeps one worker busy: use at least as many partitions as cores.

    The same rows in the same partitions give the same bits. Another partitioning gives other
    batches, which may change the last digits. Spark does not push a filter on `outputCol` below
    this stage, so no text is embedded twice; put filters on other columns before the stage.

    A saved stage holds `modelPath`, not the weights: the machine that loads it must be able to read
    the address. `checksum` makes sure that the weights are the same.

    Examples
    --------
    >>> df = spark.createDataFrame([("runs large",), (None,)], ["text"])
    >>> rows = BertEmbeddings(inputCol="text", outputCol="embedding").transform(df).collect()
    >>> rows[0].embedding.size, rows[1].embedding
    (384, None)
    """

    modelPath: Param[str] = Param(
        Params._dummy(), "modelPath", "checkpoint folder; unset: the installed package", string
    )
    engine: Param[str] = Param(
        Params._dummy(), "engine", "engine that runs the model", one_of(*ENGINES)
    )
    precision: Param[str] = Param(
        Params._dummy(), "precision", "precision of the computation", one_of(*PRECISIONS)
    )
    pooling: Param[str] = Param(
        Params._dummy(), "pooling", "how to combine token vectors", one_of("auto", *POOLINGS)
    )
    normalize: Param[bool] = Param(
        Params._dummy(), "normalize", "scale to length 1; unset: as in the checkpoint", boolean
    )
    numLayers: Param[int] = Param(
        Params._dummy(), "numLayers", "layers to run, from the first; unset: all", integer(1)
    )
    maxLength: Param[int] = Param(
        Params._dummy(), "maxLength", "tokens kept; unset: as in the checkpoint", integer(3)
    )
    batchSize: Param[int] = Param(Params._dummy(), "batchSize", "texts per inference", integer(1))
    checksum: Param[str] = Param(
        Params._dummy(), "checksum", "SHA-256 of the weights; unset: not checked", string
    )

    @takes_params
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        modelPath: str | None = None,
        engine: str = "openvino",
        precision: str = "auto",
        pooling: str = "auto",
        normalize: bool | None = None,
        numLayers: int | None = None,
        maxLength: int | None = None,
        batchSize: int = 32,
        checksum: str | None = None,
    ) -> None:
        super().__init__()
        self.progress = EmbeddingProgress()

    setParams = params_setter(__init__)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of `transform`; raise SchemaError if a column is wrong."""
        out = StructField(self.getOutputCol(), VECTOR)
        return appended(schema, self.uid, [self.getInputCol()], StringType, out)

    def convert(self, spark: SparkSession | None = None) -> Converted:
        """Convert the checkpoint, or find it in the cache; `transform` calls this itself.

        Parameters
        ----------
        spark : SparkSession, optional
            Reads a remote `modelPath`; the active session by default.
        """
        return convert(
            optional(self, self.modelPath),
            pooling=self.getOrDefault(self.pooling),
            normalize=optional(self, self.normalize),
            num_layers=optional(self, self.numLayers),
            checksum=optional(self, self.checksum),
            spark=spark,
        )

    def fingerprint(self, spark: SparkSession | None = None) -> str:
        """Return a fingerprint of everything that determines the vectors, as a key to store them.

        It is equal for equal weights, tokenizer, pooling, normalisation, layers, length and
        precision Param, wherever the checkpoint is. Precision 'auto' has a fingerprint of its own:
        if processors with and without bf16 fill a table, its vectors agree to two or three digits.

        Examples
        --------
        >>> stage = BertEmbeddings(inputCol="text", outputCol="embedding")
        >>> stage.fingerprint() == stage.copy({stage.maxLength: 64}).fingerprint()
        False
        """
        converted = self.convert(spark)
        length = _length(converted, optional(self, self.maxLength))
        return f"{converted.fingerprint}-{length}-{self.getOrDefault(self.precision)}"

    def _transform(self, dataset: DataFrame) -> DataFrame:
        import pandas as pd  # imported here: the import is slow

        self.transformSchema(dataset.schema)
        spark = dataset.sparkSession
        converted = self.convert(spark)
        context = spark.sparkContext
        plan = Plan(
            converted=converted,
            engine=self.getOrDefault(self.engine),
            precision=self.getOrDefault(self.precision),
            max_length=_length(converted, optional(self, self.maxLength)),
            batch_size=self.getOrDefault(self.batchSize),
            threads=_threads(context),
        )
        _ship(context, converted)
        counter = self.progress.counter(context)

        def embed(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
            for texts in batches:
                vectors = _embedded(plan, list(texts))
                counter.add(len(texts))
                yield pd.Series(list(vectors), dtype=object).mask(texts.isna().to_numpy(), None)

        # Marked as nondeterministic: otherwise the optimizer runs it twice, for a filter on its
        # result and for the result.
        udf = pandas_udf(embed, ArrayType(FloatType())).asNondeterministic()  # type: ignore[call-overload]
        raw, out = f"{self.uid}_array", self.getOutputCol()
        vector = F.when(F.col(raw).isNotNull(), to_vector(F.col(raw)))
        embedded = dataset.withColumn(raw, udf(quoted(self.getInputCol())))
        return embedded.withColumn(out, vector).drop(raw)


def _embedded(plan: Plan, texts: Sequence[str | None]) -> NDArray[np.float32]:
    """Embed texts; None gets a row of NaN."""
    given = [place for place, text in enumerate(texts) if text is not None]
    found = encoder(plan)([text for text in texts if text is not None]) if given else None
    if found is not None and len(given) == len(texts):
        return found
    vectors = np.full((len(texts), plan.converted.width), np.nan, dtype=np.float32)
    if found is not None:
        vectors[given] = found
    return vectors


def _length(converted: Converted, asked: int | None) -> int:
    """Return the maximum number of tokens of a text."""
    if asked is None:
        return converted.max_length
    if asked > converted.positions:
        raise CheckpointError(
            f"model {converted.fingerprint}: maxLength is {asked}, its position table ends at "
            f"{converted.positions}; set maxLength to at most that"
        )
    return asked


def _threads(context: SparkContext) -> int:
    """Return the threads of a worker: its share of the cores locally, or those of its task."""
    local = re.fullmatch(r"local(?:\[(\*|\d+)(?:,\s*\d+)?\])?", context.master or "")
    if local is None:
        return int(context.getConf().get("spark.task.cpus", "1") or 1)
    slots = cores() if local[1] == "*" else int(local[1] or 1)
    return max(1, cores() // slots)


def _ship(context: SparkContext, converted: Converted) -> None:
    """Send the model to executors on other machines; in local mode they see the cache folder."""
    if re.match(r"local(\[|$)", context.master or ""):
        return
    there = {file.rsplit("/", 1)[-1] for file in context.listFiles}
    for path in (converted.model, converted.tokenizer):
        if path.name not in there:
            context.addFile(str(path))
