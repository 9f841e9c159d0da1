"""Converters, which check what a Param is given and return what it keeps.

A wrong type raises TypeError, a wrong value ValueError; `Stage` puts its uid and the Param's name
before either, in constructors, setters, ``copy`` and parameter grids alike. numpy's numbers and
arrays are taken where Python's are. What is kept is Python's own, and can be saved as JSON.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from pyspark.ml.param import Param, Params


def plain(value: Any) -> Any:
    """Return one of numpy's scalars or arrays as Python's own; anything else as it is.

    Examples
    --------
    >>> import numpy as np
    >>> plain(np.int64(3)), plain(np.bool_(True)), plain(np.array([0.5, 1.0])), plain("x")
    (3, True, [0.5, 1.0], 'x')
    """
    if isinstance(value, np.floating):
        return float(value)  # also a longdouble, of which `item` makes nothing else
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Param converter that admits only the strings in `allowed`."""

    def convert(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(f"expected one of {allowed}, got {value!r}")
        if value not in allowed:
            raise ValueError(f"expected one of {allowed}, got {value!r}")
        return str(value)

    return convert


def integer(low: int, high: int | None = None) -> Callable[[Any], int]:
    """Param converter that admits whole numbers from `low` to `high`, both included."""
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
    """Param converter that admits finite numbers in [low, high]; an `open_` end is excluded."""

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
    """Param converter that admits True and False alone, not what merely counts as true."""
    given = plain(value)
    if not isinstance(given, bool):
        raise TypeError(f"expected True or False, got {value!r}")
    return given


def string(value: Any) -> str:
    """Param converter that admits a string that is not empty."""
    if not isinstance(value, str):
        raise TypeError(f"expected a string that is not empty, got {value!r}")
    if not value:
        raise ValueError(f"expected a string that is not empty, got {value!r}")
    return str(value)


def sequence(value: Any, what: str) -> list[Any]:
    """Return the items of a list, tuple or numpy array; a TypeError says that `what` is expected.

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
    """Param converter that admits a list of at least one distinct, non-empty string."""
    names = [string(item) for item in sequence(value, "names")]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"expected a list of at least one name, all distinct, got {value!r}")
    return names


def numbers(value: Any) -> list[float]:
    """Param converter that admits a list of finite numbers."""
    return [number()(item) for item in sequence(value, "numbers")]


def names_by_key(value: Any) -> dict[str, str]:
    """Param converter: a mapping from one non-empty string to another."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping from name to name, got {value!r}")
    return {string(key): string(name) for key, name in value.items()}


def numbers_by_key(*keys: str) -> Callable[[Any], dict[str, float]]:
    """Param converter: a mapping from some of `keys` to numbers above 0."""
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
    """Param converter: a mapping from label (a string in JSON) to a value that `check` admits."""

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
