"""An executor that is lost while the stacked classifier is fitted does not end the fit."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import IMPORT_PATH
from pyspark.ml.classification import DecisionTreeClassifier
from pyspark.ml.feature import VectorAssembler
from pyspark.sql import DataFrame

from spark_sentiment.classification import Stacked
from spark_sentiment.core import jvm
from spark_sentiment.session import get_session

SCRIPT = """
import sys
sys.path[:0] = {tests!r}
from test_lost_executor import fit
fit({folder!r})
"""
DEADLINE = 240  # seconds for four JVMs on a busy machine


class Killing(DecisionTreeClassifier):
    """A classifier that kills an executor before its first fit."""

    killed: list[int] = []  # noqa: RUF012 - of the process: stages are copied before they are fitted

    def _fit(self, dataset: DataFrame) -> Any:
        if not self.killed:

            def executor(_: Iterable[Any]) -> Iterator[int]:
                # The executor has started a daemon, which has started this worker.
                stat = Path(f"/proc/{os.getppid()}/stat").read_text()
                yield int(stat.rpartition(")")[2].split()[1])

            context = dataset.sparkSession.sparkContext
            found = context.parallelize(range(8), 8).mapPartitions(executor).distinct().collect()
            self.killed.append(max(found))
            os.kill(self.killed[0], signal.SIGKILL)
        return super()._fit(dataset)


def fit(folder: str) -> None:
    """Fit on a cluster of two executors on this machine; it runs in a process of its own."""
    conf = {
        "spark.driver.memory": "1g",
        "spark.executor.memory": "600m",
        "spark.default.parallelism": "4",
        "spark.sql.shuffle.partitions": "4",
    }
    spark = get_session("lost", "local-cluster[2,1,600]", conf)
    numbers = spark.range(400).selectExpr(
        "cast(id % 3 as double) label", "cast(id % 3 + id % 2 as double) a", "id % 5 b"
    )
    rows = VectorAssembler(inputCols=["a", "b"], outputCol="features").transform(numbers)
    with jvm.checkpoints_in(spark, folder):
        stacked = Stacked(estimators=[Killing(maxDepth=2)], numFolds=2)
        model = stacked.fit(rows.repartition(4))
        kept = [path for path in Path(folder).rglob("part-*") if path.is_file()]
    sys.stdout.write(
        f"killed {len(Killing.killed)}, classes {model.numClasses}, kept {bool(kept)}\n"
    )
    spark.stop()


@pytest.mark.long
def test_a_fit_survives_the_loss_of_an_executor_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "_checkpoints" / "run"
    script = SCRIPT.format(tests=IMPORT_PATH, folder=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "killed 1, classes 3, kept True"
    assert not folder.exists()
