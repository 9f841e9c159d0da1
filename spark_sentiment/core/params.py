"""What all stages share: Param converters and schema checks.

Converters raise TypeError, the one error that ``Params._set`` prefixes with the Param's name, so
constructors, ``copy`` and parameter grids are all checked alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyspark.ml.param import Param, Params


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Param converter that admits only the strings in `allowed`."""

    def convert(value: Any) -> str:
        if value not in allowed:
            raise TypeError(f"expected one of {allowed}, got {value!r}")
        return str(value)

    return convert


def integer(low: int, high: int | None = None) -> Callable[[Any], int]:
    """Param converter that admits whole numbers from `low` to `high`, both included."""

    def convert(value: Any) -> int:
        whole = (
            not isinstance(value, bool) and isinstance(value, int | float) and value == int(value)
        )
        if not whole or value < low or (high is not None and value > high):
            span = f"of at least {low}" if high is None else f"from {low} to {high}"
            raise TypeError(f"expected a whole number {span}, got {value!r}")
        return int(value)

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
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"expected a number, got {value!r}")
        below = value <= low if open_low else value < low
        above = value >= high if open_high else value > high
        if not math.isfinite(value) or below or above:
            span = f"{'(' if open_low else '['}{low}, {high}{')' if open_high else ']'}"
            raise TypeError(f"expected a number in {span}, got {value!r}")
        return float(value)

    return convert


def boolean(value: Any) -> bool:
    """Param converter that admits True and False alone, not what merely counts as true."""
    if not isinstance(value, bool):
        raise TypeError(f"expected True or False, got {value!r}")
    return value


def string(value: Any) -> str:
    """Param converter that admits a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected a string that is not empty, got {value!r}")
    return value


def strings(value: Any) -> list[str]:
    """Param converter that admits a list of at least one distinct, non-empty string."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise TypeError(f"expected a list of column names, got {value!r}")
    names = [string(item) for item in value]
    if len(set(names)) != len(names):
        raise TypeError(f"expected distinct names, got {value!r}")
    return names


def numbers(value: Any) -> list[float]:
    """Param converter that admits a list of finite numbers."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"expected a list of numbers, got {value!r}")
    check = number()
    return [check(item) for item in value]


def names_by_key(value: Any) -> dict[str, str]:
    """Param converter: a mapping from one non-empty string to another."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping from name to name, got {value!r}")
    return {string(key): string(name) for key, name in value.items()}


def numbers_by_key(*keys: str) -> Callable[[Any], dict[str, float]]:
    """Param converter: a mapping from some of `keys` to numbers above 0."""

    def convert(value: Any) -> dict[str, float]:
        if not isinstance(value, Mapping) or not set(value) <= set(keys):
            raise TypeError(f"expected a mapping from {', '.join(keys)} to numbers, got {value!r}")
        check = number(0, open_low=True)
        return {key: check(item) for key, item in value.items()}

    return convert


def by_label(check: Callable[[Any], Any]) -> Callable[[Any], dict[float, Any]]:
    """Param converter: a mapping from label (JSON makes it a string) to what `check` admits."""

    def convert(value: Any) -> dict[float, Any]:
        if not isinstance(value, Mapping):
            raise TypeError(f"expected a mapping from label to number, got {value!r}")
        try:
            return {float(label): check(item) for label, item in value.items()}
        except ValueError as error:
            raise TypeError(f"expected numeric labels, got {value!r}") from error

    return convert


def optional(stage: Params, param: Param[Any]) -> Any:
    """Return a Param's value, or its default; None where it has neither."""
    return stage.getOrDefault(param) if stage.isDefined(param) else None
