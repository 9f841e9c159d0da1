# ruff: noqa: T201 - a benchmark prints its table
"""How fast TextCleaner cleans, beside the same steps as a Python UDF in the same Spark.

Run ``python tests/bench/bench_text.py [ROWS] [--csv REVIEWS]``. Without a CSV, reviews are made up:
310 characters in the mean, with the noise that real ones have (contractions in most, line breaks,
curly quotes, emoji, markup and addresses in some). Each contestant reads cached rows (the slow one
a sample of them) and writes to Spark's ``noop`` sink; the best run counts. The cost of reading the
rows alone is printed as well.
"""

import argparse
import html
import os
import re
import sys
import time

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from spark_sentiment.session import get_session
from spark_sentiment.text.cleaner import TextCleaner

PEER_ROWS = 60_000
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


def seconds(table: DataFrame, runs: int) -> float:
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        table.write.format("noop").mode("overwrite").save()
        best = min(best, time.perf_counter() - start)
    return best


def real(spark: SparkSession, path: str, rows: int) -> DataFrame:
    """Read title and text of the reviews in `path`, repeated until there are `rows`."""
    read = spark.read.csv(path, header=True, multiLine=True, quote='"', escape='"')
    texts = read.select(F.col("Title").alias("title"), F.col("Review Text").alias("body"))
    texts = texts.where("body is not null")
    times = -(-rows // texts.count())
    return texts.crossJoin(spark.range(0, times, 1, 1)).drop("id").limit(rows).repartition(4)


def main(rows: int, csv: str | None) -> None:
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = get_session("bench_text", master="local[2]")
    spark.sparkContext.setLogLevel("ERROR")
    data = (real(spark, csv, rows) if csv else reviews(spark, rows)).cache()
    characters = F.length(F.concat_ws(" ", "title", "body"))
    count, mean = data.agg(F.count("*"), F.avg(characters)).head() or (0, 0.0)
    print(f"{count:,} reviews of {mean:.0f} characters in the mean, 2 cores")
    cleaner = TextCleaner(inputCols=["title", "body"], outputCol="clean")
    start = time.perf_counter()
    cleaned = cleaner.transform(data)
    print(f"TextCleaner.transform plans in {time.perf_counter() - start:.2f} s")
    share = max(1, count // PEER_ROWS)
    fewer = data.where(F.abs(F.hash("body")) % share == 0).cache()
    peer = fewer.select(python_udf(F.concat_ws(" ", "title", "body")))
    rates = {
        "reading alone": count / seconds(data, runs=3),
        "TextCleaner, its defaults": count / seconds(cleaned, runs=3),
        "the same steps, Arrow UDF": fewer.count() / seconds(peer, runs=2),
    }
    for name, rate in rates.items():
        print(f"{name:28s}{rate:12,.0f} reviews/s")
    ratio = rates["TextCleaner, its defaults"] / rates["the same steps, Arrow UDF"]
    print(f"TextCleaner is {ratio:.1f} times as fast as the Arrow UDF")
    spark.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=300_000)
    parser.add_argument("--csv", help="real reviews, with the columns Title and Review Text")
    given = parser.parse_args()
    main(given.rows, given.csv)
