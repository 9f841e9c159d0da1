# ruff: noqa: T201 - a benchmark prints its table
"""SMOTE: Spark against imbalanced-learn, on the same vectors, in one run.

    uv run --no-sync python tests/bench/bench_balance.py [--rows 40000] [--width 384]

imbalanced-learn is installed with uv in an environment of its own, under the system's temporary
folder. Both raise two smaller classes (an eighth and a quarter of the largest) to the largest;
both have all cores. Spark's time includes counting, the shuffle, Arrow and a full read of the new
rows; imbalanced-learn's starts with the matrix in memory. Its result is checked for equal counts.

A second part shows what blocks cost in quality: the mean distance to the k neighbours found inside
blocks, over that to the exact ones, on vectors like embeddings (a few hundred dimensions of which
about `--latent` vary freely).
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PEER = """
import json, sys, time
import numpy as np
from imblearn.over_sampling import SMOTE
import imblearn, sklearn
data = np.load(sys.argv[1])
start = time.perf_counter()
features, labels = SMOTE(k_neighbors=5, random_state=0).fit_resample(data["x"], data["y"])
seconds = time.perf_counter() - start
names, counts = np.unique(labels, return_counts=True)
print(json.dumps({
    "seconds": seconds, "counts": dict(zip(map(str, names.tolist()), counts.tolist())),
    "version": f"imbalanced-learn {imblearn.__version__}, scikit-learn {sklearn.__version__}",
}))
"""


def embeddings(rows: int, width: int, latent: int, seed: int) -> np.ndarray:
    """Unit vectors around 50 centres, varying in `latent` directions and a little in all."""
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(latent, width))
    centres = rng.normal(size=(50, latent))
    inner = centres[rng.integers(0, 50, rows)] + 0.5 * rng.normal(size=(rows, latent))
    points = inner @ mix + 0.1 * rng.normal(size=(rows, width))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def peer(folder: Path, data: Path) -> dict[str, Any]:
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "-q", "--python", "3.11", str(folder / "venv")], check=True)
        subprocess.run(
            ["uv", "pip", "install", "-q", "--python", str(python), "imbalanced-learn"], check=True
        )
    clean = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    said = subprocess.run(
        [str(python), "-c", PEER, str(data)], check=True, capture_output=True, text=True, env=clean
    )
    result: dict[str, Any] = json.loads(said.stdout)
    return result


def ours(x: np.ndarray, y: np.ndarray, block: int, folder: Path) -> dict[str, Any]:
    """Time `Resampled.resample` on a cached table: one run to warm up, then the better of two."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    from spark_sentiment.balance.resampled import Resampled
    from spark_sentiment.session import get_session

    spark = get_session("bench", conf={"spark.driver.memory": "6g"})
    spark.sparkContext.setLogLevel("ERROR")
    values = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1]).cast(
        pa.list_(pa.float64())
    )
    pq.write_table(pa.table({"label": y, "x": values}), folder / "rows.parquet")
    table = spark.read.parquet(str(folder / "rows.parquet")).repartition(8)
    table = table.select("label", array_to_vector("x").alias("features")).cache()
    table.count()
    stage = Resampled(estimator=LogisticRegression(), method="smote", blockSize=block)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        stage.resample(table).write.format("noop").mode("overwrite").save()
        seconds.append(time.perf_counter() - start)
    counted = stage.resample(table).groupBy(F.col("label")).count().collect()
    return {
        "seconds": min(seconds[1:]),
        "counts": {str(row["label"]): row["count"] for row in sorted(counted)},
    }


def quality(points: np.ndarray, blocks: list[int]) -> None:
    """Compare the neighbours found in random blocks with the exact ones."""
    from spark_sentiment.balance.smote import DenseRows, nearest

    rows = len(points)
    exact = nearest(DenseRows(points), 5)
    away = np.linalg.norm(points[exact] - points[:, None], axis=2).mean()
    anyone = np.linalg.norm(
        points[::10] - points[np.random.default_rng(0).permutation(rows)[::10]], axis=1
    )
    print(
        f"\nclass of {rows:,} rows; a neighbour is {away / anyone.mean():.2f} of the way to any row"
    )
    print("| rows a block | distance / exact | of the exact neighbours found | seconds |")
    print("|---|---|---|---|")
    for block in blocks:
        count = -(-rows // block)
        order = np.random.default_rng(1).permutation(rows)
        start = time.perf_counter()
        far, hit = 0.0, 0
        for part in np.array_split(order, count):
            found = part[nearest(DenseRows(points[part]), 5)]
            far += np.linalg.norm(points[found] - points[part][:, None], axis=2).sum()
            hit += sum(np.isin(a, b).sum() for a, b in zip(found, exact[part], strict=True))
        seconds = time.perf_counter() - start
        print(f"| {block:,} | {far / rows / 5 / away:.3f} | {hit / rows / 5:.0%} | {seconds:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=40_000, help="rows of the largest class")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--latent", type=int, default=20)
    parser.add_argument("--block", type=int, default=8192)
    parser.add_argument("--no-quality", action="store_true")
    args = parser.parse_args()

    sizes = {0.0: args.rows, 1.0: args.rows // 4, 2.0: args.rows // 8}
    x = embeddings(sum(sizes.values()), args.width, args.latent, 0)
    y = np.repeat(list(sizes), list(sizes.values()))
    made = sum(args.rows - size for size in sizes.values())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "data.npz", x=x, y=y)
        theirs = peer(Path(tempfile.gettempdir()) / "bench_balance", folder / "data.npz")
        mine = ours(x, y, args.block, folder)
    print(f"{theirs['version']}; {os.cpu_count()} cores; {sizes}; width {args.width}")
    print("| | seconds | new rows/s | ratio |")
    print("|---|---|---|---|")
    for label, run in (
        ("imbalanced-learn", theirs),
        (f"Resampled, blocks of {args.block:,}", mine),
    ):
        ratio = theirs["seconds"] / run["seconds"]
        print(f"| {label} | {run['seconds']:.2f} | {made / run['seconds']:,.0f} | {ratio:.2f} |")
    if mine["counts"] != theirs["counts"]:
        raise SystemExit(f"counts differ: {mine['counts']} and {theirs['counts']}")
    print(f"the same counts: {mine['counts']}")
    if not args.no_quality:
        quality(embeddings(32_768, args.width, args.latent, 5), [16_384, 8_192, 4_096, 2_048])


if __name__ == "__main__":
    main()
