"""One bias metric as the value that model selection minimises."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from spark_sentiment.bias.facets import facet_dict, same_text
from spark_sentiment.bias.measures import METRICS, measure
from spark_sentiment.bias.params import FLIPTEST_ROWS, MAX_FACET_VALUES, SEED, HasQuestion
from spark_sentiment.core import (
    Stage,
    boolean,
    one_of,
    optional,
    params_setter,
    string,
    takes_params,
)
from spark_sentiment.errors import DataError

_LOG = logging.getLogger(__name__)


class BiasEvaluator(
    Stage,
    Evaluator,
    HasQuestion,
    DefaultParamsReadable["BiasEvaluator"],
    DefaultParamsWritable,
):
    """One bias metric as the value that CrossValidator and TrainValidationSplit minimise.

    Parameters
    ----------
    metricName : str, default 'DPPL'
        Name of a metric, as in the report.
    facet : Facet, dict or str
        Facet that defines the groups.
    facetValue : str, optional
        The ``facet_value`` of the report to use; by default the worst of all.
    labelClass : str, optional
        The ``label_class`` of the report to use; by default the worst of all.
    absolute : bool, default True
        Whether to return the distance from parity: ``|value|``, and ``|value - 1|`` for DI. False
        returns the value itself (the largest of the selected values).
    labelCol, predictionCol, groupCol, positive, positiveThreshold, labelClasses, maxFacetValues,
    featuresCol, fliptestRows, seed
        As in `BiasReport`; predictionCol is 'prediction' by default.

    Notes
    -----
    Smaller is better. If all selected values are undefined (for example, the model never predicts
    the class), the result is infinity, the worst value, and a warning is logged. If some are
    undefined, they are ignored. One Spark job.

    Raises
    ------
    DataError
        If no report row has `facetValue` and `labelClass`, and in the cases of `bias_metrics`.

    Examples
    --------
    >>> from spark_sentiment import Facet
    >>> rows = [(1.0, 1.0, "a"), (0.0, 0.0, "a"), (1.0, 1.0, "b"), (0.0, 1.0, "b")]
    >>> df = spark.createDataFrame(rows, ["label", "prediction", "c"])
    >>> BiasEvaluator(metricName="DPPL", facet=Facet("c", values=["b"])).evaluate(df)
    0.5
    """

    metricName: Param[str] = Param(
        Params._dummy(), "metricName", "metric to evaluate to", one_of(*METRICS)
    )
    facet: Param[dict[str, Any]] = Param(
        Params._dummy(), "facet", "what to compare by: a Facet or its dictionary", facet_dict
    )
    facetValue: Param[str] = Param(
        Params._dummy(), "facetValue", "facet_value meant; unset: the worst", string
    )
    labelClass: Param[str] = Param(
        Params._dummy(), "labelClass", "label_class meant; unset: the worst", string
    )
    absolute: Param[bool] = Param(
        Params._dummy(), "absolute", "evaluate to the distance from parity", boolean
    )

    @takes_params
    def __init__(
        self,
        *,
        metricName: str = "DPPL",
        facet: Any = None,
        facetValue: str | None = None,
        labelClass: str | None = None,
        absolute: bool = True,
        labelCol: str = "label",
        predictionCol: str = "prediction",
        groupCol: str | None = None,
        positive: Sequence[Any] | None = None,
        positiveThreshold: float | None = None,
        labelClasses: Sequence[Any] | None = None,
        maxFacetValues: int = MAX_FACET_VALUES,
        featuresCol: str | None = None,
        fliptestRows: int = FLIPTEST_ROWS,
        seed: int = SEED,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def isLargerBetter(self) -> bool:
        """Return False: less bias is better."""
        return False

    def _evaluate(self, dataset: DataFrame) -> float:
        if not self.isDefined(self.facet):
            raise ValueError(f"{self.uid}: facet is not set; name one")
        metric = self.getOrDefault(self.metricName)
        question = self._question([self.getOrDefault(self.facet)])
        value, label_class = optional(self, self.facetValue), optional(self, self.labelClass)
        report = measure(dataset, question, [metric], self._fliptest())
        rows = [
            row
            for row in report
            if _meant(value, row.facet_value) and _meant(label_class, row.label_class)
        ]
        if not rows:
            there = sorted({f"{row.facet_value} / {row.label_class}" for row in report})
            raise DataError(
                f"{self.uid}: {metric} has no facet value '{value}' with class '{label_class}'; "
                f"there are: {', '.join(there)}"
            )
        found = [row.value for row in rows if row.value is not None]
        if not found:
            _LOG.warning("%s: %s is undefined (%s)", self.uid, metric, rows[0].note)
            return math.inf
        if not self.getOrDefault(self.absolute):
            return max(found)
        parity = 1.0 if metric == "DI" else 0.0
        return max(abs(item - parity) for item in found)


def _meant(wanted_text: str | None, found: str | None) -> bool:
    return wanted_text is None or (found is not None and same_text(wanted_text, found))
