"""Read features, labels and weights from CSV, libsvm, JSON and RecordIO-protobuf."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.errors import ContainerError

Matrix = Any
"""Rows of features: a dense array, or a sparse CSR matrix if the format omits zeros."""

CSV, RECORDIO = "text/csv", recordio.CONTENT_TYPE
LIBSVM = ("text/libsvm", "text/x-libsvm")


@dataclass(frozen=True)
class Table:
    """Rows of a channel."""

    features: Matrix
    labels: "np.ndarray[Any, Any] | None"
    weights: "np.ndarray[Any, Any] | None" = None


def named(content_type: str) -> tuple[str, dict[str, str]]:
    """Split a content type into its name and its parameters.

    Examples
    --------
    >>> named("text/csv; label_size=0")
    ('text/csv', {'label_size': '0'})
    """
    name, *parameters = (part.strip() for part in content_type.split(";"))
    pairs = (parameter.partition("=") for parameter in parameters)
    return name.lower(), {key.strip().lower(): value.strip() for key, _, value in pairs}


def read(bodies: Sequence[bytes], content_type: str, *, weighted: bool = False) -> Table:
    """Read the objects of a training channel.

    Parameters
    ----------
    bodies : sequence of bytes
        Contents of the objects.
    content_type : str
        Content type. CSV has the label first, except with ``label_size=0``.
    weighted : bool, default False
        Whether the second column of CSV is a weight.

    Raises
    ------
    ValueError
        If a body does not have that format.

    Examples
    --------
    >>> read([b"1,0.5,2"], "text/csv").features.tolist()
    [[0.5, 2.0]]
    """
    kind, parameters = named(content_type)
    if kind == CSV:
        numbers = np.vstack([_csv(body) for body in bodies])
        label_size = int(parameters.get("label_size", "1"))
        if label_size not in (0, 1):
            raise ValueError(f"label_size must be 0 or 1, got {label_size}")
        labels = numbers[:, 0] if label_size else None
        weights = numbers[:, label_size] if weighted else None
        return Table(numbers[:, label_size + weighted :], labels, weights)
    if kind in LIBSVM:
        return _libsvm([line for body in bodies for line in body.decode().splitlines()])
    if kind == RECORDIO:
        return _records([message for body in bodies for message in recordio.frames(body)])
    raise ValueError(f"content type {content_type} is unknown")


def request(body: bytes, content_type: str) -> Matrix:
    """Read the features of a request; raise ContainerError if it cannot be read."""
    kind, _ = named(content_type)
    readers: dict[str, Callable[[bytes], Matrix]] = {
        CSV: _csv,
        RECORDIO: lambda sent: _records(list(recordio.frames(sent))).features,
        "application/json": lambda sent: _json(json.loads(sent)["instances"]),
        "application/jsonlines": lambda sent: _json(map(json.loads, sent.splitlines())),
        **dict.fromkeys(LIBSVM, lambda sent: _entries(sent.decode().splitlines())),
    }
    if kind not in readers:
        raise ContainerError(415, f"content type '{content_type}' is not supported")
    try:
        return readers[kind](body)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ContainerError(400) from error


def fitted(features: Matrix, width: int) -> Matrix:
    """Return rows of `width` columns; raise ValueError if they have another width.

    Sparse rows may be narrower, because libsvm omits columns without an entry.
    """
    if features.shape[1] == width:
        return features
    if isinstance(features, np.ndarray) or features.shape[1] > width:
        raise ValueError(f"there are {features.shape[1]} columns, not {width}")
    from scipy.sparse import csr_matrix

    parts = (features.data, features.indices, features.indptr)
    return csr_matrix(parts, shape=(features.shape[0], width))


def _csv(body: bytes) -> Matrix:
    """Read lines of numbers; an empty cell is a missing value."""
    lines = [line.split(",") for line in body.decode().splitlines() if line.strip()]
    if len({len(cells) for cells in lines}) != 1:
        raise ValueError("the lines of the CSV have different numbers of cells, or there are none")
    return np.array([[cell.strip() or "nan" for cell in cells] for cells in lines], dtype=float)


def _libsvm(lines: Sequence[str]) -> Table:
    """Read 'label[:weight] index:value ...'; indices start at 1."""
    heads = [line.split(maxsplit=1)[0].split(":") for line in lines if line.strip()]
    labels = np.array([float(head[0]) for head in heads])
    weights = np.array([float(head[1]) for head in heads if len(head) == 2])
    if len(weights) not in (0, len(labels)):
        raise ValueError("some lines have a weight, and some have none")
    rest = [line.split(maxsplit=1)[1:] for line in lines if line.strip()]
    features = _entries([" ".join(["0", *one]) for one in rest])
    return Table(features, labels, weights if len(weights) else None)


def _entries(lines: Sequence[str]) -> Matrix:
    """Read the 'index:value' entries of each line, and ignore the label before them."""
    from scipy.sparse import csr_matrix

    values: list[float] = []
    places: list[int] = []
    ends = [0]
    for line in lines:
        if not line.strip():
            continue
        for entry in line.split():
            place, colon, value = entry.partition(":")
            if colon:
                places.append(int(place) - 1)
                values.append(float(value))
        ends.append(len(values))
    if len(ends) == 1 or min(places, default=0) < 0:
        raise ValueError("there are no rows, or a place is below 1")
    return csr_matrix((values, places, ends), shape=(len(ends) - 1, max(places, default=-1) + 1))


def _records(messages: Sequence[bytes]) -> Table:
    """Read the records of RecordIO; a row is sparse if its tensor has keys."""
    if not messages:
        raise ValueError("there are no records")
    rows, labels = [], []
    for message in messages:
        record = recordio.record_type()()
        record.ParseFromString(message)
        tensors = {entry.key: _tensor(entry.value) for entry in record.features}
        rows.append(tensors["values"])
        labels += [_tensor(entry.value).values[0] for entry in record.label[:1]]
    if len(labels) not in (0, len(rows)):
        raise ValueError("some records have a label, and some have none")
    found = np.array(labels) if labels else None
    if any(len(row.keys) or len(row.shape) for row in rows):
        return Table(_sparse(rows), found)
    if len({len(row.values) for row in rows}) != 1:
        raise ValueError("the records have different numbers of features")
    return Table(np.array([row.values for row in rows], dtype=float), found)


def _tensor(value: Any) -> Any:
    fields = value.ListFields()
    if not fields:
        raise ValueError("a record has no numbers")
    return fields[0][1]


def _sparse(rows: Sequence[Any]) -> Matrix:
    from scipy.sparse import csr_matrix

    dense = [range(len(row.values)) if not len(row.shape) else row.keys for row in rows]
    widths = [row.shape[0] if len(row.shape) else len(row.values) for row in rows]
    return csr_matrix(
        (
            np.concatenate([np.array(row.values, dtype=float) for row in rows]),
            np.concatenate([np.array(keys, dtype=np.int64) for keys in dense]),
            np.cumsum([0, *(len(keys) for keys in dense)]),
        ),
        shape=(len(rows), max(widths)),
    )


def _json(instances: Any) -> Matrix:
    """Read {"features": [...]}, or the longer form with "data", "features" and "values"."""
    rows = []
    for instance in instances:
        features = instance["features"] if "features" in instance else instance["data"]["features"]
        rows.append(features["values"] if isinstance(features, dict) else features)
    return np.array(rows, dtype=float).reshape(len(rows), -1)
