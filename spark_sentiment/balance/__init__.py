"""Balance: classes of unequal size, by weights or by resampling.

`ClassWeights` adds a weight column. `Resampled` wraps an estimator and resamples only the rows that
the estimator is fitted on: under-sampling, over-sampling or SMOTE. ``counts`` counts the rows of
each class.
"""

from spark_sentiment.balance.class_weights import ClassWeights, ClassWeightsModel
from spark_sentiment.balance.counts import KEY, class_counts, keyed
from spark_sentiment.balance.resampled import Resampled

__all__ = [
    "KEY",
    "ClassWeights",
    "ClassWeightsModel",
    "Resampled",
    "class_counts",
    "keyed",
]
