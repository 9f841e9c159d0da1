"""Text: Column functions that clean it, and the stages that apply them.

Each function takes a Column and returns a Column. It returns null for null and starts no Python
worker. `TextCleaner` applies the functions in order; each step is a Param. `NGrams` splits a text
into words and word n-grams, and `Vocabulary` learns which of them occur in enough rows.
"""

from spark_sentiment.text.cleaner import TextCleaner
from spark_sentiment.text.functions import (
    expand_contractions,
    limit_repeats,
    normalize_quotes,
    normalize_whitespace,
    remove_accents,
    remove_control_chars,
    remove_emoji,
    remove_html_tags,
    remove_punctuation,
    replace_currency,
    replace_emails,
    replace_emoji,
    replace_hashtags,
    replace_numbers,
    replace_phone_numbers,
    replace_urls,
    replace_user_handles,
    unescape_html,
)
from spark_sentiment.text.ngrams import NGrams
from spark_sentiment.text.vocabulary import Vocabulary, has_words

__all__ = [
    "NGrams",
    "TextCleaner",
    "Vocabulary",
    "expand_contractions",
    "has_words",
    "limit_repeats",
    "normalize_quotes",
    "normalize_whitespace",
    "remove_accents",
    "remove_control_chars",
    "remove_emoji",
    "remove_html_tags",
    "remove_punctuation",
    "replace_currency",
    "replace_emails",
    "replace_emoji",
    "replace_hashtags",
    "replace_numbers",
    "replace_phone_numbers",
    "replace_urls",
    "replace_user_handles",
    "unescape_html",
]
