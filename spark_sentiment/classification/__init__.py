"""Classification: the default classifier, and the evaluation of classifiers.

`classifier` builds the default stages: logistic regressions and naive Bayes on tf-idf and
embeddings. `Stacked` combines classifiers by their out-of-fold probabilities, with thresholds that
make macro-F1 largest. `confusion` counts true and predicted classes, and gives all figures.
"""

from spark_sentiment.classification.confusion import Confusion, class_rows, confusion
from spark_sentiment.classification.default import classifier
from spark_sentiment.classification.stacked import Stacked, StackedModel

__all__ = [
    "Confusion",
    "Stacked",
    "StackedModel",
    "class_rows",
    "classifier",
    "confusion",
]
