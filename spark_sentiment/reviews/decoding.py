"""Decode text so that bytes that are not in its encoding are told from U+FFFD.

Spark replaces bytes that are not in the encoding by U+FFFD, which is also a character of its
own. Files in UTF-8 and in encodings with one byte per character are therefore read as
ISO-8859-1, in which each byte is a character, and decoded by expressions that tell the two
apart. Texts of ASCII alone need no decoding.
"""

from dataclasses import dataclass

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.core import jvm

BYTES = "ISO-8859-1"
"""Encoding in which each byte is the character of the same number."""


@dataclass(frozen=True)
class Coding:
    """How text is scanned and decoded.

    Attributes
    ----------
    scanned : str
        Encoding that Spark reads with.
    utf8 : bool
        Whether the scanned characters are bytes of UTF-8.
    table : tuple of str, optional
        Characters to replace, and their replacements, in order.
    """

    scanned: str
    utf8: bool = False
    table: tuple[str, str] | None = None

    def text(self, scanned: Column) -> Column:
        """Decode a scanned text."""
        if not self.utf8 and self.table is None:
            return scanned
        ascii_only = F.octet_length(scanned) == F.length(scanned)
        if self.table is not None:
            return F.when(ascii_only, scanned).otherwise(F.translate(scanned, *self.table))
        decoded = made_valid(F.encode(scanned, BYTES))
        return F.when(ascii_only | scanned.isNull(), scanned).otherwise(decoded)

    def damaged(self, scanned: Column) -> Column:
        """Tell whether a scanned text has bytes that are not in the encoding."""
        if self.utf8:
            data = F.encode(scanned, BYTES)
            ascii_only = F.octet_length(scanned) == F.length(scanned)
            return ~ascii_only & (made_valid(data).cast("binary") != data)
        return self.text(scanned).contains("\ufffd")


def made_valid(data: Column) -> Column:
    r"""Decode bytes as UTF-8, with U+FFFD for bytes that are not in it.

    Examples
    --------
    >>> df = spark.createDataFrame([(bytearray(b"caf\xc3\xa9 \xff"),)], ["data"])
    >>> df.select(made_valid(df.data)).head()[0]
    'café �'
    """
    if hasattr(F, "make_valid_utf8"):  # Spark 4, where `decode` fails for such bytes
        valid: Column = F.make_valid_utf8(data.cast("string"))
        return valid
    return F.decode(data, "UTF-8")


def coding_of(spark: SparkSession, encoding: str) -> Coding:
    """Return how bytes in `encoding` are scanned and decoded.

    Examples
    --------
    >>> coding_of(spark, "windows-1252").scanned, coding_of(spark, "Shift_JIS").scanned
    ('ISO-8859-1', 'Shift_JIS')
    """
    if encoding.upper() in ("UTF-8", "UTF8"):
        return Coding(BYTES, utf8=True)
    every = bytes(range(256))
    mapped, same = jvm.decode(spark, every, encoding), every.decode(BYTES)
    if len(mapped) != 256 or mapped[:128] != same[:128]:
        return Coding(encoding)
    changed = [(old, new) for old, new in zip(same, mapped, strict=True) if old != new]
    if not changed:
        return Coding(BYTES)
    return Coding(BYTES, table=("".join(o for o, _ in changed), "".join(n for _, n in changed)))
