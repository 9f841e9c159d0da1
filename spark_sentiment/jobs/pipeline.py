"""Configuration -> stages, and a schema check over all of them before anything is paid for."""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pyspark.errors import IllegalArgumentException
from pyspark.ml import Pipeline, PipelineModel, Transformer
from pyspark.ml.feature import CountVectorizer
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from spark_sentiment.balance import ClassWeights, Resampled
from spark_sentiment.bias import GROUPS, METRICS, BiasReport, Gate
from spark_sentiment.classification import classifier
from spark_sentiment.core import detach, schema_after
from spark_sentiment.embedding import BertEmbeddings
from spark_sentiment.errors import ConfigError, DataError
from spark_sentiment.jobs.config import Bias, Config
from spark_sentiment.reviews import RatingLabeler
from spark_sentiment.text import NGrams, TextCleaner

TEXT, LABEL, EMBEDDING, WEIGHT = "text", "label", "embedding", "weight"
"""Columns that the stages of one Pipeline hand to each other."""

SENTIMENT_LAYERS = 4
"""Layers of the packaged MiniLM after which a linear model tells sentiment best, of six."""

CLASSIFIED = {
    "xgboost-multiclass": {},
    "linear-learner-multiclass": {"score": "probability", "predicted_label": "prediction"},
}
"""SageMaker's classifiers of several classes, and what their replies are called here."""

Embed = Callable[[BertEmbeddings, DataFrame], DataFrame]
"""Adds a stage's embeddings to a table, as its ``transform`` does, but may know some already."""


def preparation(conf: Config) -> list[Any]:
    """Return the stages that give each review its clean text and its label."""
    steps = {"inputCols": text_columns(conf), "outputCol": TEXT, **conf.text.steps}
    cleaner = _built("text.steps", TextCleaner, steps)
    labeler = RatingLabeler(
        ratingCol="rating",
        labelCol=LABEL,
        negativeMax=conf.labels.negative_max,
        positiveMin=conf.labels.positive_min,
    )
    return [cleaner, labeler]


def text_columns(conf: Config) -> list[str]:
    """Return the configured text columns that the data has.

    A mapping of columns, ``reviews.columns``, names all columns that the data has: the others are
    null in every row, and nothing can be learned from them.

    Raises
    ------
    ConfigError
        Where none of the text columns is mapped.

    Examples
    --------
    >>> from spark_sentiment.jobs import config
    >>> data = ["reviews.path=reviews.csv", "reviews.columns={review_text: body, rating: stars}"]
    >>> text_columns(config.load("conf/local.yaml", data))
    ['review_text']
    """
    mapped = conf.reviews.columns
    if conf.reviews.path is None or not mapped:
        return list(conf.text.columns)
    found = [name for name in conf.text.columns if name in mapped]
    if not found:
        raise ConfigError(
            f"text.columns: reviews.columns maps none of {', '.join(conf.text.columns)}; map one "
            f"of them, or name one of: {', '.join(mapped)}"
        )
    return found


def report(conf: Config) -> BiasReport | None:
    """Return the stage that measures the data's bias; None where no facet is configured."""
    if not conf.bias.facets:
        return None
    given: dict[str, Any] = {
        "facets": facets(conf.bias),
        "labelCol": LABEL,
        "metrics": metrics(conf.bias, "pre"),
    }
    if conf.bias.group:
        given["groupCol"] = conf.bias.group
    if conf.bias.positive:
        given["positive"] = conf.bias.positive
    stage: BiasReport = _built("bias", BiasReport, given)
    return stage


def learning(conf: Config) -> list[Any]:
    """Return the stages that learn, from text and embedding to prediction.

    Raises
    ------
    ConfigError
        Where a setting is none of the classifier's, or SMOTE is asked for on anything but
        embeddings, between whose points alone a new one means something.
    """
    if conf.trainer == "sagemaker":
        return _balanced(conf, lambda weight: [_sagemaker(conf, weight)])
    given = {
        "features": features(conf),
        "textCol": TEXT,
        "titleCol": "title" if "title" in text_columns(conf) else None,
        "embeddingCol": EMBEDDING,
        "labelCol": LABEL,
        "ratingCol": "rating",
        "seed": conf.split.seed,
        **conf.classifier.params,
    }
    return _balanced(
        conf,
        lambda weight: _built(
            "classifier.params", classifier, given | ({"weightCol": weight} if weight else {})
        ),
    )


def _balanced(conf: Config, head: Callable[[str | None], list[Any]]) -> list[Any]:
    """Return the stages of `head`, which takes the name of a weight column, balanced as asked."""
    method = conf.balance.method
    if method == "none":
        return head(None)
    if method == "weights":
        formula = conf.balance.formula
        return [ClassWeights(labelCol=LABEL, weightCol=WEIGHT, formula=formula), *head(WEIGHT)]
    if method == "smote" and features(conf) != ["embedding"]:
        raise ConfigError(
            f"balance.method: smote works on embeddings alone, features is {features(conf)}; "
            "set features=[embedding], or balance.method to weights, over or under"
        )
    resampled = Resampled(
        estimator=Pipeline(stages=head(None)),
        labelCol=LABEL,
        featuresCol=EMBEDDING,
        method=method,
        k=conf.balance.k,
        seed=conf.split.seed,
    )
    return [resampled]


def _sagemaker(conf: Config, weight: str | None) -> Any:
    """Return the stage that trains on SageMaker."""
    # boto3 is an extra, and half a second that other jobs need not wait.
    from spark_sentiment.sagemaker import SageMakerStage

    wanted = conf.sagemaker
    for key, value in (("role", wanted.role), ("staging", wanted.staging)):
        if value is None:
            raise ConfigError(f"sagemaker.{key} is not set; trainer sagemaker needs it")
    if features(conf) != ["embedding"]:
        raise ConfigError(
            f"features: SageMaker is given embeddings alone, features is {features(conf)}; leave "
            "it null, or set features=[embedding]"
        )
    given = {
        "algorithm": wanted.algorithm,
        "role": wanted.role,
        "stagingPath": wanted.staging,
        "region": wanted.region,
        "endpointUrl": wanted.endpoint_url,
        "runId": conf.run.id,
        "weightCol": weight,
        "featuresCol": EMBEDDING,
        "labelCol": LABEL,
        "outputCols": CLASSIFIED[wanted.algorithm],
        # A review without a prediction would be missing in the evaluation.
        "maxErrorShare": 0.0,
        **wanted.params,
    }
    return _built("sagemaker.params", SageMakerStage, given)


def features(conf: Config) -> list[str]:
    """Return what the classifier sees: what is configured, or what its trainer can learn from."""
    chosen = conf.features or (
        ["embedding"] if conf.trainer == "sagemaker" else ["tfidf", "embedding"]
    )
    return list(chosen)


def embedding(conf: Config) -> BertEmbeddings | None:
    """Return the stage that embeds the clean text; None where no embedding is asked for."""
    if "embedding" not in features(conf):
        return None
    wanted = conf.embedding
    given = {
        "inputCol": TEXT,
        "outputCol": EMBEDDING,
        "modelPath": wanted.model_path,
        "engine": wanted.engine,
        "precision": wanted.precision,
        "numLayers": wanted.layers or (None if wanted.model_path else SENTIMENT_LAYERS),
        "maxLength": wanted.max_length,
        "batchSize": wanted.batch_size,
    }
    stage: BertEmbeddings = _built("embedding", BertEmbeddings, given)
    return stage


def training(conf: Config) -> Pipeline:
    """Return the whole Pipeline that `conf` describes: reviews in, predictions out.

    Examples
    --------
    >>> from spark_sentiment.jobs import config
    >>> conf = config.load("conf/local.yaml", ["features=[embedding]"])
    >>> [type(stage).__name__ for stage in training(conf).getStages()]
    ['TextCleaner', 'RatingLabeler', 'BiasReport', 'BertEmbeddings', 'Stacked']
    """
    optional = (report(conf), embedding(conf))
    middle = [stage for stage in optional if stage is not None]
    return Pipeline(stages=[*preparation(conf), *middle, *learning(conf)])


def check(pipeline: Pipeline, schema: StructType) -> StructType:
    """Return what the stages make of `schema`; raise SchemaError at the first that cannot.

    Python's ``Pipeline.fit`` checks nothing before it works; this does, without a Spark job.
    """
    return schema_after(pipeline, schema)


def fit(stages: Sequence[Any], df: DataFrame) -> PipelineModel:
    """Fit `stages` as a Pipeline does, but compute once what those make that learn nothing.

    Each estimator passes over the data at least once, and all transformers before it with it. What
    the leading transformers make is kept in memory and on disk until the fit ends.

    Raises
    ------
    DataError
        Where a text column has no word that is frequent enough to learn from.
    """
    fixed = list(takewhile(lambda stage: isinstance(stage, Transformer), stages))
    made = detach(PipelineModel(fixed).transform(df)).persist()
    try:
        learned = Pipeline(stages=list(stages[len(fixed) :])).fit(made)
    except IllegalArgumentException:
        _check_words(stages, df)
        raise
    finally:
        made.unpersist()
    return PipelineModel([*fixed, *learned.stages])


def _check_words(stages: Sequence[Any], df: DataFrame) -> None:
    """Raise DataError where a text column has no word that is frequent enough to be counted.

    The stages that follow an empty vocabulary fail with a message that names nothing.
    """
    parts: list[Any] = []
    for stage in stages:
        inner = stage.getOrDefault("estimator") if isinstance(stage, Resampled) else None
        parts += inner.getStages() if isinstance(inner, Pipeline) else [stage]
    texts = {part.getOutputCol(): part for part in parts if isinstance(part, NGrams)}
    for counter in parts:
        if not isinstance(counter, CountVectorizer) or counter.getInputCol() not in texts:
            continue
        grams = texts[counter.getInputCol()]
        if not counter.fit(grams.transform(df)).vocabulary:
            raise DataError(
                f"reviews: column '{grams.getInputCol()}' has no word that occurs in "
                f"{counter.getMinDF():.0f} reviews of the training part; leave an empty column out "
                "(--set text.columns=[review_text]), learn from embeddings alone "
                "(--set features=[embedding]), or give more reviews"
            )


def transform(model: PipelineModel, df: DataFrame, embed: Embed | None = None) -> DataFrame:
    """Put `df` through a fitted pipeline; `embed` does what a `BertEmbeddings` stage would."""
    for stage in model.stages:
        if embed is not None and isinstance(stage, BertEmbeddings):
            df = detach(embed(stage, detach(df)))
        else:
            df = stage.transform(df)
    return df


def endpoints(model: PipelineModel) -> list[Any]:
    """Return the stages of a fitted pipeline that score by an endpoint which was made for them."""
    found: list[Any] = []
    for stage in model.stages:
        if isinstance(stage, PipelineModel):
            found += endpoints(stage)
        elif (
            stage.hasParam("deployment")
            and stage.isSet("deployment")
            and stage.getOrDefault("inference") != "batch"  # which needs none
        ):
            found.append(stage)
    return found


def facets(bias: Bias) -> list[dict[str, Any]]:
    """Return the configured facets as `BiasReport` takes them."""
    return [spec.model_dump(exclude_none=True) for spec in bias.facets]


def gates(bias: Bias) -> list[Gate]:
    """Return the configured bounds.

    Raises
    ------
    ConfigError
        Where one names an unknown metric, or its bounds are the wrong way round.
    """
    return [_built("bias.gates", Gate, spec.model_dump()) for spec in bias.gates]


def metrics(bias: Bias, phase: str) -> list[str]:
    """Return the configured metrics that are measured before ('pre') or after ('post') training.

    Raises
    ------
    ConfigError
        Where a name is none of a metric or a group of them.
    """
    after = {"post", "FT", *GROUPS["post"]}
    names = bias.metrics or [*GROUPS]
    unknown = [name for name in names if name not in METRICS and name not in GROUPS]
    if unknown:
        raise ConfigError(
            f"bias.metrics: '{unknown[0]}' is no metric; the groups are {', '.join(GROUPS)}, "
            f"the metrics {', '.join(METRICS)}"
        )
    return [name for name in names if (name in after) == (phase == "post")]


def _built(key: str, make: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call `make`; what it refuses is a fault of the configuration at `key`."""
    try:
        return make(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {error}") from error
