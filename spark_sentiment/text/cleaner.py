"""The stage that joins and cleans the texts of a review."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params
from pyspark.ml.param.shared import HasInputCols, HasOutputCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from spark_sentiment.core import (
    EMPTY,
    Stage,
    appended,
    boolean,
    integer,
    one_of,
    params_setter,
    quoted,
    takes_params,
)
from spark_sentiment.text import functions as functions
from spark_sentiment.text import patterns
from spark_sentiment.text.functions import TOKENS

# In the order in which they run. A step whose matches can contain those of another runs first.
_FIRST: dict[str, Callable[[Column], Column]] = {
    "removeHtmlTags": functions.remove_html_tags,
    "unescapeHtml": functions.unescape_html,
    "removeControlChars": functions.remove_control_chars,
    "normalizeQuotes": functions.normalize_quotes,
}
_REPLACERS: dict[str, Callable[[Column, str], Column]] = {
    "urls": functions.replace_urls,
    "emails": functions.replace_emails,
    "userHandles": functions.replace_user_handles,
    "hashtags": functions.replace_hashtags,
    "phoneNumbers": functions.replace_phone_numbers,
    "currency": functions.replace_currency,
    "numbers": functions.replace_numbers,
    "emoji": functions.replace_emoji,
}
_LAST: dict[str, Callable[[Column], Column]] = {
    "removeAccents": functions.remove_accents,
    "removePunctuation": functions.remove_punctuation,
    "lowercase": F.lower,
    "normalizeWhitespace": functions.normalize_whitespace,
}


def _unchanged(text: Column, token: str = "") -> Column:
    return text


# Functions with the same result for plain text, and functions with it if there are no tokens.
_IN_PLAIN_TEXT: dict[str, Callable[..., Column]] = {
    **dict.fromkeys(_FIRST, _unchanged),
    **dict.fromkeys(("urls", "emails", "userHandles", "phoneNumbers", "emoji"), _unchanged),
}
_WITHOUT_TOKENS: dict[str, Callable[..., Column]] = {
    "expandContractions": functions.expand_straight_contractions,
    "limitRepeats": functions.limit_ascii_repeats,
    "normalizeWhitespace": functions.normalize_plain_whitespace,
}


def _tokens(value: Any) -> dict[str, str]:
    """Return `value` as a dict if it maps maskable kinds to strings."""
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping of {tuple(TOKENS)} to tokens, got {value!r}")
    for kind, token in value.items():
        if not isinstance(token, str):
            raise TypeError(f"expected a string as token of {kind!r}, got {token!r}")
        if kind not in TOKENS:
            raise ValueError(f"expected tokens for some of {tuple(TOKENS)}, got {kind!r}")
    return {kind: str(token) for kind, token in value.items()}


def _any_string(value: Any) -> str:
    """Return `value` if it is a string, which may be empty."""
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {value!r}")
    return str(value)


_mode = one_of("off", "mask", "drop")


class TextCleaner(
    Stage,
    Transformer,
    HasInputCols,
    HasOutputCol,
    DefaultParamsReadable["TextCleaner"],
    DefaultParamsWritable,
):
    """Join string columns, as title and text of a review, into one clean string.

    The steps run in this order: join, removeHtmlTags, unescapeHtml, removeControlChars,
    normalizeQuotes, urls, emails, userHandles, hashtags, phoneNumbers, currency, numbers, emoji,
    expandContractions, limitRepeats, removeAccents, removePunctuation, lowercase,
    normalizeWhitespace. The defaults suit both word counts and BERT: they remove markup and noise,
    mask private data, and keep words, case, punctuation and emoji.

    Parameters
    ----------
    inputCols : list of str
        Columns to read, of type string. The join omits null and blank values.
    outputCol : str
        Column to add, of type string: null if all of `inputCols` are null, empty if none has
        text.
    separator : str, default ' '
        Text between two joined columns.
    urls, emails, phoneNumbers : {'off', 'mask', 'drop'}, default 'mask'
        Whether to keep them, replace them by their token, or remove them.
    userHandles, hashtags, currency, numbers, emoji : {'off', 'mask', 'drop'}, default 'off'
        The same.
    tokens : dict of str to str, default {}
        Tokens that override ``text.TOKENS``, by the name of the Param: ``{"urls": "LINK"}``.
    removeHtmlTags, unescapeHtml, removeControlChars, normalizeQuotes : bool, default True
        Whether the function of that name is applied.
    normalizeWhitespace, expandContractions : bool, default True
        The same.
    removeAccents, removePunctuation : bool, default False
        The same. `removePunctuation` also removes the brackets of tokens: ``url``.
    limitRepeats : int, default 3
        Maximum number of equal characters in a row; 0 turns the step off.
    lowercase : bool, default False
        Whether to convert the result to lower case, including tokens.

    Notes
    -----
    One Spark SQL expression; no Python worker starts. Rows stay as they are.

    Examples
    --------
    >>> df = spark.createDataFrame([("Love it", "Sooooo soft&hellip; see http://a.io/x.")],
    ...                            ["title", "body"])
    >>> cleaner = TextCleaner(inputCols=["title", "body"], outputCol="clean", separator=". ")
    >>> cleaner.transform(df).head().clean
    'Love it. Sooo soft\u2026 see <url>.'
    """

    separator = Param(Params._dummy(), "separator", "text between joined columns", _any_string)
    removeHtmlTags = Param(Params._dummy(), "removeHtmlTags", "remove HTML tags", boolean)
    unescapeHtml = Param(Params._dummy(), "unescapeHtml", "resolve HTML references", boolean)
    removeControlChars = Param(
        Params._dummy(), "removeControlChars", "remove control characters", boolean
    )
    normalizeQuotes = Param(Params._dummy(), "normalizeQuotes", "make quotes straight", boolean)
    urls = Param(Params._dummy(), "urls", "off, mask or drop", _mode)
    emails = Param(Params._dummy(), "emails", "off, mask or drop", _mode)
    userHandles = Param(Params._dummy(), "userHandles", "off, mask or drop", _mode)
    hashtags = Param(Params._dummy(), "hashtags", "off, mask or drop", _mode)
    phoneNumbers = Param(Params._dummy(), "phoneNumbers", "off, mask or drop", _mode)
    currency = Param(Params._dummy(), "currency", "off, mask or drop", _mode)
    numbers = Param(Params._dummy(), "numbers", "off, mask or drop", _mode)
    emoji = Param(Params._dummy(), "emoji", "off, mask or drop", _mode)
    tokens = Param(Params._dummy(), "tokens", "tokens by kind, over the defaults", _tokens)
    expandContractions = Param(
        Params._dummy(), "expandContractions", "write out contractions", boolean
    )
    limitRepeats = Param(
        Params._dummy(), "limitRepeats", "most equal characters in a row; 0 is off", integer(0)
    )
    removeAccents = Param(Params._dummy(), "removeAccents", "remove accents", boolean)
    removePunctuation = Param(Params._dummy(), "removePunctuation", "remove punctuation", boolean)
    lowercase = Param(Params._dummy(), "lowercase", "make lower case", boolean)
    normalizeWhitespace = Param(
        Params._dummy(), "normalizeWhitespace", "collapse and trim whitespace", boolean
    )

    @takes_params
    def __init__(
        self,
        *,
        inputCols: list[str] | None = None,
        outputCol: str | None = None,
        separator: str = " ",
        removeHtmlTags: bool = True,
        unescapeHtml: bool = True,
        removeControlChars: bool = True,
        normalizeQuotes: bool = True,
        urls: str = "mask",
        emails: str = "mask",
        userHandles: str = "off",
        hashtags: str = "off",
        phoneNumbers: str = "mask",
        currency: str = "off",
        numbers: str = "off",
        emoji: str = "off",
        tokens: Mapping[str, str] | None = EMPTY,
        expandContractions: bool = True,
        limitRepeats: int = 3,
        removeAccents: bool = False,
        removePunctuation: bool = False,
        lowercase: bool = False,
        normalizeWhitespace: bool = True,
    ) -> None:
        super().__init__()

    setParams = params_setter(__init__)

    def transformSchema(self, schema: StructType) -> StructType:
        """Return the output schema of `transform`; raise SchemaError if a column is wrong."""
        out = StructField(self.getOutputCol(), StringType())
        return appended(schema, self.uid, self.getInputCols(), StringType, out)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.transformSchema(dataset.schema)
        columns = [quoted(name) for name in self.getInputCols()]
        separator = self.getOrDefault(self.separator)
        return dataset.withColumn(self.getOutputCol(), self._cleaned(_joined(columns, separator)))

    def _cleaned(self, text: Column) -> Column:
        """Clean `text`; plain text, which is frequent, skips the steps that do not change it."""
        others = _IN_PLAIN_TEXT
        if all(self.getOrDefault(kind) == "off" for kind in _REPLACERS.keys() - others.keys()):
            others = {**others, **_WITHOUT_TOKENS}
        plain = partial(self._steps, others=others)
        return functions.choose(text, functions.is_plain, plain, self._steps)

    def _steps(
        self, text: Column, others: Mapping[str, Callable[..., Column]] = MappingProxyType({})
    ) -> Column:
        """Apply the steps that are on; `others` replace the functions of those Params."""
        on = {param.name: value for param, value in self.extractParamMap().items()}
        for name, function in _FIRST.items():
            text = others.get(name, function)(text) if on[name] else text
        for kind, replace in _REPLACERS.items():
            token = "" if on[kind] == "drop" else {**TOKENS, **on["tokens"]}[kind]
            text = others.get(kind, replace)(text, token) if on[kind] != "off" else text
        if on["expandContractions"]:
            text = others.get("expandContractions", functions.expand_contractions)(text)
        if on["limitRepeats"]:
            limit = others.get("limitRepeats", functions.limit_repeats)
            text = limit(text, on["limitRepeats"])
        for name, function in _LAST.items():
            text = others.get(name, function)(text) if on[name] else text
        return text


def _joined(columns: list[Column], separator: str) -> Column:
    """Join the values that are neither null nor blank; null if all are null."""
    filled = [F.when(column.rlike(patterns.NOT_BLANK), column) for column in columns]
    joined = F.concat_ws(separator, *filled)
    return F.when(F.coalesce(*columns).isNotNull(), joined)
