"""Words and word n-grams of a text, for a bag-of-words learner."""

from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructField, StructType

from spark_sentiment.core import (
    Stage,
    appended,
    integer,
    params_setter,
    quoted,
    string,
    takes_params,
)

WORDS = r"\p{L}+(?:['\u2019]\p{L}+)?|\p{Nd}+|[!?]+|<\p{L}+>"
"""Pattern of a word: letters with an inner apostrophe, digits, runs of ! and ?, a mask."""

_TOKENS = "__ngrams_tokens"


def words(text: Column, pattern: str = WORDS) -> Column:
    """Return the words of `text` in lower case, as an array; an empty array for null.

    Examples
    --------
    >>> from pyspark.sql import functions as F
    >>> df = spark.createDataFrame([("It's NOT good!!",)], ["text"])
    >>> df.select(words(F.col("text"))).head()[0]
    ["it's", 'not', 'good', '!!']
    """
    found = F.regexp_extract_all(F.lower(text), F.lit(pattern), F.lit(0))
    return F.coalesce(found, F.array().cast("array<string>"))


def ngrams(tokens: Column, low: int, high: int) -> Column:
    """Return all runs of `low` to `high` neighbours in the array `tokens`, joined by spaces.

    `tokens` is named several times in the result: pass a plain column, not an expression.

    Examples
    --------
    >>> from pyspark.sql import functions as F
    >>> df = spark.createDataFrame([(["not", "so", "good"],)], ["words"])
    >>> df.select(ngrams(F.col("words"), 1, 2)).head()[0]
    ['not', 'so', 'good', 'not so', 'so good']
    """
    parts, run = [], tokens
    for n in range(1, high + 1):
        if n > 1:
            # Pair each run of n-1 words with the next word. At the end there is no next word: the
            # pair is null, and array_compact drops it.
            later = F.slice(tokens, F.lit(n), F.greatest(F.size(tokens), F.lit(1)))
            pairs = F.zip_with(run, later, lambda head, word: F.concat(head, F.lit(" "), word))
            run = F.array_compact(pairs)
        if n >= low:
            parts.append(run)
    return F.concat(*parts)


class NGrams(
    Stage,
    Transformer,
    HasInputCol,
    HasOutputCol,
    DefaultParamsReadable["NGrams"],
    DefaultParamsWritable,
):
    r"""Split a text into lower-case words, and join neighbours to n-grams, all in one array.

    MLlib's ``RegexTokenizer`` and ``NGram`` return one length at a time and fail on null. A
    ``CountVectorizer`` after this stage counts words and phrases in one vocabulary.

    Parameters
    ----------
    inputCol : str
        Column to read, of type string.
    outputCol : str
        Column to add, of type array of string: first all words, then all pairs, and so on. The
        array is empty, never null, for a text that is null or has no word.
    minN, maxN : int of at least 1, default 1 and 2
        Words in the shortest and in the longest n-gram.
    pattern : str
        Java regular expression of one word, matched against the text in lower case. The default
        matches letters with an inner apostrophe, digits, runs of ``!`` and ``?``, and masks such as
        ``<url>``.

    Raises
    ------
    SchemaError
        If `inputCol` is missing or not a string, or `outputCol` exists; before any job.
    ValueError
        If `minN` is greater than `maxN`.

    Notes
    -----
    One Spark SQL expression; no Python worker starts. A text of w words gives at most w n-grams
    of each length.

    Examples
    --------
    >>> df = spark.createDataFrame([("Not so good!",), (None,)], ["text"])
    >>> pairs = NGrams(inputCol="text", outputCol="grams", minN=2)
    >>> [row.grams for row in pairs.transform(df).collect()]
    [['not so', 'so good', 'good !'], []]
    """

    minN: Param[int] = Param(Params._dummy(), "minN", "words in the shortest n-gram", integer(1))
    maxN: Param[int] = Param(Params._dummy(), "maxN", "words in the longest n-gram", integer(1))
    pattern: Param[str] = Param(Params._dummy(), "pattern", "Java regex of one word", string)

    @takes_params
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        minN: int = 1,
        maxN: int = 2,
        pattern: str = WORDS,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of `transform`; raise SchemaError if a column is wrong."""
        low, high = self.getOrDefault(self.minN), self.getOrDefault(self.maxN)
        if low > high:
            raise ValueError(f"{self.uid}: minN={low} is greater than maxN={high}")
        kind = ArrayType(StringType(), containsNull=True)
        out = StructField(self.getOutputCol(), kind, nullable=False)
        return appended(schema, self.uid, [self.getInputCol()], StringType, out)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.transformSchema(dataset.schema)
        tokens = words(quoted(self.getInputCol()), self.getOrDefault(self.pattern))
        # A separate column, so that the words are computed only once.
        grams = ngrams(F.col(_TOKENS), self.getOrDefault(self.minN), self.getOrDefault(self.maxN))
        found = dataset.withColumn(_TOKENS, tokens)
        return found.withColumn(self.getOutputCol(), grams).drop(_TOKENS)
