"""Figures by hand from one three-class confusion matrix."""

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.classification.confusion import Confusion, confusion
from spark_sentiment.errors import DataError, SchemaError

NAMES = ("negative", "neutral", "positive")
# Rows are true classes: 10 negative, 5 neutral, 20 positive.
MATRIX = Confusion(NAMES, ((7, 2, 1), (1, 2, 2), (2, 1, 17)))


def test_accuracy_is_the_diagonal_over_all_rows() -> None:
    assert MATRIX.accuracy == pytest.approx(26 / 35)


def test_precision_divides_by_the_column_and_recall_by_the_row() -> None:
    assert MATRIX.precision(0) == pytest.approx(7 / 10)
    assert MATRIX.precision(1) == pytest.approx(2 / 5)
    assert MATRIX.recall(2) == pytest.approx(17 / 20)


def test_macro_f1_is_the_plain_mean_of_the_classes() -> None:
    # 2*7/(10+10), 2*2/(5+5), 2*17/(20+20)
    assert MATRIX.macro_f1 == pytest.approx((0.7 + 0.4 + 0.85) / 3)


def test_a_class_on_neither_side_has_no_f1_and_is_left_out_of_the_mean() -> None:
    matrix = Confusion(NAMES, ((3, 0, 1), (0, 0, 0), (0, 0, 4)))
    assert matrix.f1(1) is None
    assert matrix.macro_f1 == pytest.approx((6 / 7 + 8 / 9) / 2)


def test_a_class_never_predicted_has_no_precision_but_a_zero_f1() -> None:
    matrix = Confusion(NAMES, ((3, 0, 1), (2, 0, 0), (0, 0, 4)))
    assert matrix.precision(1) is None
    assert matrix.f1(1) == 0.0


def test_an_empty_matrix_has_no_figures() -> None:
    empty = Confusion(NAMES, ((0, 0, 0),) * 3)
    assert (empty.accuracy, empty.macro_f1) == (None, None)


def test_rows_are_counted_where_label_and_prediction_are_there(spark: SparkSession) -> None:
    rows = [(0, 0.0), (0, 2.0), (1, 1.0), (None, 1.0), (2, None), (2, 2.0), (2, 2.0)]
    df = spark.createDataFrame(rows, "label int, prediction double")
    assert confusion(df, NAMES).counts == ((1, 0, 1), (0, 1, 0), (0, 0, 2))


def test_a_value_outside_the_classes_is_named(spark: SparkSession) -> None:
    df = spark.createDataFrame([(0.0, 3.0)], ["label", "prediction"])
    with pytest.raises(DataError, match=r"'prediction' holds 3.0.*0.0 to 2.0"):
        confusion(df, NAMES)


def test_a_missing_column_is_named(spark: SparkSession) -> None:
    with pytest.raises(SchemaError, match="'guess' is missing"):
        confusion(spark.createDataFrame([(0.0,)], ["label"]), NAMES, prediction="guess")
