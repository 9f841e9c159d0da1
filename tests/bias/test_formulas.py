"""Bias formulas on counts: worked examples of the guide, smclarify's figures, and laws."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_sentiment.bias import formulas as formulas
from spark_sentiment.bias.formulas import Confusion, Measure, Stratum

# The guide's matrices for RD and SD: side a has 100 rows, side d 50.
GUIDE_A = Confusion(tp=65, fp=10, fn=5, tn=20)
GUIDE_D = Confusion(tp=20, fp=5, fn=7, tn=18)

# 120 rows on side a, 60 on side d, in two groups; smclarify 0.5 measured the same rows.
PEER_A = Confusion(tp=50, fp=12, fn=18, tn=40)
PEER_D = Confusion(tp=10, fp=5, fn=15, tn=30)


class TestGuide:
    """Every worked example of the SageMaker Clarify developer guide."""

    def test_kl(self) -> None:
        assert formulas.kl([0.2, 0.8], [0.7, 0.3]).value == pytest.approx(0.53, abs=0.005)

    def test_ks(self) -> None:
        found = formulas.ks([0.4, 0.4, 0.2], [0.2, 0.1, 0.7])
        assert found.value == pytest.approx(0.5)

    def test_demographic_disparity(self) -> None:
        # d is 60 % of the rejected and 50 % of the accepted
        found = formulas.conditional_disparity([Stratum(40, 50, 60, 50)])
        assert found.value == pytest.approx(0.1)

    def test_dca(self) -> None:
        # observed 70 of 100 and 20 of 50, predicted 60 and 30
        a = Confusion(tp=60, fp=0, fn=10, tn=30)
        d = Confusion(tp=20, fp=10, fn=0, tn=20)
        assert formulas.dca(a, d).value == pytest.approx(1 / 2)

    def test_dcr(self) -> None:
        # observed negatives 50 of 100 and 40 of 50, predicted 60 and 30
        a = Confusion(tp=40, fp=0, fn=10, tn=50)
        d = Confusion(tp=10, fp=10, fn=0, tn=30)
        assert formulas.dcr(a, d).value == pytest.approx(1 / 2)

    def test_ad(self) -> None:
        a = Confusion(tp=60, fp=10, fn=20, tn=10)
        d = Confusion(tp=40, fp=10, fn=40, tn=10)
        assert formulas.ad(a, d).value == pytest.approx(0.2)

    def test_dar(self) -> None:
        a = Confusion(tp=35, fp=35, fn=0, tn=0)
        d = Confusion(tp=40, fp=60, fn=0, tn=0)
        assert formulas.dar(a, d).value == pytest.approx(0.10)

    def test_drr(self) -> None:
        a = Confusion(tp=0, fp=0, fn=20, tn=80)
        d = Confusion(tp=0, fp=0, fn=10, tn=40)
        assert formulas.drr(a, d).value == 0

    def test_rd(self) -> None:
        assert formulas.rd(GUIDE_A, GUIDE_D).value == pytest.approx(65 / 70 - 20 / 27)

    def test_sd(self) -> None:
        assert formulas.sd(GUIDE_A, GUIDE_D).value == pytest.approx(0.1159, abs=5e-5)

    def test_te(self) -> None:
        a = Confusion(tp=86, fp=6, fn=8, tn=0)
        d = Confusion(tp=43, fp=2, fn=5, tn=0)
        assert formulas.te(a, d).value == pytest.approx(2.5 - 8 / 6)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # smclarify 0.5, bias_report on rows of these counts (pandas 2.0.3)
        (formulas.class_imbalance(120, 60), 0.3333333333333333),
        (formulas.label_gap(68, 120, 25, 60), 0.14999999999999997),
        (formulas.dppl(PEER_A, PEER_D), 0.2666666666666667),
        (formulas.di(PEER_A, PEER_D), 0.48387096774193544),
        (formulas.dca(PEER_A, PEER_D), -0.5698924731182797),
        (formulas.dcr(PEER_A, PEER_D), -0.11877394636015326),
        (formulas.sd(PEER_A, PEER_D), 0.08791208791208782),
        (formulas.rd(PEER_A, PEER_D), 0.33529411764705885),
        (formulas.ad(PEER_A, PEER_D), 0.08333333333333337),
        (formulas.dar(PEER_A, PEER_D), 0.13978494623655913),
        (formulas.drr(PEER_A, PEER_D), -0.02298850574712652),
        (formulas.te(PEER_A, PEER_D), 1.5),
        (formulas.generalized_entropy(Confusion(60, 17, 33, 70)), 0.1625520523497919),
        (
            formulas.conditional_disparity([Stratum(20, 40, 15, 15), Stratum(32, 28, 20, 10)]),
            0.1386508228613492,
        ),
        (
            formulas.conditional_disparity([Stratum(25, 35, 21, 9), Stratum(33, 27, 24, 6)]),
            0.24560536717287287,
        ),
        # smclarify 0.5's functions on labels of three classes
        (formulas.kl([0.4, 0.4, 0.2], [0.2, 0.1, 0.7]), 0.5812240229728607),
        (formulas.js([0.4, 0.4, 0.2], [0.2, 0.1, 0.7]), 0.13872453461100998),
        (formulas.lp([0.4, 0.4, 0.2], [0.2, 0.1, 0.7]), 0.6164414002968976),
        (formulas.tvd([0.4, 0.4, 0.2], [0.2, 0.1, 0.7]), 0.5),
    ],
)
def test_values_are_those_of_smclarify(found: Measure, expected: float) -> None:
    assert found.value == pytest.approx(expected, rel=1e-12)


class TestUndefined:
    @pytest.mark.parametrize("name", ["DI", "DCA", "DAR"])
    def test_side_a_without_predicted_positives_is_null_with_a_note(self, name: str) -> None:
        silent = Confusion(tp=0, fp=0, fn=5, tn=5)
        found = formulas.POST_CONFUSION[name](silent, PEER_D)
        assert found.value is None
        assert "predicted positives" in str(found.note)

    def test_te_without_false_positives_is_null(self) -> None:
        assert formulas.te(Confusion(5, 0, 5, 5), PEER_D).value is None

    def test_rd_without_observed_positives_is_null(self) -> None:
        found = formulas.rd(Confusion(0, 3, 0, 7), PEER_D)
        assert found == Measure(None, note="a side has no observed positives")

    def test_kl_is_null_where_d_lacks_a_class_of_a(self) -> None:
        found = formulas.kl([0.5, 0.5], [1.0, 0.0])
        assert found.value is None
        assert "unbounded" in str(found.note)

    def test_kl_keeps_a_class_that_only_d_has(self) -> None:
        # 1 ln(1 / 0.5); the other class adds nothing
        assert formulas.kl([1.0, 0.0], [0.5, 0.5]).value == pytest.approx(math.log(2))

    def test_norms_keep_a_class_that_one_side_lacks(self) -> None:
        assert formulas.tvd([0.5, 0.5, 0.0], [0.5, 0.0, 0.5]).value == 0.5
        assert formulas.lp([0.5, 0.5, 0.0], [0.5, 0.0, 0.5]).value == pytest.approx(0.5**0.5)

    def test_js_of_distributions_that_share_nothing_is_ln_2(self) -> None:
        assert formulas.js([1.0, 0.0], [0.0, 1.0]).value == pytest.approx(math.log(2))

    def test_disparity_leaves_out_groups_without_both_outcomes_and_says_so(self) -> None:
        found = formulas.conditional_disparity([Stratum(40, 50, 60, 50), Stratum(0, 7, 0, 3)])
        assert found.value == pytest.approx(0.1)
        assert found.note == "1 groups (10 rows) lack an outcome"

    def test_disparity_without_any_such_group_is_null(self) -> None:
        assert formulas.conditional_disparity([Stratum(0, 7, 0, 3)]).value is None

    def test_entropy_of_false_negatives_alone_is_null(self) -> None:
        assert formulas.generalized_entropy(Confusion(0, 0, 9, 0)).value is None

    def test_entropy_has_no_bound_at_a_half(self) -> None:
        found = formulas.generalized_entropy(Confusion(tp=1, fp=0, fn=99, tn=0))
        assert found.value == pytest.approx(49.5)

    def test_di_of_zero_has_no_interval(self) -> None:
        found = formulas.di(PEER_A, Confusion(0, 0, 5, 5))
        assert found.value == 0
        assert found.low is None
        assert found.note is not None


class TestIntervals:
    @pytest.mark.parametrize(
        ("x1", "n1", "x2", "n2", "low", "high"),
        [  # Newcombe (1998), table II, method 10
            (56, 70, 48, 80, 0.0524, 0.3339),
            (9, 10, 3, 10, 0.1705, 0.8090),
            (6, 7, 2, 7, 0.0582, 0.8062),
            (5, 56, 0, 29, -0.0381, 0.1926),
            (0, 10, 0, 20, -0.1611, 0.2775),
            (0, 10, 0, 10, -0.2775, 0.2775),
            (10, 10, 0, 20, 0.6791, 1.0000),
            (10, 10, 0, 10, 0.6075, 1.0000),
        ],
    )
    def test_difference_is_newcombe_s(
        self, x1: int, n1: int, x2: int, n2: int, low: float, high: float
    ) -> None:
        found = formulas.difference(x1, n1, x2, n2)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5.1e-5)

    def test_class_imbalance_is_wilson_s_turned_round(self) -> None:
        # 81 of 263: Wilson gives 0.2553 to 0.3662 (Newcombe 1998, "Two-sided confidence intervals
        # for the single proportion", table I, method 3)
        found = formulas.class_imbalance(182, 81)
        assert found.value == pytest.approx(101 / 263)
        expected = (1 - 2 * 0.3662, 1 - 2 * 0.2553)
        assert (found.low, found.high) == pytest.approx(expected, abs=1.1e-4)

    def test_ratio_is_katz_s(self) -> None:
        # By hand: d 15 of 100, a 30 of 100; se = sqrt(1/15 - 1/100 + 1/30 - 1/100) = 0.282843
        found = formulas.di(Confusion(30, 0, 0, 70), Confusion(15, 0, 0, 85))
        assert found.value == pytest.approx(0.5)
        spread = 1.959964 * math.sqrt(0.08)
        expected = (0.5 * math.exp(-spread), 0.5 * math.exp(spread))
        assert (found.low, found.high) == pytest.approx(expected, rel=1e-6)


counts = st.integers(0, 10_000)
confusions = st.builds(Confusion, counts, counts, counts, counts)


@st.composite
def distributions(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    width = draw(st.integers(2, 6))
    sides = []
    for _ in range(2):
        parts = draw(st.lists(st.integers(0, 1000), min_size=width, max_size=width).filter(any))
        sides.append([part / sum(parts) for part in parts])
    return sides[0], sides[1]


class TestLaws:
    @given(counts, counts)
    def test_swapped_sides_negate_ci(self, n_a: int, n_d: int) -> None:
        one, other = formulas.class_imbalance(n_a, n_d), formulas.class_imbalance(n_d, n_a)
        if one.value is None:
            assert n_a == n_d == 0
            return
        assert other.value == -one.value
        assert other.low == pytest.approx(-(one.high or 0), abs=1e-12)
        assert -1 <= one.value <= 1

    @given(confusions, confusions)
    @pytest.mark.parametrize("name", ["DPPL", "SD", "RD", "AD", "DAR", "DRR", "DCA", "DCR", "TE"])
    def test_swapped_sides_negate_differences(self, name: str, a: Confusion, d: Confusion) -> None:
        formula = formulas.POST_CONFUSION[name]
        one, other = formula(a, d), formula(d, a)
        if one.value is None:
            assert other.value is None
            assert one.note
        else:
            assert other.value == pytest.approx(-one.value, abs=1e-12)

    @given(confusions, confusions)
    @pytest.mark.parametrize("name", ["DPPL", "SD", "RD", "AD", "DAR", "DRR"])
    def test_differences_of_proportions_lie_in_their_interval(
        self, name: str, a: Confusion, d: Confusion
    ) -> None:
        found = formulas.POST_CONFUSION[name](a, d)
        if found.value is not None and found.low is not None and found.high is not None:
            assert -1 - 1e-12 <= found.low <= found.value <= found.high <= 1 + 1e-12

    @given(confusions, confusions)
    def test_swapped_sides_invert_di(self, a: Confusion, d: Confusion) -> None:
        one, other = formulas.di(a, d).value, formulas.di(d, a).value
        if one and other:
            assert one * other == pytest.approx(1)

    @given(distributions())
    def test_symmetric_distances(self, sides: tuple[list[float], list[float]]) -> None:
        p, q = sides
        for formula in (formulas.js, formulas.lp, formulas.tvd, formulas.ks):
            assert formula(p, q).value == pytest.approx(formula(q, p).value, abs=1e-12)
            assert formula(p, p).value == pytest.approx(0, abs=1e-12)

    @given(distributions())
    def test_distances_keep_their_ranges_and_order(
        self, sides: tuple[list[float], list[float]]
    ) -> None:
        value: Callable[[str], float] = lambda name: formulas.PRE_SHARES[name](*sides).value or 0.0  # noqa: E731
        assert 0 <= value("JS") <= math.log(2)
        assert 0 <= value("KS") <= value("TVD") + 1e-12 <= 1 + 2e-12
        assert value("KS") <= value("LP") + 1e-12 <= math.sqrt(2) + 2e-12
        assert value("LP") <= 2 * value("TVD") + 1e-12

    @given(distributions())
    def test_kl_bounds_tvd_by_pinsker(self, sides: tuple[list[float], list[float]]) -> None:
        kl, tvd = formulas.kl(*sides).value, formulas.tvd(*sides).value
        if kl is not None:
            assert (tvd or 0) <= math.sqrt(kl / 2) + 1e-9

    @given(st.lists(st.builds(Stratum, counts, counts, counts, counts), max_size=5))
    def test_disparity_is_a_share_and_negates(self, strata: list[Stratum]) -> None:
        swapped = [Stratum(s.rejected_d, s.accepted_d, s.rejected_a, s.accepted_a) for s in strata]
        one = formulas.conditional_disparity(strata).value
        other = formulas.conditional_disparity(swapped).value
        if one is None:
            assert other is None
        else:
            assert -1 <= one <= 1
            assert other == pytest.approx(-one, abs=1e-9)

    @given(confusions)
    def test_entropy_is_0_for_a_perfect_model(self, rows: Confusion) -> None:
        found = formulas.generalized_entropy(rows).value
        assert found is None or found >= 0
        perfect = Confusion(rows.tp + 1, 0, 0, rows.tn)
        assert formulas.generalized_entropy(perfect).value == 0
