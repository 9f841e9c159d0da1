"""Param converters: each checks the given value and returns the value to store.

A wrong type raises TypeError, a wrong value ValueError. `Stage` adds its uid and the name of the
Param to the message, in constructors, setters, ``copy`` and parameter grids. Converters accept
numbers and arrays of numpy. The stored value is a plain Python value that can be saved as JSON.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pyspark.ml.param import Param, Params


def plain(value: Any) -> Any:
    """Return a scalar or array of numpy as a plain Python value; any other value unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.int64(3)), plain(np.bool_(True)), plain(np.array([0.5, 1.0])), plain("x")
    (3, True, [0.5, 1.0], 'x')
    """
    if isinstance(value, np.floating):
        return float(value)  # `item` and `tolist` leave a longdouble unchanged
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Return a Param converter that accepts only the strings in `allowed`."""

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"expected one of {allowed}, got {value!r}")
        if value not in allowed:
            raise ValueError(f"expected one of {allowed}, got {value!r}")
        return str(value)

    return convert


def integer(low: int, high: int | None = None) -> Callable[[Any], int]:
    """Return a Param converter that accepts whole numbers from `low` to `high`, both included."""
    span = f"of at least {low}" if high is None else f"from {low} to {high}"

    def convert(value: Any) -> int:
        given = plain(value)
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise TypeError(f"expected a whole number {span}, got {value!r}")
        whole = math.isfinite(given) and given == int(given)
        if not whole or given < low or (high is not None and given > high):
            raise ValueError(f"expected a whole number {span}, got {value!r}")
        return int(given)

    return convert


def number(
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> Callable[[Any], float]:
    """Return a Param converter that accepts finite numbers in [low, high].

    `open_low` and `open_high` exclude the bound.
    """

    def convert(value: Any) -> float:
        given = plain(value)
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise TypeError(f"expected a number, got {value!r}")
        below = given <= low if open_low else given < low
        above = given >= high if open_high else given > high
        if not math.isfinite(given) or below or above:
            span = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"
            raise ValueError(f"expected a number in {span}, got {value!r}")
        return float(given)

    return convert


def boolean(value: Any) -> bool:
    """Return `value` if it is True or False; other truthy or falsy values raise TypeError."""
    given = plain(value)
    if not isinstance(given, bool):
        raise TypeError(f"expected True or False, got {value!r}")
    return given


def string(value: Any) -> str:
    """Return `value` if it is a string that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"expected a string that is not empty, got {value!r}")
    if not value:
        raise ValueError(f"expected a string that is not empty, got {value!r}")
    return str(value)


def sequence(value: Any, what: str) -> list[Any]:
    """Return the items of a list, tuple or numpy array; the TypeError names `what` was expected.

    Examples
    --------
    >>> sequence((1, 2), "numbers")
    [1, 2]
    """
    given = plain(value)
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise TypeError(f"expected a list of {what}, got {value!r}")
    return [plain(item) for item in given]


def strings(value: Any) -> list[str]:
    """Return `value` as a list if it holds at least one name, all distinct and not empty."""
    names = [string(item) for item in sequence(value, "names")]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"expected a list of at least one name, all distinct, got {value!r}")
    return names


def numbers(value: Any) -> list[float]:
    """Return `value` as a list of floats if it is a list of finite numbers."""
    return [number()(item) for item in sequence(value, "numbers")]


def names_by_key(value: Any) -> dict[str, str]:
    """Return `value` as a dict if it maps strings that are not empty to such strings."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping from name to name, got {value!r}")
    return {string(key): string(name) for key, name in value.items()}


def numbers_by_key(*keys: str) -> Callable[[Any], dict[str, float]]:
    """Return a Param converter that accepts a mapping from some of `keys` to numbers above 0."""
    expected = f"expected a mapping from {', '.join(keys)} to numbers"

    def convert(value: Any) -> dict[str, float]:
        if not isinstance(value, Mapping):
            raise TypeError(f"{expected}, got {value!r}")
        if not set(value) <= set(keys):
            raise ValueError(f"{expected}, got {value!r}")
        check = number(0, open_low=True)
        return {str(key): check(item) for key, item in value.items()}

    return convert


def by_label(check: Callable[[Any], Any]) -> Callable[[Any], dict[float, Any]]:
    """Return a Param converter that accepts a mapping from labels to values that `check` accepts.

    A label can be a number or, as in JSON, a string.
    """

    def convert(value: Any) -> dict[float, Any]:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a mapping from label to number, got {value!r}")
        return {_label(label): check(item) for label, item in value.items()}

    return convert


def _label(value: Any) -> float:
    try:
        return float(plain(value))
    except (TypeError, ValueError) as error:
        raise type(error)(f"expected a number as label, got {value!r}") from error


def optional(stage: Params, param: Param[Any]) -> Any:
    """Return the value of a Param, or its default; None if it has neither."""
    return stage.getOrDefault(param) if stage.isDefined(param) else None
