import html
import random
import re
import string as ascii_
import unicodedata
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.errors import ConfigError, SchemaError
from spark_sentiment.text import functions as t
from spark_sentiment.text.cleaner import TextCleaner

Function = Callable[[Column], Column]


def applied(spark: SparkSession, function: Function, texts: list[str | None]) -> list[str | None]:
    """Run all of `texts` through `function` in one job, from a file-like plan Spark cannot fold."""
    rows = spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "i int, text string")
    found = rows.select("i", function(F.col("text")).alias("out")).collect()
    return [row.out for row in sorted(found, key=lambda row: row.i)]


# One table for each function: what goes in, what must come out.
CASES: dict[Function, dict[str, str]] = {
    t.replace_urls: {
        "https://shop.example/a(b).": "<url>.",
        "see (http://a.io/x), ok": "see (<url>), ok",
        "https://en.wikipedia.org/wiki/Dress_(garment)!": "<url>!",
        "[here](http://a.io/x?y=1&z=%20#top).": "[here](<url>).",
        "HTTP://A.IO:8080/p...": "<url>...",
        "Www.shop.com/sale?": "<url>?",
        '<a href="https://a.io/x">': '<a href="<url>">',
        "'http://a.io/it's'": "'<url>'",
        "ftp://a.io, www2.b.org; x": "<url>, <url>; x",
        "from amazon.co.uk/dp/B0 and shop.com.": "from <url> and <url>.",
        "http://m\u00fcller.de/stra\u00dfe \u201chttp://a.io\u201d": "<url> \u201c<url>\u201d",
        "http://[::1]:80/a": "<url>",
        "jo@shop.com": "jo@shop.com",
        "comfortable.it fits... 5.5 e.g. so.so": "comfortable.it fits... 5.5 e.g. so.so",
        "http:// alone": "http:// alone",
        "www. alone": "www. alone",
    },
    t.replace_emails: {
        "Ask jo.b+x@mail.shop.co.uk.": "Ask <email>.",
        "<jo@b.com>, (JO_1@B-C.ORG)": "<<email>>, (<email>)",
        "o'neil@b.ie!": "<email>!",
        "it'o'neil&co@b.ie 'jo@b.ie' %'a@b.ie": "<email> '<email>' <email>",
        "a@b.com,c@d.com": "<email>,<email>",
        "mailto:jo@b.com": "mailto:<email>",
        "jo@b @jo b@ @ jo@b.c jo@.com": "jo@b @jo b@ @ jo@b.c jo@.com",
    },
    t.replace_phone_numbers: {
        "Call (555) 123-4567.": "Call <phone>.",
        "555-123-4567, 555.123.4567; 555 123 4567": "<phone>, <phone>; <phone>",
        "1-800-555-0199 ext. 12!": "<phone>!",
        "+1 (555) 123-4567 or +15551234567": "<phone> or <phone>",
        "+44 20 7946 0958. 5 stars": "<phone>. 5 stars",
        "+33 6 12 34 56 78 / 06 12 34 56 78": "<phone> / <phone>",
        "020 7946 0958, (020) 7946 0958, 01632 960001": "<phone>, <phone>, <phone>",
        "size 5'8, 36-24-36, 10/12, 34a-28/29-36": "size 5'8, 36-24-36, 10/12, 34a-28/29-36",
        "2018-10-21 21.10.2018 10:30 $1,234,567.89": "2018-10-21 21.10.2018 10:30 $1,234,567.89",
        "order 1234567890, 100 200 300": "order 1234567890, 100 200 300",
        "123-4567 +5 stars 000000": "123-4567 +5 stars 000000",
        "A555-123-4567 555-123-45678": "A555-123-4567 555-123-45678",
    },
    t.replace_numbers: {
        "1,200.50 for 3": "<number> for <number>",
        "10/12 5'8\" 36-24-36": "<number>/<number> <number>'<number>\" <number>-<number>-<number>",
        "34d 3rd 2xl b12 x_1": "34d 3rd 2xl b12 x_1",
        "100% -5 .5 v1.2.3.": "<number>% -<number> <number> v1.2.3.",
        "5\u00bd \u00bc": "<number> <number>",
        "120# (100#)": "<number># (<number>#)",
    },
    t.replace_currency: {
        "$150, $1,200.50; \u20ac 20 20\u20ac \u00a35.": "<currency>, <currency>; "
        "<currency> <currency> <currency>.",
        "US$20, USD 20; 20 USD, 20 dollars, 5 Bucks": "<currency>, <currency>; "
        "<currency>, <currency>, <currency>",
        "$98 dollars, $1.5k $2 million": "<currency>, <currency> <currency>",
        "99\u00a2 and 50 cents": "<currency> and <currency>",
        "5 million dollars": "<currency>",
        "2\u00bd euros": "<currency>",
        "not worth the $$, 15 pounds, 2 centers": "not worth the $$, 15 pounds, 2 centers",
    },
    t.replace_user_handles: {
        "Thanks @jo_b! @Shop.name.": "Thanks <user>! <user>.",
        "@jo@mastodon.social (@a1)": "<user> (<user>)",
        "jo@b.com @ 5 @5pm a@b": "jo@b.com @ 5 @5pm a@b",
    },
    t.replace_hashtags: {
        "#love #2cute #\u00e9t\u00e9, #a_b": "<hashtag> <hashtag> <hashtag>, <hashtag>",
        "#1 120# (100#) &#39; http://a#b": "#1 120# (100#) &#39; http://a#b",
    },
    lambda c: t.replace_emoji(c, ":)"): {
        "a\U0001f60db": "a:)b",
        "\U0001f44d\U0001f3fd": ":)",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466!": ":)!",
        "\U0001f469\U0001f3fd\u200d\U0001f4bb": ":)",
        "\U0001f1fa\U0001f1f8\U0001f1eb\U0001f1f7": ":):)",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f": ":)",
        "1\ufe0f\u20e3 #\ufe0f\u20e3": ":) :)",
        "\u2764\ufe0f\u200d\U0001f525 \u2764 \u263a\ufe0f": ":) :) :)",
        "\U0001f3f3\ufe0f\u200d\U0001f308 \U0001f937\U0001f3fb\u200d\u2642\ufe0f": ":) :)",
        "\u00a9\ufe0f \u2122\ufe0f": ":) :)",
        "\U0001f642\u200d\u2194 \U0001f642\u200d\u2195\ufe0f": ":) :)",
        "\u00a9 \u00ae \u2122 #1 *2 3 \u2192 \u2194": "\u00a9 \u00ae \u2122 #1 *2 3 \u2192 \u2194",
        "\u2764\ufe0e caf\u00e9 \u65e5\u672c": "\u2764\ufe0e caf\u00e9 \u65e5\u672c",
        "\U0001fae0\U0001f979": ":):)",
    },
    t.remove_emoji: {"so\U0001f44d\U0001f3fdgood 5": "sogood 5"},
    t.remove_html_tags: {
        "I <b>love</b> it<br/>so<BR />much": "I love it so much",
        "<p class='a>b' id=\"c\">x</p>": " x ",
        "<script type='x'>if (a<b) {}</script>y<!-- no > -->z": " y z",
        "I <3 it, 30 dd< 26.5 in > a < b": "I <3 it, 30 dd< 26.5 in > a < b",
        "<jo@b.com> <http://a.io> <url>": "<jo@b.com> <http://a.io>  ",
        "&lt;b&gt;": "&lt;b&gt;",
        "<" * 50: "<" * 50,
        "a<!-- b <!-- c -->d<!-- e": "a d<!-- e",
        "a<SCRIPT>b</Script >c<script >d<style>": "a c d ",
        "a<style>p {}\n</style>b --> c<!-->": "a b --> c<!-->",
        "a<!-- <script> -->b<script>c</script><scripts>d": "a b  d",
    },
    t.unescape_html: {
        "it&#39;s &quot;ok&quot; &amp; &lt;3": 'it\'s "ok" & <3',
        "&eacute;&Eacute;&hearts;&apos;&comma;&nbsp;": "\u00e9\u00c9\u2665',\u00a0",
        "&#x1F60D;&#128525;&#X1f60d;&#00000128525;": "\U0001f60d" * 4,
        "&#146;&#x80;": "\u2019\u20ac",
        "&amp;lt; &amp;#39;": "&lt; &#39;",
        "AT&T, Q&A; &no; &; &#; &#x; & &&amp;&": "AT&T, Q&A; &no; &; &#; &#x; & &&&",
        "&#0; &#xD800; &#x110000; &#99999999;": "&#0; &#xD800; &#x110000; &#99999999;",
        "&amp &copy2": "&amp &copy2",
        "&#10;&#9;;": "\n\t;",
        "&#65533;&#x10FFFD;": "\ufffd\U0010fffd",
    },
    t.normalize_quotes: {
        "\u201cit\u2019s\u201d \u2018a\u2019 \u201eb\u201f": '"it\'s" \'a\' "b"',
        "5\u20328\u2033 don\u00b4t don`t": "5'8\" don't don't",
        "\u00abc\u00bb \u2039d\u203a \uff07\uff02": "\"c\" 'd' '\"",
    },
    t.normalize_whitespace: {
        " a \t b\r\n\r\nc\u00a0\u2003d ": "a b c d",
        "\u3000\u2028": "",
        "a b": "a b",
    },
    t.limit_repeats: {
        "sooooo good!!!!! ....": "sooo good!!! ...",
        "10000000 loooove     xxxl": "10000000 looove     xxxl",
        "\U0001f60d" * 5 + "\u2764\ufe0f" * 5: "\U0001f60d" * 3 + "\u2764\ufe0f" * 3,
        "\U0001f44d\U0001f3fd" * 4 + "$$$$": "\U0001f44d\U0001f3fd" * 3 + "$$$",
    },
    t.expand_contractions: {
        "don't DON'T Don\u2019t can't Can't CAN'T": "do not DO NOT Do not cannot Cannot CANNOT",
        "won't Won't WON'T shan't": "will not Will not WILL NOT shall not",
        "it's It\u2019s IT'S that's Let's": "it is It is IT IS that is Let us",
        "it's been, he's got": "it has been, he has got",
        "I'm I'M i'm you're They've we'll I'LL": "I am I AM i am you are They have we will I WILL",
        "I'd love, you'd better, she'd been": "I would love, you had better, she had been",
        "couldn't've ain't Ain't y'all": "could not have is not Is not you all",
        "'tis 'Twas": "it is It was",
        "the dress's hem, Jo's, o'clock, ma'am": "the dress's hem, Jo's, o'clock, ma'am",
        "'really' 5'8 'll 're-wear rock'n'roll": "'really' 5'8 'll 're-wear rock'n'roll",
        "\uffff don't\nit's": "\uffff do not\nit is",
        "\u2018it\u2019s\u2019 it\u02bcs '\u2019": "\u2018it is\u2019 it is '\u2019",
        "caf\u00e9's nothing's na\u00efve'd": "caf\u00e9's nothing is na\u00efve'd",
        "outfit's it'sy I'd've": "outfit's it'sy I would have",
    },
    t.remove_punctuation: {
        "don't wait...buy \u201cit\u201d!": "dont wait buy  it ",
        "a_b $5 <url> \U0001f60d": "a b  5  url  \U0001f60d",
    },
    t.remove_control_chars: {
        "\ufeffgo\u200bod\u00ad\u202e\x00\x07\x7f\x80": "good",
        "a\tb\nc\r\nd\x0b\x0c\x1c\x85": "a\tb\nc\r\nd\x0b\x0c\x1c\x85",
        "\U0001f468\u200d\U0001f469 a\u200db": "\U0001f468\u200d\U0001f469 ab",
        "\u2764\ufe0f\u200d\U0001f525": "\u2764\ufe0f\u200d\U0001f525",
        "hid\U000e0061\U000e0062": "hid",
        "\U0001f3f4\U000e0067\U000e007f": "\U0001f3f4\U000e0067\U000e007f",
    },
    t.remove_accents: {
        "caf\u00e9 \u00c5\u1ec7 na\u0069\u0308ve \u00f1": "cafe Ae naive n",
        "\u00df \u0153 \u00f8 \u0142": "\u00df \u0153 \u00f8 \u0142",
        "\u03ac\u03b0 \u0439 \u304c": "\u03b1\u03c5 \u0439 \u304c",
    },
}


def test_each_function_does_what_its_table_says(spark: SparkSession) -> None:
    """All tables in one job: a row per case and a column per function."""
    cases = [(i, text) for i, table in enumerate(CASES.values()) for text in table]
    rows = spark.createDataFrame(
        [(*case, n) for n, case in enumerate(cases)], "f int, t string, n int"
    )
    for ansi in ("false", "true"):
        spark.conf.set("spark.sql.ansi.enabled", ansi)
        try:
            out = [function(F.col("t")).alias(f"f{i}") for i, function in enumerate(CASES)]
            found = rows.select("f", "t", "n", *out).collect()
        finally:
            spark.conf.unset("spark.sql.ansi.enabled")
        tables = list(CASES.values())
        wrong = {
            (row.f, row.t): (row[f"f{row.f}"], tables[row.f][row.t])
            for row in found
            if row[f"f{row.f}"] != tables[row.f][row.t]
        }
        assert not wrong


def test_null_stays_null_and_empty_stays_empty(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(None,), ("",)], "t string")
    null, empty = rows.select(*[function(F.col("t")) for function in CASES]).collect()
    assert set(null) == {None}
    assert set(empty) == {""}


def test_tokens_may_hold_dollars_and_backslashes(spark: SparkSession) -> None:
    texts = ["www.a.io", "a@b.com", "555-123-4567", "12", "$5", "@jo", "#a", "\U0001f60d"]
    functions = [
        t.replace_urls, t.replace_emails, t.replace_phone_numbers, t.replace_numbers,
        t.replace_currency, t.replace_user_handles, t.replace_hashtags, t.replace_emoji,
    ]  # fmt: skip
    token = r"$0\1\\ ${a}"
    rows = spark.createDataFrame([tuple(texts)])
    columns = [f(F.col(name), token) for f, name in zip(functions, rows.columns, strict=True)]
    assert list(rows.select(*columns).head()) == [token] * len(texts)  # type: ignore[arg-type]


def test_very_long_text_overflows_no_stack(spark: SparkSession) -> None:
    parts = [
        "(",
        "a.",
        "<a b='",
        "&amp;",
        "don't ",
        "\U0001f468\u200d",
        "1,",
        "x@",
        "#a",
        "http://a",
    ]
    texts = [part * 5_000 for part in parts] + ["http://" + "a.(b)" * 5_000, "a@" + "b." * 5_000]
    rows = spark.createDataFrame([(text,) for text in texts], "t string")
    checks = [F.max(F.length(function(F.col("t")))) for function in CASES]
    assert None not in list(rows.agg(*checks).head())  # type: ignore[arg-type]


def test_nesting_keeps_the_plan_small_and_free_of_python(spark: SparkSession) -> None:
    column = F.col("t")
    for function in CASES:
        column = function(column)
    plan = spark.createDataFrame([("a",)], "t string").select(column)
    told = plan._jdf.queryExecution().optimizedPlan().toString()
    assert "EvalPython" not in told
    assert len(told) < 100_000


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5])
def test_repeats_go_as_by_python_s_expression(spark: SparkSession, most: int) -> None:
    chance = random.Random(most)
    texts = ["".join(chance.choices("ab .!1\n", [6, 2, 1, 1, 1, 1, 1], k=20)) for _ in range(2000)]
    texts += [texts[0] + "c" * n for n in range(9)]
    wanted = [re.sub(rf"([^\d\s])\1{{{most},}}", r"\1" * most, text) for text in texts]
    assert applied(spark, lambda column: t.limit_repeats(column, most), texts) == wanted


def test_limit_repeats_refuses_less_than_one() -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        t.limit_repeats(F.col("t"), 0)


# Against Python's own: hypothesis draws a batch of strings, and one job cleans them all.
PROPERTY = settings(
    max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def batch(characters: str | None = None, pieces: list[str] | None = None) -> st.SearchStrategy:
    piece = st.sampled_from(pieces) if pieces else st.nothing()
    letter = (
        st.sampled_from(characters) if characters else st.characters(blacklist_categories=["Cs"])
    )
    return st.lists(st.lists(piece | letter, max_size=12).map("".join), min_size=300, max_size=300)


REFERENCES = [
    "&lt;", "&amp;", "&eacute;", "&AMP;", "&thetasym;", "&#233;", "&#xE9;", "&#x1F600;",
    "&#128512;", "&#151;", "&#0065;", "&bogus;",
]  # fmt: skip


@PROPERTY
@given(texts=batch("ab ;#&x9", REFERENCES))
def test_references_resolve_as_in_html_unescape(spark: SparkSession, texts: list[str]) -> None:
    # Python, as browsers, also takes references that lack their semicolon: those are left out.
    wanted = [text for text in texts if html.unescape(text) == _strictly(text)]
    assert len(wanted) > 100
    assert applied(spark, t.unescape_html, wanted) == [html.unescape(text) for text in wanted]


def _strictly(text: str) -> str:
    return re.sub(r"&(?:#[xX][0-9a-fA-F]+|#[0-9]+|\w+);", lambda m: html.unescape(m[0]), text)


def test_all_names_of_html_4_are_known(spark: SparkSession) -> None:
    names = sorted(html.entities.name2codepoint)
    found = applied(spark, t.unescape_html, [f"&{name};" for name in names])
    assert len(names) == 252
    assert found == [html.unescape(f"&{name};") for name in names]


@PROPERTY
@given(texts=batch(None, [" ", "  ", "\t", "\n", "\x1c", "\x85", "\u00a0", "\u2003", "\u3000"]))
def test_whitespace_is_what_python_splits_on(spark: SparkSession, texts: list[str]) -> None:
    assert applied(spark, t.normalize_whitespace, texts) == [" ".join(x.split()) for x in texts]


LETTERS = ascii_.ascii_letters + "".join(
    map(chr, [*range(0xC0, 0x250), *range(0x386, 0x3D0), *range(0x1E00, 0x1F00)])
)


@PROPERTY
@given(texts=batch(LETTERS, ["e\u0301", "a\u0308\u0323", "\u03b1\u0301"]))
def test_accents_go_as_in_nfd(spark: SparkSession, texts: list[str]) -> None:
    def bare(text: str) -> str:
        decomposed = unicodedata.normalize("NFD", text)
        return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")

    # Singletons, as the Greek question mark, change under NFD without any accent.
    usable = [x for x in texts if not set(x) & {"\u0387", "\u037e", "\u1fbe"}]
    assert applied(spark, t.remove_accents, usable) == [bare(x) for x in usable]


@PROPERTY
@given(texts=batch(None, list(ascii_.punctuation)))
def test_no_punctuation_is_left(spark: SparkSession, texts: list[str]) -> None:
    known = [x for x in texts if all(unicodedata.category(c) != "Cn" for c in x)]
    left = "".join(x or "" for x in applied(spark, t.remove_punctuation, known))
    assert not [c for c in left if unicodedata.category(c)[0] == "P" or c in ascii_.punctuation]


@PROPERTY
@given(texts=batch(None, list("ab'!") + REFERENCES + ["  ", "don't", "www.a.io", "\U0001f44d"]))
def test_cleaning_twice_changes_nothing_more(spark: SparkSession, texts: list[str]) -> None:
    cleaner = TextCleaner(inputCols=["t"], outputCol="o", unescapeHtml=False)
    rows = spark.createDataFrame([(x,) for x in texts], "t string")
    once = cleaner.transform(rows).select(F.col("o").alias("t"))
    assert cleaner.transform(once).where("t != o").count() == 0


def test_plain_text_goes_a_shorter_way_to_the_same(spark: SparkSession) -> None:
    bits = [*"ab.!:1 \n\t&", "it's ", "don't", "&amp;", "...", "  ", "www.", ".com", "555-"]
    chance = random.Random(1)
    texts = ["x" + "".join(chance.choices(bits, k=chance.randint(1, 12))) for _ in range(2000)]
    steps = [
        t.remove_html_tags, t.unescape_html, t.remove_control_chars, t.normalize_quotes,
        t.replace_urls, t.replace_emails, t.replace_phone_numbers, t.expand_contractions,
        t.limit_repeats, t.normalize_whitespace,
    ]  # fmt: skip
    cleaner = TextCleaner(inputCols=["t"], outputCol="o")
    rows = spark.createDataFrame([(text,) for text in texts], "t string").cache()
    long_way = reduce(lambda column, step: step(column), steps, F.col("t"))
    both = cleaner.transform(rows).select("t", "o", long_way.alias("wanted"))
    assert 200 < rows.where(t.is_plain(F.col("t"))).count() < 1800
    assert both.where("o != wanted").collect() == []


class TestTextCleaner:
    def clean(self, spark: SparkSession, rows: list, **params: object) -> list[str | None]:
        table = spark.createDataFrame(rows, "title string, body string")
        cleaner = TextCleaner(inputCols=["title", "body"], outputCol="clean", **params)
        return [row.clean for row in cleaner.transform(table).collect()]

    def test_null_only_where_all_inputs_are_null(self, spark: SparkSession) -> None:
        rows = [(None, None), (None, "b"), ("a", None), ("", None), (" \t\u00a0", "b"), ("a", "b")]
        found = self.clean(spark, rows, separator=". ")
        assert found == [None, "b", "a", "", "b", "a. b"]

    def test_defaults_mask_private_data_and_keep_words_case_and_emoji(
        self, spark: SparkSession
    ) -> None:
        body = (
            "I <b>can&#39;t</b> wait\u200b!!!!!!\r\n\r\nWrite jo@b.com or (555) 123-4567, see "
            "https://a.io/x(y). 36-24-36 \U0001f60d @jo #fit $20 caf\u00e9"
        )
        assert self.clean(spark, [("WOW\u2019s", body)]) == [
            "WOW's I cannot wait!!! Write <email> or <phone>, see <url>. 36-24-36 \U0001f60d @jo "
            "#fit $20 caf\u00e9"
        ]

    def test_every_step_can_be_turned_off(self, spark: SparkSession) -> None:
        off = dict.fromkeys(
            ["removeHtmlTags", "unescapeHtml", "removeControlChars", "normalizeQuotes",
             "expandContractions", "normalizeWhitespace"], False,
        )  # fmt: skip
        modes = dict.fromkeys(["urls", "emails", "phoneNumbers"], "off")
        raw = "<b>can&#39;t\u200b</b>  \u2019 www.a.io a@b.com 555-123-4567 !!!!! "
        assert self.clean(spark, [(None, raw)], **off, **modes, limitRepeats=0) == [raw]

    def test_kinds_are_masked_dropped_or_given_another_token(self, spark: SparkSession) -> None:
        body = "www.a.io x@b.com 555-123-4567 $5 7 @jo #tag 2\U0001f60d."
        mask = dict.fromkeys(t.TOKENS, "mask")
        drop = dict.fromkeys(t.TOKENS, "drop")
        tokens = {"urls": "$LINK", "emoji": ""}
        assert self.clean(spark, [(None, body)], **mask, tokens=tokens) == [
            "$LINK <email> <phone> <currency> <number> <user> <hashtag> <number>."
        ]
        assert self.clean(spark, [(None, body)], **drop) == ["."]

    def test_for_word_counts_alone(self, spark: SparkSession) -> None:
        params = {"removeAccents": True, "removePunctuation": True, "lowercase": True}
        found = self.clean(spark, [("D\u00c9J\u00c0 vu!", "DON'T; www.a.io")], **params)
        assert found == ["deja vu do not url"]

    def test_unknown_tokens_are_refused(self) -> None:
        wrong: list[tuple[Any, type[Exception]]] = [
            ({"url": "x"}, ValueError), ({"urls": 1}, TypeError), ("x", TypeError)
        ]  # fmt: skip
        for tokens, error in wrong:
            with pytest.raises(error, match="tokens"):
                TextCleaner(tokens=tokens)

    def test_a_number_is_no_text(self, spark: SparkSession) -> None:
        cleaner = TextCleaner(inputCols=["id"], outputCol="clean")
        with pytest.raises(SchemaError, match=rf"{cleaner.uid}.*'id' must be string, found bigint"):
            cleaner.transform(spark.range(1))


def test_a_python_function_can_follow_in_one_select(spark: SparkSession) -> None:
    df = spark.createDataFrame([("a<!-- b -->c <script>x</script>",)], ["review_text"])
    cleaned = TextCleaner(inputCols=["review_text"], outputCol="text").transform(df)
    row = cleaned.select(F.udf(len, "int")("text").alias("n")).head()
    assert row is not None
    assert row.n == len("a c")
