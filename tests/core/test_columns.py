"""Checks of columns and what their messages show."""

import pytest
from pyspark.sql.types import StringType, StructType

from spark_sentiment.core import find
from spark_sentiment.errors import SchemaError


def test_a_missing_column_lists_a_bounded_number_of_names() -> None:
    schema = StructType()
    for i in range(5000):
        schema.add(f"{'n' * 50}{i}", StringType())
    with pytest.raises(SchemaError, match=r"and 4,980 more$") as error:
        find(schema, "Stage_1", "gone")
    assert len(str(error.value)) < 20 * 50


def test_a_text_that_stands_for_a_name_is_not_shown() -> None:
    schema = StructType().add("id", StringType()).add("SECRET" + " so soft" * 9, StringType())
    with pytest.raises(SchemaError, match="2, not shown because the longest has 78") as error:
        find(schema, "Stage_1", "gone")
    assert "SECRET" not in str(error.value)
