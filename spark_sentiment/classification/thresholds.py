"""Thresholds of classes: offsets of log-probabilities that maximise macro-F1.

The most probable class maximises accuracy. Macro-F1 weights a rare class like a frequent one, so a
rare class must be predicted at a lower probability. MLlib's ``thresholds`` express this: the class
with the largest probability / threshold wins.
"""

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_sentiment.core import quoted, to_array

LIMIT = 3.0
"""Largest offset to try, up or down, in units of log-probability."""

_STEP = 0.05
_FLOOR = -round(2 * LIMIT / _STEP) - 1  # so far below the best, no offsets can select a class
_MAX_CELLS = 500_000
_SMOOTH = 5  # half width, in steps, of the window that scores are averaged over
_ROUNDS = 10
_TINY = 1e-12

Floats = NDArray[np.float64]


def margins(
    data: DataFrame, label: str, probability: str, classes: int
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return labels and probabilities as a histogram for the driver, in one pass.

    Parameters
    ----------
    data : DataFrame
        Rows whose probabilities come from a model that was not fitted on them.
    label : str
        Numeric column, of whole numbers from 0 to ``classes - 1``.
    probability : str
        Vector column of `classes` probabilities.
    classes : int
        Number of classes.

    Returns
    -------
    labels : array of int, shape (n,)
    scores : array of float, shape (n, classes)
        Log-probability minus the largest of its row, to the nearest 0.05, at least -6.05.
    weights : array of float, shape (n,)
        Number of rows in the cell.

    Notes
    -----
    With three classes there are at most about 130,000 cells, for any number of rows. With more
    classes, at most about 500,000 cells are used.
    """
    logs = F.transform(to_array(quoted(probability)), lambda p: F.log(F.greatest(p, F.lit(_TINY))))
    cells = F.transform(
        F.col("__logs"),
        lambda s: F.greatest(
            F.rint((s - F.array_max(F.col("__logs"))) / _STEP), F.lit(float(_FLOOR))
        ).cast("int"),
    )
    rows = (
        data.select(quoted(label).cast("int").alias("__label"), logs.alias("__logs"))
        .groupBy("__label", cells.alias("__cells"))
        .count()
        .limit(_MAX_CELLS)
        .collect()
    )
    # Rows are collected in any order; sorting makes sums and ties reproducible.
    rows = sorted(rows, key=lambda row: (row[0], row[1]))
    scores = np.array([row[1] for row in rows], dtype=np.float64).reshape(-1, classes) * _STEP
    labels = np.array([row[0] for row in rows], dtype=np.int64)
    return labels, scores, np.array([row[2] for row in rows], dtype=np.float64)


def macro_f1(confusion: Floats) -> float:
    """Return the mean F1 of the classes that occur, from counts [true class, guessed class].

    Examples
    --------
    >>> round(macro_f1(np.array([[3.0, 1.0], [2.0, 4.0]])), 4)
    0.697
    """
    return float(_macro_f1(confusion[:, :, None])[0])


def best_offsets(labels: NDArray[np.int64], scores: Floats, weights: Floats) -> Floats:
    """Return the offset of each class's log-probability that maximises macro-F1.

    Parameters
    ----------
    labels, scores, weights
        Result of `margins`.

    Returns
    -------
    array of float, shape (classes,)
        In [-3, 3], in steps of 0.05; 0 for the most frequent class and for classes without rows.

    Notes
    -----
    Coordinate ascent: each class in turn takes its best offset while the others are fixed, until no
    offset changes. The score of an offset is the mean over its neighbours up to 0.25 away, because
    the highest peak of the unsmoothed curve is an accident of these rows.
    Cost: ``rounds * classes**2 * n``.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 0])
    >>> scores = np.log([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.7, 0.3], [0.8, 0.2]])
    >>> offsets = best_offsets(labels, scores, np.ones(5))
    >>> (scores + offsets).argmax(axis=1).tolist()
    [0, 0, 0, 1, 0]
    """
    classes = scores.shape[1]
    support = np.bincount(labels, weights, minlength=classes)
    common = int(support.argmax())
    # Half way to equal priors: close to the optimum, past small local optima.
    offsets = np.where(support > 0, 0.5 * np.log(support[common] / np.maximum(support, 1)), 0.0)
    offsets = np.clip(np.round(offsets / _STEP) * _STEP, -LIMIT, LIMIT)
    for _ in range(_ROUNDS):
        before = offsets.copy()
        for c in range(classes):
            if c != common and support[c]:
                offsets[c] = _best_offset(c, offsets, labels, scores, weights)
        if np.array_equal(before, offsets):
            break
    return np.asarray(offsets, dtype=np.float64)


def _best_offset(
    c: int, offsets: Floats, labels: NDArray[np.int64], scores: Floats, weights: Floats
) -> float:
    classes = scores.shape[1]
    grid = np.round(np.arange(-LIMIT, LIMIT + _STEP / 2, _STEP), 10)
    others = scores + offsets
    others[:, c] = -np.inf
    rival = others.argmax(axis=1)
    # A row changes from its rival to class c at the first offset of the grid beyond this gap.
    gap = others[np.arange(len(labels)), rival] - scores[:, c]
    turn = np.searchsorted(grid, gap + _STEP * 1e-6, side="left")
    cells = (labels * classes + rival) * (len(grid) + 1) + turn
    counts = np.bincount(cells, weights, minlength=classes**2 * (len(grid) + 1))
    counts = counts.reshape(classes, classes, -1)
    turned = counts.cumsum(axis=2)[:, :, :-1]
    confusion = counts.sum(axis=2)[:, :, None] - turned
    confusion[:, c] += turned.sum(axis=1)
    f1 = np.pad(_macro_f1(confusion), _SMOOTH, mode="edge")
    smooth = np.convolve(f1, np.full(2 * _SMOOTH + 1, 1 / (2 * _SMOOTH + 1)), mode="valid")
    best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return float(grid[best[len(best) // 2]])  # the middle of a plateau


def _macro_f1(confusion: Floats) -> Floats:
    """Macro-F1 for each entry of the last axis of counts [true, guessed, entry]."""
    hits = np.einsum("iig->ig", confusion)
    either = confusion.sum(axis=0) + confusion.sum(axis=1)
    f1 = np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)
    occurring = np.maximum((either > 0).sum(axis=0), 1)
    summed: Floats = f1.sum(axis=0)
    return np.asarray(summed / occurring, dtype=np.float64)
