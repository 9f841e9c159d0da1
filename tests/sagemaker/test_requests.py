"""The bytes of a request: by hand, and as SageMaker Spark's own serializers write them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.ml.linalg import DenseVector, SparseVector, Vector, Vectors, VectorUDT
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, StructType

from spark_sentiment.errors import DataError
from spark_sentiment.sagemaker.formats import recordio, requests

Bodies = Callable[..., list[bytes | None]]


@pytest.fixture
def bodies(spark: SparkSession) -> Bodies:
    """Write each vector as the part of a request, with label 2.0 where `labelled`."""

    def write(
        form: str, vectors: list[Vector | None], labelled: bool = False
    ) -> list[bytes | None]:
        schema = StructType().add("features", VectorUDT()).add("label", DoubleType())
        df = spark.createDataFrame([(vector, 2.0) for vector in vectors], schema).coalesce(1)
        label = "label" if labelled else None
        rows = df.select(requests.record(schema, form, "features", label, {}).alias("r")).collect()
        return [None if row.r is None else requests.encoded(form, row.r) for row in rows]

    return write


class TestByHand:
    def test_csv_is_all_values_in_javas_spelling(self, bodies: Bodies) -> None:
        vectors = [Vectors.dense(1, -0.5, 1e-7, 1e10), Vectors.sparse(3, [1], [2.5])]
        assert bodies("csv", vectors) == [b"1.0,-0.5,1.0E-7,1.0E10\n", b"0.0,2.5,0.0\n"]

    def test_libsvm_is_what_a_vector_stores_counted_from_one(self, bodies: Bodies) -> None:
        vectors = [Vectors.dense(0, 1.5), Vectors.sparse(9, [1, 8], [0.0, 2.5]), Vectors.dense([])]
        assert bodies("libsvm", vectors) == [b"0.0 1:0.0 2:1.5\n", b"0.0 2:0.0 9:2.5\n", b"0.0\n"]

    def test_libsvm_writes_the_label_that_it_is_given(self, bodies: Bodies) -> None:
        assert bodies("libsvm", [Vectors.dense(1)], labelled=True) == [b"2.0 1:1.0\n"]

    def test_recordio_of_a_dense_vector(self, bodies: Bodies) -> None:
        told = (
            "0a23d7ce 14000000"  # magic number and length, little-endian
            "0a 12"  # Record.features, 18 bytes
            "0a 06 76616c756573"  # key: values
            "12 08"  # value
            "12 06"  # its float32_tensor
            "0a 04 0000803f"  # values: 1.0
        )
        assert bodies("recordio", [Vectors.dense(1)]) == [bytes.fromhex(told)]

    def test_recordio_of_a_sparse_vector_is_filled_up_to_four_bytes(self, bodies: Bodies) -> None:
        told = (
            "0a23d7ce 21000000"
            "0a 1f 0a 06 76616c756573 12 15 12 13"
            "0a 08 00000040 0000003f"  # values: 2.0, 0.5
            "12 03 01 ac02"  # keys: 1, and 300 as a varint of two bytes
            "1a 02 e807"  # shape: 1000
            "000000"
        )
        vector = Vectors.sparse(1000, [1, 300], [2.0, 0.5])
        assert bodies("recordio", [vector]) == [bytes.fromhex(told)]

    def test_null_is_not_sent(self, bodies: Bodies) -> None:
        assert [bodies(form, [None]) for form in ("csv", "libsvm", "recordio")] == [[None]] * 3

    def test_json_lines_take_each_key_from_its_column(self, spark: SparkSession) -> None:
        rows = [
            ('say "hi"\n', 1, Vectors.sparse(2, [0], [0.5])),
            (None, 2, None),
            (None, None, None),
        ]
        schema = StructType().add("text", "string").add("n", "integer").add("v", VectorUDT())
        df = spark.createDataFrame(rows, schema).coalesce(1)
        fields = {"source": "text", "k": "n", "features": "v"}
        line = requests.record(schema, "jsonlines", "features", None, fields)
        assert [row[0] for row in df.select(line).collect()] == [
            '{"source":"say \\"hi\\"\\n","k":1,"features":[0.5,0.0]}',
            '{"source":null,"k":2,"features":null}',
            None,
        ]


FLOATS = st.floats(width=32, allow_nan=False)


class TestRecordIO:
    @given(st.lists(FLOATS))
    def test_protobufs_own_reader_gets_the_values_back(self, values: list[float]) -> None:
        record = recordio.record_type()()
        (message,) = recordio.frames(recordio.encode(values))
        record.ParseFromString(message)
        assert list(record.features[0].value.float32_tensor.values) == values
        assert record.SerializeToString(deterministic=True) == message

    @given(st.dictionaries(st.integers(0, 10**6), FLOATS), st.floats(-10, 10, width=32))
    def test_a_sparse_row_with_its_label_too(self, stored: dict[int, float], label: float) -> None:
        places = sorted(stored)
        record = recordio.record_type()()
        body = recordio.encode([stored[i] for i in places], places, 10**6 + 1, label)
        assert len(body) % 4 == 0
        record.ParseFromString(next(recordio.frames(body)))
        tensor = record.features[0].value.float32_tensor
        assert dict(zip(tensor.keys, tensor.values, strict=True)) == stored
        assert list(tensor.shape) == [10**6 + 1]
        assert list(record.label[0].value.float32_tensor.values) == [label]

    @given(st.lists(st.lists(FLOATS, min_size=1), min_size=1), st.data())
    def test_a_body_that_is_cut_off_is_refused(
        self, rows: list[list[float]], data: st.DataObject
    ) -> None:
        body = b"".join(recordio.encode(row) for row in rows)
        last = len(recordio.encode(rows[-1]))
        cut = data.draw(st.integers(len(body) - last + 1, len(body) - 4))
        with pytest.raises(DataError, match="ends inside"):
            list(recordio.frames(body[:cut]))

    def test_what_is_no_recordio_is_refused(self) -> None:
        with pytest.raises(DataError, match="byte 0 of a RecordIO body does not start a frame"):
            list(recordio.frames(b"0.5,0.25,0.125"))


def test_every_format_is_byte_for_byte_upstreams(spark: SparkSession, bodies: Bodies) -> None:
    vectors: list[DenseVector | SparseVector] = [
        Vectors.dense(1.0, -0.0, 0.1, 1 / 3, 123456789.125, 1e-7, 1e300, 5e-324, 1e7, 1e-3),
        Vectors.dense(math.inf, -math.inf, math.nan),
        Vectors.dense([float(i) / 7 for i in range(200)]),
        Vectors.sparse(300, [0, 127, 128, 299], [1.5, 0.0, -2.25, 1e-9]),
        Vectors.sparse(70_000, [69_999], [3.0]),
        Vectors.sparse(4, [], []),
    ]
    schema = StructType().add("label", "double").add("features", VectorUDT())
    frame = spark.createDataFrame([(2.0, vector) for vector in vectors], schema)._jdf
    jvm: Any = spark._jvm
    rows, columns = frame.collectAsList(), jvm.scala.Option.apply(frame.schema())
    of = jvm.com.amazonaws.services.sagemaker.sparksdk.transformation.serializers
    serializers = {
        "csv": of.UnlabeledCSVRequestRowSerializer(columns, "features"),
        "libsvm": of.UnlabeledLibSVMRequestRowSerializer(columns, "features"),
        "labelled libsvm": of.LibSVMRequestRowSerializer(columns, "label", "features"),
        "recordio": of.ProtobufRequestRowSerializer(columns, "features"),
    }
    theirs = {
        name: [bytes(serializer.serializeRow(row)) for row in rows]
        for name, serializer in serializers.items()
    }
    ours = {
        "csv": bodies("csv", vectors),
        "libsvm": bodies("libsvm", vectors),
        "labelled libsvm": bodies("libsvm", vectors, labelled=True),
        "recordio": bodies("recordio", vectors),
    }
    assert ours == theirs
