"""From ratings to sentiment: the classes, and the stage that assigns them."""

from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasHandleInvalid, HasLabelCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, NumericType, StructField, StructType

from spark_sentiment.core import (
    Stage,
    appended,
    number,
    one_of,
    params_setter,
    quoted,
    string,
    takes_params,
)
from spark_sentiment.errors import ConfigError

SENTIMENTS = ("negative", "neutral", "positive")
"""The classes in the order of their labels: 0.0, 1.0 and 2.0."""


class RatingLabeler(
    Stage,
    Transformer,
    HasLabelCol,
    HasHandleInvalid,
    DefaultParamsReadable["RatingLabeler"],
    DefaultParamsWritable,
):
    """Turn a rating into a label: 0.0 negative, 1.0 neutral, 2.0 positive.

    Parameters
    ----------
    ratingCol : str, default 'rating'
        Column to read, of any numeric type; fractions are allowed.
    labelCol : str, default 'label'
        Column to add, of type double: an index into `SENTIMENTS`.
    negativeMax : float, default 2.0
        Ratings up to and including this one are negative.
    positiveMin : float, default 4.0
        Ratings from this one on are positive; ratings between the two are neutral. It must be
        above `negativeMax`.
    ratingMin, ratingMax : float, default 1.0 and 5.0
        The scale, both ends included. A rating outside it, or NaN, is invalid.
    handleInvalid : {'error', 'keep', 'skip'}, default 'error'
        Effect of an invalid rating: the Spark job fails, the label is null, or the row is
        dropped.

    Raises
    ------
    SchemaError
        If the rating is missing or not numeric, or the label exists.
    ConfigError
        If the thresholds or the ends of the scale are not in order.

    Notes
    -----
    A null rating is unlabelled, not invalid: its label is null for every `handleInvalid`, so that
    data to be scored may pass. One Spark SQL expression; no Python worker starts, and no job runs
    before an action asks for the result. With 'error', this job fails with Spark's own error,
    which names this stage, the column and the rating.

    Examples
    --------
    >>> df = spark.createDataFrame([(1,), (3,), (5,), (None,)], "rating int")
    >>> [row.label for row in RatingLabeler().transform(df).collect()]
    [0.0, 1.0, 2.0, None]
    """

    ratingCol = Param(Params._dummy(), "ratingCol", "rating column", string)
    negativeMax = Param(Params._dummy(), "negativeMax", "highest negative rating", number())
    positiveMin = Param(Params._dummy(), "positiveMin", "lowest positive rating", number())
    ratingMin = Param(Params._dummy(), "ratingMin", "low end of the scale", number())
    ratingMax = Param(Params._dummy(), "ratingMax", "high end of the scale", number())
    handleInvalid = Param(
        Params._dummy(), "handleInvalid", "error, keep or skip", one_of("error", "keep", "skip")
    )

    @takes_params
    def __init__(
        self,
        *,
        ratingCol: str = "rating",
        labelCol: str = "label",
        negativeMax: float = 2.0,
        positiveMin: float = 4.0,
        ratingMin: float = 1.0,
        ratingMax: float = 5.0,
        handleInvalid: str = "error",
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of `transform`; raise an error if a Param or column is wrong."""
        for low, high in (
            (self.negativeMax, self.positiveMin),
            (self.ratingMin, self.ratingMax),
        ):
            if self.getOrDefault(low) >= self.getOrDefault(high):
                raise ConfigError(
                    f"{self.uid}: {low.name} must be below {high.name}, found "
                    f"{self.getOrDefault(low)} and {self.getOrDefault(high)}"
                )
        out = StructField(self.getLabelCol(), DoubleType())
        return appended(schema, self.uid, [self.getOrDefault(self.ratingCol)], NumericType, out)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.transformSchema(dataset.schema)
        name = self.getOrDefault(self.ratingCol)
        rating = quoted(name).cast("double")
        low, high = self.getOrDefault(self.ratingMin), self.getOrDefault(self.ratingMax)
        # For Spark, NaN is above every number, and so outside the scale.
        valid = rating.between(low, high)
        mode = self.getOrDefault(self.handleInvalid)
        if mode == "skip":
            dataset = dataset.where(rating.isNull() | valid)
        label = F.when(valid, self._label(rating))
        if mode == "error":
            message = F.concat(
                F.lit(f"{self.uid}: column '{name}' must be from {low} to {high}, found "),
                rating.cast("string"),
                F.lit("; correct it, or set handleInvalid to 'keep' or 'skip'"),
            )
            label = label.when(rating.isNotNull(), F.raise_error(message).cast("double"))
        return dataset.withColumn(self.getLabelCol(), label)

    def _label(self, rating: Column) -> Column:
        return (
            F.when(rating <= self.getOrDefault(self.negativeMax), 0.0)
            .when(rating >= self.getOrDefault(self.positiveMin), 2.0)
            .otherwise(1.0)
        )
