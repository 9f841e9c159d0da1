"""Text cleaning: Column functions.

Each function maps a string Column to a string Column and null to null. It is Spark SQL: no Python
worker starts. Most functions begin with a test that is cheaper than their regular expression, so
`unescape_html` costs little for a text without an ampersand. A lambda's variable holds the input:
Spark evaluates it once, and the plan stays small when many functions are nested.
"""

from collections.abc import Callable
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_sentiment.errors import ConfigError
from spark_sentiment.text import patterns

TOKENS = {
    "urls": "<url>",
    "emails": "<email>",
    "phoneNumbers": "<phone>",
    "userHandles": "<user>",
    "hashtags": "<hashtag>",
    "currency": "<currency>",
    "numbers": "<number>",
    "emoji": " <emoji> ",
}
"""Default token of each kind that can be masked."""


def replace_urls(text: Column, token: str = TOKENS["urls"]) -> Column:
    """Put `token` in place of each web address.

    An address begins with ``http://``, ``https://``, ``ftp://`` or ``www.``, or is a bare name
    with one of a few well-known endings (``shop.com/sale``). Balanced brackets are part of the
    address; dots, commas and quotes at its end are not.

    Examples
    --------
    >>> df = spark.createDataFrame([("See (https://a.io/b_(c)), or shop.com.",)], ["text"])
    >>> df.select(replace_urls(df.text).alias("text")).head().text
    'See (<url>), or <url>.'
    """
    return _replaced(text, patterns.URL, token, lambda t: t.rlike(patterns.URL_HINT))


def replace_emails(text: Column, token: str = TOKENS["emails"]) -> Column:
    """Put `token` in place of each e-mail address; a dot that ends the sentence stays.

    Examples
    --------
    >>> df = spark.createDataFrame([("Ask jo.b+x@mail.shop.co.uk.",)], ["text"])
    >>> df.select(replace_emails(df.text).alias("text")).head().text
    'Ask <email>.'
    """
    return _replaced(text, patterns.EMAIL, token, lambda t: t.contains("@"))


def replace_phone_numbers(text: Column, token: str = TOKENS["phoneNumbers"]) -> Column:
    """Put `token` in place of each telephone number.

    The function recognises international numbers with a plus sign, North American numbers with
    separators, and national numbers with a leading zero and separators. It keeps sizes, dates and
    prices. It also keeps digits without a separator and local numbers of seven digits, because
    they look like other numbers.

    Examples
    --------
    >>> df = spark.createDataFrame([("Call (555) 010-9999; I am 36-24-36.",)], ["text"])
    >>> df.select(replace_phone_numbers(df.text).alias("text")).head().text
    'Call <phone>; I am 36-24-36.'
    """
    return _replaced(text, patterns.PHONE, token, lambda t: t.rlike(patterns.PHONE_HINT))


def replace_numbers(text: Column, token: str = TOKENS["numbers"]) -> Column:
    """Put `token` in place of each number, with its thousands and decimals.

    A sign, a percent sign or a slash stays (``10/12`` holds two numbers). Digits that belong to a
    word, as in ``34d`` and ``3rd``, also stay.

    Examples
    --------
    >>> df = spark.createDataFrame([("1,200.50 for size 10/12, 34d",)], ["text"])
    >>> df.select(replace_numbers(df.text).alias("text")).head().text
    '<number> for size <number>/<number>, 34d'
    """
    return F.regexp_replace(text, patterns.NUMBER, _quoted(token))


def replace_currency(text: Column, token: str = TOKENS["currency"]) -> Column:
    """Put `token` in place of each amount of money: a number and its sign, code or word.

    The sign may be on either side. A sign without a number (``not worth the $$``) stays. A number
    of pounds in words stays too, because it may be a weight.

    Examples
    --------
    >>> df = spark.createDataFrame([("$1,200.50 or 20 EUR, not 15 pounds",)], ["text"])
    >>> df.select(replace_currency(df.text).alias("text")).head().text
    '<currency> or <currency>, not 15 pounds'
    """
    return _replaced(text, patterns.CURRENCY, token, lambda t: t.rlike(patterns.CURRENCY_HINT))


def replace_user_handles(text: Column, token: str = TOKENS["userHandles"]) -> Column:
    """Put `token` in place of each ``@name``; e-mail addresses and ``@ 5`` stay.

    Examples
    --------
    >>> df = spark.createDataFrame([("Thanks @jo_b! Not jo@b.com",)], ["text"])
    >>> df.select(replace_user_handles(df.text).alias("text")).head().text
    'Thanks <user>! Not jo@b.com'
    """
    return _replaced(text, patterns.USER_HANDLE, token, lambda t: t.contains("@"))


def replace_hashtags(text: Column, token: str = TOKENS["hashtags"]) -> Column:
    """Put `token` in place of each ``#tag`` that has a letter; ``#1`` and ``120#`` stay.

    Examples
    --------
    >>> df = spark.createDataFrame([("#love it, my #1, I am 120#",)], ["text"])
    >>> df.select(replace_hashtags(df.text).alias("text")).head().text
    '<hashtag> it, my #1, I am 120#'
    """
    return _replaced(text, patterns.HASHTAG, token, lambda t: t.contains("#"))


def replace_emoji(text: Column, token: str = TOKENS["emoji"]) -> Column:
    """Put `token` in place of each emoji; the default has spaces, because emoji often touch words.

    A sequence that is displayed as one picture counts as one emoji: skin tones, joined families,
    flags and keycaps. Plain digits, ``#`` and ``*`` are not emoji. (c), (R), TM and arrows are
    emoji only with U+FE0F, the picture selector. A character with U+FE0E, the text selector, is
    not an emoji.

    References
    ----------
    Unicode Technical Standard 51, "Unicode Emoji".

    Examples
    --------
    >>> df = spark.createDataFrame([("Love \U0001f44d\U0001f3fd #1 \u00a9",)], ["text"])
    >>> df.select(replace_emoji(df.text, ":)").alias("text")).head().text
    'Love :) #1 \u00a9'
    """
    return _replaced(text, patterns.EMOJI, token, _has_non_ascii)


def remove_emoji(text: Column) -> Column:
    """Remove each emoji that `replace_emoji` finds.

    Examples
    --------
    >>> df = spark.createDataFrame([("Love\U0001f60d it",)], ["text"])
    >>> df.select(remove_emoji(df.text).alias("text")).head().text
    'Love it'
    """
    return replace_emoji(text, "")


def remove_html_tags(text: Column) -> Column:
    """Remove HTML tags and comments, and scripts and styles with their content.

    A tag that formats words (``<b>``, ``<span>``) is removed without a trace; any other tag
    (``<br>``, ``<p>``) becomes a space. Angle brackets that are not tags (``<3``, ``a < b``) stay.
    Apply this function before `unescape_html`: afterwards, text about tags looks like tags.

    Examples
    --------
    >>> df = spark.createDataFrame([("I <b>love</b> it<br/>so much <3",)], ["text"])
    >>> df.select(remove_html_tags(df.text).alias("text")).head().text
    'I love it so much <3'
    """

    def change(t: Column) -> Column:
        t = _where(t, lambda t: t.contains(patterns.COMMENT_END), _remove_comments)
        t = reduce(_remove_elements, patterns.ELEMENTS, t)
        return F.regexp_replace(
            F.regexp_replace(t, patterns.BLOCK_TAG, " "), patterns.INLINE_TAG, ""
        )

    return _where(text, lambda t: t.contains("<"), change)


def _remove_comments(text: Column) -> Column:
    """Replace HTML comments by spaces; `text` has at least one end of a comment.

    The text after the last end is not searched: it may hold many starts, and a search for the end
    of each would read it again.
    """
    tail = F.substring_index(text, patterns.COMMENT_END, -1)
    # A pair, because a function inside another must not use the argument of the outer one: Spark
    # then does not evaluate a Python function of the result.
    return _let(
        F.array(text, tail),
        lambda pair: F.concat(
            F.regexp_replace(
                F.substr(pair[0], F.lit(1), F.length(pair[0]) - F.length(pair[1])),
                patterns.COMMENT,
                " ",
            ),
            pair[1],
        ),
    )


def _remove_elements(text: Column, element: patterns.Element) -> Column:
    """Replace each `element` of HTML by a space, with the same care as `_remove_comments`."""

    def change(t: Column) -> Column:
        return _let(
            F.array(t, F.regexp_extract(t, element.head, 0)),
            lambda pair: F.concat(
                F.regexp_replace(pair[1], element.whole, " "),
                F.substr(pair[0], F.length(pair[1]) + 1),
            ),
        )

    return _where(text, lambda t: t.rlike(element.end), change)


def unescape_html(text: Column) -> Column:
    """Replace each HTML character reference by its character, once.

    The function knows all names of HTML 4, the names that HTML 5 gives to ASCII characters, and
    decimal and hexadecimal code points. It reads 128 to 159 as Windows-1252, as browsers do. An
    invalid reference stays: an unknown name, zero, a surrogate, a number above 10FFFF, or a
    reference without its semicolon. ``&amp;lt;`` becomes ``&lt;``, not ``<``.

    Examples
    --------
    >>> df = spark.createDataFrame([("it&#39;s &lt;3 &eacute; &#x1F60D; AT&T &no;",)], ["text"])
    >>> df.select(unescape_html(df.text).alias("text")).head().text
    "it's <3 \u00e9 \U0001f60d AT&T &no;"
    """
    known = F.str_to_map(
        F.lit(patterns.REFERENCES), F.lit(patterns.ENTRY_END), F.lit(patterns.KEY_END)
    )

    def character(point: Column) -> Column:
        """Turn a code point in hexadecimal, without leading zeros, into its character."""
        number = F.conv(point, 16, 10).cast("int")
        valid = number.between(1, 0xD7FF) | number.between(0xE000, 0x10FFFF)
        encoded = F.unhex(F.lpad(point, 8, "0"))
        return F.when(
            valid, F.coalesce(known[F.concat(F.lit("#"), point)], F.decode(encoded, "UTF-32"))
        )

    def resolved(piece: Column) -> Column:
        """Resolve the reference that opens `piece`, the text behind an ampersand."""
        name, decimal, hexadecimal = (
            F.regexp_extract(piece, patterns.REFERENCE, group) for group in (1, 2, 3)
        )
        value = (
            F.when(name != "", known[name])
            .when(decimal != "", character(F.conv(decimal, 10, 16)))
            .when(hexadecimal != "", character(F.upper(hexadecimal)))
        )
        rest = F.regexp_replace(piece, "^[^;]*+;", "")
        return F.coalesce(F.concat(value, rest), F.concat(F.lit("&"), piece))

    def change(t: Column) -> Column:
        return _let(
            F.split(t, "&", -1),
            lambda pieces: F.concat(
                pieces[0],
                F.array_join(F.transform(F.slice(pieces, 2, F.size(pieces)), resolved), ""),
            ),
        )

    return _where(text, lambda t: t.contains("&"), change)


def normalize_quotes(text: Column) -> Column:
    r"""Put ``'`` and ``"`` in place of curly, angle, low and full-width quotes, primes and accents.

    Examples
    --------
    >>> df = spark.createDataFrame([("\u201cit\u2019s\u201d 5\u20328\u2033",)], ["text"])
    >>> df.select(normalize_quotes(df.text).alias("text")).head().text
    '"it\'s" 5\'8"'
    """

    def change(t: Column) -> Column:
        single = F.regexp_replace(t, patterns.SINGLE_QUOTE, "'")
        return F.regexp_replace(single, patterns.DOUBLE_QUOTE, '"')

    return _where(text, lambda t: _has_non_ascii(t) | t.contains("`"), change)


def normalize_whitespace(text: Column) -> Column:
    r"""Put one space in place of each run of whitespace, and none at the ends.

    Whitespace has the meaning of Python's ``str.split``: it includes tabs, line breaks, no-break
    spaces and other Unicode spaces.

    Examples
    --------
    >>> df = spark.createDataFrame([(" so\t\u00a0good \r\n ",)], ["text"])
    >>> df.select(normalize_whitespace(df.text).alias("text")).head().text
    'so good'
    """
    return F.trim(
        _where(
            text,
            lambda t: t.contains("  ") | t.rlike(patterns.ODD_ASCII) | _has_non_ascii(t),
            lambda t: F.regexp_replace(t, patterns.SPACE_RUN, " "),
        )
    )


def limit_repeats(text: Column, most: int = 3) -> Column:
    """Keep at most `most` of one character in a row: ``sooooo`` becomes ``sooo``.

    Digits and whitespace stay (``10000``). An emoji and its skin tone count as one character.

    Examples
    --------
    >>> df = spark.createDataFrame([("Sooooo good!!!!! $10000",)], ["text"])
    >>> df.select(limit_repeats(df.text, 2).alias("text")).head().text
    'Soo good!! $10000'
    """
    if most < 1:
        raise ConfigError(f"limit_repeats: most must be at least 1, got {most}")
    return _limited(text, most, lambda t: _has_non_ascii(t) | _may_repeat(t, most))


def limit_ascii_repeats(text: Column, most: int = 3) -> Column:
    """Do the same as `limit_repeats`, for ASCII text only."""
    return _limited(text, most, lambda t: _may_repeat(t, most))


def _may_repeat(text: Column, most: int) -> Column:
    return ~text.rlike(patterns.without_repeats(most))


def _limited(text: Column, most: int, trigger: Callable[[Column], Column]) -> Column:
    return _where(text, trigger, lambda t: F.regexp_replace(t, patterns.repeats(most), "$1" * most))


def expand_contractions(text: Column) -> Column:
    """Write out English contractions: ``don't`` becomes ``do not``, ``DON'T`` ``DO NOT``.

    Curly apostrophes inside a word become straight. Rules for ambiguous contractions: ``'s`` is
    "is" ("has" before "been" and "got") after pronouns and question words; elsewhere it is
    possessive and stays (``dress's``). ``'d`` is "would" after pronouns ("had" before "been" and
    "better"). ``ain't`` is "is not". Other words (``o'clock``, ``ma'am``) stay.

    Examples
    --------
    >>> df = spark.createDataFrame([("It\u2019s small, I CAN'T zip the dress's side",)], ["text"])
    >>> df.select(expand_contractions(df.text).alias("text")).head().text
    "It is small, I CANNOT zip the dress's side"
    """
    straight = _where(
        text,
        lambda t: t.contains("\u2019") | t.contains("\u02bc"),
        lambda t: F.regexp_replace(t, patterns.CURLY_APOSTROPHE, "'"),
    )
    return expand_straight_contractions(straight)


def expand_straight_contractions(text: Column) -> Column:
    """Do the same as `expand_contractions`, for straight apostrophes only."""

    def expanded(part: Column) -> Column:
        return _let(
            F.split(part, "'", -1),
            lambda pieces: F.call_function(
                "aggregate", F.slice(pieces, 2, F.size(pieces)), pieces[0], F.expr(_JOIN)
            ),
        )

    def change(t: Column) -> Column:
        parts = F.when(F.octet_length(t) <= patterns.EXPANSION_LONG, F.array(t)).otherwise(
            F.regexp_extract_all(t, F.lit(patterns.EXPANSION_PIECE), 0)
        )
        return F.array_join(F.transform(parts, expanded), "")

    return _where(text, lambda t: t.contains("'"), change)


def _join() -> str:
    """Write the SQL that joins the text before an apostrophe, ``done``, and the piece behind it.

    It is SQL, because a Column needs a call of Java for each of the hundreds of nodes. The text is
    cut by bytes, which is cheaper than by characters: the part that is cut off is ASCII.
    """
    reach = patterns.CONTRACTION_REACH
    near = f"cast(substr(cast(done as binary), -{reach}, {reach}) as string)"
    endings = []
    for ending, rules in patterns.CONTRACTIONS.items():
        starts = []
        for rule in rules:
            start, test = "done", f"{near} rlike {_sql(rule.behind + rule.left + _END)}"
            if rule.left:
                left = f"octet_length(done) - {len(rule.left)}"
                start = f"cast(substr(cast(done as binary), 1, {left}) as string)"
                test = f"endswith(done, '{rule.left}') and {test}"
            if rule.ahead:
                test = f"piece rlike {_sql('^' + ending + rule.ahead)} and {test}"
            starts.append(f"when {test} then concat({start}, '{rule.words}')")
        rest = f"cast(substr(cast(piece as binary), {len(ending) + 1}) as string)"
        ends = f"startswith(piece, '{ending}') and piece rlike {_sql('^' + ending + _EDGE)}"
        endings.append(f"when {ends} then concat(case {' '.join(starts)} end, {rest})")
    kept = "concat(done, chr(39), piece)"
    return f"(done, piece) -> coalesce(case {' '.join(endings)} end, {kept})"


def _sql(pattern: str) -> str:
    """Write a regular expression as SQL without backslashes, whose meaning depends on a setting."""
    return "translate('{}', '\u00a6', chr(92))".format(pattern.replace("\\", "\u00a6"))


_END, _EDGE = r"\z", r"\b"
_JOIN = _join()


def remove_punctuation(text: Column) -> Column:
    """Replace each run of punctuation by a space; remove an apostrophe inside a word.

    Punctuation is Unicode's category P and ASCII's ``$+<=>^`|~``; emoji and other symbols stay.

    Examples
    --------
    >>> df = spark.createDataFrame([("don't wait...buy",)], ["text"])
    >>> df.select(remove_punctuation(df.text).alias("text")).head().text
    'dont wait buy'
    """
    joined = F.regexp_replace(text, patterns.APOSTROPHE, "")
    return F.regexp_replace(joined, patterns.PUNCTUATION, " ")


def remove_control_chars(text: Column) -> Column:
    r"""Remove control and zero-width characters: C0, C1, BOM, soft hyphen, direction marks.

    Control characters that are whitespace (tab, line breaks, U+001C to U+001F) stay;
    `normalize_whitespace` replaces them. Joiners and tags inside emoji stay.

    Examples
    --------
    >>> df = spark.createDataFrame([("\ufeffgo\u200bod\t!\x07",)], ["text"])
    >>> df.select(remove_control_chars(df.text).alias("text")).head().text
    'good\t!'
    """
    return _where(
        text,
        lambda t: t.rlike(patterns.CONTROL_HINT) | _has_non_ascii(t),
        lambda t: F.regexp_replace(t, patterns.CONTROL, "$1"),
    )


def remove_accents(text: Column) -> Column:
    """Replace each accented Latin or Greek letter, composed or combining, by its base letter.

    Letters that Unicode does not decompose stay: sz ligature, oe, ae, o with stroke. Other
    scripts stay too, because their marks change the word.

    Examples
    --------
    >>> df = spark.createDataFrame([("caf\u00e9 na\u0069\u0308ve \u00f8",)], ["text"])
    >>> df.select(remove_accents(df.text).alias("text")).head().text
    'cafe naive \u00f8'
    """

    def change(t: Column) -> Column:
        bare = F.translate(t, patterns.ACCENTED, patterns.BARE)
        return F.regexp_replace(bare, patterns.ACCENT_MARKS, "")

    return _where(text, _has_non_ascii, change)


def _let(value: Column, body: Callable[[Column], Column]) -> Column:
    """Evaluate `value` once, however often `body` mentions it."""
    return F.transform(F.array(value), body)[0]


def is_plain(text: Column) -> Column:
    """Tell whether `text` has no markup, address, control character or non-ASCII character.

    In plain text, only words, numbers, hashtags, currency, repeats and whitespace need cleaning.
    One scan replaces the first test of a dozen functions.
    """
    return text.rlike(patterns.PLAIN)


def normalize_plain_whitespace(text: Column) -> Column:
    """Do the same as `normalize_whitespace`, for spaces, tabs and line breaks only."""
    breaks = ("\r\n\r\n", "\n\n", "\r\n", "\n", "\r", "\t")

    def spaced(t: Column) -> Column:
        return reduce(lambda t, mark: F.replace(t, F.lit(mark), F.lit(" ")), breaks, t)

    on_one_line = _where(
        text, lambda t: t.contains("\n") | t.contains("\r") | t.contains("\t"), spaced
    )
    return F.trim(
        _where(on_one_line, lambda t: t.contains("  "), lambda t: F.regexp_replace(t, " {2,}", " "))
    )


def choose(
    text: Column,
    test: Callable[[Column], Column],
    yes: Callable[[Column], Column],
    no: Callable[[Column], Column],
) -> Column:
    """Apply `yes` to text that passes `test`, and `no` to all other text, including null."""
    return _let(text, lambda t: F.when(test(t), yes(t)).otherwise(no(t)))


def _where(
    text: Column, trigger: Callable[[Column], Column], change: Callable[[Column], Column]
) -> Column:
    """Apply `change` to text that has `trigger`; return all other text, and null, unchanged."""
    return choose(text, trigger, change, lambda t: t)


def _replaced(
    text: Column, pattern: str, token: str, trigger: Callable[[Column], Column]
) -> Column:
    return _where(text, trigger, lambda t: F.regexp_replace(t, pattern, _quoted(token)))


def _quoted(token: str) -> str:
    r"""Escape `$` and `\`, which Java reads as group references and escapes in a replacement."""
    return token.replace("\\", r"\\").replace("$", r"\$")


def _has_non_ascii(text: Column) -> Column:
    """Tell whether `text` has more bytes than characters, which is cheaper than a regex scan."""
    return F.octet_length(text) > F.length(text)
