"""Write predictions as the body of an answer, in the accepted format."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.algorithms.tables import named
from spark_sentiment.standin.errors import ContainerError

_JSON, _LINES = "application/json", "application/jsonlines"


def write(predictions: Sequence[Mapping[str, Any]], accept: str) -> tuple[bytes, str]:
    r"""Return the body of an answer and its content type.

    Parameters
    ----------
    predictions : sequence of mapping
        A mapping for each row, from names to numbers or lists of numbers.
    accept : str
        ``application/json`` (also for an empty string or ``*/*``), ``application/jsonlines`` or
        ``application/x-recordio-protobuf``.

    Examples
    --------
    >>> write([{"score": 0.5}, {"score": 1.0}], "application/jsonlines")
    (b'{"score": 0.5}\n{"score": 1.0}\n', 'application/jsonlines')
    """
    kind, _ = named(accept)
    if kind in ("", "*/*", _JSON):
        return json.dumps({"predictions": [dict(one) for one in predictions]}).encode(), _JSON
    if kind == _LINES:
        return "".join(json.dumps(dict(one)) + "\n" for one in predictions).encode(), _LINES
    if kind == recordio.CONTENT_TYPE:
        return b"".join(map(_record, predictions)), recordio.CONTENT_TYPE
    raise ContainerError(406, f"accept type '{accept}' is not supported")


def _record(prediction: Mapping[str, Any]) -> bytes:
    record = recordio.record_type()()
    for name, value in prediction.items():
        entry = record.label.add(key=name)
        numbers = value if isinstance(value, list) else [value]
        entry.value.float32_tensor.values.extend(numbers)
    return recordio.frame(record.SerializeToString())
