"""What is killed while rows are scored, or an endpoint made: nothing is lost, nor left unseen."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers import IMPORT_PATH
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_sentiment.sagemaker import SageMakerEndpointModel
from spark_sentiment.sagemaker.aws.clients import Site
from spark_sentiment.sagemaker.aws.resources import made_here
from spark_sentiment.standin import StandIn

DEADLINE = 180  # seconds for JVMs to start on a busy machine
ROWS = 1200


def processes() -> dict[int, tuple[int, str]]:
    """Return parent and command line of each process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            found[int(folder.name)] = parent, (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def below(root: int, word: str) -> list[int]:
    """List the processes that `root` started, at any depth, whose command line holds `word`."""
    there = processes()

    def descends(pid: int) -> bool:
        while pid in there and pid != root:
            pid = there[pid][0]
        return pid == root

    return [
        pid for pid, (_, said) in there.items() if pid != root and word in said and descends(pid)
    ]


def killing(
    victims: Callable[[], list[int]],
) -> tuple[Callable[[bytes, str, str], bytes], list[int]]:
    """Return a container that answers texts with their lengths, and kills at its 20th answer."""
    killed: list[int] = []
    lock, answers = threading.Lock(), iter(range(10**9))

    def measure(body: bytes, content_type: str, accept: str) -> bytes:
        with lock:
            if next(answers) == 20:
                killed.extend(victims())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
        texts = [json.loads(line)["source"] for line in body.decode().splitlines()]
        return "\n".join(json.dumps({"length": len(text)}) for text in texts).encode()

    return measure, killed


def lengths(url: str) -> SageMakerEndpointModel:
    return SageMakerEndpointModel(
        endpointName="lengths",
        algorithm="jsonlines",
        replySchema="length int",
        requestFields={"source": "text"},
        endpointUrl=url,
        maxBatchRows=20,
    )


def scored(spark: SparkSession, url: str) -> tuple[Any, ...]:
    """Score texts of 1 to 1,200 letters; return rows, different ids, and rows that are right."""
    texts = spark.range(0, ROWS, 1, 4).withColumn("text", F.expr("repeat('a', int(id) + 1)"))
    found = (
        lengths(url)
        .transform(texts)
        .select(
            F.count(F.lit(1)),
            F.countDistinct("id"),
            F.sum((F.length("text") == F.col("length")).cast("int")),
        )
    )
    return tuple(found.head() or ())


def asking(port: int, pids: list[int]) -> list[int]:
    """List those of some processes that have a connection to a port of this machine."""
    remote = f":{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{words[9]}]" for words in lines if words[2].endswith(remote)}

    def opened(pid: int) -> set[str]:
        found = set()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.add(os.readlink(link))
        return found

    return [pid for pid in pids if opened(pid) & sockets]


@pytest.mark.long
def test_a_killed_python_worker_changes_nothing(spark: SparkSession, aws: StandIn) -> None:
    jvm: Any = spark._jvm
    root = jvm.java.lang.ProcessHandle.current().pid()
    port = int(aws.url.rsplit(":", 1)[1])
    # One at work: Spark would give an idle one, dead, to the next task, and be it another test's.
    container, killed = killing(lambda: asking(port, below(root, "pyspark.daemon"))[:1])
    aws.deploy("lengths", container)
    assert scored(spark, aws.url) == (ROWS, ROWS, ROWS)
    assert killed


CLUSTER = """
import sys
sys.path[:0] = {tests!r}
from spark_sentiment.session import get_session
from test_sagemaker_killed import scored
conf = {{"spark.driver.memory": "1g", "spark.executor.memory": "1g", "spark.task.maxFailures": "4",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1"}}
print("SCORED", *scored(get_session("cluster", {master!r}, conf), {url!r}))
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("master", "victim", "told"),
    [
        ("local[2,4]", "pyspark.daemon", "Python worker exited unexpectedly"),
        ("local-cluster[2,1,1024]", "CoarseGrainedExecutorBackend", "Lost executor"),
    ],
    ids=["threads", "standalone cluster"],
)
def test_what_is_killed_elsewhere_changes_nothing(
    aws: StandIn, master: str, victim: str, told: str
) -> None:
    started: list[subprocess.Popen[str]] = []
    port = int(aws.url.rsplit(":", 1)[1])

    def victims() -> list[int]:
        found = below(started[0].pid, victim)
        return (asking(port, found) if victim == "pyspark.daemon" else found)[:1]

    container, killed = killing(victims)
    aws.deploy("lengths", container)
    script = CLUSTER.format(tests=IMPORT_PATH, url=aws.url, master=master)
    started.append(
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    )
    said, complained = started[0].communicate(timeout=DEADLINE)
    assert f"SCORED {ROWS} {ROWS} {ROWS}" in said, complained[-3000:]
    assert killed
    assert told in complained


DRIVER = """
import sys
from spark_sentiment.sagemaker.aws import hosting
from spark_sentiment.sagemaker.aws.clients import Site
wanted = hosting.Deployment("spark-sentiment-killed", "container", {artifact!r}, {role!r},
    {{"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}}, "run-7", 0.001)
hosting.create("stage", Site({region!r}, {url!r}), wanted, 600, print)
"""


@pytest.mark.long
def test_what_a_killed_driver_was_making_is_found_by_its_tags(aws: StandIn) -> None:
    with StandIn(seconds=30) as slow:
        script = DRIVER.format(
            artifact=f"s3://{slow.bucket}/model.tar.gz",
            role=slow.role,
            region=slow.region,
            url=slow.url,
        )
        driver = subprocess.Popen([sys.executable, "-c", script])
        end = time.monotonic() + DEADLINE
        while "CreateEndpoint" not in [name for name, _ in slow.calls]:
            assert driver.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        driver.kill()
        driver.wait()
        later = datetime.now(UTC) + timedelta(hours=1)
        found = list(made_here("test", Site(slow.region, slow.url)))
    assert {one.kind.name for one in found} == {"endpoint", "endpoint config", "model"}
    assert {one.run_id for one in found} == {"run-7"}
    assert all(one.expired(later) for one in found)
