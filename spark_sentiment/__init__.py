"""Spark ML stages for product-review sentiment, with bias measured before and after training."""

from spark_sentiment.balance import Resampled
from spark_sentiment.bias import BiasEvaluator, BiasReport, BiasReportModel, Gate, bias_metrics
from spark_sentiment.class_weights import ClassWeights, ClassWeightsModel
from spark_sentiment.cleaner import TextCleaner
from spark_sentiment.embed import BertEmbeddings
from spark_sentiment.facets import Facet
from spark_sentiment.labels import RatingLabeler
from spark_sentiment.ngrams import NGrams
from spark_sentiment.stacked import Stacked, StackedModel

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
    "bias_metrics",
]
