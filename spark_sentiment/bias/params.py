"""Params that the bias stages share, and the question that they define."""

from collections.abc import Sequence
from typing import Any

from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasLabelCol

from spark_sentiment.bias.counts import Question
from spark_sentiment.bias.facets import as_facet, check_scalars
from spark_sentiment.bias.measures import Fliptest
from spark_sentiment.core import HasSeed, integer, number, optional, sequence, string

FLIPTEST_ROWS = 5000
MAX_FACET_VALUES = 100
SEED = 17


def classes(value: Any) -> list[Any]:
    """Param converter: a list of at least one distinct class, each JSON can hold."""
    named = sequence(value, "classes")
    check_scalars(named)
    if not named or len(set(named)) != len(named):
        raise ValueError(f"expected at least one class, all distinct, got {value!r}")
    return named


class HasQuestion(HasLabelCol, HasSeed):
    """Params that BiasReport, its model and BiasEvaluator share."""

    predictionCol: Param[str] = Param(
        Params._dummy(), "predictionCol", "predicted labels; unset: pre-training only", string
    )
    groupCol: Param[str] = Param(
        Params._dummy(), "groupCol", "column that CDDL and CDDPL are conditional on", string
    )
    positive: Param[list[Any]] = Param(
        Params._dummy(), "positive", "classes that are positive; unset: each in turn", classes
    )
    positiveThreshold: Param[float] = Param(
        Params._dummy(), "positiveThreshold", "continuous label: above it is positive", number()
    )
    labelClasses: Param[list[Any]] = Param(
        Params._dummy(), "labelClasses", "all classes there may be; unset: those found", classes
    )
    maxFacetValues: Param[int] = Param(
        Params._dummy(), "maxFacetValues", "most values of a facet, group or label", integer(2)
    )
    featuresCol: Param[str] = Param(
        Params._dummy(), "featuresCol", "vector column in which FT looks for neighbours", string
    )
    fliptestRows: Param[int] = Param(
        Params._dummy(), "fliptestRows", "most rows that FT samples", integer(10, 20_000)
    )

    def _question(self, facets: Sequence[dict[str, Any]]) -> Question:
        if self.isDefined(self.positive) and self.isDefined(self.positiveThreshold):
            raise ValueError(f"{self.uid}: set positive or positiveThreshold, not both")
        positive, named = optional(self, self.positive), optional(self, self.labelClasses)
        return Question(
            label=self.getLabelCol(),
            facets=tuple(as_facet(item) for item in facets),
            prediction=optional(self, self.predictionCol),
            group=optional(self, self.groupCol),
            positive=None if positive is None else tuple(positive),
            positive_threshold=optional(self, self.positiveThreshold),
            classes=None if named is None else tuple(named),
            max_values=self.getOrDefault(self.maxFacetValues),
            uid=self.uid,
        )

    def _fliptest(self) -> Fliptest | None:
        features = optional(self, self.featuresCol)
        if features is None:
            return None
        return Fliptest(
            features, self.getOrDefault(self.fliptestRows), self.getOrDefault(self.seed)
        )
