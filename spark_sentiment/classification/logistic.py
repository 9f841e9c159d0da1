"""Multinomial logistic regressions of all folds at once, on one matrix of rows.

The fits of a cross-validation share their rows. The coefficients of all problems are columns of one
matrix product, and the rows of the fold that a problem omits have weight 0 in this problem.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pyspark.ml.classification import LogisticRegression

from spark_sentiment.classification.lbfgs import Answer, minimize, run_together
from spark_sentiment.classification.matrices import Floats, Rows

_MAX_COEFFICIENTS = 20_000_000
"""Limit for all problems together; the optimizer holds some twenty numbers per coefficient."""


@dataclass(frozen=True)
class Logistic:
    """A regression with MLlib's objective: weighted mean of the log loss, plus L2 penalty.

    Attributes
    ----------
    penalty : float
        L2 penalty: half of it times the squared length of the coefficients is added to the loss.
    standardize : bool
        Whether the penalty applies to the coefficients of standardized features.
    iterations, tolerance : int, float
        End of the search, as in `minimize`.
    """

    penalty: float
    standardize: bool
    iterations: int
    tolerance: float

    @classmethod
    def of(cls, learner: Any) -> "Logistic | None":
        """Return the regression that `learner` fits; None if it fits another model.

        Examples
        --------
        >>> Logistic.of(LogisticRegression(regParam=0.1))
        Logistic(penalty=0.1, standardize=True, iterations=100, tolerance=1e-06)
        >>> Logistic.of(LogisticRegression(regParam=0.1, elasticNetParam=1.0)) is None
        True
        """
        if type(learner) is not LogisticRegression:
            return None
        ends, parts = ("lower", "upper"), ("Coefficients", "Intercepts")
        bounds = [f"{end}BoundsOn{part}" for end in ends for part in parts]
        other = (
            learner.getElasticNetParam() != 0
            or not learner.getFitIntercept()
            or learner.getFamily() == "binomial"
            or any(learner.isSet(name) for name in (*bounds, "threshold", "thresholds"))
        )
        if other:
            return None
        return cls(
            learner.getRegParam(),
            learner.getStandardization(),
            learner.getMaxIter(),
            learner.getTol(),
        )

    def solve(self, rows: Rows, folds: int) -> list[tuple[Floats, Floats]] | None:
        """Return coefficients, shape (classes, features), and intercepts of each problem.

        Problem i omits fold i, and the last problem omits nothing. The result is None if MLlib
        would not fit a multinomial model of the same classes for each problem (two classes or
        fewer, or a problem with one class or without the highest one), or if there are too many
        coefficients.

        Notes
        -----
        As in MLlib, the optimizer works on centred and scaled features. It starts with coefficients
        of 0, and the logarithms of the classes' weights as intercepts.
        """
        width, classes = rows.x.shape[1], rows.classes
        if classes <= 2 or width * classes * (folds + 1) > _MAX_COEFFICIENTS:
            return None
        problems = _Problems(rows, folds)
        weights = problems.classes
        if ((weights > 0).sum(axis=1) < 2).any() or not (weights[:, -1] > 0).all():
            return None
        factor = np.ones_like(problems.inverse) if self.standardize else problems.inverse**2
        penalty = self.penalty * factor
        start = np.zeros((folds + 1, width + 1, classes))
        priors = np.log1p(weights)
        start[:, width] = priors - priors.mean(axis=1, keepdims=True)

        def losses(asked: dict[int, Floats]) -> dict[int, Answer]:
            points = {i: point.reshape(width + 1, classes) for i, point in asked.items()}
            return problems.losses(points, penalty)

        searches = [minimize(one.ravel(), self.iterations, self.tolerance) for one in start]
        solved = []
        for i, end in enumerate(run_together(losses, searches)):
            coefficients, intercepts = problems.original(i, end.reshape(width + 1, classes))
            if self.penalty == 0:
                # Adding one number to a feature's coefficients of all classes changes nothing, so
                # their mean is set to 0.
                coefficients = coefficients - coefficients.mean(axis=1, keepdims=True)
            solved.append((coefficients.T, intercepts - intercepts.mean()))
        return solved


class _Problems:
    """The rows with their weights in each problem, and the losses of the problems.

    A point has the shape (features + 1, classes): coefficients of the centred and scaled features,
    and the intercepts in the last row.

    Attributes
    ----------
    inverse : array of float, shape (problems, features)
        1 / standard deviation of each feature; 0 for a constant feature.
    classes : array of float, shape (problems, classes)
        Weight of each class.
    """

    def __init__(self, rows: Rows, folds: int) -> None:
        self._rows, self._kept = rows, rows.kept(folds)
        self.classes = np.zeros((folds + 1, rows.classes))
        np.add.at(self.classes.T, rows.label, self._kept)
        self._weights = np.maximum(self.classes.sum(axis=1, keepdims=True), 1e-300)
        # Subtract the plain mean of dense features first: squares of large numbers lose digits.
        shift = 0.0 if rows.sparse else rows.x.mean(axis=0)
        x = rows.x if rows.sparse else rows.x - shift
        mean = (x.T @ self._kept).T / self._weights
        squares = (x.multiply(x) if rows.sparse else np.square(x)).T @ self._kept
        freedom = self._weights - (self._kept**2).sum(axis=0)[:, None] / self._weights
        variance = np.maximum(squares.T - self._weights * mean**2, 0) / np.maximum(freedom, 1e-300)
        deviation = np.sqrt(variance)
        # A feature that is constant in a problem has a variance of 0, up to errors of rounding.
        varies = deviation > 1e-7 * np.abs(mean)
        self.inverse = np.divide(1, deviation, out=np.zeros_like(mean), where=varies)
        self._centers = (mean + shift) * self.inverse

    def original(self, i: int, point: Floats) -> tuple[Floats, Floats]:
        """Return coefficients and intercepts for the original features."""
        return point[:-1] * self.inverse[i][:, None], point[-1] - self._centers[i] @ point[:-1]

    def losses(self, points: dict[int, Floats], penalty: Floats) -> dict[int, Answer]:
        """Return loss and gradient of each problem at its point, by two matrix products."""
        ids = list(points)
        problems, (width, classes) = len(ids), (self.inverse.shape[1], self.classes.shape[1])
        matrix, intercepts = np.empty((width, problems, classes)), np.empty((problems, classes))
        for place, i in enumerate(ids):
            matrix[:, place], intercepts[place] = self.original(i, points[i])
        scores = np.asarray(self._rows.x @ matrix.reshape(width, -1))
        scores = scores.reshape(-1, problems, classes) + intercepts
        every, kept = np.arange(len(scores)), self._kept[:, ids]
        scores -= scores.max(axis=2, keepdims=True)
        right = scores[every, :, self._rows.label]
        np.exp(scores, out=scores)
        total = scores.sum(axis=2)
        logs = ((np.log(total) - right) * kept).sum(axis=0)
        scores *= (kept / total)[:, :, None]
        scores[every, :, self._rows.label] -= kept
        ends = scores.sum(axis=0)
        slopes = np.asarray(self._rows.x.T @ scores.reshape(len(scores), -1))
        slopes = slopes.reshape(width, problems, classes)
        answers = {}
        for place, i in enumerate(ids):
            steps, weight = points[i][:-1], self._weights[i, 0]
            gradient = np.empty_like(points[i])
            gradient[-1] = ends[place] / weight
            by_step = gradient[:-1]
            np.multiply(slopes[:, place], (self.inverse[i] / weight)[:, None], out=by_step)
            by_step -= self._centers[i][:, None] * gradient[-1]
            pulls = penalty[i][:, None] * steps
            by_step += pulls
            loss = logs[place] / weight + 0.5 * float(np.vdot(pulls, steps))
            answers[i] = float(loss), gradient.ravel()
        return answers
