"""Read the rows of a small table into one matrix, in a Python worker."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_ROWS = 200_000
MAX_VALUES = 16_000_000
"""Limits of one worker: as sparse vectors this is 200 MB, and a fit needs twice as much more."""


class Rows(NamedTuple):
    """Training rows.

    Attributes
    ----------
    x : array or scipy.sparse.csr_array, shape (rows, features)
        The features; an array if all vectors are dense.
    label, fold : array of int, shape (rows,)
        Class and fold; a row with fold -1 is in every problem.
    weight : array of float, shape (rows,)
        Weight of each row.
    """

    x: Any
    label: NDArray[np.int64]
    fold: NDArray[np.int64]
    weight: Floats

    @property
    def classes(self) -> int:
        """Largest label plus 1."""
        return int(self.label.max()) + 1

    @property
    def sparse(self) -> bool:
        """Whether `x` is sparse."""
        return not isinstance(self.x, np.ndarray)

    def kept(self, folds: int) -> Floats:
        """Return the weight of each row in each problem, shape (rows, folds + 1).

        Problem i omits fold i, and the last problem omits nothing.
        """
        kept: Floats = self.weight[:, None] * (self.fold[:, None] != np.arange(folds + 1))
        return kept


def read_rows(batches: Iterable[Any]) -> Rows | None:
    """Read Arrow batches with the columns x (a vector), label, fold and weight.

    Returns
    -------
    Rows or None
        None if there are no rows or more than `MAX_VALUES` numbers, if a vector is null, holds NaN
        or has another size than the others, if a label is not a whole number from 0, or if a weight
        is negative or null.

    Notes
    -----
    In Arrow, a vector column is a struct as in Spark: type (0 sparse, 1 dense), size, indices and
    values.
    """
    found: list[list[NDArray[Any]]] = []
    size = 0
    for batch in batches:
        vectors = batch.column("x")
        if vectors.null_count:
            return None
        counts, values = _lists(vectors.field("values"))
        _, indices = _lists(vectors.field("indices"))
        size += len(values)
        if size > MAX_VALUES:
            return None
        dense = _array(vectors.field("type"), np.int8) == 1
        sizes = np.where(dense, counts, _array(vectors.field("size"), np.float64))
        others = [_array(batch.column(name), np.float64) for name in ("label", "fold", "weight")]
        found.append([dense, sizes, counts, values, indices, *others])
    if not found:
        return None
    dense, sizes, counts, values, indices, label, fold, weight = map(
        np.concatenate, zip(*found, strict=True)
    )
    sound = (
        len(sizes)
        and (sizes == sizes[0]).all()
        and np.isfinite(values).all()
        and ((label >= 0) & (label == np.floor(label))).all()
        and (np.isfinite(weight) & (weight >= 0)).all()
    )
    if not sound:
        return None
    x = _matrix(dense, int(sizes[0]), counts, values.astype(np.float64), indices)
    return Rows(x, label.astype(np.int64), fold.astype(np.int64), weight)


def _matrix(
    dense: NDArray[np.bool_], width: int, counts: NDArray[Any], values: Floats, given: NDArray[Any]
) -> Any:
    """Return vectors as one matrix; `given` has the column numbers of values of sparse vectors."""
    from scipy.sparse import csr_array

    if dense.all():
        return values.reshape(len(dense), width)
    indices = np.empty(len(values), dtype=np.int32)
    of_dense = np.repeat(dense, counts)
    indices[~of_dense] = given
    indices[of_dense] = np.tile(np.arange(width, dtype=np.int32), int(dense.sum()))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return csr_array((values, indices, starts), shape=(len(dense), width))


def _lists(column: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return lengths and concatenated values of an Arrow column of lists; null is empty."""
    ends = column.offsets.to_numpy()
    return np.diff(ends), column.values.to_numpy(zero_copy_only=False)[ends[0] : ends[-1]]


def _array(column: Any, kind: type[Any]) -> NDArray[Any]:
    """Return an Arrow column of numbers as an array; null becomes NaN."""
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(kind)
