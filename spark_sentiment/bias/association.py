"""Association, distribution and inequality of facets, as SynapseML's data balance stages measure.

Three kinds of measures, computed from counts, with SynapseML's names:

- association of a facet's sides with a positive label: the gap between side a and side d
  (``FeatureBalanceMeasure``; its pair (A, B) is our (a, d));
- distance of a facet's distribution from a reference (``DistributionBalanceMeasure``);
- inequality of the sizes of groups (``AggregateBalanceMeasure``).

The formulas are SynapseML's, so the figures agree. Differences to its code or to textbooks:

- ``sdc`` has no factor 2, and ``pmi`` is ln P(y|x), without - ln P(y), which a gap cancels; in
  ``n_pmi_xy`` it does not cancel.
- A logarithm of 0 is undefined: null with a note. SynapseML returns minus infinity or 0.
- A reference value that the data lacks counts as observed 0; SynapseML omits it (its issue 2010).
  If the data has a value of probability 0, the chi-square statistic and ``chi_sq_p_value`` are
  null; SynapseML returns a p-value of 1.
- ``wasserstein_dist`` sorts the probabilities of both sides first, as ``scipy.stats`` does.
  SynapseML does not sort, which gives the same result for a uniform reference.

References
----------
.. [1] Microsoft, "Data Balance Analysis on Spark", SynapseML documentation.
.. [2] O. Aka et al. (2021), "Measuring Model Biases in the Absence of Ground Truth",
   AIES '21, 327-335.
.. [3] W. H. Press et al., "Numerical Recipes", 6.2: the incomplete gamma function by series and by
   continued fraction.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from spark_sentiment.bias.formulas import Measure, js, tvd

ASSOCIATION = ("dp", "sdc", "ji", "llr", "pmi", "n_pmi_y", "n_pmi_xy", "s_pmi", "krc", "t_test")
"""Names of the association gaps."""

DISTRIBUTION = (
    "kl_divergence",
    "js_dist",
    "inf_norm_dist",
    "total_variation_dist",
    "wasserstein_dist",
    "chi_sq_stat",
    "chi_sq_p_value",
)
"""Names of the distances from a reference distribution."""

AGGREGATE = ("atkinson_index", "theil_l_index", "theil_t_index")
"""Names of the inequality indices."""

_LOG_OF_ZERO = "a logarithm of 0"


class Cooccurrence(NamedTuple):
    """Rows of a side, positive rows, their overlap and all rows of the facet."""

    side: int
    positive: int
    both: int
    n: int


def association_gap(name: str, a: Cooccurrence, d: Cooccurrence) -> Measure:
    """Return the measure called `name` of side a minus that of side d.

    Parameters
    ----------
    name : str
        One of `ASSOCIATION`.
    a, d : Cooccurrence
        Counts of the two sides; `positive` and `n` are those of the whole facet, equal in both.

    Examples
    --------
    >>> a, d = Cooccurrence(4, 5, 3, 10), Cooccurrence(6, 5, 2, 10)
    >>> round(association_gap("dp", a, d).value, 4)  # 3/4 - 2/6
    0.4167
    """
    try:
        return Measure(_MEASURES[name](a) - _MEASURES[name](d))
    except (ValueError, ZeroDivisionError):
        return Measure(None, note=_LOG_OF_ZERO if name in _LOGARITHMIC else "a division by 0")


def _dp(c: Cooccurrence) -> float:
    """P(y | x), demographic parity."""
    return c.both / c.side


def _sdc(c: Cooccurrence) -> float:
    """P(x, y) / (P(x) + P(y))."""
    return c.both / (c.side + c.positive)


def _ji(c: Cooccurrence) -> float:
    """P(x, y) / P(x or y), the Jaccard index."""
    return c.both / (c.side + c.positive - c.both)


def _llr(c: Cooccurrence) -> float:
    """Logarithm: ln P(x | y)."""
    return math.log(c.both / c.positive)


def _pmi(c: Cooccurrence) -> float:
    """Logarithm: ln P(y | x)."""
    return math.log(_dp(c))


def _n_pmi_y(c: Cooccurrence) -> float:
    """Logarithm: ln P(y | x) / ln P(y)."""
    return _pmi(c) / math.log(c.positive / c.n)


def _n_pmi_xy(c: Cooccurrence) -> float:
    """Logarithm: ln P(y | x) / ln P(x, y)."""
    return _pmi(c) / math.log(c.both / c.n)


def _s_pmi(c: Cooccurrence) -> float:
    """ln(P(x, y)^2 / (P(x) P(y)))."""
    return math.log(c.both**2 / (c.side * c.positive))


def _krc(c: Cooccurrence) -> float:
    """Kendall's rank correlation of two indicators, in SynapseML's closed form."""
    n, x, y, xy = c.n, c.side / c.n, c.positive / c.n, c.both / c.n
    concordant = n * n * (1 - 2 * x - 2 * y + 2 * xy + 2 * x * y)
    ties = n * (2 * x + 2 * y - 4 * xy - 1)
    return (concordant + ties) / (n * n * math.sqrt((x - x * x) * (y - y * y)))


def _t_test(c: Cooccurrence) -> float:
    """(P(x, y) - P(x) P(y)) / sqrt(P(x) P(y))."""
    x, y, xy = c.side / c.n, c.positive / c.n, c.both / c.n
    return (xy - x * y) / math.sqrt(x * y)


_MEASURES: dict[str, Callable[[Cooccurrence], float]] = {
    "dp": _dp,
    "sdc": _sdc,
    "ji": _ji,
    "llr": _llr,
    "pmi": _pmi,
    "n_pmi_y": _n_pmi_y,
    "n_pmi_xy": _n_pmi_xy,
    "s_pmi": _s_pmi,
    "krc": _krc,
    "t_test": _t_test,
}
_LOGARITHMIC = ("llr", "pmi", "n_pmi_y", "n_pmi_xy", "s_pmi")


def distribution_distances(counts: Sequence[int], reference: Sequence[float]) -> dict[str, Measure]:
    """Return every distance of a facet's distribution from a reference.

    Parameters
    ----------
    counts : sequence of int
        Rows of each value; 0 for a value that only the reference has.
    reference : sequence of float
        Probability of each value, in the same order; 0 for a value that only the data has.

    Returns
    -------
    dict of str to Measure
        Measures by the names in `DISTRIBUTION`. If an observed value has probability 0, KL and the
        chi-square statistic are unbounded: null.

    Examples
    --------
    >>> found = distribution_distances([30, 70], [0.5, 0.5])
    >>> round(found["chi_sq_stat"].value, 6), round(found["chi_sq_p_value"].value, 6)
    (16.0, 6.3e-05)
    """
    n = sum(counts)
    shares = [count / n for count in counts]
    pairs = list(zip(shares, reference, strict=True))
    apart = js(shares, reference).value or 0.0
    sorted_gap = sum(
        abs(p - q) for p, q in zip(sorted(shares), sorted(reference), strict=True)
    ) / len(shares)
    out = {
        "js_dist": Measure(math.sqrt(apart)),
        "inf_norm_dist": Measure(max(abs(p - q) for p, q in pairs)),
        "total_variation_dist": tvd(shares, reference),
        "wasserstein_dist": Measure(sorted_gap),
    }
    if any(p > 0 and q == 0 for p, q in pairs):
        unbounded = Measure(None, note="a value has probability 0 in the reference: unbounded")
        return out | {
            "kl_divergence": unbounded,
            "chi_sq_stat": unbounded,
            "chi_sq_p_value": unbounded,
        }
    statistic = sum(n * (p - q) ** 2 / q for p, q in pairs if q > 0)
    freedom = sum(q > 0 for q in reference) - 1
    tail = (
        Measure(chi_square_tail(statistic, freedom))
        if freedom > 0
        else Measure(None, note="the reference has one value only")
    )
    return out | {
        "kl_divergence": Measure(max(sum(p * math.log(p / q) for p, q in pairs if p > 0), 0.0)),
        "chi_sq_stat": Measure(statistic),
        "chi_sq_p_value": tail,
    }


class Sizes(NamedTuple):
    """Sums over groups of c rows each, which the inequality indices need."""

    groups: int
    rows: int
    logs: float
    """sum of ln c"""
    row_logs: float
    """sum of c ln c"""

    @classmethod
    def of(cls, counts: Sequence[int]) -> "Sizes":
        """Sum over counts that are above 0."""
        return cls(
            len(counts),
            sum(counts),
            math.fsum(math.log(c) for c in counts),
            math.fsum(c * math.log(c) for c in counts),
        )


def aggregate_indices(sizes: Sizes) -> dict[str, Measure]:
    """Return the inequality of the sizes of groups: 0 if all are equal.

    Parameters
    ----------
    sizes : Sizes
        Sums over the groups that occur. As in SynapseML, a combination that never occurs is not a
        group.

    Returns
    -------
    dict of str to Measure
        ``atkinson_index`` with epsilon 1, 1 - geometric over arithmetic mean, in [0, 1);
        ``theil_l_index``, the mean of -ln(c / mean c), from 0 up; ``theil_t_index``, the mean of
        (c / mean c) ln(c / mean c), in [0, ln groups].

    Examples
    --------
    >>> {k: round(v.value, 4) for k, v in aggregate_indices(Sizes.of([1, 3])).items()}
    {'atkinson_index': 0.134, 'theil_l_index': 0.1438, 'theil_t_index': 0.1308}
    """
    log_mean = math.log(sizes.rows / sizes.groups)
    theil_l = max(log_mean - sizes.logs / sizes.groups, 0.0)
    theil_t = max(sizes.row_logs / sizes.rows - log_mean, 0.0)
    return {
        "atkinson_index": Measure(-math.expm1(-theil_l)),
        "theil_l_index": Measure(theil_l),
        "theil_t_index": Measure(theil_t),
    }


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the probability that a chi-square variable exceeds `statistic`, in [0, 1].

    Parameters
    ----------
    statistic : float
        At least 0.
    freedom : int
        Degrees of freedom, at least 1.

    Notes
    -----
    The regularised upper incomplete gamma function Q(freedom / 2, statistic / 2): by its series
    below s + 1, by Lentz's continued fraction above. Relative error under 1e-10.

    Examples
    --------
    >>> round(chi_square_tail(3.841458820694124, 1), 12)
    0.05
    """
    s, x = freedom / 2, statistic / 2
    if x <= 0:
        return 1.0
    scale = math.exp(s * math.log(x) - x - math.lgamma(s))
    if x < s + 1:
        term = total = 1 / s
        k = s
        while term > total * 1e-17:
            k += 1
            term *= x / k
            total += term
        return max(1 - scale * total, 0.0)
    tiny = 1e-300
    b = x + 1 - s
    c, d = 1 / tiny, 1 / b
    fraction = d
    for i in range(1, 100_000):
        step = -i * (i - s)
        b += 2
        d = 1 / _nonzero(step * d + b, tiny)
        c = _nonzero(b + step / c, tiny)
        fraction *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return scale * fraction


def _nonzero(value: float, tiny: float) -> float:
    """Keep Lentz's method from dividing by 0."""
    return value if abs(value) > tiny else tiny
