# ruff: noqa: T201 - a benchmark prints its table
"""What the classifier reaches on real reviews, and what was tried on the way.

    uv run --no-sync python tests/bench/bench_accuracy.py --csv PATH [--seeds 5] [--only default]

PATH is the Women's E-Commerce Clothing Reviews, or any CSV with its columns. Each row of the table
is one set of settings, from ratings and with thresholds for macro-F1 where it does not say
otherwise, fitted on 80 % of the texts and judged on the other 20 %, once for each
seed; a text is never on both sides. Nothing is chosen by the test part: thresholds come from
out-of-fold probabilities of the training part. Seconds are those of one fit, features included,
embeddings not: they are computed once, before the clock starts, and kept in --cache.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.ml import Pipeline
from pyspark.sql import DataFrame, SparkSession

from spark_sentiment.classification.confusion import Confusion, confusion
from spark_sentiment.classification.default import classifier
from spark_sentiment.embedding.bert import BertEmbeddings
from spark_sentiment.jobs import pipeline
from spark_sentiment.reviews.csv_files import read_reviews
from spark_sentiment.reviews.labels import SENTIMENTS, RatingLabeler
from spark_sentiment.reviews.split import split_by_text
from spark_sentiment.session import get_session
from spark_sentiment.text.cleaner import TextCleaner

TFIDF, EMBEDDING, BOTH = ["tfidf"], ["embedding"], ["tfidf", "embedding"]
ALL_LAYERS = {"embeddingCol": "embedding_6"}

# Name -> the features, and what differs from the default classifier.
VARIANTS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "embedding of 6 layers": (EMBEDDING, ALL_LAYERS),
    "embedding of 4 layers": (EMBEDDING, {}),
    "tf-idf, best for accuracy": (TFIDF, {"naiveBayes": False, "metric": "accuracy"}),
    "tf-idf, thresholds": (TFIDF, {"naiveBayes": False}),
    "tf-idf, naive Bayes": (TFIDF, {}),
    "tf-idf, 6 layers": (BOTH, {"naiveBayes": False, **ALL_LAYERS}),
    "tf-idf, 4 layers": (BOTH, {"naiveBayes": False}),
    "default: tf-idf, naive Bayes, 4 layers": (BOTH, {}),
    "default, from classes": (BOTH, {"ratingCol": None}),
    "default, best for accuracy": (BOTH, {"metric": "accuracy"}),
}


def prepared(spark: SparkSession, csv: str, cache: Path, embed: bool) -> DataFrame:
    """Clean, labelled reviews, with embeddings where wanted, from `cache` where it has them."""
    mark = hashlib.sha256(Path(csv).read_bytes()).hexdigest()[:16]
    kept = cache / f"{mark}-{'embedded' if embed else 'plain'}"
    if not (kept / "_SUCCESS").exists():
        stages: list[Any] = [
            TextCleaner(inputCols=["title", "review_text"], outputCol="text"),
            RatingLabeler(ratingCol="rating", labelCol="label"),
        ]
        columns = ["text", "title", "review_text", "rating", "label"]
        if embed:
            stages += [
                BertEmbeddings(
                    inputCol="text", outputCol="embedding", numLayers=pipeline.SENTIMENT_LAYERS
                ),
                BertEmbeddings(inputCol="text", outputCol="embedding_6"),
            ]
            columns += ["embedding", "embedding_6"]
        reviews = read_reviews(spark, csv).reviews.repartition(
            spark.sparkContext.defaultParallelism
        )
        started = time.perf_counter()
        ready = Pipeline(stages=stages).fit(reviews).transform(reviews)
        ready.select(*columns).write.mode("overwrite").parquet(str(kept))
        print(f"reading, cleaning{', embedding' * embed}: {time.perf_counter() - started:.0f} s")
    return spark.read.parquet(str(kept)).repartition(spark.sparkContext.defaultParallelism).cache()


def judged(
    data: DataFrame, seed: int, features: list[str], settings: dict[str, Any]
) -> tuple[Confusion, float]:
    """Fit on the training part, and count hits and misses on the test part, once."""
    train, test = split_by_text(data, "review_text", seed=seed)
    started = time.perf_counter()
    stages = classifier(features, **{"ratingCol": "rating", "seed": seed, **settings})
    model = pipeline.fit(stages, train)
    seconds = time.perf_counter() - started
    return confusion(model.transform(test), SENTIMENTS), seconds


def spread(values: list[float]) -> str:
    around = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{around}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", required=True, help="the reviews")
    parser.add_argument("--seeds", type=int, default=5, help="how many splits, from seed 1 on")
    parser.add_argument("--only", default="", help="only what holds this word, such as tf-idf")
    parser.add_argument("--master", default="local[2]", help="Spark master")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "bench_accuracy",
        help="folder for the embeddings",
    )
    wanted = parser.parse_args()
    spark = get_session(
        "bench_accuracy", master=wanted.master, conf={"spark.sql.shuffle.partitions": "2"}
    )
    spark.sparkContext.setLogLevel("ERROR")
    chosen = {name: what for name, what in VARIANTS.items() if wanted.only in name}
    embed = any("embedding" in features for features, _ in chosen.values())
    data = prepared(spark, wanted.csv, wanted.cache, embed)
    print(f"{data.count()} reviews, {wanted.seeds} seeds, {wanted.master}")
    print("| model | accuracy | macro-F1 | F1 neg, neu, pos | fit, s |")
    print("|---|---|---|---|---|")
    for name, (features, settings) in chosen.items():
        found = [judged(data, seed, features, settings) for seed in range(1, wanted.seeds + 1)]
        counts = [each for each, _ in found]
        classes = [statistics.mean(c.f1(i) or 0.0 for c in counts) for i in range(len(SENTIMENTS))]
        print(
            f"| {name} | {spread([c.accuracy or 0.0 for c in counts])} "
            f"| {spread([c.macro_f1 or 0.0 for c in counts])} "
            f"| {' '.join(f'{f1:.2f}' for f1 in classes)} "
            f"| {statistics.mean(seconds for _, seconds in found):.0f} |",
            flush=True,
        )
    spark.stop()


if __name__ == "__main__":
    main()
