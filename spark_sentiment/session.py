"""The one place that builds a SparkSession when none is there."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from delta import configure_spark_with_delta_pip
from pyspark.find_spark_home import _find_spark_home
from pyspark.sql import SparkSession

from spark_sentiment.core import class_archive, jvm
from spark_sentiment.errors import SetupError

JAVA = (8, 11, 17)
"""Major versions of Java that Spark 3.5 runs on."""

_ADVICE = "install OpenJDK 17 and set JAVA_HOME to its folder"
# The one dependency of Delta's jar that Spark does not have itself.
_ANTLR = "org.antlr_antlr4-runtime-4.9.3"
# What training on SageMaker needs beside sagemaker_pyspark's own jars. Its hadoop-aws is of another
# version than Spark's Hadoop; the AWS SDK that hadoop-aws asks for, 280 MB, is among its jars.
_SAGEMAKER = ("org.apache.hadoop:hadoop-aws:3.3.4", "com.google.protobuf:protobuf-java:3.19.4")
_SAGEMAKER_EXCLUDES = "com.amazonaws:aws-java-sdk-bundle,org.wildfly.openssl:wildfly-openssl"
# A job of some minutes runs most of its code a few hundred times. At Java's own thresholds, making
# that code fast took a third of two cores; what runs for longer is made fast a little later.
_JAVA = "-XX:CompileThresholdScaling=4 -XX:+UseParallelGC"
# Java's second compiler takes two fifths of the processor time of a job on few rows, and makes up
# for it only above some 50,000. The first alone would keep no more than 48 MB of compiled code.
_SIMPLE_ROWS = 50_000
_JAVA_SIMPLE = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseParallelGC"
# To compile a query, or to plan it anew in its middle, takes longer than to run it on so few rows.
_INTERPRETED_ROWS = 5_000
_INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
}
_CLASS_PATH, _JAVA_OPTIONS = "spark.driver.extraClassPath", "spark.driver.extraJavaOptions"
_ARCHIVING = 17  # the first long-lived Java whose archives were tried
# What Spark's launcher tells the Python driver it has started.
_LAUNCHED = "PYSPARK_GATEWAY_PORT"


def check_java() -> int:
    """Return the major version of the Java that Spark will start.

    Raises
    ------
    SetupError
        In one line, where there is no Java or one that Spark 3.5 does not run on.

    Examples
    --------
    >>> check_java() in JAVA
    True
    """
    return _find_java().major


class _Java(NamedTuple):
    """A Java on this machine: its program, major version, and what it says of itself."""

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
    """Return the active session, or build one where there is none.

    Under ``spark-submit`` and in an EMR notebook master, jars and memory have been chosen already,
    and nothing of it is touched. Elsewhere this starts ``local[*]`` with Delta's jar, which Spark
    fetches from Maven Central once and keeps.

    Parameters
    ----------
    app : str
        Name shown in Spark's UI and history.
    master : str, optional
        Spark master of a new session, ``local[*]`` by default.
    conf : mapping of str to str, optional
        Spark settings of a new session; they beat the defaults given here.
    packages : sequence of str
        Maven coordinates to add beside Delta's.
    sagemaker : bool
        Add what `SageMakerStage` needs: sagemaker_pyspark's jars, and S3 for Hadoop.
    expected_rows : int, optional
        About how many rows a new session is for. Up to 50,000 Java compiles its code once and
        simply; up to 5,000 Spark also runs its plans without compiling each. Such a session takes
        less time for so few rows, and more for a million.

    Returns
    -------
    SparkSession
        A new one has Delta's extension and catalog.

    Raises
    ------
    SetupError
        Where Java is missing or of a version that Spark 3.5 does not run on, or sagemaker_pyspark
        is asked for and not installed.

    Examples
    --------
    >>> get_session("notebook").version.startswith("3.5")
    True
    """
    active = SparkSession.getActiveSession()
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
    """Return a new session: the launcher's, where there is one, else a local one with Delta."""
    builder = SparkSession.builder.appName(app)
    if _LAUNCHED in os.environ:
        return builder.getOrCreate()
    java = _find_java()
    rows = sys.maxsize if expected_rows is None else expected_rows
    compiling = _JAVA_SIMPLE if rows <= _SIMPLE_ROWS else _JAVA
    # Workers run this Python, not the first on PATH, which may lack the packages.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings: dict[str, Any] = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.memory": "6g",
        "spark.driver.host": "127.0.0.1",
        _JAVA_OPTIONS: f"-Dlog4j2.configurationFile={_quiet_log()} {compiling}",
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # A small table's log is read by one task, not by fifty.
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # Python and Java may each take another folder for the user's own.
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
            held.enter_context(_alone_with_ivy(ivy))  # perhaps the process waited for fetches them
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
        built: SparkSession = builder.master(master).config(map=settings).getOrCreate()
    return built


def sagemaker_jars() -> list[Path]:
    """Return the jars of sagemaker_pyspark that Spark 3.5 runs with, in their order.

    Its newer modules of the AWS SDK come before its older bundle, which has what those lack.

    Raises
    ------
    SetupError
        Where sagemaker_pyspark is not installed.

    Examples
    --------
    >>> any("sagemaker-spark" in jar.name for jar in sagemaker_jars())
    True
    """
    found = find_spec("sagemaker_pyspark")
    if found is None or found.origin is None:
        raise SetupError(
            "training on SageMaker needs sagemaker_pyspark; install it with: "
            "pip install --no-deps sagemaker-pyspark==1.4.5 (it asks for an older pyspark)"
        )
    jars = [p for p in Path(found.origin).parent.glob("jars/*.jar") if "hadoop-aws" not in p.name]
    return sorted(jars, key=lambda jar: ("bundle" in jar.name, jar.name))


def _archive_options(java: _Java, jars: Sequence[Path]) -> str:
    """Return the options with which Java archives Spark's classes and those of `jars`, or ''.

    An archive holds classes of Java's own class path alone, not those of ``spark.jars``.
    """
    if java.major < _ARCHIVING or "Server VM" not in java.said:  # not HotSpot: has other options
        return ""
    home = Path(_find_spark_home())  # type: ignore[no-untyped-call]
    path = [*jars, *sorted((home / "jars").glob("*.jar"))]
    return class_archive.java_options(f"{java.program} {java.said}", path)


def _jars(ivy: Path, sagemaker: bool) -> tuple[list[Path], list[Path]]:
    """Return where Ivy keeps Delta's jars, and the others that a session needs.

    Naming them spares each start the second or two, and the screenful, of resolving them anew; it
    also lets a laptop start without a network.
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
    """Wait until no other process of this library resolves jars, and keep others waiting.

    Two processes that fill Ivy's cache at the same time write to the same files: one of them fails.
    """
    ivy.mkdir(parents=True, exist_ok=True)
    with (ivy / "spark_sentiment.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go of when the file is closed, or the process ends
        yield


def _quiet_log() -> str:
    """Return the file that keeps Spark's own log to warnings that matter to a job's reader."""
    return (Path(__file__).with_name("log4j2.properties")).as_uri()
