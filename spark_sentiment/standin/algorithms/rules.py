"""Rules of hyperparameters: types, ranges and choices, as in the developer guide."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spark_sentiment.standin.errors import JobError


@dataclass(frozen=True)
class Rule:
    """Allowed values of a hyperparameter; values arrive as strings.

    Attributes
    ----------
    kind : {'integer', 'number', 'boolean', 'text'}
        Type of the value.
    low, high : float
        Smallest and largest number.
    choices : tuple of str
        Allowed texts, beside a number of `kind`. For kind 'text', an empty tuple allows any text.
    required : bool
        Whether the hyperparameter is required.
    """

    kind: str = "text"
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    required: bool = False

    def read(self, text: str) -> Any:
        """Convert `text` to a value; raise ValueError or KeyError if it is not allowed."""
        if text in self.choices or (self.kind == "text" and not self.choices):
            return text
        if self.kind == "boolean":
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if self.kind == "text":
            raise ValueError(text)
        value = int(text) if self.kind == "integer" else float(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        return value

    def __str__(self) -> str:
        numbers = f"{self.kind} between {self.low} and {self.high}"
        parts = [numbers] if self.kind in ("integer", "number") else []
        return ", ".join(parts + list(self.choices)) or self.kind


def integer(low: float = 1, high: float = math.inf, *more: str, required: bool = False) -> Rule:
    """Return the rule of a whole number; `more` are texts that are allowed too."""
    return Rule("integer", low, high, more, required)


def number(low: float = -math.inf, high: float = math.inf, *more: str) -> Rule:
    """Return the rule of a number; `more` are texts that are allowed too."""
    return Rule("number", low, high, more)


def choice(*choices: str, required: bool = False) -> Rule:
    """Return the rule of a text that must be one of `choices`."""
    return Rule("text", choices=choices, required=required)


BOOLEAN = Rule("boolean", choices=())
TEXT = Rule()


def checked(given: Mapping[str, str], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """Return hyperparameters as values; raise JobError if one is missing, unknown or wrong.

    Names that begin with an underscore belong to the platform and are ignored. The messages are
    those of SageMaker's algorithms.

    Examples
    --------
    >>> checked({"k": "3"}, {"k": integer(1, required=True)})
    {'k': 3}
    >>> checked({}, {"k": integer(1, required=True)})
    Traceback (most recent call last):
    ...
    spark_sentiment.standin.errors.JobError: ClientError: No value(s) were specified for 'k' which \
are required hyperparameter(s) (caused by ValidationError)
    """
    own = {name: text for name, text in given.items() if not name.startswith("_")}
    missing = [name for name, rule in rules.items() if rule.required and name not in own]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise JobError(
            f"ClientError: No value(s) were specified for {names} which are required "
            "hyperparameter(s) (caused by ValidationError)"
        )
    unknown = [name for name in own if name not in rules]
    if unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        were = "was" if len(unknown) == 1 else "were"
        raise JobError(
            f"ClientError: Additional hyperparameters are not allowed ({names} {were} unexpected) "
            "(caused by ValidationError)"
        )
    values = {}
    for name, text in own.items():
        try:
            values[name] = rules[name].read(text)
        except (ValueError, KeyError) as error:
            raise JobError(
                f"ClientError: The value '{text}' is not valid for the '{name}' hyperparameter "
                f"which expects one of the following: {rules[name]} (caused by ValidationError)"
            ) from error
    return values
