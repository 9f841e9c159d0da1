"""Minimizations that ask for their losses, one or several at a time."""

from typing import Any

import numpy as np
import pytest

from spark_sentiment.classification.lbfgs import minimize, run_together


def valley(x: Any, scale: float) -> tuple[float, Any]:
    """Rosenbrock's function, whose minimum is 0 at (1, 1)."""
    a, b = 1 - x[0], x[1] - x[0] ** 2
    slope = np.array([-2 * a - 4 * scale * x[0] * b, 2 * scale * b])
    return float(a * a + scale * b * b), slope


def test_several_searches_find_their_minima_by_common_answers() -> None:
    asked = []

    def losses(points: dict[int, Any]) -> dict[int, Any]:
        asked.append(sorted(points))
        return {i: valley(x, 10.0 ** (i + 1)) for i, x in points.items()}

    searches = [minimize(np.array([-1.2, 1.0]), 200, 0.0) for _ in range(3)]
    for end in run_together(losses, searches):
        assert end == pytest.approx([1, 1], abs=1e-6)
    # All are answered together until the first has ended.
    assert asked[0] == [0, 1, 2]
    assert len(asked) < 200


def test_a_search_stops_after_its_iterations() -> None:
    ends = [run_together(one_valley, [minimize(np.array([-1.2, 1.0]), n, 0.0)])[0] for n in (1, 3)]
    start, first, third = (valley(np.array(x), 100.0)[0] for x in ([-1.2, 1.0], *ends))
    assert start > first > third > 1e-3


def test_a_loss_without_slope_ends_at_once() -> None:
    asked = []

    def flat(points: dict[int, Any]) -> dict[int, Any]:
        asked.append(points)
        return {i: (3.0, np.zeros(2)) for i in points}

    (end,) = run_together(flat, [minimize(np.array([4.0, 5.0]), 10, 1e-6)])
    assert end.tolist() == [4, 5]
    assert len(asked) == 1


def test_a_slope_that_lies_ends_the_search_where_it_stands() -> None:
    def uphill(points: dict[int, Any]) -> dict[int, Any]:
        return {i: (float(x @ x), -2 * x) for i, x in points.items()}

    (end,) = run_together(uphill, [minimize(np.array([1.0, 1.0]), 10, 1e-6)])
    assert end.tolist() == [1, 1]


def one_valley(points: dict[int, Any]) -> dict[int, Any]:
    return {i: valley(x, 100.0) for i, x in points.items()}
