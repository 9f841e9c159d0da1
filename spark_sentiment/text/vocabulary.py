"""The vocabulary of a bag of words: the words that occur in enough rows."""

import logging
from typing import Any

from pyspark.ml import Estimator
from pyspark.ml.feature import CountVectorizer, CountVectorizerModel
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from spark_sentiment.core import (
    VECTOR,
    Stage,
    appended,
    boolean,
    number,
    params_setter,
    takes_params,
)
from spark_sentiment.errors import SchemaError

logger = logging.getLogger(__name__)

_NO_WORD = "\x00"
"""The only entry of an empty vocabulary; it stands for a word that no row has."""


class Vocabulary(
    Stage,
    Estimator[CountVectorizerModel],
    HasInputCol,
    HasOutputCol,
    DefaultParamsReadable["Vocabulary"],
    DefaultParamsWritable,
):
    """Learn which words occur in enough rows; the model counts them in each row.

    The stage fits MLlib's ``CountVectorizer`` and returns its model. If no word is frequent enough,
    MLlib's model has vectors of length 0, and the stages after it fail: ``IDF`` with "requirement
    failed". This stage then logs a warning and returns a model whose vectors hold a single 0. So a
    Pipeline trains on its other features, also in a fold of CrossValidator.

    Parameters
    ----------
    inputCol : str
        Column to read, of type array of string, such as the output of `NGrams`.
    outputCol : str
        Column to add, a sparse vector with an entry for each word of the vocabulary.
    minDF : float of at least 0, default 1
        Minimum number of rows that contain a word; below 1, the minimum share of rows.
    binary : bool, default False
        Whether a word counts once per row, however often it occurs.

    Raises
    ------
    SchemaError
        If `inputCol` is missing or not an array of strings, or `outputCol` exists; before any job.

    Notes
    -----
    One pass with a shuffle of all distinct words. The driver and the model hold the vocabulary: at
    most the 262,144 most frequent words.

    Examples
    --------
    >>> df = spark.createDataFrame([(["good", "fit"],), (["good"],)], ["words"])
    >>> model = Vocabulary(inputCol="words", outputCol="counts", minDF=2).fit(df)
    >>> model.vocabulary, has_words(model)
    (['good'], True)
    >>> has_words(Vocabulary(inputCol="words", outputCol="counts", minDF=3).fit(df))
    False
    """

    minDF: Param[float] = Param(
        Params._dummy(), "minDF", "minimum number or share of rows with a word", number(0)
    )
    binary: Param[bool] = Param(
        Params._dummy(), "binary", "whether a word counts once per row", boolean
    )

    @takes_params
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        minDF: float = 1.0,
        binary: bool = False,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of the model; raise SchemaError if a column is wrong."""
        out = StructField(self.getOutputCol(), VECTOR)
        declared = appended(schema, self.uid, [self.getInputCol()], ArrayType, out)
        kind: Any = schema[self.getInputCol()].dataType
        if not isinstance(kind.elementType, StringType):
            wanted = "array<string>"
            raise SchemaError(
                f"{self.uid}: column '{self.getInputCol()}' must be {wanted}, "
                f"found {kind.simpleString()}"
            )
        return declared

    def _fit(self, dataset: DataFrame) -> CountVectorizerModel:
        self.transformSchema(dataset.schema)
        given: dict[str, Any] = {
            "inputCol": self.getInputCol(),
            "outputCol": self.getOutputCol(),
            "minDF": self.getOrDefault(self.minDF),
            "binary": self.getOrDefault(self.binary),
        }
        model: CountVectorizerModel = CountVectorizer(**given).fit(dataset)
        if model.vocabulary:
            return model
        logger.warning(
            "%s: column '%s' has no word that minDF=%g admits; its vector is 0",
            self.uid, self.getInputCol(), given["minDF"],
        )  # fmt: skip
        columns = self.getInputCol(), self.getOutputCol()
        empty = CountVectorizerModel.from_vocabulary([_NO_WORD], *columns)
        return empty._set(minDF=given["minDF"], binary=given["binary"])


def has_words(model: CountVectorizerModel) -> bool:
    """Tell whether the vocabulary of a model of `Vocabulary` holds a word."""
    return list(model.vocabulary) != [_NO_WORD]
