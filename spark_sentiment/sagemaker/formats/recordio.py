"""RecordIO-protobuf, the binary format of SageMaker's built-in algorithms.

A body is a sequence of frames. Each frame holds a protobuf message ``Record``::

    magic 0xCED7230A | length of the message | message | zeros up to a multiple of 4 bytes

Both numbers are 32 bits, little-endian. The schema of ``Record``, with the numbers of its fields,
is published in the developer guide ("Common data formats for training") and in SageMaker Spark's
``record.proto``.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import ArrayLike

from spark_sentiment.errors import DataError

CONTENT_TYPE = "application/x-recordio-protobuf"

_MAGIC = 0xCED7230A
_FRAME = struct.Struct("<II")
# Tags of length-delimited fields: the field's number, shifted by 3, with 2 for the wire type.
_FEATURES, _LABEL = b"\x0a", b"\x12"  # of Record
_KEY_VALUES = b"\x0a\x06values"  # key of an entry of features or labels, here always "values"
_VALUE = b"\x12"  # value of that entry
_FLOAT32_TENSOR = b"\x12"  # of Value
_TENSOR_VALUES, _TENSOR_KEYS, _TENSOR_SHAPE = b"\x0a", b"\x12", b"\x1a"  # of Float32Tensor


def encode(
    values: ArrayLike,
    indices: ArrayLike | None = None,
    size: int | None = None,
    label: float | None = None,
) -> bytes:
    """Encode the features of a row as a frame.

    Parameters
    ----------
    values : array-like of float, [n]
        A dense vector, or the stored values of a sparse one; written as float32.
    indices : array-like of int, [n], optional
        Index of each of `values` in a sparse vector, from 0; None for a dense vector.
    size : int, optional
        Width of a sparse vector; needed with `indices`.
    label : float, optional
        Target of a training row.

    Returns
    -------
    bytes
        The same bytes as SageMaker Spark's ``ProtobufRequestRowSerializer`` returns.

    Examples
    --------
    >>> encode([1.0]).hex(" ", 4)
    '0a23d7ce 14000000 0a120a06 76616c75 65731208 12060a04 0000803f'
    """
    tensor = _sized(_TENSOR_VALUES, np.asarray(values, dtype="<f4").tobytes())
    if indices is not None:
        tensor += _sized(_TENSOR_KEYS, b"".join(_varint(int(i)) for i in np.asarray(indices)))
        tensor += _sized(_TENSOR_SHAPE, _varint(int(size or 0)))
    message = _entry(_FEATURES, tensor)
    if label is not None:
        message += _entry(_LABEL, _sized(_TENSOR_VALUES, struct.pack("<f", label)))
    return frame(message)


def frame(message: bytes) -> bytes:
    """Return the frame of a message."""
    return _FRAME.pack(_MAGIC, len(message)) + message + b"\0" * (-len(message) % 4)


def decode(body: bytes) -> Iterator[Mapping[str, "np.ndarray[Any, Any]"]]:
    """Decode the labels of each record of a reply; a sparse tensor becomes a dense one.

    Parameters
    ----------
    body : bytes
        A sequence of frames.

    Yields
    ------
    mapping of str to numpy.ndarray
        Values by the key of the label, such as ``closest_cluster``: float64, [n].

    Raises
    ------
    DataError
        If the body is cut off, or is not RecordIO.

    Examples
    --------
    >>> [dict(record) for record in decode(encode([], label=2.0))]
    [{'values': array([2.])}]
    """
    for message in frames(body):
        record = record_type()()
        try:
            record.ParseFromString(message)
        except ValueError as error:  # protobuf's DecodeError is a ValueError
            raise DataError("a RecordIO frame does not hold a protobuf Record") from error
        yield {entry.key: _filled(entry.value) for entry in record.label}


def frames(body: bytes) -> Iterator[bytes]:
    """Yield the messages of a RecordIO body; raise DataError if it is cut off or not RecordIO."""
    place = 0
    while place < len(body):
        if len(body) - place < _FRAME.size:
            raise DataError(f"a RecordIO body of {len(body)} bytes ends inside a frame header")
        magic, length = _FRAME.unpack_from(body, place)
        if magic != _MAGIC:
            raise DataError(f"byte {place} of a RecordIO body does not start a frame")
        place += _FRAME.size
        if len(body) - place < length:
            raise DataError(f"a RecordIO body of {len(body)} bytes ends inside a message")
        yield body[place : place + length]
        place += length + -length % 4


@cache
def record_type() -> Any:
    """Return the protobuf class of ``Record``, with the fields that the algorithms use."""
    file = descriptor_pb2.FileDescriptorProto(
        name="spark_sentiment/record.proto", package="spark_sentiment.sagemaker", syntax="proto2"
    )
    kind = descriptor_pb2.FieldDescriptorProto
    tensor = [("values", 1), ("keys", 2), ("shape", 3)]

    def message(name: str, *fields: tuple[str, int, Any, str]) -> None:
        made = file.message_type.add(name=name)
        for field, number, of, type_name in fields:
            repeated = name.endswith("Tensor") or name == "Record"
            added = made.field.add(
                name=field,
                number=number,
                type=of,
                label=kind.LABEL_REPEATED if repeated else kind.LABEL_OPTIONAL,
            )
            if type_name:
                added.type_name = f".spark_sentiment.sagemaker.{type_name}"
            elif repeated:
                added.options.packed = True

    numbers = {
        "Float32Tensor": kind.TYPE_FLOAT,
        "Float64Tensor": kind.TYPE_DOUBLE,
        "Int32Tensor": kind.TYPE_INT32,
    }
    for name, of in numbers.items():
        message(name, *((f, n, of if f == "values" else kind.TYPE_UINT64, "") for f, n in tensor))
    nested = kind.TYPE_MESSAGE
    message(
        "Value",
        ("float32_tensor", 2, nested, "Float32Tensor"),
        ("float64_tensor", 3, nested, "Float64Tensor"),
        ("int32_tensor", 7, nested, "Int32Tensor"),
    )
    message("Entry", ("key", 1, kind.TYPE_STRING, ""), ("value", 2, nested, "Value"))
    message("Record", ("features", 1, nested, "Entry"), ("label", 2, nested, "Entry"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("spark_sentiment.sagemaker.Record")
    return message_factory.GetMessageClass(found)


def _entry(tag: bytes, tensor: bytes) -> bytes:
    value = _sized(_VALUE, _FLOAT32_TENSOR + _varint(len(tensor)) + tensor)
    return _sized(tag, _KEY_VALUES + value)


def _sized(tag: bytes, content: bytes) -> bytes:
    """Encode a length-delimited field; an empty field is omitted, as in protobuf."""
    return tag + _varint(len(content)) + content if content else b""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _filled(value: Any) -> "np.ndarray[Any, Any]":
    """Return the values of a tensor as one dense row."""
    for name in ("float32_tensor", "float64_tensor", "int32_tensor"):
        if value.HasField(name):
            tensor = getattr(value, name)
            break
    else:
        return np.empty(0)
    values = np.asarray(tensor.values, dtype=np.float64)
    if not tensor.keys:
        return values
    dense = np.zeros(int(np.prod(tensor.shape)))
    dense[np.asarray(tensor.keys, dtype=np.int64)] = values
    return dense
