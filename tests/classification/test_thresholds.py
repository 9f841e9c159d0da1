"""Thresholds: offsets that make macro-F1 largest."""

from itertools import product
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from spark_sentiment.classification.thresholds import best_offsets, macro_f1, margins


def test_macro_f1_by_hand() -> None:
    # Class 0: F1 = 2*3/(4+5); class 1: 2*4/(6+5); class 2 occurs nowhere and is left out.
    counts = np.array([[3.0, 1, 0], [2, 4, 0], [0, 0, 0]])
    assert macro_f1(counts) == pytest.approx((6 / 9 + 8 / 11) / 2)


def test_offsets_lift_a_rare_class() -> None:
    # 90 rows of class 0 at 0.8 to 0.2; 10 of class 1 at 0.6 to 0.4, the most it ever gets. Between
    # log 1.5 = 0.405 and log 4 = 1.386 class 1 is told apart without an error.
    labels = np.array([0, 1])
    scores = np.log([[0.8, 0.2], [0.6, 0.4]])
    offsets = best_offsets(labels, scores, np.array([90.0, 10.0]))
    assert offsets[0] == 0
    assert log(1.5) < offsets[1] < log(4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_offsets_beat_none_and_come_near_the_best(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.choice(classes, 400, p=np.r_[0.7, np.full(classes - 1, 0.3 / (classes - 1))])
    scores = random.normal(size=(400, classes)) + 2 * np.eye(classes)[labels]
    scores[:, 0] += 1.5
    weights = np.ones(400)

    def reached(offsets: Any) -> float:
        counts = np.zeros((classes, classes))
        np.add.at(counts, (labels, (scores + offsets).argmax(axis=1)), 1)
        return macro_f1(counts)

    found = best_offsets(labels, scores, weights)
    assert np.abs(found).max() <= 3
    assert reached(found) >= reached(np.zeros(classes)) - 0.02
    if classes == 3:  # against all offsets of a grid
        grid = np.arange(-1, 3.01, 0.25)
        best = max(reached(np.array([0, a, b])) for a, b in product(grid, grid))
        assert reached(found) >= best - 0.03  # the smoothing gives up the highest tooth


def test_margins_keep_every_row(spark: SparkSession) -> None:
    rows = [(0, [0.5, 0.5]), (0, [0.5, 0.5]), (1, [0.2, 0.8]), (1, [1.0, 0.0])]
    df = spark.createDataFrame([(y, Vectors.dense(p)) for y, p in rows], ["y", "p"])
    labels, scores, weights = margins(df, "y", "p", 2)
    got = sorted(zip(labels.tolist(), scores.round(2).tolist(), weights.tolist(), strict=True))
    # log 0.25 = -1.386, to the nearest 0.05; log 0 is cut at -6.05.
    assert got == [(0, [0, 0], 2), (1, [-1.4, 0], 1), (1, [0, -6.05], 1)]
