"""Regular expressions: how often Java reads each character of a hostile text.

Java searches a text that counts its reads, so the test needs no clock. A search whose time grows
with the square of the length reads each character of these texts thousands of times.
"""

import string
from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_sentiment.text import ngrams, patterns

LENGTH = 5_000
MOST = 60  # reads of a character, in the mean

READS = """
public class Reads implements CharSequence {
    private String text = "";
    private long reads, most;

    public int length() { return text.length(); }
    public CharSequence subSequence(int start, int end) { return text.substring(start, end); }
    public String toString() { return text; }
    public char charAt(int index) {
        if (++reads > most) throw new IllegalStateException("too many reads");
        return text.charAt(index);
    }

    /** Whether a search for all matches reads each character at most `most` times in the mean. */
    public boolean few(String pattern, String fragment, String end, int length, int most) {
        StringBuilder builder = new StringBuilder();
        while (builder.length() < length) builder.append(fragment);
        text = builder.append(end).toString();
        reads = 0;
        this.most = (long) most * text.length();
        java.util.regex.Matcher matcher = java.util.regex.Pattern.compile(pattern).matcher(this);
        try {
            while (matcher.find()) { }
        } catch (IllegalStateException error) {
            return false;
        } catch (StackOverflowError error) {
            return false;
        }
        return true;
    }
}
"""

# A pattern that is applied only to texts with a certain end.
ENDS = {
    patterns.COMMENT: patterns.COMMENT_END,
    **{element.whole: f"</{name}>" for name, element in zip(
        ("script", "style"), patterns.ELEMENTS, strict=True
    )},
}  # fmt: skip
STRINGS = {"ACCENTED", "BARE", "REFERENCES", "ENTRY_END", "KEY_END", "COMMENT_END"}


def all_patterns() -> Iterator[str]:
    for name, value in vars(patterns).items():
        public = name.isupper() and not name.startswith("_")
        if public and isinstance(value, str) and name not in STRINGS:
            yield value
    for element in patterns.ELEMENTS:
        yield from element
    for rules in patterns.CONTRACTIONS.values():  # what is behind is read for a few bytes alone
        yield from ("^" + rule.ahead for rule in rules)
    for most in (1, 3):
        yield patterns.repeats(most)
        yield patterns.without_repeats(most)
    yield ngrams.WORDS
    yield r"[^\p{L}\p{N}]+"


SIGNS = [
    *"aA1 \n_",
    *string.punctuation,
    *"\u00e9\u0301\u200b\u200d\u2764\ufe0e\ufe0f\u20e3\u20ac\u2019\u4e2d\u0e01\u0915\u094d\u00bd",
    *"\U0001f60d\U0001f3fd\U0001f1fa\U0001f3f4\U000e0067\U000e007f\u00a0",
]
FRAGMENTS = [
    "<!--", "<script", "<script>", "<script ", "<style>", "<a ", "<a b='", "<a ''", "</", "<?x",
    "<![a", "<url>", "-->", "</script", "http://", "http://(", "www.", "a.", "a.com", "a.co.uk",
    "a-a.", "@a", "a@", "a@a.", "a'", "a&", "USD ", "US$", "$1 ", "1,1", "1.1 ", "1 1 ", "1\u00bd",
    "1 million ", "555-", "(555) ", "+1 ", "0123 ", "n't ", "it's ", "'d been ", "#a", "#1_",
    "&amp", "&#1", "(a)", "[a]", "aA", "e\u0301", "\u2764\ufe0f\u200d", "\u0915\u094d\u200d",
    ":-", ":-)", "<3", "!?", "a-",
]  # fmt: skip


@pytest.fixture(scope="module")
def reads(spark: SparkSession) -> Any:
    compiler = spark._jvm.org.codehaus.janino.SimpleCompiler()  # type: ignore[union-attr]
    compiler.cook(READS)
    return compiler.getClassLoader().loadClass("Reads").newInstance()


def costly(reads: Any, fragments: list[str], length: int) -> set[tuple[str, str]]:
    return {
        (pattern, fragment)
        for pattern in dict.fromkeys(all_patterns())
        for fragment in fragments
        if not reads.few(pattern, fragment, ENDS.get(pattern, ""), length, MOST)
    }


def test_repeated_fragments_are_read_few_times(reads: Any) -> None:
    assert not costly(reads, SIGNS + FRAGMENTS, LENGTH)


def test_a_search_of_quadratic_time_is_found(reads: Any) -> None:
    assert not reads.few("<!--.*?-->", "<!--", "", LENGTH, MOST)


@pytest.mark.long
def test_repeated_pairs_are_read_few_times(reads: Any) -> None:
    assert not costly(reads, [one + two for one in SIGNS for two in SIGNS], LENGTH // 5)


def test_contractions_are_expanded_in_short_pieces(spark: SparkSession) -> None:
    """The text before each apostrophe is copied, so the length of a piece bounds the copies."""
    fragments = ["'", "n't", "a'b ", "a, b' ", "\u00e9'"]
    rows = spark.createDataFrame([(each * 5_000,) for each in fragments], "t string")
    cut = F.regexp_extract_all("t", F.lit(patterns.EXPANSION_PIECE), F.lit(0))
    for row in rows.select("t", cut.alias("pieces")).collect():
        assert "".join(row.pieces) == row.t
        assert max(map(len, row.pieces)) <= 2_100
