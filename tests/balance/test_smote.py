"""SMOTE's numbers against brute force, and its Spark plan on small tables."""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.ml.linalg import DenseVector, SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession

from spark_sentiment.balance import smote
from spark_sentiment.balance.counts import allot, bucket_counts, keyed
from spark_sentiment.errors import DataError

RNG = np.random.default_rng(20)


def column(vectors: list[DenseVector | SparseVector]) -> pa.StructArray:
    """What Spark hands to Arrow for a vector column: VectorUDT's own fields."""
    kind = pa.struct(
        [
            ("type", pa.int8()),
            ("size", pa.int32()),
            ("indices", pa.list_(pa.int32())),
            ("values", pa.list_(pa.float64())),
        ]
    )
    rows = [
        {"type": 0, "size": v.size, "indices": v.indices.tolist(), "values": v.values.tolist()}
        if isinstance(v, SparseVector)
        else {"type": 1, "size": None, "indices": None, "values": v.values.tolist()}
        for v in vectors
    ]
    return pa.array(rows, kind)


def sparse(row: np.ndarray) -> SparseVector:
    places = np.flatnonzero(row)
    return Vectors.sparse(len(row), places.tolist(), row[places].tolist())


def as_matrix(vectors: pa.StructArray) -> np.ndarray:
    rows = []
    for v in vectors.to_pylist():
        if v["type"] == 1:
            rows.append(v["values"])
        else:
            row = np.zeros(v["size"])
            row[v["indices"]] = v["values"]
            rows.append(row)
    return np.array(rows, float)


def distances(points: np.ndarray) -> np.ndarray:
    """All distances by the definition, each point infinitely far from itself."""
    away = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    np.fill_diagonal(away, np.inf)
    return away


def zipf_rows(rows: int, width: int) -> np.ndarray:
    """Rows like TF-IDF: a few columns nearly everywhere, most of them in one or two rows."""
    share = 1 / (1 + np.arange(width))
    return RNG.random((rows, width)) * (RNG.random((rows, width)) < share)


class TestNearest:
    @pytest.mark.parametrize(
        ("rows", "width", "k"), [(2, 1, 1), (6, 3, 5), (40, 5, 5), (1500, 6, 5), (700, 60, 3)]
    )
    def test_dense_neighbours_are_those_of_brute_force(self, rows: int, width: int, k: int) -> None:
        points = RNG.normal(size=(rows, width)) + 100
        found = smote.nearest(smote.DenseRows(points), k)
        assert (found == np.argsort(distances(points), axis=1)[:, :k]).all()

    def test_sparse_neighbours_are_those_of_brute_force(self) -> None:
        points = zipf_rows(400, 300)
        rows = smote.read_vectors(column([sparse(row) for row in points]), "v")
        away = distances(points)
        got = np.take_along_axis(away, smote.nearest(rows, 5), axis=1)
        np.testing.assert_allclose(got, np.sort(away, axis=1)[:, :5], rtol=1e-9)

    def test_sparse_products_are_the_same_in_small_pieces(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rows = smote.read_vectors(column([sparse(row) for row in zipf_rows(90, 300)]), "v")
        whole = rows.closeness(10, 60)
        monkeypatch.setattr(smote, "_PAIRS", 7)
        np.testing.assert_allclose(rows.closeness(10, 60), whole, rtol=1e-12)

    def test_equal_points_are_neighbours_but_no_point_is_its_own(self) -> None:
        points = np.array([[0.0], [0.0], [5.0], [5.0]])
        assert smote.nearest(smote.DenseRows(points), 1).ravel().tolist() == [1, 0, 3, 2]

    def test_neighbours_are_found_far_from_the_origin(self) -> None:
        # In single precision 1e6 + 0.01 is 1e6: only centred vectors keep such distances.
        points = np.array([[1e6], [1e6 + 0.01], [1e6 + 0.03], [1e6 + 0.07]])
        assert smote.nearest(smote.DenseRows(points), 1).ravel().tolist() == [1, 0, 1, 2]

    @given(st.integers(1, 900), st.integers(1, 12), st.integers(0, 2**32 - 1), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_smallest_agrees_with_sorting(self, width: int, k: int, seed: int, ties: bool) -> None:
        rng = np.random.default_rng(seed)
        table = rng.integers(0, 9, (3, width)).astype(float) if ties else rng.random((3, width))
        k = min(k, width)
        places = smote.smallest(table, k)
        got = np.take_along_axis(table, places, axis=1)
        assert (got == np.sort(table, axis=1)[:, :k]).all()
        assert all(len(set(row)) == k for row in places.tolist())


class TestVectors:
    MIXED = np.array([[1.0, 0, 0, 2], [0, 0, 3, 0], [0, 0, 0, 0], [4, 5, 6, 7]])

    @pytest.mark.parametrize("dense", [(), (3,), (0, 2), (0, 1, 2, 3)], ids=str)
    def test_points_between_are_the_same_however_stored(self, dense: tuple[int, ...]) -> None:
        stored = [
            Vectors.dense(row) if i in dense else sparse(row) for i, row in enumerate(self.MIXED)
        ]
        base, other = np.array([0, 1, 3, 2, 1]), np.array([1, 3, 0, 2, 1])
        gap = np.array([0.25, 0.5, 1.0, 0.7, 0.3])
        made = smote.read_vectors(column(stored), "v").between(base, other, gap)
        wanted = self.MIXED[base] + gap[:, None] * (self.MIXED[other] - self.MIXED[base])
        np.testing.assert_allclose(as_matrix(made), wanted)

    def test_sparse_points_have_rising_distinct_indices(self) -> None:
        rows = smote.read_vectors(column([sparse(row) for row in zipf_rows(30, 50)]), "v")
        made = rows.between(np.arange(29), np.arange(1, 30), np.full(29, 0.5))
        for row in made.to_pylist():
            assert row["indices"] == sorted(set(row["indices"]))

    def test_a_slice_of_a_batch_is_read_from_its_own_start(self) -> None:
        whole = column([sparse(row) for row in self.MIXED])
        made = smote.read_vectors(whole.slice(1, 2), "v").between(
            np.array([0, 1]), np.array([0, 1]), np.zeros(2)
        )
        assert (as_matrix(made) == self.MIXED[1:3]).all()

    @pytest.mark.parametrize(
        ("vectors", "message"),
        [
            ([Vectors.dense([1.0]), Vectors.dense([1.0, 2.0])], "sizes, from 1 to 2"),
            ([Vectors.sparse(9, {}), Vectors.dense([1.0, 2.0])], "sizes, from 2 to 9"),
            ([Vectors.dense([1.0, float("nan")])], "NaN"),
            ([Vectors.sparse(3, {1: float("inf")})], "infinity"),
        ],
    )
    def test_unusable_vectors_are_refused(self, vectors: list[Any], message: str) -> None:
        with pytest.raises(DataError, match=f"'v'.*{message}"):
            smote.read_vectors(column(vectors), "v")


def test_blocks_are_put_together_across_batches_and_cut_at_the_limit() -> None:
    def batch(*blocks: int) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({smote._BLOCK: pa.array(blocks, pa.int32())})

    batches = [batch(0, 0), batch(0, 2), batch(2, 2, 2, 2, 2), batch(3)]
    made = [
        (block, piece, rows.num_rows, set(rows.column(0).to_pylist()))
        for block, piece, rows in smote._by_block(batches, 4)
    ]
    assert made == [(0, 0, 3, {0}), (2, 0, 4, {2}), (2, 1, 2, {2}), (3, 0, 1, {3})]
    assert list(smote._by_block([], 4)) == []


def made_rows(
    data: DataFrame, added: Mapping[float, int], block_size: int = 8192, k: int = 5, seed: int = 3
) -> list[Any]:
    """Run the whole of it on `data`, which has columns label, features and id."""
    rows = keyed(data, seed).cache()
    counts = [c for c in bucket_counts(rows, "test", "label") if c.label in added]
    grown = rows.where(rows["label"].isin(list(added)))
    made = smote.synthetic(
        allot(grown, "label", counts, added),
        "label",
        "features",
        {c.label: ceil(c.rows / block_size) for c in counts},
        k=k,
        seed=seed,
        block_size=block_size,
    )
    assert made.schema == data.schema
    collected = made.collect()
    rows.unpersist()
    return collected


def place_on_segments(
    new: np.ndarray, base: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each end of a segment from `base`: how far along `new` is, and how far off the line."""
    way = ends - base
    along = (way @ (new - base)) / np.maximum((way * way).sum(1), 1e-300)
    off = np.linalg.norm(base + along[:, None] * way - new, axis=1)
    return along, off


def test_new_rows_lie_between_a_row_and_one_of_its_k_nearest_of_the_class(
    spark: SparkSession,
) -> None:
    sizes = {0.0: 90, 1.0: 40, 2.0: 23}
    points = {label: RNG.normal(size=(n, 4)) + label for label, n in sizes.items()}
    rows = [
        (label, Vectors.dense(point), i, None if i % 3 else "text")
        for label, those in points.items()
        for i, point in enumerate(those)
    ]
    data = spark.createDataFrame(rows, ["label", "features", "id", "note"])
    new = made_rows(data, {1.0: 50, 2.0: 67})
    near = {label: np.argsort(distances(those), axis=1)[:, :5] for label, those in points.items()}
    gaps = []
    for row in new:
        those = points[row["label"]]
        along, off = place_on_segments(
            row["features"].toArray(), those[row["id"]], those[near[row["label"]][row["id"]]]
        )
        best = int(off.argmin())
        assert off[best] < 1e-9
        assert -1e-9 <= along[best] <= 1 + 1e-9
        gaps.append(along[best])
    assert 0.4 < np.mean(gaps) < 0.6  # uniform on [0, 1]: 0.5, standard error 0.027
    uses = {
        label: np.bincount([r["id"] for r in new if r["label"] == label], minlength=sizes[label])
        for label in (1.0, 2.0)
    }
    # 50 = 1 x 40 + 10 and 67 = 2 x 23 + 21: each row starts so many, or one more.
    assert sorted(uses[1.0].tolist()) == [1] * 30 + [2] * 10
    assert sorted(uses[2.0].tolist()) == [2] * 2 + [3] * 21
    assert all(row["note"] == (None if row["id"] % 3 else "text") for row in new)


def test_rows_of_a_wide_sparse_table_stay_sparse(spark: SparkSession) -> None:
    width = 1 << 18
    words = [RNG.choice(width, 30, replace=False) % (1 << 12) * 64 for _ in range(60)]
    vectors = [
        Vectors.sparse(
            width, sorted({5, *w.tolist()}), (RNG.random(len({5, *w.tolist()}))).tolist()
        )
        for w in words
    ]
    data = spark.createDataFrame(
        [(1.0, v, i) for i, v in enumerate(vectors)] + [(0.0, vectors[0], 0)] * 2,
        ["label", "features", "id"],
    )
    new = made_rows(data, {1.0: 100})
    assert len(new) == 100
    for row in new[:10]:
        start, made = vectors[row["id"]], row["features"]
        assert isinstance(made, SparseVector)
        fits = [
            v for v in vectors
            if set(made.indices) == set(start.indices) | set(v.indices) and v is not start
        ]  # fmt: skip
        assert len(fits) == 1
        away = sorted(start.squared_distance(v) for v in vectors if v is not start)
        assert start.squared_distance(fits[0]) <= away[4] + 1e-12


def test_the_same_rows_give_the_same_new_rows_in_any_order(spark: SparkSession) -> None:
    rows = [(float(i % 2), Vectors.dense([float(i % 50), i * i % 17]), i % 50) for i in range(300)]
    data = spark.createDataFrame(rows, ["label", "features", "id"])
    other = spark.createDataFrame(rows[::-1], ["label", "features", "id"]).repartition(5)
    added = {0.0: 31, 1.0: 90}
    once = sorted(map(str, made_rows(data, added)))
    assert once == sorted(map(str, made_rows(other, added)))
    assert once != sorted(map(str, made_rows(data, added, seed=4)))


def test_a_class_larger_than_a_block_finds_neighbours_of_its_own_class(
    spark: SparkSession,
) -> None:
    n = 1500
    points = RNG.normal(size=(n, 3))
    rows = [(1.0, Vectors.dense(p), i) for i, p in enumerate(points)]
    rows += [(0.0, Vectors.dense(p + 50), i) for i, p in enumerate(points[:3])]
    data = spark.createDataFrame(rows, ["label", "features", "id"])
    new = made_rows(data, {1.0: 2000}, block_size=256)
    assert len(new) == 2000
    reach = np.sort(distances(points), axis=1)[:, 200]  # a block holds a sixth of the class
    for row in new[::40]:
        made, base = row["features"].toArray(), points[row["id"]]
        along, off = place_on_segments(made, base, points)
        assert ((off < 1e-9) & (along >= -1e-9) & (along <= 1 + 1e-9)).any()
        assert np.linalg.norm(made - base) <= reach[row["id"]]


def test_small_classes_have_as_many_neighbours_as_there_are(spark: SparkSession) -> None:
    rows = [(0.0, Vectors.dense([9.0]), i) for i in range(4)]
    rows += [(1.0, Vectors.dense([7.0]), 0), (2.0, Vectors.dense([0.0]), 0)]
    rows += [(2.0, Vectors.dense([1.0]), 1), (3.0, Vectors.sparse(1, {0: 3.5}), 0)]
    data = spark.createDataFrame(rows, ["label", "features", "id"])
    new = made_rows(data, {1.0: 3, 2.0: 5, 3.0: 2})
    values = {label: [r["features"][0] for r in new if r["label"] == label] for label in (1, 2, 3)}
    assert values[1] == [7.0] * 3
    assert values[3] == [3.5] * 2
    assert len(values[2]) == 5
    assert all(0 < value < 1 for value in values[2])
