"""Check training rows and convert them to the training files of an algorithm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, NumericType, StringType, StructType

from spark_sentiment.core import find, quoted
from spark_sentiment.errors import DataError, SchemaError
from spark_sentiment.sagemaker.formats import recordio, requests

CONTENT_TYPES = {
    "recordio": recordio.CONTENT_TYPE,
    "csv": "text/csv",
    "libsvm": "text/libsvm",
    "text": "text/plain",
}
"""Formats of training files, with their content types."""

FEATURES, LABEL, WEIGHT, VALIDATION = "features", "label", "weight", "validation"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a training row; None for an unused column.

    `features` is a vector, or a string for format 'text'. `validation` is a boolean that marks the
    rows of the validation channel.
    """

    features: str
    label: str | None
    weight: str | None
    validation: str | None

    def check(self, schema: StructType, uid: str, form: str) -> None:
        """Raise SchemaError if a column is missing or has a wrong type."""
        find(schema, uid, self.features, StringType if form == "text" else VectorUDT)
        if self.label is not None:
            kinds = (NumericType, StringType) if form == "text" else (NumericType,)
            find(schema, uid, self.label, *kinds)
        elif form in ("text", "libsvm"):
            raise SchemaError(f"{uid}: training format '{form}' needs a label: set Param labelCol")
        if self.weight is not None:
            if form not in ("csv", "libsvm"):
                raise SchemaError(
                    f"{uid}: training format '{form}' has no weights: unset weightCol"
                )
            find(schema, uid, self.weight, NumericType)
        if self.validation is not None:
            find(schema, uid, self.validation, BooleanType)

    def of(self, df: DataFrame) -> DataFrame:
        """Return these columns of `df` under fixed names, without the unused ones."""
        named = {
            FEATURES: self.features,
            LABEL: self.label,
            WEIGHT: self.weight,
            VALIDATION: self.validation,
        }
        return df.select(
            *(quoted(name).alias(own) for own, name in named.items() if name is not None)
        )


@dataclass(frozen=True)
class Facts:
    """Counts of the training rows.

    Attributes
    ----------
    rows, judged : int
        Numbers of training rows and of validation rows.
    width : int or None
        Width of the vectors.
    classes : int or None
        Largest label plus one, if all labels are whole numbers from 0.
    """

    rows: int
    judged: int
    width: int | None
    classes: int | None


def facts(uid: str, df: DataFrame) -> Facts:
    """Count and check the columns that `Columns.of` returned, in one pass.

    Raises
    ------
    DataError
        If there is no training row, a value is null, or the vectors have different widths.
    """
    kinds = {field.name: field.dataType for field in df.schema}
    judged = F.col(VALIDATION) if VALIDATION in kinds else F.lit(False)
    asked: dict[str, Column] = {
        "rows": F.count_if(~judged),
        "judged": F.count_if(judged),
        **{f"null {name}": F.count_if(F.col(name).isNull()) for name in kinds},
    }
    if isinstance(kinds[FEATURES], VectorUDT):
        vector = F.unwrap_udt(FEATURES)
        width = F.coalesce(vector["size"], F.size(vector["values"]))
        asked |= {"narrowest": F.min(width), "widest": F.max(width)}
    if isinstance(kinds.get(LABEL), NumericType):
        label = F.col(LABEL)
        odd = (label < 0) | (label != F.floor(label))
        asked |= {"odd": F.count_if(odd), "largest": F.max(label)}
    found = df.agg(*(column.alias(name) for name, column in asked.items())).head()
    told: dict[str, Any] = found.asDict() if found else {}
    nulls = [f"{told[f'null {name}']:,} null {name}" for name in kinds if told[f"null {name}"]]
    if nulls:
        raise DataError(f"{uid}: training rows hold {', '.join(nulls)}; drop or fill them first")
    if not told["rows"]:
        raise DataError(f"{uid}: there are no training rows")
    if told.get("narrowest") != told.get("widest"):
        raise DataError(
            f"{uid}: vectors have from {told['narrowest']:,} to {told['widest']:,} values; all "
            "must have the same width"
        )
    whole = told.get("odd") == 0
    return Facts(
        told["rows"],
        told["judged"],
        told.get("widest"),
        int(told["largest"]) + 1 if whole else None,
    )


@dataclass(frozen=True)
class Files:
    """Rows to write, with the name and the options of a Spark data source."""

    rows: DataFrame
    format: str
    options: Mapping[str, str]


def files(df: DataFrame, form: str) -> Files:
    """Convert the columns that `Columns.of` returned to training files.

    Column expressions write text formats; the data source of sagemaker_pyspark writes RecordIO.
    """
    there = df.columns
    if form == "recordio":
        options = {"featuresColumnName": FEATURES}
        if LABEL in there:
            df = df.withColumn(LABEL, F.col(LABEL).cast("double"))
            options["labelColumnName"] = LABEL
        return Files(df.drop(WEIGHT, VALIDATION), "sagemaker", options)
    numbers = [
        F.col(name).cast("double").cast("string") for name in (LABEL, WEIGHT) if name in there
    ]
    if form == "csv":
        features = requests.record(df.schema, "csv", FEATURES, None, {})
        line = F.concat_ws(",", *numbers, features)
    elif form == "libsvm":
        line = F.concat(F.concat_ws(":", *numbers), requests.entries(FEATURES))
    else:
        # A line is a text with single spaces between words.
        text = F.trim(F.regexp_replace(FEATURES, r"\s+", " "))
        line = F.concat(F.lit("__label__"), _name(df.schema), F.lit(" "), text)
        # BlazingText reads one file.
        df = df.coalesce(1)
    return Files(df.select(line.alias("value")), "text", {})


def _name(schema: StructType) -> Column:
    """Return a label as a word; 2.0 becomes 2."""
    if isinstance(schema[LABEL].dataType, StringType):
        return F.col(LABEL)
    number = F.col(LABEL).cast("double")
    whole = number == F.floor(number)
    return F.when(whole, number.cast("bigint").cast("string")).otherwise(number.cast("string"))
