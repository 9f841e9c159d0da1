"""bias_metrics, BiasReport, BiasEvaluator and gates on Spark tables."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator, CrossValidatorModel, ParamGridBuilder
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.bias import (
    REPORT_SCHEMA,
    BiasEvaluator,
    BiasReport,
    BiasReportModel,
    Facet,
    Gate,
    ReportRow,
    bias_metrics,
    broken_gates,
)
from spark_sentiment.bias.association import ASSOCIATION
from spark_sentiment.bias.fliptest import flip_test, nearest
from spark_sentiment.bias.formulas import POST, PRE
from spark_sentiment.errors import DataError, SchemaError

# Side (a, d), group, label, prediction, rows: what smclarify 0.5 measured for the values below.
PEER_CELLS = [
    ("a", "g1", 1, 1, 30),
    ("a", "g1", 1, 0, 10),
    ("a", "g1", 0, 1, 5),
    ("a", "g1", 0, 0, 15),
    ("a", "g2", 1, 1, 20),
    ("a", "g2", 1, 0, 8),
    ("a", "g2", 0, 1, 7),
    ("a", "g2", 0, 0, 25),
    ("d", "g1", 1, 1, 6),
    ("d", "g1", 1, 0, 9),
    ("d", "g1", 0, 1, 3),
    ("d", "g1", 0, 0, 12),
    ("d", "g2", 1, 1, 4),
    ("d", "g2", 1, 0, 6),
    ("d", "g2", 0, 1, 2),
    ("d", "g2", 0, 0, 18),
]
PEER_VALUES = {
    "CDDL": 0.1386508228613492,
    "CI": 0.3333333333333333,
    "DPL": 0.14999999999999997,
    "JS": 0.011295769679387682,
    "KL": 0.04543233635440724,
    "KS": 0.15000000000000002,
    "LP": 0.21213203435596426,
    "TVD": 0.15,
    "AD": 0.08333333333333337,
    "CDDPL": 0.24560536717287287,
    "DAR": 0.13978494623655913,
    "DCA": -0.5698924731182797,
    "DCR": -0.11877394636015326,
    "DI": 0.48387096774193544,
    "DPPL": 0.2666666666666667,
    "DRR": -0.02298850574712652,
    "GE": 0.1625520523497919,
    "RD": 0.33529411764705885,
    "SD": 0.08791208791208782,
    "TE": 1.5,
}


def expanded(cells: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows of cells whose last part is how often they occur."""
    for *row, n in cells:
        yield from [tuple(row)] * n


@pytest.fixture(scope="module")
def peer(spark: SparkSession) -> DataFrame:
    rows = list(expanded(PEER_CELLS))
    return spark.createDataFrame(rows, ["side", "grp", "label", "prediction"]).cache()


@pytest.fixture(scope="module")
def mixed(spark: SparkSession) -> DataFrame:
    """Three classes, two facets, and every kind of null."""
    nan = math.nan
    rows = [
        # age, dept, label, prediction, rows
        *expanded([(30.0, "Tops", 2.0, 2.0, 5), (30.0, "Tops", 0.0, 2.0, 1)]),
        *expanded([(30.0, "Dresses", 2.0, 1.0, 2), (60.0, "Dresses", 1.0, 1.0, 3)]),
        *expanded([(60.0, "Trend", 0.0, 0.0, 4), (60.0, "Trend", 2.0, 2.0, 1)]),
        *expanded([(None, "Tops", 0.0, 0.0, 2), (nan, "Tops", 1.0, 1.0, 1)]),
        *expanded([(60.0, None, 2.0, None, 1), (30.0, "Tops", None, 2.0, 3)]),
    ]
    return spark.createDataFrame(
        rows, "age double, dept string, label double, prediction double"
    ).cache()


def table(report: DataFrame) -> dict[tuple[str | None, ...], Any]:
    """Report rows by facet, facet value, class and metric."""
    return {
        (row.facet, row.facet_value, row.label_class, row.metric): row for row in report.collect()
    }


def test_every_metric_is_smclarify_s(peer: DataFrame) -> None:
    report = bias_metrics(
        peer, "label", [Facet("side", values=["d"])], "prediction", positive=[1], group="grp"
    )
    assert report.schema == REPORT_SCHEMA
    found = {row.metric: row for row in report.collect() if row.metric in PEER_VALUES}
    values = {name: row.value for name, row in found.items()}
    assert values == pytest.approx(PEER_VALUES, rel=1e-12)
    assert {(row.n_a, row.n_d) for name, row in found.items() if name != "GE"} == {(120, 60)}
    assert {row.phase for name, row in found.items() if name in ("CI", "CDDL")} == {"pre"}
    assert {row.phase for name, row in found.items() if name in ("DI", "GE")} == {"post"}
    dpl = found["DPL"]
    assert dpl.facet_value == "d"
    assert dpl.label_class == "1"
    assert dpl.low < dpl.value < dpl.high


@pytest.fixture(scope="module")
def found(mixed: DataFrame) -> dict[tuple[str | None, ...], Any]:
    facets = [Facet("age", threshold=50), Facet("dept"), Facet("dept", pairs=True)]
    return table(bias_metrics(mixed, "label", facets, "prediction"))


class TestManyFacetsAndClasses:
    def test_threshold_puts_the_rows_above_it_on_side_d(self, found: dict[Any, Any]) -> None:
        row = found["age", "> 50", None, "CI"]
        assert (row.n_a, row.n_d) == (8, 9)
        assert row.value == pytest.approx((8 - 9) / 17)

    def test_each_value_is_compared_with_the_rest(self, found: dict[Any, Any]) -> None:
        row = found["dept", "Trend", "0.0", "DPL"]  # Tops 9, Dresses 5 rows; Trend 5
        assert (row.n_a, row.n_d) == (14, 5)
        assert row.value == pytest.approx(3 / 14 - 4 / 5)

    def test_each_class_is_positive_in_turn(self, found: dict[Any, Any]) -> None:
        classes = {key[2] for key in found if key[3] == "DPL"}
        assert classes == {"0.0", "1.0", "2.0"}

    def test_null_and_nan_facets_are_on_neither_side_and_counted(
        self, found: dict[Any, Any]
    ) -> None:
        note = found["age", "> 50", None, "CI"].note
        assert "3 rows with null age on neither side" in note
        assert "3 rows with null label left out" in note

    def test_null_predictions_leave_the_post_training_half_alone(
        self, found: dict[Any, Any]
    ) -> None:
        row = found["age", "> 50", "2.0", "DPPL"]
        assert (row.n_a, row.n_d) == (8, 8)
        assert row.value == pytest.approx(6 / 8 - 1 / 8)
        assert "1 rows with null prediction left out" in row.note

    def test_a_class_missing_on_one_side_is_kept(self, found: dict[Any, Any]) -> None:
        # Tops: 3 zeros, 1 one, 5 twos; Trend: 4 zeros, 1 two; Dresses: 3 ones, 2 twos
        kl = found["dept", "Tops vs Trend", None, "KL"].value
        assert kl == pytest.approx(0.8 * math.log(0.8 * 3) + 0.2 * math.log(0.2 * 9 / 5))
        assert found["dept", "Dresses vs Trend", None, "KL"].value is None
        tvd = found["dept", "Tops vs Trend", None, "TVD"]
        assert tvd.value == pytest.approx((abs(4 / 5 - 3 / 9) + 1 / 9 + abs(1 / 5 - 5 / 9)) / 2)

    def test_pairs_name_both_sides(self, found: dict[Any, Any]) -> None:
        pairs = {key[1] for key in found if key[3] == "CI" and " vs " in str(key[1])}
        assert pairs == {"Dresses vs Tops", "Dresses vs Trend", "Tops vs Trend"}

    def test_association_of_a_pair_is_synapseml_s_gap(self, found: dict[Any, Any]) -> None:
        # of 19 rows with a department, P(2.0 | Trend) - P(2.0 | Tops)
        row = found["dept", "Tops vs Trend", "2.0", "dp"]
        assert row.value == pytest.approx(1 / 5 - 5 / 9)
        assert row.phase == "pre"

    def test_distribution_is_compared_with_uniform(self, found: dict[Any, Any]) -> None:
        row = found["dept", None, None, "inf_norm_dist"]  # 9, 5 and 5 of 19
        assert row.value == pytest.approx(9 / 19 - 1 / 3)
        assert "uniform" in row.note

    def test_joint_indices_are_of_the_combinations_of_all_facets(
        self, found: dict[Any, Any]
    ) -> None:
        # young Tops 6, young Dresses 2, old Dresses 3, old Trend 5: mean 4
        expected = -sum(math.log(n / 4) for n in (6, 2, 3, 5)) / 4
        row = found[None, None, None, "theil_l_index"]
        assert row.value == pytest.approx(expected)

    def test_entropy_is_of_the_table(self, found: dict[Any, Any]) -> None:
        # class 2.0 among 19 predicted rows: 6 right, 1 false positive, 2 false negatives
        row = found[None, None, "2.0", "GE"]
        benefit = 19 + 1 - 2
        assert row.value == pytest.approx(((16 + 4) * 19 / benefit**2 - 1) / 2)


def test_named_sides_leave_other_values_out(mixed: DataFrame) -> None:
    facets = [Facet("dept", values=["Trend"], against=["Tops"]), Facet("dept", against=["Tops"])]
    found = table(bias_metrics(mixed, "label", facets, metrics=["CI"]))
    assert {key[1] for key in found} == {"Trend vs Tops", "Dresses vs Tops"}
    row = found["dept", "Trend vs Tops", None, "CI"]
    assert (row.n_a, row.n_d) == (9, 5)


def test_continuous_label_is_cut_at_its_threshold(spark: SparkSession) -> None:
    rows = [("a", 0.9, 0.8), ("a", 0.5, 0.6), ("d", 0.2, 0.7), ("d", 0.6, 0.1)]
    df = spark.createDataFrame(rows, ["c", "y", "p"])
    facet = Facet("c", values=["d"])
    found = table(bias_metrics(df, "y", [facet], "p", positive_threshold=0.5))
    assert found["c", "d", "> 0.5", "DPL"].value == 0  # 0.5 itself is not above
    assert found["c", "d", "> 0.5", "DPPL"].value == 0.5
    undefined = found["c", "d", "> 0.5", "RD"]
    assert undefined.value is None
    assert "continuous" in undefined.note


def test_reference_may_be_given(spark: SparkSession) -> None:
    df = spark.createDataFrame([("a", 0), ("a", 1), ("b", 1), ("b", 0)], ["c", "y"])
    facet = Facet("c", reference={"a": 0.25, "b": 0.25, "never": 0.5})
    found = table(bias_metrics(df, "y", [facet], metrics=["distribution"]))
    assert found["c", None, None, "total_variation_dist"].value == pytest.approx(0.5)
    assert found["c", None, None, "chi_sq_stat"].value == pytest.approx(1 + 1 + 2)


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"label": "absent"}, "column 'absent' is missing"),
            ({"facets": [Facet("vector")]}, "column 'vector' must be"),
            ({"facets": [Facet("side", threshold=1)]}, "column 'side' must be a number"),
            ({"prediction": "side"}, "of one type.*'side' is string"),
            ({"group": "absent"}, "column 'absent' is missing"),
            ({"metrics": ["CDDL"]}, "CDDL needs a group column"),
            ({"metrics": ["DPPL"]}, "DPPL needs a prediction column"),
            ({"metrics": ["post"]}, "need a prediction column"),
            ({"metrics": ["FT"], "prediction": "prediction"}, "FT needs a features column"),
        ],
    )
    def test_schema(self, peer: DataFrame, arguments: dict[str, Any], message: str) -> None:
        df = peer.withColumn("vector", F.array("label"))
        asked = {"label": "label", "facets": [Facet("side")], **arguments}
        with pytest.raises(SchemaError, match=message):
            bias_metrics(df, **asked)

    @pytest.mark.parametrize(
        ("where", "arguments", "message"),
        [
            ("false", {}, "column 'label': no rows"),
            ("label = 1", {}, "'label' holds one class only \\(1\\)"),
            ("true", {"label_classes": [1, 2]}, "'label' holds 0, outside the classes 1, 2"),
            ("true", {"positive": [7]}, "positive 7 is not among the classes of 'label': 0, 1"),
            ("true", {"positive": [0, 1]}, "every class of 'label' is named positive"),
            ("true", {"positive_threshold": 5.0}, "column 'label' is at or below 5.0 in every row"),
            ("true", {"facets": [Facet("wide")]}, "column 'wide' has 180 or more different values"),
        ],
    )
    def test_rows(
        self, peer: DataFrame, where: str, arguments: dict[str, Any], message: str
    ) -> None:
        df = peer.where(where)
        if "wide" in message:
            df = df.withColumn("wide", F.monotonically_increasing_id())
        asked = {"label": "label", "facets": [Facet("side")], **arguments}
        with pytest.raises(DataError, match=f"^bias_metrics: .*{message}"):
            bias_metrics(df, **asked)

    @pytest.mark.parametrize(
        ("where", "facet", "value", "note"),
        [
            ("side = 'a'", Facet("side"), "a", "side a has no labelled row"),
            ("side is null", Facet("side"), None, "no labelled row"),
            ("true", Facet("side", values=["x"]), "x", "side d has no labelled row"),
            ("true", Facet("age", threshold=99), "> 99", "side d has no labelled row"),
            ("true", Facet("side", against=["x"]), "a vs x", "side a has no labelled row"),
        ],
    )
    def test_every_metric_of_an_empty_side_is_null_with_a_note(
        self, spark: SparkSession, where: str, facet: Facet, value: str | None, note: str
    ) -> None:
        rows = [(float(i % 2), float(i % 3 > 0), "ab"[i % 2 and i % 3 == 0], 30) for i in range(12)]
        both = [*rows, (1.0, 0.0, None, 40), (0.0, 0.0, None, 50)]
        df = spark.createDataFrame(both, "label double, guess double, side string, age int")
        asked = {"group": "side", "positive": [1.0]}
        report = bias_metrics(df.where(where), "label", [facet], "guess", **asked).collect()
        of_sides = [row for row in report if row.n_a is not None and row.facet_value == value]
        assert {row.metric for row in of_sides} == {*PRE, *POST, *ASSOCIATION} - {"GE"}
        assert {row.value for row in of_sides} == {None}
        assert all(row.note.startswith(note) for row in of_sides)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"column": ""}, ValueError),
            ({"column": 3}, TypeError),
            ({"column": "c", "values": "x"}, TypeError),
            ({"column": "c", "values": [None]}, TypeError),
            ({"column": "c", "values": []}, ValueError),
            ({"column": "c", "values": [math.inf]}, ValueError),
            ({"column": "c", "values": ["x"], "against": ["x"]}, ValueError),
            ({"column": "c", "values": ["x"], "threshold": 1}, ValueError),
            ({"column": "c", "threshold": math.nan}, ValueError),
            ({"column": "c", "threshold": "1"}, TypeError),
            ({"column": "c", "pairs": True, "against": ["x"]}, ValueError),
            ({"column": "c", "pairs": 1}, TypeError),
            ({"column": "c", "reference": {"x": 0.4}}, ValueError),
            ({"column": "c", "reference": ["x"]}, TypeError),
        ],
    )
    def test_facet(self, arguments: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error, match="facet"):
            Facet(**arguments)

    def test_params(self) -> None:
        wrong: tuple[tuple[dict[str, Any], type[Exception]], ...] = (
            ({"facets": []}, ValueError),
            ({"facets": ["c", "c"]}, ValueError),
            ({"facets": [{"col": "c"}]}, ValueError),
            ({"facets": [{}]}, ValueError),
            ({"facets": "c"}, TypeError),
            ({"metrics": ["XYZ"]}, ValueError),
            ({"metrics": []}, ValueError),
            ({"maxFacetValues": 1}, ValueError),
        )
        for given, error in wrong:
            with pytest.raises(error, match=next(iter(given))):
                BiasReport(**given)
        both = BiasReport(facets=["c"], positive=[1.0], positiveThreshold=1.0)
        with pytest.raises(ValueError, match="not both"):
            both._asked()


class TestReport:
    def test_lives_in_a_saved_pipeline_before_and_after_the_model(
        self, peer: DataFrame, tmp_path: Path
    ) -> None:
        facets = [Facet("side", values=["d"]), {"column": "grp"}]
        stages = [
            BiasReport(facets=facets, positive=[1], metrics=["CI", "DPL"]),
            VectorAssembler(inputCols=["prediction"], outputCol="features"),
            LogisticRegression(predictionCol="guess"),
            BiasReport(facets=facets, positive=[1], predictionCol="guess", metrics=["DPPL"]),
        ]
        df = peer.withColumn("label", F.col("label").cast("double"))
        model = Pipeline(stages=stages).fit(df)
        before, after = model.stages[0], model.stages[3]
        assert isinstance(before, BiasReportModel)
        assert before.rows[0].metric == "CI"
        # the model repeats the old prediction: (62 of 120) - (15 of 60)
        assert after.rows[0].value == pytest.approx(62 / 120 - 15 / 60)

        model.write().overwrite().save(str(tmp_path / "model"))
        again = PipelineModel.load(str(tmp_path / "model"))
        loaded = again.stages[0]
        assert loaded.rows == before.rows
        assert loaded.report.schema == REPORT_SCHEMA
        assert loaded.report.collect() == list(before.rows)
        assert loaded.getOrDefault("facets") == before.getOrDefault("facets")
        new = peer.select("prediction", F.lit(1).alias("label")).limit(3)
        assert again.transform(new.drop("label")).count() == 3
        assert loaded.transform(new).columns == new.columns

    def test_facets_are_kept_as_json(self) -> None:
        stage = BiasReport(facets=[Facet("Age", threshold=50), "Department Name"])
        assert stage.getOrDefault("facets") == [
            {"column": "Age", "threshold": 50},
            {"column": "Department Name"},
        ]

    def test_its_gates_name_what_is_outside(self, peer: DataFrame) -> None:
        stage = BiasReport(facets=[Facet("side", values=["d"])], positive=[1], metrics=["pre"])
        model = stage.fit(peer)
        broken = model.broken([Gate("CI", low=-0.5, high=0.5), Gate("DPL", high=0.1)])
        assert [it.row.metric for it in broken] == ["DPL"]


class TestEvaluator:
    def test_worst_distance_from_parity(self, peer: DataFrame) -> None:
        facet = Facet("side", values=["d"])
        evaluator = BiasEvaluator(facet=facet, metricName="DPPL")
        assert not evaluator.isLargerBetter()
        assert evaluator.evaluate(peer) == pytest.approx(PEER_VALUES["DPPL"])
        ratio = BiasEvaluator(facet=facet, metricName="DI", labelClass="1")
        assert ratio.evaluate(peer) == pytest.approx(1 - PEER_VALUES["DI"])
        signed = BiasEvaluator(facet=facet, metricName="DRR", labelClass="1", absolute=False)
        assert signed.evaluate(peer) == pytest.approx(PEER_VALUES["DRR"])

    def test_undefined_is_the_worst(self, peer: DataFrame) -> None:
        evaluator = BiasEvaluator(facet="side", metricName="DAR", positive=[1])
        assert evaluator.evaluate(peer.withColumn("prediction", F.lit(0))) == math.inf

    def test_a_value_that_is_not_there_is_named(self, peer: DataFrame) -> None:
        evaluator = BiasEvaluator(facet="side", facetValue="x")
        with pytest.raises(DataError, match=r"no facet value 'x'.*a / 0"):
            evaluator.evaluate(peer)

    def test_selects_in_cross_validator(self, spark: SparkSession, tmp_path: Path) -> None:
        # The label follows the facet; only a model without features is fair, and it predicts 1.0.
        rows = [
            (float(side), float(i % 4 != 0) if side else float(i % 4 == 0), float(i % 2))
            for side in (0, 1)
            for i in range(60)
        ]
        df = spark.createDataFrame(rows, ["side", "label", "noise"]).coalesce(1)
        df = VectorAssembler(inputCols=["side", "noise"], outputCol="features").transform(df)
        learner = LogisticRegression()
        grid = ParamGridBuilder().addGrid(learner.regParam, [0.0, 100.0]).build()
        evaluator = BiasEvaluator(
            facet=Facet("side", threshold=0.5), metricName="DPPL", positive=[1.0],
            labelClasses=[0.0, 1.0],
        )  # fmt: skip
        validator = CrossValidator(
            estimator=learner, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2, seed=3
        )
        model = validator.fit(df)
        assert model.avgMetrics[0] > model.avgMetrics[1]
        assert model.bestModel.getOrDefault("regParam") == 100.0
        model.save(str(tmp_path / "cv"))
        again = CrossValidatorModel.load(str(tmp_path / "cv"))
        assert again.getEvaluator().getOrDefault("facet") == {"column": "side", "threshold": 0.5}


class TestFliptest:
    def test_votes_by_hand(self) -> None:
        guesses = np.array([False, False, False, True])
        votes = np.array([[True, True, False], [True, True, True], [False] * 3, [False] * 3])
        assert flip_test(guesses, votes).value == pytest.approx((2 - 1) / 4)

    def test_nearest_by_hand(self) -> None:
        among = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
        found = nearest(np.array([[4.0, 4.0], [0.6, 0.0]]), among, 1)
        assert found.tolist() == [[2], [1]]

    def test_size_is_smclarify_s_and_sign_the_guide_s(self, spark: SparkSession) -> None:
        # smclarify 0.5 gives +0.4166666666666667 on these 30 points: of 12 members of d it takes 6
        # who would lose in a, minus 1 who would gain; the guide takes 1 minus 6.
        points = [(i, j) for i in range(6) for j in range(5)]
        rows = [
            (
                Vectors.dense([i + 0.011 * n, 1.3 * j + 0.017 * n]),
                (i * 7 + j * 3) % 5 < 2,
                float((i * i + 2 * j) % 7 < 3),
                float(n % 2),
            )
            for n, (i, j) in enumerate(points)
        ]
        df = spark.createDataFrame(rows, ["x", "c", "prediction", "label"])
        found = bias_metrics(
            df, "label", [Facet("c", values=[True])], "prediction",
            positive=[1.0], metrics=["FT"], features="x",
        ).collect()  # fmt: skip
        assert [row.value for row in found] == pytest.approx([-0.4166666666666667])
        assert found[0].note == "from a sample of 18 rows of a and 12 of d, 5 nearest"

    def test_sample_is_bounded_and_repeats_however_rows_are_spread(
        self, spark: SparkSession
    ) -> None:
        df = spark.range(400).selectExpr(
            "id % 2 = 0 c", "double(id % 3 = 0) label", "double(id % 5 < 2) prediction", "id"
        )
        df = VectorAssembler(inputCols=["id"], outputCol="x").transform(df)

        def measured(rows: DataFrame, seed: int) -> Any:
            return bias_metrics(
                rows, "label", [Facet("c")], "prediction",
                metrics=["FT"], features="x", fliptest_rows=50, seed=seed,
            ).collect()  # fmt: skip

        one = measured(df, 1)
        assert measured(df.repartition(3), 1) == one
        assert measured(df, 2) != one
        sizes = [int(word) for word in str(one[0].note).split() if word.isdigit()]
        assert sizes[0] + sizes[1] == 50


class TestGates:
    ROWS = (
        ReportRow("pre", "Age", "> 50", None, "CI", 0.7, 0.6, 0.8, 85, 15, None),
        ReportRow("pre", "Age", "> 50", "2.0", "DPL", -0.2, -0.3, -0.1, 85, 15, None),
        ReportRow("post", "Age", "> 50", "2.0", "DI", None, None, None, 85, 15, "no positives"),
    )

    def test_bounds_are_included(self) -> None:
        assert not broken_gates(self.ROWS, [Gate("CI", low=0.7, high=0.7)])

    def test_a_class_may_be_named_by_its_number(self) -> None:
        found = broken_gates(self.ROWS, [Gate("DPL", facet="Age", label_class=2, low=-0.1)])
        assert [it.row.value for it in found] == [-0.2]
        assert "DPL of Age for class 2 in [-0.1, inf): found -0.2" in found[0].describe()

    def test_undefined_breaks_a_gate_unless_allowed(self) -> None:
        found = broken_gates(self.ROWS, [Gate("DI", low=0.8)])
        assert "undefined" in found[0].describe()
        assert "no positives" in found[0].describe()
        assert not broken_gates(self.ROWS, [Gate("DI", low=0.8, undefined=True)])

    def test_a_gate_on_nothing_is_broken(self) -> None:
        found = broken_gates(self.ROWS, [Gate("CI", facet="age", high=1.0)])
        assert found[0].row is None
        assert "no such row" in found[0].describe()

    @pytest.mark.parametrize(
        ("wrong", "error"),
        [
            ({"metric": "CI"}, ValueError),
            ({"metric": "NOPE", "low": 0}, ValueError),
            ({"metric": "CI", "low": 1, "high": 0}, ValueError),
            ({"metric": "CI", "low": "0"}, TypeError),
            ({"metric": "CI", "low": math.nan}, ValueError),
            ({"metric": "CI", "low": 0, "phase": "during"}, ValueError),
        ],
    )
    def test_gates_that_make_no_sense_are_refused(
        self, wrong: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error, match="gate on"):
            Gate(**wrong)
