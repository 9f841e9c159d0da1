"""Speed of the bias report: rows against time and memory, and against smclarify 0.5.

Run: ``uv run python tests/bench/bench_bias.py [--rows 100000 1000000 10000000] [--peer-rows N]``

Both sides measure the same four facets of the same rows, read from the same Parquet files, each
facet cut in two (an age above 50, three values against their rest); one positive class of three,
every Clarify metric before and after training but FT. Ours gives the exploratory measures and the
intervals besides. The first table takes two of the facets value by value, 28 comparisons in all.
What is timed:

- *from file*: from the Parquet files on disk to the report on the driver;
- *in memory*: the same with the rows already held, in Spark's cache or a pandas DataFrame.

The peer lives in a virtual environment of its own under the temporary folder and runs in a process
of its own. Its values are compared with ours before any ratio is printed.
"""

import argparse
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.bias import Facet, bias_metrics
from spark_sentiment.session import get_session

FOLDER = Path(tempfile.gettempdir(), "spark_sentiment_bench_bias")
PEER = [
    "smclarify==0.5",
    "pandas==2.0.3",
    "numpy==1.25.2",
    "scikit-learn==1.3.2",
    "pyarrow==15.0.2",
]
SINGLE = [
    Facet("age", threshold=50),
    Facet("division", values=["General Petite"]),
    Facet("department", values=["Tops"]),
    Facet("class_name", values=["Class 3"]),
]
EACH = [*SINGLE[:2], Facet("department"), Facet("class_name")]
DEPARTMENTS = ["Bottoms", "Dresses", "Intimate", "Jackets", "Tops", "Trend"]
DIVISIONS = ["General", "General Petite", "Initmates"]

PEER_SCRIPT = """
import json, logging, sys, time, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import pandas as pd
from smclarify.bias import report as r

path = sys.argv[1]
start = time.perf_counter()
df = pd.read_parquet(path)
read = time.perf_counter() - start
start = time.perf_counter()
label, guess = df.label.astype(str), df.prediction.astype(str)
df["age > 50"] = df.age > 50
facets = [
    ("age > 50", [True]), ("division", ["General Petite"]),
    ("department", ["Tops"]), ("class_name", ["Class 3"]),
]
names = {
    r.StageType.PRE_TRAINING: ["CI", "DPL", "KL", "JS", "LP", "TVD", "KS", "CDDL"],
    r.StageType.POST_TRAINING: [
        "DPPL", "DI", "DCA", "DCR", "SD", "RD", "AD", "DAR", "DRR", "TE", "CDDPL", "GE"
    ],
}
values = {}
for facet, wanted in facets:
    for stage, metrics in names.items():
        predicted = r.LabelColumn("p", guess) if stage is r.StageType.POST_TRAINING else None
        found = r.bias_report(
            df[[facet]], r.FacetColumn(facet, wanted), r.LabelColumn("y", label, ["2.0"]),
            stage, predicted, metrics=metrics, group_variable=df.department,
        )
        for part in found:
            for metric in part["metrics"]:
                values[f"{facet}|{part['value_or_threshold']}|{metric['name']}"] = metric["value"]
print(json.dumps({"read": read, "measure": time.perf_counter() - start, "values": values}))
"""


def main() -> None:
    """Generate rows, time both sides, print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--peer-rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    logging.getLogger("py4j").setLevel(logging.ERROR)
    spark = get_session("bench-bias", conf={"spark.driver.memory": "3g"})
    spark.sparkContext.setLogLevel("ERROR")
    FOLDER.mkdir(exist_ok=True)
    for rows in asked.rows:
        generate(spark, rows)
    report(spark.read.parquet(path_of(min(asked.rows))), EACH)  # start-up, not timed
    say(f"{'rows':>12} {'from file s':>12} {'in memory s':>12} {'ns/row':>8} {'driver MB':>10}")
    for rows in asked.rows:
        filed, held = time_ours(spark, rows, EACH, asked.repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say(f"{rows:12,} {filed:12.2f} {held:12.2f} {filed / rows * 1e9:8.0f} {peak:10.0f}")
    rows = asked.peer_rows
    if rows not in asked.rows:
        return
    filed, held = time_ours(spark, rows, SINGLE, asked.repeats)
    found = run_peer(path_of(rows))
    compared = compare(spark, rows, found["values"])
    peer_filed = found["read"] + found["measure"]
    say(f"\n{rows:,} rows, four facets, {compared} values alike to 1e-9")
    say(f"{'':14} {'from file s':>12} {'in memory s':>12}")
    say(f"{'smclarify 0.5':14} {peer_filed:12.2f} {found['measure']:12.2f}")
    say(f"{'bias_metrics':14} {filed:12.2f} {held:12.2f}")
    say(f"{'times as fast':14} {peer_filed / filed:12.1f} {found['measure'] / held:12.1f}")


def say(line: str) -> None:
    """Write a line of the table at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def path_of(rows: int) -> str:
    """Folder of the generated rows."""
    return str(FOLDER / f"rows-{rows}")


def generate(spark: SparkSession, rows: int) -> None:
    """Write rows from hashes of their number, once; no randomness, so every run has the same."""
    if Path(path_of(rows), "_SUCCESS").exists():
        return

    def uniform(salt: int) -> Any:
        return F.pmod(F.xxhash64(F.col("id"), F.lit(salt)), F.lit(1_000_003)) / 1_000_003

    def pick(values: list[str], salt: int) -> Any:
        return F.element_at(
            F.array(*map(F.lit, values)), (1 + F.floor(uniform(salt) * len(values))).cast("int")
        )

    # Labels lean on age and department, predictions on labels: no metric is trivially 0.
    lean = F.when(F.col("age") > 50, 0.1).otherwise(0.0)
    sure = uniform(6) < F.when(F.col("department") == "Tops", 0.8).otherwise(0.7)
    spark.range(0, rows, 1, 4).select(
        "id",
        (18 + F.floor(uniform(1) * 80)).cast("int").alias("age"),
        pick(DIVISIONS, 2).alias("division"),
        pick(DEPARTMENTS, 3).alias("department"),
        F.concat(F.lit("Class "), F.floor(uniform(4) * 20).cast("string")).alias("class_name"),
    ).withColumn(
        "label", F.floor(F.least(uniform(5) + lean, F.lit(0.999)) * 3).cast("double")
    ).select(
        "age",
        "division",
        "department",
        "class_name",
        "label",
        F.when(sure, F.col("label"))
        .otherwise(F.floor(uniform(7) * 3).cast("double"))
        .alias("prediction"),
    ).write.mode("overwrite").parquet(path_of(rows))


def report(df: DataFrame, facets: list[Facet]) -> list[Any]:
    """Everything `bias_metrics` gives by default, collected."""
    return bias_metrics(
        df, "label", facets, "prediction", positive=[2.0], group="department"
    ).collect()


def time_ours(
    spark: SparkSession, rows: int, facets: list[Facet], repeats: int
) -> tuple[float, float]:
    """Best seconds from file and from Spark's cache."""
    filed = best(lambda: report(spark.read.parquet(path_of(rows)), facets), repeats)
    held = spark.read.parquet(path_of(rows)).cache()
    held.count()
    cached = best(lambda: report(held, facets), repeats)
    held.unpersist(blocking=True)
    return filed, cached


def best(action: Any, repeats: int) -> float:
    """Least wall-clock seconds of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def run_peer(path: str) -> dict[str, Any]:
    """Install smclarify beside the project, never in it, and run it on the rows at `path`."""
    home = FOLDER / "peer"
    python = home / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv")
        if uv is None:
            raise SystemExit("the peer needs uv on PATH")
        subprocess.run([uv, "venv", "-q", "--python", "3.11", str(home)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *PEER], check=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), "-c", PEER_SCRIPT, path],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(spark: SparkSession, rows: int, theirs: dict[str, Any]) -> int:
    """Check every value that both sides give; KL to KS only where the label is binary, as theirs.

    Clarify's code turns the label into positive and not before it takes a distribution.
    """
    df = spark.read.parquet(path_of(rows))
    binary = df.withColumn("label", F.when(F.col("label") == 2, 2.0).otherwise(0.0)).withColumn(
        "prediction", F.when(F.col("prediction") == 2, 2.0).otherwise(0.0)
    )
    ours = {}
    for row in report(binary, SINGLE):
        ours[row.facet, row.facet_value, row.metric] = row.value
    compared = 0
    for key, value in theirs.items():
        facet, facet_value, metric = key.split("|")
        named = facet_value
        if facet == "age > 50":
            facet, named = "age", "> 50"
        place = (None, None, "GE") if metric == "GE" else (facet, named, metric)
        if abs(ours[place] - value) > 1e-9:
            raise SystemExit(f"{place}: {ours[place]} here, {value} there")
        compared += 1
    return compared


if __name__ == "__main__":
    main()
