"""Build stages from the configuration, and check their schemas before paid work starts."""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from pyspark.ml import Pipeline, PipelineModel, Transformer
from pyspark.ml.feature import CountVectorizerModel
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from spark_sentiment.balance import ClassWeights, Resampled
from spark_sentiment.bias import GROUPS, METRICS, BiasReport, Gate
from spark_sentiment.classification import Stacked, classifier
from spark_sentiment.core import detach, schema_after
from spark_sentiment.embedding import BertEmbeddings
from spark_sentiment.errors import ConfigError, DataError
from spark_sentiment.jobs.config import Bias, Config
from spark_sentiment.reviews import REVIEWS, RatingLabeler
from spark_sentiment.text import NGrams, TextCleaner, has_words

TEXT, LABEL, EMBEDDING, WEIGHT = "text", "label", "embedding", "weight"
"""Columns between the stages of a Pipeline."""

SENTIMENT_LAYERS = 4
"""Number of layers of the packaged MiniLM, of six, after which a linear model works best."""

CLASSIFIED = {
    "xgboost-multiclass": {},
    "linear-learner-multiclass": {"score": "probability", "predicted_label": "prediction"},
}
"""SageMaker's multi-class classifiers, and the new names of columns in their replies."""

Embed = Callable[[BertEmbeddings, DataFrame], DataFrame]
"""Adds the embeddings of a stage to a table, like ``transform``, but may reuse known ones."""


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


def known_columns(conf: Config) -> list[str]:
    """Return our names of the columns that the data has, as far as the configuration tells.

    A mapping, ``reviews.columns``, names all columns of the data; folders of texts have two. In
    other cases all columns may be there.
    """
    if conf.reviews.path is not None and conf.reviews.format == "folders":
        return ["review_text", "rating"]
    if conf.reviews.path is not None and conf.reviews.columns:
        return list(conf.reviews.columns)
    return REVIEWS.names


def text_columns(conf: Config) -> list[str]:
    """Return the configured text columns that the data has.

    Other columns are null in every row, so a model cannot learn from them.

    Raises
    ------
    ConfigError
        If none of the text columns is mapped.

    Examples
    --------
    >>> from spark_sentiment.jobs import config
    >>> data = ["reviews.path=reviews.csv", "reviews.columns={review_text: body, rating: stars}"]
    >>> text_columns(config.load("conf/local.yaml", data))
    ['review_text']
    """
    mapped = known_columns(conf)
    # A name that is none of ours stays, so that the check of the schema refuses it.
    found = [name for name in conf.text.columns if name in mapped or name not in REVIEWS.names]
    if not found:
        raise ConfigError(
            f"text.columns: reviews.columns maps none of {', '.join(conf.text.columns)}; map one "
            f"of them, or name one of: {', '.join(mapped)}"
        )
    return found


def measured(conf: Config) -> Bias:
    """Return ``conf.bias`` without the facets and the group that the data does not have.

    Examples
    --------
    >>> from spark_sentiment.jobs import config
    >>> columns = "reviews.columns={review_text: body, rating: stars, age: years}"
    >>> conf = config.load("conf/local.yaml", ["reviews.path=reviews.csv", columns])
    >>> [facet.column for facet in measured(conf).facets]
    ['age']
    """
    mapped = known_columns(conf)

    def is_there(name: str | None) -> bool:
        return name in mapped or name not in REVIEWS.names

    found = [facet for facet in conf.bias.facets if is_there(facet.column)]
    group = conf.bias.group if is_there(conf.bias.group) else None
    return conf.bias.model_copy(update={"facets": found, "group": group})


def report(conf: Config) -> BiasReport | None:
    """Return the stage that measures the bias of the data; None without facets."""
    bias = measured(conf)
    if not bias.facets:
        return None
    given: dict[str, Any] = {
        "facets": facets(bias),
        "labelCol": LABEL,
        "metrics": metrics(bias, "pre"),
        "maxFacetValues": bias.max_facet_values,
    }
    if bias.group:
        given["groupCol"] = bias.group
    if bias.positive:
        given["positive"] = bias.positive
    stage: BiasReport = _built("bias", BiasReport, given)
    return stage


def learning(conf: Config) -> list[Any]:
    """Return the stages of the learner, from text and embedding to prediction.

    Raises
    ------
    ConfigError
        If the classifier does not have a setting, or SMOTE is set for features other than
        embeddings: SMOTE interpolates, which is meaningful only for embeddings.
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
    """Return the stages of `head` with balancing; `head` takes the name of a weight column.

    The balancing is before the last stage alone. The stages of features come first, so that their
    vocabulary counts each review once, and `fit` computes them only once.
    """
    method = conf.balance.method
    if method == "none":
        return head(None)
    if method == "weights":
        *featured, learner = head(WEIGHT)
        formula = conf.balance.formula
        weights = ClassWeights(labelCol=LABEL, weightCol=WEIGHT, formula=formula)
        return [*featured, weights, learner]
    if method == "smote" and features(conf) != ["embedding"]:
        raise ConfigError(
            f"balance.method: smote needs embeddings only, features is {features(conf)}; "
            "set features=[embedding], or balance.method to weights, over or under"
        )
    *featured, learner = head(None)
    resampled = Resampled(
        estimator=learner,
        labelCol=LABEL,
        featuresCol=EMBEDDING,
        method=method,
        k=conf.balance.k,
        seed=conf.split.seed,
    )
    return [*featured, resampled]


def _sagemaker(conf: Config, weight: str | None) -> Any:
    """Return the stage that trains on SageMaker."""
    # Imported here: boto3 is an extra, and its import would delay other jobs.
    from spark_sentiment.sagemaker import SageMakerStage

    wanted = conf.sagemaker
    for key, value in (("role", wanted.role), ("staging", wanted.staging)):
        if value is None:
            raise ConfigError(f"sagemaker.{key} is not set; trainer sagemaker needs it")
    if features(conf) != ["embedding"]:
        raise ConfigError(
            f"features: SageMaker needs embeddings only, features is {features(conf)}; leave it "
            "null, or set features=[embedding]"
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
        # The evaluation would lack a review without a prediction.
        "maxErrorShare": 0.0,
        **wanted.params,
    }
    return _built("sagemaker.params", SageMakerStage, given)


def features(conf: Config) -> list[str]:
    """Return the features of the classifier: those configured, or the default of the trainer."""
    chosen = conf.features or (
        ["embedding"] if conf.trainer == "sagemaker" else ["tfidf", "embedding"]
    )
    return list(chosen)


def embedding(conf: Config) -> BertEmbeddings | None:
    """Return the stage that embeds the clean text; None if the features have no embedding."""
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
    """Return the schema after all stages; raise SchemaError at the first stage that refuses.

    Python's ``Pipeline.fit`` does not check schemas first. This check starts no Spark job.
    """
    return schema_after(pipeline, schema)


def fit(stages: Sequence[Any], df: DataFrame) -> PipelineModel:
    """Fit `stages` as a Pipeline does, but compute the leading transformers only once.

    Each estimator reads the data at least once, and runs all transformers before it again. The
    result of the leading transformers is therefore persisted until the fit ends.

    Raises
    ------
    DataError
        If the last stage learns from words only, and no column has a word in enough rows.
    """
    *before, learner = stages
    fixed = list(takewhile(lambda stage: isinstance(stage, Transformer), before))
    made = detach(PipelineModel(fixed).transform(df)).persist()
    try:
        featured = Pipeline(stages=before[len(fixed) :]).fit(made)
        model = PipelineModel([*fixed, *featured.stages])
        _check_words(model, learner)
        learned = learner.fit(featured.transform(made))
    finally:
        made.unpersist()
    return PipelineModel([*model.stages, learned])


def rare_words(model: PipelineModel) -> dict[str, float]:
    """Return the columns that have no word in enough rows, each with the number of rows needed."""
    stages = _flat(model)
    texts = {part.getOutputCol(): part.getInputCol() for part in stages if isinstance(part, NGrams)}
    return {
        texts[part.getInputCol()]: float(part.getMinDF())
        for part in stages
        if isinstance(part, CountVectorizerModel) and not has_words(part)
    }


def _check_words(model: PipelineModel, learner: Any) -> None:
    """Raise DataError if `learner` reads only words, and no column has a word in enough rows."""
    top = learner.getEstimator() if isinstance(learner, Resampled) else learner
    counters = [part for part in _flat(model) if isinstance(part, CountVectorizerModel)]
    rare = rare_words(model)
    if len(rare) < len(counters) or not (rare and isinstance(top, Stacked)):
        return
    if all(inner.getOrDefault("featuresCol") != EMBEDDING for inner in top.getEstimators()):
        found = ", ".join(f"'{column}' in {needed:g}" for column, needed in rare.items())
        raise DataError(
            "reviews: no word occurs in enough reviews of the training part; needed in column "
            f"{found}: give more reviews, or learn from embeddings (--set features=[embedding])"
        )


def _flat(model: PipelineModel) -> list[Any]:
    """Return the stages of a fitted pipeline, and those of the pipelines in it."""
    found: list[Any] = []
    for stage in model.stages:
        found += _flat(stage) if isinstance(stage, PipelineModel) else [stage]
    return found


def transform(model: PipelineModel, df: DataFrame, embed: Embed | None = None) -> DataFrame:
    """Transform `df` by a fitted pipeline; `embed` replaces `BertEmbeddings` stages."""
    for stage in model.stages:
        if embed is not None and isinstance(stage, BertEmbeddings):
            df = detach(embed(stage, detach(df)))
        else:
            df = stage.transform(df)
    return df


def endpoints(model: PipelineModel) -> list[Any]:
    """Return the stages of a fitted pipeline that score by an endpoint they created."""
    return [
        stage
        for stage in _flat(model)
        if stage.hasParam("deployment")
        and stage.isSet("deployment")
        and stage.getOrDefault("inference") != "batch"  # a batch transform needs no endpoint
    ]


def facets(bias: Bias) -> list[dict[str, Any]]:
    """Return the configured facets as `BiasReport` takes them."""
    return [spec.model_dump(exclude_none=True) for spec in bias.facets]


def gates(bias: Bias) -> list[Gate]:
    """Return the configured bounds.

    Raises
    ------
    ConfigError
        If a gate names an unknown metric, or its bounds are in the wrong order.
    """
    return [_built("bias.gates", Gate, spec.model_dump()) for spec in bias.gates]


def metrics(bias: Bias, phase: str) -> list[str]:
    """Return the configured metrics that are measured before ('pre') or after ('post') training.

    Raises
    ------
    ConfigError
        If a name is not a metric or a group of metrics.
    """
    after = {"post", "FT", *GROUPS["post"]}
    names = bias.metrics or [*GROUPS]
    unknown = [name for name in names if name not in METRICS and name not in GROUPS]
    if unknown:
        raise ConfigError(
            f"bias.metrics: '{unknown[0]}' is not a metric; the groups are {', '.join(GROUPS)}, "
            f"the metrics {', '.join(METRICS)}"
        )
    return [name for name in names if (name in after) == (phase == "post")]


def _built(key: str, make: Callable[..., Any], given: Mapping[str, Any]) -> Any:
    """Call `make`; turn its errors into errors of the configuration at `key`."""
    try:
        return make(**given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {error}") from error
