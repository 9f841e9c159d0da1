"""A classifier that combines classifiers, fitted on their out-of-fold predictions."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from pyspark.ml import Estimator, Model
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import (
    HasLabelCol,
    HasParallelism,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasRegParam,
)
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, NumericType, StructField, StructType

from spark_sentiment.balance import KEY, class_counts, keyed
from spark_sentiment.classification.folds import fit_folds
from spark_sentiment.classification.thresholds import best_offsets, margins
from spark_sentiment.core import (
    VECTOR,
    HasSeed,
    Stage,
    absent,
    find,
    integer,
    number,
    one_of,
    params_setter,
    quoted,
    schema_after,
    sequence,
    takes_params,
    to_array,
    to_vector,
)
from spark_sentiment.errors import DataError

logger = logging.getLogger(__name__)

_FOLD = "__stacked_fold"
_FEATURES = "__stacked_features"
_OUTPUTS = ("rawPrediction", "probability", "prediction")
# Smallest probability before its logarithm is taken, so that the logarithm is finite; it is below
# the share of a class with one row in a million.
_TINY = 1e-7


class _Columns(HasLabelCol, HasPredictionCol, HasProbabilityCol, HasRawPredictionCol):
    """Params that the estimator and its model share."""

    uid: str

    def _appended(self, schema: StructType) -> StructType:
        fields = [
            StructField(self.getRawPredictionCol(), VECTOR),
            StructField(self.getProbabilityCol(), VECTOR),
            StructField(self.getPredictionCol(), DoubleType(), nullable=False),
        ]
        for field in fields:
            absent(schema, self.uid, field.name)
        return StructType([*schema.fields, *fields])


class Stacked(
    Stage,
    Estimator["StackedModel"],
    _Columns,
    HasParallelism,
    HasRegParam,
    HasSeed,
    MLReadable["Stacked"],
    MLWritable,
):
    """Combine classifiers by a logistic regression on their out-of-fold probabilities.

    Fit splits the rows into folds. It fits each classifier once per fold, on all other folds, and
    gets probabilities for rows that the classifier has not seen. A multinomial logistic regression
    learns from the logarithms of these probabilities how to weight each classifier for each class.
    Fit chooses the thresholds that maximise macro-F1 on the same rows, by second levels that are
    fitted without the fold of each row. At the end, it fits each classifier on all rows.

    The classifiers may predict a finer label than `labelCol`, such as a rating of five levels for a
    sentiment of three classes: the second level learns the meaning of each finer class.

    Parameters
    ----------
    estimators : list of Estimator
        Probabilistic classifiers, each with its own ``featuresCol`` and ``labelCol``; their output
        columns are set by this stage. One is enough if you need only the thresholds.
    labelCol : str, default 'label'
        Column of the class, numeric, from 0 to classes - 1.
    predictionCol, probabilityCol, rawPredictionCol : str
        Columns to add, as in MLlib's classifiers: the class (double), and two vectors with one
        entry per class. Thresholds do not change `probability`, so its largest entry may differ
        from the predicted class.
    numFolds : int of at least 2, default 3
        Number of folds, and so of fits of each classifier before the last one.
    metric : {'macroF1', 'accuracy'}, default 'macroF1'
        Metric that the thresholds maximise. ``accuracy`` sets no thresholds.
    regParam : float of at least 0, default 1e-4
        L2 penalty of the second level.
    seed : int, default 0
        Seed of the folds.
    parallelism : int of at least 1, default 1
        Number of classifiers to fit at the same time.

    Raises
    ------
    SchemaError
        If `labelCol` is missing or not numeric, an output column exists, or a classifier refuses
        the schema; before any job.
    DataError
        If the table is empty or has one class only, a label is not a whole number from 0 on, or all
        rows are in one fold.

    Notes
    -----
    Fit ignores rows with a null label. A hash of `seed` and of the columns that fit reads gives the
    fold, so the same rows give the same folds for any partitioning, and equal rows share a fold. A
    class that the other folds lack has probability 0 in this fold.

    Cost: ``numFolds + 1`` fits of each classifier on rows kept in memory and on disk, one small fit
    and two aggregations. Up to 200,000 rows and 16 million numbers, one Python task of some 400 MB
    computes all fits of MLlib's multinomial ``LogisticRegression`` with L2, and of its
    ``NaiveBayes`` of terms, with the same steps as MLlib; classifiers on the same columns share the
    task. Larger tables and other classifiers use their own ``fit``. The rows are checkpointed: in
    the session's checkpoint folder if it is set, otherwise on the executors; then the loss of an
    executor fails the fit. The driver holds the coefficients, and at most 500,000 cells of a
    histogram.

    References
    ----------
    D. H. Wolpert, "Stacked Generalization", Neural Networks 5 (1992).

    Examples
    --------
    >>> from pyspark.ml.classification import LogisticRegression, NaiveBayes
    >>> from pyspark.ml.linalg import Vectors
    >>> rows = [(float(i % 3), Vectors.dense([i % 3 + i % 2, i % 5])) for i in range(60)]
    >>> df = spark.createDataFrame(rows, ["label", "features"])
    >>> stacked = Stacked(estimators=[LogisticRegression(maxIter=10), NaiveBayes()], numFolds=2)
    >>> model = stacked.fit(df)
    >>> model.transform(df).columns
    ['label', 'features', 'rawPrediction', 'probability', 'prediction']
    >>> len(model.models), model.numClasses
    (2, 3)
    """

    estimators: Param[list[Estimator[Any]]] = Param(
        Params._dummy(), "estimators", "probabilistic classifiers", lambda v: _classifiers(v)
    )
    numFolds: Param[int] = Param(Params._dummy(), "numFolds", "folds, at least 2", integer(2))
    metric: Param[str] = Param(
        Params._dummy(), "metric", "macroF1 or accuracy", one_of("macroF1", "accuracy")
    )
    regParam: Param[float] = Param(
        Params._dummy(), "regParam", "L2 penalty of the second level", number(0)
    )
    parallelism: Param[int] = Param(
        Params._dummy(), "parallelism", "classifiers fitted at the same time", integer(1)
    )

    @takes_params
    def __init__(
        self,
        *,
        estimators: Sequence[Estimator[Any]] | None = None,
        labelCol: str = "label",
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        rawPredictionCol: str = "rawPrediction",
        numFolds: int = 3,
        metric: str = "macroF1",
        regParam: float = 1e-4,
        seed: int = 0,
        parallelism: int = 1,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def getEstimators(self) -> list[Estimator[Any]]:
        """Return the classifiers that are combined."""
        return list(self.getOrDefault("estimators"))

    def copy(self, extra: Mapping[Param[Any], Any] | None = None) -> "Stacked":
        """Return a copy with `extra` Params, also in the inner classifiers."""
        extra = dict(extra or {})
        twin = super().copy(extra)
        if twin.isSet(twin.estimators):
            twin._set(estimators=[inner.copy(extra) for inner in twin.getEstimators()])
        return twin

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of the model; raise SchemaError if a column is wrong."""
        find(schema, self.uid, self.getLabelCol(), NumericType)
        out = self._appended(schema)
        # An assembler names each of 50,000 n-grams in the metadata of its column. A classifier that
        # does not read the column need not be sent them.
        used = self._used(schema.names)
        light = [f if f.name in used else StructField(f.name, f.dataType) for f in schema.fields]
        for inner in self._named():
            schema_after(inner, StructType(light))
        return out

    def write(self) -> MLWriter:
        """Return a writer that saves each classifier in a folder beside the metadata."""
        return _Writer(self, {f"estimators/{i}": e for i, e in enumerate(self.getEstimators())})

    @classmethod
    def read(cls) -> "MLReader[Stacked]":
        """Return a reader of saved stages."""
        return _EstimatorReader()

    def _named(self) -> list[Estimator[Any]]:
        """Return the classifiers, with output columns that do not clash."""
        named = []
        for i, inner in enumerate(self.getEstimators()):
            names = {f"{name}Col": _column(i, name) for name in _OUTPUTS}
            named.append(inner.copy({inner.getParam(param): v for param, v in names.items()}))
        return named

    def _fit(self, dataset: DataFrame) -> "StackedModel":
        self.transformSchema(dataset.schema)
        folds, label = self.getOrDefault(self.numFolds), self.getLabelCol()
        used = dataset.select([quoted(name) for name in self._used(dataset.columns)])
        rows = _computed(keyed(used, self.getOrDefault(self.seed)))
        counts = self._counts(rows)
        data = rows.where(quoted(label).isNotNull())
        data = data.withColumn(_FOLD, F.pmod(F.col(KEY), F.lit(folds))).drop(KEY)
        ends = data.agg(F.min(_FOLD), F.max(_FOLD)).head()
        if ends is not None and ends[0] == ends[1]:  # nothing would be left without this fold
            raise DataError(
                f"{self.uid}: all {sum(counts.values())} rows are in one of {folds} folds, where "
                "equal rows are together; give more rows that differ"
            )
        named = self._named()
        threads = self.getOrDefault(self.parallelism)
        *by_fold, last = fit_folds(named, data, sum(counts.values()), _FOLD, folds, threads)
        widths = [int(model.numClasses) for model in last]
        unseen = [
            _scored(models, widths, data.where(F.col(_FOLD) == fold)).select(
                quoted(label).cast("double").alias(label), _FEATURES, F.lit(fold).alias(_FOLD)
            )
            for fold, models in enumerate(by_fold)
        ]
        answers = reduce(DataFrame.union, unseen).coalesce(max(1, rows.rdd.getNumPartitions()))
        top = self._top(_computed(answers), counts)
        model = StackedModel(models=last, top=top, widths=widths)
        return self._copyValues(model)

    def _used(self, columns: list[str]) -> list[str]:
        """Return those of `columns` that fit reads, by the classifiers' ``...Col`` Params."""
        named = {
            inner.getOrDefault(param)
            for inner in self.getEstimators()
            for param in inner.params
            if param.name.endswith("Col") and inner.isDefined(param)
        }
        return [name for name in columns if name in named or name == self.getLabelCol()]

    def _counts(self, rows: DataFrame) -> dict[float, int]:
        counts = class_counts(rows, self.uid, self.getLabelCol())
        wrong = [label for label in counts if label < 0 or label != int(label)]
        if wrong:
            raise DataError(
                f"{self.uid}: column '{self.getLabelCol()}' holds {wrong[0]}; classes must be "
                "whole numbers from 0"
            )
        return counts

    def _top(self, answers: DataFrame, counts: Mapping[float, int]) -> LogisticRegressionModel:
        label, rows, classes = self.getLabelCol(), sum(counts.values()), int(max(counts)) + 1
        learner = LogisticRegression(
            featuresCol=_FEATURES,
            labelCol=label,
            family="multinomial",
            maxIter=50,
            regParam=self.getOrDefault(self.regParam),
            tol=1e-5,
        )
        folds = (
            self.getOrDefault(self.numFolds) if self.getOrDefault(self.metric) == "macroF1" else 0
        )
        found = fit_folds([learner], answers, rows, _FOLD, folds)
        top: LogisticRegressionModel = found[-1][0]
        if folds:
            # Probabilities of rows that a second level was fitted on are too good, most of all if
            # the rows are few, so each fold gets those of a second level without it.
            unseen = [
                model.transform(answers.where(F.col(_FOLD) == fold)).select(
                    label, to_vector(_padded("probability", classes)).alias("probability")
                )
                for fold, (model,) in enumerate(found[:-1])
            ]
            cells = margins(reduce(DataFrame.union, unseen), label, "probability", classes)
            offsets = best_offsets(*cells)
            logger.info("%s: offsets of log-probability %s", self.uid, offsets.tolist())
            top._set(thresholds=np.exp(-offsets).tolist())
        return top


class StackedModel(Stage, Model, _Columns, MLReadable["StackedModel"], MLWritable):
    """Classifiers, and the logistic regression that combines their probabilities.

    Parameters
    ----------
    models : list of Model
        The fitted classifiers.
    top : LogisticRegressionModel
        The second level, with the tuned ``thresholds``.
    widths : list of int
        Number of probabilities that each classifier returns.

    Notes
    -----
    The model adds the three columns of `Stacked` and needs no label. It consists of MLlib models:
    no Python worker starts.
    """

    def __init__(
        self,
        models: Sequence[Any] = (),
        top: LogisticRegressionModel | None = None,
        widths: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.models = list(models)
        self.top = top
        self.widths = list(widths)

    @property
    def numClasses(self) -> int:
        """Number of classes."""
        return int(self._second().numClasses)

    @property
    def thresholds(self) -> list[float] | None:
        """Thresholds: the class with the largest probability / threshold wins; or None."""
        top = self._second()
        return list(top.getOrDefault("thresholds")) if top.isSet("thresholds") else None

    def copy(self, extra: Mapping[Param[Any], Any] | None = None) -> "StackedModel":
        """Copy with `extra` Params; the fitted parts are copied as well."""
        twin = super().copy(dict(extra or {}))
        twin.models = [model.copy() for model in self.models]
        twin.top = self._second().copy()
        return twin

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of `transform`; raise SchemaError if a column is wrong."""
        for model in self.models:
            find(schema, self.uid, model.getFeaturesCol(), type(VECTOR))
        return self._appended(schema)

    def write(self) -> MLWriter:
        """Return a writer that saves each part in a folder beside the metadata."""
        parts = {f"models/{i}": model for i, model in enumerate(self.models)}
        return _Writer(self, {**parts, "top": self._second()}, {"widths": self.widths})

    @classmethod
    def read(cls) -> "MLReader[StackedModel]":
        """Return a reader of saved models."""
        return _ModelReader()

    def _second(self) -> LogisticRegressionModel:
        if self.top is None:
            raise DataError(
                f"{self.uid}: the model was not fitted; get one from Stacked.fit or load"
            )
        return self.top

    def _transform(self, dataset: DataFrame) -> DataFrame:
        out = self.transformSchema(dataset.schema)
        top = self._second().copy()
        top._set(
            featuresCol=_FEATURES,
            predictionCol=self.getPredictionCol(),
            probabilityCol=self.getProbabilityCol(),
            rawPredictionCol=self.getRawPredictionCol(),
        )
        scored = _scored(self.models, self.widths, dataset)
        return top.transform(scored).select([quoted(name) for name in out.names])


def _column(index: int, output: str) -> str:
    return f"__stacked_{index}_{output}"


def _scored(models: Sequence[Any], widths: Sequence[int], data: DataFrame) -> DataFrame:
    """Add the logarithms of all models' probabilities as one vector."""
    for model in models:
        data = model.transform(data)
    arrays = [_padded(_column(i, "probability"), width) for i, width in enumerate(widths)]
    logs = F.transform(F.concat(*arrays), lambda p: F.log(F.greatest(p, F.lit(_TINY))))
    data = data.withColumn(_FEATURES, to_vector(logs))
    return data.drop(*[_column(i, name) for i in range(len(models)) for name in _OUTPUTS])


def _padded(probability: str, width: int) -> Column:
    """Return the probabilities of a model as an array of length `width`, padded with 0."""
    known = to_array(F.col(probability))
    return F.slice(F.concat(known, F.array_repeat(F.lit(0.0), width)), 1, width)


def _computed(data: DataFrame) -> DataFrame:
    """Compute the rows now, and cut their lineage.

    A fit starts a job for each iteration, and Spark sends the lineage of the rows with each job,
    even if they are cached. To send a vocabulary of 50,000 n-grams takes longer than to compute an
    iteration.
    """
    if data.sparkSession.sparkContext.getCheckpointDir():
        return data.checkpoint()
    return data.localCheckpoint()  # on the executors: the loss of one fails the fit


def _classifiers(value: Any) -> list[Estimator[Any]]:
    classifiers = sequence(value, "classifiers")
    if not classifiers:
        raise ValueError("expected a list of at least one classifier, got none")
    for item in classifiers:
        needed = ("featuresCol", "labelCol", *(f"{name}Col" for name in _OUTPUTS))
        if not isinstance(item, Estimator) or not all(map(item.hasParam, needed)):
            raise TypeError(f"expected Estimators with probabilities, got {item!r}")
    return classifiers


class _Writer(MLWriter):
    def __init__(
        self, instance: Any, parts: Mapping[str, Any], extra: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.instance, self.parts, self.extra = instance, parts, extra or {}

    def saveImpl(self, path: str) -> None:
        for part in self.parts.values():
            if not isinstance(part, MLWritable):
                raise TypeError(f"{self.instance.uid}: its part {part.uid} cannot be saved")
        plain = {p.name: v for p, v in self.instance._paramMap.items() if p.name != "estimators"}
        extra = {**self.extra, "parts": len(self.parts)}
        DefaultParamsWriter.saveMetadata(
            self.instance, path, self.sc, extraMetadata=extra, paramMap=plain
        )
        for folder, part in self.parts.items():
            part.save(os.path.join(path, folder))


class _EstimatorReader(MLReader[Stacked]):
    def load(self, path: str) -> Stacked:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        loaded: Stacked = _restored(Stacked(), metadata)
        parts = [_part(path, f"estimators/{i}", self.sc) for i in range(metadata["parts"])]
        if parts:
            loaded._set(estimators=parts)
        return loaded


class _ModelReader(MLReader[StackedModel]):
    def load(self, path: str) -> StackedModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        models = [_part(path, f"models/{i}", self.sc) for i in range(metadata["parts"] - 1)]
        top = _part(path, "top", self.sc)
        loaded: StackedModel = _restored(StackedModel(models, top, metadata["widths"]), metadata)
        return loaded


def _restored(instance: Any, metadata: dict[str, Any]) -> Any:
    instance._resetUid(metadata["uid"])
    DefaultParamsReader.getAndSetParams(instance, metadata)
    return instance


def _part(path: str, folder: str, context: Any) -> Any:
    return DefaultParamsReader.loadParamsInstance(os.path.join(path, folder), context)
