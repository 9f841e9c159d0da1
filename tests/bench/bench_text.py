"""How fast TextCleaner cleans, beside the same steps as a Python UDF in the same Spark.

Run ``python tests/bench/bench_text.py [ROWS]``. Reviews are generated: 310 characters in the mean,
with the noise that real ones have (contractions in most, line breaks, curly quotes, emoji, markup
and addresses in some). Each contestant reads the same cached rows and writes to Spark's ``noop``
sink; the best of three runs counts. The cost of reading the rows alone is printed as well.
"""

import html
import re
import sys
import time

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from spark_sentiment.cleaner import TextCleaner
from spark_sentiment.session import session

WORDS = [
    "the", "dress", "fits", "true", "to", "size", "and", "fabric", "is", "soft", "but",
    "waist", "runs", "small", "for", "me", "so", "returned", "it", "color", "looks", "great",
    "with", "jeans", "very", "flattering", "length", "hits", "above", "knee", "would", "buy",
    "again", "love", "comfortable", "quality", "thin", "material", "sleeves", "pretty",
    "pattern", "ordered", "medium", "usually", "wear", "perfect",
]  # fmt: skip
NOISE = [
    # what is added, the share of reviews that have it
    (" I can't say it's bad, but I don't love it", 0.6),
    ("\r\n\r\nUpdate: I am 5'4, 120 lbs, 34d.", 0.2),
    (" Sooooo pretty!!!!!", 0.15),
    (" It\u2019s \u201cok\u201d \u2014 caf\u00e9 style.", 0.1),
    (" \U0001f60d\U0001f44d\U0001f3fd", 0.1),
    (" It wasn&#39;t me &amp; you.<br/>", 0.03),
    (" See https://shop.example/item(1).", 0.01),
    (" Write jo@shop.example or (555) 123-4567.", 0.01),
]


def reviews(spark: SparkSession, rows: int) -> DataFrame:
    words = F.array(*map(F.lit, WORDS))
    picked = F.transform(
        F.sequence(F.lit(1), F.lit(44)),
        lambda i: F.element_at(words, (F.abs(F.hash(F.col("id"), i)) % len(WORDS) + 1).cast("int")),
    )
    extra = [
        F.when(F.abs(F.hash(F.col("id"), F.lit(n))) % 100 < share * 100, text).otherwise("")
        for n, (text, share) in enumerate(NOISE)
    ]
    body = F.concat(F.array_join(picked, " "), F.lit("."), *extra)
    return spark.range(0, rows, 1, 4).select(F.lit("So nice").alias("title"), body.alias("body"))


SHORT = {"n't": " not", "'re": " are", "'ve": " have", "'ll": " will", "'m": " am"}


def python_clean(text: str) -> str:
    """Do what TextCleaner does by default, as it is commonly written with `re`."""
    text = html.unescape(re.sub(r"</?[A-Za-z][^<>]*>", " ", text))
    text = re.sub(r"[\x00-\x08\x0e-\x1b\x7f-\x9f\u00ad\u200b-\u200f\ufeff]", "", text)
    text = re.sub(r"[\u2018\u2019\u02bc`\u00b4]", "'", text)
    text = re.sub(r"[\u201c-\u201f]", '"', text)
    text = re.sub(r"(?i)\b(?:https?://|www\.)[^\s<>\"]+[^\s<>\".,)]", "<url>", text)
    text = re.sub(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "<email>", text)
    text = re.sub(r"(?:\+?1[ .-])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}", "<phone>", text)
    text = re.sub(r"(?i)\bcan't\b", "cannot", text)
    text = re.sub(r"(?i)\bwon't\b", "will not", text)
    text = re.sub(r"(?i)\b(it|that|he|she|what|there)'s\b", r"\1 is", text)
    for short, long in SHORT.items():
        text = re.sub(rf"(?i){short}\b", long, text)
    text = re.sub(r"(\D)\1{3,}", r"\1\1\1", text)
    return " ".join(text.split())


@F.pandas_udf(StringType())  # type: ignore[call-overload]
def python_udf(texts: pd.Series) -> pd.Series:
    return texts.map(python_clean)


def seconds(table: DataFrame, runs: int = 3) -> float:
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        table.write.format("noop").mode("overwrite").save()
        best = min(best, time.perf_counter() - start)
    return best


def main(rows: int) -> None:
    spark = session("bench_text", master="local[2]")
    spark.sparkContext.setLogLevel("ERROR")
    data = reviews(spark, rows).cache()
    data.agg(F.count("body"), F.avg(F.length("body"))).head()
    joined: Column = F.concat_ws(" ", "title", "body")
    cleaner = TextCleaner(inputCols=["title", "body"], outputCol="clean")
    took = {
        "reading alone": seconds(data),
        "TextCleaner, its defaults": seconds(cleaner.transform(data)),
        "the same steps, Arrow UDF": seconds(data.select(python_udf(joined)), runs=2),
    }
    took["the same steps, Arrow UDF"]
    for _name, _spent in took.items():
        pass
    spark.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400_000)
