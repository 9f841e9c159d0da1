"""Naive Bayes classifiers of all folds at once, on one matrix of rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml.classification import NaiveBayes

from spark_sentiment.classification.matrices import Floats, Rows

_MAX_SUMS = 20_000_000
"""Limit for the sums; there is one per feature, class and fold."""


@dataclass(frozen=True)
class Bayes:
    """A naive Bayes classifier on counts or weights of terms.

    Attributes
    ----------
    smoothing : float
        Number that is added to each sum.
    complement : bool
        Whether the parameters of a class come from the terms of all other classes.
    """

    smoothing: float
    complement: bool

    @classmethod
    def of(cls, learner: Any) -> "Bayes | None":
        """Return the classifier that `learner` fits; None if it fits another model.

        Examples
        --------
        >>> Bayes.of(NaiveBayes(modelType="complement"))
        Bayes(smoothing=1.0, complement=True)
        >>> Bayes.of(NaiveBayes(modelType="gaussian")) is None
        True
        """
        if type(learner) is not NaiveBayes or learner.isSet("thresholds"):
            return None
        kind = learner.getModelType()
        if kind not in ("multinomial", "complement"):
            return None
        return cls(learner.getSmoothing(), kind == "complement")

    def solve(self, rows: Rows, folds: int) -> list[tuple[Floats, Floats]] | None:
        """Return MLlib's theta, shape (classes, features), and pi of each problem.

        Problem i omits fold i, and the last problem omits nothing. The result is None if a feature
        is negative, which MLlib refuses, if a problem has no rows, or if there are too many sums.

        Notes
        -----
        As in MLlib, the classes are the labels that occur in a problem, in ascending order.
        """
        width, classes = rows.x.shape[1], rows.classes
        values = rows.x.data if rows.sparse else rows.x
        if values.min(initial=0.0) < 0 or width * classes * (folds + 1) > _MAX_SUMS:
            return None
        # The last fold has the rows that are in no fold.
        cells = np.where(rows.fold < 0, folds, rows.fold) * classes + rows.label
        places = (folds + 1) * classes
        weights = np.zeros((len(cells), places))
        weights[np.arange(len(cells)), cells] = rows.weight
        shape = (folds + 1, classes)
        terms = np.asarray(rows.x.T @ weights).T.reshape(*shape, width)
        counted = np.bincount(cells, minlength=places).reshape(shape)
        weighed = weights.sum(axis=0).reshape(shape)
        solved = []
        for problem in range(folds + 1):
            kept = [fold for fold in range(folds + 1) if fold != problem or fold == folds]
            there = counted[kept].sum(axis=0) > 0
            if not there.any():
                return None
            solved.append(
                self._solve(terms[kept].sum(axis=0)[there], weighed[kept].sum(axis=0)[there])
            )
        return solved

    def _solve(self, terms: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """Return theta and pi of sums of terms, shape (classes, features), and class weights."""
        classes, width = terms.shape
        pi = np.log(weights + self.smoothing) - np.log(weights.sum() + classes * self.smoothing)
        if self.complement:
            terms = np.maximum(terms.sum(axis=0) - terms, 0.0)
        total = terms.sum(axis=1, keepdims=True) + width * self.smoothing
        theta = np.log(terms + self.smoothing) - np.log(total)
        return -theta if self.complement else theta, pi
