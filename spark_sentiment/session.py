"""Start a SparkSession if none is active. No other module of the library builds one."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from delta import configure_spark_with_delta_pip
from pyspark import SparkConf, SparkContext
from pyspark.find_spark_home import _find_spark_home
from pyspark.sql import SparkSession

from spark_sentiment.core import class_archive, jvm
from spark_sentiment.errors import SetupError

JAVA = (8, 11, 17)
"""Major versions of Java that Spark 3.5 runs on."""

_ADVICE = "install OpenJDK 17 and set JAVA_HOME to its folder"
# The only dependency of Delta's jar that Spark does not bring.
_ANTLR = "org.antlr_antlr4-runtime-4.9.3"
# Training on SageMaker needs these beside the jars of sagemaker_pyspark. The hadoop-aws among those
# jars has another version than Spark's Hadoop. They contain the AWS SDK that hadoop-aws depends on
# (280 MB), so it is excluded.
_SAGEMAKER = ("org.apache.hadoop:hadoop-aws:3.3.4", "com.google.protobuf:protobuf-java:3.19.4")
_SAGEMAKER_EXCLUDES = "com.amazonaws:aws-java-sdk-bundle,org.wildfly.openssl:wildfly-openssl"
# A job of some minutes runs most of its code a few hundred times. With Java's default thresholds,
# compiling that code took a third of the time of two cores. With higher thresholds, code that runs
# often is compiled a little later.
_JAVA = "-XX:CompileThresholdScaling=4 -XX:+UseParallelGC"
# Java's second compiler (C2) takes two fifths of the processor time of a job on few rows, and saves
# more than that only above some 50,000 rows. Without it, the code cache defaults to 48 MB, which is
# too small.
_SIMPLE_ROWS = 50_000
_JAVA_SIMPLE = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseParallelGC"
# For so few rows, compiling a query or replanning it while it runs takes longer than running it.
_INTERPRETED_ROWS = 5_000
_INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}
_CLASS_PATH, _JAVA_OPTIONS = "spark.driver.extraClassPath", "spark.driver.extraJavaOptions"
_ARCHIVING = 17  # the oldest version of Java on which class archives were tested
_ATTEMPTS = 4  # of a task, Spark's default on a cluster
# Spark's launcher sets this variable in the Python driver that it starts.
_LAUNCHED = "PYSPARK_GATEWAY_PORT"


def check_java() -> int:
    """Return the major version of the Java that Spark will start.

    Raises
    ------
    SetupError
        If Java is missing, or Spark 3.5 does not run on its version.

    Examples
    --------
    >>> check_java() in JAVA
    True
    """
    return _find_java().major


class _Java(NamedTuple):
    """A Java on this machine: its program, its major version, and its output of ``-version``."""

    program: str
    major: int
    said: str


def _find_java() -> _Java:
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if program is None or not Path(program).exists():
        where = f"JAVA_HOME is {home}" if home else "no 'java' on PATH"
        raise SetupError(f"Java is missing ({where}): {_ADVICE}")
    try:
        said = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=60, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"'{program} -version' failed ({error}): {_ADVICE}") from error
    match = re.search(r'version "(?:1\.)?(\d+)', said)
    major = int(match.group(1)) if match else 0
    if major not in JAVA:
        found = f"Java {major}" if match else "of an unknown version"
        raise SetupError(f"{program} is {found}; Spark 3.5 runs on Java 8, 11 or 17: {_ADVICE}")
    about = [line for line in said.splitlines() if not line.startswith(("NOTE:", "Picked up"))]
    return _Java(program, major, "\n".join(about))


def get_session(
    app: str,
    master: str | None = None,
    conf: Mapping[str, str] | None = None,
    packages: Sequence[str] = (),
    *,
    sagemaker: bool = False,
    expected_rows: int | None = None,
) -> SparkSession:
    """Return the active session, or build one if there is none.

    ``spark-submit`` and EMR notebooks set master, jars and memory; this function does not change
    them. Elsewhere it starts ``local[*]`` with Delta's jar, which Spark downloads from Maven
    Central once and keeps.

    Parameters
    ----------
    app : str
        Name shown in Spark's UI and history.
    master : str, optional
        Spark master of a new session, ``local[*]`` by default. ``local[*]`` and ``local[N]`` run a
        task up to four times if its worker is lost.
    conf : mapping of str to str, optional
        Spark settings of a new session; they override the defaults of this function.
    packages : sequence of str
        Maven coordinates to add beside Delta's.
    sagemaker : bool
        Whether to add what `SageMakerStage` needs: the jars of sagemaker_pyspark, and S3 for
        Hadoop.
    expected_rows : int, optional
        Approximate number of rows for which a new session is used. Up to 50,000, Java uses only its
        fast, simple compiler; up to 5,000, Spark also runs plans without compiling them. Such a
        session is faster for few rows, and slower for a million.

    Returns
    -------
    SparkSession
        A new session has Delta's extension and catalog.

    Raises
    ------
    SetupError
        If Java is missing or Spark 3.5 does not run on its version, or `sagemaker` is True and
        sagemaker_pyspark is not installed.

    Examples
    --------
    >>> get_session("notebook").version.startswith("3.5")
    True
    """
    active = jvm.current_session()
    if active is None:
        active = _built(app, master, conf or {}, packages, sagemaker, expected_rows)
    jvm.remember_classes(active)
    return active


def _built(
    app: str,
    master: str | None,
    conf: Mapping[str, str],
    packages: Sequence[str],
    sagemaker: bool,
    expected_rows: int | None,
) -> SparkSession:
    """Return a new session: that of Spark's launcher if there is one, else a local one."""
    builder = SparkSession.builder.appName(app)
    if _LAUNCHED in os.environ:
        return builder.getOrCreate()
    java = _find_java()
    rows = sys.maxsize if expected_rows is None else expected_rows
    compiling = _JAVA_SIMPLE if rows <= _SIMPLE_ROWS else _JAVA
    # Workers must run this Python. The first Python on PATH may lack the packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings: dict[str, Any] = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.memory": "6g",
        "spark.driver.host": "127.0.0.1",
        _JAVA_OPTIONS: f"-Dlog4j2.configurationFile={_quiet_log()} {compiling}",
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # One task instead of fifty reads the log of a table, which is small.
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Python and Java may disagree about the user's home folder.
        "spark.jars.ivy": str(Path.home() / ".ivy2"),
        **(_INTERPRETED if rows <= _INTERPRETED_ROWS else {}),
        **conf,
    }
    master = master or "local[*]"
    jars = sagemaker_jars() if sagemaker else []
    ivy = Path(settings["spark.jars.ivy"])
    with ExitStack() as held:
        delta, others = _jars(ivy, sagemaker)
        if packages or not _are_there(delta, others):
            held.enter_context(_alone_with_ivy(ivy))  # its last holder may have fetched the jars
        if packages or not _are_there(delta, others):
            wanted = [*(_SAGEMAKER if sagemaker else ()), *packages]
            builder = configure_spark_with_delta_pip(builder, wanted)
            if sagemaker:
                settings["spark.jars.excludes"] = _SAGEMAKER_EXCLUDES
        elif master.startswith("local") and not conf.keys() & {_JAVA_OPTIONS, _CLASS_PATH}:
            jars += others
            settings[_CLASS_PATH] = os.pathsep.join(map(str, delta))
            settings[_JAVA_OPTIONS] += f" {_archive_options(java, delta)}"
        else:
            jars += [*delta, *others]
        if jars:
            settings["spark.jars"] = ",".join(jar.as_uri() for jar in jars)
        builder = builder.master(_with_retries(master)).config(map=settings)
        with _own_signals():
            SparkContext.getOrCreate(SparkConf().setAll(list(builder._options.items())))
        return builder.getOrCreate()


def _with_retries(master: str) -> str:
    """Return `master`, with the attempts of a cluster if it is local and names no number of them.

    With Spark's default, one attempt, a Python worker that the system kills for its memory ends the
    job.
    """
    local = re.fullmatch(r"local(?:\[(\*|\d+)\])?", master)
    return f"local[{local[1] or 1},{_ATTEMPTS}]" if local else master


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the program's handlers of signals while Spark starts in the block.

    PySpark sets its own handler of Ctrl-C, which calls Java even if it interrupts a call of Java.
    It replaces Python's default handler only. Java ends at a SIGHUP, which a terminal that closes
    sends to all its processes; it must not end before a program that handles the signal. Java
    inherits that the signal is ignored, so a SIGHUP while Java starts is lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupt, hangup = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP)
    if callable(hangup):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        if callable(hangup):
            signal.signal(signal.SIGHUP, hangup)
        if callable(interrupt) and interrupt is not signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupt)


def sagemaker_jars() -> list[Path]:
    """Return the jars of sagemaker_pyspark that Spark 3.5 can use, in class path order.

    The newer modules of the AWS SDK come before the older bundle, which has the remaining classes.

    Raises
    ------
    SetupError
        If sagemaker_pyspark is not installed.

    Examples
    --------
    >>> any("sagemaker-spark" in jar.name for jar in sagemaker_jars())
    True
    """
    found = find_spec("sagemaker_pyspark")
    if found is None or found.origin is None:
        raise SetupError(
            "training on SageMaker needs sagemaker_pyspark; install it with: "
            "pip install --no-deps sagemaker-pyspark==1.4.5 (it requires an older pyspark)"
        )
    jars = [p for p in Path(found.origin).parent.glob("jars/*.jar") if "hadoop-aws" not in p.name]
    return sorted(jars, key=lambda jar: ("bundle" in jar.name, jar.name))


def _archive_options(java: _Java, jars: Sequence[Path]) -> str:
    """Return the options with which Java archives the classes of Spark and of `jars`, or ''.

    An archive holds only classes of Java's class path, not those of ``spark.jars``.
    """
    # A Java other than HotSpot ("Server VM") has other options.
    if java.major < _ARCHIVING or "Server VM" not in java.said:
        return ""
    home = Path(_find_spark_home())  # type: ignore[no-untyped-call]
    path = [*jars, *sorted((home / "jars").glob("*.jar"))]
    return class_archive.java_options(f"{java.program} {java.said}", path)


def _jars(ivy: Path, sagemaker: bool) -> tuple[list[Path], list[Path]]:
    """Return the paths in Ivy's cache of Delta's jars, and of the other jars of a session.

    A session that names the paths does not resolve the jars again. That saves one or two seconds
    and a screen of output at each start, and needs no network.
    """
    delta = version("delta-spark")
    names = [f"io.delta_delta-spark_2.12-{delta}", f"io.delta_delta-storage-{delta}", _ANTLR]
    others = []
    if sagemaker:
        coordinates = (coordinate.split(":") for coordinate in _SAGEMAKER)
        others = [f"{group}_{artifact}-{number}" for group, artifact, number in coordinates]
    folder = ivy / "jars"
    return [folder / f"{name}.jar" for name in names], [folder / f"{name}.jar" for name in others]


def _are_there(delta: Sequence[Path], others: Sequence[Path]) -> bool:
    return all(jar.is_file() for jar in (*delta, *others))


@contextmanager
def _alone_with_ivy(ivy: Path) -> Iterator[None]:
    """Hold the lock on Ivy's cache that all processes of this library take to resolve jars.

    If two processes fill Ivy's cache at the same time, they write the same files and one fails.
    """
    ivy.mkdir(parents=True, exist_ok=True)
    with (ivy / "spark_sentiment.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed or the process ends
        yield


def _quiet_log() -> str:
    """Return the URI of the log configuration that hides Spark's unimportant messages."""
    return (Path(__file__).with_name("log4j2.properties")).as_uri()
