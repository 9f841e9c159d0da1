# ruff: noqa: T201 - a benchmark prints its table
"""What it costs to tune thresholds on rows that the second level of `Stacked` was fitted on.

    uv run --no-sync python tests/bench/bench_thresholds.py --csv PATH [--seeds 5] [--rows 500,5000]

PATH is the Women's E-Commerce Clothing Reviews, or any CSV with its columns. Both ways tune on the
same out-of-fold probabilities of one fit, on tf-idf. Only the second level differs: it was fitted
on these rows (own), or without their fold (crossed), as `Stacked` does it. Each is judged by
macro-F1 on all texts that were not drawn for training.
"""

import argparse
import statistics
from typing import Any

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession

from spark_sentiment.classification import Stacked, classifier, confusion
from spark_sentiment.classification.thresholds import best_offsets, margins
from spark_sentiment.jobs import pipeline
from spark_sentiment.reviews import SENTIMENTS, RatingLabeler, read_reviews, split_by_text
from spark_sentiment.session import get_session
from spark_sentiment.text import TextCleaner


class Own(Stacked):
    """Stacked that also keeps the thresholds of a second level that has seen the rows."""

    found: list[float]

    def _top(self, answers: DataFrame, counts: Any) -> Any:
        top = super()._top(answers, counts)
        plain = top.copy()
        plain.clear(plain.thresholds)
        found = margins(
            plain.transform(answers), self.getLabelCol(), "probability", len(SENTIMENTS)
        )
        Own.found = np.exp(-best_offsets(*found)).tolist()
        return top


def judged(spark: SparkSession, data: DataFrame, rows: int, seed: int) -> tuple[float, float]:
    share = min(0.8, rows / data.count())
    train, test = split_by_text(data, "text", seed, (share, 1 - share))
    *stages, top = classifier(["tfidf"], ratingCol="rating", seed=seed)
    own = Own(**{param.name: value for param, value in top._paramMap.items()})
    model = pipeline.fit([*stages, own], train.cache())
    crossed = confusion(model.transform(test), SENTIMENTS).macro_f1
    last = model.stages[-1]
    last.top._set(thresholds=Own.found)
    seen = confusion(PipelineModel(model.stages).transform(test), SENTIMENTS).macro_f1
    train.unpersist()
    return float(seen or 0), float(crossed or 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", default="500,2000,18000")
    wanted = parser.parse_args()
    spark = get_session("bench_thresholds", "local[2]")
    spark.sparkContext.setLogLevel("ERROR")
    ready = PipelineModel(
        [
            TextCleaner(inputCols=["title", "review_text"], outputCol="text"),
            RatingLabeler(ratingCol="rating", labelCol="label"),
        ]
    ).transform(read_reviews(spark, wanted.csv).reviews)
    data = ready.select("text", "title", "rating", "label").repartition(2).cache()
    print("  rows    own  crossed  crossed - own, mean (smallest to largest)")
    for rows in map(int, wanted.rows.split(",")):
        pairs = [judged(spark, data, rows, seed) for seed in range(wanted.seeds)]
        gains = [crossed - own for own, crossed in pairs]
        own, crossed = (statistics.mean(side) for side in zip(*pairs, strict=True))
        spread = f"{min(gains):+.4f} to {max(gains):+.4f}"
        print(f"{rows:>6}  {own:.4f}   {crossed:.4f}  {statistics.mean(gains):+.4f} ({spread})")


if __name__ == "__main__":
    main()
