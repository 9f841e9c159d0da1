"""L-BFGS as generators, so that one pass over the rows computes the losses of several searches.

A minimization is a generator: it yields a point, receives loss and gradient at this point, and
returns the end point. `run_together` computes the losses of several generators at once.

The rules are those of MLlib's optimizer: it stores ten pairs of steps, the first step has length 1,
and the line search uses the strong Wolfe conditions. A fit that ends after the same number of
iterations therefore ends at the same point as MLlib's.
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Answer = tuple[float, Floats]
Search = Generator[Floats, Answer, "_Place"]

_MEMORY = 10
_DECREASE, _CURVATURE = 1e-4, 0.9  # constants of the strong Wolfe conditions
_WIDEN = 1.5
_TRIES = 10  # steps to try in a direction, and then again in an interval of steps
_PLATEAU = 20  # number of iterations in which the loss must change
_SHORTEST = 1e-10  # a shorter step makes no progress


class _Place(NamedTuple):
    """A point with its loss and gradient; `step` and `slope` are along the search direction."""

    point: Floats
    loss: float
    gradient: Floats
    step: float = 0.0
    slope: float = 0.0


class _StuckError(Exception):
    """No step in this direction decreases the loss enough."""


def run_together(
    losses: Callable[[dict[int, Floats]], Mapping[int, Answer]],
    searches: Sequence[Generator[Floats, Answer, Floats]],
) -> list[Floats]:
    """Run several minimizations at once, and return their end points.

    Parameters
    ----------
    losses : callable
        Function of points by the number of their minimization, which returns loss and gradient of
        each.
    searches : sequence of generators
        Results of `minimize`.

    Examples
    --------
    >>> def bowls(points):
    ...     return {i: (float((x - i) @ (x - i)), 2 * (x - i)) for i, x in points.items()}
    >>> ends = run_together(bowls, [minimize(np.array([5.0]), 20, 1e-9) for _ in range(3)])
    >>> [round(float(end[0]), 6) + 0.0 for end in ends]
    [0.0, 1.0, 2.0]
    """
    asked = {i: next(search) for i, search in enumerate(searches)}
    ends: dict[int, Floats] = {}
    while asked:
        answers = losses(asked)
        for i in list(asked):
            try:
                asked[i] = searches[i].send(answers[i])
            except StopIteration as stop:
                ends[i] = stop.value
                del asked[i]
    return [ends[i] for i in range(len(searches))]


def minimize(start: Floats, iterations: int, tolerance: float) -> Generator[Floats, Answer, Floats]:
    """Minimize a smooth function; yield points, receive (loss, gradient), return the end point.

    Parameters
    ----------
    start : array of float, shape (n,)
    iterations : int
        Largest number of iterations.
    tolerance : float
        The search ends if the gradient is shorter than this share of the loss, or if the loss has
        changed by less than this share of the first loss in twenty iterations.
    """
    loss, gradient = yield start
    here = _Place(start, loss, gradient)
    first = abs(loss)
    history = deque([np.inf], maxlen=_PLATEAU)
    memory: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
    failed = False
    for _ in range(iterations):
        if np.linalg.norm(here.gradient) <= max(tolerance * abs(here.loss), 1e-8):
            break
        direction = _direction(here.gradient, memory)
        try:
            there = yield from _along(direction, here, _first_step(direction, memory))
        except _StuckError:
            if failed:
                break
            # The stored steps may be misleading: try the steepest descent once.
            failed = True
            memory.clear()
            continue
        step, turn = there.point - here.point, there.gradient - here.gradient
        curved = float(step @ turn)
        if curved > 0:
            memory.append((step, turn, curved))
        here = there
        history.append(here.loss)
        if abs(here.loss - max(history)) <= tolerance * first:
            break
    return here.point


def _first_step(direction: Floats, memory: deque[tuple[Floats, Floats, float]]) -> float:
    """Return the first step to try: 1, or in the first iteration a step of length 1."""
    return 1.0 if memory else 1.0 / max(float(np.linalg.norm(direction)), 1e-300)


def _direction(gradient: Floats, memory: deque[tuple[Floats, Floats, float]]) -> Floats:
    """Return the L-BFGS direction from the gradient and the stored steps."""
    # daxpy adds a multiple in place; numpy would create an array for the multiple.
    from scipy.linalg.blas import daxpy

    direction = -gradient
    shares = []
    for step, turn, curved in reversed(memory):
        share = float(step @ direction) / curved
        shares.append(share)
        direction = daxpy(turn, direction, a=-share)
    if memory:
        _, turn, curved = memory[-1]
        direction *= curved / float(turn @ turn)
    for (step, turn, curved), share in zip(memory, reversed(shares), strict=True):
        direction = daxpy(step, direction, a=share - float(turn @ direction) / curved)
    return direction


def _along(direction: Floats, here: _Place, step: float) -> Search:
    """Return a place along `direction` at which the strong Wolfe conditions hold."""
    low = here._replace(step=0.0, slope=float(here.gradient @ direction))
    if low.slope > 0:
        raise _StuckError
    bottom = low
    for tried in range(_TRIES):
        place = yield from _look(direction, here, step)
        if not np.isfinite(place.loss):
            step /= 2
            continue
        if _too_high(place, bottom) or (place.loss >= low.loss and tried > 0):
            return (yield from _between(direction, here, bottom, low, place))
        if abs(place.slope) <= _CURVATURE * abs(bottom.slope):
            return place
        if place.slope >= 0:
            return (yield from _between(direction, here, bottom, place, low))
        low = place
        step *= _WIDEN
    raise _StuckError


def _between(direction: Floats, here: _Place, bottom: _Place, low: _Place, high: _Place) -> Search:
    """Narrow the interval between `low`, with the lower loss, and `high` to a suitable step."""
    for _ in range(_TRIES):
        step = _lowest(*sorted((low, high), key=lambda place: place.step))
        if step * np.linalg.norm(direction) < _SHORTEST:
            break
        place = yield from _look(direction, here, step)
        if _too_high(place, bottom) or place.loss >= low.loss:
            high = place
            continue
        if abs(place.slope) <= _CURVATURE * abs(bottom.slope):
            return place
        if place.slope * (high.step - low.step) >= 0:
            high = low
        low = place
    raise _StuckError


def _look(direction: Floats, here: _Place, step: float) -> Search:
    point = here.point + step * direction
    loss, gradient = yield point
    return _Place(point, loss, gradient, step, float(gradient @ direction))


def _too_high(place: _Place, bottom: _Place) -> bool:
    return place.loss > bottom.loss + _DECREASE * place.step * bottom.slope


def _lowest(left: _Place, right: _Place) -> float:
    """Return the minimum of the cubic through both ends and slopes, not too near to an end."""
    width = right.step - left.step
    bend = left.slope + right.slope - 3 * (left.loss - right.loss) / (left.step - right.step)
    root = np.sqrt(max(bend * bend - left.slope * right.slope, 0.0))
    divisor = right.slope - left.slope + 2 * root
    middle = left.step + width / 2
    step = right.step - width * (right.slope + root - bend) / divisor if divisor else middle
    return float(np.clip(step, left.step + 0.1 * width, right.step - 0.1 * width))
