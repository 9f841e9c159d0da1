r"""The regular expressions and tables behind the Column functions of ``text``.

All expressions are for Java's ``java.util.regex``. Three rules keep them fast and safe.

- Repeated groups are possessive (``*+``, ``++``): Java runs these as a loop, but a plain ``(a|b)*``
  recurses and overflows its stack on long texts.
- An expression that is tried at every character begins with a test of one character, so that text
  without a match costs one cheap scan.
- The time is proportional to the length of the text. An attempt that fails stops where the next one
  can begin, or no other can begin inside it. An expression avoids ``\b``, because Java then reads
  all combining marks before the character.
"""

import html
import html.entities
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

# --- addresses -----------------------------------------------------------------------------------

_PLAIN = r"[^\s()<>\[\]{}\"'`*\u201C\u201D\u2018\u2019.,;:!?]"  # may end an address
_INNER = r"[.,;:!?'*]"  # part of an address only if more of the address follows
_TAIL = (
    rf"(?:{_PLAIN}++|{_INNER}++(?={_PLAIN}|[(\[])"
    r"|\((?:[^\s()<>]++|\([^\s()<>]*+\))*+\)"  # balanced brackets, one level inside another
    r"|\[[^\s\[\]<>]*+\])"
)
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_BARE_ENDINGS = (
    r"(?:com(?:\.[a-z]{2}(?![a-z]))?|net|org|edu|gov|info|biz|co\.(?:uk|nz|za|in|jp|kr))"
)

URL = (
    rf"(?i)(?<![\w@])(?:(?:https?|ftp)://{_TAIL}++|www\d?\.(?=\w){_TAIL}++"
    rf"|(?<![\w@.-])(?:{_LABEL}\.){{1,8}}?{_BARE_ENDINGS}(?![\w@-]|\.[a-z])"
    rf"(?:(?::\d{{2,5}}+)?[/?#]{_TAIL}*+)?)"
)
_URL_HINT = rf"(?i:(?<=:)//|(?<=\bwww\d?\.)\w|(?<=[a-z0-9]\.){_BARE_ENDINGS}\b)"
URL_HINT = rf"[:.]{_URL_HINT}"

EMAIL = (
    r"(?<![\w.+%-])(?<![\w+%-]['&])[\w+%-]++(?:[.'&][\w+%-]++)*+@"
    r"(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.){1,8}\p{L}{2,24}(?![\p{L}\p{N}])"
)
USER_HANDLE = r"(?<![\w@.+/-])@[A-Za-z_]\w*+(?:\.[a-z0-9_]++)*+(?:@[\w-]++(?:\.[\w-]++)++)?+"
HASHTAG = r"(?<![\p{L}\p{N}_&#/])#(?=[\p{N}_]*+[\p{L}])[\p{L}\p{M}\p{N}_]++"

# --- numbers -------------------------------------------------------------------------------------

PHONE = (
    r"(?=[+(\d])(?<![\w$\u20AC\u00A3.,/-])(?:"
    r"\+[1-9](?:(?:[ ./-]|\) ?| ?\()?\d){7,14}"  # international
    r"|(?:1[ .-])?\(\d{3}\) ?\d{3}[ .-]\d{4}"  # North America, with brackets
    r"|(?:1([ .-]))?\d{3}([ .-])\d{3}\2\d{4}"  # North America, the same separator twice
    r"|\(0\d{1,4}\) ?\d{3,4}[ -]?\d{3,4}"  # a trunk zero, with brackets
    r"|0\d{2,4}[ -]\d{3,4}[ -]\d{3,4}|0\d{4}[ -]\d{6}|0[1-9](?:([ .])\d{2})(?:\3\d{2}){3}"
    r")(?: ?(?:x|ext\.?) ?\d{1,5})?(?![\w]|[.,/-]\d)"
)
_PHONE_HINT = r"(?:\d(?:\d\d|[ ./-]\d\d[ ./-]\d\d)|[ ./-]\d{3}[ ./-]\d{3})"
PHONE_HINT = rf"\d{_PHONE_HINT}"

_FRACTION = r"[\u00BC-\u00BE\u2150-\u215E]"
_AMOUNT = rf"(?:\d++(?:[.,]\d++)*+{_FRACTION}?|{_FRACTION})"
# The sign of a number is not part of it; digits inside a word (34d, 3rd, b12) belong to the word.
NUMBER = (
    rf"(?:(?<![\p{{L}}\p{{N}}_.,])\.(?=\d))?"
    rf"(?=\d|{_FRACTION})(?<![\p{{L}}\p{{N}}_])(?<!\d[.,]){_AMOUNT}(?![\p{{L}}_])"
)
_SIGNS = r"$\u00A2-\u00A5\u20A0-\u20C0"
_CODES = r"(?:USD|EUR|GBP|CAD|AUD|NZD|JPY|CHF|INR|CNY|SEK|NOK|DKK|MXN|BRL)"
_WORDS = r"(?:dollars?|bucks?|euros?|cents?)"
_SCALE = r"(?:[ ]?(?:k|K|m|M|bn|million|billion)(?!\w))?+"
CURRENCY = (
    rf"(?:(?<![\p{{L}}\p{{N}}_])(?:US|CA|AU|NZ|HK|A|C|R)?[{_SIGNS}] ?{_AMOUNT}{_SCALE}"
    rf"|(?<![\p{{L}}\p{{N}}_]){_CODES} ?{_AMOUNT}{_SCALE})(?: (?i:{_WORDS}|{_CODES})(?!\w))?"
    rf"|(?=\d)(?<![\p{{L}}\p{{N}}_.,]){_AMOUNT}{_SCALE}"
    rf"(?: ?[{_SIGNS}](?!\d)| ?{_CODES}(?!\w)|[ -]?(?i:{_WORDS})(?!\w))"
)
CURRENCY_HINT = (
    rf"[{_SIGNS}]|(?<![\p{{L}}\p{{N}}_]){_CODES}"
    rf"|[\d{_FRACTION}](?=[ -]?[A-Za-z]){_SCALE}[ -]?(?i:{_CODES}|{_WORDS})"
)

# --- emoji ---------------------------------------------------------------------------------------

# Unicode's Emoji property from U+2600 on, as ranges of a class. Astral blocks are included as a
# whole, also pictographs without the property and unassigned code points, so that emoji of later
# versions match too. Each fully or minimally qualified sequence in the tables of the package emoji
# 2.16.0 (up to Emoji 18) is one match, and so is each Emoji_Presentation character of regex
# 2026.11.15. Of the unqualified sequences, only those in _SIGN do not match.
_PICTURE = (
    r"\u2600-\u2604\u260E\u2611\u2614\u2615\u2618\u261D\u2620\u2622\u2623\u2626\u262A\u262E\u262F"
    r"\u2638-\u263A\u2640\u2642\u2648-\u2653\u265F\u2660\u2663\u2665\u2666\u2668\u267B\u267E\u267F"
    r"\u2692-\u2697\u2699\u269B\u269C\u26A0\u26A1\u26A7\u26AA\u26AB\u26B0\u26B1\u26BD\u26BE\u26C4"
    r"\u26C5\u26C8\u26CE\u26CF\u26D1\u26D3\u26D4\u26E9\u26EA\u26F0-\u26F5\u26F7-\u26FA\u26FD\u2702"
    r"\u2705\u2708-\u270D\u270F\u2712\u2714\u2716\u271D\u2721\u2728\u2733\u2734\u2744\u2747\u274C"
    r"\u274E\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797\u27A1\u27B0\u27BF\u2B1B\u2B1C\u2B50\u2B55"
    r"\u231A\u231B\u23E9-\u23F3\u23F8-\u23FA\u25FD\u25FE\x{1F004}\x{1F0CF}\x{1F18E}"
    r"\x{1F191}-\x{1F19A}\x{1F201}\x{1F21A}\x{1F22F}\x{1F232}-\x{1F236}\x{1F238}-\x{1F23A}"
    r"\x{1F250}\x{1F251}\x{1F300}-\x{1F64F}\x{1F680}-\x{1F6FF}\x{1F7E0}-\x{1F7EB}\x{1F7F0}"
    r"\x{1F90C}-\x{1F9FF}\x{1FA70}-\x{1FAFF}"
)
# Signs that are text unless U+FE0F follows: (c), (r), TM, arrows, geometric shapes, letters.
_SIGN = (
    r"\u00A9\u00AE\u203C\u2049\u2122\u2139\u2194-\u2199\u21A9\u21AA\u2328\u23CF\u24C2\u25AA\u25AB"
    r"\u25B6\u25C0\u25FB\u25FC\u2934\u2935\u2B05-\u2B07\u3030\u303D\u3297\u3299"
    r"\x{1F170}\x{1F171}\x{1F17E}\x{1F17F}\x{1F202}\x{1F237}"
)
_SKIN = r"\x{1F3FB}-\x{1F3FF}"
_ONE = rf"(?:[{_PICTURE}](?!\uFE0E)[\uFE0F{_SKIN}]?+|[{_SIGN}]\uFE0F)\u20E3?+"
EMOJI = (
    r"[0-9#*]\uFE0F?\u20E3"  # keycaps
    r"|(?=[\u00A9\u00AE\u203C-\x{1FAFF}])(?:"  # all others, after a cheap test
    r"[\x{1F1E6}-\x{1F1FF}]{1,2}"  # flags are pairs of regional letters
    r"|\x{1F3F4}[\x{E0020}-\x{E007E}]++\x{E007F}"  # flags of subdivisions
    rf"|{_ONE}(?:\u200D(?:{_ONE}|[\u2194\u2195]))*+)"  # also heads that shake, without U+FE0F
)

# --- characters ----------------------------------------------------------------------------------


def _among(codes: Iterable[int]) -> str:
    """Return a class of these characters as a list, which Java tests faster than ranges."""
    return "[{}]".format("".join(rf"\x{code:02X}" for code in codes))


ODD_ASCII = _among([*range(0x20), 0x7F])
CONTROL_HINT = _among([*range(0x09), *range(0x0E, 0x1C), 0x7F])  # without whitespace

# Plain text is changed only by the steps on words, numbers, currency, hashtags, repeats and
# whitespace. Java is fastest in a run of one class, from the start of the text.
_PLAIN_RUN = _among({*b"\t\n\r", *range(0x20, 0x7F)} - {*b"<&@`.:0123456789"}) + "*"
_PLAIN_MARK = rf"(?:[.:](?!{_URL_HINT})|[0123456789](?!{_PHONE_HINT})|&(?!#?\w{{1,40}};))"
PLAIN = rf"\A{_PLAIN_RUN}(?:{_PLAIN_MARK}{_PLAIN_RUN})*+\z"

_SPACE = r"\t-\r\x1C-\x1F\x85\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"
SPACE_RUN = rf"(?![!-~])(?:[{_SPACE}][ {_SPACE}]*+| [ {_SPACE}]++)"
NOT_BLANK = rf"[^ {_SPACE}]"

# Group 1 is kept: a black flag and the tags of its name. (Java's lookbehind does not match astral
# characters in a class, so it cannot express "not after a flag".)
CONTROL = (
    r"(?![ -~])(?:[\x00-\x08\x0E-\x1B\x7F-\x84\x86-\x9F\u00AD\u061C\u180E\u200B\u200C\u200E\u200F"
    r"\u202A-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB\x{E0001}]"
    rf"|\u200D(?![{_PICTURE}\u2194\u2195\u2B05-\u2B07])"  # the joiner stays inside an emoji
    r"|(\x{1F3F4}[\x{E0020}-\x{E007E}]++\x{E007F})|[\x{E0020}-\x{E007F}]++)"
)

SINGLE_QUOTE = r"[`\u00B4\u02BC\u2018-\u201B\u2032\u2035\u2039\u203A\u275B\u275C\uFF07]"
DOUBLE_QUOTE = r"[\u00AB\u00BB\u201C-\u201F\u2033\u2036\u275D\u275E\u301D-\u301F\uFF02]"

APOSTROPHE = r"(?<=\p{L})['\u2019](?=\p{L})"
PUNCTUATION = r"[\p{P}$+<=>^`|~]++"


def repeats(most: int) -> str:
    """Return a pattern of more than `most` equal characters in a row; group 1 is the character.

    It does not match digits. A variation selector or skin tone is part of the character before it.
    """
    return rf"([^\d\s][\uFE0F{_SKIN}]?+)" + r"\1" * most + r"\1*+"


def without_repeats(most: int) -> str:
    """Return a pattern that matches most ASCII texts without `repeats`, and no text with them.

    If `most` is 3 or more, it is enough to test each second character (or third, and so on): the
    test still sees at least three characters of a run that is too long.
    """
    stride = max(1, most - 1)
    skipped = f".{{{stride - 1}}}" if stride > 1 else ""
    too_many = r"\1" * (most + 1 - stride)
    return rf"(?s)\A(?:(.)(?!{too_many}){skipped})*+.{{0,{stride - 1}}}\z"


_ACCENTS = r"\u0300-\u036F\u1AB0-\u1AFF\u1DC0-\u1DFF\uFE20-\uFE2F"
ACCENT_MARKS = rf"(?<=[\p{{IsLatin}}\p{{IsGreek}}])[{_ACCENTS}]++"


def _accents() -> tuple[str, str]:
    """Return all accented Latin and Greek letters, and their base letters in the same order."""
    accented, bare = [], []
    for code in (*range(0xC0, 0x400), *range(0x1E00, 0x2000), 0x212B):
        decomposed = unicodedata.normalize("NFD", chr(code))
        base = "".join(c for c in decomposed if not unicodedata.combining(c))
        if len(base) == 1 and base.isalpha() and len(decomposed) > 1:
            accented.append(chr(code))
            bare.append(base)
    return "".join(accented), "".join(bare)


ACCENTED, BARE = _accents()

# --- HTML ----------------------------------------------------------------------------------------

_INLINE = (
    r"(?:a|abbr|acronym|b|bdi|bdo|big|cite|code|data|del|dfn|em|font|i|ins|kbd|label|mark|q|s|samp"
    r"|small|span|strike|strong|sub|sup|time|tt|u|var|wbr)"
)
_ATTRIBUTES = r"(?:\s(?:[^<>\"']++|\"[^\"<]*+\"|'[^'<]*+')*+)?/?>"
INLINE_TAG = rf"(?i)</?{_INLINE}{_ATTRIBUTES}"
BLOCK_TAG = (
    r"(?i)<(?:![a-z\[][^<>]*+>|\?[^<>]*+>"
    rf"|/?(?!{_INLINE}[\s/>])[a-z][a-z0-9:-]*+{_ATTRIBUTES})"
)

COMMENT_END = "-->"
COMMENT = r"(?s)<!--.*?-->"


class Element(NamedTuple):
    """Expressions for an element whose content is no text.

    Attributes
    ----------
    end : str
        Expression for its end tag.
    head : str
        Expression for a text up to its last end tag.
    whole : str
        Expression for the element with its tags and content. It is for a text that ends with an end
        tag: each start tag there has an end tag, so that no search for one is in vain.
    """

    end: str
    head: str
    whole: str


def _element(name: str) -> Element:
    end = rf"</{name}\s*+>"
    start = rf"<{name}(?:[\s/][^<>]*+)?>"
    return Element(rf"(?i){end}", rf"(?is)\A.*{end}", rf"(?is){start}.*?{end}")


ELEMENTS = (_element("script"), _element("style"))

# A reference without its ampersand: a name, a decimal or a hexadecimal code point.
REFERENCE = r"^(?:([A-Za-z][A-Za-z0-9]{0,31})|#0*+([0-9]{1,7})|#[xX]0*+([0-9A-Fa-f]{1,6}));"
ENTRY_END, KEY_END = "\uffff", "\ufffe"  # noncharacters, which occur in no name or value


def _references() -> str:
    """Return the table of references as one string for ``str_to_map``.

    It has all names of HTML 4, the names that HTML 5 gives to ASCII characters, and the code
    points 80 to 9F (as ``#80``…), which every browser reads as Windows-1252.
    """
    html5 = html.entities.html5  # as in browsers; HTML 4 differs for lang and rang
    table = {name: html5[f"{name};"] for name in html.entities.name2codepoint}
    for name, value in html5.items():
        if name.endswith(";") and len(value) == 1 and value.isascii():
            table[name[:-1]] = value
    for code in range(0x80, 0xA0):
        table[f"#{code:X}"] = html.unescape(f"&#{code};") or chr(code)
    return ENTRY_END.join(key + KEY_END + value for key, value in table.items())


REFERENCES = _references()

# --- contractions --------------------------------------------------------------------------------

_IS = r"it|he|she|that|there|here|what|who|where|when|why|how|everything|nothing|something"
_WOULD = r"I|you|he|she|it|we|they|that|there|who"


class Contraction(NamedTuple):
    """Rule for a contraction: the text around an apostrophe, and its replacement.

    Attributes
    ----------
    left : str
        End of the text before the apostrophe, which is replaced together with the ending.
    behind : str
        Expression for the text before `left`; it reaches at most `CONTRACTION_REACH` bytes back
        from the apostrophe.
    words : str
        Replacement of `left`, apostrophe and ending.
    ahead : str
        Expression for the text after the ending.
    """

    left: str
    behind: str
    words: str
    ahead: str = ""


# Rules by ending, frequent ones first; the first rule of an ending that matches is applied.
_CONTRACTIONS = {
    "t": (
        Contraction("can", r"\b", "cannot"),
        Contraction("Can", r"\b", "Cannot"),
        Contraction("won", r"\b", "will not"),
        Contraction("Won", r"\b", "Will not"),
        Contraction("shan", r"\b", "shall not"),
        Contraction("Shan", r"\b", "Shall not"),
        Contraction("ain", r"\b", "is not"),
        Contraction("Ain", r"\b", "Is not"),
        Contraction("n", "[A-Za-z]", " not"),
    ),
    "s": (
        Contraction("", rf"\b(?i:{_IS})", " has", r"\s++(?i:been|got)\b"),
        Contraction("", rf"\b(?i:{_IS})", " is"),
        Contraction("et", r"\b[Ll]", "et us"),
    ),
    "m": (Contraction("", r"\b[Ii]", " am"),),
    "ve": (Contraction("", "[A-Za-z]", " have"),),
    "ll": (Contraction("", "[A-Za-z]", " will"),),
    "re": (Contraction("", "[A-Za-z]", " are"),),
    "d": (
        Contraction("", rf"\b(?i:{_WOULD})", " had", r"\s++(?i:been|better)\b"),
        Contraction("", rf"\b(?i:{_WOULD})", " would"),
    ),
    "all": (Contraction("", r"\b[Yy]", "ou all"),),
    "tis": (Contraction("", r"(?<!\w)", "it is"),),
    "Tis": (Contraction("", r"(?<!\w)", "It is"),),
    "twas": (Contraction("", r"(?<!\w)", "it was"),),
    "Twas": (Contraction("", r"(?<!\w)", "It was"),),
}
_LOUD = {
    ending.upper(): tuple(
        dict.fromkeys(
            rule._replace(left=rule.left.upper(), words=rule.words.upper()) for rule in rules
        )
    )
    for ending, rules in _CONTRACTIONS.items()
}
CONTRACTIONS: dict[str, tuple[Contraction, ...]] = {**_CONTRACTIONS, **_LOUD}
CONTRACTION_REACH = 14  # bytes of "everything" and of one character before it

CURLY_APOSTROPHE = (
    r"(?<=\p{L})[\u2019\u02BC](?=\p{L})|(?<![\p{L}\p{N}])[\u2019\u02BC](?=(?i:tis|twas)\b)"
)

# A text is copied for each apostrophe in it, so longer texts are cut into pieces: at the end of a
# sentence or a word, if it is near.
EXPANSION_LONG = 2000
EXPANSION_PIECE = r"(?s).{1,1000}+[^.!?,\n]{0,1000}+\S{0,100}+"
