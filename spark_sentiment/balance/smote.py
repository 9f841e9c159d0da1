"""Distributed SMOTE on vectors: new rows between a row and one of its nearest neighbours.

A class of at most `block_size` rows is one block, and its neighbours are exact. A hash of the
content cuts a larger class into random blocks of about that size. Each block is a random sample of
its class, and SMOTE runs on it as in the paper. The cost is rows x block_size x width, linear in
the rows. The driver collects nothing, and a task holds one block.

References
----------
N. V. Chawla, K. W. Bowyer, L. O. Hall, W. P. Kegelmeyer, "SMOTE: Synthetic Minority Over-sampling
Technique", Journal of Artificial Intelligence Research 16 (2002), 321-357.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_sentiment.balance.counts import COPIES, KEY
from spark_sentiment.core import lookup, quoted
from spark_sentiment.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_BLOCK = "__smote_block"
_DISTANCES = 1 << 22  # distances held at a time, 16 or 32 MB
_PAIRS = 1 << 22  # products of two sparse entries held at a time
_VALUES = 1 << 22  # vector entries in one batch given back to Spark
_FREQUENT = 0.05  # share of rows above which a column is cheaper in BLAS than by pairs
_TILE = 64


def synthetic(
    data: DataFrame,
    label: str,
    features: str,
    blocks: Mapping[float, int],
    *,
    k: int,
    seed: int,
    block_size: int,
) -> DataFrame:
    """Return only the new rows: `COPIES` of them for each row of `data`.

    Parameters
    ----------
    data : DataFrame
        Rows with `KEY` and `COPIES`, from `spark_sentiment.balance.counts.allot`.
    label, features : str
        Columns of the class (numeric) and of the vector (dense, sparse or mixed, of one size).
    blocks : mapping of float to int
        Number of blocks of each class. Rows of a class that is not in it are ignored.
    k : int
        Number of neighbours to choose from; fewer if the block is smaller. A row that is alone in
        its block is repeated.
    seed : int
        Seed; together with the content of the rows it determines every random choice.
    block_size : int
        Size of a block. A block of more than twice this size, which only equal rows can cause, is
        processed in pieces of this size.

    Returns
    -------
    DataFrame
        The columns of `data` without `KEY` and `COPIES`; all but `features` come from the base row.
    """
    value = quoted(label).cast("double")
    first, total = {}, 0
    for name, count in sorted(blocks.items()):
        first[name], total = total, total + count
    inside = F.pmod(F.xxhash64(F.col(KEY)), lookup(blocks, value))
    numbered = data.where(value.isin(list(blocks))).withColumn(
        _BLOCK, (lookup(first, value) + inside).cast("int")
    )
    # The number of partitions is set explicitly, so that adaptive execution does not reduce it: it
    # decides by bytes, but the work grows with the square of the rows.
    tasks = min(total, int(data.sparkSession.conf.get("spark.sql.shuffle.partitions") or 200))
    grouped = numbered.repartition(tasks, _BLOCK).sortWithinPartitions(_BLOCK, KEY)
    schema = data.drop(KEY, COPIES).schema
    return grouped.mapInArrow(_worker(features, k, seed, 2 * block_size), schema)


def _worker(
    features: str, k: int, seed: int, limit: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for block, piece, rows in _by_block(batches, limit):
            rng = np.random.default_rng([seed, block, piece])
            yield from _new_rows(rows, features, k, rng)

    return work


def _by_block(
    batches: Iterable[pa.RecordBatch], limit: int
) -> Iterator[tuple[int, int, pa.RecordBatch]]:
    """Join batches, sorted by block, to one batch per block of at most `limit` rows."""
    held: list[pa.RecordBatch] = []
    rows, piece, current = 0, 0, -1
    for batch in batches:
        numbers = batch.column(_BLOCK).to_numpy()
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, stop in pairwise(starts):
            while start < stop:
                block = int(numbers[start])
                if held and (block != current or rows == limit):
                    yield current, piece, _joined(held)
                    piece = piece + 1 if block == current else 0
                    held, rows = [], 0
                current = block
                taken = min(stop - start, limit - rows)
                held.append(batch.slice(start, taken))
                start, rows = start + taken, rows + taken
    if held:
        yield current, piece, _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _new_rows(
    rows: pa.RecordBatch, features: str, k: int, rng: np.random.Generator
) -> Iterator[pa.RecordBatch]:
    copies = rows.column(COPIES).to_numpy()
    kept = rows.drop_columns([KEY, COPIES, _BLOCK])
    points = read_vectors(kept.column(features), features)
    base = np.repeat(np.arange(len(copies)), copies)
    other, gap = base, np.zeros(len(base))
    if len(copies) > 1 and len(base):
        near = nearest(points, min(k, len(copies) - 1))
        other = near[base, rng.integers(0, near.shape[1], len(base))]
        gap = rng.random(len(base))
    step = max(1, _VALUES // max(1, points.widest))
    place = kept.schema.get_field_index(features)
    for lo in range(0, len(base), step):
        part = slice(lo, lo + step)
        batch = kept.take(pa.array(base[part]))
        vectors = points.between(base[part], other[part], gap[part])
        yield batch.set_column(place, features, vectors)


class DenseRows:
    """Vectors of one block, as a matrix."""

    def __init__(self, values: Floats) -> None:
        self.values = values
        self.rows, self.widest = values.shape
        # Single precision of centred values is twice as fast and sufficient to find candidates;
        # `refined` then orders them in double precision.
        self._centred = (values - values.mean(axis=0)).astype(np.float32)
        self._norms = np.einsum("ij,ij->i", self._centred, self._centred)

    def closeness(self, lo: int, hi: int) -> npt.NDArray[Any]:
        """Return squared distances from rows lo to hi, without the terms that a row shares."""
        near: npt.NDArray[Any] = self._centred[lo:hi] @ self._centred.T
        near *= -2
        near += self._norms
        return near

    def refined(self, lo: int, found: Ints, k: int) -> Ints:
        """Keep the `k` nearest of the candidates `found` for the rows from `lo` on."""
        away = self.values[found]
        away -= self.values[lo : lo + len(found), None]
        order = np.argsort(np.einsum("ijk,ijk->ij", away, away), axis=1, kind="stable")
        return np.take_along_axis(found, order[:, :k], axis=1)

    def between(self, base: Ints, other: Ints, gap: Floats) -> pa.StructArray:
        """Return the points ``base + gap * (other - base)``, as Spark stores vectors."""
        start = self.values[base]
        points = self.values[other]
        points -= start
        points *= gap[:, None]
        points += start
        rows, width = points.shape
        offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
        return _vectors(
            pa.array(np.ones(rows, np.int8)),
            pa.nulls(rows, pa.int32()),
            pa.nulls(rows, pa.list_(pa.int32())),
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(points.ravel())),
        )


class SparseRows:
    """Vectors of one block, some or all of them sparse, concatenated by row.

    BLAS multiplies the columns that many rows use (an embedding beside TF-IDF, frequent words).
    For the other columns, every pair of rows that share one is multiplied, so no matrix becomes as
    wide as the vocabulary.
    """

    def __init__(self, starts: Ints, indices: Ints, values: Floats, size: int) -> None:
        self.starts, self.indices, self.values, self.size = starts, indices, values, size
        self.rows = len(starts) - 1
        lengths = np.diff(starts)
        self.widest = 2 * int(lengths.max(initial=1))
        owner = np.repeat(np.arange(self.rows), lengths)
        squares = np.bincount(owner, values * values, minlength=self.rows)
        self._norms = squares.astype(np.float64)

        _, column, used = np.unique(indices, return_inverse=True, return_counts=True)
        frequent = used > max(_FREQUENT * self.rows, 1)
        dense = frequent[column]
        self._frequent = np.zeros((self.rows, int(frequent.sum())))
        renumbered = np.cumsum(frequent) - 1
        self._frequent[owner[dense], renumbered[column[dense]]] = values[dense]

        # A column that only one row uses adds nothing to a product of two rows.
        rare = ~dense & (used[column] > 1)
        order = np.argsort(column[rare], kind="stable")
        self._owner, self._value = owner[rare][order], values[rare][order]
        sizes = np.unique(column[rare], return_counts=True)[1]
        self._group = np.repeat(sizes, sizes)
        self._first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        self._by_row = np.argsort(self._owner, kind="stable")
        self._row_start = np.searchsorted(self._owner[self._by_row], np.arange(self.rows + 1))

    def closeness(self, lo: int, hi: int) -> Floats:
        """Return squared distances from rows lo to hi, without the terms that a row shares."""
        near = self._frequent[lo:hi] @ self._frequent.T
        self._add_rare(near.reshape(-1), lo, hi)
        near *= -2
        near += self._norms
        return near

    def refined(self, lo: int, found: Ints, k: int) -> Ints:
        """Keep the first `k` of the candidates: `closeness` is in double precision already."""
        return found[:, :k]

    def between(self, base: Ints, other: Ints, gap: Floats) -> pa.StructArray:
        """Return the points ``base + gap * (other - base)``, as Spark stores sparse vectors."""
        rows = len(base)
        near, near_row = self._entries(base)
        far, far_row = self._entries(other)
        owner = np.concatenate([near_row, far_row])
        values = np.concatenate(
            [self.values[near] * (1 - gap)[near_row], self.values[far] * gap[far_row]]
        )
        cell = owner * self.size + np.concatenate([self.indices[near], self.indices[far]])
        order = np.argsort(cell, kind="stable")
        cell = cell[order]
        new = np.flatnonzero(np.diff(cell, prepend=-1))
        summed = np.add.reduceat(values[order], new) if len(new) else values
        cell = cell[new]
        ends = np.cumsum(np.bincount(cell // self.size, minlength=rows))
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
        return _vectors(
            pa.array(np.zeros(rows, np.int8)),
            pa.array(np.full(rows, self.size, np.int32)),
            pa.ListArray.from_arrays(offsets, pa.array((cell % self.size).astype(np.int32))),
            pa.ListArray.from_arrays(offsets, pa.array(summed)),
        )

    def _entries(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return the positions of all entries of `rows`, and the index in `rows` of each."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        return _ranges(self.starts[rows], lengths), np.repeat(np.arange(len(rows)), lengths)

    def _add_rare(self, products: Floats, lo: int, hi: int) -> None:
        left = self._by_row[self._row_start[lo] : self._row_start[hi]]
        ends = np.cumsum(self._group[left])
        start = 0
        while start < len(left):
            done = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
            one = left[start:stop]
            many = self._group[one]
            two = _ranges(self._first[one], many)
            one = np.repeat(one, many)
            place = (self._owner[one] - lo) * self.rows + self._owner[two]
            np.add.at(products, place, self._value[one] * self._value[two])
            start = stop


Points = DenseRows | SparseRows


def nearest(points: Points, k: int) -> Ints:
    """Return, for each row, the places of its `k` nearest other rows by Euclidean distance.

    The neighbours are exact, by brute force: rows squared x width multiplications.
    """
    n = points.rows
    found = np.empty((n, k), np.int64)
    step = max(1, _DISTANCES // n)
    candidates = min(2 * k, n - 1)
    for lo in range(0, n, step):
        hi = min(lo + step, n)
        near = points.closeness(lo, hi)
        near[np.arange(hi - lo), np.arange(lo, hi)] = np.inf
        found[lo:hi] = points.refined(lo, smallest(near, candidates), k)
    return found


def smallest(table: npt.NDArray[Any], k: int) -> Ints:
    """Return the places of the `k` smallest numbers of each row, in rising order.

    The smallest numbers lie in the `k` tiles with the smallest minimum, so only these tiles are
    searched. This is much faster than a partition of whole rows.
    """
    rows, width = table.shape
    tiles = width // _TILE
    if tiles < 4 * k:
        places = np.argpartition(table, k - 1, axis=1)[:, :k]
    else:
        # Tile t is every column c with c % tiles == t; the few remaining columns are added below.
        whole = tiles * _TILE
        minima = table[:, :whole].reshape(rows, _TILE, tiles).min(axis=1)
        chosen = np.argpartition(minima, k - 1, axis=1)[:, :k]
        columns = (chosen[:, None, :] + (np.arange(_TILE) * tiles)[:, None]).reshape(rows, -1)
        rest = np.broadcast_to(np.arange(whole, width), (rows, width - whole))
        columns = np.concatenate([columns, rest], axis=1)
        values = np.take_along_axis(table, columns, axis=1)
        picked = np.argpartition(values, k - 1, axis=1)[:, :k]
        places = np.take_along_axis(columns, picked, axis=1)
    order = np.argsort(np.take_along_axis(table, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)


def read_vectors(column: pa.StructArray, name: str) -> Points:
    """Read a vector column in Spark's Arrow form; all rows must have one size."""
    kind, size, indices, values = column.flatten()
    dense = kind.to_numpy() == 1
    lengths = pc.list_value_length(values).to_numpy().astype(np.int64)
    sizes = np.where(dense, lengths, pc.fill_null(size, 0).to_numpy())
    if sizes.min() != sizes.max():
        raise DataError(
            f"column '{name}' holds vectors of different sizes, from {sizes.min()} to {sizes.max()}"
        )
    entries = values.flatten().to_numpy()
    if not np.isfinite(entries).all():
        raise DataError(f"column '{name}' holds vectors with NaN or infinity; clean them first")
    width = int(sizes[0])
    if dense.all():
        return DenseRows(entries.reshape(len(sizes), width))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    places = np.empty(len(entries), np.int64)
    listed = np.repeat(~dense, lengths)
    places[listed] = indices.flatten().to_numpy()
    places[~listed] = _ranges(np.zeros(int(dense.sum()), np.int64), lengths[dense])
    return SparseRows(starts, places, entries, width)


def _ranges(starts: Ints, lengths: Ints) -> Ints:
    """Return the numbers from each start on, as many as its length, one range after another."""
    numbers: Ints = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    numbers += np.arange(len(numbers))
    return numbers


def _vectors(kind: pa.Array, size: pa.Array, indices: pa.Array, values: pa.Array) -> pa.Array:
    fields = [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.field("element", pa.int32(), nullable=False))),
        pa.field("values", pa.list_(pa.field("element", pa.float64(), nullable=False))),
    ]
    arrays = zip((kind, size, indices, values), fields, strict=True)
    parts = [array.cast(field.type) for array, field in arrays]
    return pa.StructArray.from_arrays(parts, fields=fields)
