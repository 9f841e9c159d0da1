"""What each algorithm answers, as its chapter of the developer guide shows it, in typed rows."""

from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_sentiment.errors import DataError
from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.sagemaker.formats.replies import ALGORITHMS, reply


def body(*records: dict[str, list[float] | tuple[int, dict[int, float]]]) -> bytes:
    """Write a reply in RecordIO by protobuf's own writer; a tuple is a sparse tensor."""
    framed = b""
    for labels in records:
        record = recordio.record_type()()
        for key, values in labels.items():
            tensor = record.label.add(key=key).value.float32_tensor
            if isinstance(values, tuple):
                tensor.shape.append(values[0])
                tensor.keys.extend(values[1])
                tensor.values.extend(values[1].values())
            else:
                tensor.values.extend(values)
        message = record.SerializeToString()
        framed += bytes.fromhex("0a23d7ce") + len(message).to_bytes(4, "little") + message
        framed += b"\0" * (-len(message) % 4)
    return framed


@pytest.mark.parametrize(
    ("algorithm", "answered", "rows"),
    [
        (
            "kmeans",
            body(
                {"closest_cluster": [3.0], "distance_to_cluster": [0.5]},
                {"closest_cluster": [0.0], "distance_to_cluster": [7.25]},
            ),
            [(0.5, 3.0), (7.25, 0.0)],
        ),
        ("pca", body({"projection": [1.5, -2.0]}), [([1.5, -2.0],)]),
        ("pca", body({"projection": [1.5]}), [([1.5],)]),
        ("lda", body({"topic_mixture": (4, {1: 0.25, 3: 0.75})}), [([0.0, 0.25, 0.0, 0.75],)]),
        ("ntm", body({"topic_weights": [0.5, 0.5]}), [([0.5, 0.5],)]),
        ("linear-learner-regressor", body({"score": [4.5]}), [(4.5,)]),
        ("linear-learner-binary", body({"score": [0.75], "predicted_label": [1.0]}), [(0.75, 1.0)]),
        (
            "linear-learner-multiclass",
            body({"score": [0.25, 0.5, 0.25], "predicted_label": [1.0]}),
            [([0.25, 0.5, 0.25], 1.0)],
        ),
        ("factorization-machines-regressor", body({"score": [4.5]}), [(4.5,)]),
        (
            "factorization-machines-binary",
            body({"score": [0.25], "predicted_label": [0.0]}),
            [(0.25, 0.0)],
        ),
        ("knn", body({"predicted_label": [2.0]}), [(2.0,)]),
        ("randomcutforest", body({"score": [0.875]}), [(0.875,)]),
        ("xgboost", b"0.5,0.25", [(0.5,), (0.25,)]),
        ("xgboost", b"0.5\n0.25\n", [(0.5,), (0.25,)]),
        (
            "xgboost-multiclass",
            b"[0.1, 0.7, 0.2],[0.6, 0.3, 0.1]",
            [([0.1, 0.7, 0.2], 1.0), ([0.6, 0.3, 0.1], 0.0)],
        ),
        ("xgboost-multiclass", b"0.1,0.7,0.2\n", [([0.1, 0.7, 0.2], 1.0)]),
        (
            "xgboost-multiclass",
            b"[0.1, 0.7, 0.2]\n[0.6, 0.3, 0.1]\n",
            [([0.1, 0.7, 0.2], 1.0), ([0.6, 0.3, 0.1], 0.0)],
        ),
        (
            "blazingtext",
            b'{"prob": [0.75, 0.25], "label": ["__label__3", "__label__1"]}\n',
            [(["__label__3", "__label__1"], [0.75, 0.25])],
        ),
        (
            "blazingtext",
            b'[{"label": ["__label__3"], "prob": [0.75]}]',
            [(["__label__3"], [0.75])],
        ),
    ],
)
def test_rows_of(algorithm: str, answered: bytes, rows: list[tuple[Any, ...]]) -> None:
    assert reply(algorithm).read(answered) == rows


def test_every_built_in_algorithm_is_shown_above() -> None:
    (mark,) = test_rows_of.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} == set(ALGORITHMS) - {"csv", "jsonlines"}


class TestOnesOwn:
    SCHEMA = "label string, score double, n int, ok boolean, tags array<string>"

    def test_json_lines_by_the_names_of_the_fields(self, spark: SparkSession) -> None:
        line = b'{"n": 3, "score": 1, "label": "good", "ok": true, "tags": ["a"], "more": 0}\n'
        read = reply("jsonlines", self.SCHEMA).read
        assert read(line) == [("good", 1.0, 3, True, ["a"])]
        empty = b'{"n": null, "score": null, "label": null, "ok": null, "tags": null}'
        assert read(empty) == [(None,) * 5]

    def test_csv_by_their_places(self, spark: SparkSession) -> None:
        read = reply("csv", "label string, score double").read
        assert read(b"good,0.5\nbad,1\n") == [("good", 0.5), ("bad", 1.0)]

    def test_quotes_of_csv_are_read(self, spark: SparkSession) -> None:
        read = reply("csv", "label string, score double").read
        assert read(b'"good, ""really""",0.5\n') == [('good, "really"', 0.5)]

    def test_a_csv_line_with_other_cells_is_refused(self, spark: SparkSession) -> None:
        with pytest.raises(DataError, match="a line of the reply has 3 cells, not 2"):
            reply("csv", "label string, score double").read(b"good,0.5,0.5\n")


@pytest.mark.parametrize(
    ("algorithm", "answered", "kind"),
    [
        ("kmeans", b"0.5,0.5", "RecordIO"),
        ("kmeans", body({"score": [0.5]}), "KeyError"),
        ("kmeans", body({"closest_cluster": [], "distance_to_cluster": [0.5]}), "IndexError"),
        ("xgboost", b"not a number", "ValueError"),
        ("xgboost-multiclass", b"[0.1, secret", "JSONDecodeError"),
        ("blazingtext", b"secret", "JSONDecodeError"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_quoted(
    algorithm: str, answered: bytes, kind: str
) -> None:
    with pytest.raises(DataError, match=kind) as told:
        reply(algorithm).read(answered)
    assert "secret" not in str(told.value)
