"""Spark ML stages for product-review sentiment, with bias measured before and after training."""

from spark_sentiment.balance import ClassWeights, ClassWeightsModel, Resampled
from spark_sentiment.bias import (
    BiasEvaluator,
    BiasReport,
    BiasReportModel,
    Facet,
    Gate,
    bias_metrics,
)
from spark_sentiment.classification import Stacked, StackedModel
from spark_sentiment.embedding import BertEmbeddings
from spark_sentiment.reviews import RatingLabeler
from spark_sentiment.text import NGrams, TextCleaner, Vocabulary

__all__ = [
    "BertEmbeddings",
    "BiasEvaluator",
    "BiasReport",
    "BiasReportModel",
    "ClassWeights",
    "ClassWeightsModel",
    "Facet",
    "Gate",
    "NGrams",
    "RatingLabeler",
    "Resampled",
    "Stacked",
    "StackedModel",
    "TextCleaner",
    "Vocabulary",
    "bias_metrics",
]
