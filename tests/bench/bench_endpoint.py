# ruff: noqa: T201 - a benchmark prints its table
"""How fast rows are scored by an endpoint that takes a while to answer.

Run ``python tests/bench/bench_endpoint.py [ROWS] [--seconds 0.05]``. The endpoint is a process of
its own on the loopback interface; each answer takes the seconds given, whatever the request holds.
The peer is one request after another in each task, as SageMaker Spark's RequestBatchIterator asks,
with boto3, the same rows in each request, and no check of what comes back. Both score the same
cached rows on the same number of tasks.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_sentiment.sagemaker import SageMakerEndpointModel
from spark_sentiment.session import get_session

SERVE = """
import json, sys
from spark_sentiment.standin import StandIn

def lengths(body, content_type, accept):
    texts = [json.loads(line)["source"] for line in body.decode().splitlines()]
    return "\\n".join(json.dumps({"length": len(text)}) for text in texts).encode()

with StandIn() as aws:
    aws.deploy("lengths", lengths)
    aws.latency = float(sys.argv[1])
    print(aws.url, flush=True)
    sys.stdin.read()
"""


def one_after_another(df: DataFrame, url: str, rows: int) -> DataFrame:
    def ask(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import boto3

        client = boto3.client("sagemaker-runtime", endpoint_url=url)
        for batch in batches:
            texts = batch.column(0).to_pylist()
            found: list[int] = []
            for start in range(0, len(texts), rows):
                lines = [json.dumps({"source": t}) + "\n" for t in texts[start : start + rows]]
                answer = client.invoke_endpoint(
                    EndpointName="lengths", ContentType="application/jsonlines", Body="".join(lines)
                )
                body = answer["Body"].read().decode()
                found += [json.loads(line)["length"] for line in body.splitlines()]
            yield pa.RecordBatch.from_arrays([pa.array(found, pa.int32())], ["length"])

    return df.mapInArrow(ask, "length int")


def seconds(df: DataFrame) -> float:
    began = time.perf_counter()
    df.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="?", type=int, default=23_486)
    parser.add_argument("--seconds", type=float, default=0.05, help="that an answer takes")
    parser.add_argument("--batch", type=int, default=100, help="rows of a request")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 2, 4, 8])
    asked = parser.parse_args()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ[name] = "of-the-benchmark"
    os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(asked.seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if server.stdout is None:
        sys.exit("the endpoint's process has no output")
    url = server.stdout.readline().strip()
    spark = get_session("bench_endpoint")
    spark.sparkContext.setLogLevel("ERROR")
    text = F.concat(F.lit("a review of some words, and number "), F.col("id"))
    rows = spark.range(0, asked.rows, 1, 1).select(F.repeat(text, 8).alias("text")).cache()
    rows.count()
    print(f"{asked.rows:,} rows, {asked.batch} a request, {asked.seconds * 1000:.0f} ms an answer")
    print(f"{'':34}{'tasks':>6}{'seconds':>9}{'rows/s':>9}{'ratio':>7}")
    for tasks in asked.tasks:
        parts = rows.repartition(tasks).cache()
        parts.count()
        peer = min(seconds(one_after_another(parts, url, asked.batch)) for _ in range(2))
        print(
            f"{'one request after another':34}{tasks:>6}{peer:>9.2f}{asked.rows / peer:>9.0f}{1:>7}"
        )
        for concurrency in (1, 4, 8, 16):
            model = SageMakerEndpointModel(
                endpointName="lengths",
                endpointUrl=url,
                algorithm="jsonlines",
                replySchema="length int",
                requestFormat="jsonlines",
                requestFields={"source": "text"},
                maxBatchRows=asked.batch,
                concurrency=concurrency,
                maxErrorShare=0.0,
            )
            ours = min(seconds(model.transform(parts)) for _ in range(2))
            name = f"SageMakerEndpointModel, {concurrency} at once"
            ratio = peer / ours
            print(f"{name:34}{tasks:>6}{ours:>9.2f}{asked.rows / ours:>9.0f}{ratio:>7.1f}")
        parts.unpersist()
    server.terminate()


if __name__ == "__main__":
    main()
