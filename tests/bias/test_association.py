"""Association, distribution and aggregate measures, against SynapseML's definitions and scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from spark_sentiment.bias.association import (
    ASSOCIATION,
    Cooccurrence,
    Sizes,
    aggregate_indices,
    association_gap,
    chi_square_tail,
    distribution_distances,
)

# SynapseML's own example: 9 people; 4 Male (3 positive), 3 Female (1), 2 Other (1); 5 positive.
MALE = Cooccurrence(side=4, positive=5, both=3, n=9)
FEMALE = Cooccurrence(side=3, positive=5, both=1, n=9)
ABSENT = Cooccurrence(side=3, positive=5, both=0, n=9)


class TestAssociation:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [  # by hand from the definitions
            ("dp", 3 / 4 - 1 / 3),
            ("sdc", 3 / 9 - 1 / 8),
            ("ji", 3 / 6 - 1 / 7),
            ("llr", math.log(3 / 5) - math.log(1 / 5)),
            ("pmi", math.log(3 / 4) - math.log(1 / 3)),
            ("n_pmi_y", (math.log(3 / 4) - math.log(1 / 3)) / math.log(5 / 9)),
            ("n_pmi_xy", math.log(3 / 4) / math.log(3 / 9) - math.log(1 / 3) / math.log(1 / 9)),
            ("s_pmi", math.log(9 / 20) - math.log(1 / 15)),
            ("t_test", (3 / 9 - 20 / 81) / (20 / 81) ** 0.5 - (1 / 9 - 15 / 81) / (15 / 81) ** 0.5),
        ],
    )
    def test_gap_by_hand(self, name: str, expected: float) -> None:
        assert association_gap(name, MALE, FEMALE).value == pytest.approx(expected, rel=1e-12)

    def test_rank_correlation_by_hand(self) -> None:
        # n = 9, x = 4/9, y = 5/9, xy = 3/9: a = 81 (1 - 8/9 - 10/9 + 6/9 + 40/81) = 13,
        # b = 9 (8/9 + 10/9 - 12/9 - 1) = -3, c = 81 (20/81) = 20: (13 - 3) / 20 = 1/2.
        # x = 3/9, xy = 1/9: a = 81 (1 - 6/9 - 10/9 + 2/9 + 30/81) = -15,
        # b = 9 (6/9 + 10/9 - 4/9 - 1) = 3, c = 81 sqrt(18/81 * 20/81) = sqrt(360).
        expected = 0.5 - (-12 / math.sqrt(360))
        assert association_gap("krc", MALE, FEMALE).value == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("name", ["llr", "pmi", "n_pmi_y", "n_pmi_xy", "s_pmi"])
    def test_logarithm_of_zero_is_null_with_a_note(self, name: str) -> None:
        found = association_gap(name, MALE, ABSENT)
        assert found.value is None
        assert found.note == "a logarithm of 0"

    @given(st.integers(1, 500), st.integers(1, 500), st.data())
    def test_swapped_sides_negate(self, n_a: int, n_d: int, data: st.DataObject) -> None:
        both_a, both_d = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_d))
        a = Cooccurrence(n_a, both_a + both_d, both_a, n_a + n_d)
        d = Cooccurrence(n_d, both_a + both_d, both_d, n_a + n_d)
        for name in ASSOCIATION:
            one, other = association_gap(name, a, d).value, association_gap(name, d, a).value
            assert (one is None) == (other is None)
            if one is not None:
                assert other == pytest.approx(-one, abs=1e-9)


class TestDistribution:
    def test_synapseml_example_of_three_groups(self) -> None:
        # 4, 3 and 2 of 9 against a third each, by hand: chi-square 1/3 + 0 + 1/3
        found = distribution_distances([4, 3, 2], [1 / 3] * 3)
        assert found["inf_norm_dist"].value == pytest.approx(1 / 9)
        assert found["total_variation_dist"].value == pytest.approx(1 / 9)
        assert found["wasserstein_dist"].value == pytest.approx(2 / 27)
        assert found["chi_sq_stat"].value == pytest.approx(2 / 3)
        assert found["chi_sq_p_value"].value == pytest.approx(math.exp(-1 / 3))

    @given(
        st.lists(
            st.tuples(st.integers(0, 5000), st.integers(1, 100)), min_size=2, max_size=12
        ).filter(lambda pairs: any(count for count, _ in pairs))
    )
    def test_same_as_scipy(self, pairs: list[tuple[int, int]]) -> None:
        observed = [count for count, _ in pairs]
        total = sum(weight for _, weight in pairs)
        reference = [weight / total for _, weight in pairs]
        n = sum(observed)
        shares = [count / n for count in observed]
        found = {k: v.value for k, v in distribution_distances(observed, reference).items()}
        expected = stats.chisquare(observed, [n * q for q in reference])
        assert found["chi_sq_stat"] == pytest.approx(float(expected.statistic), abs=1e-9)
        assert found["chi_sq_p_value"] == pytest.approx(float(expected.pvalue), abs=1e-9)
        kl = float(stats.entropy(shares, reference))
        assert found["kl_divergence"] == pytest.approx(kl, abs=1e-9)
        assert (found["js_dist"] or 0) ** 2 == pytest.approx(
            float(jensenshannon(shares, reference)) ** 2, abs=1e-9
        )
        assert found["wasserstein_dist"] == pytest.approx(
            float(stats.wasserstein_distance(shares, reference)), abs=1e-9
        )

    def test_a_value_that_only_the_reference_has_counts_as_0(self) -> None:
        found = distribution_distances([5, 5, 0], [0.4, 0.4, 0.2])
        assert found["total_variation_dist"].value == pytest.approx(0.2)
        assert found["kl_divergence"].value == pytest.approx(math.log(0.5 / 0.4))

    def test_a_value_that_the_reference_rules_out_is_unbounded(self) -> None:
        found = distribution_distances([5, 5], [1.0, 0.0])
        for name in ("kl_divergence", "chi_sq_stat", "chi_sq_p_value"):
            assert found[name].value is None
            assert "unbounded" in str(found[name].note)
        assert found["inf_norm_dist"].value == 0.5


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 10, 19, 99, 400])
def test_chi_square_tail_is_scipy_s(freedom: int) -> None:
    for statistic in (0.0, 1e-9, 0.1, 1.0, freedom * 0.5, freedom, freedom + 2.1, freedom * 3, 900):
        expected = float(stats.chi2.sf(statistic, freedom))
        assert chi_square_tail(statistic, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-300)


class TestAggregate:
    def test_by_hand(self) -> None:
        # 1 and 3, mean 2: Theil L = -(ln 1/2 + ln 3/2) / 2, T = (1/2 ln 1/2 + 3/2 ln 3/2) / 2
        found = aggregate_indices(Sizes.of([1, 3]))
        assert found["theil_l_index"].value == pytest.approx(-math.log(3 / 4) / 2)
        assert found["theil_t_index"].value == pytest.approx(
            (0.5 * math.log(0.5) + 1.5 * math.log(1.5)) / 2
        )
        assert found["atkinson_index"].value == pytest.approx(1 - math.sqrt(3) / 2)

    @given(st.lists(st.integers(1, 10**6), min_size=1, max_size=30))
    def test_ranges(self, sizes: list[int]) -> None:
        found = {k: v.value or 0.0 for k, v in aggregate_indices(Sizes.of(sizes)).items()}
        assert 0 <= found["atkinson_index"] < 1
        assert 0 <= found["theil_t_index"] <= math.log(len(sizes)) + 1e-9
        assert found["atkinson_index"] == pytest.approx(-math.expm1(-found["theil_l_index"]))

    @given(st.integers(1, 10**6), st.integers(1, 20))
    def test_equal_groups_are_equal(self, size: int, groups: int) -> None:
        for found in aggregate_indices(Sizes.of([size] * groups)).values():
            assert found.value == pytest.approx(0, abs=1e-9)
