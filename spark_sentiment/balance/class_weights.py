"""Class weights: a weight of each class, for learners that accept row weights."""

from collections.abc import Mapping
from math import expm1, log, sqrt

from pyspark.ml import Estimator, Model
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasLabelCol, HasWeightCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, NumericType, StructField, StructType

from spark_sentiment.balance.counts import class_counts
from spark_sentiment.core import (
    Stage,
    absent,
    by_label,
    find,
    lookup,
    number,
    one_of,
    params_setter,
    quoted,
    takes_params,
)


def _balanced(counts: Mapping[float, int], _beta: float) -> dict[float, float]:
    rows = sum(counts.values())
    return {label: rows / (len(counts) * count) for label, count in counts.items()}


def _square_root(counts: Mapping[float, int], beta: float) -> dict[float, float]:
    return {label: sqrt(weight) for label, weight in _balanced(counts, beta).items()}


def _effective_number(counts: Mapping[float, int], beta: float) -> dict[float, float]:
    # 1 - beta**n loses precision when beta is close to 1; expm1 keeps it.
    raw = {
        label: (1 - beta) / -expm1(count * log(beta)) if beta else 1.0
        for label, count in counts.items()
    }
    scale = len(raw) / sum(raw.values())
    return {label: weight * scale for label, weight in raw.items()}


_FORMULAS = {
    "balanced": _balanced,
    "sqrt": _square_root,
    "effective-number": _effective_number,
}


class ClassWeights(
    Stage,
    Estimator["ClassWeightsModel"],
    HasLabelCol,
    HasWeightCol,
    DefaultParamsReadable["ClassWeights"],
    DefaultParamsWritable,
):
    """Learn a weight for each class; the model adds it to each row.

    With n rows, k classes and n_c rows of class c:

    ==================== =========================================================================
    ``balanced``         n / (k n_c), scikit-learn's; the mean over the rows is 1
    ``sqrt``             square root of ``balanced``, not normalised
    ``effective-number`` (1 - beta) / (1 - beta**n_c), scaled so that the k weights sum to k
    ==================== =========================================================================

    Parameters
    ----------
    labelCol : str, default 'label'
        Column of the class, of any numeric type.
    weightCol : str, default 'weight'
        Column to add, of type double. Set the learner's weight column to the same name.
    formula : {'balanced', 'sqrt', 'effective-number'}, default 'balanced'
        The formula; see the table.
    beta : float in [0, 1), default 0.999
        Parameter of ``effective-number``. With 0 every class has the weight 1; a value close to 1
        approaches ``balanced`` (up to scale).

    Raises
    ------
    SchemaError
        If `labelCol` is missing or not numeric, or `weightCol` exists; before any job.
    DataError
        If the table is empty, it has one class only, a label is NaN or infinite, or there are more
        than 1,000 labels.

    Notes
    -----
    Fit ignores rows with a null label. Fit is one aggregation over the label column; the driver
    receives one count per class.

    References
    ----------
    ``effective-number``: Y. Cui, M. Jia, T.-Y. Lin, Y. Song, S. Belongie, "Class-Balanced Loss
    Based on Effective Number of Samples", CVPR 2019, equation 2 and section 4.

    Examples
    --------
    >>> df = spark.createDataFrame([(0.0,), (1.0,), (1.0,), (1.0,)], ["label"])
    >>> model = ClassWeights(labelCol="label", weightCol="weight").fit(df)
    >>> model.getWeights()
    {0.0: 2.0, 1.0: 0.6666666666666666}
    >>> model.transform(df).head()
    Row(label=0.0, weight=2.0)
    """

    formula: Param[str] = Param(
        Params._dummy(), "formula", "how a count becomes a weight", one_of(*_FORMULAS)
    )
    beta: Param[float] = Param(
        Params._dummy(),
        "beta",
        "parameter of effective-number, in [0, 1)",
        number(0, 1, open_high=True),
    )

    @takes_params
    def __init__(
        self,
        *,
        labelCol: str = "label",
        weightCol: str = "weight",
        formula: str = "balanced",
        beta: float = 0.999,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema for labelled rows; raise SchemaError if a column is wrong."""
        find(schema, self.uid, self.getLabelCol(), NumericType)
        return _weighted(schema, self.uid, self.getWeightCol())

    def _fit(self, dataset: DataFrame) -> "ClassWeightsModel":
        self.transformSchema(dataset.schema)
        counts = class_counts(dataset, self.uid, self.getLabelCol())
        formula = _FORMULAS[self.getOrDefault(self.formula)]
        weights = formula(counts, self.getOrDefault(self.beta))
        return self._copyValues(ClassWeightsModel(weights=weights))


class ClassWeightsModel(
    Stage,
    Model,
    HasLabelCol,
    HasWeightCol,
    DefaultParamsReadable["ClassWeightsModel"],
    DefaultParamsWritable,
):
    """Add the weight of each row's class.

    Parameters
    ----------
    labelCol, weightCol : str
        As in `ClassWeights`.
    weights : dict of float to float
        The fitted weight of each label.

    Notes
    -----
    A table without `labelCol`, such as rows to be scored, passes through unchanged, without a
    weight column. With `labelCol`, the weight is null for a null label and for a label that fit did
    not see. MLlib's learners refuse a null weight, so such labels do not pass unnoticed.
    One Spark SQL expression; no Python worker starts.

    Examples
    --------
    >>> df = spark.createDataFrame([(1.0,), (7.0,), (None,)], "label double")
    >>> model = ClassWeightsModel(weights={0.0: 2.0, 1.0: 0.5})
    >>> [row.weight for row in model.transform(df).collect()]
    [0.5, None, None]
    """

    weights: Param[dict[float, float]] = Param(
        Params._dummy(), "weights", "weight of each label", by_label(number(0))
    )

    @takes_params
    def __init__(
        self,
        *,
        labelCol: str = "label",
        weightCol: str = "weight",
        weights: Mapping[float, float] | None = None,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def getWeights(self) -> dict[float, float]:
        """Return the weight of each label."""
        return dict(self.getOrDefault("weights"))

    def transformSchema(self, schema: StructType) -> StructType:
        """Return `schema` with the weight column; without a label column, `schema` itself."""
        if self.getLabelCol() not in schema.names:
            return schema
        find(schema, self.uid, self.getLabelCol(), NumericType)
        return _weighted(schema, self.uid, self.getWeightCol())

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.transformSchema(dataset.schema)
        if self.getLabelCol() not in dataset.columns:
            return dataset
        label = quoted(self.getLabelCol()).cast("double")
        return dataset.withColumn(self.getWeightCol(), lookup(self.getWeights(), label))


def _weighted(schema: StructType, uid: str, weight: str) -> StructType:
    absent(schema, uid, weight)
    return StructType([*schema.fields, StructField(weight, DoubleType())])
