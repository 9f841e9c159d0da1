"""Gates: bounds on bias metrics, and the check of a report against them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from spark_sentiment.bias.facets import same_text, spell
from spark_sentiment.bias.measures import METRICS
from spark_sentiment.core import plain
from spark_sentiment.errors import GateError


@dataclass(frozen=True)
class Gate:
    """A bound on a metric, for every report row that the gate matches.

    Parameters
    ----------
    metric : str
        A metric's name, as the report has it.
    facet, facet_value, label_class : str, optional
        Rows that the gate matches; by default all rows of the metric. A class may be a number.
    low, high : float, optional
        Bounds, both included; at least one is given.
    phase : {'pre', 'post'}, optional
        Only rows of that phase.
    undefined : bool, default False
        Whether an undefined (null) value passes. By default it breaks the gate, because a value
        that cannot be measured does not show fairness.

    Raises
    ------
    TypeError
        If a bound is not a number.
    ValueError
        If the metric or the phase is unknown, or the bounds are missing, NaN or in the wrong order.

    Examples
    --------
    >>> Gate("DPL", facet="Age", low=-0.1, high=0.1).describe()
    'DPL of Age in [-0.1, 0.1]'
    """

    metric: str
    facet: str | None = None
    facet_value: Any = None
    label_class: Any = None
    low: float | None = None
    high: float | None = None
    phase: str | None = None
    undefined: bool = False

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(
                f"gate on unknown metric {self.metric!r}; the metrics are {', '.join(METRICS)}"
            )
        bounds = [plain(bound) for bound in (self.low, self.high) if bound is not None]
        if not all(isinstance(item, int | float) and not isinstance(item, bool) for item in bounds):
            raise TypeError(f"gate on {self.metric}: low and high must be numbers, got {bounds}")
        if not bounds or any(map(math.isnan, bounds)):
            raise ValueError(f"gate on {self.metric}: give low, high or both, got {bounds}")
        if bounds[0] > bounds[-1]:
            raise ValueError(f"gate on {self.metric}: low {self.low} is above high {self.high}")
        if self.phase not in (None, "pre", "post"):
            raise ValueError(
                f"gate on {self.metric}: phase must be pre or post, got {self.phase!r}"
            )

    def names(self, row: Any) -> bool:
        """Tell whether the gate matches a report row."""
        return (
            row.metric == self.metric
            and self.phase in (None, row.phase)
            and self.facet in (None, row.facet)
            and _matches(self.facet_value, row.facet_value)
            and _matches(self.label_class, row.label_class)
        )

    def passes(self, value: float | None) -> bool:
        """Tell whether a metric's value is inside the bounds."""
        if value is None:
            return self.undefined
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return low <= value <= high

    def describe(self) -> str:
        """Return the metric, the rows that the gate matches, and the bounds, as text."""
        parts = [self.metric]
        if self.facet is not None:
            parts.append(f"of {self.facet}")
        if self.facet_value is not None:
            parts.append(f"= {spell(self.facet_value)}")
        if self.label_class is not None:
            parts.append(f"for class {spell(self.label_class)}")
        low = "(-inf" if self.low is None else f"[{self.low}"
        high = "inf)" if self.high is None else f"{self.high}]"
        return f"{' '.join(parts)} in {low}, {high}"


@dataclass(frozen=True)
class BrokenGate:
    """A broken gate and the report row outside it; `row` is None if the gate matches no row."""

    gate: Gate
    row: Any

    def describe(self) -> str:
        """Return the gate and the value found, in one line."""
        if self.row is None:
            return f"{self.gate.describe()}: the report has no such row"
        row = self.row
        where = ", ".join(
            str(part) for part in (row.facet, row.facet_value, row.label_class) if part is not None
        )
        found = "undefined" if row.value is None else f"{row.value:.6g}"
        note = f" ({row.note})" if row.value is None and row.note else ""
        return f"{self.gate.describe()}: found {found}{f' at {where}' if where else ''}{note}"


def broken_gates(rows: Iterable[Any], gates: Sequence[Gate]) -> list[BrokenGate]:
    """Return every report row that is outside a gate.

    Parameters
    ----------
    rows : iterable of ReportRow or of Row
        A bias report, collected.
    gates : sequence of Gate
        The bounds.

    Returns
    -------
    list of BrokenGate
        In the order of gates and rows; empty if no gate is broken. A gate that matches no row is
        broken, so that a misspelled facet is noticed.

    Examples
    --------
    >>> from spark_sentiment.bias import ReportRow
    >>> row = ReportRow("pre", "Age", "> 50", None, "CI", 0.7, 0.6, 0.8, 85, 15, None)
    >>> [it.describe() for it in broken_gates([row], [Gate("CI", high=0.5)])]
    ['CI in (-inf, 0.5]: found 0.7 at Age, > 50']
    """
    report = list(rows)
    out: list[BrokenGate] = []
    for gate in gates:
        named = [row for row in report if gate.names(row)]
        out.extend(BrokenGate(gate, row) for row in named if not gate.passes(row.value))
        if not named:
            out.append(BrokenGate(gate, None))
    return out


def require_gates(broken: Sequence[BrokenGate]) -> None:
    """Raise GateError, with all broken gates, if there are any."""
    if broken:
        raise GateError("\n  ".join(["", *(each.describe() for each in broken)]))


def _matches(wanted: Any, found: str | None) -> bool:
    if wanted is None:
        return True
    return found is not None and same_text(spell(wanted), found)
