"""Build MLlib models from coefficients that were fitted outside MLlib."""

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.classification import (
    LogisticRegression,
    LogisticRegressionModel,
    NaiveBayes,
    NaiveBayesModel,
)
from pyspark.ml.common import _py2java
from pyspark.ml.linalg import DenseMatrix, DenseVector, SparseMatrix
from pyspark.sql import SparkSession

from spark_sentiment.core.jvm import java_view

Floats = NDArray[np.float64]


def build_logistic_model(
    learner: LogisticRegression, coefficients: Floats, intercepts: Floats
) -> LogisticRegressionModel:
    """Return a multinomial model of `learner` with the given coefficients.

    Parameters
    ----------
    learner : LogisticRegression
        The model gets its Params and its uid.
    coefficients : array of float, shape (classes, features)
    intercepts : array of float, shape (classes,)

    Examples
    --------
    >>> model = build_logistic_model(
    ...     LogisticRegression(), np.array([[0.0], [1.0], [2.0]]), np.zeros(3)
    ... )
    >>> model.numClasses, model.predict(DenseVector([5.0]))
    (3, 2.0)
    """
    spark = SparkSession.active()
    context = spark.sparkContext
    java = java_view(spark).org.apache.spark.ml.classification.LogisticRegressionModel(
        learner.uid,
        _py2java(context, _matrix(coefficients)),
        _py2java(context, DenseVector(intercepts)),
        len(intercepts),
        True,
    )
    model: LogisticRegressionModel = learner._copyValues(LogisticRegressionModel(java))
    return model


def build_naive_bayes_model(learner: NaiveBayes, theta: Floats, pi: Floats) -> NaiveBayesModel:
    """Return a model of `learner` with the given parameters; not for model type 'gaussian'.

    Parameters
    ----------
    learner : NaiveBayes
        The model gets its Params and its uid.
    theta : array of float, shape (classes, features)
        Logarithms of the features' probabilities in each class, as MLlib stores them.
    pi : array of float, shape (classes,)
        Logarithms of the classes' probabilities.

    Examples
    --------
    >>> theta, pi = np.log([[0.9, 0.1], [0.2, 0.8]]), np.log([0.5, 0.5])
    >>> model = build_naive_bayes_model(NaiveBayes(), theta, pi)
    >>> model.predict(DenseVector([0.0, 3.0]))
    1.0
    """
    spark = SparkSession.active()
    context = spark.sparkContext
    none = SparseMatrix(0, 0, [0], [], [])  # the variances, which only 'gaussian' has
    java = java_view(spark).org.apache.spark.ml.classification.NaiveBayesModel(
        learner.uid,
        _py2java(context, DenseVector(pi)),
        _py2java(context, _matrix(theta)),
        _py2java(context, none),
    )
    # The Java object needs the Params too: it predicts by its model type.
    model: NaiveBayesModel = learner._copyValues(NaiveBayesModel(java))
    model._transfer_params_to_java()
    return model


def _matrix(values: Floats) -> DenseMatrix:
    rows, columns = values.shape
    return DenseMatrix(rows, columns, np.ascontiguousarray(values).ravel(), isTransposed=True)
