r"""Bias metrics as arithmetic on counts; no Spark, no rows.

Definitions are those of the Amazon SageMaker Clarify developer guide ("Measure Pretraining Bias",
"Measure Posttraining Bias Metrics"). Side d is the group asked about, side a the other; observed
positives of a are :math:`n_a^{(1)}`, predicted ones :math:`\hat n_a^{(1)}`.

Where the guide and the open code of Clarify (smclarify 0.5) differ, this module follows the guide:

- KL, JS, LP, TVD and KS use all classes. The code's report uses positive/negative only, and its
  functions drop a class that one side lacks; here this class has probability 0.
- A ratio with denominator 0 is undefined: null with a note. The code returns 0 for 0/0 and
  infinity otherwise.
- RD, SD and TE are not defined for a continuous label. The code computes them after thresholding.
- CDDL and CDDPL average :math:`DD_d` over the groups. The guide's formula for :math:`DD_i` omits
  facet d, unlike its own text and the code; this module follows the text. A group without both
  outcomes has no disparity: the group and its rows are ignored, and the note counts them. The code
  counts a share of 0.
- FT (in `fliptest`) has the guide's sign; the code's is the opposite.
- GE has no upper bound of 0.5, although the guide states one: 99 false negatives and one true
  positive give 49.5.

Intervals are at 95 %: Wilson's for one proportion, Newcombe's hybrid score (his method 10) for a
difference of two, Katz's logarithm for a ratio of two.

References
----------
.. [1] E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference",
   J. Am. Stat. Assoc. 22, 209-212.
.. [2] R. G. Newcombe (1998), "Interval estimation for the difference between independent
   proportions: comparison of eleven methods", Statistics in Medicine 17, 873-890.
.. [3] D. Katz et al. (1978), "Obtaining confidence intervals for the risk ratio in cohort
   studies", Biometrics 34, 469-474.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

_Z = NormalDist().inv_cdf(0.975)


class Measure(NamedTuple):
    """Value of a metric with its 95 % interval; null if undefined, and `note` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class Confusion:
    """Rows of one side by observed and predicted label, for one or more positive classes."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def observed(self) -> int:
        """Number of rows with a positive label."""
        return self.tp + self.fn

    @property
    def predicted(self) -> int:
        """Number of rows with a positive prediction."""
        return self.tp + self.fp

    @property
    def right(self) -> int:
        """Number of rows whose prediction is their label."""
        return self.tp + self.tn


class Stratum(NamedTuple):
    """Rows of one group, by side and outcome, for CDDL and CDDPL."""

    rejected_a: int
    accepted_a: int
    rejected_d: int
    accepted_d: int


def wilson(x: int, n: int) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion, x of n (n > 0), within [0, 1].

    Examples
    --------
    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    p, z2 = x / n, _Z * _Z
    middle = p + z2 / (2 * n)
    half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # The ends are exact if x is 0 or n; rounding must not move them.
    low = 0.0 if x == 0 else (middle - half) / (1 + z2 / n)
    high = 1.0 if x == n else (middle + half) / (1 + z2 / n)
    return low, high


def difference(x1: int, n1: int, x2: int, n2: int, what: str = "rows") -> Measure:
    """Return x1/n1 - x2/n2 with Newcombe's interval; null if a denominator is 0.

    Examples
    --------
    >>> [round(x, 4) for x in difference(56, 70, 48, 80)[:3]]
    [0.2, 0.0524, 0.3339]
    """
    if n1 == 0 or n2 == 0:
        return Measure(None, note=f"a side has no {what}")
    p1, p2 = x1 / n1, x2 / n2
    low1, high1 = wilson(x1, n1)
    low2, high2 = wilson(x2, n2)
    gap = p1 - p2
    return Measure(
        gap, gap - math.hypot(p1 - low1, high2 - p2), gap + math.hypot(high1 - p1, p2 - low2)
    )


def class_imbalance(n_a: int, n_d: int) -> Measure:
    """CI = (n_a - n_d) / (n_a + n_d), in [-1, 1].

    It is 1 - 2p, where p is the share of d; its interval follows from Wilson's interval of p.
    """
    n = n_a + n_d
    if n == 0:
        return Measure(None, note="both sides are empty")
    low, high = wilson(n_d, n)
    return Measure((n_a - n_d) / n, 1 - 2 * high, 1 - 2 * low)


def label_gap(positive_a: int, n_a: int, positive_d: int, n_d: int) -> Measure:
    """DPL = q_a - q_d, the difference of the shares of positive labels, in [-1, 1]."""
    return difference(positive_a, n_a, positive_d, n_d)


Shares = Sequence[float]
"""A distribution over the classes, in one order for both sides; it sums to 1."""


def kl(p_a: Shares, p_d: Shares) -> Measure:
    """KL = sum P_a ln(P_a / P_d), in nats, from 0 up.

    A class that a lacks adds 0. If a has a class that d lacks, KL is unbounded: null.
    """
    if any(a > 0 and d == 0 for a, d in zip(p_a, p_d, strict=True)):
        return Measure(None, note="a class of side a is missing on side d: unbounded")
    total = sum(a * math.log(a / d) for a, d in zip(p_a, p_d, strict=True) if a > 0)
    return Measure(max(total, 0.0))


def js(p_a: Shares, p_d: Shares) -> Measure:
    """JS = (KL(P_a, P) + KL(P_d, P)) / 2 with P the mean of both, in nats, in [0, ln 2]."""
    total = 0.0
    for a, d in zip(p_a, p_d, strict=True):
        mean = (a + d) / 2
        total += sum(x * math.log(x / mean) for x in (a, d) if x > 0)
    return Measure(min(max(total / 2, 0.0), math.log(2)))


def lp(p_a: Shares, p_d: Shares) -> Measure:
    """LP = the Euclidean (L2) norm of P_a - P_d, in [0, sqrt 2].

    The guide's text uses shares, one of its formulas counts; this function and the code use shares.
    """
    return Measure(math.sqrt(sum((a - d) ** 2 for a, d in zip(p_a, p_d, strict=True))))


def tvd(p_a: Shares, p_d: Shares) -> Measure:
    """TVD = half the L1 norm of P_a - P_d, in [0, 1]."""
    return Measure(sum(abs(a - d) for a, d in zip(p_a, p_d, strict=True)) / 2)


def ks(p_a: Shares, p_d: Shares) -> Measure:
    """KS = the largest |P_a - P_d| over the classes, in [0, 1]; shares are not cumulated."""
    return Measure(max(abs(a - d) for a, d in zip(p_a, p_d, strict=True)))


def conditional_disparity(strata: Iterable[Stratum]) -> Measure:
    """CDD = the mean of DD over groups, weighted by their rows, in [-1, 1].

    DD is the share of d in the group's rejected rows minus the share of d in its accepted rows.
    Groups without both outcomes are ignored; the note counts them. Null if no group has both.
    """
    total, rows, skipped, skipped_rows = 0.0, 0, 0, 0
    for group in strata:
        rejected = group.rejected_a + group.rejected_d
        accepted = group.accepted_a + group.accepted_d
        n = rejected + accepted
        if rejected == 0 or accepted == 0:
            skipped, skipped_rows = skipped + (n > 0), skipped_rows + n
            continue
        total += n * (group.rejected_d / rejected - group.accepted_d / accepted)
        rows += n
    if rows == 0:
        return Measure(None, note="no group has both outcomes")
    note = f"{skipped} groups ({skipped_rows} rows) lack an outcome" if skipped else None
    return Measure(total / rows, note=note)


def dppl(a: Confusion, d: Confusion) -> Measure:
    """DPPL = q'_a - q'_d, the difference of the shares predicted positive, in [-1, 1]."""
    return difference(a.predicted, a.n, d.predicted, d.n)


def di(a: Confusion, d: Confusion) -> Measure:
    """DI = q'_d / q'_a, from 0 up; 1 is parity. Katz's interval if both sides have positives."""
    if a.n == 0 or d.n == 0:
        return Measure(None, note="a side has no rows")
    if a.predicted == 0:
        return Measure(None, note="side a has no predicted positives")
    ratio = (d.predicted / d.n) / (a.predicted / a.n)
    if d.predicted == 0:
        return Measure(ratio, note="no interval: side d has no predicted positives")
    spread = math.sqrt(max(1 / d.predicted - 1 / d.n, 0.0) + max(1 / a.predicted - 1 / a.n, 0.0))
    return Measure(ratio, ratio * math.exp(-_Z * spread), ratio * math.exp(_Z * spread))


def dca(a: Confusion, d: Confusion) -> Measure:
    """DCA = observed over predicted positives, a's ratio - d's, unbounded both ways."""
    return _ratio_gap(a.observed, a.predicted, d.observed, d.predicted, "predicted positives")


def dcr(a: Confusion, d: Confusion) -> Measure:
    """DCR = observed over predicted negatives, d's ratio - a's, unbounded both ways."""
    return _ratio_gap(d.fp + d.tn, d.fn + d.tn, a.fp + a.tn, a.fn + a.tn, "predicted negatives")


def sd(a: Confusion, d: Confusion) -> Measure:
    """SD = TNR_d - TNR_a, the difference of specificities, in [-1, 1]; d's comes first."""
    return difference(d.tn, d.tn + d.fp, a.tn, a.tn + a.fp, "observed negatives")


def rd(a: Confusion, d: Confusion) -> Measure:
    """RD = TPR_a - TPR_d, the difference of recalls, in [-1, 1]."""
    return difference(a.tp, a.observed, d.tp, d.observed, "observed positives")


def ad(a: Confusion, d: Confusion) -> Measure:
    """AD = ACC_a - ACC_d, in [-1, 1]; with several classes, one against the rest."""
    return difference(a.right, a.n, d.right, d.n)


def dar(a: Confusion, d: Confusion) -> Measure:
    """DAR = the difference of precisions TP/(TP + FP), a's - d's, in [-1, 1]."""
    return difference(a.tp, a.predicted, d.tp, d.predicted, "predicted positives")


def drr(a: Confusion, d: Confusion) -> Measure:
    """DRR = TN/(TN + FN), d's - a's, in [-1, 1]."""
    return difference(d.tn, d.tn + d.fn, a.tn, a.tn + a.fn, "predicted negatives")


def te(a: Confusion, d: Confusion) -> Measure:
    """TE = FN_d/FP_d - FN_a/FP_a, unbounded both ways."""
    return _ratio_gap(d.fn, d.fp, a.fn, a.fp, "false positives")


def generalized_entropy(all_rows: Confusion) -> Measure:
    """GE = mean((b / mean b)^2 - 1) / 2 with benefit b = y' - y + 1, from 0 up.

    It compares rows, not sides, and has one value for the whole table. It is undefined if every
    prediction is a false negative.
    """
    n = all_rows.n
    benefit = n + all_rows.fp - all_rows.fn
    if benefit == 0:
        return Measure(None, note="no rows, or every prediction is a false negative")
    squares = all_rows.right + 4 * all_rows.fp
    return Measure(max((squares * n / benefit**2 - 1) / 2, 0.0))


PRE_SHARES: dict[str, Callable[[Shares, Shares], Measure]] = {
    "KL": kl,
    "JS": js,
    "LP": lp,
    "TVD": tvd,
    "KS": ks,
}
"""Pre-training metrics of whole label distributions."""

POST_CONFUSION: dict[str, Callable[[Confusion, Confusion], Measure]] = {
    "DPPL": dppl,
    "DI": di,
    "DCA": dca,
    "DCR": dcr,
    "SD": sd,
    "RD": rd,
    "AD": ad,
    "DAR": dar,
    "DRR": drr,
    "TE": te,
}
"""Post-training metrics of the two sides' confusion counts."""

PRE = ("CI", "DPL", *PRE_SHARES, "CDDL")
"""Names of the pre-training metrics."""

POST = (*POST_CONFUSION, "CDDPL", "GE")
"""Names of the post-training metrics that need only counts; FT is measured only by name."""

NOT_CONTINUOUS = ("RD", "SD", "TE")
"""Metrics that the guide does not define for a continuous label."""


def _ratio_gap(x1: int, y1: int, x2: int, y2: int, what: str) -> Measure:
    """Return x1/y1 - x2/y2; null if a denominator is 0."""
    if y1 == 0 or y2 == 0:
        return Measure(None, note=f"a side has no {what}")
    return Measure(x1 / y1 - x2 / y2)
