"""Class balance: an estimator fitted on resampled rows, for learners without weights."""

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil, floor
from typing import Any

from pyspark import StorageLevel
from pyspark.errors import PythonException
from pyspark.ml import Estimator
from pyspark.ml.base import _FitMultipleIterator
from pyspark.ml.linalg import VectorUDT
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasFeaturesCol, HasLabelCol
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType, StructType

from spark_sentiment.balance.counts import COPIES, KEY, ClassCount, allot, bucket_counts, keyed
from spark_sentiment.balance.smote import synthetic
from spark_sentiment.core import (
    HasSeed,
    Stage,
    by_label,
    find,
    integer,
    number,
    one_of,
    params_setter,
    quoted,
    schema_after,
    takes_params,
)
from spark_sentiment.errors import DataError

logger = logging.getLogger(__name__)

_NOT_STORED = StorageLevel(False, False, False, False)


class Resampled(
    Stage,
    Estimator[Any],
    HasLabelCol,
    HasFeaturesCol,
    HasSeed,
    MLReadable["Resampled"],
    MLWritable,
):
    """Fit another estimator on balanced rows, and return its model.

    Only `fit` balances rows. `fit` returns the model of `estimator` itself, so a fitted pipeline
    never resamples the rows that it scores.

    Parameters
    ----------
    estimator : Estimator
        Estimator to fit: a classifier, or a Pipeline that ends in one. It names its own columns.
    labelCol : str, default 'label'
        Column of the class, of any numeric type.
    featuresCol : str, default 'features'
        Vector column of ``smote``, dense, sparse or both. The other methods do not read it.
    method : {'smote', 'over', 'under'}, default 'smote'
        ``smote`` adds rows between neighbours of a class, ``over`` repeats rows, ``under`` removes
        rows.
    targetRatio : float in (0, 1], default 1.0
        Ratio after balancing of the rows of each smaller class to the rows of the largest.
        ``smote`` and ``over`` raise classes to at least round(ratio * largest); ``under`` cuts
        classes to at most floor(smallest / ratio).
    targets : dict of float to int, optional
        Number of rows of each class, in place of `targetRatio`. Classes that are not in it do not
        change.
    k : int, default 5
        Number of neighbours that ``smote`` chooses from.
    seed : int, default 0
        Seed of every random choice.
    blockSize : int of at least 256, default 8192
        ``smote`` finds exact neighbours in a class of at most this many rows. It cuts a larger
        class into random blocks of about this size, each a sample of the class, and finds the
        neighbours in the block.

    Raises
    ------
    SchemaError
        If a column is missing or mistyped, or `estimator` refuses the schema; before any job.
    DataError
        If the table is empty or has one class only, a label or a vector is null, or vectors differ
        in size or hold NaN. Also if `targets` names an unknown class, fewer rows than the class has
        (``smote``, ``over``), or more (``under``).

    Notes
    -----
    *Counts* are exact. *Repeatable*: a hash of the seed and of the content (all columns but maps)
    orders the rows, so the same rows give the same result for any partitioning or order. A column
    that differs in each run, such as a timestamp, changes the result.

    *Even*: ``over`` and ``smote`` start from each row of a class equally often, or once more.
    ``smote`` draws the neighbour among `k`, and the position between the two rows, uniformly, as
    the paper does. A new row copies all columns other than `featuresCol` from its base row,
    including text: put stages that compute features before this one, not into `estimator`. A class
    of at most `k` rows uses fewer neighbours, and a class of one row is repeated; a warning says
    so.

    *Cost*: one pass to count, which sends at most 1,024 numbers per class to the driver; one
    shuffle of the classes that ``smote`` adds to, then ``rows * blockSize * width`` multiplications
    in BLAS. Each Python worker holds one block: ``blockSize * width * 12`` bytes for dense vectors,
    far less for sparse vectors: only columns that more than 5 % of a block's rows use become dense.
    Fit reads the table several times; it persists the table in memory and on disk unless it is
    cached already. In CrossValidator, a grid over `estimator`'s Params balances each fold once.

    References
    ----------
    N. V. Chawla et al., "SMOTE: Synthetic Minority Over-sampling Technique", JAIR 16 (2002).

    Examples
    --------
    >>> from pyspark.ml.classification import LogisticRegression
    >>> from pyspark.ml.linalg import Vectors
    >>> rows = [(float(i % 4 == 0), Vectors.dense([i % 7, i % 4])) for i in range(40)]
    >>> df = spark.createDataFrame(rows, ["label", "features"])
    >>> resampled = Resampled(estimator=LogisticRegression(), method="smote", seed=1)
    >>> counts = resampled.resample(df).groupBy("label").count().collect()
    >>> sorted((row["label"], row["count"]) for row in counts)
    [(0.0, 30), (1.0, 30)]
    >>> model = resampled.fit(df)
    >>> type(model).__name__, model.transform(df).count()
    ('LogisticRegressionModel', 40)
    """

    estimator: Param[Estimator[Any]] = Param(
        Params._dummy(), "estimator", "estimator to fit on balanced rows", lambda v: _estimator(v)
    )
    method: Param[str] = Param(
        Params._dummy(), "method", "smote, over or under", one_of("smote", "over", "under")
    )
    targetRatio: Param[float] = Param(
        Params._dummy(),
        "targetRatio",
        "rows of the smaller classes over those of the largest, in (0, 1]",
        number(0, 1, open_low=True),
    )
    targets: Param[dict[float, int]] = Param(
        Params._dummy(), "targets", "rows wanted by label", by_label(integer(1))
    )
    k: Param[int] = Param(Params._dummy(), "k", "neighbours to choose from", integer(1))
    blockSize: Param[int] = Param(
        Params._dummy(), "blockSize", "rows among which neighbours are searched", integer(256)
    )

    @takes_params
    def __init__(
        self,
        *,
        estimator: Estimator[Any] | None = None,
        labelCol: str = "label",
        featuresCol: str = "features",
        method: str = "smote",
        targetRatio: float = 1.0,
        targets: Mapping[float, int] | None = None,
        k: int = 5,
        seed: int = 0,
        blockSize: int = 8192,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def getEstimator(self) -> Estimator[Any]:
        """Return the estimator that is fitted on the balanced rows."""
        return self.getOrDefault(self.estimator)

    def copy(self, extra: Mapping[Param[Any], Any] | None = None) -> "Resampled":
        """Return a copy with `extra` Params, also in the inner estimator."""
        extra = dict(extra or {})
        twin = super().copy(extra)
        if twin.isSet(twin.estimator):
            twin._set(estimator=twin.getEstimator().copy(extra))
        return twin

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of the inner model; raise SchemaError if a column is wrong."""
        find(schema, self.uid, self.getLabelCol(), NumericType)
        if self.getOrDefault(self.method) == "smote":
            find(schema, self.uid, self.getFeaturesCol(), VectorUDT)
        return schema_after(self.getEstimator(), schema)

    def resample(self, dataset: DataFrame) -> DataFrame:
        """Return the balanced rows that the inner estimator is fitted on.

        The call counts `dataset`; the rest runs when the result is used.
        """
        self.transformSchema(dataset.schema)
        kept, made = self._split(dataset)
        return kept if made is None else kept.unionByName(made)

    def fitMultiple(
        self, dataset: DataFrame, paramMaps: Sequence[dict[Param[Any], Any]]
    ) -> Iterator[tuple[int, Any]]:
        """Fit one model per map of `paramMaps`; balance once if no map changes the balancing."""
        own = {param for params in paramMaps for param in params if self.uid == param.parent}
        if own or not paramMaps:
            return super().fitMultiple(dataset, paramMaps)
        stack, lock, left = ExitStack(), threading.Lock(), [len(paramMaps)]
        ready: list[DataFrame] = []

        def fit(index: int) -> Any:
            with lock:
                if not ready:
                    ready.append(stack.enter_context(self._kept(dataset)))
            try:
                return self.getEstimator().fit(ready[0], paramMaps[index])
            finally:
                with lock:
                    left[0] -= 1
                    if not left[0]:
                        stack.close()

        return _FitMultipleIterator(fit, len(paramMaps))

    def write(self) -> MLWriter:
        """Return a writer that saves the inner estimator in a folder beside the metadata."""
        return _ResampledWriter(self)

    @classmethod
    def read(cls) -> "MLReader[Resampled]":
        """Return a reader of a saved stage."""
        return _ResampledReader()

    def _fit(self, dataset: DataFrame) -> Any:
        with self._kept(dataset) as balanced:
            return self.getEstimator().fit(balanced)

    @contextmanager
    def _kept(self, dataset: DataFrame) -> Iterator[DataFrame]:
        """Yield the balanced rows, persisted until the block ends."""
        self.transformSchema(dataset.schema)
        stored: list[DataFrame] = []
        try:
            if dataset.storageLevel == _NOT_STORED:
                stored.append(dataset.persist(StorageLevel.MEMORY_AND_DISK))
            kept, made = self._split(dataset)
            if made is None:
                yield kept
                return
            stored.append(made.persist(StorageLevel.MEMORY_AND_DISK))
            try:
                rows = made.count()
            except PythonException as error:
                cause = str(error).strip().splitlines()[-1].rpartition("Error: ")[2]
                raise DataError(f"{self.uid}: {cause}") from error
            logger.info("%s: %d synthetic rows added", self.uid, rows)
            yield kept.unionByName(made)
        finally:
            for table in stored:
                table.unpersist()

    def _split(self, dataset: DataFrame) -> tuple[DataFrame, DataFrame | None]:
        """Return the rows of `dataset` to keep, and separately the new rows."""
        label, method = self.getLabelCol(), self.getOrDefault(self.method)
        features = self.getFeaturesCol() if method == "smote" else None
        rows = keyed(dataset, self.getOrDefault(self.seed))
        counts = bucket_counts(rows, self.uid, label, features)
        totals = self._totals(counts)
        for count in counts:
            logger.info(
                "%s: class %g: %d rows, %d after %s",
                self.uid, count.label, count.rows, totals[count.label], method,
            )  # fmt: skip
        if features is None:
            copies = F.explode(F.array_repeat(F.lit(0), F.col(COPIES)))
            allotted = allot(rows, label, counts, totals).withColumn(COPIES, copies)
            return allotted.drop(KEY, COPIES), None
        growing = [count for count in counts if totals[count.label] > count.rows]
        if not growing:
            return dataset, None
        self._warn_of_small(growing)
        grown = rows.where(quoted(label).cast("double").isin([c.label for c in growing]))
        added = {count.label: totals[count.label] - count.rows for count in growing}
        size = self.getOrDefault(self.blockSize)
        made = synthetic(
            allot(grown, label, growing, added),
            label,
            features,
            {count.label: ceil(count.rows / size) for count in growing},
            k=self.getOrDefault(self.k),
            seed=self.getOrDefault(self.seed),
            block_size=size,
        )
        return dataset, made

    def _totals(self, counts: list[ClassCount]) -> dict[float, int]:
        """Return the number of rows of each class after balancing."""
        rows = {count.label: count.rows for count in counts}
        under = self.getOrDefault(self.method) == "under"
        if not self.isDefined(self.targets):
            ratio = self.getOrDefault(self.targetRatio)
            if under:
                most = floor(min(rows.values()) / ratio)
                return {label: min(count, most) for label, count in rows.items()}
            least = floor(ratio * max(rows.values()) + 0.5)
            return {label: max(count, least) for label, count in rows.items()}
        targets = self.getOrDefault(self.targets)
        for label, target in targets.items():
            if label not in rows:
                known = ", ".join(f"{name:g}" for name in rows)
                raise DataError(
                    f"{self.uid}: targets names class {label:g}, which column "
                    f"'{self.getLabelCol()}' does not hold; it holds {known}"
                )
            if target > rows[label] if under else target < rows[label]:
                side, change = ("more", "over") if under else ("fewer", "under")
                raise DataError(
                    f"{self.uid}: targets sets class {label:g} to {target} rows, {side} than its "
                    f"{rows[label]}; change the target or use method '{change}'"
                )
        return {**rows, **targets}

    def _warn_of_small(self, growing: list[ClassCount]) -> None:
        k = self.getOrDefault(self.k)
        for count in growing:
            if count.rows == 1:
                logger.warning(
                    "%s: class %g has one row and no neighbour: the row is repeated unchanged",
                    self.uid, count.label,
                )  # fmt: skip
            elif count.rows <= k:
                logger.warning(
                    "%s: class %g has %d rows: using %d neighbours instead of k=%d",
                    self.uid, count.label, count.rows, count.rows - 1, k,
                )  # fmt: skip


def _estimator(value: Any) -> Estimator[Any]:
    if not isinstance(value, Estimator):
        raise TypeError(f"expected an Estimator, got {value!r}")
    return value


class _ResampledWriter(MLWriter):
    def __init__(self, instance: Resampled) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:
        inner = self.instance.getEstimator()
        if not isinstance(inner, MLWritable):
            raise TypeError(f"{self.instance.uid}: its estimator {inner.uid} cannot be saved")
        plain = {
            param.name: value
            for param, value in self.instance._paramMap.items()
            if param.name != "estimator"
        }
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sc, paramMap=plain)
        inner.save(os.path.join(path, "estimator"))


class _ResampledReader(MLReader[Resampled]):
    def load(self, path: str) -> Resampled:
        metadata = DefaultParamsReader.loadMetadata(path, self.sc)
        loaded = Resampled()
        loaded._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(loaded, metadata)
        inner: Any = DefaultParamsReader.loadParamsInstance(
            os.path.join(path, "estimator"), self.sc
        )
        return loaded._set(estimator=inner)
