"""Class weights: the formulas by hand, and what happens to rows without a usable label."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_sentiment.balance.class_weights import _FORMULAS, ClassWeights, ClassWeightsModel
from spark_sentiment.errors import DataError, SchemaError

COUNTS = st.dictionaries(
    st.integers(0, 9).map(float), st.integers(1, 10**9), min_size=2, max_size=6
)


class TestFormulas:
    def test_balanced_is_rows_over_classes_times_count(self) -> None:
        # 10 / (2 * 8) and 10 / (2 * 2)
        assert _FORMULAS["balanced"]({0.0: 8, 1.0: 2}, 0.0) == {0.0: 0.625, 1.0: 2.5}

    def test_sqrt_is_the_root_of_balanced(self) -> None:
        # 10 / (2 * 5) = 1, 20 / (2 * 16) = 0.625, 20 / (2 * 4) = 2.5
        made = _FORMULAS["sqrt"]({0.0: 16, 1.0: 4}, 0.0)
        assert made == pytest.approx({0.0: math.sqrt(0.625), 1.0: math.sqrt(2.5)})

    def test_effective_number_sums_to_the_number_of_classes(self) -> None:
        # beta 1/2: (1 - 1/2) / (1 - 1/2) = 1 and (1 - 1/2) / (1 - 1/4) = 2/3; times 2 / (5/3)
        made = _FORMULAS["effective-number"]({0.0: 1, 1.0: 2}, 0.5)
        assert made == pytest.approx({0.0: 1.2, 1.0: 0.8})

    def test_effective_number_of_beta_0_is_no_weight_at_all(self) -> None:
        assert _FORMULAS["effective-number"]({0.0: 1, 1.0: 99}, 0.0) == {0.0: 1.0, 1.0: 1.0}

    @given(COUNTS)
    def test_effective_number_tends_to_balanced_as_beta_tends_to_1(
        self, counts: dict[float, int]
    ) -> None:
        small = {label: 1 + count % 1000 for label, count in counts.items()}
        made = _FORMULAS["effective-number"](small, 1 - 1e-12)
        balanced = _FORMULAS["balanced"](small, 0.0)
        scale = len(small) / sum(balanced.values())
        assert made == pytest.approx({c: w * scale for c, w in balanced.items()}, rel=1e-6)

    @given(COUNTS)
    def test_balanced_weights_have_mean_1_over_the_rows(self, counts: dict[float, int]) -> None:
        weights = _FORMULAS["balanced"](counts, 0.0)
        assert sum(counts[c] * weights[c] for c in counts) == pytest.approx(sum(counts.values()))

    @given(COUNTS, st.sampled_from(sorted(_FORMULAS)), st.floats(0, 0.9999))
    def test_a_rarer_class_never_weighs_less(
        self, counts: dict[float, int], formula: str, beta: float
    ) -> None:
        weights = _FORMULAS[formula](counts, beta)
        by_count = [weights[c] for c in sorted(counts, key=counts.__getitem__)]
        assert all(a >= b * (1 - 1e-12) for a, b in pairwise(by_count))
        assert all(math.isfinite(w) and w > 0 for w in by_count)


def test_rows_get_the_weight_of_their_class_and_null_where_there_is_none(
    spark: SparkSession,
) -> None:
    labels = [0, 0, 0, 1, None]
    model = ClassWeights(labelCol="a.b", weightCol="w").fit(
        spark.createDataFrame([(x,) for x in labels], "`a.b` int")
    )
    assert model.getWeights() == {0.0: 4 / 6, 1.0: 2.0}  # the null row is not counted
    scored = model.transform(spark.createDataFrame([(1,), (7,), (None,)], "`a.b` int"))
    assert [row["w"] for row in scored.collect()] == [2.0, None, None]


def test_scoring_rows_without_a_label_pass_through(spark: SparkSession) -> None:
    rows = spark.createDataFrame([("a",)], ["text"])
    model = ClassWeightsModel(weights={0.0: 1.0})
    assert model.transform(rows) is rows
    assert model.transformSchema(rows.schema) == rows.schema


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "no row has a label"),
        ([None, None], "no row has a label"),
        ([2.0, 2.0, None], r"one class only \(2.0, 2 rows\)"),
        ([1.0, float("nan")], "holds nan"),
        ([x / 7 for x in range(1001)], "more than 1000 distinct"),
    ],
    ids=["empty", "null", "one class", "nan", "continuous"],
)
def test_labels_that_are_no_classes_are_refused(
    spark: SparkSession, labels: list[Any], message: str
) -> None:
    stage = ClassWeights()
    with pytest.raises(DataError, match=f"^{stage.uid}: .*{message}"):
        stage.fit(spark.createDataFrame([(x,) for x in labels], "label double"))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("label string", "'label' must be a number"),
        ("other double", "'label' is missing"),
        ("label double, Weight int", "'weight' already exists"),
    ],
)
def test_schemas_that_cannot_work_are_refused(
    spark: SparkSession, schema: str, message: str
) -> None:
    with pytest.raises(SchemaError, match=message):
        ClassWeights().fit(spark.createDataFrame([], schema))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"formula": "cubic"}, ValueError),
        ({"beta": 1.0}, ValueError),
        ({"beta": -0.1}, ValueError),
        ({"labelCol": 3}, TypeError),
    ],
    ids=str,
)
def test_bad_params_are_refused_by_name(bad: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(bad))):
        ClassWeights(**bad)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ([1.0], TypeError),
        ({"x": 1.0}, ValueError),
        ({0.0: -1.0}, ValueError),
        ({0.0: "1"}, TypeError),
    ],
    ids=str,
)
def test_bad_weights_are_refused_by_name(bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="weights"):
        ClassWeightsModel(weights=bad)
