"""What a reader sees at a job's end."""

from spark_sentiment.bias import ReportRow
from spark_sentiment.classification.confusion import Confusion
from spark_sentiment.jobs import summary


def row(metric: str, value: float, low: float | None, high: float | None) -> ReportRow:
    return ReportRow("pre", "age", "> 50", "2.0", metric, value, low, high, 60, 40, None)


def test_intake_gives_reasons_the_most_frequent_first() -> None:
    said = summary.intake(100, {"rating: missing": 2, "review_text: missing": 5})
    assert said.splitlines() == [
        "Rows: 100 read, 93 used, 7 rejected",
        "  5 review_text: missing",
        "  2 rating: missing",
    ]


def test_evaluation_shows_figures_per_class_and_the_confusion_matrix() -> None:
    said = summary.evaluation(Confusion(("bad", "good"), ((3, 1), (2, 4))))
    assert said.splitlines() == [
        "Accuracy 0.700, macro-F1 0.697 on 10 held-out rows",
        "",
        "class  precision  recall     F1  rows",
        "bad        0.600   0.750  0.667     4",
        "good       0.800   0.667  0.727     6",
        "",
        "true \\ predicted  bad  good",
        "bad                 3     1",
        "good                2     4",
    ]


def test_bias_shows_what_is_clear_of_zero_the_surest_first() -> None:
    rows = [
        row("DPL", 0.1, 0.02, 0.2),
        row("AD", -0.3, -0.4, -0.2),
        row("RD", 0.01, -0.1, 0.1),  # its interval holds 0
        row("CI", 0.9, 0.8, 0.95),  # a matter of size
        row("KL", 0.5, None, None),  # no interval
    ]
    assert summary.bias(rows, ("bad", "fair", "good")).splitlines() == [
        "phase  metric  facet  group  compared with  class   value  95 % interval",
        "pre    AD      age    > 50   all others     good   -0.300  -0.400 to -0.200",
        "pre    DPL     age    > 50   all others     good    0.100  +0.020 to +0.200",
        "",
        "2 of 3 intervals exclude 0. They are not corrected for the number of comparisons:",
        "if no group differs, about 1 interval in 20 excludes 0 by chance.",
    ]


def test_bias_without_a_facet_is_not_called_equal() -> None:
    assert summary.bias([]) == "Bias: not measured."


def test_a_class_without_a_name_is_shown_as_the_report_has_it() -> None:
    shown = [
        summary.bias([row("DPL", 0.1, 0.02, 0.2)._replace(label_class=found)], ("bad", "good"))
        for found in ("2.0", "0.0, 1.0", "> 3.5", "1", None)
    ]
    classes = [lines.splitlines()[1].split("all others")[1].split("0.100")[0] for lines in shown]
    assert [one.strip() for one in classes] == ["2.0", "bad, good", "> 3.5", "1", "all"]


def test_bias_names_the_group_that_was_compared_with() -> None:
    said = summary.bias([row("DPL", 0.1, 0.02, 0.2)._replace(facet_value="Tops vs Trend, Dresses")])
    assert "Tops   Trend, Dresses" in said.splitlines()[1]


def test_bias_says_how_many_more_there_are() -> None:
    said = summary.bias([row("DPL", 0.1, 0.02, 0.2)] * 3, most=1)
    assert said.splitlines()[2] == "... and 2 more; all are in bias_metrics"


def test_nothing_clear_of_zero_is_said() -> None:
    assert summary.bias([row("DPL", 0.1, -0.1, 0.2)]).startswith("No difference")


def test_where_the_tables_are_is_said() -> None:
    assert summary.tables("s3://bucket/sentiment") == "Tables: s3://bucket/sentiment"
