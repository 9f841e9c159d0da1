"""Base of all stages: Param converters, schema checks, columns by name, access to Spark's JVM.

``params`` holds the converters that check the value of a Param. ``columns`` holds the checks of a
schema and the conversions between vectors and arrays. ``stage`` is the base class of stages. Only
``jvm`` calls Java. ``class_archive`` archives Java's classes for faster starts, and ``cache`` names
the folder of files that are kept between runs. This package depends only on ``errors``.
"""

from spark_sentiment.core import class_archive, jvm
from spark_sentiment.core.cache import cache_folder, draft_folder
from spark_sentiment.core.columns import (
    VECTOR,
    absent,
    appended,
    find,
    is_name,
    listed,
    lookup,
    quoted,
    refuse_stream,
    schema_after,
    to_array,
    to_vector,
)
from spark_sentiment.core.jvm import detach
from spark_sentiment.core.mllib_models import build_logistic_model, build_naive_bayes_model
from spark_sentiment.core.params import (
    boolean,
    by_label,
    integer,
    names_by_key,
    number,
    numbers,
    numbers_by_key,
    one_of,
    optional,
    plain,
    sequence,
    string,
    strings,
)
from spark_sentiment.core.stage import (
    EMPTY,
    HasSeed,
    Stage,
    params_setter,
    takes_params,
)
from spark_sentiment.core.threads import Beside, side_by_side

__all__ = [
    "EMPTY",
    "VECTOR",
    "Beside",
    "HasSeed",
    "Stage",
    "absent",
    "appended",
    "boolean",
    "build_logistic_model",
    "build_naive_bayes_model",
    "by_label",
    "cache_folder",
    "class_archive",
    "detach",
    "draft_folder",
    "find",
    "integer",
    "is_name",
    "jvm",
    "listed",
    "lookup",
    "names_by_key",
    "number",
    "numbers",
    "numbers_by_key",
    "one_of",
    "optional",
    "params_setter",
    "plain",
    "quoted",
    "refuse_stream",
    "schema_after",
    "sequence",
    "side_by_side",
    "string",
    "strings",
    "takes_params",
    "to_array",
    "to_vector",
]
